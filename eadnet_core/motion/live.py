"""Head motion, blinks, gaze and breath without an end: what `generate` makes of a clip, frame after frame.

The distribution is that of `generate`, but for the breath, which a clip of a few seconds does not show. What is drawn
depends on the number of the frame alone, so that it does not matter how many frames are asked for at a time. Memory
does not grow: sway and tremor come from loops whose lengths share no divisor, so that hours do not repeat.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..config import FPS
from ..taxonomy import MOTION
from .generate import (
    ACCENT_RISE,
    ACCENT_SHARE,
    CLOSED_S,
    CLOSING_S,
    GAZE_STD,
    LIMITS,
    NOD,
    NOD_DELAY_FRAMES,
    OPENING_S,
    QUICK_HZ,
    REFRACTORY_S,
    SACCADES_PER_S,
    SHARP_NOD_FRAMES,
    SLOW_HZ,
    SOFT_NOD_FRAMES,
    SWAY_STD,
    TREMOR_HZ,
    Floats,
    band_noise,
    blinks_hz,
    ease,
    manner_of,
)
from .style import AVERAGE, Traits

LOOP_FRAMES = (8191, 8179, 4093)
"""Of slow sway, quick sway and tremor: primes, about 5 1/2 and 3 minutes."""
BREATH_S, BREATH_PITCH, BREATH_SHIFT = 4.2, 0.012, 0.003
"""A breath, and what it does to pitch (radians) and height (frame widths): half of it up, half of it down."""
_BREATH_SWING = 0.25
"""By how much breaths differ in length."""
_BLINK_S = CLOSING_S + CLOSED_S + OPENING_S
_PITCH, _SHIFT_Y = MOTION.index("pitch"), MOTION.index("shift_y")


class LiveMotion:
    """A motion track relative to the portrait, columns `taxonomy.MOTION`, that goes on for ever.

    ahead_frames        how many frames before they are due the energies are known: nods that follow them begin earlier
    head, blink, gaze   amplitudes, as of `generate`; `traits` too
    """

    def __init__(
        self,
        seed: int,
        ahead_frames: int = 0,
        head: float = 1.0,
        blink: float = 1.0,
        gaze: float = 1.0,
        traits: Traits = AVERAGE,
    ) -> None:
        self.head, self.blink, self.gaze, self.traits = head, blink, gaze * traits.factor("gaze"), traits
        self._share = ACCENT_SHARE + traits.more_nods
        self._jump_chance = SACCADES_PER_S * traits.factor("gaze") / FPS
        self._draw = np.random.default_rng([seed, 17])
        bands = ((len(SWAY_STD), SLOW_HZ), (len(SWAY_STD), QUICK_HZ), (3, TREMOR_HZ))
        self._loops = [_loop(length, n, band, self._draw) for length, (n, band) in zip(LOOP_FRAMES, bands, strict=True)]
        self._n_frames = 0
        self._nods = [_Nods(width, ahead_frames) for width in (SOFT_NOD_FRAMES, SHARP_NOD_FRAMES)]
        self._energy, self._rise = 0.0, (0.0, 0.0)
        self._blink_s, self._earliest_s = -np.inf, -np.inf
        self._target, self._breath = np.zeros(2), 0.0

    def next(self, energy: Floats, code: Floats) -> NDArray[np.float32]:
        """The next T frames, [T, 8].

        energy  [T]      loudness of the voice, 0 .. 1, of the frames that come `ahead_frames` later
        code    [T, 27]  emotion codes
        """
        n = len(energy)
        posture, (amplitude, tempo, nod, sharpness, tremor) = manner_of(code, self.traits)
        numbers = self._n_frames + np.arange(n)
        slow, quick, shaking = (loop[numbers % len(loop)] for loop in self._loops)
        share = np.clip(tempo, 0.0, 1.0)[:, None]
        sway = (np.sqrt(1.0 - share) * slow + np.sqrt(share) * quick) * SWAY_STD
        rate_hz = blinks_hz(code, self.blink, self.traits)
        drawn = [self._frame(*each) for each in zip(energy, rate_hz, numbers.tolist(), strict=True)]
        soft, sharp, lids, gaze, breath = (np.array(column) for column in zip(*drawn, strict=True))
        pose = posture + sway * amplitude[:, None]
        pose[:, _PITCH] += NOD * nod * np.minimum(soft + np.clip(sharpness, 0.0, 1.0) * (sharp - soft), 1.0)
        pose[:, :3] += tremor[:, None] * shaking
        track = np.zeros((n, len(MOTION)), np.float32)
        track[:, :5] = LIMITS * np.tanh(self.head * pose / LIMITS)
        track[:, _PITCH] += self.head * BREATH_PITCH * breath
        track[:, _SHIFT_Y] -= self.head * BREATH_SHIFT * breath
        track[:, 5] = lids
        track[:, 6:] = np.clip(self.gaze * gaze, -1.0, 1.0)
        self._n_frames += n
        return track

    def _frame(self, energy: float, rate_hz: float, number: int) -> tuple[float, float, float, Floats, float]:
        """Soft and sharp nod, closure of the lids, gaze and breath of one frame; it always takes as many draws."""
        followed, strength, starts, phase, jumps, pace = self._draw.random(6)
        target = np.clip(self._draw.normal(size=2) * GAZE_STD, -0.8, 0.8)
        if jumps < self._jump_chance:
            self._target = target
        self._breath += (1 + _BREATH_SWING * (2 * pace - 1)) / (BREATH_S * FPS)
        accent = self._accent(energy) * (followed < self._share) * (0.5 + 0.6 * strength)
        soft, sharp = (nods.next(accent) for nods in self._nods)
        lids = self._lids(rate_hz / FPS, starts, (number + phase) / FPS, (number + 0.5) / FPS)
        return soft, sharp, lids, self._target, 0.5 * np.sin(2 * np.pi * self._breath)

    def _accent(self, energy: float) -> float:
        """How strongly the voice's energy rose in the frame before, if most steeply there: 0 .. 1."""
        before, last = self._rise
        now = max(0.0, energy - self._energy)
        self._energy, self._rise = energy, (last, now)
        low, high = ACCENT_RISE
        return float(np.clip((last - low) / (high - low), 0.0, 1.0)) if last >= before and last > now else 0.0

    def _lids(self, chance: float, starts: float, start_s: float, now_s: float) -> float:
        """Closure of the lids; they close anew only after a pause."""
        if starts < chance and start_s >= self._earliest_s:
            self._blink_s, self._earliest_s = start_s, start_s + _BLINK_S + REFRACTORY_S
        since_s = now_s - self._blink_s
        if not np.isfinite(since_s):
            return 0.0
        closing, opening = np.clip(since_s / CLOSING_S, 0.0, 1.0), np.clip((_BLINK_S - since_s) / OPENING_S, 0.0, 1.0)
        return float(ease(np.minimum(closing, opening)))


class _Nods:
    """Bumps of one width behind accents, which peak NOD_DELAY_FRAMES after these, or as soon as they can."""

    def __init__(self, width: int, ahead_frames: int) -> None:
        wait = max(0, ahead_frames - 1 - (width // 2 - NOD_DELAY_FRAMES))  # an accent is known one frame after it
        self._bump = np.pad(np.hanning(width + 2)[1:-1], (wait, 0))
        self._coming = np.zeros(len(self._bump))

    def next(self, accent: float) -> float:
        """The nod in this frame, 0 and up."""
        self._coming += accent * self._bump
        now, self._coming = float(self._coming[0]), np.append(self._coming[1:], 0.0)
        return now


def _loop(length: int, n_tracks: int, band_hz: tuple[float, float], generator: np.random.Generator) -> Floats:
    """Noise of a band, [length, n_tracks], that goes on where it began: its ends are faded into one another."""
    fade = round(FPS / band_hz[0])
    noise = band_noise(length + fade, n_tracks, band_hz, generator)
    angle = np.linspace(0.0, np.pi / 2, fade)[:, None]
    noise[:fade] = noise[:fade] * np.sin(angle) + noise[length:] * np.cos(angle)
    return noise[:length]
