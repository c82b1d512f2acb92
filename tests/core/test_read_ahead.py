"""Items come in order while the next ones are made; an early end and an error reach the other thread."""

from __future__ import annotations

from collections.abc import Generator
from threading import Event

import pytest

from eadnet_core.media.video.read_ahead import read_ahead


def test_the_next_item_is_made_while_the_last_is_looked_at() -> None:
    third_is_made = Event()

    def numbers() -> Generator[int, None, None]:
        yield 0
        yield 1
        third_is_made.set()
        yield 2

    items = read_ahead(numbers(), 2)
    assert next(items) == 0
    assert third_is_made.wait(timeout=10)
    assert list(items) == [1, 2]


def test_no_more_are_made_than_may_wait() -> None:
    made: list[int] = []

    def numbers() -> Generator[int, None, None]:
        for n in range(100):
            made.append(n)
            yield n

    items = read_ahead(numbers(), 3)
    for n in range(10):
        assert next(items) == n
        assert len(made) <= n + 5
    items.close()
    assert len(made) < 20


def test_leaving_early_closes_what_makes_them() -> None:
    is_closed = Event()

    def numbers() -> Generator[int, None, None]:
        try:
            while True:
                yield 1
        finally:
            is_closed.set()

    items = read_ahead(numbers(), 2)
    next(items)
    items.close()
    assert is_closed.is_set()


def test_an_error_comes_in_its_place() -> None:
    def numbers() -> Generator[int, None, None]:
        yield 1
        raise KeyError("late")

    items = read_ahead(numbers(), 4)
    assert next(items) == 1
    with pytest.raises(KeyError, match="late"):
        next(items)
