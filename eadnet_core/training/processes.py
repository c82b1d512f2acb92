"""The processes of a training under `accelerate launch`: which one this is, and who waits for whom.

Without a launcher there is one process, and nothing here does anything.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from ..errors import EADNetError

_SIGNS = ("closed by peer", "reset by peer", "Broken pipe", "Timed out waiting")
"""What gloo says where another process is gone; NCCL raises a kind of its own."""


def process_index() -> int:
    """Of this process among all machines, from 0."""
    return int(os.environ.get("RANK", "0"))


def n_processes() -> int:
    """On all machines."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this is the process that writes."""
    return process_index() == 0


def is_on_cpu(device: str) -> bool:
    """Whether training runs on CPUs: where that was asked for, or where several processes find no GPU.

    device  as in `TrainOptions`
    accelerate asks ACCELERATE_USE_CPU as training begins. Who waits before has to know it too: else no process would
    know of the others, and each would train by itself.
    """
    from accelerate.utils import parse_flag_from_env

    is_asked = device == "cpu" or parse_flag_from_env("ACCELERATE_USE_CPU")
    return is_asked or (n_processes() > 1 and not torch.cuda.is_available())


def wait_for_all(device: str = "auto") -> None:
    """Go on when every process is here.

    device  as in `TrainOptions`; the first call starts what the processes talk by
    """
    if n_processes() > 1:
        from accelerate import PartialState

        PartialState(cpu=is_on_cpu(device)).wait_for_everyone()


@contextlib.contextmanager
def noticing_lost(part: str, folder: Path) -> Iterator[None]:
    """Inside the block, say in words that another process has ended.

    folder  where the checkpoints of `part` lie
    Raises EADNetError.
    """
    try:
        yield
    except RuntimeError as error:
        if n_processes() == 1 or not _is_lost(error):
            raise
        said = " ".join(str(error).split())[:200]
        raise EADNetError(
            f"Another process of the training of '{part}' has ended, or cannot be reached: {said}. Run the same "
            f"command again: it goes on from the checkpoint in '{folder}', on any number of processes."
        ) from error


@contextlib.contextmanager
def first_before_others(device: str = "auto") -> Iterator[None]:
    """The block runs in the first process, then in the others, which find what that one has written."""
    if not is_first():
        wait_for_all(device)
    yield
    if is_first():
        wait_for_all(device)


def _is_lost(error: RuntimeError) -> bool:
    return isinstance(error, torch.distributed.DistError) or any(sign in str(error) for sign in _SIGNS)


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
