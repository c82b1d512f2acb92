"""One small training loop for every network here: budgets in steps or minutes, EMA, resumable, logged.

A network brings an `Objective` (a module whose forward turns a batch into named losses) and a function that draws
batches; the loop does the rest on accelerate, so one process on a CPU and many on GPUs run the same code.
"""

from __future__ import annotations

import copy
import csv
import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..errors import BadInput, EADNetError
from ..machine import has_quick_bf16
from .batch import Batch

log = logging.getLogger(__name__)

Evaluation = Callable[[nn.Module, torch.device], dict[str, float]]
Losses = dict[str, Tensor]
"""Named scalar losses; the one called "loss" is minimised, the others are logged."""


@dataclass(frozen=True)
class TrainOptions:
    """How long, how fast and where a network is trained."""

    max_steps: int | None = None
    max_minutes: float | None = None
    """The budget: steps, minutes or both (whichever ends first). The schedule follows it down to zero."""
    batch: int | None = None
    """Samples per step; None takes the network's own."""
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


@dataclass
class Recipe:
    """What the loop needs to know about one network."""

    part: str
    """Name of the network and of its folder of runs."""
    trained: nn.Module
    """Holds every weight that is trained and saved; a child of `objective`."""
    objective: nn.Module
    """forward(batch) -> Losses."""
    draw: Callable[[np.random.Generator, int], Batch]
    """(generator, number of samples) -> one batch of CPU tensors."""
    batch: int
    learning_rate: float
    weight_decay: float = 0.0
    """The least of it, whatever the options say."""
    evaluate: Evaluation | None = None
    """(averaged weights, device) -> scores on clips that are not trained on."""
    alarm: Evaluation | None = None
    """The same on the weights of the moment, and more often: what must not lag behind."""
    sheet: Callable[[nn.Module, torch.device, Path], None] | None = None
    """Draws a picture of what the averaged weights can do."""
    on_progress: Callable[[float], None] | None = None
    """Told before each step what share of the budget is used, 0 .. 1."""


@dataclass
class Progress:
    """Where a run stands; saved with its checkpoint."""

    step: int = 0
    seconds: float = 0.0
    scores: dict[str, float] = field(default_factory=dict)


class AveragedWeights:
    """Exponential moving average of a module's weights, with a short memory at the start."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self._decay = decay
        self._pairs = list(zip(self.module.parameters(), module.parameters(), strict=True))
        self._buffers = list(zip(self.module.buffers(), module.buffers(), strict=True))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after `step` steps."""
        weight = 1 - min(self._decay, (1 + step) / (10 + step))
        averaged, current = zip(*self._pairs, strict=True)
        torch._foreach_lerp_(list(averaged), [p.detach() for p in current], weight)
        for kept, now in self._buffers:
            kept.copy_(now)


class Log:
    """Numbers of a run into log.csv (step, seconds, name, value) and TensorBoard."""

    def __init__(self, folder: Path, tracker: Any) -> None:
        self._path, self._tracker = folder / "log.csv", tracker
        if not self._path.exists():
            self._path.write_text("step,seconds,name,value\n")

    def write(self, at: Progress, values: dict[str, float]) -> None:
        """Append one row per value."""
        with self._path.open("a", newline="") as file:
            csv.writer(file).writerows((at.step, f"{at.seconds:.1f}", k, f"{v:.6g}") for k, v in values.items())
        self._tracker.log(values, step=at.step)


def make_accelerator(options: TrainOptions, folder: Path) -> Any:
    """accelerate's Accelerator: bf16 where that is quick, else float32."""
    from accelerate import Accelerator

    if options.num_threads:
        torch.set_num_threads(options.num_threads)
    on_cuda = options.device != "cpu" and torch.cuda.is_available()
    has_bf16 = torch.cuda.is_bf16_supported() if on_cuda else has_quick_bf16()
    if on_cuda and has_bf16:
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
    accelerator = Accelerator(
        cpu=options.device == "cpu",
        mixed_precision="bf16" if has_bf16 else "no",
        log_with="tensorboard",
        project_dir=str(folder),
    )
    accelerator.init_trackers("tensorboard")
    return accelerator


