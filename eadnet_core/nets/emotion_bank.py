"""The emotion bank: pictures of a face in, an emotion code out that can carry no face.

After DICE-Talk's Emotion Bank and SVP's identity-free style, in our own small form. What is seen of a face only says
how much to take of each of K learned codes; what comes out is their weighted mean, so it lies between the bank's
entries whatever face was looked at. The pictures of a clip vote together: logits are averaged before the softmax.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..config import EmotionBankConfig
from ..emotion.code import emotion_code
from ..taxonomy import ACTION_UNITS
from .classifier import GRID, STEM_WIDTH
from .label_order import LabelOrder
from .layers import ConvNorm, ResidualConv

SHARPNESS = 2.0
"""Factor on the pooled logits of a clip: frames agree about the face and err about the same things, but not quite."""


class EmotionBank(nn.Module):
    """Faces -> how much of each entry -> code."""

    labels: Tensor

    def __init__(self, config: EmotionBankConfig) -> None:
        """`config.entries` must be a multiple of the number of emotions."""
        super().__init__()
        self.config = config
        self.label_order = LabelOrder(config.emotions)
        first, second, third = config.widths
        self.features = nn.Sequential(
            ConvNorm(3, STEM_WIDTH // 2, stride=2),
            ConvNorm(STEM_WIDTH // 2, STEM_WIDTH, stride=2),
            ConvNorm(STEM_WIDTH, first, stride=2),
            ConvNorm(first, second, stride=2),
            ResidualConv(second),
            ConvNorm(second, third, stride=2),
            nn.Conv2d(third, STEM_WIDTH, 1),
            nn.Flatten(),
        )
        self.query = nn.Linear(STEM_WIDTH * GRID * GRID, config.query_width + len(ACTION_UNITS))
        self.keys = nn.Parameter(torch.randn(config.entries, config.query_width))
        codes = self.label_order.code_to_net(first_entries(config.entries, config.emotions))
        labels, rest = codes.split([len(config.emotions), codes.shape[1] - len(config.emotions)], dim=1)
        self.register_buffer("labels", labels.contiguous())
        self.rest = nn.Parameter(rest.contiguous())

    @property
    def entries(self) -> Tensor:
        """The bank, codes [K, 27]: the label of an entry is fixed, how it looks and how strong it is was learned."""
        intensity, point, units = self.rest.split([1, 2, len(ACTION_UNITS)], dim=1)
        code = torch.cat([self.labels, intensity.clamp(0, 1), point.clamp(-1, 1), units.clamp(0, 1)], dim=1)
        return self.label_order.code_from_net(code)

    def forward(self, frames: Tensor) -> Tensor:
        """Frames [B, 3, 128, 128] in -1 .. 1 -> logits [B, K] over the bank's entries."""
        return self.look(frames)[0]

    def look(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [B, K], and the action units [B, 16] that are seen, which only training asks for."""
        seen = self.query(self.features(frames.contiguous(memory_format=torch.channels_last)))
        query, units = seen.float().split([self.config.query_width, len(ACTION_UNITS)], dim=1)
        return query @ self.keys.T / self.config.query_width**0.5, units

    def code(self, logits: Tensor) -> Tensor:
        """Logits [..., K] -> codes [..., 27] within the bank."""
        return logits.softmax(-1) @ self.entries

    def pooled(self, logits: Tensor) -> Tensor:
        """The code [27] of a clip from the logits [T, K] of its frames."""
        return self.code(SHARPNESS * logits.mean(0))


def first_entries(n: int, emotions: tuple[str, ...]) -> Tensor:
    """Codes [n, 27] to begin with: as many of each emotion, from faint to full."""
    per_label = n // len(emotions)
    levels = [(i + 1) / per_label for i in range(per_label)]
    codes = [emotion_code(label, level * (label != "neutral")) for label in emotions for level in levels]
    return torch.stack([torch.from_numpy(code) for code in codes])
