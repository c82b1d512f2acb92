"""Training of the denoiser together with its audio and emotion encoders.

The recipe is measured (our design): the net predicts the residual to the reference latent; many samples lie at pure
noise, where sampling decides the emotion; conditions are dropped so that guidance has true unconditional branches; and
part of the noise is shared by all frames, since sampling shares all of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ..checkpoints import load_part, save_part
from ..config import DenoiserConfig, ModelConfig
from ..emotion.taxonomy import EMOTIONS
from ..media.pose import turn_head
from ..nets.audio_encoder import AudioEncoder
from ..nets.denoiser import Denoiser
from ..nets.emotion_encoder import EmotionEncoder
from ..sampling.schedule import add_noise, draw_times, to_x0
from . import losses as L
from .data import MEL_STEPS, Cache
from .latents import MASKED_BOXES, MASKED_EVERY, box_mask, masked_box_of
from .loop import Batch, Losses, Recipe, TrainOptions, fit, metadata_of
from .losses import DenoiserLossWeights, VAELossWeights, picture_losses
from .syncnet import SILENCE, window_starts

BATCH = 3
"""Clips per step, when whole; see `Mix.lengths`."""
LEARNING_RATE = 1.6e-3


@dataclass(frozen=True)
class Mix:
    """What a training batch is made of, and how often the costly losses are computed."""

    drop_audio: float = 0.06
    drop_emotion: float = 0.06
    drop_both: float = 0.03
    drop_motion: float = 0.08
    """Share of clips whose motion is not told, and whose reference is not turned."""
    masked: float = 0.15
    """Share of clips of which only the face or only the mouth is generated (half each)."""
    true_code: float = 0.35
    """Share of clips given the corpus's own emotion code; the others get what the text reader made of their words."""
    lengths: tuple[tuple[int, float], ...] = ((1, 0.15), (2, 0.2), (4, 0.15), (16, 0.5))
    """Shares of steps on n times as many clips of 1/n of the length: most of the residual is the expression that a clip
    has from end to end, and that is one draw, however long the clip."""
    shared_noise: float = 0.5
    """Share of the noise's variance that all frames have in common."""
    supervise_every: int = 2
    """SyncNet, TREPA and the decoded pictures judge one step in so many, with so much more weight."""
    supervise_below: float = 1.01
    """SyncNet and TREPA judge samples with less noise than this. At 1.01 they judge all: below half noise the estimate
    is already as much in sync as real clips (measured: cosine .70 after 150 steps, real .67), so they teach nothing."""
    sync_windows: int = 4
    picture_frames: int = 6
    """Frames that are decoded and looked at."""


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
        self.pictures = VAELossWeights()

    def forward(self, batch: Batch) -> Losses:
        """batch: see `draw_clips`."""
        config = self.config.denoiser
        target = residual(batch["latents"], batch["reference"], self.nets["denoiser"])
        t = self._times(len(target))
        x_t = add_noise(target, draw_noise(target, self.mix.shared_noise), t.to(target.device), config.prediction)
        output, aux = predict(self.nets, batch, x_t, t.to(target.device), config, aux=True)
        x0 = output.float()
        losses = self._denoising(x0, target, t.to(target.device))
        if self.weights.graph:
            losses["graph"] = aux["graph_regulariser"].float()
        if self.weights.emotion_bottleneck:
            losses["emotion_bottleneck"] = self._bottleneck(aux["bottleneck"].float(), batch)
        if self._supervises():
            losses |= self._supervision(x0, target, t, batch)
        total = sum(getattr(self.weights, name) * self._often(name) * value for name, value in losses.items())
        return {"loss": total, **losses}  # type: ignore[dict-item]

    def _times(self, n: int) -> Tensor:
        if self.config.denoiser.prediction == "residual":
            return draw_times(n)
        return torch.randint(0, 1000, (n,))

    def _denoising(self, x0: Tensor, target: Tensor, t: Tensor) -> Losses:
        weight = L.error_weight(t, self.config.denoiser.prediction)
        area = L.region_weights(x0.shape[-1], self.weights.mouth, self.weights.eyes).to(x0)
        losses: Losses = {}
        if self.weights.diffusion:
            losses["diffusion"] = L.diffusion_loss(x0, target, weight, area)
        if self.weights.temporal_difference:
            losses["temporal_difference"] = L.temporal_difference_loss(x0, target, weight, area)
        return losses

    def _supervises(self) -> bool:
        wanted = self.weights.sync or self.weights.trepa or self.weights.picture
        return bool(wanted) and bool(torch.rand(()) < 1 / self.mix.supervise_every)

    def _often(self, name: str) -> float:
        """Losses computed one step in n weigh n times as much."""
        return self.mix.supervise_every if name in ("sync", "trepa", "picture") else 1.0

    def _supervision(self, x0: Tensor, target: Tensor, t: Tensor, batch: Batch) -> Losses:
        """Losses of the judges, in float32 and on absolute latents."""
        losses: Losses = {}
        with torch.autocast(x0.device.type, enabled=False):
            clear = torch.nonzero(noise_fraction(t, self.config.denoiser.prediction) < self.mix.supervise_below)[:, 0]
            if self.weights.sync and len(clear):
                losses |= self._sync(x0, batch, clear.to(x0.device))
            if self.weights.trepa and len(clear) and x0.shape[2] % self.judges["video_features"].config.patch[0] == 0:
                losses["trepa"] = self._trepa(x0[clear], target[clear])
            if self.weights.picture:
                losses["picture"] = self._picture(x0, batch)
        return losses

    def _sync(self, x0: Tensor, batch: Batch, clear: Tensor) -> Losses:
        syncnet = self.judges["syncnet"]
        config = syncnet.config
        starts = torch.as_tensor(window_starts(config, x0.shape[2]), device=x0.device)
        if not len(starts):
            return {}
        starts = starts[torch.randperm(len(starts), device=x0.device)[: self.mix.sync_windows]]
        clips = absolute(x0[clear], batch["reference"][clear], self.nets["denoiser"])
        frames = torch.stack([clips[:, s : s + config.frames] for s in starts.tolist()], 1).flatten(0, 1)
        begin = int(batch["start"])
        first = [(begin + s) * MEL_STEPS - config.mel_context for s in starts.tolist()]
        n_steps = MEL_STEPS * config.frames + 2 * config.mel_context
        mel = torch.stack([batch["mel"][clear, f : f + n_steps] for f in first], 1).flatten(0, 1)
        loud = torch.stack([batch["energy"][clear, s : s + config.frames].mean(1) for s in starts.tolist()], 1)
        valid = ((loud > SILENCE) & (batch["keep_audio"][clear, None] > 0)).flatten()
        if not bool(valid.any()):
            return {}
        return {"sync": L.sync_loss(syncnet.similarity(frames[valid], mel[valid]))}

    def _trepa(self, x0: Tensor, target: Tensor) -> Tensor:
        features = self.judges["video_features"]
        scale = self.nets["denoiser"].residual_scale[:, None, None, None]
        with torch.no_grad():
            real = features.features(target * scale)
        return L.trepa_loss(features.features(x0 * scale), real)

    def _picture(self, x0: Tensor, batch: Batch) -> Tensor:
        """The autoencoder's loss of the frames that `look_at` chose, decoded from x0 [B, C, T, h, w]."""
        clips, frames = batch["seen_clip"], batch["seen_frame"]
        latents = absolute(x0, batch["reference"], self.nets["denoiser"])[clips, frames]
        moved = (batch["motion"] * batch["keep_motion"][:, None, None])[clips, frames]
        told = batch["reference"][clips, frames]
        images = self.judges["vae"].decode(latents, turn_head(batch["seen_reference"], moved), told)
        losses = picture_losses(images, batch["seen"], self.pictures, self.judges["expression"])
        return losses["reconstruction"] + self.pictures.expression * losses["expression"]

    def _bottleneck(self, bottleneck: Tensor, batch: Batch) -> Tensor:
        logits = self.nets["emotion_head"](bottleneck.mean(1))
        target = torch.where(batch["keep_emotion"] > 0, batch["emotion"], -100)
        return F.cross_entropy(logits, target, reduction="sum") / (target >= 0).sum().clamp(min=1)


