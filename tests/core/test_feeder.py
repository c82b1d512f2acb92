"""Blocks reach a taker in order while their maker goes on; its error is told, and nobody waits for ever."""

from __future__ import annotations

from threading import Event

import pytest

from eadnet_core.media.video.feeder import Feeder


def test_blocks_arrive_in_order_and_do_not_hold_up_their_maker() -> None:
    may_take, taken = Event(), list[bytes]()

    def take(block: bytes) -> None:
        may_take.wait()
        taken.append(block)

    feeder = Feeder(take, n_held=2)
    feeder.give(b"a")
    feeder.give(b"b")
    assert feeder.n_taken == 0
    may_take.set()
    feeder.wait()
    assert feeder.n_taken == 2 and taken == [b"a", b"b"]
    feeder.end()
    feeder.end()


def test_an_error_is_told_and_the_rest_is_dropped() -> None:
    def take(block: bytes) -> None:
        raise BrokenPipeError

    feeder = Feeder(take, n_held=1)
    feeder.give(b"lost")
    with pytest.raises(BrokenPipeError):
        feeder.wait()
    with pytest.raises(BrokenPipeError):
        feeder.give(b"more")
    feeder.end()
    assert feeder.n_taken == 0


def test_what_waits_is_dropped_where_that_is_asked_for() -> None:
    begun, may_take, taken = Event(), Event(), list[bytes]()

    def take(block: bytes) -> None:
        begun.set()
        may_take.wait()
        taken.append(block)

    feeder = Feeder(take, n_held=4)
    for block in (b"a", b"b", b"c"):
        feeder.give(block)
    begun.wait()
    feeder._is_dropping = True
    may_take.set()
    feeder.end(is_dropping=True)
    assert taken == [b"a"]
