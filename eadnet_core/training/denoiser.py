"""Training of the denoiser together with its audio and emotion encoders.

The recipe is measured (our design): many samples lie at pure noise, where sampling decides the emotion; conditions are
dropped so that guidance has true unconditional branches; and part of the noise is shared by all frames, since sampling
shares all of it. No picture is looked at: motion latents are exact for a clip whose controls are known.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import DenoiserConfig, ModelConfig
from ..errors import CheckpointError
from ..media.sound.audio import MEL_STEPS_PER_FRAME
from ..nets.audio_encoder import AudioEncoder
from ..nets.denoiser import Denoiser
from ..nets.emotion_encoder import EmotionEncoder
from ..sampling.prediction import prediction_of
from ..taxonomy import EMOTIONS, VISEME_PARAMETERS
from ..weights.files import load_part, save_part
from . import losses as L
from .data import Cache
from .denoiser_batches import ClipBatch, DenoiserBatch, Mix, draw_clips, motion_latents
from .denoiser_scores import alarms, score_generation
from .denoiser_step import draw_noise, predict, scaled, unscaled
from .loop import Losses, Recipe, TrainOptions, fit, metadata_of
from .losses import DenoiserLossWeights
from .processes import is_first
from .syncnet import SILENCE, window_starts

BATCH = 3
"""Clips per step, when whole; see `Mix.lengths`."""
LEARNING_RATE = 1.6e-3
N_LIPS = len(VISEME_PARAMETERS)
_HEAD_WIDTH = 128


class Frozen(nn.Module):
    """Nets that judge but do not learn: no gradients for their weights, always in eval mode."""

    def __init__(self, **nets: nn.Module) -> None:
        super().__init__()
        self.nets = nn.ModuleDict(nets)
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Frozen:
        """Stay in eval mode."""
        return super().train(False)

    def __getitem__(self, name: str) -> Any:
        return self.nets[name]


class DenoiserObjective(nn.Module):
    """All losses of the denoiser on one batch."""

    def __init__(
        self, nets: nn.ModuleDict, config: ModelConfig, judges: Frozen, weights: DenoiserLossWeights, mix: Mix
    ) -> None:
        super().__init__()
        self.nets: Any = nets
        self.judges = judges
        self.config, self.weights, self.mix = config, weights, mix
        self.prediction = prediction_of(config.denoiser)

    def forward(self, batch: DenoiserBatch) -> Losses:
        """Every loss whose weight is above 0, and their weighted sum."""
        config, clips = self.config.denoiser, batch.clips
        target = scaled(clips.latents, self.nets["denoiser"])
        t = self.prediction.draw_times(len(target))
        x_t = self.prediction.add_noise(target, draw_noise(target, self.mix.shared_noise), t.to(target.device))
        output, aux = predict(self.nets, clips, x_t, t.to(target.device), config, aux=True)
        x0 = output.float()
        losses = self._denoising(x0, target, t.to(target.device))
        if self.weights.graph:
            losses["graph"] = aux["graph_regulariser"].float()
        if self.weights.emotion_bottleneck:
            losses["emotion_bottleneck"] = self._bottleneck(aux["bottleneck"].float(), clips)
        if self.weights.visemes:
            losses["visemes"] = self._visemes(batch)
        if self.weights.controls:
            losses["controls"] = self._controls(x0, clips)
        if self._supervises():
            losses |= self._supervision(x0, target, t, batch)
        total = sum(getattr(self.weights, name) * self._often(name) * value for name, value in losses.items())
        return {"loss": total, **losses}  # type: ignore[dict-item]

    def _denoising(self, x0: Tensor, target: Tensor, t: Tensor) -> Losses:
        weight = self.prediction.error_weight(t)
        area = L.region_weights(x0.shape[-1], self.weights.mouth, self.weights.eyes).to(x0)
        losses: Losses = {}
        if self.weights.diffusion:
            losses["diffusion"] = L.diffusion_loss(x0, target, weight, area)
        if self.weights.temporal_difference:
            losses["temporal_difference"] = L.temporal_difference_loss(x0, target, weight, area)
        return losses

    def _supervises(self) -> bool:
        wanted = self.weights.sync or self.weights.trepa
        return bool(wanted) and bool(torch.rand(()) < 1 / self.mix.supervise_every)

    def _often(self, name: str) -> float:
        """Losses computed one step in n weigh n times as much."""
        return self.mix.supervise_every if name in ("sync", "trepa") else 1.0

    def _supervision(self, x0: Tensor, target: Tensor, t: Tensor, batch: DenoiserBatch) -> Losses:
        """Losses of the judges, in float32 and on absolute latents."""
        losses: Losses = {}
        with torch.autocast(x0.device.type, enabled=False):
            clear = torch.nonzero(self.prediction.fraction(t) < self.mix.supervise_below)[:, 0]
            if self.weights.sync and len(clear):
                losses |= self._sync(x0, batch.clips, clear.to(x0.device))
            if self.weights.trepa and len(clear) and x0.shape[2] % self.judges["video_features"].config.patch[0] == 0:
                losses["trepa"] = self._trepa(x0[clear], target[clear])
        return losses

    def _sync(self, x0: Tensor, clips: ClipBatch, clear: Tensor) -> Losses:
        syncnet = self.judges["syncnet"]
        config = syncnet.config
        starts = torch.as_tensor(window_starts(config, x0.shape[2]), device=x0.device)
        if not len(starts):
            return {}
        starts = starts[torch.randperm(len(starts), device=x0.device)[: self.mix.sync_windows]]
        latents = unscaled(x0[clear], self.nets["denoiser"])
        frames = torch.stack([latents[:, s : s + config.frames] for s in starts.tolist()], 1).flatten(0, 1)
        first = [(clips.start + s) * MEL_STEPS_PER_FRAME - config.mel_context for s in starts.tolist()]
        n_steps = MEL_STEPS_PER_FRAME * config.frames + 2 * config.mel_context
        mel = torch.stack([clips.mel[clear, f : f + n_steps] for f in first], 1).flatten(0, 1)
        loud = torch.stack([clips.energy[clear, s : s + config.frames].mean(1) for s in starts.tolist()], 1)
        valid = ((loud > SILENCE) & (clips.keep_audio[clear, None] > 0)).flatten()
        if not bool(valid.any()):
            return {}
        return {"sync": L.sync_loss(syncnet.similarity(frames[valid], mel[valid]))}

    def _trepa(self, x0: Tensor, target: Tensor) -> Tensor:
        features = self.judges["video_features"]
        scale = self.nets["denoiser"].latent_scale[:, None, None, None]
        with torch.no_grad():
            real = features.features(target * scale)
        return L.trepa_loss(features.features(x0 * scale), real)

    def _controls(self, x0: Tensor, clips: ClipBatch) -> Tensor:
        """How far the controls in x0 [B, C, T, h, w] are from the true ones, lips only where the voice is told."""
        with torch.autocast(x0.device.type, enabled=False):
            made = motion_latents().to(x0.device).read(unscaled(x0, self.nets["denoiser"]))
            true = motion_latents().read(clips.latents)
            squares = ((made - true) / L.CONTROL_SPREAD).square().mean(1)
            lips = squares[:, :N_LIPS].mean(1) * clips.keep_audio
            face = squares[:, N_LIPS:].mean(1) * clips.keep_emotion
            return (lips + face).mean()

    def _visemes(self, batch: DenoiserBatch) -> Tensor:
        """How far the lips read from the sound of whole clips are from the true ones."""
        tokens = self.nets["audio"](batch.heard_mel).flatten(2)
        error = self.nets["viseme_head"](tokens).float() - batch.heard_lips
        return (error / L.CONTROL_SPREAD).square().mean()

    def _bottleneck(self, bottleneck: Tensor, clips: ClipBatch) -> Tensor:
        logits = self.nets["emotion_head"](bottleneck.mean(1))
        target = torch.where(clips.keep_emotion > 0, clips.emotion, -100)
        return F.cross_entropy(logits, target, reduction="sum") / (target >= 0).sum().clamp(min=1)


def measure_scales(cache: Cache, config: DenoiserConfig, denoiser: Any, n_clips: int = 256) -> None:
    """Set the denoiser's latent_scale [C] from the corpus: scaled latents get the power `residual_std`."""
    clips = np.linspace(cache.n_monitor, cache.n_ready - 1, min(n_clips, cache.n_ready)).astype(np.int64)
    latents = motion_latents()(cache.tensor("controls", (clips,)))
    denoiser.latent_scale.copy_(latents.square().mean((0, 1, 3, 4)).sqrt() / config.residual_std)


