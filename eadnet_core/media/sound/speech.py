"""A sound, and where somebody speaks in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .audio import Audio
from .speech_gate import GATE_DB, speech_gate


@dataclass(frozen=True)
class Speech:
    """A sound and where somebody speaks in it.

    voice            [T]  0 .. 1, over the frames of the sound
    gate_db               level below the loud moments under which a sound counts as silence; what `voice` was made with
    has_speech_gate       False: all of it counts as speech
    """

    sound: Audio
    voice: np.ndarray
    gate_db: float = GATE_DB
    has_speech_gate: bool = True

    def over(self, n_frames: int) -> np.ndarray:
        """The voice [n_frames] of a clip of another length, whose sound is cut or padded with silence."""
        if n_frames == len(self.voice):
            return self.voice
        if not self.has_speech_gate:
            return np.ones(n_frames, np.float32)
        return speech_gate(self.sound.samples, n_frames, self.gate_db)


def hear(sound: Audio, gate_db: float = GATE_DB, has_speech_gate: bool = True) -> Speech:
    """Find the speech in a sound; without a gate all of it counts as speech."""
    n_frames = sound.n_frames()
    voice = speech_gate(sound.samples, n_frames, gate_db) if has_speech_gate else np.ones(n_frames, np.float32)
    return Speech(sound, voice, gate_db, has_speech_gate)
