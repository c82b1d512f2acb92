"""Who speaks when in one sound: by turns that are written down, or by the channel that each voice has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...config import MEL_RATE_HZ, SAMPLE_RATE_HZ
from ...errors import BadInput
from .audio import HOP, Audio

Span = tuple[float, float]
"""Start and end in seconds."""

FADE_S = 0.02
"""Over which a voice comes and goes at the borders of its turn."""
BLEED_DB = 9.0
"""A channel further than this below another holds the other's voice, as one microphone hears its neighbour."""
_LEVEL_STEPS, _HOLD_STEPS = 9, 12
"""Over how many steps of 10 ms levels are averaged, and for how long a channel stays open to both sides."""
_SILENT = 1e-9
_SAME_DB = -30.0
"""Channels whose difference lies this far below them are one and the same."""


def in_turns(sound: Audio, spans: Sequence[Span]) -> Audio:
    """A sound in which one speaker's turns alone are heard; it is as long.

    >>> tone = Audio(np.ones(16_000, np.float32), 16_000, 16_000)
    >>> in_turns(tone, [(0.25, 0.5)]).samples[[2000, 6000, 10_000]].tolist()
    [0.0, 1.0, 0.0]
    """
    at = (np.arange(len(sound.samples)) + 0.5) / SAMPLE_RATE_HZ
    gain = np.zeros(len(at), np.float32)
    for start_s, end_s in spans:
        rise, fall = (at - start_s) / FADE_S + 0.5, (end_s - at) / FADE_S + 0.5
        gain = np.maximum(gain, np.minimum(rise, fall).clip(0, 1))
    return replace(sound, samples=(sound.samples * gain).astype(np.float32))


def in_channels(channels: Sequence[Audio]) -> list[Audio]:
    """Channels in each of which its own voice alone is heard: where one is much louder, the others hear its voice.

    channels  those that somebody has, of one sound
    Raises BadInput where two of them are the same, which says nothing of who speaks.
    """
    if len(channels) < 2:
        return list(channels)
    samples = np.stack([channel.samples for channel in channels])
    for i in range(len(samples)):
        for j in range(i):
            power, apart = float(np.square(samples[i]).mean()), float(np.square(samples[i] - samples[j]).mean())
            if power > _SILENT and apart < power * 10 ** (_SAME_DB / 10):
                raise BadInput(
                    "Two channels of the sound are the same, so that they do not tell who speaks. Say who speaks when: "
                    "give an emotion track whose keyframes name a speaker, or a voice for each face."
                )
    level = 10 * np.log10(np.stack([_power(each) for each in samples]) + _SILENT)
    gains = []
    for number in range(len(level)):
        loudest = np.delete(level, number, 0).max(0)
        gains.append(_held(level[number] > loudest - BLEED_DB))
    return [
        replace(channel, samples=(channel.samples * _per_sample(gain, len(channel.samples))).astype(np.float32))
        for channel, gain in zip(channels, gains, strict=True)
    ]


def _power(samples: np.ndarray) -> np.ndarray:
    """Mean power around each step of 10 ms."""
    n_steps = max(1, -(-len(samples) // HOP))
    steps = np.square(np.pad(samples, (0, n_steps * HOP - len(samples)))).reshape(n_steps, HOP).mean(1)
    return np.convolve(np.pad(steps, _LEVEL_STEPS // 2, mode="edge"), np.full(_LEVEL_STEPS, 1 / _LEVEL_STEPS), "valid")


def _held(is_open: np.ndarray) -> np.ndarray:
    """A gate [n] that stays open around every open step, with soft edges."""
    kernel = np.ones(2 * _HOLD_STEPS + 1)
    wide = np.convolve(np.pad(is_open.astype(float), _HOLD_STEPS), kernel, "valid") > 0
    soft = np.hanning(_HOLD_STEPS + 2)[1:-1]
    padded = np.pad(wide.astype(float), (len(soft) // 2, len(soft) - 1 - len(soft) // 2), mode="edge")
    return np.convolve(padded, soft / soft.sum(), "valid")


def _per_sample(gain: np.ndarray, n_samples: int) -> np.ndarray:
    at = np.arange(n_samples) / SAMPLE_RATE_HZ * MEL_RATE_HZ - 0.5
    return np.interp(at, np.arange(len(gain)), gain)
