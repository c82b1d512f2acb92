"""Hands blocks to a slower taker from a thread of its own: who makes them goes on while the taker is still busy."""

from __future__ import annotations

from collections.abc import Callable
from queue import Queue
from threading import Thread
from typing import Generic, TypeVar

T = TypeVar("T")


class Feeder(Generic[T]):
    """Gives blocks to a function in order; its error is raised at the next call, and what follows is dropped.

    n_taken counts the blocks that the function has returned from.
    """

    def __init__(self, take: Callable[[T], object], n_held: int) -> None:
        """Start; `give` waits while `n_held` blocks are not yet taken."""
        self.n_taken = 0
        self._take = take
        self._is_dropping = False
        self._error: Exception | None = None
        self._blocks: Queue[T | None] = Queue(n_held)
        self._thread = Thread(target=self._run, name="feeder", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (block := self._blocks.get()) is not None:
            if self._error is None and not self._is_dropping:
                try:
                    self._take(block)
                    self.n_taken += 1
                except Exception as error:  # whatever it is, it belongs to the thread that gives
                    self._error = error
            self._blocks.task_done()
        self._blocks.task_done()

    def give(self, block: T) -> None:
        """Take a block. Raises what the function raised."""
        self._check()
        self._blocks.put(block)

    def wait(self) -> None:
        """Until everything that was given is taken. Raises what the function raised."""
        self._blocks.join()
        self._check()

    def end(self, is_dropping: bool = False) -> None:
        """End the thread when everything is taken, or at once where the rest is dropped; harmless a second time."""
        self._is_dropping |= is_dropping
        if self._thread.is_alive():
            self._blocks.put(None)
            self._thread.join()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
