"""The judge of lip sync: frames of the mouth and the sound of the same moment meet in one space.

Two of them exist. In latent space it supervises training and guides sampling; in pixel space, trained apart, it scores
finished videos. The one that guides never scores. Architecture: SyncNet (Chung and Zisserman 2016), at a few hundred
thousand parameters.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ..config import N_MELS, SyncNetConfig
from .layers import MEL_SILENCE, ConvNorm, ResidualConv

PIXEL_CROP = (70, 118, 28, 100)
"""Rows and columns of the mouth and jaw in a 128-pixel training frame: top, bottom, left, right."""
MEL_WIDTHS = (96, 128, 128)
INITIAL_SCALE = 1 / 0.07


class SyncNet(nn.Module):
    """Embeds windows of frames and their log-mel; cosine similarity says whether they belong together."""

    def __init__(self, config: SyncNetConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.frames * config.in_channels
        w0, w1, w2 = config.widths
        if config.space == "pixels":
            stem = [ConvNorm(channels, w0 // 2, stride=2), ConvNorm(w0 // 2, w0, stride=2)]
            top, bottom, left, right = PIXEL_CROP
            grid = math.ceil((bottom - top) / 16) * math.ceil((right - left) / 16)
        else:
            stem = [ConvNorm(channels, w0), ConvNorm(w0, w0)]
            grid = 2 * 4
        self.frame_net = nn.Sequential(
            *stem, ConvNorm(w0, w1, stride=2), ResidualConv(w1), ConvNorm(w1, w2, stride=2), nn.Flatten()
        )
        self.frame_out = nn.Linear(grid * w2, config.embedding)
        m0, m1, m2 = MEL_WIDTHS
        self.mel_net = nn.Sequential(
            _MelConv(N_MELS, m0, 5, 1), _MelConv(m0, m1, 3, 2), _MelConv(m1, m2, 3, 2), nn.Flatten()
        )
        mel_steps = math.ceil((4 * config.frames + 2 * config.mel_context) / 4)
        self.mel_out = nn.Linear(mel_steps * m2, config.embedding)
        self.log_scale = nn.Parameter(torch.tensor(math.log(INITIAL_SCALE)))

    def embed_frames(self, frames: Tensor) -> Tensor:
        """Whole frames, cropped to the mouth region here, to unit vectors.

        frames   [B, 5, C, h, w]  latents of 16x16 cells, or pictures [B, 5, 3, 128, 128] in -1 .. 1
        returns  [B, D]           unit norm
        """
        if self.config.space == "pixels":
            top, bottom, left, right = PIXEL_CROP
            crop = frames[..., top:bottom, left:right]
        else:
            crop = frames[..., frames.shape[-2] // 2 :, :]
        x = rearrange(crop, "b t c h w -> b (t c) h w").contiguous(memory_format=torch.channels_last)
        return F.normalize(self.frame_out(self.frame_net(x)), dim=-1)

    def embed_audio(self, mel: Tensor) -> Tensor:
        """Log-mel [B, 4 * frames + 2 * mel_context, 80] to unit vectors [B, D]."""
        x = rearrange(mel - MEL_SILENCE, "b n mels -> b mels n")
        return F.normalize(self.mel_out(self.mel_net(x)), dim=-1)

    def similarity(self, frames: Tensor, mel: Tensor) -> Tensor:
        """Cosine similarity [B] of windows of frames and of sound (shapes as in embed_frames and embed_audio)."""
        return (self.embed_frames(frames) * self.embed_audio(mel)).sum(-1)


class _MelConv(nn.Sequential):
    """1-D convolution over mel steps, GroupNorm, SiLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int) -> None:
        super().__init__(
            nn.Conv1d(in_channels, out_channels, kernel, stride, kernel // 2),
            nn.GroupNorm(out_channels // 16, out_channels),
            nn.SiLU(),
        )
