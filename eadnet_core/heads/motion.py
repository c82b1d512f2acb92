"""What one frame asks of a head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Motion:
    """What one frame asks of a head.

    weights  [K]  of `rig.SHAPES`
    gaze     [2]  degrees towards the picture's right, and down
    turn     [3]  yaw, pitch, roll in degrees: the picture's right, down, clockwise
    shift    [2]  frame widths to the right and down
    breath   -1 out .. 1 in
    folds    [len(rig.FOLDS)] 0 .. 1
    """

    weights: np.ndarray
    gaze: np.ndarray
    turn: np.ndarray
    shift: np.ndarray
    breath: float
    folds: np.ndarray
