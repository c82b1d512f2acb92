"""How far the lips are apart and how wide the mouth is, from a frame's controls alone: no head, no picture.

On any head both follow the weights of its shapes exactly, and heads differ by their scale alone: the tables hold means
of 200 heads, whose eye distances vary by 5 %. `tests/core/test_mouth.py` measures them again where the anatomy is.
"""

from __future__ import annotations

import numpy as np

from ..config import EYE_HALF_DISTANCE
from ..heads.rig import SHAPES, shape_weights

FULL_GAP = 0.35
"""Gap of the lips, in eye distances, that counts as mouth opening 1."""
REST_GAP, REST_HALF_WIDTH = -0.0054, 0.3885
"""Gap of the lips, and half the distance of their outer corners, at rest; in eye distances."""
GAPS: dict[str, float] = {
    "jawForward": 0.0263, "jawLeft": -0.0031, "jawOpen": 0.4460, "jawRight": -0.0035, "mouthClose": -0.5751,
    "mouthFunnel": 0.1907, "mouthLeft": -0.0098, "mouthPucker": 0.0103, "mouthRight": -0.0091,
    "mouthRollLower": -0.0578, "mouthRollUpper": -0.0122, "mouthShrugLower": -0.0960, "mouthShrugUpper": 0.0827,
    "cheekPuff_L": -0.0012, "cheekPuff_R": -0.0011, "cheekRaiser_L": 0.0030, "cheekRaiser_R": 0.0031,
    "cheekSquint_L": 0.0031, "cheekSquint_R": 0.0032, "mouthDimple_L": -0.0152, "mouthDimple_R": -0.0156,
    "mouthFrown_L": -0.0011, "mouthFrown_R": -0.0012, "mouthLowerDown_L": 0.0456, "mouthLowerDown_R": 0.0453,
    "mouthPress_L": -0.0192, "mouthPress_R": -0.0192, "mouthSmile_L": -0.0043, "mouthSmile_R": -0.0035,
    "mouthStretch_L": -0.0029, "mouthStretch_R": -0.0031, "mouthUpperUp_L": 0.0590, "mouthUpperUp_R": 0.0608,
    "noseSneer_L": 0.0530, "noseSneer_R": 0.0547,
}  # fmt: skip
"""How far each of `rig.SHAPES` parts the lips at weight 1, in eye distances; none where it is not named."""
HALF_WIDTHS: dict[str, float] = {
    "jawForward": 0.0088, "jawLeft": 0.0024, "jawOpen": -0.0402, "jawRight": 0.0066, "mouthClose": 0.0214,
    "mouthFunnel": -0.0557, "mouthLeft": -0.0796, "mouthPucker": -0.0737, "mouthRight": -0.0560,
    "mouthRollLower": 0.0082, "mouthRollUpper": 0.0163, "mouthShrugLower": 0.0113, "mouthShrugUpper": -0.0013,
    "cheekPuff_L": -0.0172, "cheekPuff_R": -0.0194, "cheekRaiser_L": 0.0044, "cheekRaiser_R": 0.0055,
    "cheekSquint_L": 0.0044, "cheekSquint_R": 0.0055, "mouthDimple_L": 0.0104, "mouthDimple_R": 0.0047,
    "mouthFrown_L": 0.0142, "mouthFrown_R": 0.0160, "mouthLowerDown_L": 0.0008, "mouthLowerDown_R": 0.0009,
    "mouthPress_L": -0.0013, "mouthSmile_L": 0.0500, "mouthSmile_R": 0.0543, "mouthStretch_L": 0.0513,
    "mouthStretch_R": 0.0505, "noseSneer_L": -0.0074, "noseSneer_R": -0.0092,
}  # fmt: skip
"""How far each shape widens half the mouth."""


def _vector(table: dict[str, float]) -> np.ndarray:
    return np.array([table.get(shape, 0.0) for shape in SHAPES], np.float32)


_GAPS, _HALF_WIDTHS = _vector(GAPS), _vector(HALF_WIDTHS)


def lip_gap(states: np.ndarray) -> np.ndarray:
    """Gap of the lips [T] in eye distances, negative where they press, of states [T, R] (`rig.STATE`)."""
    return REST_GAP + shape_weights(states) @ _GAPS


def opening_of(gap: np.ndarray) -> np.ndarray:
    """Mouth opening of a gap in eye distances: 0 closed, 1 at `FULL_GAP`.

    >>> opening_of(np.array([-0.01, 0.175])).round(2)
    array([0. , 0.5])
    """
    return np.maximum(gap, 0) / FULL_GAP


def mouth_opening(states: np.ndarray) -> np.ndarray:
    """How far the lips are apart [T] in states [T, R]: 0 closed, 1 a gap of `FULL_GAP`."""
    return opening_of(lip_gap(states)).astype(np.float32)


def mouth_half_width(states: np.ndarray) -> np.ndarray:
    """Half the lips' width [T] in frame widths, seen from the front, in states [T, R]."""
    return (2 * EYE_HALF_DISTANCE * (REST_HALF_WIDTH + shape_weights(states) @ _HALF_WIDTHS)).astype(np.float32)
