"""Where a face lies exactly: a template of eyes, brows, nose and mouth (our design), fitted around a guess."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from ...config import EYE_HALF_DISTANCE, EYE_LINE_Y, MOUTH_Y
from .crop import FaceCrop

# The template: Gaussian blobs (x from the middle, y, width, height, weight) in frame widths, for darkness, for edges
# that run across, and for edges that run down. Edges carry no sign: eyes are dark on light skin and bright on dark.
_GRID = 32
_LEFT, _TOP, _RIGHT, _BOTTOM = 7, 8, 25, 27
_CHANNEL_WEIGHTS = (0.3, 0.4, 0.3)
_EYE_X = EYE_HALF_DISTANCE
_BLOBS = (
    (
        (_EYE_X, EYE_LINE_Y - 0.01, 0.05, 0.03, 1.0), (0.0, 0.625, 0.045, 0.02, 0.5), (0.0, MOUTH_Y, 0.065, 0.022, 0.4),
        (0.145, 0.555, 0.045, 0.045, -0.7), (0.0, 0.49, 0.03, 0.06, -0.5), (0.0, 0.79, 0.06, 0.03, -0.6),
        (0.0, 0.36, 0.03, 0.04, -0.3),
    ),
    (
        (_EYE_X, EYE_LINE_Y - 0.03, 0.055, 0.045, 1.0), (0.0, MOUTH_Y - 0.03, 0.065, 0.06, 0.9),
        (0.16, 0.56, 0.05, 0.04, -0.8), (0.0, 0.43, 0.03, 0.07, -0.5), (0.2, 0.72, 0.05, 0.05, -0.4),
        (0.0, 0.53, 0.03, 0.03, -0.2),
    ),
    (
        (0.25, 0.55, 0.03, 0.12, 0.6), (0.13, 0.56, 0.05, 0.04, -0.6), (0.0, 0.8, 0.1, 0.03, -0.3),
        (0.0, 0.3, 0.1, 0.05, -0.3), (_EYE_X, EYE_LINE_Y - 0.01, 0.05, 0.03, 0.3),
    ),
)  # fmt: skip
_PRIOR_SHARE = 0.04
_PRIOR_STD = (0.04, 0.05, 0.12, 0.15)
"""How far the cascade is off: x and y in frame widths, logarithm of the side, angle in radians."""


@lru_cache(maxsize=1)
def _template() -> Tensor:
    """[3, h, w], each channel with mean 0 and norm 1."""
    xs, ys = (torch.arange(_LEFT, _RIGHT) + 0.5) / _GRID - 0.5, (torch.arange(_TOP, _BOTTOM) + 0.5) / _GRID
    channels = []
    for blobs in _BLOBS:
        channel = torch.zeros(len(ys), len(xs))
        for x, y, width, height, weight in blobs:
            across = sum(torch.exp(-0.5 * ((xs - side) / width) ** 2) for side in {x, -x})
            channel += weight * torch.exp(-0.5 * ((ys - y) / height) ** 2)[:, None] * across
        channel -= channel.mean()
        channels.append(channel / channel.norm())
    return torch.stack(channels)


@lru_cache(maxsize=32)
def _blur_matrix(n: int, sigma: float) -> Tensor:
    """[n, n]: Gaussian blur along one axis, the ends repeated."""
    at, reach = torch.arange(n), math.ceil(3 * sigma)
    matrix = torch.zeros(n, n)
    for offset in range(-reach, reach + 1):
        matrix[at, (at + offset).clamp(0, n - 1)] += math.exp(-0.5 * (offset / sigma) ** 2)
    return matrix / matrix.sum(1, keepdim=True)


def _blur(x: Tensor, sigma: float) -> Tensor:
    return _blur_matrix(x.shape[-2], sigma * _GRID) @ x @ _blur_matrix(x.shape[-1], sigma * _GRID).T


def _channels(grey: Tensor) -> Tensor:
    """Darkness, edges across and edges down, against the local contrast: [n, 1, h, w] -> [n, 3, h, w]."""
    right = F.pad(grey, (1, 1, 0, 0), mode="replicate").diff(dim=-1)
    down = F.pad(grey, (0, 0, 1, 1), mode="replicate").diff(dim=-2)
    right, down = right[..., 1:] + right[..., :-1], down[..., 1:, :] + down[..., :-1, :]
    contrast = _blur(right.square() + down.square(), 0.2).sqrt() + 0.01
    edges = [_blur((edge.abs() / contrast).clamp(max=3.0), 0.02) for edge in (down, right)]
    darkness = _blur(grey, 0.06) - grey
    darkness = (darkness / (_blur(darkness.square(), 0.2).sqrt() + 0.01)).clamp(-2.0, 2.0)
    return torch.cat([darkness, *edges], dim=1)


def fit(grey: Image.Image, guess: FaceCrop) -> tuple[FaceCrop, float]:
    """The best place of the template around a guess, and its likeness (correlation, -1 .. 1) there."""
    scale = min(1.0, 1.25 * _GRID / guess.side_px)
    # only the surroundings of the face: a large picture must not cost more than a small one
    reach = 1.5 * guess.side_px
    x0, y0 = max(0, int(guess.center_x - reach)), max(0, int(guess.center_y - reach))
    x1, y1 = min(grey.width, math.ceil(guess.center_x + reach)), min(grey.height, math.ceil(guess.center_y + reach))
    size = max(2, round((x1 - x0) * scale)), max(2, round((y1 - y0) * scale))
    patch = grey.crop((x0, y0, x1, y1)).resize(size, Image.Resampling.BOX)
    pixels = torch.from_numpy(np.asarray(patch, dtype=np.float32) / 255.0)
    local = FaceCrop((guess.center_x - x0) * scale, (guess.center_y - y0) * scale, guess.side_px * scale, guess.angle)
    turns = [0.1 * n for n in range(-3, 4)]
    coarse, _ = _search(pixels, local, local, [0.9**n for n in range(-2, 3)], turns, 4)
    fine, likeness = _search(pixels, coarse, local, [0.95, 1.0, 1.05], [-0.05, 0.0, 0.05], 2)
    return FaceCrop(fine.center_x / scale + x0, fine.center_y / scale + y0, fine.side_px / scale, fine.angle), likeness


def _search(
    grey: Tensor, start: FaceCrop, prior: FaceCrop, scales: list[float], turns: list[float], slack: int
) -> tuple[FaceCrop, float]:
    """Try all scales, turns and shifts (up to `slack` cells of the template's grid) of `start` on a picture [H, W]."""
    tried = [
        FaceCrop(start.center_x, start.center_y, start.side_px * s, start.angle + t) for s in scales for t in turns
    ]
    cells = (torch.arange(_GRID + 2 * slack) + 0.5 - slack) / _GRID
    grids = torch.stack([crop.grid(cells, cells, (grey.shape[1], grey.shape[0])) for crop in tried])
    samples = F.grid_sample(
        grey.expand(len(tried), 1, *grey.shape), grids, align_corners=False, padding_mode="border"
    )  # fmt: skip
    channels = _channels(samples)[:, :, _TOP : _BOTTOM + 2 * slack, _LEFT : _RIGHT + 2 * slack]
    template = _template()
    ones, n_cells = torch.ones_like(template)[:, None], template[0].numel()
    sums, squares = F.conv2d(channels, ones, groups=3), F.conv2d(channels.square(), ones, groups=3)
    spread = (squares - sums.square() / n_cells).clamp_min(0.02 * n_cells).sqrt()
    weights = torch.tensor(_CHANNEL_WEIGHTS)[:, None, None]
    likeness = (F.conv2d(channels, template[:, None], groups=3) / spread * weights).sum(1)
    penalties = torch.stack([_distance_from_prior(crop, prior, slack) for crop in tried])
    best = int((likeness - 0.5 * _PRIOR_SHARE * penalties).argmax())
    n_shifts = 2 * slack + 1
    crop, (row, column) = tried[best // n_shifts**2], divmod(best % n_shifts**2, n_shifts)
    x, y = crop.point(0.5 + (column - slack) / _GRID, 0.5 + (row - slack) / _GRID)
    return FaceCrop(x, y, crop.side_px, crop.angle), float(likeness.flatten()[best])


def _distance_from_prior(crop: FaceCrop, prior: FaceCrop, slack: int) -> Tensor:
    """Squared Mahalanobis distance of all shifts of a crop from the cascade's guess, [2 slack + 1, 2 slack + 1]."""
    shifts = torch.arange(-slack, slack + 1) / _GRID
    cos, sin = math.cos(crop.angle) * crop.side_px, math.sin(crop.angle) * crop.side_px
    x = crop.center_x - prior.center_x + shifts[None] * cos - shifts[:, None] * sin
    y = crop.center_y - prior.center_y + shifts[None] * sin + shifts[:, None] * cos
    std_x, std_y, std_side, std_angle = _PRIOR_STD
    rest = (math.log(crop.side_px / prior.side_px) / std_side) ** 2 + ((crop.angle - prior.angle) / std_angle) ** 2
    return (x / prior.side_px / std_x) ** 2 + (y / prior.side_px / std_y) ** 2 + rest
