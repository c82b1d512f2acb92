"""Where somebody speaks: the gate that keeps the mouth at rest in silence, music and noise."""

from __future__ import annotations

import numpy as np
import torch

from ..config import MEL_RATE_HZ, SAMPLE_RATE_HZ
from .audio import _STFT_BLOCK_STEPS, HOP, MEL_STEPS_PER_FRAME, _loud_level, fit_length

GATE_DB = -26.0
"""Level under a clip's own loud moments below which a sound counts as silence."""
_GATE_FLOOR_DBFS = -75.0
"""A clip whose loud moments lie below this holds no speech, only the noise of a microphone."""
_MIN_PERIODICITY = 0.5
_MIN_MODULATION_DB = 2.5
_MODULATION_WINDOW_S = 3.0
_VOICE_REACH_S = 0.2
_WHISPER_SHARE = 0.1
"""A clip with a smaller share of voiced steps than this is whispered, or no speech at all."""
_LEAD_S, _HOLD_S, _RAMP_S = 0.08, 0.2, 0.12
"""The gate opens this long before the first sound, stays open this long after the last, and moves this fast."""


def speech_gate(samples: np.ndarray, n_frames: int, threshold_db: float = GATE_DB) -> np.ndarray:
    """Where somebody speaks: 1 in speech, 0 in silence and noise, smooth between; our design.

    samples       [N]  float32 mono 16 kHz, any gain
    threshold_db       level below the clip's own loud moments under which a sound counts as silence
    returns       [T]  0 .. 1

    A 10 ms step is speech if its level in 100 .. 4000 Hz is high for this clip, a periodic (voiced) step lies within
    0.2 s, and the level swings at 2 .. 10 Hz over the 3 s around it; in a clip almost without voiced steps (a whisper)
    a strong swing is enough. Gaps under 0.28 s stay open. Limits: singing, babble and rhythmic melodies
    pass; a vowel held for over 3 s is taken for music; speech less than about 5 dB above the noise is lost.
    """
    n_steps = n_frames * MEL_STEPS_PER_FRAME
    level, periodicity = _level_and_periodicity(fit_length(samples, n_frames), n_steps)
    loud, floor = _loud_level(level, MEL_RATE_HZ // 2), float(np.percentile(level, 10))
    if loud < _GATE_FLOOR_DBFS:
        return np.zeros(n_frames, np.float32)
    threshold = max(loud + threshold_db, floor + min(6.0, 0.5 * (loud - floor)), _GATE_FLOOR_DBFS)
    energetic = level > threshold
    swing = _modulation(np.clip(level, loud - 30.0, loud))
    voiced = energetic & (periodicity > _MIN_PERIODICITY)
    if voiced.sum() < _WHISPER_SHARE * energetic.sum():
        speech = energetic & (swing > 2 * _MIN_MODULATION_DB)
    else:
        speech = energetic & _dilate(voiced, _VOICE_REACH_S, _VOICE_REACH_S)
    if n_steps >= MEL_RATE_HZ:
        speech &= swing > _MIN_MODULATION_DB
    ramp = np.hanning(round(_RAMP_S * MEL_RATE_HZ) + 2)[1:-1]
    smooth = _centred_sum(_dilate(speech, _LEAD_S, _HOLD_S), ramp / ramp.sum())
    return np.clip(smooth.reshape(n_frames, MEL_STEPS_PER_FRAME).mean(1), 0.0, 1.0).astype(np.float32)


def _level_and_periodicity(samples: np.ndarray, n_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Level in dBFS [n_steps] and height of the autocorrelation's peak at 70 .. 400 Hz, 0 .. 1 [n_steps]."""
    size, n_fft = 640, 2048
    window = torch.hann_window(size)
    padded = torch.nn.functional.pad(torch.from_numpy(samples.astype(np.float32)), (size // 2 - HOP // 2,) * 2)
    steps = padded.unfold(0, size, HOP)[:n_steps]
    hertz = torch.fft.rfftfreq(n_fft, 1 / SAMPLE_RATE_HZ)
    band = ((hertz >= 100) & (hertz <= 4000)).float()
    of_window = torch.fft.irfft(torch.fft.rfft(window, n_fft).abs().square())
    lags = slice(SAMPLE_RATE_HZ // 400, SAMPLE_RATE_HZ // 70)
    levels, peaks = [], []
    for start in range(0, n_steps, _STFT_BLOCK_STEPS):
        power = torch.fft.rfft(steps[start : start + _STFT_BLOCK_STEPS] * window, n_fft).abs().square() * band
        correlation = torch.fft.irfft(power)
        energy = correlation[:, :1].clamp_min(1e-15)
        peaks.append((correlation[:, lags] / energy / (of_window[lags] / of_window[0])).amax(1))
        levels.append(10 * (energy[:, 0] / of_window[0]).log10())
    return torch.cat(levels).numpy(), torch.cat(peaks).numpy()


def _modulation(level_db: np.ndarray) -> np.ndarray:
    """Root mean square of the level's 2 .. 10 Hz swing over 3 s around every step, dB."""
    fast, slow = (_centred_sum(level_db, np.full(n, 1 / n), edge=True) for n in (9, 45))
    n = min(round(_MODULATION_WINDOW_S * MEL_RATE_HZ), len(level_db)) | 1
    counts = _centred_sum(np.ones(len(level_db)), np.ones(n))
    return np.sqrt(_centred_sum(np.square(fast - slow), np.ones(n)) / counts)


def _dilate(steps: np.ndarray, before_s: float, after_s: float) -> np.ndarray:
    """Extend every run of true steps to both sides."""
    before, after = round(before_s * MEL_RATE_HZ), round(after_s * MEL_RATE_HZ)
    n_true = np.concatenate([[0], np.cumsum(steps)])
    at = np.arange(len(steps))
    return n_true[np.minimum(at + before + 1, len(steps))] > n_true[np.maximum(at - after, 0)]


def _centred_sum(values: np.ndarray, kernel: np.ndarray, edge: bool = False) -> np.ndarray:
    """Convolution of the same length as `values`, whatever the kernel's length; beyond the ends zeros or the ends."""
    left = (len(kernel) - 1) // 2
    padded = np.pad(values.astype(np.float64), (left, len(kernel) - 1 - left), mode="edge" if edge else "constant")
    return np.convolve(padded, kernel, mode="valid")
