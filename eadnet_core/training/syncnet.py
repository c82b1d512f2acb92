"""Training of the lip-sync judges: on latents the one that supervises and guides, on pixels the one that scores.

Contrastive (InfoNCE): every window of frames must find its own sound among those of the batch. Each clip gives several
windows, so most of the learning comes from the same voice and face a few frames away, not from who is speaking.
Silent windows cannot be decided and take no part.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import ModelConfig, SyncNetConfig
from ..media.sound.audio import MEL_STEPS_PER_FRAME
from ..nets.syncnet import PIXEL_CROP, SyncNet
from ..weights.files import save_part
from .batch import Batch
from .data import Cache
from .denoiser_batches import motion_latents
from .loop import Losses, Recipe, TrainOptions, fit, metadata_of
from .processes import is_first

BATCH = 32
"""Clips per step; each gives `WINDOWS` windows."""
WINDOWS = 4
LEARNING_RATE = 1e-3
MAX_LOG_SCALE = 4.0
SILENCE = 0.12
"""Mean frame energy of a window under which it counts as silent."""
EXPERT_CONFIG = SyncNetConfig(space="pixels", in_channels=3)
TRAINING_SIZE_PX = 128
_LATENT_NOISE = 0.3
_LATENT_SHIFT = 0.3
"""Spread of the random offset of each latent channel, in standard deviations of the latents."""
_MAX_OFFSET = 5
_FAR = 3
"""Frames apart from which two windows of a clip are compared in the pairwise score."""


@dataclass(frozen=True)
class SyncBatch(Batch):
    """Windows of F frames with their sound.

    frames   [B, F, C, h, w]  latents, or the part of pictures that `PIXEL_CROP` names
    mel      [B, steps, 80]   with the context of `SyncNetConfig.mel_context` on both sides
    audible  [B]              bool; silent windows are left out
    """

    frames: Tensor
    mel: Tensor
    audible: Tensor


class SyncObjective(nn.Module):
    """Symmetric InfoNCE between windows of frames and of sound."""

    def __init__(self, syncnet: SyncNet) -> None:
        super().__init__()
        self.syncnet = syncnet

    def forward(self, batch: SyncBatch) -> Losses:
        """See `info_nce`."""
        frames = batch.frames
        flat = disturb(frames.flatten(0, 1), together=frames.shape[1])
        seen = self.syncnet.embed_frames(whole(flat.unflatten(0, frames.shape[:2]), self.syncnet.config)).float()
        heard = self.syncnet.embed_audio(batch.mel).float()
        return info_nce(seen, heard, self.syncnet.log_scale, batch.audible)


def disturb(frames: Tensor, together: int = 1) -> Tensor:
    """Blur, noise and recolour pictures [B, 3, H, W], `together` in a row alike; latents get noise and offsets."""
    n = len(frames) // together

    def draw(*shape: int) -> Tensor:
        return torch.rand(n, *shape, device=frames.device).repeat_interleave(together, 0)

    amount = draw(1, 1, 1)
    if frames.shape[1] != 3:
        spread = frames.std((0, 2, 3), keepdim=True)
        offset = _LATENT_SHIFT * 12**0.5 * (draw(frames.shape[1], 1, 1) - 0.5)
        return frames + spread * (offset + _LATENT_NOISE * amount * torch.randn_like(frames))
    soft = F.avg_pool2d(F.pad(frames, (1, 1, 1, 1), mode="replicate"), 3, 1)
    blurred = torch.lerp(frames, soft, (1.5 * amount).clamp(max=1.0))
    grey = blurred.mean(1, keepdim=True)
    faded = torch.lerp(blurred, grey, (2 * draw(1, 1, 1) - 1).clamp(min=0.0))
    gain, offset = 0.75 + 0.5 * draw(3, 1, 1), 0.3 * (draw(3, 1, 1) - 0.5)
    return (faded * gain + offset + 0.04 * draw(1, 1, 1) * torch.randn_like(frames)).clamp(-1, 1)


def info_nce(seen: Tensor, heard: Tensor, log_scale: Tensor, audible: Tensor) -> Losses:
    """Each row of `seen` [B, D] must find its row of `heard` [B, D], and the other way; inaudible rows are left out."""
    logits = log_scale.clamp(max=MAX_LOG_SCALE).exp() * seen @ heard.T
    out = ~audible
    logits = logits.masked_fill(out[None, :], -1e4).masked_fill(out[:, None], -1e4)
    target = torch.arange(len(seen), device=seen.device)
    target = target.masked_fill(out, -100)
    if bool(out.all()):
        return {"loss": 0.0 * logits.sum(), "accuracy": logits.new_zeros(())}
    loss = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
    accuracy = (logits.argmax(1) == target)[audible].float().mean()
    return {"loss": loss, "accuracy": accuracy}


def window_starts(config: SyncNetConfig, n_frames: int) -> np.ndarray:
    """First frames of the windows whose sound, with its context, lies inside a clip of `n_frames`."""
    context = -(-config.mel_context // MEL_STEPS_PER_FRAME)
    return np.arange(context, n_frames - config.frames - context + 1)


def draw_windows(cache: Cache, config: SyncNetConfig, rng: np.random.Generator, n_clips: int) -> SyncBatch:
    """`WINDOWS` random windows of each of `n_clips` clips."""
    clips = cache.draw_clips(rng, n_clips)
    starts = window_starts(config, cache.info.n_frames)
    n = min(WINDOWS, len(starts))
    picked = np.stack([rng.choice(starts, n, replace=False) for _ in clips])
    return windows_batch(cache, config, np.repeat(clips, n), picked.reshape(-1))


def windows_batch(cache: Cache, config: SyncNetConfig, clips: np.ndarray, starts: np.ndarray) -> SyncBatch:
    """Windows of the clips [B] that begin at frames `starts` [B]; of pictures only the part that the net looks at."""
    frames = (clips[:, None], starts[:, None] + np.arange(config.frames))
    first = starts * MEL_STEPS_PER_FRAME - config.mel_context
    steps = first[:, None] + np.arange(MEL_STEPS_PER_FRAME * config.frames + 2 * config.mel_context)
    top, bottom, left, right = PIXEL_CROP
    return SyncBatch(
        frames=motion_latents()(cache.tensor("controls", frames))
        if config.space == "latents"
        else cache.images("frames", (*frames, slice(top, bottom), slice(left, right))),
        mel=cache.tensor("mel", (clips[:, None], steps)),
        audible=cache.tensor("energy", frames).mean(1) > SILENCE,
    )


def whole(frames: Tensor, config: SyncNetConfig) -> Tensor:
    """Frames of `windows_batch` as the whole frames that the net expects; what was never read stays grey."""
    if config.space == "latents":
        return frames
    top, bottom, left, right = PIXEL_CROP
    return F.pad(frames, (left, TRAINING_SIZE_PX - right, top, TRAINING_SIZE_PX - bottom))


@torch.no_grad()
def score_syncnet(syncnet: SyncNet, cache: Cache, device: torch.device) -> dict[str, float]:
    """Scores on the clips kept out of training.

    offset_exact  share of clips whose best offset, of +-5 frames, is 0
    pairwise      share of window pairs, three frames apart or more, where the true sound wins
    real_cosine   median cosine of windows that are in sync
    """
    config = syncnet.config
    starts = window_starts(config, cache.info.n_frames)
    exact, wins, cosines = [], [], []
    apart = np.abs(starts[:, None] - starts) >= _FAR
    for clip in cache.monitor_clips():
        batch = windows_batch(cache, config, np.full(len(starts), clip), starts)
        audible = batch.audible.numpy()
        if audible.sum() < 3:
            continue
        seen = syncnet.embed_frames(whole(batch.frames, config).to(device))
        similarity = (seen @ syncnet.embed_audio(batch.mel.to(device)).T).float().cpu().numpy()
        exact.append(best_offset(similarity, audible) == 0)
        own = np.diag(similarity)
        pairs = apart & audible[:, None] & audible
        wins.append((own[:, None] > similarity)[pairs])
        cosines.append(own[audible])
    if not exact:
        return {}
    return {
        "offset_exact": float(np.mean(exact)),
        "pairwise": float(np.concatenate(wins).mean()),
        "real_cosine": float(np.median(np.concatenate(cosines))),
    }


def best_offset(similarity: np.ndarray, audible: np.ndarray) -> int:
    """The shift d, within +-5, at which windows i of frames and i + d of sound agree best.

    >>> best_offset(np.roll(np.eye(9), 2, axis=1), np.ones(9, dtype=bool))
    2
    """
    n = len(similarity)
    offsets = range(-min(_MAX_OFFSET, n - 1), min(_MAX_OFFSET, n - 1) + 1)
    means = {}
    for d in offsets:
        both = np.diag(audible[:, None] & audible, d)
        if both.any():
            means[d] = float(np.diag(similarity, d)[both].mean())
    return max(means, key=lambda d: means[d])


def train_syncnet(config: ModelConfig, cache: Path, output: Path, options: TrainOptions) -> dict[str, float]:
    """Train the latent SyncNet, which supervises and guides, on a clip cache; returns its scores."""
    return _train("syncnet", config.syncnet, cache, output, options)


def train_sync_expert(config: ModelConfig, cache: Path, output: Path, options: TrainOptions) -> dict[str, float]:
    """Train the pixel SyncNet, which scores, on a cache of the split "expert"; returns its scores."""
    return _train("sync_expert", EXPERT_CONFIG, cache, output, options)


def _train(part: str, sizes: SyncNetConfig, cache: Path, output: Path, options: TrainOptions) -> dict[str, float]:
    clips = Cache(cache)
    torch.manual_seed(options.seed)
    syncnet = SyncNet(sizes)
    recipe = Recipe(
        part=part,
        trained=syncnet,
        objective=SyncObjective(syncnet),
        draw=lambda rng, n: draw_windows(clips, sizes, rng, n),
        batch=BATCH,
        learning_rate=LEARNING_RATE,
        evaluate=lambda net, device: score_syncnet(net, clips, device),  # type: ignore[arg-type]
    )
    averaged, at = fit(recipe, options)
    metadata = metadata_of(clips.info.seed, at)
    if is_first():
        save_part(output, part, averaged, sizes, {**metadata, "real_cosine": at.scores.get("real_cosine", 1.0)})
    return at.scores
