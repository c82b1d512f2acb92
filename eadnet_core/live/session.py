"""A portrait that speaks while the sound comes in: sound in pieces of any size in, chunks of finished frames out.

Sound, motion, emotion and the denoiser's memory are carried from chunk to chunk. A frame depends on the sound up to a
fixed time after it and on nothing later, so that the delay never changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..config import FPS, SAMPLE_RATE_HZ
from ..emotion.code import Emotion, describe, emotion_code
from ..emotion.track import FADE_FRAMES
from ..errors import BadInput
from ..generation.clock import Clock
from ..generation.plan import moving_by
from ..media.sound.audio import SAMPLES_PER_FRAME, n_frames_of
from ..motion.live import LiveMotion
from ..nets.between import Added
from ..sampling.conditions import FrameConditions
from .denoising import CausalSampler
from .hearing import KEPT_FRAMES, REACH_FRAMES, LiveHearing
from .portrait import LivePortrait

CHUNK_FRAMES, AHEAD_FRAMES = 5, 3
"""Frames that are made together, and frames of sound beyond them that are waited for."""
MOST_CHUNK_FRAMES, MOST_AHEAD_FRAMES = KEPT_FRAMES // 4, REACH_FRAMES - 1
ASKED_FRAMES = 5
"""At least every so many frames the net is asked how a face differs from a mean face (ADR 41)."""


@dataclass(frozen=True)
class LiveChunk:
    """Finished frames, and the sound that belongs to them.

    start    number of the first frame
    parts    uint8 [T', h, w, 3]     what lies in the painter's box; `LivePortrait.whole` makes pictures of it
    every    T' is T / every, rounded up: the middle one of so many frames is painted, and stands for them
    sound    [640 T] float32 mono 16 kHz
    emotion  [27]                    what the last frame was asked to feel
    seconds  wall time by stage
    """

    start: int
    parts: np.ndarray
    sound: np.ndarray
    emotion: np.ndarray
    seconds: dict[str, float]
    every: int = 1

    @property
    def n_frames(self) -> int:
        return len(self.sound) // SAMPLES_PER_FRAME


def middles(n_frames: int, every: int) -> list[int]:
    """The middle frames of groups of `every`: shown for their group, they come neither too early nor too late.

    >>> middles(5, 1), middles(5, 2), middles(5, 5), middles(7, 5)
    ([0, 1, 2, 3, 4], [0, 2, 4], [2], [2, 5])
    """
    return [start + (min(every, n_frames - start) - 1) // 2 for start in range(0, n_frames, every)]


class LiveSession:
    """One portrait and one sound without an end.

    emotion       words; empty means neutral
    chunk_frames  made together: fewer come sooner and cost more each
    ahead_frames  of sound beyond a chunk that is waited for: fewer come sooner, and lips guess more
    Raises BadInput.
    """

    def __init__(
        self,
        portrait: LivePortrait,
        emotion: str = "",
        chunk_frames: int = CHUNK_FRAMES,
        ahead_frames: int = AHEAD_FRAMES,
    ) -> None:
        if not (1 <= chunk_frames <= MOST_CHUNK_FRAMES and 0 <= ahead_frames <= MOST_AHEAD_FRAMES):
            raise BadInput(
                f"chunk_frames is {chunk_frames} and ahead_frames {ahead_frames}; give 1 .. {MOST_CHUNK_FRAMES} and "
                f"0 .. {MOST_AHEAD_FRAMES}."
            )
        self.portrait, self.chunk_frames, self.ahead_frames = portrait, chunk_frames, ahead_frames
        model, options = portrait.model, portrait.options
        with torch.inference_mode():
            self._hearing = LiveHearing(model, options, ahead_frames)
            self._sampler = CausalSampler(model, options, chunk_frames)
        amounts = (options.head, options.blink, options.gaze, moving_by(portrait.traits, options))
        self._motion = LiveMotion(options.seed, ahead_frames, *amounts)
        self.on = self.read(emotion)
        """The emotion that was asked for last; it may still be fading in."""
        self._feeling = _Feeling(self._scaled(self.on.code))
        self.paint_every = 1
        """Paint only one of so many frames of a chunk: for machines that are too slow for 25 a second."""
        self._added: Added | None = None
        self._next = 0
        self._stop: int | None = None

    @property
    def missing_samples(self) -> int:
        """Samples that must still come before the next chunk can be made; 0 where it can."""
        wanted = (self._next + self.chunk_frames + self.ahead_frames) * SAMPLES_PER_FRAME
        return max(0, wanted - self._hearing.sound.n_samples)

    @property
    def next_frame(self) -> int:
        """Number of the first frame of the next chunk."""
        return self._next

    @property
    def delay_s(self) -> float:
        """From a sound to the last moment at which its frame comes, without the time of computing: always the same."""
        return (self.chunk_frames + self.ahead_frames) / FPS

    def read(self, words: str) -> Emotion:
        """How words are read; empty means neutral. Changes nothing."""
        return self.portrait.model.reader.read([words])[0]

    def feel(self, emotion: str | np.ndarray) -> None:
        """Change the emotion, words or a code [27]: it fades in over FADE_FRAMES from the next chunk on."""
        self.on = self.read(emotion) if isinstance(emotion, str) else describe(emotion)
        self._feeling.turn_to(self._scaled(self.on.code))

    def add(self, samples: np.ndarray) -> None:
        """Take the next samples [N], float32 mono 16 kHz; any number. Raises BadInput for values that are no sound."""
        if self._stop is not None:
            raise BadInput("This live session is finished; begin another for more sound.")
        self._hearing.sound.add(samples)

    def finish(self) -> None:
        """Say that no more sound comes, so that `chunks` gives what is left: round(duration * 25) frames in all."""
        n_samples = self._hearing.sound.n_samples
        stop = n_frames_of(n_samples, SAMPLE_RATE_HZ) if n_samples else 0
        missing = (stop + self.chunk_frames + self.ahead_frames) * SAMPLES_PER_FRAME - n_samples
        self._hearing.sound.add(np.zeros(missing, np.float32))
        self._stop = stop

    def chunks(self) -> Iterator[LiveChunk]:
        """Every chunk whose sound is there, in order; the emotion may be changed between two of them."""
        while self._hearing.has(self._next + self.chunk_frames) and (self._stop is None or self._next < self._stop):
            yield self._make()

    def _make(self) -> LiveChunk:
        start, stop = self._next, self._next + self.chunk_frames
        clock, device = Clock(), self.portrait.model.device
        with torch.inference_mode():
            sound = self._hearing.sound.frames(start, stop).copy()  # a view would hold seconds of sound in memory
            tokens, voice, energy = self._hearing.hear(start, stop)
            code = self._feeling.next(stop - start)
            motion = torch.from_numpy(self._motion.next(energy, code)).to(device)
            conditions = self._conditions(tokens, voice, code, motion)
            clock.stop("hear")
            x0 = self._sampler.next(conditions)
            clock.stop("sample")
            n = stop - start if self._stop is None else min(stop, self._stop) - start
            every = self.paint_every
            most = max(1, ASKED_FRAMES // every)
            painted = middles(n, every)
            parts, self._added = self.portrait.paint(x0[:, painted], motion[painted], self._added, most)
            clock.stop("paint")
        self._next = stop
        return LiveChunk(start, parts, sound[: n * SAMPLES_PER_FRAME], code[n - 1], clock.seconds, every)

    def _conditions(self, tokens: Tensor, voice: np.ndarray, code: np.ndarray, motion: Tensor) -> FrameConditions:
        model, n = self.portrait.model, len(code)
        given = torch.from_numpy(code).to(model.device, model.dtype)
        return FrameConditions(
            context=self.portrait.context(n),
            audio=tokens,
            emotion=model.emotion_encoder(given[None])[0].float(),
            null_emotion=self.portrait.null_emotion,
            motion=motion,
            motion_known=torch.ones(n, device=model.device),
            style=self.portrait.style,
            voice=torch.from_numpy(voice).to(model.device),
        )

    def _scaled(self, code: np.ndarray) -> np.ndarray:
        neutral = emotion_code("neutral", 0.0)
        return neutral + np.float32(self.portrait.options.emotion_scale) * (code - neutral)


class _Feeling:
    """An emotion that fades into the next."""

    def __init__(self, code: np.ndarray) -> None:
        self._fade = (code, code, FADE_FRAMES)
        """From, to, and frames that have passed; replaced as a whole, since another thread may do it."""

    def turn_to(self, code: np.ndarray) -> None:
        """Fade from what is felt now to this code [27]."""
        self._fade = (self._at(self._fade, 0), code, 0)

    def next(self, n_frames: int) -> np.ndarray:
        """The codes [T, 27] of the next frames."""
        fade = self._fade
        codes = np.stack([self._at(fade, i + 1) for i in range(n_frames)]).astype(np.float32)
        if self._fade is fade:
            self._fade = (*fade[:2], fade[2] + n_frames)
        return codes

    @staticmethod
    def _at(fade: tuple[np.ndarray, np.ndarray, int], later: int) -> np.ndarray:
        before, after, passed = fade
        share = np.float32(min(1.0, (passed + later) / FADE_FRAMES))
        return before + share * (after - before)
