"""Sound in, and the numbers the networks hear: samples, log-mel, energy and speech per video frame."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import numpy as np
import torch

from ..config import FPS, MEL_RATE_HZ, N_MELS, SAMPLE_RATE_HZ

HOP = SAMPLE_RATE_HZ // MEL_RATE_HZ
"""Samples between two mel steps."""
N_FFT = 400
SAMPLES_PER_FRAME = SAMPLE_RATE_HZ // FPS
MEL_STEPS_PER_FRAME = MEL_RATE_HZ // FPS
_STFT_BLOCK_STEPS = 6000
"""Mel steps computed at once, so that an hour of sound needs the memory of one minute."""


def n_frames_of(n_samples: int, rate_hz: int, fps: int | Fraction = FPS) -> int:
    """Video frames of a sound: its duration times fps, rounded with ties away from zero, at least one. Exact.

    >>> n_frames_of(640, 16_000), n_frames_of(960, 16_000), n_frames_of(959, 16_000), n_frames_of(1, 16_000)
    (1, 2, 1, 1)
    """
    return max(1, int((2 * n_samples * fps + rate_hz) // (2 * rate_hz)))


def fit_length(samples: np.ndarray, n_frames: int) -> np.ndarray:
    """`samples` [N] at 16 kHz, cut or padded with silence to exactly `n_frames` video frames."""
    length = n_frames * SAMPLES_PER_FRAME
    return samples[:length] if len(samples) >= length else np.pad(samples, (0, length - len(samples)))


def log_mel(samples: np.ndarray, n_frames: int | None = None) -> np.ndarray:
    """Log-mel spectrogram with 4 steps per video frame, about unit variance on speech.

    samples   [N]              float32 mono 16 kHz, -1 .. 1
    n_frames                   video frames to cover; sound is cut or padded with silence (default: all of it)
    returns   [4 n_frames, 80] float32; step i is centred on sample 160 i, as in Whisper, but silence (not a mirror
                               image) lies beyond the ends and the scale is absolute, so a step of a long file and the
                               same step of an excerpt are equal wherever its 400 samples lie inside both
    """
    if n_frames is None:
        n_frames = max(1, -(-len(samples) // SAMPLES_PER_FRAME))
    n_steps = n_frames * MEL_STEPS_PER_FRAME
    padded = torch.zeros(n_steps * HOP + N_FFT)
    fitted = torch.from_numpy(np.ascontiguousarray(samples[: n_frames * SAMPLES_PER_FRAME], dtype=np.float32))
    padded[N_FFT // 2 : N_FFT // 2 + len(fitted)] = fitted
    steps = padded.unfold(0, N_FFT, HOP)
    window, filters = torch.hann_window(N_FFT), _mel_filters()
    blocks = []
    for start in range(0, n_steps, _STFT_BLOCK_STEPS):
        block = steps[start : min(start + _STFT_BLOCK_STEPS, n_steps)] * window
        power = torch.view_as_real(torch.fft.rfft(block)).square().sum(-1)
        blocks.append(((power @ filters).clamp_min(1e-6).log10() + 3.0) / 1.5)
    return torch.cat(blocks).numpy()


@lru_cache(maxsize=1)
def _mel_filters() -> torch.Tensor:
    """librosa's Slaney filters [201, 80]."""
    import librosa

    return torch.from_numpy(librosa.filters.mel(sr=SAMPLE_RATE_HZ, n_fft=N_FFT, n_mels=N_MELS)).T.contiguous()


_QUIET_RMS = 10 ** (-45 / 20)
"""A clip whose loud moments lie below -45 dBFS is quiet: energy is measured against this level instead."""


def frame_energy(samples: np.ndarray, n_frames: int) -> np.ndarray:
    """Loudness of every video frame against the clip's own loud moments.

    samples   [N]   float32 mono 16 kHz
    returns   [T]   0 .. 1: RMS over the frame divided by the clip's 95th percentile (at least -45 dBFS)
    """
    rms = np.sqrt(np.square(fit_length(samples, n_frames)).reshape(n_frames, SAMPLES_PER_FRAME).mean(1))
    loud = max(float(np.percentile(rms, 95)), _QUIET_RMS)
    return np.clip(rms / loud, 0.0, 1.0).astype(np.float32)
