"""The losses and scores of every network, as functions of tensors, with losses' weights as frozen dataclasses.

A weight of 0 switches a loss off: it is not computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import EYE_HALF_DISTANCE, EYE_LINE_Y, MOUTH_Y

Box = tuple[float, float, float, float]
MOUTH_BOX = (0.5 - 0.22, MOUTH_Y - 0.14, 0.5 + 0.22, MOUTH_Y + 0.16)
EYES_BOX = (0.5 - EYE_HALF_DISTANCE - 0.13, EYE_LINE_Y - 0.17, 0.5 + EYE_HALF_DISTANCE + 0.13, EYE_LINE_Y + 0.09)
"""x0, y0, x1, y1 in frame widths; roomy, since heads move, and the eyes' box holds the brows."""

CONTROL_SPREAD = 0.2
"""Typical spread of a control."""


@dataclass(frozen=True)
class DenoiserLossWeights:
    """Terms of the denoiser, each on its one-step estimate of the clean latents."""

    diffusion: float = 1.0
    """Squared error of x0, times 1 / max(t, .6)^2."""
    temporal_difference: float = 0.5
    """The same of the differences between neighbouring frames."""
    sync: float = 0.03
    """-log cosine of the latent SyncNet."""
    trepa: float = 0.2
    """Distance of video features, generated and real."""
    controls: float = 0.3
    """Squared error of the controls that are read off the latents, in units of their spread."""
    visemes: float = 0.3
    """The same of the lip shapes that a small head reads from the audio encoder's tokens."""
    graph: float = 0.01
    """TFRM's regulariser."""
    emotion_bottleneck: float = 0.02
    """Cross-entropy of a linear emotion classifier on the middle of the net."""
    mouth: float = 6.0
    eyes: float = 5.0
    """Weight of the latent cells in the mouth's and the eyes' boxes against 1 elsewhere, in the first two terms:
    hair and wall say nothing of voice and emotion."""


@lru_cache(maxsize=8)
def region(box: Box, size: int) -> Tensor:
    """Float [size, size], 1 inside `box` and 0 outside."""
    x0, y0, x1, y1 = (min(size, max(0, round(value * size))) for value in box)
    mask = torch.zeros(size, size)
    mask[y0:y1, x0:x1] = 1
    return mask


@lru_cache(maxsize=8)
def region_weights(
    size: int, mouth: float, eyes: float, mouth_box: Box = MOUTH_BOX, eyes_box: Box = EYES_BOX
) -> Tensor:
    """Weight of every pixel or cell [size, size], with mean 1; the boxes are those of the training frame by default."""
    values = torch.maximum(torch.ones(size, size), mouth * region(mouth_box, size))
    values = torch.maximum(values, eyes * region(eyes_box, size))
    return values / values.mean()


def psnr(images: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio in dB of pictures [B, 3, H, W] in -1 .. 1 where `mask` [H, W] is 1, averaged over B.

    >>> round(float(psnr(torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.2))), 4)
    20.0
    """
    squares = ((images.clamp(-1, 1) - target).float() / 2).square().mean(1)
    if mask is not None:
        squares = squares[:, mask.to(squares.device) > 0]
    return (-10 * squares.flatten(1).mean(1).clamp_min(1e-10).log10()).mean()


def correlation(a: Tensor, b: Tensor) -> float:
    """Pearson correlation of two tracks [T]; nan where one of them never moves.

    >>> correlation(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 4.0, 6.0]))
    1.0
    """
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


def diffusion_loss(x0: Tensor, target: Tensor, weight: Tensor, area: Tensor) -> Tensor:
    """Weighted squared error.

    x0, target  [B, C, T, h, w]
    weight      [B]              by noise level
    area        [h, w]           by cell, mean 1
    """
    return (weight * (area * (x0 - target).square()).mean((1, 2, 3, 4))).mean()


def temporal_difference_loss(x0: Tensor, target: Tensor, weight: Tensor, area: Tensor) -> Tensor:
    """`diffusion_loss` of the differences between neighbouring frames; 0 for one frame."""
    if x0.shape[2] < 2:
        return x0.new_zeros(())
    return diffusion_loss(x0.diff(dim=2), target.diff(dim=2), weight, area)


def sync_loss(cosine: Tensor) -> Tensor:
    """-log cosine [B], continued as a straight line under .05 so that windows far out of sync have a gradient too.

    >>> sync_loss(torch.tensor([1.0])).item() == 0, sync_loss(torch.tensor([-1.0])).item() > 20
    (True, True)
    """
    least = 0.05
    return (-cosine.clamp(min=least).log() + (least - cosine).clamp(min=0) / least).mean()


def trepa_loss(features: Tensor, target: Tensor) -> Tensor:
    """Mean squared distance of unit vectors [B, D] (LatentSync, arXiv 2412.09262), summed over D."""
    return (F.normalize(features, dim=-1) - F.normalize(target, dim=-1)).square().sum(-1).mean()
