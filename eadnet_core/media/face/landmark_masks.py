"""Landmarks as masks of regions and as numbers: how far lips and lids are open.

The indices are those of MediaPipe's FaceMesh.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from .crop import FaceCrop
from .landmarks import LEFT_EYE, RIGHT_EYE

LIPS_OUTER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
LIPS_INNER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
_AROUND_LIDS = (
    (247, 30, 29, 27, 28, 56, 190, 243, 112, 26, 22, 23, 24, 110, 25, 130),
    (467, 260, 259, 257, 258, 286, 414, 463, 341, 256, 252, 253, 254, 339, 255, 359),
)
OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
MASKS = ("face", "lips", "mouth", "lids")
"""The masks of `landmark_masks`: inside the oval; the lips; what lies between them; the eyes with their lids."""
_FINER = 4
"""Masks are drawn so many times larger, for soft edges."""
_INNER_GAPS = ((13, 14), (82, 87), (312, 317))
_LID_GAPS = (((159, 145), (158, 153)), ((386, 374), (385, 380)))


def in_frame(points: np.ndarray, face: FaceCrop) -> np.ndarray:
    """Points [..., 2] in pixels of a picture as points of a training frame, in frame widths.

    >>> in_frame(np.array([[100.0, 125.0]]), FaceCrop(100.0, 100.0, 50.0)).tolist()
    [[0.5, 1.0]]
    """
    cos, sin = math.cos(face.angle) / face.side_px, math.sin(face.angle) / face.side_px
    x, y = points[..., 0] - face.center_x, points[..., 1] - face.center_y
    return np.stack([x * cos + y * sin + 0.5, y * cos - x * sin + 0.5], -1)


def landmark_masks(landmarks: np.ndarray, size_px: int) -> dict[str, np.ndarray]:
    """Where the regions of a face lie: for each of MASKS, float32 [size_px, size_px], 0 .. 1 with soft edges.

    landmarks  [468, 2] in frame widths (`in_frame`)
    """
    mouth = _filled(landmarks, (LIPS_INNER,), size_px)
    return {
        "face": _filled(landmarks, (OVAL,), size_px),
        "lips": np.clip(_filled(landmarks, (LIPS_OUTER,), size_px) - mouth, 0.0, 1.0),
        "mouth": mouth,
        "lids": _filled(landmarks, _AROUND_LIDS, size_px),
    }


def _filled(landmarks: np.ndarray, outlines: tuple[tuple[int, ...], ...], size_px: int) -> np.ndarray:
    drawn = Image.new("L", (size_px * _FINER, size_px * _FINER))
    pen = ImageDraw.Draw(drawn)
    for outline in outlines:
        corners = landmarks[list(outline)] * (size_px * _FINER) - 0.5
        pen.polygon([(float(x), float(y)) for x, y in corners], fill=255)
    return np.asarray(drawn.reduce(_FINER), np.float32) / 255.0


def lip_opening(points: np.ndarray) -> np.ndarray:
    """How far the lips are apart: the mean of three inner gaps in distances of the eyes' middles.

    points   [..., 468, 2 or 3]  x and y in any unit
    returns  [...]  about 0 closed, .3 wide open; real talk spans .19 - .37 from its 5th to its 95th percentile
    """
    eyes = [points[..., list(eye), :2].mean(-2) for eye in (LEFT_EYE, RIGHT_EYE)]
    apart = np.linalg.norm(eyes[0] - eyes[1], axis=-1) + 1e-6
    return _gaps(points, _INNER_GAPS) / apart


def lid_opening(points: np.ndarray) -> np.ndarray:
    """How far both eyes are open: the gap of the lids in widths of the eye.

    points   [..., 468, 2 or 3]  x and y in any unit
    returns  [...]  about .3 open; FaceMesh follows lids that close only part of the way
    """
    sides = []
    for (outer, inner), gaps in zip((LEFT_EYE, RIGHT_EYE), _LID_GAPS, strict=True):
        width = np.linalg.norm(points[..., outer, :2] - points[..., inner, :2], axis=-1) + 1e-6
        sides.append(_gaps(points, gaps) / width)
    return (sides[0] + sides[1]) / 2


def _gaps(points: np.ndarray, pairs: tuple[tuple[int, int], ...]) -> np.ndarray:
    gaps = [np.linalg.norm(points[..., a, :2] - points[..., b, :2], axis=-1) for a, b in pairs]
    return np.mean(gaps, axis=0)
