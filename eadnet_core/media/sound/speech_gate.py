"""Where somebody speaks: the gate that keeps the mouth at rest in silence, music and noise."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch

from ...config import MEL_RATE_HZ, SAMPLE_RATE_HZ
from .audio import HOP, MEL_STEPS_PER_FRAME, STFT_BLOCK_STEPS, fit_length, loud_level

GATE_DB = -26.0
"""Level under a clip's own loud moments below which a sound counts as silence."""
_GATE_FLOOR_DBFS = -75.0
"""A clip whose loud moments lie below this holds no speech, only the noise of a microphone."""
_MIN_PERIODICITY = 0.5
_MIN_MODULATION_DB = 2.5
_MODULATION_WINDOW_S = 3.0
_VOICE_REACH_S = 0.2
_VOICED_SHARE = 0.1
_LASTING_S, _LASTING_SHARE = 0.1, 0.03
"""A clip with smaller shares of voiced steps, or of voicing that lasts, is whispered, or no speech at all."""
_BAND_EDGES_HZ = (100, 400, 800, 1500, 2500, 4000)
_MIN_MOVEMENT = 0.27
"""Whispers measure 0.3 .. 0.8, typing 0.15 .. 0.25, noises that only swell and fade 0.05 .. 0.13."""
_MIN_EVENNESS_DB = -3.9
"""Whispers measure -3.1 .. -0.9 dB, a 50 Hz voice down to -3.3, footsteps -4.2 and less, typing -5.3 and less."""
_EVENNESS_FLOOR_DB = -15.0
"""A block of digital silence counts as this far below the mean, so that the pauses of a gated whisper weigh little."""
_LEAD_S, _HOLD_S, _RAMP_S = 0.08, 0.2, 0.12
"""The gate opens this long before the first sound, stays open this long after the last, and moves this fast."""


