"""A small convolutional reader of single pictures that scores: of expressions, and of faces (mouth opening and width,
yaw, pitch, roll, blink)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..config import ClassifierConfig
from .label_order import LabelOrder
from .layers import ConvNorm, ResidualConv

STEM_WIDTH = 32
HEAD_WIDTH = 128
GRID = 4
"""Cells a side of the last feature map; it is read cell by cell, since pose and gaze are places."""


class Classifier(nn.Module):
    """Frames -> outputs: logits of a classifier, or values of a regressor."""

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        half = STEM_WIDTH // 2
        layers: list[nn.Module] = [ConvNorm(3, half, stride=2), ConvNorm(half, STEM_WIDTH, stride=2)]
        channels = STEM_WIDTH
        for i, width in enumerate(config.widths):
            layers.append(ConvNorm(channels, width, stride=2))
            if i:
                layers.append(ResidualConv(width))
            channels = width
        self.features = nn.Sequential(*layers, nn.Conv2d(channels, STEM_WIDTH, 1), nn.Flatten())
        self.head = nn.Sequential(
            nn.Linear(STEM_WIDTH * GRID * GRID, HEAD_WIDTH), nn.SiLU(), nn.Linear(HEAD_WIDTH, config.outputs)
        )

    def forward(self, frames: Tensor) -> Tensor:
        """Read frames one by one.

        frames   [B, 3, 128, 128]  -1 .. 1
        returns  [B, outputs]
        """
        return self.head(self.features(frames.contiguous(memory_format=torch.channels_last)))


class ExpressionReader(Classifier):
    """A classifier of emotions: its first outputs are the logits of labels, in the library's order whatever its own."""

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__(config)
        self.label_order = LabelOrder(config.emotions)

    def forward(self, frames: Tensor) -> Tensor:
        """[B, 3, 128, 128] in -1 .. 1 -> [B, label logits, intensity, action units]."""
        return self.label_order.logits_from_net(super().forward(frames))
