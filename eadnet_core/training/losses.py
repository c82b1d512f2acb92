"""The losses of every network, as functions of tensors, with their weights as frozen dataclasses.

A weight of 0 switches a loss off: it is not computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ..config import EYE_HALF_DISTANCE, EYE_LINE_Y, MOUTH_Y

MOUTH_BOX = (0.5 - 0.22, MOUTH_Y - 0.14, 0.5 + 0.22, MOUTH_Y + 0.16)
EYES_BOX = (0.5 - EYE_HALF_DISTANCE - 0.13, EYE_LINE_Y - 0.17, 0.5 + EYE_HALF_DISTANCE + 0.13, EYE_LINE_Y + 0.09)
"""x0, y0, x1, y1 in frame widths; roomy, since heads move, and the eyes' box holds the brows."""


@dataclass(frozen=True)
class VAELossWeights:
    """Terms of the image autoencoder."""

    l1: float = 1.0
    mse: float = 4.0
    gradient: float = 0.5
    kl: float = 2e-4
    mouth: float = 3.0
    eyes: float = 2.0
    """Weight of the pixels in the mouth's and the eyes' boxes against 1 elsewhere."""


@dataclass(frozen=True)
class DenoiserLossWeights:
    """Terms of the denoiser; `diffusion` is the x0 error weighted by 1 / max(t, .4)^2."""

    diffusion: float = 1.0
    temporal_difference: float = 0.5
    sync: float = 0.05
    trepa: float = 0.5
    graph: float = 0.01
    emotion: float = 0.02
    emotion_bottleneck: float = 0.0


@lru_cache(maxsize=8)
def region(box: tuple[float, float, float, float], size: int) -> Tensor:
    """Float [size, size], 1 inside `box` and 0 outside."""
    x0, y0, x1, y1 = (min(size, max(0, round(value * size))) for value in box)
    mask = torch.zeros(size, size)
    mask[y0:y1, x0:x1] = 1
    return mask


def region_weights(size: int, weights: VAELossWeights) -> Tensor:
    """Weight of every pixel [size, size], with mean 1."""
    ones = torch.ones(size, size)
    values = torch.maximum(ones, weights.mouth * region(MOUTH_BOX, size))
    values = torch.maximum(values, weights.eyes * region(EYES_BOX, size))
    return values / values.mean()


def reconstruction_loss(images: Tensor, target: Tensor, weights: VAELossWeights) -> Tensor:
    """Weighted L1 + MSE + L1 of picture gradients.

    images, target  [B, 3, H, W]  -1 .. 1
    """
    error = images - target
    area = region_weights(images.shape[-1], weights).to(error)
    total = weights.l1 * (area * error.abs()).mean() + weights.mse * (area * error.square()).mean()
    if weights.gradient:
        across, down = error.diff(dim=-1).abs(), error.diff(dim=-2).abs()
        total = total + weights.gradient * ((area[:, 1:] * across).mean() + (area[1:] * down).mean())
    return total


def kl_loss(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Divergence of N(mean, variance) from N(0, 1), per latent value."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()


def psnr(images: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio in dB of pictures [B, 3, H, W] in -1 .. 1 where `mask` [H, W] is 1, averaged over B.

    >>> round(float(psnr(torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.2))), 4)
    20.0
    """
    squares = ((images.clamp(-1, 1) - target).float() / 2).square().mean(1)
    if mask is not None:
        squares = squares[:, mask.to(squares.device) > 0]
    return (-10 * squares.flatten(1).mean(1).clamp_min(1e-10).log10()).mean()
