"""Whether the background of a turning head stays where it is: textured patches outside the head, frame by frame."""

from __future__ import annotations

import numpy as np

from .face_geometry import OVAL, eye_distance, shrunk

PATCH_PX = 24
PATCH_EYES = 0.5
"""Side of a patch, in eye distances of the portrait; patches are looked at PATCH_PX wide."""
HEAD_GROWTH = 1.4
"""The head lies inside the face's oval grown by this, most hair too; below the chin a body may move."""
LEAST_TEXTURE = 4.0
"""Grey levels by which a patch must vary (standard deviation) to show where it is."""


def background_shift(
    portrait: np.ndarray, frame: np.ndarray, portrait_points: np.ndarray, points: np.ndarray
) -> list[float]:
    """How far each textured patch of the background lies from its place in the portrait, in eye distances.

    portrait, frame          uint8 [H, W, 3]; a frame may lack a row and a column of the portrait
    portrait_points, points  [468, 2 or 3]
    Shifts are found by phase correlation, to a tenth of a patch's pixel; empty where the background is plain, and where
    the pictures differ in size.
    """
    from skimage.registration import phase_cross_correlation

    if max(abs(a - b) for a, b in zip(portrait.shape, frame.shape, strict=True)) > 1:
        return []
    unit = eye_distance(portrait_points)
    side = max(PATCH_PX, round(PATCH_EYES * unit))
    shifts = []
    for y, x in _patches(frame.shape, side, (portrait_points, points)):
        one, other = (_grey_patch(picture, y, x, side) for picture in (portrait, frame))
        if one.std() < LEAST_TEXTURE:
            continue
        shift = phase_cross_correlation(one, other, upsample_factor=10, normalization=None)[0]
        shifts.append(float(np.hypot(*shift)) * side / PATCH_PX / unit)
    return shifts


def _patches(shape: tuple[int, ...], side: int, faces: tuple[np.ndarray, ...]) -> list[tuple[int, int]]:
    """Upper left corners of patches that touch neither head and begin above its chin."""
    found = []
    for y in range(0, shape[0] - side + 1, side):
        for x in range(0, shape[1] - side + 1, side):
            if all(_is_outside(points[list(OVAL), :2], x, y, side) for points in faces):
                found.append((y, x))
    return found


def _is_outside(oval: np.ndarray, x: int, y: int, side: int) -> bool:
    low, high = oval.min(0), oval.max(0)
    centre, half = (low + high) / 2, (high - low) / 2
    if y + side > high[1]:
        return False
    nearest = np.clip(centre, (x, y), (x + side, y + side))
    return float((((nearest - centre) / (half * HEAD_GROWTH)) ** 2).sum()) > 1


def _grey_patch(picture: np.ndarray, y: int, x: int, side: int) -> np.ndarray:
    grey = picture[y : y + side, x : x + side].mean(2)
    small = shrunk(grey, PATCH_PX / side) if side > PATCH_PX else grey
    return (small - small.mean()) * np.hanning(PATCH_PX)[:, None] * np.hanning(PATCH_PX)
