"""From a frame's controls to the weights of the head's shapes, and how strong its skin folds are.

The controls are those of the corpus: lip parameters, action units, pose, blink and gaze. The shapes are ICT-FaceKit's
(names without a slash) and MakeHuman's units of expression. The tables are our
design, searched against the output of one net that reads emotions off faces; no other judge has been asked.
"""

from __future__ import annotations

import numpy as np

from ..taxonomy import ACTION_UNITS
from .motion import Motion

LIP_CONTROLS = ("jaw", "wide", "round", "press", "tuck", "upper", "teeth", "tongue", "open")
TURN_CONTROLS = ("yaw", "pitch", "roll")
STATE = (*LIP_CONTROLS, *ACTION_UNITS, *TURN_CONTROLS, "shift_x", "shift_y", "blink", "gaze_x", "gaze_y", "breath")
"""Names of a frame's controls: lips and action units 0 .. 1, turns in radians (the picture's right, down, clockwise),
shifts in frame widths, blink 0 .. 1, gaze -1 .. 1 (the picture's right, down), breath -1 out .. 1 in."""
STATE_INDEX = {name: i for i, name in enumerate(STATE)}

_CENTRE = (
    "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose", "mouthFunnel", "mouthLeft", "mouthPucker",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
)  # fmt: skip
_PAIRED = (
    "browDown", "browInnerUp", "browOuterUp", "cheekPuff", "cheekRaiser", "cheekSquint", "eyeSquint", "eyeWide",
    "mouthDimple", "mouthFrown", "mouthLowerDown", "mouthPress", "mouthSmile", "mouthStretch", "mouthUpperUp",
    "noseSneer",
)  # fmt: skip
UNITS: dict[str, tuple[str, str]] = {
    "lidClosure": ("eye-left-closure", "eye-right-closure"),
    "lidSlit": ("eye-left-slit", "eye-right-slit"),
    "lidOpen": ("eye-left-opened-up", "eye-right-opened-up"),
    "browMhDown": ("eyebrows-left-down", "eyebrows-right-down"),
    "browMhInner": ("eyebrows-left-inner-up", "eyebrows-right-inner-up"),
    "browMhUp": ("eyebrows-left-up", "eyebrows-right-up"),
    "noseUp": ("nose-left-elevation", "nose-right-elevation"),
    "noseWide": ("nose-left-dilatation", "nose-right-dilatation"),
}
"""MakeHuman's units by a short name: the head's left and right."""
TONGUE_SHAPES = ("tongueUp",)
"""Shapes that move the tongue alone; see `mouth`."""
SHAPES: tuple[str, ...] = (
    *_CENTRE,
    *(f"{name}_{side}" for name in _PAIRED for side in "LR"),
    *(name for pair in UNITS.values() for name in pair),
    *TONGUE_SHAPES,
)
"""Every shape of a head, in the order of its weights."""
SHAPE_INDEX = {name: i for i, name in enumerate(SHAPES)}

