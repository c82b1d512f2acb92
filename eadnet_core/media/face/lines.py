"""Where a face's features lie, drawn as soft lines: what a net is told of a face that it has never seen the like of.

Our design. The lines are drawn from MediaPipe's landmarks, in training as in use, so that a net meets the finder's own
errors while it learns.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .crop import FaceCrop
from .landmarks import read_landmarks

_Chain = tuple[int, ...]
# fmt: off
LINES: dict[str, tuple[_Chain, ...]] = {
    "outer lips": ((61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146, 61),),
    "inner lips": ((78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95, 78),),
    "lids": (
        (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7, 33),
        (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249, 263),
    ),
    "brows": (
        (70, 63, 105, 66, 107), (46, 53, 52, 65, 55), (300, 293, 334, 296, 336), (276, 283, 282, 295, 285),
    ),
    "nose": ((168, 6, 197, 195, 5, 4, 1, 19, 94, 2), (48, 64, 98, 97, 2, 326, 327, 294, 278)),
    "oval": (
        (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149,
         150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109, 10),
    ),
}
# fmt: on
"""Kinds of lines, each as chains of FaceMesh's points."""
WIDTH = 0.012
"""Standard deviation of a line across, in frame widths."""
_REACH = 3.0


def face_lines(frame: np.ndarray, size_px: int) -> np.ndarray:
    """The lines of the face in a training frame, uint8 [S, S, 3] of any size: float32 [6, size_px, size_px], 0 .. 1."""
    side = len(frame)
    points = read_landmarks(frame, [FaceCrop(side / 2, side / 2, side)])[0].xy
    return draw_lines(points / side, size_px)


def draw_lines(points: np.ndarray, size_px: int) -> np.ndarray:
    """Lines of `LINES` through points [468, 2] in frame widths: float32 [6, size_px, size_px], 1 on a line."""
    drawn = np.zeros((len(LINES), size_px, size_px), np.float32)
    for kind, chains in zip(drawn, LINES.values(), strict=True):
        for chain in chains:
            along = points[list(chain)] * size_px
            for start, stop in pairwise(along):
                _draw(kind, start, stop, WIDTH * size_px)
    return drawn


def _draw(image: np.ndarray, start: np.ndarray, stop: np.ndarray, sigma_px: float) -> None:
    """One soft line into [size, size]; where lines meet the stronger counts."""
    low = np.floor(np.minimum(start, stop) - _REACH * sigma_px).astype(int).clip(0, len(image))
    high = np.ceil(np.maximum(start, stop) + _REACH * sigma_px).astype(int).clip(0, len(image))
    if (high <= low).any():
        return
    x = np.arange(low[0], high[0]) + 0.5 - start[0]
    y = (np.arange(low[1], high[1]) + 0.5 - start[1])[:, None]
    dx, dy = stop - start
    share = ((x * dx + y * dy) / max(dx * dx + dy * dy, 1e-9)).clip(0, 1)
    squared = (x - share * dx) ** 2 + (y - share * dy) ** 2
    part = image[low[1] : high[1], low[0] : high[0]]
    np.maximum(part, np.exp(-0.5 * squared / sigma_px**2), out=part)
