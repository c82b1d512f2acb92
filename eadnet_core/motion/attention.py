"""Who listens looks at who speaks: eyes and head of a face that is silent, turned a little to the one that is not.

Our design. The eyes go first and further, the head follows; nobody turns away from the camera altogether.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..config import FPS
from ..taxonomy import MOTION
from .generate import LIMITS
from .smoothing import smoothed

GAZE, YAW = 0.55, 0.1
"""Of a listener whose speaker is right beside: share of what the eyes can turn, and radians of the head."""
DELAY_S = 0.24
"""After which a change of who speaks is noticed."""
STAY_S = 0.8
"""A pause up to this changes nobody's eyes."""
EYES_S, HEAD_S = 0.1, 0.4
"""Seconds to each side over which the turn of the eyes and of the head is smooth."""
_SPEAKS = 0.5


def attention(places: Sequence[tuple[float, float]], voices: np.ndarray) -> np.ndarray:
    """How everybody turns to who speaks: [S, T, 8] in the columns of `taxonomy.MOTION`, to be added by `turned_to`.

    places  where each of the S faces lies on the picture, x and y in pixels
    voices  [S, T]  0 .. 1 where each speaks

    >>> turn = attention([(0.0, 0.0), (100.0, 0.0)], np.array([[1.0] * 50, [0.0] * 50]))
    >>> turn[:, 25, [0, 6]].astype(float).round(2).tolist()
    [[0.0, 0.0], [-0.1, -0.55]]
    """
    n_faces, n_frames = voices.shape
    turns = np.zeros((n_faces, n_frames, len(MOTION)), np.float32)
    for listener in range(n_faces):
        towards = _towards(places, listener)
        whom = _whom(voices, listener)
        aim = np.where(whom[:, None] >= 0, towards[whom.clip(0)], 0.0)
        turns[listener, :, MOTION.index("gaze_x")] = smoothed(GAZE * aim[:, 0], round(EYES_S * FPS))
        turns[listener, :, MOTION.index("gaze_y")] = smoothed(GAZE * aim[:, 1], round(EYES_S * FPS))
        turns[listener, :, MOTION.index("yaw")] = smoothed(YAW * aim[:, 0], round(HEAD_S * FPS))
    return turns


def turned_to(motion: np.ndarray, turn: np.ndarray, head: float = 1.0, gaze: float = 1.0) -> np.ndarray:
    """A motion track [T, 8] that also turns to who speaks, within the limits of heads and eyes.

    turn        [T, 8]  of `attention`
    head, gaze  amplitudes as of `generate_motion`; 0 turns nothing
    """
    result = np.array(motion, np.float32)
    yaw, eyes = MOTION.index("yaw"), [MOTION.index("gaze_x"), MOTION.index("gaze_y")]
    result[:, yaw] = (result[:, yaw] + head * turn[:, yaw]).clip(-LIMITS[yaw], LIMITS[yaw])
    result[:, eyes] = (result[:, eyes] * (1 - 0.5 * np.abs(turn[:, eyes])) + gaze * turn[:, eyes]).clip(-1, 1)
    return result


def _towards(places: Sequence[tuple[float, float]], listener: int) -> np.ndarray:
    """Unit vectors [S, 2] from a listener to everybody; none to the listener."""
    found = np.asarray(places, float) - np.asarray(places[listener], float)
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)


def _whom(voices: np.ndarray, listener: int) -> np.ndarray:
    """Whom a face looks at in each frame [T]: who speaks, and after them nobody; -1 for nobody, and while it speaks."""
    others = voices.copy()
    others[listener] = 0.0
    loudest, speaks = others.argmax(0), others.max(0) >= _SPEAKS
    whom = np.full(voices.shape[1], -1)
    last, since = -1, 0
    for frame in range(len(whom)):
        if voices[listener, frame] >= _SPEAKS:
            last = -1
        elif speaks[frame]:
            last, since = int(loudest[frame]), frame
        elif frame - since > STAY_S * FPS:
            last = -1
        whom[frame] = last
    delay = round(DELAY_S * FPS)
    return np.concatenate([np.full(min(delay, len(whom)), whom[0]), whom])[: len(whom)]
