"""One small training loop for every network here: budgets in steps or minutes, EMA, resumable, logged.

A network brings an `Objective` (a module whose forward turns a batch into named losses) and a function that draws
batches; the loop does the rest on accelerate, so one process on a CPU and many on GPUs run the same code.
"""

from __future__ import annotations

import contextlib
import copy
import csv
import json
import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..errors import BadInput, EADNetError
from .averaged import AveragedWeights
from .batch import Batch
from .options import TrainOptions, is_sharded, make_accelerator
from .processes import Clock, memory_gb, noticing_lost, spread_like, whole
from .samples import sample_numbers

log = logging.getLogger(__name__)

Evaluation = Callable[[nn.Module, torch.device], dict[str, float]]
Losses = dict[str, Tensor]
"""Named scalar losses; the one called "loss" is minimised, the others are logged."""


@dataclass
class Recipe:
    """What the loop needs to know about one network."""

    part: str
    """Name of the network and of its folder of runs."""
    trained: nn.Module
    """Holds every weight that is trained and saved; a child of `objective`."""
    objective: nn.Module
    """forward(batch) -> Losses."""
    draw: Callable[[np.random.Generator, int], Batch] | None
    """(generator, number of samples) -> one batch of CPU tensors."""
    batch: int
    learning_rate: float
    pick: Callable[[np.random.Generator, Sequence[int]], Batch] | None = None
    """(generator, numbers of samples) -> the same, in place of `draw`: each of `n_samples` comes once before any does
    again, also where a run is stopped and goes on."""
    n_samples: int = 0
    weight_decay: float = 0.0
    """The least of it, whatever the options say."""
    evaluate: Evaluation | None = None
    """(averaged weights, device) -> scores on clips that are not trained on."""
    alarm: Evaluation | None = None
    """The same on the weights of the moment, and more often: what must not lag behind."""
    sheet: Callable[[nn.Module, torch.device, Path], None] | None = None
    """Draws a picture of what the averaged weights can do."""
    base_hash: str = ""
    """SHA-256 of the base that the trained net sits on: a checkpoint of another base is refused."""
    on_progress: Callable[[float], None] | None = None
    """Told before each step what share of the budget is used, 0 .. 1."""


@dataclass
class Progress:
    """Where a run stands; saved with its checkpoint."""

    step: int = 0
    seconds: float = 0.0
    scores: dict[str, float] = field(default_factory=dict)
    base_hash: str = ""


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


def channels_last(module: nn.Module) -> None:
    """Store the 2-D convolutions' weights channels-last, the layout that CPUs and tensor cores are fast in."""
    for weight in module.parameters():
        if weight.dim() == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)


def fit(recipe: Recipe, options: TrainOptions) -> tuple[nn.Module, Progress]:
    """Train until the budget is used; returns the averaged weights on the CPU and the last scores.

    Ctrl-C saves a checkpoint and is raised again; the next call goes on from there, on any number of processes. Under
    `accelerate launch` every process calls this; the first one writes. Raises BadInput for parts that the processes
    cannot share evenly, EADNetError for a loss that is no number, a disk that is full, and another process that ended.
    """
    folder = Path(options.run_folder) / recipe.part
    folder.mkdir(parents=True, exist_ok=True)
    accelerator = make_accelerator(options, folder)
    recipe.objective.to(accelerator.device)
    if not is_sharded(accelerator):  # FSDP takes contiguous weights alone
        channels_last(recipe.objective)
    with noticing_lost(recipe.part, folder):
        run = _Run(recipe, options, accelerator, folder)
        try:
            run.train()
        except KeyboardInterrupt:
            if not run.is_sharded:  # others would have to be asked, and they are interrupted as well
                run.save()
            raise
        run.finish()
    for tracker in accelerator.trackers:  # end_training would end the processes' group too, and others may be to train
        tracker.finish()
    return run.averaged.module.to("cpu"), run.at


