"""The same function over many pieces of work, here or in several processes: results in order, few in hand.

Nothing is scheduled here: `concurrent.futures` does that. What is ours is the bound on what is in hand, so that memory
does not grow with the number of pieces, and that nothing outlives who asked.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TypeVar

from ..errors import BadInput

Item = TypeVar("Item")
Result = TypeVar("Result")
IN_HAND = 2
"""Pieces for each process, so that none waits for its next one."""


def ordered(
    work: Callable[[Item], Result], items: Iterable[Item], n_workers: int = 1, in_hand: int = IN_HAND
) -> Iterator[Result]:
    """`map`, in `n_workers` processes where that is more than 1; `work` and items are then sent to them.

    in_hand  pieces for each process that are begun or done, and not yet taken
    Where the caller stops, is interrupted or dies, the processes end at once, and what they had in hand is not taken.

    >>> list(ordered(abs, [-2, 1]))
    [2, 1]
    """
    if n_workers < 1:
        raise BadInput(f"workers is {n_workers}; give 1 or more processes.")
    if n_workers == 1:
        yield from map(work, items)
        return
    pending: deque[Future[Result]] = deque()
    context = get_context("spawn")
    lasts, end = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(n_workers, context, _begin, (lasts,))
    try:
        for item in items:
            with _interrupts_held():
                pending.append(pool.submit(work, item))
            if len(pending) >= in_hand * n_workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BaseException:
        end.close()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        end.close()


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C is heard after the block. A process that is started inside never hears it, not even while it imports."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(lasts: Connection) -> None:
    """In a process of the pool: one thread, and an end as soon as the other end of the pipe is closed."""
    import torch

    torch.set_num_threads(1)
    threading.Thread(target=_end_with, args=(lasts,), daemon=True).start()


def _end_with(lasts: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        lasts.recv()
    os._exit(1)
