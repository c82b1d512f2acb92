"""Stage 4: one face, followed through the clip, large enough and steady.

The face is searched in the whole picture once a second, where exactly one may be; between, it is followed by its
landmarks (`media.face.follow`). Thresholds are our design, on the scale of the training frame: 5 % of frames without
the face; steps of 0.08 sides at the 95th percentile; a drift of 0.75 sides; a growth of 1.6; and a side of the
resolution that is written, so that nothing is enlarged. They are asked of the track as it is cut,
which `follow` smooths: a camera that shakes a little is no reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ...config import FPS
from ...errors import FaceNotFound
from ...media.face.find import find_faces
from ...media.face.follow import follow
from ..video_rules import FACE_LOST, FACES, NO_FACE, SMALL, UNSTEADY, VideoRules

SEARCH_EVERY = FPS


class _SeveralFaces(Exception):
    """Ends a clip at the first picture that shows another face."""


def follow_face(frames: Iterable[np.ndarray], rules: VideoRules) -> dict[str, Any]:
    """JSON values of a clip, uint8 frames [H, W, 3], one at a time.

    `reason`, and unless it is one of the first three: `track` (middle x and y, side in pixels, angle in radians of the
    training frame, for each frame), `side_px` (median), `missed` (share), `step`, `drift`, `growth`.
    """
    try:
        track = follow(_watched(frames), on_missing="hold")
    except _SeveralFaces:
        return {"reason": FACES}
    except FaceNotFound:
        return {"reason": NO_FACE}
    places = np.array([[c.center_x, c.center_y, c.side_px, c.angle] for c in track.crops if c is not None])
    found = {**steadiness(places), "missed": round(len(track.missed) / len(places), 4)}
    reason = FACE_LOST if found["missed"] > rules.most_missed else SMALL if found["side_px"] < rules.size_px else ""
    is_steady = found["step"] <= rules.most_step and found["drift"] <= rules.most_drift
    if not reason and not (is_steady and found["growth"] <= rules.most_growth):
        reason = UNSTEADY
    return {"reason": reason, **found, "track": np.round(places, 4).tolist()}


def _watched(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The frames; raises where one of those that are searched shows several faces."""
    for number, frame in enumerate(frames):
        if number % SEARCH_EVERY == 0 and len(find_faces(frame)) > 1:
            raise _SeveralFaces
        yield frame


def steadiness(places: np.ndarray) -> dict[str, float]:
    """How a track [T, 4] (middle x, y, side, angle) moves: `side_px`, `step`, `drift`, `growth` of `VideoRules`.

    >>> steadiness(np.array([[0.0, 0, 100, 0], [0, 10, 100, 0], [0, 20, 110, 0]]))
    {'side_px': 100.0, 'step': 0.1, 'drift': 0.1, 'growth': 1.1}
    """
    side = float(np.median(places[:, 2]))
    steps = np.linalg.norm(np.diff(places[:, :2], axis=0), axis=1)
    away = np.linalg.norm(places[:, :2] - np.median(places[:, :2], axis=0), axis=1)
    return {
        "side_px": round(side, 2),
        "step": round(float(np.percentile(steps, 95)) / side, 4) if len(steps) else 0.0,
        "drift": round(float(away.max()) / side, 4),
        "growth": round(float(places[:, 2].max() / places[:, 2].min()), 4),
    }