_REST = {"mouthSmile": 0.08, "browInnerUp": 0.06, "browOuterUp": -0.05}
"""What every face wears: relaxed brows, corners a hint up."""
_ROWS: dict[str, dict[str, float]] = {
    "AU1": {"browInnerUp": 1.0, "browMhInner": 0.35},
    "AU2": {"browOuterUp": 1.0, "browMhUp": 0.2},
    "AU4": {"browDown": 1.15, "browMhDown": 0.7},
    "AU5": {"eyeWide": 1.1, "lidOpen": 0.5},
    "AU6": {"cheekSquint": 0.8, "cheekRaiser": 0.6, "eyeSquint": 0.35},
    "AU7": {"eyeSquint": 0.8, "lidSlit": 0.5},
    "AU9": {"noseSneer": 1.0, "noseUp": 0.6, "browMhDown": 0.15},
    "AU10": {"mouthUpperUp": 0.85, "noseSneer": 0.2},
    "AU12": {"mouthSmile": 1.0, "mouthDimple": 0.15},
    "AU14": {"mouthDimple_L": 1.15, "mouthSmile_L": 0.35, "mouthPress_L": 0.7, "cheekSquint_L": 0.3},
    "AU15": {"mouthFrown": 1.1},
    "AU17": {"mouthShrugLower": 1.0, "mouthShrugUpper": 0.1},
    "AU20": {"mouthStretch": 1.1},
    "AU23": {"mouthPress": 0.9, "mouthRollUpper": 0.3, "mouthRollLower": 0.6},
    "AU25": {"mouthLowerDown": 0.6, "mouthUpperUp": 0.3, "jawOpen": 0.06},
    "AU26": {"jawOpen": 0.75},
    "jaw": {"jawOpen": 0.5},
    "wide": {"mouthStretch": 0.45, "mouthSmile": 0.12, "mouthDimple": 0.2},
    "round": {"mouthPucker": 0.75, "mouthFunnel": 0.45},
    "press": {"mouthPress": 0.45, "mouthRollLower": 0.4, "mouthRollUpper": 0.35},
    "tuck": {"mouthRollLower": 0.75, "mouthShrugLower": 0.25},
    "upper": {"mouthUpperUp": 0.55},
    "teeth": {"mouthUpperUp": 0.25, "mouthLowerDown": 0.35},
    "tongue": {"tongueUp": 1.0},
    "open": {"mouthLowerDown": 0.35, "mouthUpperUp": 0.12, "jawOpen": 0.12},
    "blink": {"lidClosure": 1.0},
    "gaze_y": {"lidClosure": 0.2},
}
"""Shapes of each control at 1; a name without a side is both sides."""
_TOGETHER: dict[tuple[str, str], dict[str, float]] = {
    ("AU1", "AU4"): {"browDown": -0.5, "browMhDown": -0.65, "browInnerUp": 0.25, "browMhInner": 0.3},
    ("AU12", "AU25"): {"mouthUpperUp": 0.35, "mouthLowerDown": 0.9},
    ("AU20", "AU25"): {"mouthLowerDown": 0.75, "jawOpen": 0.2},
    ("AU6", "AU12"): {"eyeSquint": 0.1},
    ("AU9", "AU10"): {"noseSneer": 0.1},
}
"""Shapes of two controls at 1 together, beside their own."""
_LIMIT = {
    "jawOpen": 1.0, "browInnerUp": 1.3, "browOuterUp": 1.2, "browDown": 1.2, "eyeWide": 1.2, "mouthSmile": 1.2,
    "mouthFrown": 1.25, "mouthStretch": 1.25, "noseSneer": 1.25, "mouthUpperUp": 1.2, "mouthLowerDown": 1.2,
}  # fmt: skip
_LOWEST, _HIGHEST = -0.3, 1.5

GAZE_DEGREES = (24.0, 16.0)
"""How far the eyes turn sideways and up or down at gaze 1."""


def _columns(name: str) -> list[int]:
    if name in UNITS:
        return [SHAPE_INDEX[unit] for unit in UNITS[name]]
    return [SHAPE_INDEX[name]] if name in SHAPE_INDEX else [SHAPE_INDEX[f"{name}_{side}"] for side in "LR"]


def _vector(row: dict[str, float]) -> np.ndarray:
    out = np.zeros(len(SHAPES), np.float32)
    for name, weight in row.items():
        out[_columns(name)] += weight
    return out


_REST_WEIGHTS = _vector(_REST)
_LINEAR = np.stack([_vector(_ROWS.get(name, {})) for name in STATE])
_PRODUCTS = [(STATE_INDEX[a], STATE_INDEX[b], _vector(row)) for (a, b), row in _TOGETHER.items()]
_TOP = np.full(len(SHAPES), _HIGHEST, np.float32)
for _name, _limit in _LIMIT.items():
    _TOP[_columns(_name)] = _limit
_MIRROR = np.arange(len(SHAPES))
for _name in (*_PAIRED, *UNITS):
    _MIRROR[_columns(_name)] = _columns(_name)[::-1]


