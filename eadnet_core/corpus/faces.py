"""Single pictures of procedural faces, every one another head: what a reader of emotions must see to forget the face.

A clip teaches no more faces than one. No voice is made for these, so that many are drawn quickly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..emotion.code import emotion_code
from ..taxonomy import ACTION_UNITS, EMOTIONS
from . import rig
from .clips import SPLITS, lively
from .identity import draw_identity
from .renderer import render_frames

BLEND_SHARE = 0.2
BLINK_SHARE = 0.1
SPEAKING_SHARE = 0.6
POSE_STD = (0.11, 0.06, 0.045, 0.008, 0.008)
GAZE_STD = 0.2
_AT_ONCE = 16


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


def draw_faces(n: int, seed: int, split: str = "train", size_px: int = 128) -> Faces:
    """Draw `n` faces, deterministic from the seed; emotions are equally frequent, and some are blends of two."""
    stream = SPLITS[split]
    heads, states, codes = [], [], []
    for i in range(n):
        rng = np.random.default_rng([stream, 4, seed, i])
        heads.append(draw_identity(rng))
        code = _feeling(rng, EMOTIONS[i % len(EMOTIONS)])
        states.append(_state(rng, code))
        codes.append(code)
    made = np.stack(states)
    identity, state = torch.from_numpy(np.stack(heads)), torch.from_numpy(made[:, None])
    frames = [
        render_frames(identity[i : i + _AT_ONCE], state[i : i + _AT_ONCE], size_px)[:, 0].permute(0, 2, 3, 1)
        for i in range(0, n, _AT_ONCE)
    ]
    units = made[:, [rig.STATE_INDEX[name] for name in ACTION_UNITS]]
    return Faces(torch.cat(frames).contiguous().numpy(), np.stack(codes), units)


def _feeling(rng: np.random.Generator, label: str) -> np.ndarray:
    code = emotion_code(label, float(rng.uniform(0.3, 1.0)) * (label != "neutral"))
    if rng.random() < BLEND_SHARE:
        other = str(rng.choice(EMOTIONS))
        more = emotion_code(other, float(rng.uniform(0.4, 1.0)) * (other != "neutral"))
        code = code + np.float32(rng.uniform(0.1, 0.5)) * (more - code)
    return code


def _state(rng: np.random.Generator, code: np.ndarray) -> np.ndarray:
    state = np.zeros(len(rig.STATE), dtype=np.float32)
    state[[rig.STATE_INDEX[name] for name in rig.POSE]] = rng.normal(0, POSE_STD)
    state[[rig.STATE_INDEX[name] for name in ("gaze_x", "gaze_y")]] = rng.normal(0, GAZE_STD, 2)
    state[[rig.STATE_INDEX[name] for name in ACTION_UNITS]] = lively(rng, code[None, -len(ACTION_UNITS) :])[0]
    if rng.random() < SPEAKING_SHARE:
        for control, top in (("jaw", 0.6), ("open", 0.6), ("wide", 0.5), ("round", 0.6), ("press", 0.4)):
            state[rig.STATE_INDEX[control]] = rng.uniform(0, top) * (rng.random() < 0.6)
    if rng.random() < BLINK_SHARE:
        state[rig.STATE_INDEX["blink"]] = rng.uniform(0.3, 1.0)
    return state
