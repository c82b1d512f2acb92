"""Distillation of guidance: a denoiser learns to make in one pass what it made of three (our design, ADR 34).

The teacher is the denoiser as it was trained; guided by drawn weights it makes x0 of several predictions. Guidance is
linear in the weights. So the student, who starts as the teacher, predicts beside its output how far sound and emotion
move it, and any weights are applied to that (Meng et al. 2023 tell a net the weight instead; that learned too slowly
here). What it has to add lies nearly whole in the features of its last layer: a fit by least squares begins.
Two things are added to what the teacher makes. A share of the teacher's error against the corpus is taken off, so that
the net goes on learning what it predicts where nothing guides it. And the target is smoothed over frames as far as the
guided clips tremble more than true ones (ADR 33).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ..config import SAMPLING, DenoiserConfig, ModelConfig
from ..errors import CheckpointError
from ..nets.audio_encoder import AudioEncoder
from ..nets.denoiser import Denoiser
from ..nets.emotion_encoder import EmotionEncoder
from ..sampling.guidance import Branch, branches
from ..sampling.prediction import Prediction, prediction_of
from ..taxonomy import VISEME_PARAMETERS
from ..weights.files import load_part, read_config, read_metadata, save_part
from . import losses as L
from .data import Cache
from .denoiser import Frozen
from .denoiser_batches import ClipBatch, DenoiserBatch, Mix, clips_batch, draw_clips, motion_latents
from .denoiser_scores import score_generation
from .denoiser_step import draw_noise, predict, scaled, unscaled
from .loop import Losses, Recipe, TrainOptions, fit, metadata_of

BATCH = 3
LEARNING_RATE = 4e-4
AUDIO, EMOTION = (0.5, 2.5), (0.5, 2.0)
"""Weights of sound and emotion that are drawn; `lips` adds up to 1 to that of the sound."""
RIDGE = 1e-4
"""Of the fit by least squares, in units of the mean square of a feature."""
N_LIPS = len(VISEME_PARAMETERS)
SCORE_CLIPS = 4


@dataclass(frozen=True)
class DistilMix:
    """What a batch of a distillation is made of, and what the terms of its loss weigh."""

    clips: Mix = field(default_factory=lambda: Mix(lengths=((1, 0.7), (2, 0.15), (4, 0.15)), heard_clips=1))
    """How clips are drawn; a clip that lacks sound or emotion is not guided."""
    usual: float = 0.4
    """Share of clips guided by weights near the model's own; the others by any of `AUDIO` and `EMOTION`."""
    usual_spread: float = 0.05
    unguided: float = 0.1
    """Share of clips without guidance."""
    pure_noise: float = 0.6
    """Share of steps at pure noise alone, where a mini samples; the times of the others are drawn as in training."""
    truth: float = 0.5
    """Share of the teacher's error against the corpus that is taken off its prediction."""
    smoothing: float = 0.08
    """Weight of each neighbour in the mean of three frames that smooths the target."""
    fit_batches: int = 16
    """Batches of the fit that the training begins with."""
    temporal_difference: float = 0.5
    controls: float = 0.3
    graph: float = 0.01


def smoothed(x0: Tensor, weight: float) -> Tensor:
    """x0 [B, C, T, h, w] with each frame drawn towards its two neighbours by `weight`; ends keep their own.

    >>> smoothed(torch.tensor([0.0, 1.0, 0.0, 0.0]).view(1, 1, 4, 1, 1), 0.1).flatten().tolist()
    [0.10000000149011612, 0.800000011920929, 0.10000000149011612, 0.0]
    """
    if x0.shape[2] < 3:
        return x0
    before = torch.cat([x0[:, :, :1], x0[:, :, :-1]], 2)
    after = torch.cat([x0[:, :, 1:], x0[:, :, -1:]], 2)
    return x0 + weight * (before + after - 2 * x0)


def draw_weights(mix: DistilMix, clips: ClipBatch) -> Tensor:
    """Weights of sound and emotion [B, 2] to guide each clip by; 1 for a clip that lacks sound or emotion."""
    n, device = len(clips.latents), clips.latents.device
    own = torch.tensor([SAMPLING["mini"].guidance_audio, SAMPLING["mini"].guidance_emotion], device=device)
    low, high = torch.tensor([AUDIO, EMOTION], device=device).T
    anywhere = low + (high - low) * torch.rand(n, 2, device=device)
    near = own + mix.usual_spread * torch.randn(n, 2, device=device)
    kind = torch.rand(n, 1, device=device)
    weights = torch.where(kind < mix.usual, near, anywhere)
    is_whole = (clips.keep_audio * clips.keep_emotion)[:, None] > 0
    return torch.where(is_whole & (kind < 1 - mix.unguided), weights, torch.ones_like(weights))


