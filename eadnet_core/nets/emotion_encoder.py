"""Emotion for the denoiser: the emotion code of every frame to a few tokens.

The code's entries differ in size and most are zero; a fixed random table spreads them over a whole vector of about unit
variance. Without it the net never learns to read them. Everything after the table is linear per token, so blends and
cross-fades of codes are blends of tokens.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn

from ..config import EmotionConfig
from .label_order import LabelOrder

TABLE_SEED = 27
TABLE_SCALE = 0.5**0.5
"""A strong emotion has a code of squared norm about 4, neutral 1: scaled by this, tokens have variance 2 and 0.5."""


class EmotionEncoder(nn.Module):
    """Emotion code -> E tokens per frame, and the learned tokens that mean "no emotion was asked"."""

    table: Tensor

    def __init__(self, config: EmotionConfig) -> None:
        super().__init__()
        self.config = config
        self.label_order = LabelOrder(config.emotions)
        generator = torch.Generator().manual_seed(TABLE_SEED)
        table = torch.randn(config.code_size, config.width, generator=generator) * TABLE_SCALE
        self.register_buffer("table", table)
        self.tokens = nn.Linear(config.width, config.tokens * config.width)
        nn.init.normal_(self.tokens.weight, std=config.width**-0.5)
        nn.init.zeros_(self.tokens.bias)
        self.null_tokens = nn.Parameter(torch.randn(config.tokens, config.width, generator=generator))

    def forward(self, code: Tensor) -> Tensor:
        """Emotion codes [B, T, 27] -> tokens [B, T, E, D_e] of about unit variance."""
        code = self.label_order.code_to_net(code)
        return rearrange(self.tokens(code @ self.table), "b t (e d) -> b t e d", e=self.config.tokens)

    def null(self, n_clips: int, n_frames: int, device: torch.device | str | None = None) -> Tensor:
        """The learned unconditioned tokens, [B, T, E, D_e], on the device of the weights unless another is named."""
        tokens = self.null_tokens if device is None else self.null_tokens.to(device)
        return tokens.expand(n_clips, n_frames, -1, -1)