def residual(latents: Tensor, reference: Tensor, denoiser: Any) -> Tensor:
    """What the denoiser works on: what is left when the head is turned as the motion track says.

    latents    [B, T, C, h, w]
    reference  [B, T, C, h, w]  of the turned reference picture
    returns    [B, C, T, h, w]  (latents - reference) / residual_scale
    """
    scaled = (latents - reference) / denoiser.residual_scale[:, None, None]
    return rearrange(scaled, "b t c h w -> b c t h w")


def absolute(x0: Tensor, reference: Tensor, denoiser: Any) -> Tensor:
    """The inverse of `residual`: x0 [B, C, T, h, w] -> latents [B, T, C, h, w]."""
    return rearrange(x0, "b c t h w -> b t c h w") * denoiser.residual_scale[:, None, None] + reference


def draw_noise(like: Tensor, shared: float) -> Tensor:
    """Unit noise [B, C, T, h, w], of whose variance the share `shared` is common to all frames."""
    common = torch.randn_like(like[:, :, :1])
    return shared**0.5 * common + (1 - shared) ** 0.5 * torch.randn_like(like)


def noise_fraction(t: Tensor, prediction: str) -> Tensor:
    """Place of times [B] in the noise range, 0 clean .. 1 pure noise."""
    return t if prediction == "residual" else t.float() / 1000


