"""What a face shows, in words: the rule-based caption of an emotion code.

One to three sentences on brows, eyes, cheeks, mouth and chin, as a person would describe the picture to somebody who
cannot see it. No language model: the wording follows the action units alone, so it is the same for the same code.
"""

from __future__ import annotations

import numpy as np

from ..taxonomy import ACTION_UNITS, EMOTION
from .code import AROUSAL, describe

VISIBLE = 0.12
"""Action units below this are not mentioned."""
DEGREES = ((0.75, "strongly "), (0.45, ""), (0.0, "slightly "))
"""Strength from which a word is used."""
PHRASES: dict[str, tuple[str, str]] = {
    "AU1": ("brows", "inner brows {}raised"),
    "AU2": ("brows", "outer brows {}raised"),
    "AU4": ("brows", "brows {}lowered and drawn together"),
    "AU5": ("eyes", "upper lids {}raised"),
    "AU6": ("eyes", "cheeks {}raised under the eyes"),
    "AU7": ("eyes", "lids {}tightened"),
    "AU9": ("nose", "nose {}wrinkled"),
    "AU10": ("nose", "upper lip {}raised"),
    "AU12": ("mouth", "lip corners {}pulled up"),
    "AU14": ("mouth", "one lip corner {}tightened"),
    "AU15": ("mouth", "lip corners {}drawn down"),
    "AU17": ("mouth", "chin {}pushed up"),
    "AU20": ("mouth", "lips {}stretched sideways"),
    "AU23": ("mouth", "lips {}pressed narrow"),
    "AU25": ("mouth", "lips {}parted"),
    "AU26": ("mouth", "jaw {}dropped"),
}
"""Where each action unit stands in a caption, and how it is put."""


def caption(code: np.ndarray) -> str:
    """A code [27] in one to three sentences.

    >>> from .code import emotion_code
    >>> caption(emotion_code("neutral", 0.0))
    'The face looks neutral.'
    >>> caption(emotion_code("contempt", 0.4))
    'The face looks slightly contemptuous. Lids slightly tightened. One lip corner slightly tightened.'
    """
    reading = describe(code)
    look = EMOTION[reading.label].adjective
    degree = "" if reading.label == "neutral" else _degree(reading.intensity).replace("strongly", "very")
    sentences = [f"The face looks {degree}{look}."]
    units = code[AROUSAL + 1 :]
    for place in ("brows", "eyes", "nose", "mouth"):
        seen = [
            PHRASES[name][1].format(_degree(float(units[i])))
            for i, name in enumerate(ACTION_UNITS)
            if PHRASES[name][0] == place and units[i] >= VISIBLE
        ]
        if seen:
            sentences.append(_sentence(seen))
    return " ".join(sentences)


def _degree(strength: float) -> str:
    return next(word for least, word in DEGREES if strength >= least)


def _sentence(clauses: list[str]) -> str:
    text = ", ".join(clauses)
    return text[0].upper() + text[1:] + "."
