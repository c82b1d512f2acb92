"""Head motion, blinks and gaze that follow the rhythm of speech and the emotion: one generator for corpus and use.

Our design, procedural: the same distribution trains the network and drives it, so that the amplitude of head and
blinks is the user's to choose.
"""

from __future__ import annotations

import numpy as np

from ..config import FPS
from .code import AROUSAL, INTENSITY
from .taxonomy import EMOTIONS, MOTION

SWAY_STD = np.array([0.085, 0.045, 0.035, 0.007, 0.006])
"""Standard deviation of the slow sway at head = 1: yaw, pitch, roll (radians), shifts (frame widths)."""
LIMITS = np.array([0.34, 0.20, 0.16, 0.03, 0.03])
"""The head never turns or moves further than this."""
SWAY_HZ = (0.15, 0.32, 0.6)
NOD = 0.075
"""Pitch of the nod on a stressed syllable, radians."""
BLINKS_PER_S = 0.32
REFRACTORY_S = 0.5
BLINK_SHAPE = np.array([0.35, 0.95, 1.0, 0.75, 0.4, 0.15])
"""Closure of the lids, frame by frame: down fast, up slowly, 240 ms in all."""
SACCADES_PER_S = 0.7
GAZE_STD = (0.22, 0.13)

#                yaw    pitch  roll   x      y      at intensity 1, relative to the portrait
POSTURE = {
    "neutral": (0.0, 0.0, 0.0, 0.0, 0.0),
    "happy": (0.0, -0.03, 0.035, 0.0, -0.003),
    "sad": (0.0, 0.085, 0.03, 0.0, 0.008),
    "angry": (0.0, 0.045, 0.0, 0.0, 0.004),
    "fear": (0.03, -0.02, 0.0, 0.0, -0.005),
    "disgusted": (0.06, -0.03, -0.02, 0.0, 0.0),
    "surprised": (0.0, -0.06, 0.0, 0.0, -0.008),
    "contempt": (0.04, -0.065, 0.05, 0.0, 0.0),
}
LIVELINESS = {
    "neutral": 1.0, "happy": 1.25, "sad": 0.6, "angry": 1.2, "fear": 0.85, "disgusted": 0.85, "surprised": 1.05, "contempt": 0.75,
}  # fmt: skip
"""Sway and nods relative to neutral, at intensity 1."""


def generate_motion(
    energy: np.ndarray, code: np.ndarray, generator: np.random.Generator, head: float = 1.0, blink: float = 1.0
) -> np.ndarray:
    """A motion track, columns `taxonomy.MOTION`, relative to the portrait.

    energy   [T]      loudness of the voice per frame, 0 .. 1
    code     [T, 27]  emotion codes
    head     amplitude of pose: 0 none, 1 natural
    blink    blink rate relative to natural: 0 none
    returns  [T, 8] float32
    """
    n_frames = len(energy)
    weight = code[:, : len(EMOTIONS)] * np.clip(code[:, INTENSITY : INTENSITY + 1], 0, 1)
    posture = weight @ np.array([POSTURE[name] for name in EMOTIONS])
    lively = 1 + weight @ (np.array([LIVELINESS[name] for name in EMOTIONS]) - 1)
    pose = _sway(n_frames, generator) * lively[:, None] + posture
    pose[:, 1] += NOD * lively * _accents(energy, generator)
    tremor = weight[:, EMOTIONS.index("fear")] * 0.008
    pose[:, :3] += tremor[:, None] * generator.normal(size=(n_frames, 3))
    track = np.zeros((n_frames, len(MOTION)))
    track[:, :5] = LIMITS * np.tanh(head * pose / LIMITS)
    track[:, 5] = _blinks(n_frames, BLINKS_PER_S * blink * (1 + 0.4 * code[:, AROUSAL].clip(-1, 1)), generator)
    track[:, 6:] = _saccades(n_frames, generator)
    return track.astype(np.float32)


def _sway(n_frames: int, generator: np.random.Generator) -> np.ndarray:
    """Sums of slow sines with random phases and rates, unit variance times `SWAY_STD`; [T, 5]."""
    time = np.arange(n_frames)[:, None] / FPS
    total = np.zeros((n_frames, len(SWAY_STD)))
    for rate in SWAY_HZ:
        rates = rate * generator.uniform(0.7, 1.4, len(SWAY_STD))
        total += generator.normal(size=len(SWAY_STD)) * np.sin(2 * np.pi * rates * time + generator.uniform(0, 2 * np.pi, 5))
    return total * SWAY_STD * np.sqrt(2 / len(SWAY_HZ))


def _accents(energy: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Nods where the voice rises, [T] about 0 .. 1: a smooth bump of 0.4 s on the stronger onsets."""
    smooth = np.convolve(np.pad(energy, 2, mode="edge"), np.ones(5) / 5, mode="valid")
    rise = np.maximum(0, np.diff(smooth, prepend=smooth[:1]))
    strong = rise * (generator.random(len(energy)) < 0.6) * 6
    bump = np.hanning(13)[1:-1]
    return np.clip(np.convolve(strong, bump)[: len(energy)], 0, 1)


def _blinks(n_frames: int, rate_hz: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Closure of the lids [T] from a Poisson process with a pause after each blink."""
    closure = np.zeros(n_frames + len(BLINK_SHAPE))
    starts = np.flatnonzero(generator.random(n_frames) < rate_hz / FPS)
    last = -np.inf
    for start in starts:
        if start - last >= REFRACTORY_S * FPS:
            closure[start : start + len(BLINK_SHAPE)] = BLINK_SHAPE
            last = start
    return closure[:n_frames]


def _saccades(n_frames: int, generator: np.random.Generator) -> np.ndarray:
    """Gaze [T, 2] that rests on a point and jumps to the next."""
    jumps = np.flatnonzero(generator.random(n_frames) < SACCADES_PER_S / FPS)
    targets = generator.normal(size=(len(jumps) + 1, 2)) * GAZE_STD
    return targets[np.searchsorted(jumps, np.arange(n_frames), side="right")]
