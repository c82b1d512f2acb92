"""Training of what reads off a picture what its face does; the picture side is trained with it afterwards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..config import ModelConfig
from ..nets.vae import VAE, ControlReader
from ..taxonomy import CONTROLS
from ..weights.files import save_part
from .faces import FaceBatch, FaceCache, disturbed
from .loop import Losses, Recipe, TrainOptions, fit, metadata_of
from .losses import CONTROL_SPREAD, correlation

BATCH = 24
LEARNING_RATE = 1.5e-3
_MONITOR_PICTURES = 128
_NOISE = 0.03


class ControlObjective(nn.Module):
    """Squared error of the controls, in units of their spread."""

    def __init__(self, reader: ControlReader) -> None:
        super().__init__()
        self.reader = reader

    def forward(self, batch: FaceBatch) -> Losses:
        """Pictures in other colours, some in a mirror, with noise."""
        batch = disturbed(batch)
        images = batch.references
        images = images + _NOISE * torch.rand(len(images), 1, 1, 1).to(images) * torch.randn_like(images)
        found = self.reader(images, batch.lines).float()
        return {"loss": ((found - batch.reference_controls) / CONTROL_SPREAD).square().mean()}


def score_control_reader(cache: FaceCache) -> Any:
    """An evaluation for the loop: mean correlation with the truth over the controls, on references of unseen heads."""
    sample = cache.monitor(_MONITOR_PICTURES, 1)

    def evaluate(reader: Any, device: torch.device) -> dict[str, float]:
        found = reader(sample.references.to(device), sample.lines.to(device)).float().cpu()
        pairs = zip(found.T, sample.reference_controls.T, strict=True)
        each = {name: correlation(*pair) for name, pair in zip(CONTROLS, pairs, strict=True)}
        return {"control_correlation": float(np.nanmean(list(each.values()))), "blink_correlation": each["blink"]}

    return evaluate


def train_control_reader(config: ModelConfig, cache: Path, output: Path, options: TrainOptions) -> dict[str, float]:
    """Train the reader on a cache of faces and write its weights to `output`; returns its scores."""
    faces = FaceCache(cache)
    torch.manual_seed(options.seed)
    reader = VAE(config.vae).control_reader
    recipe = Recipe(
        part="control_reader",
        trained=reader,
        objective=ControlObjective(reader),
        draw=lambda rng, n: faces.draw_pictures(rng, n),
        batch=BATCH,
        learning_rate=LEARNING_RATE,
        evaluate=score_control_reader(faces),
    )
    averaged, at = fit(recipe, replace(options, weight_decay=0.02))
    save_part(output, "control_reader", averaged, config.vae, metadata_of(faces.seed, at))
    return at.scores
