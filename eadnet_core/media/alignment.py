"""Where LatentSync's weights expect a face: the aligned square, from three points or from our own crop, held steady.

The square shows the face larger than our training frame and a third wider than it is: a similarity brings two brow
centres and the middle of the nose close to fixed points of a 75 x 100 box, which is then resized to a square.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..config import EYE_LINE_Y
from ..errors import FaceNotFound
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

_SIGMA_PLACE, _SIGMA_SHAPE = 2.5, 5.0
"""Frames over which place, and size and turn, are smoothed: heads nod faster than they grow."""
_REACH = 3
"""Sigmas to either side that count."""
_ROBUST_STEPS = 3
_OUTLIER = 0.25
"""A face further than this from the median of the frames around it, in heights of the box (or in logarithms of size,
or in radians), was misread."""
_MEDIAN_REACH = 4
_CUT = 0.3
"""A jump of this many heights from one frame to the next that stays is a cut: nothing is smoothed across it."""


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


def smooth(track: Sequence[AlignedBox | None]) -> list[AlignedBox]:
    """A steady track from boxes that were found frame by frame.

    track    one box for each frame; None where no face was found: filled evenly between its neighbours, held at ends
    returns  one box for each frame

    Our design: boxes far from the median around them are dropped as misread; what is left is split at cuts; in each
    part a parabola is fitted around every frame, with less weight to what it does not explain. Frames are pasted back
    through the same boxes, so smoothing moves the face inside the square a little, never on the picture.
    Raises FaceNotFound where no frame has a box.
    """
    known = np.array([i for i, box in enumerate(track) if box is not None])
    if not len(known):
        raise FaceNotFound(f"No face in any of {len(track)} frames. Lower face_threshold, or give a face_box.")
    boxes = [box for box in track if box is not None]
    values = np.array([[b.center_x, b.center_y, math.log(b.height_px), b.angle] for b in boxes])
    values[:, 3] = np.unwrap(values[:, 3])
    keep = _believable(values)
    known, values = known[keep], values[keep]
    cuts = np.flatnonzero(_jumps(values) > _CUT) + 1
    parts = [_smooth_part(at, part) for at, part in zip(np.split(known, cuts), np.split(values, cuts), strict=True)]
    at = np.concatenate([part[0] for part in parts])
    rows = np.concatenate([part[1] for part in parts])
    # a gap at a cut is held from both sides, not crossed
    nearest = np.abs(np.arange(len(track))[:, None] - at).argmin(1)
    return [AlignedBox(float(x), float(y), math.exp(size), float(turn)) for x, y, size, turn in rows[nearest]]


def _jumps(values: np.ndarray) -> np.ndarray:
    """How far the middle moves from one row to the next, in heights: [n, 4] -> [n - 1]."""
    return np.hypot(*np.diff(values[:, :2], axis=0).T) / np.exp(values[1:, 2])


def _believable(values: np.ndarray) -> np.ndarray:
    """Which rows lie near the median of those around them: [n, 4] -> bool [n]."""
    if len(values) < 3:
        return np.ones(len(values), bool)
    reach = min(_MEDIAN_REACH, (len(values) - 1) // 2)
    # the rows around, near the ends as many as in the middle
    first = np.clip(np.arange(len(values)) - reach, 0, len(values) - 2 * reach - 1)
    median = np.median(values[first[:, None] + np.arange(2 * reach + 1)], axis=1)
    off = np.abs(values - median)
    off[:, :2] /= np.exp(median[:, 2:3])
    return (off <= _OUTLIER).all(1)


def _smooth_part(at: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(every frame from the first to the last of `at`, smoothed values [n, 4]) of one uncut part."""
    frames = np.arange(at[0], at[-1] + 1)
    even = np.stack([np.interp(frames, at, column) for column in values.T], 1)
    found = np.isin(frames, at).astype(np.float64)
    sigmas = (_SIGMA_PLACE, _SIGMA_PLACE, _SIGMA_SHAPE, _SIGMA_SHAPE)
    columns = [_fit(column, found, sigma) for column, sigma in zip(even.T, sigmas, strict=True)]
    return frames, np.stack(columns, 1)


def _fit(values: np.ndarray, found: np.ndarray, sigma: float) -> np.ndarray:
    """Values [n] of local parabolas under a Gaussian weight; filled frames count a tenth."""
    reach = math.ceil(_REACH * sigma)
    offsets = np.arange(-reach, reach + 1) / sigma
    kernel = np.exp(-0.5 * offsets**2)
    powers = offsets[:, None] ** np.arange(3)
    weights = np.where(found > 0, 1.0, 0.1)
    padded = np.pad(values, reach)
    fitted = values
    for _ in range(_ROBUST_STEPS):
        around = np.lib.stride_tricks.sliding_window_view(np.pad(weights, reach), 2 * reach + 1) * kernel
        seen = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
        normal = np.einsum("nw,wi,wj->nij", around, powers, powers)
        # a little stiffness decides slope and bend where too few frames do
        normal += np.diag([0.0, 1e-6, 1e-3])
        middle = values[:, None]
        right = np.einsum("nw,wi,nw->ni", around, powers, seen - middle)
        fitted = values + np.linalg.solve(normal, right[..., None])[:, 0, 0]
        rest = np.abs(values - fitted)
        spread = 6 * max(float(np.median(rest)), 1e-9)
        weights = np.where(found > 0, 1.0, 0.1) * np.clip(1 - (rest / spread) ** 2, 0.01, 1) ** 2
    return fitted
