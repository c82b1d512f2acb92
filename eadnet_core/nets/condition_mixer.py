"""What a frame is made from, mixed into one vector that layers are modulated with.

Each part is brought to unit variance: else the net ignores the faint ones.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import DenoiserConfig
from ..sampling.prediction import prediction_of

TIME_WIDTH = 128
AUDIO_QUERIES = 3
MOTION_SIZE = (0.3, 0.25, 0.2, 0.06, 0.06, 0.5, 0.5, 0.5)
"""Usual size of each motion channel (taxonomy.MOTION: radians, frame widths, closure, gaze); divided by it, all are
about 1."""
MOTION_FREQUENCIES = (math.pi / 4, math.pi / 2, math.pi)


class ConditionMixer(nn.Module):
    """All conditions of a frame in one vector."""

    motion_size: Tensor
    motion_frequencies: Tensor

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.time_scale = prediction_of(config).time_scale
        self.time_norm = nn.LayerNorm(TIME_WIDTH)
        self.audio_queries = nn.Parameter(torch.randn(AUDIO_QUERIES, config.audio_width) * config.audio_width**-0.5)
        self.audio_norm = nn.LayerNorm(AUDIO_QUERIES * config.audio_width)
        self.register_buffer("motion_size", torch.tensor(MOTION_SIZE), persistent=False)
        self.register_buffer("motion_frequencies", torch.tensor(MOTION_FREQUENCIES), persistent=False)
        motion_features = config.motion_size * (1 + 2 * len(MOTION_FREQUENCIES)) + 1
        width = TIME_WIDTH + config.emotion_width + AUDIO_QUERIES * config.audio_width + motion_features
        self.mix = nn.Linear(width, config.condition_width)
        nn.init.normal_(self.mix.weight, std=width**-0.5)

    def forward(self, time: Tensor, audio: Tensor, emotion: Tensor, motion: Tensor, motion_known: Tensor) -> Tensor:
        """time [B], audio [B, T, S, D_a], emotion [B, T, E, D_e], motion [B, T, 8], motion_known [B, T] -> [B T, D]"""
        b, n_frames, n_tokens, _ = emotion.shape
        time_features = self.time_norm(fourier_time(time * self.time_scale, TIME_WIDTH).to(motion.dtype))
        shares = (audio @ self.audio_queries.t()).softmax(2)
        heard = self.audio_norm((shares.transpose(2, 3) @ audio).flatten(2))
        scaled = motion / self.motion_size
        waves = (scaled.unsqueeze(-1) * self.motion_frequencies).flatten(2)
        known = motion_known.unsqueeze(-1).to(motion.dtype)
        moved = torch.cat((scaled, waves.sin(), waves.cos()), -1) * known
        parts = (
            time_features.unsqueeze(1).expand(b, n_frames, -1),
            emotion.mean(2) * n_tokens**0.5,
            heard,
            moved,
            known,
        )
        return F.silu(self.mix(torch.cat(parts, -1))).flatten(0, 1)


def fourier_time(time: Tensor, width: int) -> Tensor:
    """Sines and cosines of noise times [B] at wavelengths from 2 pi to 20,000 pi, [B, width].

    >>> fourier_time(torch.zeros(1), 4).tolist()
    [[0.0, 0.0, 1.0, 1.0]]
    """
    rates = torch.exp(-math.log(10_000) * torch.arange(width // 2, device=time.device) / (width // 2))
    angles = time.float().unsqueeze(1) * rates
    return torch.cat((angles.sin(), angles.cos()), 1)
