"""The log-mel that Whisper's encoder reads: relative to the loudest moment of the whole file, so it needs all of it.

The mini's own log-mel (`media.audio.log_mel`) has an absolute scale instead; the two do not exchange.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...config import N_MELS
from .audio import HOP, N_FFT, SAMPLES_PER_FRAME, mel_filters

_BLOCK_STEPS = 6000
"""Steps transformed at once, so that an hour of sound needs no spectrum of an hour; the bits do not depend on it."""
_RANGE = 8.0
"""Decades below the loudest value of the file at which the log-mel ends."""


def whisper_mel(samples: np.ndarray) -> Tensor:
    """Whisper's log-mel of a whole sound, equal to the bit to OpenAI's code.

    samples  [N]            float32 mono 16 kHz; less than one video frame is padded with silence
    returns  [80, N // 160] float32, 100 steps a second; 115 MB for an hour
    """
    samples = np.ascontiguousarray(samples, dtype=np.float32)
    if len(samples) < SAMPLES_PER_FRAME:
        samples = np.pad(samples, (0, SAMPLES_PER_FRAME - len(samples)))
    n_steps = len(samples) // HOP
    mel = torch.empty(N_MELS, n_steps)
    window, filters = torch.hann_window(N_FFT), mel_filters()
    for start in range(0, n_steps, _BLOCK_STEPS):
        end = min(start + _BLOCK_STEPS, n_steps)
        part = torch.from_numpy(_part(samples, start * HOP - N_FFT // 2, (end - 1) * HOP + N_FFT // 2))
        spectrum = torch.stft(part, N_FFT, HOP, window=window, center=False, return_complex=True)
        mel[:, start:end] = (filters @ spectrum.abs().square()).clamp_(min=1e-10).log10_()
    return mel.clamp_(min=mel.max() - _RANGE).add_(4.0).div_(4.0)


def _part(samples: np.ndarray, first: int, last: int) -> np.ndarray:
    """Samples `first` up to but not including `last`; beyond the ends of the sound lies its mirror image."""
    inside = samples[max(0, first) : last]
    return np.pad(inside, (max(0, -first), max(0, last - len(samples))), mode="reflect")
