"""The attentions of LatentSync's U-Net: of cells to one another and to the sound, and of frames to one another."""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor, nn

from ...config import DenoiserConfig
from ..layers import attention

MAX_FRAMES = 24
"""Positions that the motion modules know."""


class BaseAttention(nn.Module):
    """Multi-head attention to a context; q, k, v without bias, the output with one."""

    def __init__(self, config: DenoiserConfig, width: int, context_width: int) -> None:
        super().__init__()
        self.heads = config.heads
        self.backend = config.attention_backend
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(context_width, width, bias=False)
        self.to_v = nn.Linear(context_width, width, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def keys_and_values(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """What does not depend on the tokens: context [N, M, D_c] -> two of [N, M, D]."""
        return self.to_k(context), self.to_v(context)

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """tokens [N, L, D] look at context [N, M, D_c]; returns [N, L, D]."""
        q, k, v = (
            rearrange(x, "n l (heads d) -> n heads l d", heads=self.heads)
            for x in (self.to_q(tokens), *self.keys_and_values(context))
        )
        out = attention(q, k, v, self.backend)
        return self.to_out[0](rearrange(out, "n heads l d -> n l (heads d)"))


class TemporalAttention(BaseAttention):
    """Attention of frames to one another, with their positions added."""

    def __init__(self, config: DenoiserConfig, width: int, context_width: int) -> None:
        super().__init__(config, width, context_width)
        self.pos_encoder = Positions(width)

    def forward(self, tokens: Tensor) -> Tensor:  # type: ignore[override]
        """[N, T, D] -> [N, T, D]"""
        tokens = self.pos_encoder(tokens)
        return super().forward(tokens, tokens)


class Positions(nn.Module):
    """Adds sines and cosines of the frame's place; stored with the weights, as LatentSync does."""

    pe: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        place = torch.arange(MAX_FRAMES).unsqueeze(1)
        angles = place * torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
        self.register_buffer("pe", torch.stack((angles.sin(), angles.cos()), -1).flatten(1).unsqueeze(0))

    def forward(self, tokens: Tensor) -> Tensor:
        """[N, T, D] -> [N, T, D]"""
        return tokens + self.pe[:, : tokens.shape[1]]