def load_judges(parts: Path, weights: DenoiserLossWeights) -> Frozen:
    """The judges that losses with a weight above 0 need, from a folder of parts; those that are there score as well."""

    def wanted() -> Iterator[str]:
        for part, weight in (("syncnet", weights.sync), ("video_features", weights.trepa)):
            if weight or (parts / f"{part}.safetensors").exists():
                yield part

    return Frozen(**{part: load_part(parts / f"{part}.safetensors", part)[0] for part in wanted()})


def _begin_from(path: Path, nets: nn.ModuleDict) -> None:
    state, wanted = load_part(path, "denoiser")[0].state_dict(), nets.state_dict()
    strange = sorted(key for key in state if key not in wanted or wanted[key].shape != state[key].shape)
    if strange:
        more = f" and {len(strange) - 5} more" if len(strange) > 5 else ""
        raise CheckpointError(
            f"'{path}' cannot be the start of this training: the config has no place for its {', '.join(strange[:5])}"
            f"{more}. Give weights of the same sizes, with the same parts or fewer."
        )
    nets.load_state_dict(state, strict=False)


def train_denoiser(
    config: ModelConfig,
    cache: Path,
    output: Path,
    options: TrainOptions,
    *,
    parts: Path | None = None,
    weights: DenoiserLossWeights | None = None,
    mix: Mix | None = None,
    start: Path | None = None,
) -> dict[str, float]:
    """Train denoiser, audio encoder and emotion encoder on a clip cache, which needs no pictures; returns the scores.

    parts  folder with the judges (see `load_judges`) whose losses have a weight; default: the folder of `output`
    start  weight file of a denoiser to go on from; what it lacks (STDA, TFRM) is new. Default: from nothing
    Raises CheckpointError where `start` holds what the config has no place for.
    """
    clips = Cache(cache)
    weights, mix = weights or DenoiserLossWeights(), mix or Mix()
    torch.manual_seed(options.seed)
    nets = nn.ModuleDict(
        {
            "denoiser": Denoiser(config.denoiser),
            "audio": AudioEncoder(config.audio),
            "emotion": EmotionEncoder(config.emotion),
        }
    )
    if start is not None:
        _begin_from(start, nets)
    measure_scales(clips, config.denoiser, nets["denoiser"])
    if weights.emotion_bottleneck:
        nets["emotion_head"] = nn.Linear(config.denoiser.widths[-1], len(EMOTIONS))
    if weights.visemes:
        size = config.audio.tokens_per_frame * config.audio.width
        nets["viseme_head"] = nn.Sequential(nn.Linear(size, _HEAD_WIDTH), nn.SiLU(), nn.Linear(_HEAD_WIDTH, N_LIPS))
    judges = load_judges(parts or Path(output).parent, weights)
    recipe = Recipe(
        part="denoiser",
        trained=nets,
        objective=DenoiserObjective(nets, config, judges, weights, mix),
        draw=lambda rng, n: draw_clips(clips, config.denoiser, mix, rng, n),
        batch=BATCH,
        learning_rate=LEARNING_RATE,
        evaluate=lambda averaged, device: score_generation(averaged, clips, config.denoiser, judges, device),
        alarm=lambda current, device: alarms(current, clips, config.denoiser, device),
    )
    averaged, at = fit(recipe, options)
    kept = {name: averaged[name] for name in ("denoiser", "audio", "emotion")}  # type: ignore[index]
    if is_first():
        save_part(output, "denoiser", kept, config, metadata_of(clips.info.seed, at))
    return at.scores