class DistillationObjective(nn.Module):
    """How far the student's one pass is from the teacher's guided one."""

    def __init__(self, nets: nn.ModuleDict, teacher: nn.Module, config: DenoiserConfig, mix: DistilMix) -> None:
        super().__init__()
        self.nets: Any = nets
        self.teacher = Frozen(nets=teacher)
        self.config, self.mix, self.prediction = config, mix, prediction_of(config)

    def forward(self, batch: DenoiserBatch) -> Losses:
        """The weighted errors of latents, of their change from frame to frame, and of controls; and TFRM's term."""
        clips, mix = batch.clips, self.mix
        truth = scaled(clips.latents, self.nets["denoiser"])
        t = self.prediction.draw_times(len(truth), device=truth.device)
        if torch.rand(()) < mix.pure_noise:
            t = torch.ones_like(t)
        x_t = self.prediction.add_noise(truth, draw_noise(truth, 1.0), t)
        weights = draw_weights(mix, clips)
        target = self._target(clips, x_t, t, weights, truth)
        x0, aux = predict(self.nets, clips, x_t, t, self.config, aux=True, guidance=weights - 1)
        x0, share = x0.float(), self.prediction.error_weight(t)
        area = L.region_weights(x0.shape[-1], L.DenoiserLossWeights.mouth, L.DenoiserLossWeights.eyes).to(x0)
        losses: Losses = {
            "latents": L.diffusion_loss(x0, target, share, area),
            "temporal_difference": L.temporal_difference_loss(x0, target, share, area),
            "controls": self._controls(x0, target),
            "graph": aux["graph_regulariser"].float(),
        }
        total = losses["latents"] + sum(getattr(mix, name) * losses[name] for name in losses if name != "latents")
        return {"loss": total, **losses}

    @torch.no_grad()
    def _target(self, clips: ClipBatch, x_t: Tensor, t: Tensor, weights: Tensor, truth: Tensor) -> Tensor:
        """What the student shall predict, [B, C, T, h, w]."""
        full, heard, silent = teacher_branches(self.teacher["nets"], clips, x_t, t, self.config)
        audio, emotion = (weights[:, i, None, None, None, None] - 1 for i in range(2))
        guided = full + audio * (heard - silent) + emotion * (full - heard)
        return smoothed(guided + self.mix.truth * (truth - full), self.mix.smoothing)

    def _controls(self, x0: Tensor, target: Tensor) -> Tensor:
        with torch.autocast(x0.device.type, enabled=False):
            read = motion_latents().to(x0.device).read
            made, wanted = (read(unscaled(x, self.nets["denoiser"])) for x in (x0, target))
            squares = ((made - wanted) / L.CONTROL_SPREAD).square()
            return squares[..., :N_LIPS].mean() + squares[..., N_LIPS:].mean()


