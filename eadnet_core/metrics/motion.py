"""Flicker and liveliness: how fast pictures change, against how fast the truth does.

Jitter alone is won by a frozen video, so the amplitude of motion and the energy of the mouth's motion at the
rate of syllables always stand beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..config import EYE_HALF_DISTANCE, EYE_LINE_Y, FPS, MASK_BOXES

REGIONS: dict[str, tuple[float, float, float, float]] = {
    "whole": MASK_BOXES["full"],
    "mouth": MASK_BOXES["mouth"],
    "eyes": (0.5 - 2 * EYE_HALF_DISTANCE, EYE_LINE_Y - 0.13, 0.5 + 2 * EYE_HALF_DISTANCE, EYE_LINE_Y + 0.09),
}
"""x0, y0, x1, y1 in frame widths of the square training frame; the eyes include the brows."""
SYLLABLE_BAND_HZ = (3.0, 8.0)
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class MotionStats:
    """Motion of one clip in one region, in grey levels 0 .. 1.

    speed       mean over time of the RMS of first differences of the pixels
    jitter      mean over time of the RMS of second differences
    amplitude   RMS distance of the pixels from their mean over the clip
    """

    speed: float
    jitter: float
    amplitude: float


def crop_region(frames: np.ndarray, region: str) -> np.ndarray:
    """The pixels of one of `REGIONS` in frames [T, H, W, 3]."""
    height, width = frames.shape[1:3]
    x0, y0, x1, y1 = REGIONS[region]
    return frames[:, round(y0 * height) : round(y1 * height), round(x0 * width) : round(x1 * width)]


def grey(frames: np.ndarray) -> np.ndarray:
    """Luma [T, H, W] in 0 .. 1 of uint8 frames [T, H, W, 3]."""
    return frames.astype(np.float32) @ (_LUMA / 255.0)


class MotionMeter:
    """Measures a clip block by block, in the memory of one picture."""

    def __init__(self) -> None:
        self._tail: np.ndarray | None = None
        self._n_frames = 0
        self._speed = {region: 0.0 for region in REGIONS}
        self._jitter = {region: 0.0 for region in REGIONS}
        self._sum = {region: np.zeros(0) for region in REGIONS}
        self._square = {region: np.zeros(0) for region in REGIONS}

    def add(self, frames: np.ndarray) -> None:
        """Take in the next uint8 frames [b, H, W, 3]."""
        for region in REGIONS:
            pixels = grey(crop_region(frames, region)).astype(np.float64)
            if not self._n_frames:
                self._sum[region] = self._square[region] = np.zeros(pixels.shape[1:])
            self._sum[region] = self._sum[region] + pixels.sum(0)
            self._square[region] = self._square[region] + np.square(pixels).sum(0)
        joined = frames if self._tail is None else np.concatenate([self._tail, frames])
        for region in REGIONS:
            self._speed[region] += float(difference(joined[-len(frames) - 1 :], region, 1).sum(dtype=np.float64))
            self._jitter[region] += float(difference(joined, region, 2).sum(dtype=np.float64))
        self._tail = joined[-2:]
        self._n_frames += len(frames)

    def stats(self) -> dict[str, MotionStats]:
        """Speed, jitter and amplitude of every region; 0 where the clip is too short."""
        n = max(1, self._n_frames)
        stats = {}
        for region in REGIONS:
            variance = self._square[region] / n - np.square(self._sum[region] / n)
            amplitude = float(np.sqrt(np.maximum(variance, 0.0).mean())) if variance.size else 0.0
            speed, jitter = self._speed[region] / max(1, n - 1), self._jitter[region] / max(1, n - 2)
            stats[region] = MotionStats(speed, jitter, amplitude)
        return stats


def motion_stats(frames: np.ndarray) -> dict[str, MotionStats]:
    """Speed, jitter and amplitude of uint8 frames [T, H, W, 3] in every region."""
    meter = MotionMeter()
    meter.add(frames)
    return meter.stats()


def difference(frames: np.ndarray, region: str = "whole", order: int = 2) -> np.ndarray:
    """RMS over the pixels of the difference of that order [T - order]; order 2 shows at which frame a seam lies."""
    change = np.diff(grey(crop_region(frames, region)), n=order, axis=0)
    return np.sqrt(np.square(change).mean((1, 2)))


def band_power(track: np.ndarray, band_hz: tuple[float, float] = SYLLABLE_BAND_HZ, fps: float = FPS) -> float:
    """Mean power of a track [T] within a band of frequencies, after a Hann window; 0 where the clip is too short.

    >>> t = np.arange(100) / 25
    >>> slow, fast = band_power(np.sin(2 * np.pi * t)), band_power(np.sin(2 * np.pi * 5 * t))
    >>> fast > 1000 * slow
    True
    """
    n = len(track)
    if n < 4:
        return 0.0
    window = np.hanning(n + 2)[1:-1]
    spectrum = np.abs(np.fft.rfft((track - track.mean()) * window)) ** 2
    rate_hz = np.fft.rfftfreq(n, 1 / fps)
    inside = (rate_hz >= band_hz[0]) & (rate_hz <= band_hz[1])
    return float(2 * spectrum[inside].sum() / (n * np.square(window).sum()))


def ratio(generated: float, true: float) -> float:
    """generated / true; nan where the truth is still.

    >>> ratio(3.0, 2.0)
    1.5
    """
    return generated / true if true > 0 else float("nan")
