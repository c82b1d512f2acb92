"""What public judges of lip sync hear: the log-mel of LatentSync's SyncNet, the cepstra of the original SyncNet.

The cepstra are those of the package python_speech_features 0.6, which the original SyncNet was trained on.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ...config import FPS, N_MELS, SAMPLE_RATE_HZ

PRE_EMPHASIS = 0.97
SYNCNET_HOP, SYNCNET_FFT = 200, 800
SYNCNET_MEL_RATE_HZ = SAMPLE_RATE_HZ // SYNCNET_HOP
SYNCNET_MEL_STEPS = 52
"""Steps of one window, for 16 frames."""
_LOWEST_HZ, _HIGHEST_HZ = 55.0, 7600.0
_REFERENCE_DB, _FLOOR_DB, _MEL_RANGE = 20.0, -100.0, 4.0

N_CEPSTRA = 13
CEPSTRA_HOP = 160
"""Samples between two steps: 4 per video frame."""
_CEPSTRA_WINDOW, _CEPSTRA_FFT, _CEPSTRA_FILTERS = 400, 512, 26
_LIFTER = 22
_BLOCK_STEPS = 6000
"""Steps computed at once, so that an hour of sound needs the memory of a minute."""


def syncnet_mel(samples: np.ndarray) -> Tensor:
    """Log-mel of LatentSync's SyncNet.

    samples  [N]                 float32 mono 16 kHz
    returns  [80, N // 200 + 1]  float32 in -4 .. 4, 80 steps a second; equal to the bit to the original's float64
                                 result, rounded
    """
    import librosa
    from scipy.signal import lfilter

    emphasised = lfilter([1.0, -PRE_EMPHASIS], [1.0], samples)
    spectrum = np.abs(librosa.stft(emphasised, n_fft=SYNCNET_FFT, hop_length=SYNCNET_HOP, win_length=SYNCNET_FFT))
    floor = np.exp(_FLOOR_DB / 20 * np.log(10))
    level_db = 20 * np.log10(np.maximum(floor, np.dot(_syncnet_filters(), spectrum))) - _REFERENCE_DB
    scaled = 2 * _MEL_RANGE * ((level_db - _FLOOR_DB) / -_FLOOR_DB) - _MEL_RANGE
    return torch.from_numpy(np.clip(scaled, -_MEL_RANGE, _MEL_RANGE).astype(np.float32))


def syncnet_mel_windows(mel: Tensor, first_frames: list[int]) -> Tensor:
    """Windows of `syncnet_mel` that begin with given frames: [80, N] -> [B, 1, 80, 52].

    Raises IndexError where a window reaches beyond the sound.
    """
    starts = [SYNCNET_MEL_RATE_HZ * frame // FPS for frame in first_frames]
    if min(starts) < 0 or max(starts) + SYNCNET_MEL_STEPS > mel.shape[1]:
        raise IndexError(f"Windows at frames {first_frames} reach beyond the sound of {mel.shape[1]} mel steps.")
    return torch.stack([mel[None, :, start : start + SYNCNET_MEL_STEPS] for start in starts])


@lru_cache(maxsize=1)
def _syncnet_filters() -> np.ndarray:
    import librosa

    return librosa.filters.mel(sr=SAMPLE_RATE_HZ, n_fft=SYNCNET_FFT, n_mels=N_MELS, fmin=_LOWEST_HZ, fmax=_HIGHEST_HZ)


def cepstra(samples: np.ndarray) -> np.ndarray:
    """Mel-frequency cepstra of the original SyncNet.

    samples  [N]      float32 mono 16 kHz, or int16 as in a wav file; the scale matters: floats are brought to 16 bits
    returns  [n, 13]  float64, 100 steps a second; the first column is the logarithm of the energy. The last step's
                      window may reach beyond the sound, into zeros
    """
    if samples.dtype != np.int16:
        samples = np.clip(np.round(samples * 32768.0), -32768, 32767).astype(np.int16)
    signal = samples.astype(np.float64)
    signal = np.append(signal[:1], signal[1:] - PRE_EMPHASIS * signal[:-1])
    n_steps = 1 + max(0, -(-(len(signal) - _CEPSTRA_WINDOW) // CEPSTRA_HOP))
    padded = np.pad(signal, (0, max(0, (n_steps - 1) * CEPSTRA_HOP + _CEPSTRA_WINDOW - len(signal))))
    windows = np.lib.stride_tricks.sliding_window_view(padded, _CEPSTRA_WINDOW)[::CEPSTRA_HOP][:n_steps]
    return np.concatenate([_cepstra(windows[i : i + _BLOCK_STEPS]) for i in range(0, n_steps, _BLOCK_STEPS)])


def _cepstra(windows: np.ndarray) -> np.ndarray:
    """[n, 400] -> [n, 13]; a silent window has an energy of the smallest step of float64 instead of 0."""
    from scipy.fft import dct

    power = np.square(np.abs(np.fft.rfft(windows, _CEPSTRA_FFT))) / _CEPSTRA_FFT
    energy, bands = power.sum(1), power @ _cepstra_filters().T
    least = np.finfo(np.float64).eps
    bands = np.log(np.where(bands == 0, least, bands))
    found = dct(bands, type=2, axis=1, norm="ortho")[:, :N_CEPSTRA]
    found = found * (1 + _LIFTER / 2 * np.sin(np.pi * np.arange(N_CEPSTRA) / _LIFTER))
    found[:, 0] = np.log(np.where(energy == 0, least, energy))
    return found


@lru_cache(maxsize=1)
def _cepstra_filters() -> np.ndarray:
    """Triangles [26, 257] whose corners are whole bins, evenly spaced on the HTK mel scale from 0 to 8000 Hz."""
    highest = 2595 * np.log10(1 + SAMPLE_RATE_HZ / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, highest, _CEPSTRA_FILTERS + 2) / 2595) - 1)
    corners = np.floor((_CEPSTRA_FFT + 1) * hertz / SAMPLE_RATE_HZ)
    filters = np.zeros((_CEPSTRA_FILTERS, _CEPSTRA_FFT // 2 + 1))
    for row, (low, middle, high) in enumerate(zip(corners, corners[1:], corners[2:], strict=False)):
        for place in range(int(low), int(middle)):
            filters[row, place] = (place - low) / (middle - low)
        for place in range(int(middle), int(high)):
            filters[row, place] = (high - place) / (high - middle)
    return filters
