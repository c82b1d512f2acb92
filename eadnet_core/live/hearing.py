"""Sound that comes in pieces of any size, heard a chunk at a time: tokens, voice and loudness of each frame.

What is heard of a frame depends on the sound up to a fixed time after it, and on no more than a few seconds before. So
it does not matter how the sound was cut into pieces, and memory does not grow.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..errors import BadInput
from ..families.mini import MelFeatures, MiniModel
from ..families.performance import Performance
from ..media.sound.audio import MEL_STEPS_PER_FRAME, SAMPLES_PER_FRAME, fit_length, frame_energy, log_mel
from ..media.sound.form import MAX_PEAK
from ..media.sound.speech_gate import speech_gate
from ..request import GenerateOptions

KEPT_FRAMES = 100
"""Sound that is kept, 4 s: what is loud, and whether somebody speaks, is judged over it."""
REACH_FRAMES = 8
"""How far to each side of a frame its tokens hear (7 frames), and one more for the edges of the spectrum."""


class LiveSound:
    """The last seconds of a sound, float32 mono 16 kHz."""

    def __init__(self) -> None:
        self.n_samples = 0
        """Given so far."""
        self._kept = np.zeros(0, np.float32)

    def add(self, samples: np.ndarray) -> None:
        """Take the next samples [N]. Raises BadInput for another shape, NaN, infinity, or values far beyond 1."""
        if samples.ndim != 1 or not np.issubdtype(samples.dtype, np.floating):
            raise BadInput(f"Live sound is {samples.dtype} {samples.shape}; give float32 [N], mono at 16 kHz.")
        if len(samples) and not np.abs(samples).max() <= MAX_PEAK:  # NaN compares as False
            raise BadInput("Live sound holds NaN, infinity or values far beyond 1. Give samples in -1 .. 1.")
        self._kept = np.concatenate([self._kept, samples.astype(np.float32)])
        self.n_samples += len(samples)

    def frames(self, start: int, stop: int) -> np.ndarray:
        """Samples of the frames start .. stop - 1, silence before the first: [640 (stop - start)]."""
        first = self.n_samples - len(self._kept)
        begin, end = (max(0, n * SAMPLES_PER_FRAME - first) for n in (start, stop))
        found = self._kept[begin:end]
        return np.pad(found, (max(0, -start) * SAMPLES_PER_FRAME, 0)) if start < 0 else found

    def forget(self, before: int) -> None:
        """Let go of what lies before a frame."""
        n = before * SAMPLES_PER_FRAME - (self.n_samples - len(self._kept))
        if n > 0:
            self._kept = self._kept[n:].copy()


class LiveHearing:
    """What the mini hears of a sound, chunk by chunk.

    ahead_frames  sound beyond a chunk that is waited for; what comes later is taken to go on as it was last
    """

    def __init__(self, model: MiniModel, options: GenerateOptions, ahead_frames: int) -> None:
        nothing = Performance(*(np.zeros(0, np.float32),) * 4)
        self._features = MelFeatures(model, nothing, options)
        self._has_gate, self.ahead_frames = options.has_speech_gate, ahead_frames
        self.sound = LiveSound()

    def has(self, stop: int) -> bool:
        """Whether the frames before `stop` can be heard."""
        return self.sound.n_samples >= (stop + self.ahead_frames) * SAMPLES_PER_FRAME

    def hear(self, start: int, stop: int) -> tuple[Tensor, np.ndarray, np.ndarray]:
        """The chunk of the frames start .. stop - 1, which must follow the one before.

        Tokens [T, S, D_a] drawn towards silence where nobody speaks, the voice [T], 0 .. 1, and the loudness, 0 .. 1,
        of as many frames that come `ahead_frames` later.
        """
        last = stop + self.ahead_frames
        first = max(0, last - KEPT_FRAMES)
        heard = self.sound.frames(first, last)
        voice = speech_gate(heard, last - first) if self._has_gate else np.ones(last - first, np.float32)
        energy = (frame_energy(heard, last - first) * voice)[-(stop - start) :]
        of_chunk = voice[start - first : stop - first]
        tokens = self._tokens(start, stop, torch.from_numpy(of_chunk))
        self.sound.forget(min(last - KEPT_FRAMES, stop - REACH_FRAMES))
        return tokens, of_chunk, energy

    def _tokens(self, start: int, stop: int, voice: Tensor) -> Tensor:
        first, last = start - REACH_FRAMES, stop + self.ahead_frames
        mel = log_mel(fit_length(self.sound.frames(first, last), last - first))
        mel = np.concatenate([mel[:-1], np.repeat(mel[-2:-1], 1 + MEL_STEPS_PER_FRAME * REACH_FRAMES, 0)])
        return self._features.drawn(mel, slice(REACH_FRAMES, REACH_FRAMES + stop - start), voice)
