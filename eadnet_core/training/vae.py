"""Training of the image autoencoder whose decoder sees the reference picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..checkpoints import save_part
from ..config import ModelConfig
from ..nets.vae import VAE
from .data import CLIPS_PER_IDENTITY, Cache, to_images
from .loop import Batch, Losses, Progress, Recipe, TrainOptions, fit, metadata_of
from .losses import EYES_BOX, MOUTH_BOX, VAELossWeights, kl_loss, psnr, reconstruction_loss, region
from .sheets import save_sheet

BATCH = 12
FRAMES_PER_REFERENCE = 3
"""Frames of a clip that share a reference in a batch: references are encoded once."""
LEARNING_RATE = 1.6e-3
OTHER_CLIP_SHARE = 0.3
"""Share of samples whose reference is a frame of another clip of the same head instead of the clip's own reference."""
REFERENCE_DROP = 0.3
"""Share of references blanked out. Without it the decoder copies the reference, the latents stay empty, and training
rests at the quality of a blurred copy (27.1 dB, measured)."""
DECODER_WEIGHTS = VAELossWeights(mouth=8.0, eyes=8.0)
"""For the decoder alone."""
JOINT_SHARE = 0.5
"""Share of the budget for encoder and decoder together; then the decoder goes on alone."""
_MONITOR_PICTURES = 96
_SHEET_ROWS = 12


class VAEObjective(nn.Module):
    """Reconstruct a picture from its latents and a reference picture of the same head."""

    def __init__(self, vae: VAE, weights: VAELossWeights, dropped: float) -> None:
        """`dropped` is the share of references that are blanked out."""
        super().__init__()
        self.vae, self.weights, self.dropped = vae, weights, dropped

    def forward(self, batch: Batch) -> Losses:
        """batch: picture [B, 3, H, W] and reference [B', 3, H, W] in -1 .. 1; B / B' pictures in a row share one."""
        pictures, references = batch["picture"], batch["reference"]
        mean, log_variance = self.vae.encode(torch.cat([pictures, references]))
        n = len(pictures)
        log_variance = log_variance.clamp(-30, 20)
        latents = mean[:n] + torch.randn_like(mean[:n]) * (0.5 * log_variance[:n]).exp()
        kept = (torch.rand(len(references), 1, 1, 1, device=references.device) >= self.dropped).to(references.dtype)
        images = self.vae.decode(latents, references * kept, mean[n:] * kept)
        reconstruction = reconstruction_loss(images.float(), pictures, self.weights)
        kl = kl_loss(mean[:n].float(), log_variance[:n].float())
        return {"loss": reconstruction + self.weights.kl * kl, "reconstruction": reconstruction, "kl": kl}


def draw_pictures(cache: Cache, rng: np.random.Generator, n: int) -> Batch:
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
    return {"picture": pictures, "reference": to_images(references)}


def monitor_pictures(cache: Cache, n: int) -> Batch:
    """Fixed frames of clips kept out of training, with their clips' references."""
    clips = cache.monitor_clips()
    picks = clips[np.arange(n) % len(clips)]
    frames = (np.arange(n) * 5 + np.arange(n) // len(clips)) % cache.info.n_frames
    return {"picture": cache.images("frames", (picks, frames)), "reference": cache.images("references", (picks,))}


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
        images = reconstruct(vae, sample["picture"], sample["reference"], device)
        size = images.shape[-1]
        return {
            "psnr": float(psnr(images, sample["picture"])),
            "psnr_mouth": float(psnr(images, sample["picture"], region(MOUTH_BOX, size))),
            "psnr_eyes": float(psnr(images, sample["picture"], region(EYES_BOX, size))),
            "psnr_static": float(psnr(sample["reference"], sample["picture"])),
            "latent_std": float(vae.encode(sample["picture"][:16].to(device))[0].std()),
        }

    return evaluate


def _sheet(cache: Cache) -> Any:
    sample = monitor_pictures(cache, _SHEET_ROWS)

    def draw(vae: nn.Module, device: torch.device, path: Path) -> None:
        images = reconstruct(vae, sample["picture"], sample["reference"], device)
        columns = torch.stack([sample["reference"], sample["picture"], images], 1)
        save_sheet(columns.reshape(_SHEET_ROWS // 2, 6, *images.shape[1:]), path)

    return draw


def train_vae(
    config: ModelConfig,
    cache: Path,
    output: Path,
    options: TrainOptions,
    weights: VAELossWeights | None = None,
) -> dict[str, float]:
    """Train the autoencoder on a clip cache and write its weights to `output`; returns its scores."""
    clips = Cache(cache)
    torch.manual_seed(options.seed)
    vae = VAE(config.vae)
    joint = _recipe("vae", vae, clips, weights or VAELossWeights(), REFERENCE_DROP)
    vae.load_state_dict(fit(joint, _share(options, JOINT_SHARE))[0].state_dict())
    averaged, at = train_decoder(vae, clips, _share(options, 1 - JOINT_SHARE))
    save_part(output, "vae", averaged, config.vae, metadata_of(clips.info.seed, at))
    return at.scores


def train_decoder(vae: VAE, clips: Cache, options: TrainOptions) -> tuple[nn.Module, Progress]:
    """Train the decoder alone, for the latents that are: what was learned on them stays valid."""
    vae.encoder.requires_grad_(False)
    return fit(_recipe("vae_decoder", vae, clips, DECODER_WEIGHTS, 0.0), options)


def _share(options: TrainOptions, share: float) -> TrainOptions:
    """The options with a share of their budget."""
    steps, minutes = options.max_steps, options.max_minutes
    return replace(options, max_steps=steps and max(1, round(steps * share)), max_minutes=minutes and minutes * share)


def _recipe(part: str, vae: VAE, clips: Cache, weights: VAELossWeights, dropped: float) -> Recipe:
    return Recipe(
        part=part,
        trained=vae,
        objective=VAEObjective(vae, weights, dropped),
        draw=lambda rng, n: draw_pictures(clips, rng, n),
        batch=BATCH,
        learning_rate=LEARNING_RATE,
        evaluate=score_vae(clips),
        sheet=_sheet(clips),
    )
