"""Cut the training frame out of a picture, and put a generated one back without a seam."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

_LEFT_TO_SAMPLE = 8
"""Picture pixels per pixel of the frame, along each axis, up to which nothing is reduced before it is sampled."""

_LEVEL = 0.02
"""Radians up to which a face counts as upright: landmarks are no surer of a turn."""


@dataclass(frozen=True)
class FaceCrop:
    """Where the square training frame lies on a picture: its middle and side in pixels, and its clockwise turn.

    It may reach beyond the picture; the picture's edge is repeated there.
    """

    center_x: float
    center_y: float
    side_px: float
    angle: float = 0.0
    """Radians."""

    @property
    def center(self) -> tuple[float, float]:
        """Pixel position of the middle."""
        return self.center_x, self.center_y

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Pixel position of a point of the frame, given in frame widths (0 .. 1).

        >>> FaceCrop(100.0, 100.0, 50.0).point(0.5, 1.0)
        (100.0, 125.0)
        """
        cos, sin = math.cos(self.angle) * self.side_px, math.sin(self.angle) * self.side_px
        return self.center_x + (x - 0.5) * cos - (y - 0.5) * sin, self.center_y + (x - 0.5) * sin + (y - 0.5) * cos

    def in_whole_pixels(self) -> FaceCrop:
        """The nearest frame whose edges lie between pixels, which pastes faster; one that is tilted visibly as it is.

        >>> FaceCrop(100.2, 99.6, 50.7).in_whole_pixels()
        FaceCrop(center_x=100.5, center_y=99.5, side_px=51, angle=0.0)
        """
        if abs(self.angle) > _LEVEL or self.side_px < 1:
            return self
        side = round(self.side_px)
        x0, y0 = round(self.center_x - side / 2), round(self.center_y - side / 2)
        return FaceCrop(x0 + side / 2, y0 + side / 2, side)

    def bounds(
        self, image_size: tuple[int, int], box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    ) -> tuple[int, int, int, int]:
        """The part of a picture (width, height) that the frame touches: x0, y0, x1, y1, whole pixels, end exclusive.

        box  only that part of the frame, x0, y0, x1, y1 in frame widths
        """
        corners = np.array([self.point(x, y) for x in box[::2] for y in box[1::2]])
        x0, y0 = np.floor(corners.min(0)).astype(int)
        x1, y1 = np.ceil(corners.max(0)).astype(int)
        x0, y0 = min(max(0, int(x0)), image_size[0]), min(max(0, int(y0)), image_size[1])
        return x0, y0, max(x0, min(image_size[0], int(x1))), max(y0, min(image_size[1], int(y1)))

    def grid(self, xs: Tensor, ys: Tensor, image_size: tuple[int, int]) -> Tensor:
        """Sampling grid [len(ys), len(xs), 2] for grid_sample of a picture (width, height) at frame positions."""
        cos, sin = math.cos(self.angle) * self.side_px, math.sin(self.angle) * self.side_px
        x = self.center_x + (xs[None] - 0.5) * cos - (ys[:, None] - 0.5) * sin
        y = self.center_y + (xs[None] - 0.5) * sin + (ys[:, None] - 0.5) * cos
        return torch.stack([x / image_size[0] * 2 - 1, y / image_size[1] * 2 - 1], dim=-1)


def crop(image: np.ndarray, geometry: FaceCrop, size_px: int) -> np.ndarray:
    """The training frame of a picture, anti-aliased.

    image    uint8 [H, W, 3]
    returns  uint8 [size_px, size_px, 3]
    """
    x0, y0, x1, y1 = _surroundings(geometry, (image.shape[1], image.shape[0]))
    # a large picture is first reduced by a whole number, so that an 8K portrait costs little more than a small one
    reduced = max(1, int(geometry.side_px / size_px / _LEFT_TO_SAMPLE))
    nearby = np.asarray(Image.fromarray(image[y0:y1, x0:x1]).reduce(reduced))
    part = torch.from_numpy(nearby.transpose(2, 0, 1).astype(np.float32))[None]
    local = FaceCrop(
        (geometry.center_x - x0) / reduced,
        (geometry.center_y - y0) / reduced,
        geometry.side_px / reduced,
        geometry.angle,
    )
    fine = max(1, math.ceil(local.side_px / size_px))
    axis = (torch.arange(size_px * fine) + 0.5) / (size_px * fine)
    grid = local.grid(axis, axis, (part.shape[3], part.shape[2]))[None]
    samples = F.grid_sample(part, grid, mode="bicubic", padding_mode="border", align_corners=False)
    pixels = F.avg_pool2d(samples, fine)[0].permute(1, 2, 0)
    return pixels.clamp(0, 255).round().to(torch.uint8).numpy()


def _surroundings(geometry: FaceCrop, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """`bounds` with 3 pixels around for the interpolation, never empty."""
    x0, y0, x1, y1 = geometry.bounds(size)
    x0, y0 = min(max(0, x0 - 3), size[0] - 1), min(max(0, y0 - 3), size[1] - 1)
    return x0, y0, max(x0 + 1, min(size[0], x1 + 3)), max(y0 + 1, min(size[1], y1 + 3))
