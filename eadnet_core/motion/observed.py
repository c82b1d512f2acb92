"""What the reader of styles is told of a clip, frame by frame, whoever found it: the corpus, or a reader of videos."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..taxonomy import ACTION_UNITS, MOTION, VISEME_PARAMETERS
from .generate import accents

ANGLE = 0.1
"""Radians of the head that count as one."""
PART_FRAMES, LEAST_FRAMES = 125, 50
"""A style is read off parts of a clip, of 5 s each; the last may be shorter, but not than this."""
_N_FACE = len(VISEME_PARAMETERS) + len(ACTION_UNITS)
_POSE = [MOTION.index(name) for name in ("yaw", "pitch", "roll")]
_BLINK, _GAZE = MOTION.index("blink"), MOTION.index("gaze_x")


def observed(controls: np.ndarray, motion: np.ndarray, energy: np.ndarray) -> NDArray[np.float32]:
    """What somebody does, apart from how they hold their head and where they look at rest: [T, 32].

    controls  [T, 28]  taxonomy.CONTROLS; lids and gaze are not looked at
    motion    [T, 8]   taxonomy.MOTION; shifts and upward gaze are not, since no reader finds them
    energy    [T]      of the voice, 0 .. 1; zeros where nothing is heard
    """
    pose, gaze = motion[:, _POSE], motion[:, _GAZE]
    pose, gaze = pose - np.median(pose, 0), gaze - np.median(gaze)
    columns = [controls[:, :_N_FACE], pose / ANGLE, motion[:, _BLINK], gaze, energy, accents(energy)]
    return np.column_stack(columns).astype(np.float32)


def parts_of(n_frames: int) -> list[slice]:
    """The parts of a clip that a style is read off, one after the other.

    >>> [(part.start, part.stop) for part in parts_of(310)], parts_of(60)
    ([(0, 125), (125, 250), (250, 310)], [slice(0, 60, None)])
    >>> len(parts_of(270))
    2
    """
    starts = range(0, max(1, n_frames - LEAST_FRAMES + 1), PART_FRAMES)
    return [slice(start, min(start + PART_FRAMES, n_frames)) for start in starts]
