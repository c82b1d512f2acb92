"""Single pictures of faces, every one another head: what a reader of emotions must see to forget the face.

A clip teaches no more faces than one. No voice is made for these, so that many are drawn quickly.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..emotion.code import emotion_code
from ..heads.rig import STATE, STATE_INDEX
from ..taxonomy import ACTION_UNITS, EMOTIONS, MOTION
from .clips import SPLITS, draw_head_seed, lively
from .stage import open_stage

BLEND_SHARE = 0.2
BLINK_SHARE = 0.1
SPEAKING_SHARE = 0.6
POSE_STD = (0.11, 0.06, 0.045, 0.008, 0.008)
GAZE_STD = 0.2


@dataclass(frozen=True)
class Faces:
    """Pictures and what is true of them.

    frames         [n, H, W, 3]  uint8
    codes          [n, 27]       what the face feels
    action_units   [n, 16]       what it does about it
    """

    frames: np.ndarray
    codes: np.ndarray
    action_units: np.ndarray


def draw_faces(n: int, seed: int, split: str = "train", size_px: int = 128, heads: str | Path | None = None) -> Faces:
    """Draw `n` faces, deterministic from the seed; emotions are equally frequent, and some are blends of two.

    heads  folder of the anatomy; raises BadInput where there is none
    """
    frames, codes, units = [], [], []
    for i in range(n):
        rng = np.random.default_rng([SPLITS[split], 4, seed, i])
        head_seed = draw_head_seed(rng, split)
        code = _feeling(rng, EMOTIONS[i % len(EMOTIONS)])
        state = _state(rng, code)
        frames.append(open_stage(head_seed, size_px, heads).draw(state[None])[0][0])
        codes.append(code)
        units.append(state[[STATE_INDEX[name] for name in ACTION_UNITS]])
    return Faces(np.stack(frames), np.stack(codes), np.stack(units))


def _feeling(rng: np.random.Generator, label: str) -> np.ndarray:
    code = emotion_code(label, float(rng.uniform(0.3, 1.0)) * (label != "neutral"))
    if rng.random() < BLEND_SHARE:
        other = str(rng.choice(EMOTIONS))
        more = emotion_code(other, float(rng.uniform(0.4, 1.0)) * (other != "neutral"))
        code = code + np.float32(rng.uniform(0.1, 0.5)) * (more - code)
    return code


def _state(rng: np.random.Generator, code: np.ndarray) -> np.ndarray:
    state = np.zeros(len(STATE), dtype=np.float32)
    state[[STATE_INDEX[name] for name in MOTION[:5]]] = rng.normal(0, POSE_STD)
    state[[STATE_INDEX[name] for name in ("gaze_x", "gaze_y")]] = rng.normal(0, GAZE_STD, 2)
    state[[STATE_INDEX[name] for name in ACTION_UNITS]] = lively(rng, code[None, -len(ACTION_UNITS) :])[0]
    if rng.random() < SPEAKING_SHARE:
        for control, top in (("jaw", 0.6), ("open", 0.6), ("wide", 0.5), ("round", 0.6), ("press", 0.4)):
            state[STATE_INDEX[control]] = rng.uniform(0, top) * (rng.random() < 0.6)
    if rng.random() < BLINK_SHARE:
        state[STATE_INDEX["blink"]] = rng.uniform(0.3, 1.0)
    return state
