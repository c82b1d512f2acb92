"""What heads are asked to do in training: emotions, speech, blinks, gaze and turns, drawn as states of the rig."""

from __future__ import annotations

import numpy as np

from ..heads.rig import SHAPES, STATE, STATE_INDEX, UNITS
from ..taxonomy import ACTION_UNITS, EMOTION, EMOTIONS
from .visemes import VISEME_PARAMETERS, VISEMES

CALM_SHARE = 0.5
"""Share of the references that show no emotion."""
_TARGETS = np.array([viseme.target for viseme in VISEMES.values()], np.float32)
_TURN_STD, _TURN_TAIL_SHARE, _TURN_LIMIT = np.radians((7.0, 5.0, 4.0)), 0.2, np.radians((25.0, 16.0, 14.0))
_SHIFT_STD = 0.012
_STILL_SHARE, _STILL_STD = 0.45, np.array((0.02, 0.015, 0.01, 0.002, 0.002))
_N_EXTRA = 2
_EXTRA_WEIGHT = 0.35
_ONLY_LIPS_AND_BROWS = [i for i, name in enumerate(SHAPES) if name not in {u for pair in UNITS.values() for u in pair}]


def draw_states(rng: np.random.Generator, n: int, is_reference: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """States [n, R] and extra shape weights [n, K].

    A reference is calm by half, but wears every expression else; its mouth is often shut, and it seldom blinks.
    """
    drawn = [_draw_state(rng, is_reference) for _ in range(n)]
    return np.stack([state for state, _ in drawn]), np.stack([extra for _, extra in drawn])


def keep_pose(rng: np.random.Generator, states: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """States [n, R] of which a share hold the head nearly as the reference [1, R] does.

    Else what a turn moves hides what an expression moves, and a net learns turns alone for a long time.
    """
    names = ("yaw", "pitch", "roll", "shift_x", "shift_y")
    columns = [STATE_INDEX[name] for name in names]
    keeps = rng.random(len(states)) < _STILL_SHARE
    states = states.copy()
    near = reference[0, columns] + rng.normal(0, 1, (len(states), len(names))) * _STILL_STD
    states[np.ix_(np.flatnonzero(keeps), np.array(columns))] = near[keeps]
    return states


def _draw_state(rng: np.random.Generator, is_reference: bool) -> tuple[np.ndarray, np.ndarray]:
    state = np.zeros(len(STATE), np.float32)
    if not (is_reference and rng.random() < CALM_SHARE):
        _put(state, ACTION_UNITS, _draw_units(rng))
    if rng.random() < (0.35 if is_reference else 0.8):
        _put(state, VISEME_PARAMETERS, _draw_lips(rng))
    _draw_eyes(rng, state, is_reference)
    wide = rng.random() < (0.08 if is_reference else _TURN_TAIL_SHARE)
    turn = rng.normal(0, 1, 3) * _TURN_STD * (2.0 if wide else 0.8)
    _put(state, ("yaw", "pitch", "roll"), np.clip(turn, -_TURN_LIMIT, _TURN_LIMIT))
    _put(state, ("shift_x", "shift_y"), rng.normal(0, _SHIFT_STD, 2))
    _put(state, ("breath",), np.array([rng.uniform(-1, 1)]))
    extra = np.zeros(len(SHAPES), np.float32)
    if rng.random() < 0.6:
        extra[rng.choice(_ONLY_LIPS_AND_BROWS, _N_EXTRA)] = rng.uniform(0, _EXTRA_WEIGHT, _N_EXTRA)
    return state, extra


def _put(state: np.ndarray, names: tuple[str, ...], values: np.ndarray) -> None:
    state[[STATE_INDEX[name] for name in names]] = values


def _draw_units(rng: np.random.Generator) -> np.ndarray:
    """Action units [16] of an emotion at some strength, sometimes blended with another, each varied a little."""
    units = _units_of(str(rng.choice(EMOTIONS))) * rng.uniform(0.2, 1.0)
    if rng.random() < 0.3:
        share = rng.uniform(0.2, 0.6)
        units = (1 - share) * units + share * _units_of(str(rng.choice(EMOTIONS))) * rng.uniform(0.3, 1.0)
    units = units * np.exp(rng.normal(0, 0.25, len(units)))
    if rng.random() < 0.25:
        units[rng.integers(len(units))] += rng.uniform(0.2, 0.9)
    return np.clip(units, 0, 1)


def _units_of(emotion: str) -> np.ndarray:
    return np.array([EMOTION[emotion].action_units.get(unit, 0.0) for unit in ACTION_UNITS])


def _draw_lips(rng: np.random.Generator) -> np.ndarray:
    """Lip parameters [9] between two visemes."""
    first, second = _TARGETS[rng.integers(len(_TARGETS), size=2)]
    between = rng.beta(0.6, 0.6)
    return np.clip((first + (second - first) * between) * rng.uniform(0.5, 1.12), 0, 1)


def _draw_eyes(rng: np.random.Generator, state: np.ndarray, is_reference: bool) -> None:
    if rng.random() < (0.04 if is_reference else 0.3):
        state[STATE_INDEX["blink"]] = rng.choice((0.35, 0.6, 0.85, 1.0, 1.0))
    spread = 0.15 if is_reference else 0.3
    _put(state, ("gaze_x", "gaze_y"), np.clip(rng.normal(0, spread, 2), -1, 1))
