"""The processes of a training under `accelerate launch`: which one this is, and who waits for whom.

Without a launcher there is one process, and nothing here does anything.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator

import torch
from torch import Tensor


def process_index() -> int:
    """Of this process among all machines, from 0."""
    return int(os.environ.get("RANK", "0"))


def n_processes() -> int:
    """On all machines."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this is the process that writes."""
    return process_index() == 0


def wait_for_all(device: str = "auto") -> None:
    """Go on when every process is here.

    device  as in `TrainOptions`; the first call starts what the processes talk by
    """
    if n_processes() > 1:
        from accelerate import PartialState

        PartialState(cpu=device == "cpu").wait_for_everyone()


@contextlib.contextmanager
def first_before_others(device: str = "auto") -> Iterator[None]:
    """The block runs in the first process, then in the others, which find what that one has written."""
    if not is_first():
        wait_for_all(device)
    yield
    if is_first():
        wait_for_all(device)


def whole(value: Tensor) -> Tensor:
    """A tensor that is spread over processes in one piece, in each of them; every process has to call it."""
    return value.full_tensor() if hasattr(value, "full_tensor") else value  # type: ignore[operator]


def memory_gb(device: torch.device) -> float:
    """The most that this process has held so far, on its GPU or else in memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    try:
        import resource
        import sys
    except ImportError:  # Windows
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e9 if sys.platform == "darwin" else peak * 1024 / 1e9


def local(value: Tensor) -> Tensor:
    """What this process holds of a tensor."""
    return value.to_local() if hasattr(value, "to_local") else value  # type: ignore[operator]


def spread_like(value: Tensor, other: Tensor) -> Tensor:
    """A whole tensor spread over the processes as another one is; itself where that one is whole."""
    if not hasattr(other, "to_local"):
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.contiguous(), other.device_mesh, other.placements)  # type: ignore[attr-defined]


class Clock:
    """How much of the time since it was last read goes by waiting for data, and how many samples pass."""

    def __init__(self) -> None:
        self._began, self._waited = time.perf_counter(), 0.0

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the block as waiting."""
        began = time.perf_counter()
        yield
        self._waited += time.perf_counter() - began

    def read(self, n_samples: int) -> dict[str, float]:
        """`samples_per_s` of all processes and `data_share`, 0 .. 1; starts anew."""
        seconds, waited = time.perf_counter() - self._began, self._waited
        self.__init__()  # type: ignore[misc]
        return {"samples_per_s": n_samples / max(seconds, 1e-9), "data_share": waited / max(seconds, 1e-9)}
