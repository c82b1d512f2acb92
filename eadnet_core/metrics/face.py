"""Mouth, head and eyelids of every frame: by MediaPipe's landmarks, the lids by the reader of controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..media.face.landmark_masks import lip_opening
from ..media.face.landmarks import LEFT_EYE, RIGHT_EYE
from ..taxonomy import CONTROLS
from .followed import follow_face

_BLINK = CONTROLS.index("blink")
_NOSE_BRIDGE, _NOSE_FOOT = 168, 2


@dataclass(frozen=True)
class FaceTrack:
    """One value per frame [T] each; nan throughout where no frame shows a face.

    opening     gap of the lips in eye distances (`media.face.landmark_masks.lip_opening`)
    yaw, pitch  of the head in radians, as in taxonomy.MOTION; pitch has an offset that differs from face to face
    """

    opening: np.ndarray
    yaw: np.ndarray
    pitch: np.ndarray


def read_faces(frames: np.ndarray) -> FaceTrack:
    """The face in every one of uint8 frames [T, H, W, 3]."""
    return face_track(list(follow_face(frames)))


def face_track(landmarks: Sequence[np.ndarray | None]) -> FaceTrack:
    """What landmarks [468, 3] of every frame say; frames without a face are filled in between their neighbours."""
    found = [i for i, points in enumerate(landmarks) if points is not None]
    if not found:
        return FaceTrack(*(np.full(len(landmarks), np.nan) for _ in range(3)))
    points = np.stack([one for one in landmarks if one is not None]).astype(np.float64)
    values = (lip_opening(points), *head_turn(points))
    return FaceTrack(*(np.interp(np.arange(len(landmarks)), found, value) for value in values))


def head_turn(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Yaw and pitch [T] in radians of landmarks [T, 468, 3], by the depth of the eyes and of the nose's ridge."""
    left, right = (points[:, list(eye)].mean(1) for eye in (LEFT_EYE, RIGHT_EYE))
    across, down = right - left, points[:, _NOSE_FOOT] - points[:, _NOSE_BRIDGE]
    yaw = np.arctan2(across[:, 2], np.hypot(across[:, 0], across[:, 1]))
    return yaw, np.arctan2(down[:, 2], np.hypot(down[:, 0], down[:, 1]))


def lid_closure(controls: np.ndarray) -> np.ndarray:
    """How far the eyelids are closed [T], about 0 .. 1, in controls [T, 28] that were read off frames."""
    return controls[:, _BLINK]


def correlation(read: np.ndarray, true: np.ndarray) -> float:
    """Pearson correlation of two tracks [T]; 0 where `read` never moves or is nan, nan where `true` never moves.

    >>> correlation(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0]))
    1.0
    >>> correlation(np.zeros(3), np.array([2.0, 4.0, 6.0]))
    0.0
    """
    a, b = (x.astype(np.float64) - x.mean(dtype=np.float64) for x in (read, true))
    if np.abs(b).max() < 1e-6:
        return float("nan")
    if not np.abs(a).max() >= 1e-6:
        return 0.0
    return float(np.clip((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()), -1.0, 1.0))
