"""What a microphone adds to clean speech: gain, noise, band limits and a trace of room. Never a shift in time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..config import SAMPLE_RATE_HZ

Floats = NDArray[np.floating]

GAIN_DB = (-18.0, 3.0)
SNR_DB = (5.0, 40.0)
NOISE_SHARE, ROOM_SHARE, BAND_SHARE = 0.5, 0.25, 0.25
LOW_CUT_HZ, HIGH_CUT_HZ = (60.0, 300.0), (3000.0, 7500.0)
SPEECH_LEVEL = 0.03
"""Loudness (root mean square) that noise is measured against where the speech is softer than this, or silent."""
REVERBERATION_S = (0.1, 0.4)
"""Time in which the room's tail falls by 60 dB."""
DIRECT_TO_ROOM_DB = (8.0, 20.0)
FIRST_REFLECTION_S = 0.004


def augment(samples: Floats, rng: np.random.Generator) -> NDArray[np.float32]:
    """Speech [N] at 16 kHz as some microphone would record it, [N] within -1 .. 1."""
    level = max(SPEECH_LEVEL, float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))))
    result: Floats = samples.astype(np.float64)
    if rng.random() < ROOM_SHARE:
        result = _room(result, rng)
    if rng.random() < NOISE_SHARE:
        kind = _NOISES[rng.integers(len(_NOISES))]
        result = result + kind(len(result), rng) * level * _amplitude(-rng.uniform(*SNR_DB))
    if rng.random() < BAND_SHARE:
        result = _band_limit(result, rng.uniform(*LOW_CUT_HZ), rng.uniform(*HIGH_CUT_HZ))
    result = result * _amplitude(rng.uniform(*GAIN_DB))
    return (result / max(1.0, float(np.abs(result).max()))).astype(np.float32)


def _amplitude(decibels: float) -> float:
    return float(10.0 ** (decibels / 20.0))


def _coloured(slope: float) -> Callable[[int, np.random.Generator], Floats]:
    """Noise whose amplitude falls as frequency to minus `slope`: 0 white, 0.5 pink, 1 brown."""

    def make(n_samples: int, rng: np.random.Generator) -> Floats:
        spectrum = np.fft.rfft(rng.normal(size=n_samples))
        frequency = np.maximum(np.fft.rfftfreq(n_samples, 1.0 / SAMPLE_RATE_HZ), 20.0)
        return _unit(np.fft.irfft(spectrum / frequency**slope, n_samples))

    return make


def _babble(n_samples: int, rng: np.random.Generator) -> Floats:
    """A few distant talkers: noise of speech's long-term spectrum, swelling at the rate of syllables."""
    frequency = np.fft.rfftfreq(n_samples, 1.0 / SAMPLE_RATE_HZ)
    gain = (frequency / 150.0) ** 2 / (1.0 + (frequency / 150.0) ** 2) / (1.0 + (frequency / 500.0) ** 1.5)
    time_s = np.arange(n_samples) / SAMPLE_RATE_HZ
    total = np.zeros(n_samples)
    for _ in range(int(rng.integers(2, 6))):
        voice = np.fft.irfft(np.fft.rfft(rng.normal(size=n_samples)) * gain, n_samples)
        swell = np.sin(2.0 * np.pi * (rng.uniform(2.5, 6.0) * time_s + rng.random()))
        total += voice * (1.0 + 0.8 * swell) * rng.uniform(0.3, 1.0)
    return _unit(total)


def _hum(n_samples: int, rng: np.random.Generator) -> Floats:
    """Mains hum with harmonics."""
    base_hz = (50.0, 60.0)[rng.integers(2)]
    time_s = np.arange(n_samples) / SAMPLE_RATE_HZ
    harmonics = (np.sin(2.0 * np.pi * (base_hz * k * time_s + rng.random())) * rng.random() / k for k in range(1, 8))
    return _unit(sum(harmonics, np.zeros(n_samples)))


_NOISES = (_coloured(0.0), _coloured(0.5), _coloured(1.0), _babble, _hum)


def _unit(noise: Floats) -> Floats:
    return noise / max(1e-9, float(np.sqrt(np.mean(noise**2))))


def _band_limit(samples: Floats, low_hz: float, high_hz: float) -> Floats:
    """Keep the band low .. high with soft edges; zero phase, so nothing moves in time."""
    frequency = np.fft.rfftfreq(len(samples), 1.0 / SAMPLE_RATE_HZ)
    gain = 1.0 / (1.0 + (low_hz / np.maximum(frequency, 1.0)) ** 4) / (1.0 + (frequency / high_hz) ** 6)
    return np.fft.irfft(np.fft.rfft(samples) * gain, len(samples))


def _room(samples: Floats, rng: np.random.Generator) -> Floats:
    """Add the tail of a small room; the direct sound stays as it is, where it is."""
    decay_s = rng.uniform(*REVERBERATION_S)
    time_s = np.arange(round(decay_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    tail = rng.normal(size=len(time_s)) * 10.0 ** (-3.0 * time_s / decay_s) * (time_s >= FIRST_REFLECTION_S)
    tail *= _amplitude(-rng.uniform(*DIRECT_TO_ROOM_DB)) / np.sqrt(np.sum(tail**2))
    length = len(samples) + len(tail)
    echo = np.fft.irfft(np.fft.rfft(samples, length) * np.fft.rfft(tail, length), length)
    return samples + echo[: len(samples)]
