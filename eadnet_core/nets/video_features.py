"""What TREPA compares: features of short clips, from a small video autoencoder that learned by filling in masked tubes.

TREPA (LatentSync, arXiv 2412.09262) compares generated and real clips in the space of a frozen self-supervised video
encoder. This one follows VideoMAE (Tong et al. 2022) at a small size and reads latents, so that its gradient need not
pass through a decoder.
"""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor, nn

from ..config import VideoFeaturesConfig
from .layers import Attention, FeedForward

FEED_FORWARD_MULTIPLIER = 2
LOWEST_OCTAVE = 6
"""Positions are waves of 4 patches (one octave below pi) to 128 patches long."""
TARGET_EPS = 1e-2
"""Added to the variance of a tube's values when the target is normalised: still tubes must not become noise."""


class VideoFeatures(nn.Module):
    """Masked video autoencoder over latents: `forward` is its training loss, `features` what TREPA compares."""

    def __init__(self, config: VideoFeaturesConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        values = config.in_channels * math.prod(config.patch)
        self.embed = nn.Linear(values, width)
        self.encoder = nn.ModuleList(_Block(width, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.mask_token = nn.Parameter(torch.randn(width) * 0.02)
        self.decoder = _Block(width, config.heads)
        self.predict = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, values))

    def forward(self, latents: Tensor) -> Tensor:
        """Training loss (scalar): mean squared error of the masked tubes, each normalised by itself.

        latents  [B, C, T, h, w]  T and the cells are multiples of the patch
        """
        values = self._patches(latents)
        b, _, n_places, _ = values.shape
        n_kept = max(1, round(n_places * (1 - self.config.mask_ratio)))
        order = torch.rand(b, n_places, device=latents.device).argsort(1)
        kept, hidden = order[:, :n_kept], order[:, n_kept:]
        positions = self._positions(latents).expand(b, -1, -1, -1)
        seen = _at(self.embed(values) + positions, kept)
        seen = self._encode(seen.flatten(1, 2)).view(seen.shape)
        blanks = self.mask_token + _at(positions, hidden)
        tokens = torch.cat((seen + _at(positions, kept), blanks), 2)
        decoded = self.decoder(tokens.flatten(1, 2)).view(tokens.shape)
        target = _at(values, hidden)
        variance, mean = torch.var_mean(target, -1, keepdim=True)
        target = (target - mean) / (variance + TARGET_EPS).sqrt()
        return (self.predict(decoded[:, :, n_kept:]) - target).square().mean()

    def features(self, latents: Tensor) -> Tensor:
        """Pooled features [B, D] of whole clips [B, C, T, h, w], differentiable with respect to the latents."""
        tokens = self.embed(self._patches(latents)) + self._positions(latents)
        return self._encode(tokens.flatten(1, 2)).mean(1)

    def _encode(self, tokens: Tensor) -> Tensor:
        for block in self.encoder:
            tokens = block(tokens)
        return self.norm(tokens)

    def _patches(self, latents: Tensor) -> Tensor:
        """[B, C, T, h, w] -> [B, times, places, values]"""
        pt, ph, pw = self.config.patch
        return rearrange(latents, "b c (t pt) (h ph) (w pw) -> b t (h w) (c pt ph pw)", pt=pt, ph=ph, pw=pw)

    def _positions(self, latents: Tensor) -> Tensor:
        """Sines and cosines of time, row and column, [1, times, places, D]."""
        counts = [n // p for n, p in zip(latents.shape[2:], self.config.patch, strict=True)]
        grid = torch.meshgrid(*(torch.arange(n, device=latents.device) for n in counts), indexing="ij")
        n_rates = math.ceil(self.config.width / 6)
        rates = math.pi / 2 ** torch.linspace(1, LOWEST_OCTAVE, n_rates, device=latents.device)
        angles = torch.cat([axis.unsqueeze(-1) * rates for axis in grid], -1).to(latents.dtype)
        waves = torch.cat((angles.sin(), angles.cos()), -1)[..., : self.config.width]
        return rearrange(waves, "t h w d -> 1 t (h w) d")


class _Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, FEED_FORWARD_MULTIPLIER)

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, L, D] -> [B, L, D]"""
        normed = self.norm1(tokens)
        tokens = tokens + self.attention(normed, normed)
        return tokens + self.feed_forward(self.norm2(tokens))


def _at(values: Tensor, places: Tensor) -> Tensor:
    """Select places [B, m] of values [B, times, places, D] at all times: [B, times, m, D]."""
    index = places[:, None, :, None].expand(-1, values.shape[1], -1, values.shape[-1])
    return values.gather(2, index)
