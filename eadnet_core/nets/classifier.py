"""A small convolutional reader of single frames: the latent emotion classifier of training and the two pixel experts
that score videos (emotion; mouth opening and width, yaw, pitch, roll, blink)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..config import ClassifierConfig
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
        pixels = config.space == "pixels"
        if pixels:
            half = STEM_WIDTH // 2
            layers: list[nn.Module] = [
                ConvNorm(config.in_channels, half, stride=2),
                ConvNorm(half, STEM_WIDTH, stride=2),
            ]
        else:
            layers = [ConvNorm(config.in_channels, STEM_WIDTH)]
        channels = STEM_WIDTH
        for i, width in enumerate(config.widths):
            layers.append(ConvNorm(channels, width, stride=2 if i or pixels else 1))
            if i:
                layers.append(ResidualConv(width))
            channels = width
        self.features = nn.Sequential(*layers, nn.Conv2d(channels, STEM_WIDTH, 1), nn.Flatten())
        self.head = nn.Sequential(
            nn.Linear(STEM_WIDTH * GRID * GRID, HEAD_WIDTH), nn.SiLU(), nn.Linear(HEAD_WIDTH, config.outputs)
        )

    def forward(self, frames: Tensor) -> Tensor:
        """Read frames one by one.

        frames   [B, C, h, w]  latents of 16x16 cells, or pictures [B, 3, 128, 128] in -1 .. 1
        returns  [B, outputs]
        """
        return self.head(self.features(frames.contiguous(memory_format=torch.channels_last)))

    def maps(self, frames: Tensor) -> list[Tensor]:
        """What the net sees on its way, finest first: the map after every layer [B, C', h', w'] but the last two."""
        x, seen = frames.contiguous(memory_format=torch.channels_last), []
        for layer in self.features[:-2]:
            x = layer(x)
            seen.append(x)
        return seen
