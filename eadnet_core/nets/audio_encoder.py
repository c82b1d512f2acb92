"""Sound for the denoiser: log-mel to a few tokens around every frame.

A convolutional encoder over about +-0.2 s. It sees each mel step through the same weights and normalises step by
step, so a token does not depend on where its window begins.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ..config import N_MELS, AudioConfig
from .layers import MEL_SILENCE, SMALL_INIT

STEPS_PER_FRAME = 2
"""Encoder steps per video frame: 50 Hz at 25 frames per second."""


class AudioEncoder(nn.Module):
    """Log-mel at 100 Hz -> S tokens per frame: the 50 Hz steps around the frame, marked by their offset from it."""

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.stem = nn.Conv1d(N_MELS, width, 5, 2, 2)
        self.blocks = nn.ModuleList(_DilatedBlock(width, 1 + i) for i in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.offsets = nn.Parameter(torch.zeros(config.tokens_per_frame, width))
        nn.init.normal_(self.offsets, std=0.5)

    def forward(self, mel: Tensor) -> Tensor:
        """Encode whole clips.

        mel      [B, 4 T, 80]    log-mel of `media.audio.log_mel`
        returns  [B, T, S, D_a]  token s of frame i is encoder step 2 i - (S - 2) / 2 + s; zeros beyond the ends
        """
        x = self.stem(rearrange(mel - MEL_SILENCE, "b n mels -> b mels n"))
        x = rearrange(x, "b d n -> b n d")
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        s = self.config.tokens_per_frame
        before = (s - STEPS_PER_FRAME) // 2
        x = F.pad(x, (0, 0, before, s - STEPS_PER_FRAME - before))
        return rearrange(x.unfold(1, s, STEPS_PER_FRAME), "b t d s -> b t s d") + self.offsets


class _DilatedBlock(nn.Module):
    """x + convolution over 3 steps `dilation` apart, with LayerNorm per step."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.conv = nn.Conv1d(width, 2 * width, 3, padding=dilation, dilation=dilation)
        self.out = nn.Linear(width, width)
        self.out.weight.data.mul_(SMALL_INIT)

    def forward(self, x: Tensor) -> Tensor:
        """[B, n, D] -> [B, n, D]"""
        y = rearrange(self.conv(rearrange(self.norm(x), "b n d -> b d n")), "b d n -> b n d")
        value, gate = y.chunk(2, dim=-1)
        return x + self.out(value * F.silu(gate))
