"""What a head is drawn on: a picture and the head coordinates of its pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Canvas:
    """A picture under construction and the head coordinates of its pixels."""

    image: Tensor  # [B, 3, H, W] in 0 .. 1
    u: Tensor  # [B, H, W] head coordinates
    v: Tensor
    edge: float  # softness of an edge in head coordinates

    def inside(self, distance: Tensor, softness: float = 1.0) -> Tensor:
        """Coverage 0 .. 1 of a shape given its signed distance (negative inside)."""
        return torch.sigmoid(distance * (-1.0 / (self.edge * softness)))

    def blunt(self, width: float) -> float:
        """The width of a line, widened where a pixel is wider."""
        return max(width, 1.3 * self.edge)

    def paint(self, colour: Tensor, coverage: Tensor) -> None:
        """Lay a colour [B, 3, 1, 1] or [B, 3, H, W] over the picture, in place."""
        self.image.lerp_(colour.expand_as(self.image), coverage.unsqueeze(1))

    def shade(self, factor: Tensor) -> None:
        """Multiply the picture by a factor [B, H, W], in place."""
        self.image.mul_(factor.unsqueeze(1))

    def part(self, top: float, bottom: float, left: float = 0.0, right: float = 1.0) -> Canvas:
        """What lies between these heights and columns (0 .. 1 of the picture): painting on it paints the whole."""
        rows, columns = self.span(top, bottom), self.span(left, right)
        where = (..., rows, columns)
        return Canvas(self.image[where], self.u[where], self.v[where], self.edge)

    def span(self, start: float, end: float) -> slice:
        """The pixels between two positions 0 .. 1."""
        size = self.image.shape[-1]
        return slice(max(0, int(start * size)), min(size, math.ceil(end * size)))
