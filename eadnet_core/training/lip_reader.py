"""Training of the reader of lip shapes, which supervises the denoiser.

SyncNet says whether lips and sound belong together, and is content long before every frame has the right shape; this
reader says how wrong each shape is. It learns from noisy latents, so that it forgives what is not a lip.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..config import LipReaderConfig, ModelConfig
from ..nets.lip_reader import LipReader
from ..weights.files import save_part
from .batch import Batch
from .classifier import disturb
from .data import Cache
from .loop import Losses, Recipe, TrainOptions, fit, metadata_of
from .losses import correlation

BATCH = 128
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 0.05


@dataclass(frozen=True)
class LipBatch(Batch):
    """Latents of single frames with their lips.

    latents  [B, C, h, w]
    lips     [B, 10]       see `lips_of`
    """

    latents: Tensor
    lips: Tensor


class LipObjective(nn.Module):
    """Squared error of what is read."""

    def __init__(self, reader: LipReader) -> None:
        super().__init__()
        self.reader = reader

    def forward(self, batch: LipBatch) -> Losses:
        """Mean over all lip parameters."""
        return {"loss": (self.reader(disturb(batch.latents)).float() - batch.lips).square().mean()}


def lips_of(cache: Cache, index: tuple[np.ndarray, ...]) -> Tensor:
    """What is true of the lips in frames of a cache [..., 10], in the order of `LipReader.forward`."""
    return torch.cat([cache.tensor("visemes", index), cache.tensor("mouth_opening", index)[..., None]], -1)


def train_lip_reader(config: ModelConfig, cache: Path, output: Path, options: TrainOptions) -> dict[str, float]:
    """Train the reader on a cache with latents; returns its correlations with the truth on unseen heads."""
    clips = Cache(cache)
    torch.manual_seed(options.seed)
    reader = LipReader(LipReaderConfig(in_channels=config.vae.latent_channels, cells=config.denoiser.cells))

    def draw(rng: np.random.Generator, n: int) -> LipBatch:
        index = clips.draw_clips(rng, n, encoded=True), rng.integers(0, clips.info.n_frames, n)
        return LipBatch(clips.tensor("latents", index), lips_of(clips, index))

    def evaluate(net: nn.Module, device: torch.device) -> dict[str, float]:
        monitor = (clips.monitor_clips(),)
        found = net(clips.tensor("latents", monitor).flatten(0, 1).to(device)).float().cpu()
        true = lips_of(clips, monitor).flatten(0, 1)
        each = [correlation(*pair) for pair in zip(found.T, true.T, strict=True)]
        return {"viseme_correlation": float(np.mean(each[:-1])), "mouth_opening_correlation": each[-1]}

    recipe = Recipe(
        part="lip_reader",
        trained=reader,
        objective=LipObjective(reader),
        draw=draw,
        batch=BATCH,
        learning_rate=LEARNING_RATE,
        weight_decay=WEIGHT_DECAY,
        evaluate=evaluate,
    )
    averaged, at = fit(recipe, options)
    save_part(output, "lip_reader", averaged, reader.config, metadata_of(clips.info.seed, at))
    return at.scores
