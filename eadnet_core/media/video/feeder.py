"""Hands blocks to a pipe from a thread of its own: who makes them goes on while the other end is still busy."""

from __future__ import annotations

from queue import Queue
from threading import Thread
from typing import IO


class Feeder:
    """Writes what it is given in order; an error of the pipe is raised at the next call, and what follows is dropped.

    n_written counts the blocks that the pipe has taken.
    """

    def __init__(self, pipe: IO[bytes], n_held: int) -> None:
        """Start; `give` waits while `n_held` blocks are not yet written."""
        self.n_written = 0
        self._pipe = pipe
        self._error: Exception | None = None
        self._blocks: Queue[bytes | None] = Queue(n_held)
        self._thread = Thread(target=self._write, name="feeder", daemon=True)
        self._thread.start()

    def _write(self) -> None:
        while (block := self._blocks.get()) is not None:
            if self._error is None:
                try:
                    self._pipe.write(block)
                    self.n_written += 1
                except (OSError, ValueError) as error:  # a pipe that was closed here is a ValueError
                    self._error = error
            self._blocks.task_done()
        self._blocks.task_done()

    def give(self, block: bytes) -> None:
        """Take a block. Raises what the pipe raised."""
        self._check()
        self._blocks.put(block)

    def wait(self) -> None:
        """Until everything that was given is written. Raises what the pipe raised."""
        self._blocks.join()
        self._check()

    def end(self) -> None:
        """End the thread when everything is written, or dropped after an error; harmless a second time."""
        if self._thread.is_alive():
            self._blocks.put(None)
            self._thread.join()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
