"""Pictures that stick to a head: drawn once per clip in head coordinates, then looked up in every frame.

What does not change within a clip (skin, hair, dress) can so be as rich as we like, and nothing on it flickers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

FACE_REACH, FRAME_REACH = 0.47, 0.62
"""A texture covers head coordinates -reach .. reach both ways: the face alone, or all that a picture can show."""
FACE_DENSITY, FRAME_DENSITY = 1.2, 1.05
"""Texels per pixel of a head at scale 1."""
FINEST_PX = 2.5
"""Detail whose wavelength is shorter than this in the picture is left out; at twice as much it shows in full."""
_LATTICE = 128


@dataclass(frozen=True)
class Sheet:
    """Head coordinates of a texture's texels, and how large the picture is that will show it."""

    u: Tensor  # [h, w]
    v: Tensor
    size_px: int
    reach: float

    def shows(self, wavelength: float) -> float:
        """How much of a detail of this wavelength, in frame widths, the picture can carry: 0 .. 1."""
        return min(1.0, max(0.0, wavelength * self.size_px / FINEST_PX - 1.0))

    def edge(self, distance: Tensor, softness: float = 1.0) -> Tensor:
        """Coverage 0 .. 1 of a shape given its signed distance (negative inside)."""
        return torch.sigmoid(distance * (-self.size_px / (0.7 * softness)))

    def slopes(self, height: Tensor) -> tuple[Tensor, Tensor]:
        """Slopes along u and v of a height [h, w] in frame widths."""
        per_unit = (height.shape[-1] - 1) / (2 * self.reach)
        along_v, along_u = torch.gradient(height)
        return along_u * per_unit, along_v * per_unit


def sheet(size_px: int, device: torch.device, reach: float, density: float) -> Sheet:
    """An empty texture fit for a picture of this size."""
    axis = torch.linspace(-reach, reach, round(2 * reach * size_px * density), device=device)
    v, u = torch.meshgrid(axis, axis, indexing="ij")
    return Sheet(u, v, size_px, reach)


def sample(texture: Tensor, u: Tensor, v: Tensor, reach: float) -> Tensor:
    """Look a texture [C, h, w] of this reach up at head coordinates [B, H, W]; [B, C, H, W]."""
    where = torch.stack([u, v], -1).mul_(1 / reach)
    texture = texture.unsqueeze(0).expand(len(u), -1, -1, -1)
    return F.grid_sample(texture, where, padding_mode="border", align_corners=True)


def noise(x: Tensor, y: Tensor) -> Tensor:
    """Smooth noise -1 .. 1 with one value per unit cell, the same for the same coordinates; shape of `x`."""
    table = _TABLE.to(x.device)
    where = torch.stack([_on_lattice(x), _on_lattice(y)], -1).view(1, *x.shape, 2)
    return F.grid_sample(table, where, align_corners=True)[0, 0]


def bump(x: Tensor, width: float | Tensor) -> Tensor:
    """About exp(-(x / width)**2), but nought from twice the width on, and free of denormal numbers, which are slow."""
    t = x * (0.5 / width)
    return t.mul_(t).neg_().add_(1).clamp_(min=0).square_().square_()


def _on_lattice(x: Tensor) -> Tensor:
    """Where a coordinate falls in the lattice, -1 .. 1, eased so that noise is smooth across cells."""
    cell = x.floor()
    within = x - cell
    eased = within * within * (3 - 2 * within)
    return (cell - (cell * (1 / _LATTICE)).floor() * _LATTICE + eased) * (2 / _LATTICE) - 1


def layered_noise(x: Tensor, y: Tensor, octaves: int = 3) -> Tensor:
    """Noise of several scales, each half as large and half as strong, about -1 .. 1."""
    total = noise(x, y)
    for n in range(1, octaves):
        # each scale is turned, lest the lattice show
        x, y = 1.72 * x + 1.03 * y + 17.3, 1.72 * y - 1.03 * x + 9.1
        total = total + noise(x, y) * 0.5**n
    return total * 0.6


_TABLE = torch.from_numpy(
    np.pad(np.random.default_rng(71).uniform(-1, 1, (_LATTICE, _LATTICE)), (0, 1), mode="wrap").astype(np.float32)
)[None, None]