def teacher_branches(
    nets: Any, clips: ClipBatch, x_t: Tensor, t: Tensor, config: DenoiserConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """x0 [B, C, T, h, w] each: with what the clips keep of sound and emotion; without emotion; without both."""
    none = torch.zeros_like(clips.keep_audio)
    without = replace(clips, keep_emotion=none)
    found = [
        predict(nets, one, x_t, t, config)[0].float() for one in (clips, without, replace(without, keep_audio=none))
    ]
    return found[0], found[1], found[2]


@torch.no_grad()
def fit_guidance(
    nets: Any, teacher: Any, batches: Iterable[ClipBatch], config: DenoiserConfig, ridge: float = RIDGE
) -> None:
    """Set the student's guidance layer to what follows best, by least squares, from the features of its last layer.

    batches  of whole clips that lack neither sound nor emotion, all of them at pure noise
    """
    layer, prediction = nets["denoiser"].guidance_out, prediction_of(config)
    n, n_out = layer.weight[0].numel() + 1, layer.out_channels
    products = layer.weight.new_zeros(n, n, dtype=torch.float64)
    wanted = layer.weight.new_zeros(n, n_out, dtype=torch.float64)
    seen: list[Tensor] = []
    hook = nets["denoiser"].conv_out.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        for clips in batches:
            x_t = draw_noise(scaled(clips.latents, nets["denoiser"]), 1.0)
            t = prediction.time_at(torch.ones(len(x_t), device=x_t.device))
            predict(nets, clips, x_t, t, config)
            full, heard, silent = teacher_branches(teacher, clips, x_t, t, config)
            patches = F.unfold(seen.pop().float(), 3, padding=1).transpose(1, 2).flatten(0, 1)
            patches = torch.cat([patches, patches.new_ones(len(patches), 1)], 1)
            moved = rearrange(torch.cat([heard - silent, full - heard], 1), "b k t h w -> (b t h w) k")
            products += (patches.T @ patches).double()
            wanted += (patches.T @ moved).double()
    finally:
        hook.remove()
    eye = torch.eye(n, dtype=products.dtype, device=products.device)
    found = torch.linalg.solve(products + ridge * products.diagonal().mean() * eye, wanted).to(layer.weight)
    found = found / output_scale(prediction)
    layer.weight.copy_(found[:-1].T.reshape(layer.weight.shape))
    layer.bias.copy_(found[-1])


def output_scale(prediction: Prediction) -> float:
    """What an output of 1 adds to x0 at pure noise."""
    one, noisiest = torch.ones(1, 1), prediction.time_at(torch.ones(1))
    return float(prediction.to_x0(one, torch.zeros_like(one), noisiest))


def guided_error(
    nets: Any, teacher: Any, cache: Cache, config: DenoiserConfig, device: torch.device, needed: Sequence[Branch]
) -> float:
    """Squared error of one pass against the teacher's guided x0, relative to how far guidance moves that; unseen clips.

    0: all of the guidance is made in one pass. 1: none of it.
    """
    silent, heard, full = needed
    clips = clips_batch(cache, config, cache.monitor_clips(SCORE_CLIPS)).to(device)
    truth = scaled(clips.latents, nets["denoiser"])
    noise = torch.randn(truth[:, :, :1].shape, generator=torch.Generator().manual_seed(0)).to(device).expand_as(truth)
    t = prediction_of(config).time_at(torch.ones(len(truth), device=device))
    by_all = teacher_branches(teacher, clips, noise, t, config)
    target = sum(b.weight * x0 for b, x0 in zip((full, heard, silent), by_all, strict=True))
    told = torch.tensor([[1 - silent.weight, full.weight]], device=device).expand(len(truth), 2) - 1
    made = predict(nets, clips, noise, t, config, guidance=told)[0].float()
    return float((made - target).square().mean() / (target - by_all[0]).square().mean())


def distil_denoiser(
    config: ModelConfig,
    cache: Path,
    output: Path,
    options: TrainOptions,
    *,
    teacher: Path | None = None,
    mix: DistilMix | None = None,
) -> dict[str, float]:
    """Train a denoiser that guides in one pass, with its audio and emotion encoder; returns the scores.

    teacher  weight file of the denoiser to start from and learn from; default: `teacher.safetensors` beside `output`
    Raises CheckpointError where that file is missing or holds nets of other sizes than the config.
    """
    clips, mix = Cache(cache), mix or DistilMix()
    path = teacher or Path(output).parent / "teacher.safetensors"
    guide, about = load_part(path, "denoiser")
    config = _student(config, read_config(path, ModelConfig, read_metadata(path, "denoiser")), path)
    torch.manual_seed(options.seed)
    nets = nn.ModuleDict(
        {
            "denoiser": Denoiser(config.denoiser),
            "audio": AudioEncoder(config.audio),
            "emotion": EmotionEncoder(config.emotion),
        }
    )
    nets.load_state_dict(guide.state_dict(), strict=False)
    whole = replace(mix.clips, drop_audio=0.0, drop_emotion=0.0, drop_both=0.0, lengths=((1, 1.0),))
    draws = (np.random.default_rng((options.seed, i)) for i in range(mix.fit_batches))
    begin = (draw_clips(clips, config.denoiser, whole, rng, BATCH) for rng in draws)
    fit_guidance(nets, guide, (batch.clips for batch in begin), config.denoiser)
    own = branches(SAMPLING["mini"].guidance_audio, SAMPLING["mini"].guidance_emotion)

    def evaluate(averaged: Any, device: torch.device) -> dict[str, float]:
        return {"guided_error": guided_error(averaged, guide.to(device), clips, config.denoiser, device, own)}

    recipe = Recipe(
        part="distillation",
        trained=nets,
        objective=DistillationObjective(nets, guide, config.denoiser, mix),
        draw=lambda rng, n: draw_clips(clips, config.denoiser, mix.clips, rng, n),
        batch=BATCH,
        learning_rate=LEARNING_RATE,
        evaluate=evaluate,
    )
    averaged, at = fit(recipe, options)
    at.scores.update(score_generation(averaged, clips, config.denoiser, Frozen(), torch.device("cpu")))
    kept = {name: averaged[name] for name in ("denoiser", "audio", "emotion")}  # type: ignore[index]
    before = {f"teacher_{name}": about[name] for name in ("steps", "minutes") if name in about}
    save_part(output, "denoiser", kept, config, {**metadata_of(clips.info.seed, at), **before})
    return at.scores


def _student(config: ModelConfig, taught: ModelConfig, path: Path) -> ModelConfig:
    """The student's config: the teacher's with a layer for guidance. Raises CheckpointError where sizes differ."""
    for name in (f.name for f in fields(DenoiserConfig) if f.name != "guides_itself"):
        asked, found = getattr(config.denoiser, name), getattr(taught.denoiser, name)
        if asked != found:
            raise CheckpointError(
                f"'{path}' cannot teach this denoiser: its {name} is {found}, the config's is {asked}. Train a teacher "
                "of the same config (eadnet train denoiser), or give its config."
            )
    return replace(config, denoiser=replace(taught.denoiser, guides_itself=True))
