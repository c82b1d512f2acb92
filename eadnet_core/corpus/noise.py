"""What a microphone adds to clean speech: gain, noise, band limits and a trace of room. Never a shift in time."""

from __future__ import annotations

import numpy as np

from ..config import SAMPLE_RATE_HZ

GAIN_DB = (-18.0, 3.0)
SNR_DB = (8.0, 40.0)
NOISE_SHARE, HUM_SHARE, ECHO_SHARE, BAND_SHARE = 0.5, 0.1, 0.2, 0.25
SLOPES = {"white": 0.0, "pink": 0.5, "brown": 1.0}
"""Amplitude falls as frequency to minus this."""


def augment(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Speech [N] at 16 kHz as some microphone would record it, float32 [N] within -1 .. 1."""
    result = samples.astype(np.float64)
    if rng.random() < ECHO_SHARE:
        result = _echo(result, rng)
    if rng.random() < BAND_SHARE:
        result = _shape(result, rng.uniform(60, 300), rng.uniform(3000, 7500))
    level = max(1e-4, float(np.sqrt(np.mean(samples.astype(np.float64) ** 2))))
    if rng.random() < NOISE_SHARE:
        noise = _noise(len(result), SLOPES[str(rng.choice(list(SLOPES)))], rng)
        result = result + noise * level * 10 ** (-rng.uniform(*SNR_DB) / 20)
    if rng.random() < HUM_SHARE:
        time = np.arange(len(result)) / SAMPLE_RATE_HZ
        result = result + 0.1 * level * np.sin(2 * np.pi * float(rng.choice([50, 60])) * time)
    result = result * 10 ** (rng.uniform(*GAIN_DB) / 20)
    return np.clip(result, -1, 1).astype(np.float32)


def _noise(n_samples: int, slope: float, rng: np.random.Generator) -> np.ndarray:
    spectrum = np.fft.rfft(rng.normal(size=n_samples))
    frequency = np.maximum(np.fft.rfftfreq(n_samples, 1 / SAMPLE_RATE_HZ), 20.0)
    noise = np.fft.irfft(spectrum / frequency**slope, n_samples)
    return noise / max(1e-9, float(noise.std()))


def _shape(samples: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
    """Keep the band low .. high with soft edges; zero phase, so nothing moves in time."""
    frequency = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE_HZ)
    gain = 1 / (1 + (low_hz / np.maximum(frequency, 1.0)) ** 4) / (1 + (frequency / high_hz) ** 6)
    return np.fft.irfft(np.fft.rfft(samples) * gain, len(samples))


def _echo(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A few early reflections, 5 to 40 ms late and at least 10 dB down; the direct sound stays where it is."""
    result = samples.copy()
    for _ in range(3):
        delay = int(rng.uniform(0.005, 0.04) * SAMPLE_RATE_HZ)
        if delay < len(samples):
            result[delay:] += rng.uniform(0.05, 0.3) * samples[: len(samples) - delay]
    return result