def shape_weights(states: np.ndarray, smirk_side: int = 1) -> np.ndarray:
    """Weights [T, len(SHAPES)] of the shapes for states [T, R]; AU14 acts on the head's left (1) or right (-1)."""
    states = np.asarray(states, np.float32)
    control = {name: states[:, i, None] for name, i in STATE_INDEX.items()}
    smirk = control["AU14"] * _LINEAR[STATE_INDEX["AU14"]]
    weights = _REST_WEIGHTS + states @ _LINEAR
    if smirk_side < 0:
        weights += smirk[:, _MIRROR] - smirk
    for first, second, row in _PRODUCTS:
        weights += states[:, first, None] * states[:, second, None] * row
    shut = 1 - 0.95 * control["press"]
    weights[:, _columns("jawOpen")] *= shut
    weights[:, _columns("mouthUpperUp")] *= shut
    weights[:, _columns("mouthLowerDown")] *= shut * (1 - 0.9 * control["tuck"])
    for name in ("mouthSmile", "mouthStretch", "mouthFrown"):
        weights[:, _columns(name)] *= 1 - 0.55 * control["round"]
    for name in ("eyeWide", "lidOpen"):
        weights[:, _columns(name)] *= 1 - control["blink"]
    return np.clip(weights, _LOWEST, _TOP).astype(np.float32)


def gaze_degrees(states: np.ndarray) -> np.ndarray:
    """How far the eyes are turned [T, 2]: towards the picture's right, and down."""
    return states[:, [STATE_INDEX["gaze_x"], STATE_INDEX["gaze_y"]]] * np.array(GAZE_DEGREES, np.float32)


FOLDS: dict[str, dict[str, float]] = {
    "forehead": {"AU2": 0.9},
    "forehead_mid": {"AU1": 0.9},
    "glabella": {"AU4": 1.0, "AU9": 0.15},
    "nose_root": {"AU9": 1.0, "AU4": 0.25, "AU10": 0.2},
    "crow": {"AU6": 0.9, "AU7": 0.2},
    "under_eye": {"AU6": 0.7, "AU7": 0.5, "AU9": 0.3},
    "nasolabial": {"AU12": 0.9, "AU9": 0.8, "AU10": 0.7, "AU6": 0.3, "AU20": 0.2, "AU15": 0.1},
    "corner": {"AU15": 1.0, "AU20": 0.6, "AU17": 0.15},
    "chin": {"AU17": 1.0, "AU15": 0.2},
    "mentolabial": {"AU17": 0.7, "AU23": 0.3, "AU15": 0.3},
    "dimple_L": {"AU14": 1.0},
    "dimple_R": {},
    "nasolabial_L": {"AU14": 0.6},
    "nasolabial_R": {},
}
"""Folds of the skin, and how much each action unit deepens them."""
_FOLDS = np.stack([[FOLDS[fold].get(unit, 0.0) for unit in ACTION_UNITS] for fold in FOLDS]).astype(np.float32)


def fold_strengths(states: np.ndarray, smirk_side: int = 1) -> np.ndarray:
    """How deep each of FOLDS is, [T, len(FOLDS)] 0 .. 1, for states [T, R]; AU14 as in `shape_weights`."""
    units = states[:, [STATE_INDEX[unit] for unit in ACTION_UNITS]]
    strengths = units @ _FOLDS.T
    strengths[:, list(FOLDS).index("glabella")] *= 1 - 0.35 * states[:, STATE_INDEX["AU1"]]
    if smirk_side < 0:
        for name in ("dimple", "nasolabial"):
            left, right = list(FOLDS).index(f"{name}_L"), list(FOLDS).index(f"{name}_R")
            strengths[:, [left, right]] = strengths[:, [right, left]]
    return np.clip(strengths, 0, 1).astype(np.float32)


def motions(states: np.ndarray, smirk_side: int = 1, extra: np.ndarray | None = None) -> list[Motion]:
    """What each of states [T, R] asks of a head; `extra` [T, len(SHAPES)] is added to the weights."""
    weights, gaze, folds = shape_weights(states, smirk_side), gaze_degrees(states), fold_strengths(states, smirk_side)
    if extra is not None:
        weights = weights + extra
    turns = np.degrees(states[:, [STATE_INDEX[name] for name in TURN_CONTROLS]])
    shifts = states[:, [STATE_INDEX["shift_x"], STATE_INDEX["shift_y"]]]
    breaths = states[:, STATE_INDEX["breath"]]
    return [Motion(weights[t], gaze[t], turns[t], shifts[t], float(breaths[t]), folds[t]) for t in range(len(states))]
