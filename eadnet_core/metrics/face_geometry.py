"""What 468 landmarks say of a face: how large and how turned it is, how far its lips reach, how sharp it is drawn.

Lengths are in eye distances (between the middles of the eyes), so that pictures of any size compare. The landmarks and
their numbers are those of MediaPipe's FaceMesh (arXiv 1907.06724); x and y are pixels of the picture, z is unused.
"""

from __future__ import annotations

import math

import numpy as np

from ..media.face.landmarks import LEFT_EYE, RIGHT_EYE

EYES = (33, 133, 159, 145, 158, 153, 263, 362, 386, 374, 385, 380)
"""Corners of both eyes, and the pairs of their lids that are looked at."""
LIPS = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149),
    *(150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
SHARP_EYE_DISTANCE_PX = 64.0
"""Sharpness is measured with the eyes this far apart, or as they are where they are closer: never enlarged."""
REGIONS = ("mouth", "face", "eyes")
_LUMA = np.array([4899, 9617, 1868], np.int64)
"""Red, green and blue of 16384: the rounding of ITU-R BT.601 to 8 bits."""


def eye_distance(points: np.ndarray) -> float:
    """Pixels between the middles of the eyes, of points [468, 2 or 3]."""
    left, right = (points[list(eye), :2].mean(0) for eye in (LEFT_EYE, RIGHT_EYE))
    return float(np.linalg.norm(right - left)) + 1e-6


def lip_height(points: np.ndarray) -> float:
    """Height of both lips in eye distances: seen where a soft mouth hides the gap."""
    return _distance(points, 0, 17) / eye_distance(points)


def lip_width(points: np.ndarray) -> float:
    """Distance of the corners of the mouth in eye distances."""
    return _distance(points, 61, 291) / eye_distance(points)


def turn(points: np.ndarray) -> float:
    """Where the tip of the nose lies between the cheeks: -1 .. 1, 0 frontal."""
    left, right, nose = (float(points[i, 0]) for i in (234, 454, 1))
    return 2 * (nose - left) / (right - left + 1e-6) - 1


def sharpness(picture: np.ndarray, points: np.ndarray) -> dict[str, float | None]:
    """Variance of the Laplacian by region; None for one with less than 8 pixels in the picture.

    picture  uint8 [H, W, 3]
    """
    places = {"mouth": (LIPS, 1.15), "face": (OVAL, 0.85), "eyes": (EYES, 1.25)}
    shrink = min(1.0, SHARP_EYE_DISTANCE_PX / eye_distance(points))
    return {name: _sharp(picture, points[list(which), :2], grow, shrink) for name, (which, grow) in places.items()}


def _sharp(picture: np.ndarray, points: np.ndarray, grow: float, shrink: float) -> float | None:
    low, high = points.min(0), points.max(0)
    centre, half = (low + high) / 2, (high - low) / 2 * grow
    x0, y0 = (max(0, math.floor(v)) for v in centre - half)
    x1, y1 = (min(math.ceil(v), size) for v, size in zip(centre + half, picture.shape[1::-1], strict=True))
    if x1 - x0 < 8 or y1 - y0 < 8:
        return None
    grey = (picture[y0:y1, x0:x1].astype(np.int64) @ _LUMA + 8192) >> 14
    small = grey.astype(np.float64)
    if any(round(size * shrink) < size for size in grey.shape):  # less than half a pixel smaller would only blur
        small = np.rint(shrunk(small, shrink))
    padded = np.pad(small, 1, mode="reflect")
    edges = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] - 4 * small
    return float(edges.var())


def shrunk(values: np.ndarray, factor: float) -> np.ndarray:
    """Shrink [H, W, ...] by a factor below 1: every pixel is the mean of the area that it covers.

    >>> shrunk(np.array([[1.0, 3.0, 5.0, 7.0]] * 2), 0.5)
    array([[2., 6.]])
    """
    rows, columns = (_area_weights(size, factor) for size in values.shape[:2])
    return np.einsum("yh,hw...,xw->yx...", rows, values, columns, optimize=True)


def _area_weights(size: int, factor: float) -> np.ndarray:
    """[round(size * factor), size] shares of the old pixels in every new one; each row sums to 1."""
    n = max(1, round(size * factor))
    begin = np.arange(n)[:, None] / factor
    end = np.minimum(begin + 1 / factor, size)
    pixel = np.arange(size)[None]
    weights = np.clip(np.minimum(end, pixel + 1) - np.maximum(begin, pixel), 0, None)
    return weights / weights.sum(1, keepdims=True)


def _distance(points: np.ndarray, a: int, b: int) -> float:
    return float(np.linalg.norm(points[a, :2] - points[b, :2]))
