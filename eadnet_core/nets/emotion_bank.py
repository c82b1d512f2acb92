"""The emotion bank: what a face does in, an emotion code out that can carry no face.

After DICE-Talk's Emotion Bank and SVP's identity-free style, in our own small form (ADR 16, 26). The controls of a face
only say how much to take of each of K learned codes; what comes out is their weighted mean, so it lies between the
bank's entries whatever face was looked at. Of the pictures of a clip each control's median counts: lips that speak and
lids that blink come and go, a feeling stays.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..config import EmotionBankConfig
from ..emotion.code import emotion_code
from ..taxonomy import ACTION_UNITS, CONTROLS
from .label_order import LabelOrder

CONTROL_SIZE = 0.2
"""Usual size of a control; what the net is given is divided by it."""
DROPOUT = 0.1


class EmotionBank(nn.Module):
    """Controls -> how much of each entry -> code."""

    labels: Tensor

    def __init__(self, config: EmotionBankConfig) -> None:
        """`config.entries` must be a multiple of the number of emotions."""
        super().__init__()
        self.config = config
        self.label_order = LabelOrder(config.emotions)
        width = config.width
        self.query = nn.Sequential(
            nn.Linear(len(CONTROLS), width),
            nn.SiLU(),
            nn.Dropout(DROPOUT),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Dropout(DROPOUT),
            nn.Linear(width, config.query_width),
        )
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

    def forward(self, controls: Tensor) -> Tensor:
        """Controls [B, 28] as `VAE.read_controls` reads them -> logits [B, K] over the bank's entries."""
        return self.query(controls / CONTROL_SIZE) @ self.keys.T / self.config.query_width**0.5

    def code(self, logits: Tensor) -> Tensor:
        """Logits [..., K] -> codes [..., 27] within the bank."""
        return logits.softmax(-1) @ self.entries

    def read(self, controls: Tensor) -> Tensor:
        """The code [27] that the pictures of a face, of which controls [T, 28] were read, show together."""
        return self.code(self(typical(controls)))


def typical(controls: Tensor) -> Tensor:
    """The median of each control over the pictures of a clip: [..., T, 28] -> [..., 28].

    >>> typical(torch.tensor([[0.1], [0.9], [0.2]])).tolist() == torch.tensor([0.2]).tolist()
    True
    """
    return controls.quantile(0.5, dim=-2)


def first_entries(n: int, emotions: tuple[str, ...]) -> Tensor:
    """Codes [n, 27] to begin with: as many of each emotion, from faint to full."""
    per_label = n // len(emotions)
    levels = [(i + 1) / per_label for i in range(per_label)]
    codes = [emotion_code(label, level * (label != "neutral")) for label in emotions for level in levels]
    return torch.stack([torch.from_numpy(code) for code in codes])
