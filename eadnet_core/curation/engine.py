"""The same functions over many pieces of work: in this process, in several, or on Ray; results in order, few in hand.

Nothing is scheduled here: `concurrent.futures` or Ray Data does that. What is ours is the bound on what is in hand in
the local engine, so that memory does not grow with the number of pieces; Ray Data has its own back-pressure.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from ..errors import BadInput
from ..generation.ray_session import ray_session

Item = TypeVar("Item")
Result = TypeVar("Result")
IN_HAND = 2
"""Pieces for each process, so that none waits for its next one."""
VIDEOS_IN_HAND = 32
"""The same for videos, whose rows are small and whose lengths are not alike: while a long one holds up those behind it,
the other processes still have work. With 2 they would stand idle for two thirds of the time (docs/scale.md)."""


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


def on_ray(
    where: str,
    rows: Sequence[dict[str, Any]],
    expand: Callable[[dict[str, Any]], Iterable[dict[str, Any]]],
    stages: Sequence[Callable[[dict[str, Any]], dict[str, Any]]],
) -> Iterator[dict[str, Any]]:
    """Rows through Ray Data: `expand` makes several of each, then every stage is an operator of its own.

    where   `generation.ray_session.AUTO` or `LOCAL`
    Rows are JSON values; they travel as text, so that rows with other columns go together. The order is kept. The
    package and the work folder have to be on every machine of a cluster. Raises BadInput where no cluster is found.
    """
    with ray_session(where) as ray:
        ray.data.DataContext.get_current().execution_options.preserve_order = True
        texts = [{"row": json.dumps(row)} for row in rows]
        data = ray.data.from_items(texts, override_num_blocks=max(1, len(texts)))
        data = data.flat_map(_Expanding(expand))
        for stage in stages:
            data = data.map(_Mapping(stage))
        yield from (json.loads(row["row"]) for row in data.iter_rows())


class _Expanding:
    """A function of rows as one of Ray's."""

    def __init__(self, work: Callable[[dict[str, Any]], Iterable[dict[str, Any]]]) -> None:
        self.work = work

    def __call__(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"row": json.dumps(one)} for one in self.work(json.loads(row["row"]))]


class _Mapping:
    """A function of a row as one of Ray's."""

    def __init__(self, work: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self.work = work

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"row": json.dumps(self.work(json.loads(row["row"])))}
