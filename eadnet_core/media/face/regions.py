"""Regions of a face as masks of the whole picture: the face, the mouth, and what lies above the jaw."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from .crop import FaceCrop
from .landmark_masks import LIPS_OUTER, OVAL, in_frame
from .landmarks import Landmarks

_FINER = 4
"""Masks are drawn so many times larger, for soft edges."""
JAW = (454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234)
"""The lower half of the oval, from the ear on the right of the picture over the chin to the other."""
_FAR = 4.0
"""Frame widths that are beyond every picture's head."""


def face_mask(landmarks: Landmarks, size: tuple[int, int]) -> np.ndarray:
    """Inside the oval, brows to chin: uint8 [H, W] of a picture of `size` (width, height)."""
    return _filled(landmarks.xy[list(OVAL)], size)


def mouth_mask(landmarks: Landmarks, size: tuple[int, int]) -> np.ndarray:
    """The lips and what lies between them: uint8 [H, W]."""
    return _filled(landmarks.xy[list(LIPS_OUTER)], size)


def above_jaw(landmarks: Landmarks, face: FaceCrop, size: tuple[int, int]) -> np.ndarray:
    """All that lies above the jaw, and beside the face above the level of the chin, such as hair: uint8 [H, W]."""
    jaw = in_frame(landmarks.xy[list(JAW)], face)
    chin = float(jaw[:, 1].max())
    right, left = jaw[0, 0], jaw[-1, 0]
    around = [(left, chin), (-_FAR, chin), (-_FAR, -_FAR), (_FAR, -_FAR), (_FAR, chin), (right, chin)]
    outline = [*jaw.tolist(), *around]
    return _filled(np.array([face.point(x, y) for x, y in outline]), size)


def _filled(corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A polygon with soft edges, uint8 [H, W]; only the part of the picture that it touches is drawn."""
    mask = np.zeros(size[::-1], np.uint8)
    x0, y0 = (min(max(0, math.floor(v)), end) for v, end in zip(corners.min(0), size, strict=True))
    x1, y1 = (min(max(0, math.ceil(v) + 1), end) for v, end in zip(corners.max(0), size, strict=True))
    if x1 <= x0 or y1 <= y0:
        return mask
    drawn = Image.new("L", ((x1 - x0) * _FINER, (y1 - y0) * _FINER))
    local = (corners - (x0, y0)) * _FINER - 0.5
    ImageDraw.Draw(drawn).polygon([(float(x), float(y)) for x, y in local], fill=255)
    mask[y0:y1, x0:x1] = np.asarray(drawn.reduce(_FINER))
    return mask
