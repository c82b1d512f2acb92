"""What a sound file may be, and what its readers have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from ...errors import BadInput

WANTED = "Give a sound file (wav, flac, mp3, ogg, m4a) or a video with sound."
MAX_CHANNELS = 8
"""What AAC can carry: 7.1."""
MAX_PEAK = 64.0
"""Floats may overshoot full scale; beyond this they are integers that were never scaled."""
JITTER_S = 0.04
"""One frame: a smaller difference in time is not worth a word."""
_RATES_HZ = (1000, 6_000_000)
"""Rates that are sound; a damaged header may say anything."""


class Unreadable(BadInput):
    """A library does not know the format; another may."""


class SoundReader(Protocol):
    """One pass over the sound of a file."""

    rate_hz: int
    n_channels: int
    notes: list[str]
    """What had to change; complete when the blocks have ended."""

    def blocks(self) -> Iterator[np.ndarray]:
        """All samples in order, float32 [n_channels, n]; n is at least one and varies."""


def has_form(rate_hz: int, n_channels: int) -> bool:
    """Whether a sound of this rate and number of channels can be read."""
    return _RATES_HZ[0] <= rate_hz <= _RATES_HZ[1] and 1 <= n_channels <= MAX_CHANNELS


def check_form(what: str, rate_hz: int, n_channels: int) -> None:
    """Raises BadInput for a rate that is none, and for more channels than a video can carry."""
    if n_channels > MAX_CHANNELS:
        raise BadInput(f"{what} has {n_channels} channels; at most {MAX_CHANNELS} are read. Mix it down.")
    if not has_form(rate_hz, n_channels):
        lowest, highest = _RATES_HZ
        raise BadInput(f"{what} has a rate of {rate_hz} Hz; {lowest} to {highest} are read. Export it again.")


def length_notes(announced_s: float | None, given_s: float) -> list[str]:
    """A note where a file's header says another length than was decoded."""
    if announced_s is None or abs(given_s - announced_s) <= JITTER_S:
        return []
    return [f"The file announces {announced_s:.2f} s of sound, but {given_s:.2f} s are there; those are used."]