class _Run:
    """The state of one call of `fit`."""

    def __init__(self, recipe: Recipe, options: TrainOptions, accelerator: Any, folder: Path) -> None:
        self.recipe, self.options, self.accelerator, self.folder = recipe, options, accelerator, folder
        is_cpu = accelerator.device.type == "cpu"  # "cpu:0" in several processes, where no file can be loaded to
        self.device = torch.device("cpu") if is_cpu else accelerator.device
        self.is_sharded = is_sharded(accelerator)
        self.rate = options.learning_rate or recipe.learning_rate
        self.batch = options.batch or recipe.batch
        self.n_parts = options.parts or accelerator.num_processes
        if self.n_parts % accelerator.num_processes:
            raise BadInput(
                f"{self.n_parts} parts of a step cannot be shared evenly by {accelerator.num_processes} processes. "
                "Give a multiple of the processes."
            )
        self.averaged = AveragedWeights(recipe.trained, options.ema)
        self.at = Progress(base_hash=recipe.base_hash)
        found = self._load_weights() if options.resume else None
        decay = max(options.weight_decay, recipe.weight_decay)
        weights = [p for p in recipe.trained.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(
            weights, self.rate, betas=options.betas, weight_decay=decay, fused=not self.is_sharded
        )
        self.objective, self.optimizer = accelerator.prepare(recipe.objective, optimizer)
        self.weights = [p for p in recipe.trained.parameters() if p.requires_grad]
        self.averaged.follow(recipe.trained)
        if found is not None:
            self._load_optimizer(found)
        self.log = Log(folder, accelerator) if accelerator.is_main_process else None
        self.clock = Clock()

    def train(self) -> None:
        """Steps until the budget is used."""
        from tqdm import tqdm

        options = self.options
        started = time.monotonic() - self.at.seconds
        self.last_save = time.monotonic()
        sums: dict[str, tuple[Tensor, int]] = {}
        bar = tqdm(
            initial=self.at.step, total=options.max_steps, desc=self.recipe.part, unit="step", mininterval=5.0,
            disable=not (options.progress and self.accelerator.is_main_process),
        )  # fmt: skip
        self.clock = Clock()
        while True:
            share, is_save_due = self._decided(started)
            if is_save_due:
                self.save()
                self.last_save = time.monotonic()
            if share >= 1.0:
                break
            for name, value in self._step(share).items():
                total, count = sums.get(name, (torch.zeros(()), 0))
                sums[name] = (total + value.detach().float().cpu(), count + 1)
            self.at.step += 1
            bar.update()
            if self.at.step % options.log_every == 0:
                values = self._log_losses(sums, share)
                bar.set_postfix({"loss": f"{values['loss']:.4f}", "used": f"{share:.0%}"}, refresh=False)
            if self.at.step % options.alarm_every == 0 and self.recipe.alarm is not None:
                self._evaluate(self.recipe.alarm, self._current())
            if self.at.step % options.evaluate_every == 0:
                self._evaluate(self.recipe.evaluate, self._mean())
            if self.at.step % options.sheet_every == 0:
                self._sheet()
        bar.close()

    def finish(self) -> None:
        """Last scores, sheet and checkpoint."""
        if self.at.step % self.options.evaluate_every:
            self._evaluate(self.recipe.evaluate, self._mean())
        if self.at.step % self.options.sheet_every:
            self._sheet()
        self.save()

    def _decided(self, started: float) -> tuple[float, bool]:
        """Share of the budget used, and whether a checkpoint is due; the first process decides for all."""
        self.at.seconds = time.monotonic() - started
        share = self.options.progress_of(self.at.step, self.at.seconds)
        is_save_due = time.monotonic() - self.last_save > 60 * self.options.save_every_minutes
        if self.accelerator.num_processes > 1:
            from accelerate.utils import broadcast_object_list

            share, is_save_due = broadcast_object_list([share, is_save_due])
        return share, is_save_due

    def _step(self, share: float) -> Losses:
        """Draw, forward and backward of each part that is this process's, then one update.

        Draws depend on seed, part and step alone, so that runs resume, and on other numbers of processes too.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * self.options.rate_factor(self.at.step, share)
        self.recipe.objective.train()
        if self.recipe.on_progress is not None:
            self.recipe.on_progress(share)
        mine = range(self.accelerator.process_index, self.n_parts, self.accelerator.num_processes)
        sums: Losses = {}
        for part in mine:
            with self.clock.waiting():
                batch = self._drawn(part).to(self.device, non_blocking=True)
            with self._together(is_last=part == mine[-1]):
                with self.accelerator.autocast():
                    losses = self.objective(batch)
                self.accelerator.backward(losses["loss"] / len(mine))
            for name, value in losses.items():
                sums[name] = sums[name] + value.detach() if name in sums else value.detach()
        self.accelerator.clip_grad_norm_(self.weights, self.options.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.averaged.update(self.at.step)
        return {name: value / len(mine) for name, value in sums.items()}

    def _drawn(self, part: int) -> Batch:
        """The batch of a part of this step."""
        key = (self.options.seed, part, self.at.step)
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))
        rng, recipe = np.random.default_rng(key), self.recipe
        if recipe.pick is not None:
            first = (self.at.step * self.n_parts + part) * self.batch
            return recipe.pick(rng, sample_numbers(recipe.n_samples, self.options.seed, first, self.batch))
        assert recipe.draw is not None
        return recipe.draw(rng, self.batch)

    def _together(self, *, is_last: bool) -> contextlib.AbstractContextManager[Any]:
        """Gradients are averaged over the processes after the last part; FSDP keeps none whole: after each."""
        if is_last or self.is_sharded or self.accelerator.num_processes == 1:
            return contextlib.nullcontext()
        return self.accelerator.no_sync(self.objective)

    def _mean(self) -> nn.Module:
        self.averaged.gather()
        return self.averaged.module

    def _current(self) -> nn.Module:
        """The weights of the moment in one piece."""
        if not self.is_sharded:
            return self.recipe.trained
        found = copy.deepcopy(self.averaged.module)
        found.load_state_dict({name: whole(value) for name, value in self.recipe.trained.state_dict().items()})
        return found

    def _log_losses(self, sums: dict[str, tuple[Tensor, int]], share: float) -> dict[str, float]:
        """Means over all processes, and what the training costs."""
        given = {name: (float(total), count) for name, (total, count) in sums.items()}
        every = [given]
        if self.accelerator.num_processes > 1:
            from accelerate.utils import gather_object

            every = gather_object([given])
        names = dict.fromkeys(name for one in every for name in one)
        found = {name: [one[name] for one in every if name in one] for name in names}
        values = {name: sum(t for t, _ in parts) / sum(n for _, n in parts) for name, parts in found.items()}
        sums.clear()
        values["learning_rate"] = self.rate * self.options.rate_factor(self.at.step, share)
        if not np.isfinite(values["loss"]):
            raise EADNetError(
                f"Training of '{self.recipe.part}' diverged: the loss is {values['loss']} at step {self.at.step}. "
                f"Delete {self.folder} and start again with a lower learning rate than {self.rate:g}."
            )
        n_samples = self.options.log_every * self.n_parts * self.batch
        if self.log:
            self.log.write(self.at, {**values, **self.clock.read(n_samples), "memory_gb": memory_gb(self.device)})
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
        if self.recipe.sheet is None:
            return
        mean = self._mean()
        if self.log:
            with torch.no_grad():
                self.recipe.sheet(mean, self.device, self.folder / f"sheet_{self.at.step:06d}.png")

    def save(self) -> None:
        """Write the checkpoint; the old one stays until the new one is whole. Every process has to call it."""
        current = {name: whole(value).detach() for name, value in self.recipe.trained.state_dict().items()}
        mean, optimizer = self._mean(), self.optimizer.state_dict()
        for values in optimizer["state"].values():
            values.update({name: whole(value) for name, value in values.items()})
        if not self.accelerator.is_main_process:
            return
        new, kept, old = (self.folder / name for name in ("checkpoint.new", "checkpoint", "checkpoint.old"))
        try:
            new.mkdir(exist_ok=True)
            save_file({name: value.contiguous() for name, value in current.items()}, new / "weights.safetensors")
            save_file(_contiguous(mean), new / "averaged.safetensors")
            torch.save(optimizer, new / "optimizer.pt")
            (new / "progress.json").write_text(json.dumps(vars(self.at)))
            _flush(new)
        except (OSError, RuntimeError, SafetensorError) as error:
            with contextlib.suppress(OSError):
                _remove(new)
            raise EADNetError(
                f"The checkpoint of step {self.at.step} cannot be written to '{self.folder}': {error}. The one before "
                "is whole. Make room on the disk and run again: it goes on from there."
            ) from error
        _remove(old)
        if kept.exists():
            os.replace(kept, old)
        os.replace(new, kept)
        _remove(old)

    def _load_weights(self) -> Path | None:
        """Go on from the last checkpoint, if there is one; returns its folder."""
        folder = self.folder / "checkpoint"
        if not folder.exists():
            folder = self.folder / "checkpoint.old"
        if not (folder / "progress.json").exists():
            return None
        device = str(self.device)
        anew = f"Give another --output, or delete '{self.folder}' to begin anew."
        at = Progress(**json.loads((folder / "progress.json").read_text()))
        if at.base_hash and at.base_hash != self.recipe.base_hash:
            raise BadInput(f"'{folder}' was trained on another base. {anew}")
        try:
            self.recipe.trained.load_state_dict(load_file(folder / "weights.safetensors", device=device))
            self.averaged.module.load_state_dict(load_file(folder / "averaged.safetensors", device=device))
        except RuntimeError as error:  # names and sizes, a line each
            raise BadInput(f"'{folder}' is of another {self.recipe.part} than the one to train. {anew}") from error
        self.at = replace(at, base_hash=self.recipe.base_hash)
        log.info("%s: going on from step %d", self.recipe.part, self.at.step)
        return folder

    def _load_optimizer(self, folder: Path) -> None:
        """Its moments, spread as the weights are."""
        state = torch.load(folder / "optimizer.pt", map_location=self.device, weights_only=True)
        for number, weight in enumerate(self.weights):
            values = state["state"].get(number, {})
            spread = {k: spread_like(v, weight) for k, v in values.items() if v.shape == weight.shape}
            values.update(spread)
        self.optimizer.load_state_dict(state)


def metadata_of(seed: int, at: Progress) -> dict[str, Any]:
    """What a weight file says about its making: the corpus seed, scores, and how long it was trained."""
    scores = {name: round(value, 4) for name, value in at.scores.items()}
    return {"corpus_seed": seed, "scores": scores, "steps": at.step, "minutes": round(at.seconds / 60, 1)}


def _contiguous(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().contiguous() for name, value in module.state_dict().items()}


def _flush(folder: Path) -> None:
    """Have files on the disk before a folder takes another's place: a power cut then leaves one of both whole."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _remove(folder: Path) -> None:
    for file in folder.glob("*"):
        file.unlink()
    if folder.exists():
        folder.rmdir()
