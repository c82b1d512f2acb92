"""Lips and lids as an outside net sees them: MediaPipe's landmarks, which nothing here was trained with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..media.face.landmark_masks import lid_opening, lip_opening

LEAST_FRAMES = 5
"""Frames with a face below which nothing is said."""


@dataclass(frozen=True)
class LandmarkScores:
    """What the landmarks of a video say; nan where they see a face in fewer than LEAST_FRAMES frames.

    face_found      share of the frames in which they see a face
    lip_opening     median gap of the lips, in distances of the eyes' middles
    lip_amplitude   its 95th less its 5th percentile; real talk has .19 - .37
    lip_speed       mean change of the gap from frame to frame; real talk has .024 - .032
    lid_opening     median gap of the lids, in widths of the eye
    lid_closed      its 2nd percentile over its median: less where the eyes close; FaceMesh follows lids part of the way
    """

    face_found: float
    lip_opening: float
    lip_amplitude: float
    lip_speed: float
    lid_opening: float
    lid_closed: float


def score_landmarks(track: Sequence[np.ndarray | None]) -> LandmarkScores:
    """The figures of the landmarks [468, 2 or 3] of every frame, None where no face was found."""
    present = np.array([points is not None for points in track], bool)
    share = float(present.mean()) if len(track) else 0.0
    if present.sum() < LEAST_FRAMES:
        return LandmarkScores(share, *[float("nan")] * 5)
    points = np.stack([found for found in track if found is not None])
    lips, lids = lip_opening(points), lid_opening(points)
    low, middle, high = np.percentile(lips, (5, 50, 95))
    steps = np.abs(np.diff(lips))[np.diff(np.flatnonzero(present)) == 1]
    lid = float(np.median(lids))
    return LandmarkScores(
        share,
        float(middle),
        float(high - low),
        float(steps.mean()) if len(steps) else float("nan"),
        lid,
        float(np.percentile(lids, 2)) / max(lid, 1e-6),
    )
