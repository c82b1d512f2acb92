"""Preference without labels (Playmate2's idea, ADR 50): a denoiser is drawn to the best of its own takes.

Experts that do not judge evaluations choose the best and the worst of some takes of each script. Diffusion-DPO (Wallace
et al. 2023) then makes the denoiser err less on the best and more on the worst than its frozen self does, at the same
noise and time. There is no other loss: what the experts do not see is held by the frozen self alone.
"""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import DenoiserConfig, ModelConfig
from ..errors import BadInput
from ..nets.syncnet import SyncNet
from ..sampling.prediction import prediction_of
from ..weights.files import load_part, read_config, read_metadata, save_part
from . import losses as L
from .batch import Batch
from .data import Cache
from .denoiser import Frozen
from .denoiser_batches import ClipBatch, motion_latents
from .denoiser_step import draw_noise, predict, scaled
from .loop import Losses, Recipe, TrainOptions, fit, metadata_of
from .processes import first_before_others, is_first
from .take_experts import EXPERTS, FeelingJudge, scores, train_feeling_judge
from .takes import Pairs, TakePlan, draw_take, draw_takes, own_guidance, read_pairs, script_batch, scripts

BATCH = 4
LEARNING_RATE = 2e-5
BETA = 500.0
WARMUP_STEPS = 20
SHOWN = 24
"""Scripts at most that only validate and are performed anew to see what has changed."""


@dataclass(frozen=True)
class PreferenceMix:
    """How pairs are learned from.

    beta        how soon a pair has been learned: large, the denoiser stays near its frozen self
    pure_noise  share of steps at pure noise alone, where a mini samples
    """

    beta: float = BETA
    pure_noise: float = 0.8

    def __post_init__(self) -> None:
        if not self.beta > 0 or not np.isfinite(self.beta):
            raise BadInput(f"beta is {self.beta}; give a number above 0.")


@dataclass(frozen=True)
class PairBatch(Batch):
    """Scripts, and their best and worst take as latents [B, T, C, h, w]."""

    clips: ClipBatch
    best: Tensor
    worst: Tensor


def preference_loss(best: Tensor, worst: Tensor, best_before: Tensor, worst_before: Tensor, beta: float) -> Tensor:
    """Diffusion-DPO of errors [B] of the denoiser, and of its frozen self before, on the best and the worst take.

    >>> even = torch.ones(2)
    >>> round(float(preference_loss(even, even, even, even, 500.0)), 4)  # log 2
    0.6931
    """
    return -F.logsigmoid(-beta / 2 * gap(best, worst, best_before, worst_before)).mean()


def gap(best: Tensor, worst: Tensor, best_before: Tensor, worst_before: Tensor) -> Tensor:
    """How much more the error [B] grew on the best than on the worst take; below 0 the best is preferred."""
    return (best - best_before) - (worst - worst_before)