def predict(
    nets: Any, batch: Batch, x_t: Tensor, t: Tensor, config: DenoiserConfig, *, aux: bool = False
) -> tuple[Tensor, dict[str, Tensor]]:
    """x0 [B, C, T, h, w] that the nets see in x_t at times t [B], and the denoiser's aux (empty unless asked for)."""
    n_frames = x_t.shape[2]
    start = int(batch["start"])
    audio = nets["audio"](batch["mel"])[:, start : start + n_frames] * batch["keep_audio"][:, None, None, None]
    emotion = nets["emotion"](batch["code"])
    null = nets["emotion"].null(len(x_t), n_frames, device=x_t.device)
    emotion = torch.where(batch["keep_emotion"][:, None, None, None] > 0, emotion, null)
    known = batch["keep_motion"][:, None].expand(-1, n_frames)
    denoiser = nets["denoiser"]
    reference = batch["reference"] / denoiser.latent_scale[:, None, None]
    sample = torch.cat(
        [
            x_t,
            batch["mask"][:, None, None].expand(-1, 1, n_frames, -1, -1),
            residual(batch["masked"], batch["reference"], denoiser) * batch["has_masked"][:, None, None, None, None],
            rearrange(reference, "b t c h w -> b c t h w"),
        ],
        1,
    )
    motion = batch["motion"] * known[:, :, None]
    output = denoiser(sample, t, audio, emotion, motion, known, return_aux=aux)
    raw, extra = output if aux else (output, {})
    return to_x0(raw.float(), x_t, t, config), extra