def channels_last(module: nn.Module) -> None:
    """Store the 2-D convolutions' weights channels-last, the layout that CPUs and tensor cores are fast in."""
    for weight in module.parameters():
        if weight.dim() == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)


def fit(recipe: Recipe, options: TrainOptions) -> tuple[nn.Module, Progress]:
    """Train until the budget is used; returns the averaged weights on the CPU and the last scores.

    Ctrl-C saves a checkpoint and is raised again; the next call goes on from there.
    """
    folder = Path(options.run_folder) / recipe.part
    folder.mkdir(parents=True, exist_ok=True)
    accelerator = make_accelerator(options, folder)
    recipe.objective.to(accelerator.device)
    channels_last(recipe.objective)
    run = _Run(recipe, options, accelerator, folder)
    if options.resume:
        run.load()
    try:
        run.train()
    except KeyboardInterrupt:
        run.save()
        raise
    run.finish()
    accelerator.end_training()
    return run.averaged.module.to("cpu"), run.at


class _Run:
    """The state of one call of `fit`."""

    def __init__(self, recipe: Recipe, options: TrainOptions, accelerator: Any, folder: Path) -> None:
        self.recipe, self.options, self.accelerator, self.folder = recipe, options, accelerator, folder
        self.device = accelerator.device
        self.rate = options.learning_rate or recipe.learning_rate
        self.batch = options.batch or recipe.batch
        self.weights = [p for p in recipe.trained.parameters() if p.requires_grad]
        self.averaged = AveragedWeights(recipe.trained, options.ema)
        decay = max(options.weight_decay, recipe.weight_decay)
        optimizer = torch.optim.AdamW(self.weights, self.rate, betas=options.betas, weight_decay=decay, fused=True)
        self.objective, self.optimizer = accelerator.prepare(recipe.objective, optimizer)
        self.log = Log(folder, accelerator) if accelerator.is_main_process else None
        self.at = Progress()

    def train(self) -> None:
        """Steps until the budget is used."""
        from tqdm import tqdm

        options = self.options
        started = time.monotonic() - self.at.seconds
        last_save = time.monotonic()
        sums: dict[str, tuple[Tensor, int]] = {}
        bar = tqdm(
            initial=self.at.step, total=options.max_steps, desc=self.recipe.part, unit="step", mininterval=5.0,
            disable=not (options.progress and self.accelerator.is_main_process),
        )  # fmt: skip
        while (share := self._share(started)) < 1.0:
            for name, value in self._step(share).items():
                total, count = sums.get(name, (torch.zeros(()), 0))
                sums[name] = (total + value.detach().float(), count + 1)
            self.at.step += 1
            bar.update()
            if self.at.step % options.log_every == 0:
                values = self._log_losses(sums, share)
                bar.set_postfix({"loss": f"{values['loss']:.4f}", "used": f"{share:.0%}"}, refresh=False)
            if self.at.step % options.alarm_every == 0:
                self._evaluate(self.recipe.alarm, self.recipe.trained)
            if self.at.step % options.evaluate_every == 0:
                self._evaluate(self.recipe.evaluate, self.averaged.module)
            if self.at.step % options.sheet_every == 0:
                self._sheet()
            if time.monotonic() - last_save > 60 * options.save_every_minutes:
                self.save()
                last_save = time.monotonic()
        bar.close()

    def finish(self) -> None:
        """Last scores, sheet and checkpoint."""
        if self.at.step % self.options.evaluate_every:
            self._evaluate(self.recipe.evaluate, self.averaged.module)
        if self.at.step % self.options.sheet_every:
            self._sheet()
        self.save()

    def _share(self, started: float) -> float:
        """Share of the budget used; the first process decides for all."""
        self.at.seconds = time.monotonic() - started
        share = self.options.progress_of(self.at.step, self.at.seconds)
        if self.accelerator.num_processes > 1:
            from accelerate.utils import broadcast_object_list

            share = broadcast_object_list([share])[0]
        return share

    def _step(self, share: float) -> Losses:
        """One batch, forward, backward and update. Draws depend on seed, process and step alone, so runs resume."""
        key = (self.options.seed, self.accelerator.process_index, self.at.step)
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))
        batch = self.recipe.draw(np.random.default_rng(key), self.batch).to(self.device, non_blocking=True)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * self.options.rate_factor(self.at.step, share)
        self.recipe.objective.train()
        if self.recipe.on_progress is not None:
            self.recipe.on_progress(share)
        with self.accelerator.autocast():
            losses = self.objective(batch)
        self.accelerator.backward(losses["loss"])
        self.accelerator.clip_grad_norm_(self.weights, self.options.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.averaged.update(self.at.step)
        return losses

    def _log_losses(self, sums: dict[str, tuple[Tensor, int]], share: float) -> dict[str, float]:
        values = {name: float(total) / count for name, (total, count) in sums.items()}
        sums.clear()
        values["learning_rate"] = self.rate * self.options.rate_factor(self.at.step, share)
        if not np.isfinite(values["loss"]):
            raise EADNetError(
                f"Training of '{self.recipe.part}' diverged: the loss is {values['loss']} at step {self.at.step}. "
                f"Delete {self.folder} and start again with a lower learning rate than {self.rate:g}."
            )
        if self.log:
            self.log.write(self.at, values)
        return values

    def _evaluate(self, function: Evaluation | None, module: nn.Module) -> None:
        if not self.log or function is None:
            return
        was_training = module.training
        with torch.no_grad():
            scores = function(module.eval(), self.device)
        module.train(was_training)
        self.at.scores.update(scores)
        self.log.write(self.at, scores)
        text = ", ".join(f"{name} {value:.4g}" for name, value in scores.items())
        log.info("%s step %d (%.0f s): %s", self.recipe.part, self.at.step, self.at.seconds, text)

    def _sheet(self) -> None:
        if self.log and self.recipe.sheet is not None:
            with torch.no_grad():
                self.recipe.sheet(self.averaged.module, self.device, self.folder / f"sheet_{self.at.step:06d}.png")

    def save(self) -> None:
        """Write the checkpoint; the old one stays until the new one is whole."""
        if not self.accelerator.is_main_process:
            return
        new, kept, old = (self.folder / name for name in ("checkpoint.new", "checkpoint", "checkpoint.old"))
        new.mkdir(exist_ok=True)
        save_file(_contiguous(self.recipe.trained), new / "weights.safetensors")
        save_file(_contiguous(self.averaged.module), new / "averaged.safetensors")
        torch.save(self.optimizer.state_dict(), new / "optimizer.pt")
        (new / "progress.json").write_text(json.dumps(vars(self.at)))
        _remove(old)
        if kept.exists():
            os.replace(kept, old)
        os.replace(new, kept)
        _remove(old)

    def load(self) -> None:
        """Go on from the last checkpoint, if there is one."""
        folder = self.folder / "checkpoint"
        if not folder.exists():
            folder = self.folder / "checkpoint.old"
        if not (folder / "progress.json").exists():
            return
        device = str(self.device)
        self.recipe.trained.load_state_dict(load_file(folder / "weights.safetensors", device=device))
        self.averaged.module.load_state_dict(load_file(folder / "averaged.safetensors", device=device))
        self.optimizer.load_state_dict(torch.load(folder / "optimizer.pt", map_location=self.device, weights_only=True))
        self.at = Progress(**json.loads((folder / "progress.json").read_text()))
        log.info("%s: going on from step %d", self.recipe.part, self.at.step)


def metadata_of(seed: int, at: Progress) -> dict[str, Any]:
    """What a weight file says about its making: the corpus seed, scores, and how long it was trained."""
    scores = {name: round(value, 4) for name, value in at.scores.items()}
    return {"corpus_seed": seed, "scores": scores, "steps": at.step, "minutes": round(at.seconds / 60, 1)}


def _contiguous(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().contiguous() for name, value in module.state_dict().items()}


def _remove(folder: Path) -> None:
    for file in folder.glob("*"):
        file.unlink()
    if folder.exists():
        folder.rmdir()
