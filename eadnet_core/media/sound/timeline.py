"""Pieces of a decoded sound put where their timestamps say: one rate, one number of channels, and no time lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from .form import JITTER_S
from .resample import Resampler

_DAMAGE_JITTER_S = 0.002
"""Where a packet was lost the step is known to be real; containers round to 1 ms."""
_OVERLAP_S = 1
"""A clock that goes back further has started anew."""
MAX_SILENCE_S = 3600
"""Silence put into one sound in all; timestamps that ask for more are wrong."""
_BLOCK_SAMPLES = 1 << 16


@dataclass(frozen=True)
class Piece:
    """What one packet held."""

    samples: np.ndarray
    """[C, n] float32"""
    rate_hz: int
    time_s: Fraction | None
    """Of its first sample, by the container's clock."""
    is_after_damage: bool = False
    """Whether something before it could not be decoded."""


@dataclass(frozen=True)
class Clock:
    """How far the timestamps of a format are to be believed."""

    zero_s: Fraction | None = None
    """Time zero: the start of the picture; None is the start of the sound itself."""
    max_gap_s: int = MAX_SILENCE_S
    """A longer step is a clock that started anew, not silence."""
    counts_packets: bool = False
    """Whether times are only packets counted up, as in mp3: nothing but damage leaves a gap."""


class Timeline:
    """Turns pieces into blocks [n_channels, n] at one rate that follow one another without a gap.

    Silence fills what is missing, and what comes before time zero is cut.
    """

    def __init__(self, rate_hz: int, n_channels: int, clock: Clock) -> None:
        self.rate_hz, self.n_channels = rate_hz, n_channels
        self.n_samples = self._n_given = 0
        """Samples per channel that were handed out, at `rate_hz`."""
        self._clock, self._zero_s = clock, clock.zero_s
        self._is_started = False
        self._skip = self._shift = 0
        self._n_cut = self._n_late = self._n_silent = 0
        self._has_changed = self._has_jumped = False
        self._form: tuple[int, int] | None = None
        self._resampler: Resampler | None = None

    def add(self, piece: Piece) -> Iterator[np.ndarray]:
        """The blocks that a piece makes."""
        if self._form != (piece.rate_hz, len(piece.samples)):
            yield from self.finish()
            self._has_changed = self._form is not None
            self._form = (piece.rate_hz, len(piece.samples))
            if piece.rate_hz != self.rate_hz:
                self._resampler = Resampler(piece.rate_hz, self.n_channels, self.rate_hz)
        if piece.time_s is not None:
            yield from self._silent(self._step(piece, piece.time_s))
        samples = piece.samples
        if len(samples) != self.n_channels:
            samples = np.repeat(samples.mean(0, keepdims=True), self.n_channels, axis=0)
        yield from self._hand_out(samples if self._resampler is None else self._resampler.add(samples))

    def finish(self) -> Iterator[np.ndarray]:
        """What the conversion of a part still holds."""
        if self._resampler is not None:
            rest = self._resampler.finish(np.zeros((self.n_channels, 0), np.float32))
            self._resampler = None
            yield from self._hand_out(rest)

    def notes(self) -> list[str]:
        """What had to change."""
        notes, late_s = [], self._n_late / self.rate_hz
        if late_s > JITTER_S:
            notes.append(f"The sound starts {late_s:.2f} s after the picture; silence stands before it.")
        if self._n_cut > JITTER_S * self.rate_hz:
            notes.append(
                f"The first {self._n_cut / self.rate_hz:.2f} s of the sound lie before the picture; they are cut."
            )
        if self._n_silent:
            notes.append(f"Gaps in the sound, {self._n_silent / self.rate_hz:.2f} s in all, are filled with silence.")
        if self._has_changed:
            notes.append("The sound changes its rate or its channels on the way; all of it is read as at first.")
        if self._has_jumped:
            notes.append("The timestamps of the sound jump on the way; its parts follow one another.")
        return notes

    @property
    def length_s(self) -> float:
        """Of the sound itself, with its gaps, without the silence before it."""
        return (self._n_given + self._n_silent) / self.rate_hz

    def _hand_out(self, samples: np.ndarray) -> Iterator[np.ndarray]:
        self._n_given += samples.shape[1]
        skipped = min(self._skip, samples.shape[1])
        self._skip -= skipped
        self.n_samples += samples.shape[1] - skipped
        if skipped < samples.shape[1]:
            yield samples[:, skipped:]

    def _silent(self, n_samples: int) -> Iterator[np.ndarray]:
        self.n_samples += n_samples
        for start in range(0, n_samples, _BLOCK_SAMPLES):
            yield np.zeros((self.n_channels, min(_BLOCK_SAMPLES, n_samples - start)), np.float32)

    def _step(self, piece: Piece, time_s: Fraction) -> int:
        """Samples of silence before a piece; for one that comes early, what is to be skipped is noted."""
        if self._zero_s is None:
            self._zero_s = time_s
        due = round((time_s - self._zero_s) * self.rate_hz) + self._shift
        step = due - (self.n_samples - self._skip)
        if not self._is_started:
            return self._start(step)
        jitter_s = _DAMAGE_JITTER_S if piece.is_after_damage else JITTER_S
        if self._resampler is not None or abs(step) <= jitter_s * self.rate_hz:
            return 0
        if self._is_gap(step, piece.is_after_damage):
            self._n_silent += step
            return step
        if not self._clock.counts_packets and -_OVERLAP_S * self.rate_hz <= step < 0:
            self._skip -= step
        else:
            self._shift -= step
            self._has_jumped |= not self._clock.counts_packets
        return 0

    def _start(self, step: int) -> int:
        self._is_started = True
        if abs(step) > MAX_SILENCE_S * self.rate_hz:
            self._shift, self._has_jumped = -step, True
            return 0
        self._n_late, self._n_cut = max(step, 0), max(-step, 0)
        self._skip = self._n_cut
        return self._n_late

    def _is_gap(self, step: int, is_after_damage: bool) -> bool:
        if step < 0 or (self._clock.counts_packets and not is_after_damage):
            return False
        longest_s = min(self._clock.max_gap_s, MAX_SILENCE_S - self._n_silent / self.rate_hz)
        return step <= longest_s * self.rate_hz