def draw_clips(cache: Cache, config: DenoiserConfig, mix: Mix, rng: np.random.Generator, n: int) -> Batch:
    """One batch of `n` random clips, or of more and shorter ones, with the choices of `mix` made."""
    parts, shares = zip(*mix.lengths, strict=True)
    part = int(rng.choice(parts, p=shares))
    n, config = part * n, replace(config, window_frames=max(1, config.window_frames // part))
    clips = cache.draw_clips(rng, n, encoded=True)
    is_masked = rng.random(n) < mix.masked
    clips[is_masked] -= clips[is_masked] % MASKED_EVERY
    is_masked &= clips >= cache.n_monitor
    clips = np.maximum(clips, cache.n_monitor)
    start = rng.integers(0, cache.info.n_frames - min(config.window_frames, cache.info.n_frames) + 1)
    batch = clips_batch(cache, config, clips, int(start), is_masked)
    use_text = (rng.random(n) >= mix.true_code) & (cache.array("is_pure")[clips] > 0)
    texts = cache.tensor("text_codes", (clips, rng.integers(0, cache.info.n_texts, n)))
    batch["code"] = torch.where(torch.from_numpy(use_text)[:, None, None], texts[:, None], batch["code"])
    u = rng.random(n)
    no_audio = (u < mix.drop_audio) | (u >= 1 - mix.drop_both)
    no_emotion = (u >= mix.drop_audio) & (u < mix.drop_audio + mix.drop_emotion) | (u >= 1 - mix.drop_both)
    batch["keep_audio"] = torch.from_numpy(~no_audio).float()
    batch["keep_emotion"] = torch.from_numpy(~no_emotion).float()
    keep_motion = torch.from_numpy(rng.random(n) >= mix.drop_motion)
    batch["keep_motion"] = keep_motion.float()
    still = cache.tensor("reference_latents", clips)[:, None]
    batch["reference"] = torch.where(keep_motion[:, None, None, None, None], batch["reference"], still)
    return batch | look_at(cache, clips, int(start), batch["latents"].shape[1], mix.picture_frames, rng)


def look_at(
    cache: Cache, clips: np.ndarray, start: int, n_frames: int, n_looks: int, rng: np.random.Generator
) -> Batch:
    """Some frames of a batch as they truly are, with their places in the batch and the reference pictures."""
    which, when = rng.integers(0, len(clips), n_looks), rng.integers(0, n_frames, n_looks)
    return {
        "seen_clip": torch.from_numpy(which),
        "seen_frame": torch.from_numpy(when),
        "seen": cache.images("frames", (clips[which], start + when)),
        "seen_reference": cache.images("references", (clips[which],)),
    }


def clips_batch(
    cache: Cache, config: DenoiserConfig, clips: np.ndarray, start: int = 0, is_masked: np.ndarray | None = None
) -> Batch:
    """Clips [B] from frame `start` on, with the sound of the whole clips, all conditions kept and true emotion codes.

    Where `is_masked` (clips that are multiples of `MASKED_EVERY`) only the greyed-out box is to be generated.
    """
    n = len(clips)
    is_masked = np.zeros(n, dtype=bool) if is_masked is None else is_masked
    frames = slice(start, start + config.window_frames)
    latents = cache.tensor("latents", (clips, frames))
    masked, masks = torch.zeros_like(latents), np.ones((n, config.cells, config.cells), dtype=np.float32)
    for i in np.flatnonzero(is_masked):
        masked[i] = cache.tensor("masked_latents", (int(clips[i]) // MASKED_EVERY, frames))
        masks[i] = box_mask(MASKED_BOXES[int(masked_box_of(clips[i]))], config.cells)
    ones = torch.ones(n)
    return {
        "latents": latents,
        "reference": cache.tensor("turned_latents", (clips, frames)),
        "masked": masked,
        "has_masked": torch.from_numpy(is_masked).float(),
        "mask": torch.from_numpy(masks),
        "mel": cache.tensor("mel", (clips,)),
        "start": torch.tensor(start),
        "energy": cache.tensor("energy", (clips, frames)),
        "motion": cache.tensor("motion", (clips, frames)),
        "code": cache.tensor("codes", (clips, frames)),
        "emotion": torch.from_numpy(cache.array("emotion")[clips].astype(np.int64)),
        "keep_audio": ones,
        "keep_emotion": ones.clone(),
        "keep_motion": ones.clone(),
    }


def measure_scales(cache: Cache, config: DenoiserConfig, denoiser: Any, n_clips: int = 256) -> None:
    """Set the denoiser's latent_scale and residual_scale [C] from the corpus; residuals get the std `residual_std`."""
    clips = np.linspace(cache.n_monitor, cache.n_encoded - 1, min(n_clips, cache.n_encoded)).astype(np.int64)
    latents, reference = cache.tensor("latents", clips), cache.tensor("turned_latents", clips)
    denoiser.latent_scale.copy_(reference.std((0, 1, 3, 4)))
    difference = (latents - reference).square().mean((0, 1, 3, 4)).sqrt()
    denoiser.residual_scale.copy_(difference / config.residual_std)


def load_judges(parts: Path, weights: DenoiserLossWeights) -> Frozen:
    """The judges that losses with a weight above 0 need, and the VAE that decodes, from a folder of parts."""

    def wanted() -> Iterator[str]:
        yield "vae"
        for part, weight in (
            ("syncnet", weights.sync),
            ("video_features", weights.trepa),
            ("expression", weights.picture),
        ):
            if weight or (parts / f"{part}.safetensors").exists():
                yield part

    return Frozen(**{part: load_part(parts / f"{part}.safetensors", part)[0] for part in wanted()})


def train_denoiser(
    config: ModelConfig,
    cache: Path,
    output: Path,
    options: TrainOptions,
    *,
    parts: Path | None = None,
    weights: DenoiserLossWeights | None = None,
    mix: Mix | None = None,
) -> dict[str, float]:
    """Train denoiser, audio encoder and emotion encoder on a cache with latents; returns the scores.

    parts  folder with vae.safetensors and the judges (syncnet, video_features, expression) whose losses have a weight;
           default: the folder of `output`
    """
    from .denoiser_scores import alarms, draw_sheet, score_generation

    clips = Cache(cache)
    weights, mix = weights or DenoiserLossWeights(), mix or Mix()
    config = replace(config, denoiser=replace(config.denoiser, latent_channels=config.vae.latent_channels))
    torch.manual_seed(options.seed)
    nets = nn.ModuleDict(
        {
            "denoiser": Denoiser(config.denoiser),
            "audio": AudioEncoder(config.audio),
            "emotion": EmotionEncoder(config.emotion),
        }
    )
    measure_scales(clips, config.denoiser, nets["denoiser"])
    if weights.emotion_bottleneck:
        nets["emotion_head"] = nn.Linear(config.denoiser.widths[-1], len(EMOTIONS))
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
        sheet=lambda averaged, device, path: draw_sheet(averaged, clips, config.denoiser, judges, device, path),
    )
    averaged, at = fit(recipe, options)
    kept = {name: averaged[name] for name in ("denoiser", "audio", "emotion")}  # type: ignore[index]
    save_part(output, "denoiser", kept, config, metadata_of(clips.info.seed, at))
    return at.scores
