"""How many frames are decoded together, which decides the last bits, and how many such parts side by side."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any, TypeVar

import torch

DECODE_FRAMES, DECODE_PX = 8, 256
"""Frames that are decoded together, of this size or smaller."""
MOST_THREADS = 8
"""Parts that are decoded side by side, at most: each takes memory."""
Made = TypeVar("Made")


def in_parts(frames: Any, at_once: int = DECODE_FRAMES) -> Iterator[tuple[int, Any]]:
    """(start, at most `at_once` of them), one after the other."""
    for start in range(0, len(frames), at_once):
        yield start, frames[start : start + at_once]


def frames_at_once(size_px: int) -> int:
    """Frames of a size that are decoded together: large ones take as much memory as DECODE_FRAMES of DECODE_PX.

    >>> frames_at_once(128), frames_at_once(512)
    (8, 2)
    """
    return max(1, min(DECODE_FRAMES, DECODE_FRAMES * DECODE_PX**2 // size_px**2))


def side_by_side(jobs: Iterable[Callable[[], Made]], device: torch.device) -> Iterator[Made]:
    """What jobs give, in their order: on a CPU one for each of torch's threads at a time, each on a thread of its own.

    The nets of a frame are small, and torch's threads wait for one another at every layer. Jobs are drawn in the
    caller's thread, and computed without gradients. One job alone has all threads.
    """
    n_threads = min(torch.get_num_threads(), MOST_THREADS) if device.type == "cpu" else 1
    jobs = iter(jobs)
    first = list(islice(jobs, 2))
    if n_threads == 1 or len(first) < 2:
        for job in chain(first, jobs):
            yield _without_gradients(job)
        return
    waiting: deque[Future[Made]] = deque()
    with _one_thread_each(n_threads) as pool:
        for job in chain(first, jobs):
            waiting.append(pool.submit(_without_gradients, job))
            if len(waiting) > n_threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextmanager
def _one_thread_each(n_threads: int) -> Iterator[ThreadPoolExecutor]:
    """Threads whose torch computes on one thread each. What is not begun when it is left is not computed."""
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(n_threads, "decode", torch.set_num_threads, (1,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)  # for threads to come: those that there are keep their own


def _without_gradients(job: Callable[[], Made]) -> Made:
    with torch.inference_mode():
        return job()
