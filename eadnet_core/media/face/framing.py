"""How a model looks at a face: the square that is cut out around it, and how what it made of that is put back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from .aligned_crop import crop_aligned, paste_aligned
from .alignment import aligned_box
from .crop import FaceCrop, crop
from .landmark_masks import LIPS_OUTER, in_frame
from .landmarks import LEAST_PRESENT, read_landmarks
from .paste import Paster

Paste = Callable[[np.ndarray], np.ndarray]
"""A generated square, uint8 [size, size, 3] -> the full picture, uint8 [H, W, 3]."""


@dataclass(frozen=True)
class Framing:
    """A way to cut and to paste.

    cut     (picture uint8 [H, W, 3], face, size_px) -> uint8 [size_px, size_px, 3]
    paster  (picture, face, size_px, mask of config.MASK_BOXES) -> Paste
    """

    cut: Callable[[np.ndarray, FaceCrop, int], np.ndarray]
    paster: Callable[[np.ndarray, FaceCrop, int, str], Paste]


def aligned_mask(mask: str) -> str:
    """The mask of the aligned square, one of aligned_crop.MASKS, that comes nearest to one of config.MASK_BOXES."""
    return "lower" if mask == "mouth" else "full"


def _paster(picture: np.ndarray, face: FaceCrop, size_px: int, mask: str) -> Paste:
    """Pastes squares; of a mouth's, all that shows the old lips or the new ones."""
    if mask != "mouth":  # the others reach far beyond the lips
        return Paster(picture, face, size_px, mask).paste
    seen = lips_of(picture, face)
    whole = FaceCrop(size_px / 2, size_px / 2, size_px)

    def paste(frame: np.ndarray) -> np.ndarray:
        return Paster(picture, face, size_px, mask, [*seen, *lips_of(frame, whole)]).paste(frame)

    return paste


def lips_of(picture: np.ndarray, face: FaceCrop) -> list[np.ndarray]:
    """The outline of the lips that a picture shows, [20, 2] in frame widths; nothing where no face is seen."""
    found = read_landmarks(picture, [face])[0]
    if found.presence < LEAST_PRESENT or not np.isfinite(found.xy).all():
        return []
    return [in_frame(found.xy[list(LIPS_OUTER)], face)]


def _cut_aligned(picture: np.ndarray, face: FaceCrop, size_px: int) -> np.ndarray:
    return crop_aligned(picture, aligned_box(face), size_px)


def _aligned_paster(picture: np.ndarray, face: FaceCrop, size_px: int, mask: str) -> Paste:
    return partial(_paste_aligned, picture, face, aligned_mask(mask))


def _paste_aligned(picture: np.ndarray, face: FaceCrop, kind: str, frame: np.ndarray) -> np.ndarray:
    return paste_aligned(picture, aligned_box(face), frame, kind)


FRAME = Framing(crop, _paster)
"""Our training frame, head and hair."""
SQUARE = Framing(_cut_aligned, _aligned_paster)
"""LatentSync's aligned square."""
