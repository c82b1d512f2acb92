"""Training of the masked video autoencoder whose features TREPA compares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..config import ModelConfig
from ..nets.video_features import VideoFeatures
from ..weights.files import save_part
from .batch import Batch
from .data import Cache
from .denoiser_batches import motion_latents
from .loop import Losses, Recipe, TrainOptions, fit, metadata_of

BATCH = 24
LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class ExpressionBatch(Batch):
    """Clips as `expressions` makes them.

    clips  [B, C, T, h, w]
    """

    clips: Tensor


class MaskedObjective(nn.Module):
    """Fill in the tubes of a clip that were hidden."""

    def __init__(self, features: VideoFeatures) -> None:
        super().__init__()
        self.features = features

    def forward(self, batch: ExpressionBatch) -> Losses:
        """Squared error of the hidden tubes."""
        return {"loss": self.features(batch.clips)}


def expressions(cache: Cache, clips: np.ndarray, n_frames: int, start: int = 0) -> Tensor:
    """Motion latents of clips, [B, C, T, h, w]."""
    return motion_latents()(cache.tensor("controls", (clips, slice(start, start + n_frames)))).movedim(2, 1)


def train_video_features(config: ModelConfig, cache: Path, output: Path, options: TrainOptions) -> dict[str, float]:
    """Train the video autoencoder on a clip cache; returns its error on unseen voices (1: knows nothing)."""
    clips = Cache(cache)
    sizes = config.video_features
    torch.manual_seed(options.seed)
    features = VideoFeatures(sizes)

    def draw(rng: np.random.Generator, n: int) -> ExpressionBatch:
        start = int(rng.integers(0, clips.info.n_frames - sizes.frames + 1))
        return ExpressionBatch(expressions(clips, clips.draw_clips(rng, n), sizes.frames, start))

    def evaluate(net: nn.Module, device: torch.device) -> dict[str, float]:
        seen = expressions(clips, clips.monitor_clips(), sizes.frames).to(device)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(0)
            return {"masked_error": float(net(seen))}

    recipe = Recipe(
        part="video_features",
        trained=features,
        objective=MaskedObjective(features),
        draw=draw,
        batch=BATCH,
        learning_rate=LEARNING_RATE,
        evaluate=evaluate,
    )
    averaged, at = fit(recipe, options)
    save_part(output, "video_features", averaged, sizes, metadata_of(clips.info.seed, at))
    return at.scores
