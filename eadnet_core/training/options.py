"""How long, how fast and where a network is trained, and what accelerate makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import BadInput
from ..machine import has_quick_bf16
from .processes import is_on_cpu


@dataclass(frozen=True)
class TrainOptions:
    """How long, how fast and where a network is trained."""

    max_steps: int | None = None
    max_minutes: float | None = None
    """The budget: steps, minutes or both (whichever ends first). The schedule follows it down to zero."""
    batch: int | None = None
    """Samples of each part of a step; None takes the network's own."""
    parts: int | None = None
    """Parts of a step, each drawn and passed by itself; gradients are averaged over them. None is one for each process.
    The same number of parts gives the same training on any number of processes that divides it."""
    learning_rate: float | None = None
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    warmup_steps: int = 60
    decay_from: float = 0.4
    """Share of the budget after which the learning rate falls linearly to zero."""
    ema: float = 0.995
    clip: float = 1.0
    seed: int = 0
    device: str = "auto"
    """"auto" (what accelerate finds) or "cpu"."""
    num_threads: int | None = None
    run_folder: Path = Path("runs")
    """Checkpoints, logs and sample sheets go to run_folder/<part>."""
    heads: Path | None = None
    """Folder of the anatomy that clips are drawn with; see `anatomy.anatomy_folder`."""
    log_every: int = 20
    evaluate_every: int = 200
    alarm_every: int = 100
    sheet_every: int = 500
    save_every_minutes: float = 3.0
    resume: bool = True
    progress: bool = True

    def __post_init__(self) -> None:
        if self.max_steps is None and self.max_minutes is None:
            raise BadInput("Training needs a budget: give max_steps, max_minutes or both.")
        if self.parts is not None and self.parts < 1:
            raise BadInput(f"A step of {self.parts} parts is none; give 1 or more.")

    def progress_of(self, step: int, seconds: float) -> float:
        """Share of the budget that is used, 0 .. 1.

        >>> TrainOptions(max_steps=10).progress_of(5, 99.0), TrainOptions(max_minutes=1).progress_of(5, 30.0)
        (0.5, 0.5)
        """
        by_steps = step / self.max_steps if self.max_steps else 0.0
        by_time = seconds / (60 * self.max_minutes) if self.max_minutes else 0.0
        return min(1.0, max(by_steps, by_time))

    def rate_factor(self, step: int, progress: float) -> float:
        """Learning rate relative to its peak: linear warm-up, constant, linear decay to zero.

        >>> options = TrainOptions(max_steps=100, warmup_steps=10, decay_from=0.5)
        >>> options.rate_factor(0, 0.0), options.rate_factor(30, 0.3), options.rate_factor(75, 0.75)
        (0.1, 1.0, 0.5)
        """
        warm = min(1.0, (step + 1) / max(1, self.warmup_steps))
        decay = 1.0 if progress <= self.decay_from else (1 - progress) / (1 - self.decay_from)
        return warm * max(0.0, decay)


def make_accelerator(options: TrainOptions, folder: Path) -> Any:
    """accelerate's Accelerator: bf16 where that is quick, else float32."""
    from accelerate import Accelerator

    if options.num_threads:
        torch.set_num_threads(options.num_threads)
    on_cpu = is_on_cpu(options.device)
    on_cuda = not on_cpu and torch.cuda.is_available()
    has_bf16 = torch.cuda.is_bf16_supported() if on_cuda else has_quick_bf16()
    if on_cuda and has_bf16:
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
    accelerator = Accelerator(
        cpu=on_cpu,
        mixed_precision="bf16" if has_bf16 else "no",
        log_with="tensorboard",
        project_dir=str(folder),
    )
    accelerator.init_trackers("tensorboard")
    return accelerator


def is_sharded(accelerator: Any) -> bool:
    """Whether weights are spread over the processes."""
    from accelerate.utils import DistributedType

    return accelerator.distributed_type == DistributedType.FSDP
