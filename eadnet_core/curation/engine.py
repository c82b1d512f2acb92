"""The same function over many pieces of work: in this process, in several, or on Ray; results in order, few in hand.

Nothing is scheduled here: `concurrent.futures` or Ray does that. What is ours is the bound on what is in hand, so that
memory does not grow with the number of pieces where the reader is slower than the workers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

from ..errors import BadInput

Item = TypeVar("Item")
Result = TypeVar("Result")
_IN_HAND = 2
"""Pieces for each process, so that none waits for its next one."""


def ordered(work: Callable[[Item], Result], items: Iterable[Item], n_workers: int = 1) -> Iterator[Result]:
    """`map`, in `n_workers` processes where that is more than 1; `work` and items are then sent to them.

    >>> list(ordered(abs, [-2, 1]))
    [2, 1]
    """
    if n_workers < 1:
        raise BadInput(f"workers is {n_workers}; give 1 or more processes.")
    if n_workers == 1:
        yield from map(work, items)
        return
    pending: deque[Future[Result]] = deque()
    pool = ProcessPoolExecutor(n_workers, get_context("spawn"), _use_one_thread)
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) >= _IN_HAND * n_workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _use_one_thread(*_: Any) -> None:
    import torch

    torch.set_num_threads(1)
