"""Masks of a face for compositing: its head, its person, the face itself and its mouth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .crop import FaceCrop
from .landmarks import Landmarks, read_landmarks
from .person import head_window, person_alpha, person_in_window
from .regions import above_jaw, face_mask, mouth_mask

MASKS = ("head", "person", "face", "mouth")
"""The masks there are: the alpha of the head, hair included, down to the jaw; that of the whole person; inside the
oval of the face; the lips and what lies between them."""


def masks_of(picture: np.ndarray, face: FaceCrop | None, kinds: tuple[str, ...] = MASKS) -> dict[str, np.ndarray]:
    """Masks of one picture, each uint8 [H, W]; black where there is no face.

    picture  uint8 [H, W, 3]
    face     where its face lies
    kinds    some of MASKS

    >>> int(masks_of(np.zeros((8, 8, 3), np.uint8), None, ("face",))["face"].max())
    0
    """
    size = (picture.shape[1], picture.shape[0])
    if face is None:
        return {kind: np.zeros(size[::-1], np.uint8) for kind in kinds}
    landmarks = read_landmarks(picture, [face])[0]
    made: dict[str, Callable[[], np.ndarray]] = {
        "head": lambda: _above_jaw(picture, face, landmarks),
        "person": lambda: person_alpha(picture, face),
        "face": lambda: face_mask(landmarks, size),
        "mouth": lambda: mouth_mask(landmarks, size),
    }
    return {kind: made[kind]() for kind in kinds}


def head_alpha(picture: np.ndarray, face: FaceCrop) -> np.ndarray:
    """The alpha of the head, uint8 [H, W], of a picture uint8 [H, W, 3]: hair included, cut along the jaw."""
    return masks_of(picture, face, ("head",))["head"]


def _above_jaw(picture: np.ndarray, face: FaceCrop, landmarks: Landmarks) -> np.ndarray:
    size = (picture.shape[1], picture.shape[0])
    alpha = person_in_window(picture, head_window(face, size))
    return (alpha.astype(np.uint16) * above_jaw(landmarks, face, size) // 255).astype(np.uint8)
