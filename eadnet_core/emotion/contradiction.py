"""Where a description of a face says the opposite of what was measured in its pictures, action unit by action unit.

A measurement is no truth: the reader of controls was trained on rendered heads. So only opposites count, seen clearly
and in the whole clip, and the language model is asked to look again rather than overruled.
"""

from __future__ import annotations

import numpy as np

from ..taxonomy import ACTION_UNITS
from .code import AROUSAL
from .face_words import PHRASES

SAID = 0.35
"""From here on an action unit counts as said."""
SEEN = 0.35
"""From here on the median of an action unit counts as seen."""
UNSEEN = 0.15
"""Below this in nearly every picture an action unit counts as not there."""
OPPOSITES = (
    ("AU12", "AU15"),
    ("AU1", "AU4"),
    ("AU2", "AU4"),
    ("AU5", "AU7"),
    ("AU5", "AU6"),
    ("AU26", "AU23"),
    ("AU25", "AU23"),
    ("AU20", "AU23"),
)
"""Pairs that pull one part of the face to two sides. Both can be there at once, as in fear; then nothing is opposed."""
_BOTH_WAYS = (*OPPOSITES, *((b, a) for a, b in OPPOSITES))


def contradictions(said: np.ndarray, seen: np.ndarray) -> list[str]:
    """What of a description is opposed by a measurement, each as a clause of words; empty where nothing is.

    said  [27]     code of the description
    seen  [T, 16]  action units measured in each picture, about 0 .. 1, in the order of taxonomy.ACTION_UNITS

    >>> from .code import emotion_code
    >>> frown = np.tile(emotion_code("sad", 1.0)[11:], (8, 1))
    >>> contradictions(emotion_code("happy", 1.0), frown)
    ['said: lip corners pulled up; measured: lip corners strongly drawn down']
    >>> contradictions(emotion_code("sad", 0.7), frown)
    []
    """
    if len(seen) == 0 or not np.isfinite(seen).all():
        return []
    units, highest, median = said[AROUSAL + 1 :], np.percentile(seen, 90, axis=0), np.median(seen, axis=0)
    found = []
    for name, opposite in _BOTH_WAYS:
        own, other = ACTION_UNITS.index(name), ACTION_UNITS.index(opposite)
        is_said = units[own] >= SAID and units[other] < SAID
        if is_said and highest[own] < UNSEEN and median[other] >= SEEN:
            degree = "strongly " if median[other] >= 0.75 else ""
            found.append(f"said: {PHRASES[name][1].format('')}; measured: {PHRASES[opposite][1].format(degree)}")
    return found
