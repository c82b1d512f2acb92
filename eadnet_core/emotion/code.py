"""The emotion code: 27 numbers that say what a face should feel, and what that does to it.

Label probabilities [8], intensity, valence, arousal and action units [16]. Codes add up: a weighted mean of two codes
is the blend of their emotions, which is what cross-fades and keyframes use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..taxonomy import ACTION_UNITS, EMOTION, EMOTION_CODE_SIZE, EMOTION_RECORDS, EMOTIONS

INTENSITY, VALENCE, AROUSAL = (len(EMOTIONS) + i for i in range(3))
"""Columns of the code after the label probabilities."""


@dataclass(frozen=True)
class Emotion:
    """How a text was read; the note says what was not understood of it, or is empty."""

    text: str
    label: str
    intensity: float
    valence: float
    arousal: float
    code: np.ndarray
    note: str = ""


def emotion_code(label: str, intensity: float) -> np.ndarray:
    """The code [27] float32 of a label at an intensity 0 .. 1.

    >>> code = emotion_code("happy", 0.5)
    >>> code.shape, float(code[1]), float(code[INTENSITY])
    ((27,), 1.0, 0.5)
    """
    record = EMOTION[label]
    code = np.zeros(EMOTION_CODE_SIZE, dtype=np.float32)
    code[EMOTIONS.index(label)] = 1.0
    code[INTENSITY : AROUSAL + 1] = np.array([1.0, record.valence, record.arousal]) * intensity
    for name, amount in record.action_units.items():
        code[AROUSAL + 1 + ACTION_UNITS.index(name)] = amount * intensity
    return code


def label_code(label: str) -> np.ndarray:
    """All that a bare label says, [27]: that emotion at full strength, or neutral.

    >>> float(label_code("sad")[INTENSITY]), float(label_code("neutral")[INTENSITY])
    (1.0, 0.0)
    """
    return emotion_code(label, float(label != "neutral"))


def blend(codes: Sequence[np.ndarray] | np.ndarray, weights: Sequence[float] | np.ndarray) -> np.ndarray:
    """The weighted mean of codes [n, 27]; weights need not sum to one.

    >>> float(blend([emotion_code("happy", 1.0), emotion_code("neutral", 0.0)], [1, 3])[INTENSITY])
    0.25
    """
    share = np.asarray(weights, dtype=np.float64)
    return (np.asarray(codes) * (share / share.sum())[:, None]).sum(0).astype(np.float32)


def emotion_at(valence: float, arousal: float) -> np.ndarray:
    """The code [27] of a point of the circumplex, each -1 .. 1: the eight emotions, the near ones most (our design).

    Weights fall with the fourth power of the distance, so that at an emotion's own point its code comes out alone.

    >>> fear = EMOTION["fear"]
    >>> describe(emotion_at(fear.valence, fear.arousal)).label, describe(emotion_at(0.1, 0.0)).label
    ('fear', 'neutral')
    """
    points = np.array([(record.valence, record.arousal) for record in EMOTION_RECORDS])
    distance = np.square(points - (valence, arousal)).sum(1)
    code = blend([label_code(label) for label in EMOTIONS], 1 / (distance + 1e-4) ** 2)
    code[VALENCE : AROUSAL + 1] = valence, arousal
    return code


def scaled(code: np.ndarray, amount: float) -> np.ndarray:
    """The code made `amount` times as strong: 0 neutral, 1 unchanged, above 1 beyond what the words say.

    >>> bool(np.allclose(scaled(emotion_code("sad", 1.0), 0.5), emotion_code("sad", 0.5)))
    True
    """
    if amount <= 0:
        return emotion_code("neutral", 0.0)
    result = np.array(code, dtype=np.float32)
    result[INTENSITY:] *= amount
    result[VALENCE : AROUSAL + 1] = result[VALENCE : AROUSAL + 1].clip(-1, 1)
    return result


def describe(code: np.ndarray, text: str = "") -> Emotion:
    """The most probable label of a code, with its intensity, valence and arousal."""
    return Emotion(
        text=text,
        label=EMOTIONS[int(np.argmax(code[: len(EMOTIONS)]))],
        intensity=float(code[INTENSITY]),
        valence=float(code[VALENCE]),
        arousal=float(code[AROUSAL]),
        code=np.asarray(code, dtype=np.float32),
    )
