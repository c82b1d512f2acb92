"""Who is seen: the identity adapter of a base, against lips that look like everybody's.

After UnAvgLip (2025), from its description: tokens of the face come from a face encoder through a Perceiver resampler
(Alayrac et al. 2022), and cells look at them by attention of their own, beside that to the sound. Two things are ours.
The encoder sees the latents of the reference, so that no other net and no detector stands between an identity loss and
the latents that it is of. It learned heads apart on the lower half alone too, where the lips are.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import DenoiserConfig
from .layers import Attention, FeedForward

EMBEDDING = 64
"""Numbers that say whose face it is."""
LAYERS = 2
HEADS = 4
FEED_FORWARD_MULTIPLIER = 2
GROUPS = 8


class FaceEncoder(nn.Module):
    """Latents of an aligned face to features of its parts, and to one vector that says whose it is."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(c_in, width, 3, stride=stride, padding=1)
            for c_in, stride in ((channels, 1), (width, 2), (width, 1), (width, 2))
        )
        self.norms = nn.ModuleList(nn.GroupNorm(GROUPS, width) for _ in self.convs)
        self.embedding = nn.Linear(width, EMBEDDING)

    def features(self, latents: Tensor) -> Tensor:
        """[B, C, h, w] -> [B, h w / 16, D]"""
        x = latents
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.silu(norm(conv(x)))
        return x.flatten(2).transpose(1, 2)

    def embed(self, latents: Tensor) -> Tensor:
        """Unit vectors [B, EMBEDDING] of latents [B, C, h, w]; cells that are zero say nothing."""
        return F.normalize(self.embedding(self.features(latents).mean(1)), dim=-1)


class IdentityTokens(nn.Module):
    """A few tokens that say who is seen, for attention: a Perceiver resampler over the features of a face."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        width = config.identity_width
        self.face = FaceEncoder(config.latent_channels, width)
        self.queries = nn.Parameter(torch.randn(config.identity_tokens, width) * width**-0.5)
        self.layers = nn.ModuleList(_Resampling(width) for _ in range(LAYERS))
        self.norm = nn.LayerNorm(width)

    def forward(self, reference: Tensor) -> Tensor:
        """Latents of the reference [B, C, h, w] -> tokens [B, n, D]"""
        features = self.face.features(reference)
        tokens = self.queries.expand(len(features), -1, -1)
        for layer in self.layers:
            tokens = layer(tokens, features)
        return self.norm(tokens)


class _Resampling(nn.Module):
    """Tokens look at the features and at one another, then a feed-forward; each a pre-norm residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm_tokens, self.norm_features, self.norm = (nn.LayerNorm(width) for _ in range(3))
        self.attention = Attention(width, width, HEADS)
        self.feed_forward = FeedForward(width, FEED_FORWARD_MULTIPLIER)

    def forward(self, tokens: Tensor, features: Tensor) -> Tensor:
        """tokens [B, n, D], features [B, N, D] -> [B, n, D]"""
        normed = self.norm_tokens(tokens)
        seen = torch.cat((self.norm_features(features), normed), 1)
        tokens = tokens + self.attention(normed, seen)
        return tokens + self.feed_forward(self.norm(tokens))
