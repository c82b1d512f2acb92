"""The style of a speaker: read off a clip by one net, and told to the denoiser by an adapter (our design, ADR 53).

After the style prior of SVP (2025): a Gaussian of style from sound and expression, in which clips of one speaker lie
together. Here its axes are traits that have names, so that a style can be read by people and set by hand.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..taxonomy import ACTION_UNITS, FACE_TRAITS, TRAITS, VISEME_PARAMETERS
from .adapters import NormAttention

LEAST_SD = 0.05
_KERNEL, _STRIDE = 5, 2
_FACE = [TRAITS.index(name) for name in FACE_TRAITS]


@dataclass(frozen=True)
class StyleConfig:
    """What reads the style of a speaker off a clip, and the adapter that tells a mini's denoiser of it."""

    observed: int = len(VISEME_PARAMETERS) + len(ACTION_UNITS) + 7
    """Numbers a frame: lips and action units, yaw, pitch, roll, lids, gaze, loudness and stress of the voice."""
    widths: tuple[int, ...] = (48, 48, 64)
    hidden: int = 64
    tokens: int = 4
    token_width: int = 32
    places: tuple[int, ...] = (128, 192, 128)
    """Widths of the denoiser wherever it looks at sound and emotion, in the order of computing."""
    heads: int = 8


class StyleEncoder(nn.Module):
    """What is seen and heard of somebody for a few seconds -> a Gaussian over traits."""

    def __init__(self, config: StyleConfig) -> None:
        super().__init__()
        widths = (config.observed, *config.widths)
        self.convs = nn.ModuleList(
            nn.Conv1d(a, b, _KERNEL, stride=_STRIDE, padding=_KERNEL // 2) for a, b in itertools.pairwise(widths)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(1, width) for width in config.widths)
        self.mix = nn.Linear(2 * sum(widths), config.hidden)
        self.out = nn.Linear(config.hidden, 2 * len(TRAITS))

    def forward(self, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Means and standard deviations of traits, [B, 8] each, of what was observed, [B, T, O]; T is 25 or more."""
        x = observed.transpose(1, 2)
        pooled = [x.mean(2), x.std(2)]
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.silu(norm(conv(x)))
            pooled += [x.mean(2), x.std(2)]
        mean, spread = self.out(F.silu(self.mix(torch.cat(pooled, 1)))).chunk(2, 1)
        return mean, LEAST_SD + (1 - LEAST_SD) * spread.sigmoid()


class StyleTokens(nn.Module):
    """Traits to a few tokens for attention. Those of the average speaker are zero, and so are their values."""

    def __init__(self, config: StyleConfig) -> None:
        super().__init__()
        self.n_tokens = config.tokens
        self.lift = nn.Linear(len(FACE_TRAITS), config.hidden)
        self.out = nn.Linear(config.hidden, config.tokens * config.token_width, bias=False)

    def forward(self, traits: Tensor) -> Tensor:
        """Tokens [B, n, D] of traits [B, 8]; of these only FACE_TRAITS count."""
        told = traits[:, _FACE]
        lifted = F.silu(self.lift(told)) - F.silu(self.lift(torch.zeros_like(told)))
        return self.out(lifted).unflatten(1, (self.n_tokens, -1))


class StyleAdapter(nn.Module):
    """What is added to a denoiser: tokens of a style, and for every place there an attention that looks at them.

    It begins as nothing, and for the average speaker it stays nothing.
    """

    def __init__(self, config: StyleConfig) -> None:
        super().__init__()
        self.places = config.places
        self.tokens = StyleTokens(config)
        self.attentions = nn.ModuleList(
            NormAttention(width, config.token_width, config.heads, "sdpa", 0.0) for width in config.places
        )
        self.keep_still()

    def keep_still(self) -> None:
        """Leave what would move the average speaker out of training: the biases of the outputs, which are zero."""
        for attention in self.attentions:
            attention.get_parameter("attention.to_out.bias").requires_grad_(False)
