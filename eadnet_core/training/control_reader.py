"""Training of what reads off a picture what its face does; the picture side is trained with it afterwards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..config import ModelConfig
from ..nets.vae import VAE
from ..taxonomy import CONTROLS
from ..weights.files import save_part
from .faces import FaceBatch, FaceCache, disturbed
from .loop import Losses, Recipe, TrainOptions, fit, metadata_of
from .losses import CONTROL_SPREAD, correlation
from .motion_basis import fit_template

BATCH = 48
LEARNING_RATE, WEIGHT_DECAY = 1.5e-3, 0.03
_MONITOR_PICTURES = 128
_NOISE, _SHAKE = 0.03, 0.001
"""Of pixels, at most, and of landmarks, in frame widths."""


class ControlObjective(nn.Module):
    """Squared error of the controls, in units of their spread."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, batch: FaceBatch) -> Losses:
        """Pictures in other colours, some in a mirror, with noise."""
        batch = disturbed(batch, self.vae.canonical.mirror())
        images = batch.references
        images = images + _NOISE * torch.rand(len(images), 1, 1, 1).to(images) * torch.randn_like(images)
        points = batch.points + _SHAKE * torch.randn_like(batch.points)
        found = self.vae.control_reader(*self.vae.reader_inputs(images, points)).float()
        return {"loss": ((found - batch.reference_controls) / CONTROL_SPREAD).square().mean()}


def score_control_reader(vae: VAE, cache: FaceCache) -> Any:
    """An evaluation for the loop: mean correlation with the truth over the controls, on references of unseen heads."""
    sample = cache.monitor(_MONITOR_PICTURES, 1)

    def evaluate(reader: Any, device: torch.device) -> dict[str, float]:
        with torch.no_grad():
            read = vae.reader_inputs(sample.references.to(device), sample.points.to(device))
            found = reader(*read).float().cpu()
        pairs = zip(found.T, sample.reference_controls.T, strict=True)
        each = {name: correlation(*pair) for name, pair in zip(CONTROLS, pairs, strict=True)}
        return {"control_correlation": float(np.nanmean(list(each.values()))), "blink_correlation": each["blink"]}

    return evaluate


def train_control_reader(config: ModelConfig, cache: Path, output: Path, options: TrainOptions) -> dict[str, float]:
    """Train the reader on a cache of faces and write its weights to `output`; returns its scores."""
    faces = FaceCache(cache)
    torch.manual_seed(options.seed)
    vae = VAE(config.vae)
    fit_template(vae, faces)
    reader = vae.control_reader
    recipe = Recipe(
        part="control_reader",
        trained=reader,
        objective=ControlObjective(vae),
        draw=lambda rng, n: faces.draw_pictures(rng, n),
        batch=BATCH,
        learning_rate=LEARNING_RATE,
        evaluate=score_control_reader(vae, faces),
    )
    averaged, at = fit(recipe, replace(options, weight_decay=WEIGHT_DECAY))
    save_part(output, "control_reader", averaged, config.vae, metadata_of(faces.seed, at))
    return at.scores