def speech_gate(samples: np.ndarray, n_frames: int, threshold_db: float = GATE_DB) -> np.ndarray:
    """Where somebody speaks: 1 in speech, 0 in silence and noise, smooth between; our design.

    samples       [N]  float32 mono 16 kHz, any gain
    threshold_db       level below the clip's own loud moments under which a sound counts as silence
    returns       [T]  0 .. 1

    A 10 ms step is speech if its level in 100 .. 4000 Hz is high for this clip, a periodic (voiced) step lies within
    0.2 s, and the level swings at 2 .. 10 Hz over the 3 s around it. Gaps under 0.28 s stay open.

    A clip almost without voiced steps, or whose voiced steps never last (the chance periods of a whisper, the ring of a
    key), is a whisper or no speech. Two measures over 3 s tell them apart, weighted by the dB above the threshold:
    - Evenness: a whisper is steady over 80 ms; clicks, keys, steps and drops put their energy into a part of it.
      It is the flatness measure of Johnston 1988, in time and not in frequency.
    - Movement: the spectrum of a whisper moves with the sounds of speech; that of a shaker, a brush or a train only
      swells and fades. It is kin to the long-term variability of Ghosh, Tsiartas and Narayanan 2011.
    Without voiced steps the level must also swing twice as much.

    Limits: singing, babble, animals, rhythmic melodies, and drums, drips, fires or clocks that ring for over 0.1 s
    pass. In a clip with speech, so do keys and drops within 0.2 s of a voice or of a ring. A vowel held for over 3 s
    is taken for music. Lost may be a whispered or creaky syllable that stands alone in its clip, as its spectrum hardly
    moves, a whisper under typing, and speech less than about 5 dB above the noise.
    """
    n_steps = n_frames * MEL_STEPS_PER_FRAME
    fitted = fit_length(samples, n_frames)
    level, periodicity = _level_and_periodicity(fitted, n_steps)
    loud, floor = loud_level(level, MEL_RATE_HZ // 2), float(np.percentile(level, 10))
    if loud < _GATE_FLOOR_DBFS:
        return np.zeros(n_frames, np.float32)
    threshold = max(loud + threshold_db, floor + min(6.0, 0.5 * (loud - floor)), _GATE_FLOOR_DBFS)
    energetic = level > threshold
    swing = _modulation(np.clip(level, loud - 30.0, loud))
    voiced = energetic & (periodicity > _MIN_PERIODICITY)
    is_unvoiced = voiced.sum() < _VOICED_SHARE * energetic.sum()
    if is_unvoiced:
        speech = energetic & (swing > 2 * _MIN_MODULATION_DB)
    else:
        speech = energetic & _dilate(voiced, _VOICE_REACH_S, _VOICE_REACH_S)
    if is_unvoiced or _lasting(voiced).sum() < _LASTING_SHARE * energetic.sum():
        movement, evenness = _movement_and_evenness(fitted, np.maximum(level - threshold, 0.0))
        speech &= (movement > _MIN_MOVEMENT) & (evenness > _MIN_EVENNESS_DB)
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
    for start in range(0, n_steps, STFT_BLOCK_STEPS):
        power = torch.fft.rfft(steps[start : start + STFT_BLOCK_STEPS] * window, n_fft).abs().square() * band
        correlation = torch.fft.irfft(power)
        energy = correlation[:, :1].clamp_min(1e-15)
        peaks.append((correlation[:, lags] / energy / (of_window[lags] / of_window[0])).amax(1))
        levels.append(10 * (energy[:, 0] / of_window[0]).log10())
    return torch.cat(levels).numpy(), torch.cat(peaks).numpy()


def _movement_and_evenness(samples: np.ndarray, excess_db: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both over 3 s around every step [n_steps], weighted by the dB above the threshold.

    movement  standard deviation of each band's share of the amplitude, summed over the bands
    evenness  mean of `_evenness`, dB
    """
    shares = _band_shares(samples, excess_db > 0)
    variances = [_weighted_mean(x * x, excess_db) - np.square(_weighted_mean(x, excess_db)) for x in shares]
    movement = np.sqrt(np.maximum(variances, 0.0)).sum(0)
    return movement, _weighted_mean(_evenness(samples, len(excess_db)), excess_db)


def _weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean over 3 s around every step."""
    kernel = np.ones(min(round(_MODULATION_WINDOW_S * MEL_RATE_HZ), len(weights)) | 1)
    return _centred_sum(values * weights, kernel) / np.maximum(_centred_sum(weights, kernel), 1e-6)


def _band_shares(samples: np.ndarray, energetic: np.ndarray) -> np.ndarray:
    """What each band holds of the amplitude, as a mean over the energetic steps within 90 ms; [bands, n_steps]."""
    size = 640
    padded = torch.nn.functional.pad(torch.from_numpy(samples.astype(np.float32)), (size // 2 - HOP // 2,) * 2)
    steps, window = padded.unfold(0, size, HOP)[: len(energetic)], torch.hann_window(size)
    edges = [round(hertz * size / SAMPLE_RATE_HZ) for hertz in _BAND_EDGES_HZ]
    blocks = []
    for start in range(0, len(energetic), STFT_BLOCK_STEPS):
        power = torch.fft.rfft(steps[start : start + STFT_BLOCK_STEPS] * window).abs().square()
        bands = [power[:, low:high].sum(1).sqrt() for low, high in pairwise(edges)]
        blocks.append(torch.stack(bands))
    amplitudes = [_centred_sum(band * energetic, np.ones(9)) for band in torch.cat(blocks, 1).numpy()]
    return np.stack(amplitudes) / np.maximum(np.sum(amplitudes, 0), 1e-9)


def _evenness(samples: np.ndarray, n_steps: int) -> np.ndarray:
    """Mean level of the four 20 ms blocks around a step, below the level of their mean, dB [n_steps].

    Measured on the slope of the samples, which hum and an offset hardly reach; 20 ms hold a period of any voice.
    """
    slope = np.diff(samples.astype(np.float32), prepend=samples[:1])
    power = np.pad(np.square(slope).reshape(-1, HOP).mean(1), 4, mode="edge")
    blocks = np.lib.stride_tricks.sliding_window_view(power, 8)[:n_steps].reshape(n_steps, 4, 2).mean(2)
    relative = blocks / np.maximum(blocks.mean(1, keepdims=True), 1e-12)
    return 10 * np.log10(np.maximum(relative, 10 ** (_EVENNESS_FLOOR_DB / 10))).mean(1)


def _modulation(level_db: np.ndarray) -> np.ndarray:
    """Root mean square of the level's 2 .. 10 Hz swing over 3 s around every step, dB."""
    fast, slow = (_centred_sum(level_db, np.full(n, 1 / n), edge=True) for n in (9, 45))
    n = min(round(_MODULATION_WINDOW_S * MEL_RATE_HZ), len(level_db)) | 1
    counts = _centred_sum(np.ones(len(level_db)), np.ones(n))
    return np.sqrt(_centred_sum(np.square(fast - slow), np.ones(n)) / counts)


def _lasting(steps: np.ndarray) -> np.ndarray:
    """The runs of true steps that last for 0.1 s."""
    half_s = _LASTING_S / 2
    return _dilate(~_dilate(~steps, half_s, half_s), half_s, half_s)


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
