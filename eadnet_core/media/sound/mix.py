"""Several voices as one sound: each begins at its time, may begin anew, and all are added up while they stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from ...config import SAMPLE_RATE_HZ
from ...errors import BadInput
from .audio import Audio, original_samples
from .form import MAX_CHANNELS
from .resample import Resampler

BLOCK_SAMPLES = 1 << 17
"""Added up at a time, in each channel."""
SHORTEST_LOOP_S = 0.2
"""What is shorter is not repeated: it would be heard as a tone."""


@dataclass(frozen=True)
class Placed:
    """A sound at its place in a mix.

    start_s    seconds of silence before it
    is_looped  whether it begins anew at its end, to the end of the mix
    """

    sound: Audio
    start_s: float = 0.0
    is_looped: bool = False

    @property
    def end_s(self) -> float:
        """When it ends for the first time, in seconds of the mix."""
        return self.start_s + self.sound.duration_s


def heard(placed: Placed, duration_s: float) -> np.ndarray:
    """A voice at its place, silence around it: mono 16 kHz float32 [N], as long as the mix.

    >>> tone = Audio(np.ones(8000, np.float32), 8000, 16_000)
    >>> heard(Placed(tone, 0.25), 1.0).reshape(4, 4000).mean(1).tolist()
    [0.0, 1.0, 1.0, 0.0]
    """
    samples = np.zeros(round(duration_s * SAMPLE_RATE_HZ), np.float32)
    for start_s in starts(placed, duration_s):
        start = round(start_s * SAMPLE_RATE_HZ)
        part = placed.sound.samples[: len(samples) - start]
        samples[start : start + len(part)] = part
    return samples


def starts(placed: Placed, duration_s: float) -> list[float]:
    """The times at which a voice begins, in seconds; the next time at its own end.

    Raises BadInput for a loop that is too short to be one.
    """
    if not placed.is_looped or placed.end_s >= duration_s:
        return [placed.start_s] if placed.start_s < duration_s else []
    length_s = placed.sound.duration_s
    if length_s < SHORTEST_LOOP_S:
        raise BadInput(f"A voice of {length_s:.2f} s is too short to be looped; give at least {SHORTEST_LOOP_S} s.")
    n_times = int(np.ceil((duration_s - placed.start_s) / length_s - 1e-9))
    return [placed.start_s + i * length_s for i in range(n_times)]


def mixed(parts: Sequence[Placed], duration_s: float | None = None) -> Audio:
    """All voices as one sound at the highest of their rates, with the most channels that one has.

    parts       at least one; a mono voice goes to all channels of a stereo mix
    duration_s  by default to the end of the last
    returns     where the sum is louder than full scale, all of it is softer, and a note says so; memory does not grow
                with the length, but by the 16 kHz that are listened to
    One voice alone, from the beginning to its end, is that sound to the bit.
    """
    end_s = max(part.end_s for part in parts)
    duration_s = end_s if duration_s is None else duration_s
    notes = tuple(dict.fromkeys(note for part in parts for note in part.sound.notes))
    only = parts[0]
    if len(parts) == 1 and only.start_s == 0 and abs(duration_s - only.end_s) < 0.5 / only.sound.rate_hz:
        return only.sound
    rate_hz = max(part.sound.rate_hz for part in parts)
    n_channels = min(MAX_CHANNELS, max(len(next(original_samples(part.sound))) for part in parts))
    n_samples = max(1, round(duration_s * rate_hz))
    draw = partial(_sums, tuple(parts), duration_s, rate_hz, n_channels, n_samples)
    peak = max(float(np.abs(block).max()) for block in draw(1.0))
    gain = min(1.0, 1.0 / max(peak, 1e-9))
    if gain < 1.0:
        notes += (f"The voices together are louder than full scale; all are {-20 * np.log10(gain):.1f} dB softer.",)
    samples = np.zeros(round(duration_s * SAMPLE_RATE_HZ), np.float32)
    for part in parts:
        samples += np.float32(gain) * heard(part, duration_s)
    return Audio(samples, n_samples, rate_hz, notes=notes, drawn=partial(draw, gain))


def _sums(
    parts: tuple[Placed, ...], duration_s: float, rate_hz: int, n_channels: int, n_samples: int, gain: float
) -> Iterator[np.ndarray]:
    """The mix [n_channels, n] in blocks."""
    streams = [_Stream(_blocks(part, duration_s, rate_hz, n_channels)) for part in parts]
    for start in range(0, n_samples, BLOCK_SAMPLES):
        n = min(BLOCK_SAMPLES, n_samples - start)
        total = np.zeros((n_channels, n), np.float32)
        for stream in streams:
            total += stream.take(n, n_channels)
        yield total * np.float32(gain)


class _Stream:
    """Blocks of any size taken in any other; silence after the last."""

    def __init__(self, blocks: Iterator[np.ndarray]) -> None:
        self._blocks, self._left = blocks, np.zeros((1, 0), np.float32)

    def take(self, n: int, n_channels: int) -> np.ndarray:
        """The next samples [n_channels, n]."""
        taken = np.zeros((n_channels, n), np.float32)
        filled = 0
        while filled < n:
            if not self._left.shape[1]:
                block = next(self._blocks, None)
                if block is None:
                    break
                self._left = block
                continue
            part = self._left[:, : n - filled]
            taken[:, filled : filled + part.shape[1]] = part
            filled += part.shape[1]
            self._left = self._left[:, part.shape[1] :]
        return taken


def _blocks(part: Placed, duration_s: float, rate_hz: int, n_channels: int) -> Iterator[np.ndarray]:
    """One voice at its place, [n_channels, n] in blocks at `rate_hz`; every time it begins is met to the sample."""
    done = 0
    for start_s in starts(part, duration_s):
        start = round(start_s * rate_hz)
        while done < start:
            n = min(BLOCK_SAMPLES, start - done)
            yield np.zeros((n_channels, n), np.float32)
            done += n
        resampler: Resampler | None = None
        like = np.zeros((1, 0), np.float32)
        for block in original_samples(part.sound):
            resampler = resampler or Resampler(part.sound.rate_hz, len(block), rate_hz)
            like = block
            ready = _shaped(resampler, block)
            done += ready.shape[1]
            yield _spread(ready, n_channels)
        if resampler is not None:
            rest = resampler.finish(like[0] if len(like) == 1 else like)
            rest = rest[None] if rest.ndim == 1 else rest
            done += rest.shape[1]
            yield _spread(rest, n_channels)


def _shaped(resampler: Resampler, block: np.ndarray) -> np.ndarray:
    """A block [C, n] through the resampler, which takes one channel as [n]."""
    return resampler.add(block[0])[None] if len(block) == 1 else resampler.add(block)


def _spread(block: np.ndarray, n_channels: int) -> np.ndarray:
    """A block on that many channels: mono on all of them, others on the first of them."""
    if len(block) == n_channels:
        return block
    if len(block) == 1:
        return np.repeat(block, n_channels, axis=0)
    return np.pad(block[:n_channels], ((0, max(0, n_channels - len(block))), (0, 0)))
