"""Training of the image autoencoder whose decoder sees the reference picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..config import ModelConfig
from ..media.pixels import to_unit
from ..nets.classifier import Classifier
from ..nets.vae import VAE
from ..weights.files import load_part, save_part
from .batch import Batch
from .data import CLIPS_PER_IDENTITY, Cache
from .loop import Losses, Recipe, TrainOptions, fit, metadata_of
from .losses import EYES_BOX, MOUTH_BOX, VAELossWeights, kl_loss, picture_losses, psnr, region
from .sheets import save_sheet

BATCH = 12
FRAMES_PER_REFERENCE = 3
"""Frames of a clip that share a reference in a batch: references are encoded once."""
LEARNING_RATE = 1.6e-3
OTHER_CLIP_SHARE = 0.3
"""Share of samples whose reference is a frame of another clip of the same head instead of the clip's own reference."""
_MONITOR_PICTURES = 96
_SHEET_ROWS = 12


@dataclass(frozen=True)
class PictureBatch(Batch):
    """Pictures, each with a reference picture of the same head.

    pictures    [B, 3, H, W]   -1 .. 1
    references  [B', 3, H, W]  -1 .. 1; B / B' pictures in a row share one
    """

    pictures: Tensor
    references: Tensor


class VAEObjective(nn.Module):
    """Reconstruct a picture from its latents and a reference picture of the same head."""

    def __init__(self, vae: VAE, weights: VAELossWeights, reader: Classifier) -> None:
        """`reader` looks at the expressions; it does not learn."""
        super().__init__()
        self.vae, self.weights, self.reader = vae, weights, reader

    def forward(self, batch: PictureBatch) -> Losses:
        """Reconstruction, expression and divergence of the latents."""
        pictures, references = batch.pictures, batch.references
        mean, log_variance = self.vae.encode(torch.cat([pictures, references]))
        n = len(pictures)
        log_variance = log_variance.clamp(-30, 20)
        latents = mean[:n] + torch.randn_like(mean[:n]) * (0.5 * log_variance[:n]).exp()
        images = self.vae.decode(latents, references, mean[n:])
        losses = picture_losses(images, pictures, self.weights, self.reader)
        losses["kl"] = kl_loss(mean[:n].float(), log_variance[:n].float())
        total = losses["reconstruction"] + self.weights.expression * losses["expression"]
        return {"loss": total + self.weights.kl * losses["kl"], **losses}


def draw_pictures(cache: Cache, rng: np.random.Generator, n: int) -> PictureBatch:
    """Random frames, a few of each clip, with a reference: the clip's own, or a frame of another clip of that head."""
    n = max(1, n // FRAMES_PER_REFERENCE)
    clips = cache.draw_clips(rng, n)
    each = np.repeat(clips, FRAMES_PER_REFERENCE)
    pictures = cache.images("frames", (each, rng.integers(0, cache.info.n_frames, len(each))))
    others = clips // CLIPS_PER_IDENTITY * CLIPS_PER_IDENTITY + rng.integers(0, CLIPS_PER_IDENTITY, n)
    others = np.minimum(others, cache.n_ready - 1)
    from_other = rng.random(n) < OTHER_CLIP_SHARE
    references = cache.array("references")[clips]
    other_frames = rng.integers(0, cache.info.n_frames, n)
    references[from_other] = cache.array("frames")[others[from_other], other_frames[from_other]]
    return PictureBatch(pictures, to_unit(references))


def monitor_pictures(cache: Cache, n: int) -> PictureBatch:
    """Fixed frames of clips kept out of training, with their clips' references."""
    clips = cache.monitor_clips()
    picks = clips[np.arange(n) % len(clips)]
    frames = (np.arange(n) * 5 + np.arange(n) // len(clips)) % cache.info.n_frames
    return PictureBatch(cache.images("frames", (picks, frames)), cache.images("references", (picks,)))


@torch.no_grad()
def reconstruct(vae: Any, pictures: Tensor, references: Tensor, device: torch.device, step: int = 32) -> Tensor:
    """Decode(encode(pictures)) [B, 3, H, W] on the CPU, a few at a time."""
    results = []
    for start in range(0, len(pictures), step):
        part, reference = pictures[start : start + step].to(device), references[start : start + step].to(device)
        results.append(vae.decode(vae.encode(part)[0], reference, vae.encode(reference)[0]).float().cpu())
    return torch.cat(results)


def score_vae(cache: Cache) -> Any:
    """An evaluation for the loop: PSNR of whole frame, mouth and eyes, and latent statistics, on unseen heads."""
    sample = monitor_pictures(cache, _MONITOR_PICTURES)

    def evaluate(vae: Any, device: torch.device) -> dict[str, float]:
        images = reconstruct(vae, sample.pictures, sample.references, device)
        size = images.shape[-1]
        return {
            "psnr": float(psnr(images, sample.pictures)),
            "psnr_mouth": float(psnr(images, sample.pictures, region(MOUTH_BOX, size))),
            "psnr_eyes": float(psnr(images, sample.pictures, region(EYES_BOX, size))),
            "psnr_static": float(psnr(sample.references, sample.pictures)),
            "latent_std": float(vae.encode(sample.pictures[:16].to(device))[0].std()),
        }

    return evaluate


def picture_sheet(cache: Cache) -> Any:
    """A drawing for the loop: reference, picture and reconstruction of unseen heads."""
    sample = monitor_pictures(cache, _SHEET_ROWS)

    def draw(vae: nn.Module, device: torch.device, path: Path) -> None:
        images = reconstruct(vae, sample.pictures, sample.references, device)
        columns = torch.stack([sample.references, sample.pictures, images], 1)
        save_sheet(columns.reshape(_SHEET_ROWS // 2, 6, *images.shape[1:]), path)

    return draw


def train_vae(
    config: ModelConfig,
    cache: Path,
    output: Path,
    options: TrainOptions,
    weights: VAELossWeights | None = None,
) -> dict[str, float]:
    """Train the autoencoder on a clip cache and write its weights to `output`; returns its scores.

    The reader of expressions, expression.safetensors, lies in the folder of `output`.
    """
    clips = Cache(cache)
    reader: Any = load_part(Path(output).parent / "expression.safetensors", "expression")[0]
    torch.manual_seed(options.seed)
    vae = VAE(config.vae)
    recipe = Recipe(
        part="vae",
        trained=vae,
        objective=VAEObjective(vae, weights or VAELossWeights(), reader),
        draw=lambda rng, n: draw_pictures(clips, rng, n),
        batch=BATCH,
        learning_rate=LEARNING_RATE,
        evaluate=score_vae(clips),
        sheet=picture_sheet(clips),
    )
    averaged, at = fit(recipe, options)
    save_part(output, "vae", averaged, config.vae, metadata_of(clips.info.seed, at))
    return at.scores
