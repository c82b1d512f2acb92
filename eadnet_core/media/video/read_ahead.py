"""Makes the next items in a thread of its own while the last one is still looked at."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event, Semaphore, Thread
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class _End:
    """Nothing follows, because of an error where there is one."""

    error: BaseException | None = None


def read_ahead(items: Generator[T, None, None], n_held: int) -> Generator[T, None, None]:
    """The same items, and the same error at the end; up to `n_held` are made before they are asked for.

    Leaving early ends the thread, which closes `items`.

    >>> list(read_ahead((n * n for n in range(4)), 2))
    [0, 1, 4, 9]
    """
    made: SimpleQueue[T | _End] = SimpleQueue()
    room, is_left = Semaphore(n_held), Event()

    def run() -> None:
        end = _End()
        try:
            for item in items:
                made.put(item)
                room.acquire()
                if is_left.is_set():
                    break
            items.close()
        except BaseException as error:  # it belongs to the thread that asks
            end = _End(error)
        made.put(end)

    thread = Thread(target=run, name="read-ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(item := made.get(), _End):
            yield item
            room.release()
        if item.error is not None:
            raise item.error
    finally:
        is_left.set()
        room.release()
        thread.join()
