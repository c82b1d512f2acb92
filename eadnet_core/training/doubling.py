"""Training of the stage that doubles the autoencoder's picture (ADR 18): 16 pixels to a cell from a model with 8.

Everything else of the autoencoder stays as it is, to the bit: the latents are those of the smaller model, whose
denoiser and SyncNet then serve both.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..config import ModelConfig
from ..nets.vae import VAE
from ..weights.files import load_part, save_part
from ..weights.folders import ASSETS
from .data import CLIPS_PER_IDENTITY, Cache
from .loop import Losses, Recipe, TrainOptions, fit, metadata_of
from .losses import VAELossWeights, reconstruction_loss
from .vae import PictureBatch, picture_sheet, score_vae

BATCH = 8
LEARNING_RATE = 2e-3
OTHER_CLIP_SHARE = 0.5
"""Share of samples whose reference is another clip's frame of the same head instead of the clip's own reference."""
LATENT_NOISE = 0.1
"""Standard deviation of the noise added to latents, in units of theirs: a denoiser's are not exact either."""


class DoublingObjective(nn.Module):
    """Reconstruct a picture through latents that are given."""

    def __init__(self, vae: VAE, weights: VAELossWeights) -> None:
        super().__init__()
        self.vae, self.weights = vae, weights

    def forward(self, batch: PictureBatch) -> Losses:
        """Reconstruction alone; every picture of the batch has a reference of its own."""
        pictures, references = batch.pictures, batch.references
        with torch.no_grad():
            latents = self.vae.encode(torch.cat([pictures, references]))[0]
            latents, told = latents.chunk(2)
            latents = latents + LATENT_NOISE * latents.std() * torch.randn_like(latents)
        images = self.vae.decode(latents, references, told)
        return {"loss": reconstruction_loss(images.float(), pictures, self.weights)}


def draw_pairs(cache: Cache, rng: np.random.Generator, n: int) -> PictureBatch:
    """Random frames, each with a reference: the clip's own, or a frame of another clip of that head."""
    clips = cache.draw_clips(rng, n)
    others = clips // CLIPS_PER_IDENTITY * CLIPS_PER_IDENTITY + rng.integers(0, CLIPS_PER_IDENTITY, n)
    others = np.minimum(others, cache.n_ready - 1)
    frames, other_frames = rng.integers(0, cache.info.n_frames, (2, n))
    from_other = torch.from_numpy(rng.random(n) < OTHER_CLIP_SHARE)[:, None, None, None]
    references: Tensor = cache.images("references", clips)
    return PictureBatch(
        pictures=cache.images("frames", (clips, frames)),
        references=torch.where(from_other, cache.images("frames", (others, other_frames)), references),
    )


def train_doubling(
    config: ModelConfig,
    cache: Path,
    output: Path,
    options: TrainOptions,
    weights: VAELossWeights | None = None,
) -> dict[str, float]:
    """Train the last stage on a clip cache of `config.size_px` and write the whole autoencoder; returns its scores.

    The model that is extended lies in the folder "mini" beside that of `output`, else it is the shipped one.
    """
    clips = Cache(cache)
    beside = Path(output).parent.parent / "mini" / "vae.safetensors"
    smaller: Any = load_part(beside if beside.is_file() else ASSETS / "mini" / "vae.safetensors", "vae")[0]
    torch.manual_seed(options.seed)
    vae = VAE(replace(smaller.config, downscale=config.vae.downscale, doubling_width=config.vae.doubling_width))
    vae.load_state_dict(smaller.state_dict(), strict=False)
    vae.requires_grad_(False)
    doubling: nn.Module = vae.decoder.doubling  # type: ignore[assignment]
    doubling.requires_grad_(True)
    recipe = Recipe(
        part="doubling",
        trained=vae,
        objective=DoublingObjective(vae, weights or VAELossWeights()),
        draw=lambda rng, n: draw_pairs(clips, rng, n),
        batch=BATCH,
        learning_rate=LEARNING_RATE,
        evaluate=score_vae(clips),
        sheet=picture_sheet(clips),
    )
    averaged, at = fit(recipe, options)
    save_part(output, "vae", averaged, vae.config, {"extends": "mini", **metadata_of(clips.info.seed, at)})
    return at.scores