class PreferenceObjective(nn.Module):
    """Prefer the best take to the worst, more than the frozen self does."""

    def __init__(self, nets: nn.Module, frozen: nn.Module, config: DenoiserConfig, mix: PreferenceMix) -> None:
        super().__init__()
        self.nets, self.frozen = nets, Frozen(nets=frozen)
        self.config, self.mix, self.prediction = config, mix, prediction_of(config)

    def forward(self, batch: PairBatch) -> Losses:
        """See `preference_loss`; beside it the share of pairs preferred, and how the error on the best take grew."""
        n, device = len(batch.best), batch.best.device
        is_pure = bool(torch.rand(()) < self.mix.pure_noise)
        t = torch.ones(n, device=device) if is_pure else self.prediction.draw_times(n, device=device)
        noise = draw_noise(scaled(batch.best, self.frozen["nets"]["denoiser"]), 1.0)
        best, worst = self.errors(self.nets, batch, noise, t)
        with torch.no_grad():
            before = self.errors(self.frozen["nets"], batch, noise, t)
        moved = gap(best, worst, *before).detach()
        return {
            "loss": preference_loss(best, worst, *before, self.mix.beta),
            "preferred": (moved < 0).float().mean(),
            "best_error": (best.detach() / before[0]).mean(),
        }

    def errors(self, nets: Any, batch: PairBatch, noise: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Weighted squared error [B] of x0 on the best and on the worst take, guided as in use.

        At pure noise both takes look the same, so that one prediction serves both.
        """
        guidance, share = own_guidance(len(t), self.config, t.device), self.prediction.error_weight(t)
        area = L.region_weights(noise.shape[-1], L.DenoiserLossWeights.mouth, L.DenoiserLossWeights.eyes).to(noise)
        found: list[Tensor] = []
        is_pure, x0 = bool((self.prediction.fraction(t) == 1).all()), noise
        for latents in (batch.best, batch.worst):
            target = scaled(latents, self.frozen["nets"]["denoiser"])
            if not (is_pure and found):
                x_t = self.prediction.add_noise(target, noise, t)
                x0 = predict(nets, batch.clips, x_t, t, self.config, guidance=guidance)[0].float()
            found.append(share * (area * (x0 - target).square()).mean((1, 2, 3, 4)))
        return found[0], found[1]


def draw_pairs(cache: Cache, config: DenoiserConfig, pairs: Pairs, which: np.ndarray) -> PairBatch:
    """Pairs by their places [B] in `pairs`."""
    latents = motion_latents()(pairs.controls[torch.from_numpy(which)])
    return PairBatch(script_batch(cache, config, pairs.clips[which]), latents[:, 0], latents[:, 1])


@dataclass(frozen=True)
class Review:
    """What tuning changes on scripts that only validate: what the experts say of one-step performances, and pairs."""

    cache: Cache
    config: DenoiserConfig
    pairs: Pairs
    syncnet: SyncNet
    judge: FeelingJudge

    def __call__(self, nets: Any, objective: PreferenceObjective, device: torch.device) -> dict[str, float]:
        """Scores.

        held_out_preferred   share of pairs whose best take is preferred at pure noise
        lips and the like    gain of what an expert says over the frozen self, relative to how far best and worst differ
        moved                mean distance of a control from where the frozen self has it
        """
        every = np.arange(len(self.pairs.clips))[:SHOWN]
        batch = draw_pairs(self.cache, self.config, self.pairs, every).to(device)
        like = scaled(batch.best, nets["denoiser"])
        noise = torch.randn(like[:, :, :1].shape, generator=torch.Generator().manual_seed(0)).to(device).expand_as(like)
        before, t = objective.frozen["nets"], torch.ones(len(every), device=device)
        held = gap(*objective.errors(nets, batch, noise, t), *objective.errors(before, batch, noise, t))
        made = [
            draw_take(each, batch.clips, self.config, 1, torch.Generator().manual_seed(0)) for each in (before, nets)
        ]
        takes = [*made, self.pairs.controls[every, 0], self.pairs.controls[every, 1]]
        clips = self.pairs.clips[every]
        said = torch.stack([scores(one, self.cache, clips, self.syncnet, self.judge) for one in takes], 1)
        differ = (said[:, 2] - said[:, 3]).square().mean(0).sqrt().clamp(min=1e-6)
        gains = ((said[:, 1] - said[:, 0]).mean(0) / differ).tolist()
        return {
            "held_out_preferred": float((held < 0).float().mean()),
            **dict(zip(EXPERTS, gains, strict=True)),
            "moved": float((made[1] - made[0]).abs().mean()),
        }


def train_preference(
    model: Path, cache: Path, output: Path, options: TrainOptions, *, plan: TakePlan, mix: PreferenceMix | None = None
) -> dict[str, float]:
    """Tune the denoiser of a mini's folder on its own takes of a cache's scripts; returns the scores.

    Takes, the pairs chosen, and checkpoints lie in the options' run folder; a run that was stopped goes on from there.
    plan  its `weights` are not asked for: they are those of the folder
    Raises BadInput for fewer than two takes and for scripts that cannot be divided, CheckpointError without weights.
    """
    from tqdm import tqdm

    clips, mix = Cache(cache), mix or PreferenceMix()
    path = Path(model) / "denoiser.safetensors"
    config: ModelConfig = read_config(path, ModelConfig, read_metadata(path, "denoiser"))
    if config.denoiser.layout == "latentsync":
        raise BadInput(f"'{model}' holds a base ('{config.name}'); only a mini draws takes as controls. Give a mini.")
    frozen, about = load_part(path, "denoiser")
    syncnet: Any = load_part(Path(model) / "syncnet.safetensors", "syncnet")[0]
    plan = replace(plan, weights=hashlib.sha256(path.read_bytes()).hexdigest())
    takes = Path(options.run_folder) / "takes"
    judge = train_feeling_judge(clips, plan.seed)
    with first_before_others(options.device):
        with tqdm(
            total=len(scripts(clips, plan.n_scripts)), desc="takes", unit="script", disable=not options.progress
        ) as bar:
            for n_more in draw_takes(frozen, clips, config.denoiser, plan, takes):
                bar.update(n_more)
        pairs = read_pairs(clips, plan, takes, syncnet, judge)
    is_held_out = pairs.clips < clips.n_monitor
    if is_held_out.all() or not is_held_out.any():
        raise BadInput(
            f"{plan.n_scripts} scripts leave none to learn from or none to validate: {clips.n_monitor} of the cache "
            "validate. Give more."
        )
    torch.manual_seed(options.seed)
    nets = copy.deepcopy(frozen).requires_grad_(True)
    objective = PreferenceObjective(nets, frozen, config.denoiser, mix)
    review = Review(clips, config.denoiser, pairs.part(is_held_out), syncnet, judge)
    learned = pairs.part(~is_held_out)
    recipe = Recipe(
        part="preference",
        trained=nets,
        objective=objective,
        draw=lambda rng, n: draw_pairs(clips, config.denoiser, learned, rng.integers(0, len(learned.clips), n)),
        batch=BATCH,
        learning_rate=LEARNING_RATE,
        evaluate=lambda averaged, device: review(averaged, objective, device),
    )
    averaged, at = fit(recipe, replace(options, warmup_steps=WARMUP_STEPS, weight_decay=0.0))
    if is_first():
        before = {f"before_{name}": about[name] for name in ("steps", "minutes") if name in about}
        save_part(output, "denoiser", averaged, config, {**metadata_of(clips.info.seed, at), **before})
    return at.scores
