"""What a voice alone tells of a feeling: how aroused it is, from its loudness.

Our design, by rule. Whether an aroused voice is glad or furious is not in its loudness: valence stays 0, and whoever
needs it asks words or a picture.
"""

from __future__ import annotations

import numpy as np

CALM_SWING, LIVELY_SWING = 0.15, 0.40
"""Standard deviation of the loudness of the voiced frames (0 .. 1 of the loud ones) in flat and in lively speech."""
MIN_VOICED_FRAMES = 12


def arousal(energy: np.ndarray, voice: np.ndarray) -> float | None:
    """Arousal -1 .. 1 of a sound, or None where too little is spoken to tell.

    energy  [T]  loudness of every frame, 0 .. 1
    voice   [T]  speech gate, 0 .. 1

    >>> arousal(np.full(50, 0.5), np.ones(50)), arousal(np.ones(50), np.zeros(50))
    (-1.0, None)
    """
    spoken = energy[voice > 0.5]
    if len(spoken) < MIN_VOICED_FRAMES:
        return None
    lively = (float(spoken.std()) - CALM_SWING) / (LIVELY_SWING - CALM_SWING)
    return float(np.clip(2.0 * lively - 1.0, -1.0, 1.0))
