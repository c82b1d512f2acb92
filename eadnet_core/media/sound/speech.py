"""A sound, and where somebody speaks in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .audio import Audio
from .speech_gate import GATE_DB, speech_gate


@dataclass(frozen=True)
class Speech:
    """A sound and where somebody speaks in it.

    voice  [T]  0 .. 1
    """

    sound: Audio
    voice: np.ndarray


def hear(sound: Audio, gate_db: float = GATE_DB, has_speech_gate: bool = True) -> Speech:
    """Find the speech in a sound; without a gate all of it counts as speech."""
    n_frames = sound.n_frames()
    voice = speech_gate(sound.samples, n_frames, gate_db) if has_speech_gate else np.ones(n_frames, np.float32)
    return Speech(sound, voice)
