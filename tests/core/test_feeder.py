"""Blocks reach a pipe in order while their maker goes on; a broken pipe is told, and nobody waits for ever."""

from __future__ import annotations

import os

import pytest

from eadnet_core.media.video.feeder import Feeder


def test_blocks_arrive_in_order_and_do_not_hold_up_their_maker() -> None:
    reader, writer = os.pipe()
    size = 1 << 20  # more than a pipe holds
    with open(reader, "rb") as source, open(writer, "wb") as pipe:
        feeder = Feeder(pipe, n_held=2)
        feeder.give(b"a" * size)
        feeder.give(b"b" * size)
        assert feeder.n_written == 0
        assert [source.read(size)[:1], source.read(size)[:1]] == [b"a", b"b"]
        feeder.wait()
        assert feeder.n_written == 2
        feeder.end()
        feeder.end()


def test_a_broken_pipe_is_told_and_the_rest_is_dropped() -> None:
    reader, writer = os.pipe()
    pipe = open(writer, "wb", buffering=0)  # noqa: SIM115
    os.close(reader)
    feeder = Feeder(pipe, n_held=1)
    feeder.give(b"lost")
    with pytest.raises(BrokenPipeError):
        feeder.wait()
    with pytest.raises(BrokenPipeError):
        feeder.give(b"more")
    feeder.end()
    assert feeder.n_written == 0
    pipe.close()
