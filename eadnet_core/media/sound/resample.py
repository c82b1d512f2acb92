"""Sound taken to another rate while it streams in."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from ...config import SAMPLE_RATE_HZ


class Resampler:
    """Streaming conversion of float32 sound, [N] or [C, N], from one rate to another."""

    def __init__(self, rate_hz: int, n_channels: int = 1, to_hz: int = SAMPLE_RATE_HZ) -> None:
        """`rate_hz` is what comes in, `to_hz` what goes out; [N] is given and returned for one channel."""
        import soxr

        self._stream = None if rate_hz == to_hz else soxr.ResampleStream(rate_hz, to_hz, n_channels, dtype="float32")
        self._ratio = Fraction(to_hz, rate_hz)
        self._n_in = self._n_out = 0

    def add(self, samples: np.ndarray) -> np.ndarray:
        """The samples that are ready after these."""
        self._n_in += samples.shape[-1]
        samples = samples.astype(np.float32, copy=False)
        if self._stream is not None:
            samples = self._stream.resample_chunk(np.ascontiguousarray(samples.T)).T
        self._n_out += samples.shape[-1]
        return samples

    def finish(self, like: np.ndarray) -> np.ndarray:
        """What is left; the total is ceil(n_in * to_hz / rate_hz). `like` is any block of the shape that was added."""
        missing = max(0, -int(-self._n_in * self._ratio // 1) - self._n_out)
        rest = np.zeros((*like.shape[:-1], 0), np.float32)
        if self._stream is not None:
            rest = self._stream.resample_chunk(np.ascontiguousarray(rest.T), last=True).T[..., :missing]
        return np.pad(rest, [(0, 0)] * (rest.ndim - 1) + [(0, missing - rest.shape[-1])])
