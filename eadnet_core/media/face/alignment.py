"""Where LatentSync's weights expect a face: the aligned square, from three points or from our own crop.

The square shows the face larger than our training frame and a third wider than it is: a similarity brings two brow
centres and the middle of the nose close to fixed points of a 75 x 100 box, which is then resized to a square.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from ...config import EYE_LINE_Y
from .crop import FaceCrop

BOX_WIDTH, BOX_HEIGHT = 75, 100
TEMPLATE = ((17.0, 20.0), (58.0, 20.0), (37.5, 40.0))
"""Left and right brow centre (as seen) and the middle of the nose, in box units."""
BOX_SCALE = 2.8
"""Box pixels per box unit where the square has 256 pixels a side."""
_NUDGE_KEPT = 0.2
"""Share of the frame before in LatentSync's nudge."""

BROW_HALF_DISTANCE, BROW_Y, NOSE_Y = 0.145, EYE_LINE_Y - 0.105, EYE_LINE_Y + 0.107
"""Where our training frame has the three points, in frame widths. Set so that eyes and mouth come to lie in the square
where LatentSync's own pictures have them (eyes .29, mouth .63 of its height) with the eyes at .42 of the frame: on real
people our finder cuts the frame about .02 lower than its eye line says, and the mask must begin above the upper lip."""


@dataclass(frozen=True)
class AlignedBox:
    """Where the aligned square lies on a picture: middle and height of its box in pixels, and its clockwise turn.

    Its width is three quarters of its height. Pixel (0, 0) has its middle at (0.5, 0.5), as everywhere here.
    """

    center_x: float
    center_y: float
    height_px: float
    angle: float = 0.0
    """Radians."""

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Pixel position of a point of the square, given in its sides (0 .. 1).

        >>> AlignedBox(100.0, 100.0, 80.0).point(1.0, 0.5)
        (130.0, 100.0)
        """
        across, down = (x - 0.5) * self.height_px * BOX_WIDTH / BOX_HEIGHT, (y - 0.5) * self.height_px
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return self.center_x + across * cos - down * sin, self.center_y + across * sin + down * cos

    def matrix(self, size_px: int) -> np.ndarray:
        """[2, 3] float32: pixel indices of the picture to those of the box, as `align` gives; see `box_size`."""
        height = box_size(size_px)[1]
        scale = height / self.height_px
        cos, sin = scale * math.cos(self.angle), scale * math.sin(self.angle)
        turn = np.array([[cos, sin], [-sin, cos]])
        middle = np.array(box_size(size_px)) / 2 - 0.5
        shift = middle - turn @ np.array([self.center_x - 0.5, self.center_y - 0.5])
        return np.concatenate([turn, shift[:, None]], 1).astype(np.float32)


def box_size(size_px: int) -> tuple[int, int]:
    """(width, height) in pixels of the box of a square of `size_px`.

    >>> box_size(256), box_size(512)
    ((210, 280), (420, 560))
    """
    scale = size_px / 256 * BOX_SCALE
    return int(BOX_WIDTH * scale), int(BOX_HEIGHT * scale)


def align(points: np.ndarray, size_px: int, nudge: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """LatentSync's own alignment, equal to the bit.

    points   [3, 2]  left brow, right brow, nose: x and y of pixel indices; LatentSync rounds them
    nudge            what the call for the frame before returned; None for the first frame
    returns          [2, 3] float32, pixel indices of the picture to those of the box of a square of `size_px`; and the
                     nudge [2]: the distance of the noses when both triangles have unit size, averaged over frames,
                     which is added to the shift and moves the box by less than a pixel
    """
    scale = size_px / 256 * BOX_SCALE
    here = torch.tensor(points, dtype=torch.float32)
    there = torch.tensor(np.array(TEMPLATE) * scale, dtype=torch.float32)
    here_mean, there_mean = here.mean(0), there.mean(0)
    here_unit, there_unit = here - here_mean, there - there_mean
    here_size, there_size = here_unit.std(), there_unit.std()
    here_unit, there_unit = here_unit / here_size, there_unit / there_size
    u, _, vh = torch.linalg.svd(here_unit.T @ there_unit)
    v = vh.T.clone()
    turn = v @ u.T
    if torch.det(turn) < 0:  # a mirror image: the least of the two axes is turned back
        v[:, -1] = -v[:, -1]
        turn = v @ u.T
    shift = there_mean.reshape(2, 1) - (there_size / here_size) * (turn @ here_mean.reshape(2, 1))
    matrix = torch.cat([(there_size / here_size) * turn, shift], 1)
    new = there_unit[2] - here_unit[2]
    mixed = new if nudge is None else torch.from_numpy(nudge) * _NUDGE_KEPT + new * (1 - _NUDGE_KEPT)
    matrix[:, 2] = matrix[:, 2] + mixed
    return matrix.numpy(), mixed.numpy()


def inverse(matrix: np.ndarray) -> np.ndarray:
    """[2, 3] float32: back from the box to the picture."""
    square = torch.cat([torch.from_numpy(matrix), torch.tensor([[0.0, 0.0, 1.0]])])
    return torch.linalg.inv(square)[:2].numpy()


def box_of(matrix: np.ndarray, size_px: int) -> AlignedBox:
    """The box that a matrix of `align` stands for."""
    back = inverse(matrix).astype(np.float64)
    width, height = box_size(size_px)
    x, y = back @ np.array([width / 2 - 0.5, height / 2 - 0.5, 1.0]) + 0.5
    return AlignedBox(
        float(x), float(y), float(height * math.hypot(back[0, 0], back[1, 0])), math.atan2(back[1, 0], back[0, 0])
    )


def brows_and_nose(face: FaceCrop) -> np.ndarray:
    """[3, 2] pixel indices of the left brow, the right brow and the nose of a face, as `align` takes them."""
    frame = ((0.5 - BROW_HALF_DISTANCE, BROW_Y), (0.5 + BROW_HALF_DISTANCE, BROW_Y), (0.5, NOSE_Y))
    return np.array([face.point(x, y) for x, y in frame]) - 0.5


def aligned_box(face: FaceCrop) -> AlignedBox:
    """The aligned box of a face that our own finder has placed; without the nudge, which depends on the turn."""
    matrix, nudge = align(brows_and_nose(face), 256)
    return box_of(np.concatenate([matrix[:, :2], matrix[:, 2:] - nudge[:, None]], 1), 256)
