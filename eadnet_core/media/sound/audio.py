"""Sound in, and the numbers the networks hear: samples, log-mel, energy and speech per video frame."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from ...config import FPS, MEL_RATE_HZ, N_MELS, SAMPLE_RATE_HZ
from ...errors import BadInput
from ...paths import check_source
from .files import open_sound
from .form import MAX_CHANNELS, MAX_PEAK, WANTED
from .resample import Resampler

logger = logging.getLogger(__name__)

HOP = SAMPLE_RATE_HZ // MEL_RATE_HZ
"""Samples between two mel steps."""
N_FFT = 400
SAMPLES_PER_FRAME = SAMPLE_RATE_HZ // FPS
MEL_STEPS_PER_FRAME = MEL_RATE_HZ // FPS
BREAK_HZ, BREAK_MEL, HZ_PER_MEL, MEL_STEP = 1000.0, 15.0, 200.0 / 3, np.log(6.4) / 27.0
"""Slaney's scale: straight up to BREAK_HZ, which is BREAK_MEL, then by octaves in steps of MEL_STEP (a logarithm)."""
STFT_BLOCK_STEPS = 6000
"""Mel steps computed at once, so that an hour of sound needs the memory of one minute."""
_READ_BLOCK_SAMPLES = 1 << 20
_CANCEL_DB = -15.0
"""Channels cancel where their mean lies this far below them; eight of which only one sounds reach -9 dB."""
_SILENT_POWER = 1e-9
"""Channels below -90 dBFS hold nothing that could be heard."""


@dataclass(frozen=True)
class Audio:
    """A sound as the networks hear it, and the original that goes into the finished video.

    Whoever writes a video encodes `original_samples(audio)`, float32 [C, n] at `rate_hz`, from the first picture on. It
    must not mux `path` itself: the file may hold several tracks, start before its picture, or be damaged, and what is
    heard in the video has to be what the lips were made from.
    """

    samples: np.ndarray
    """[N] float32, mono, 16 kHz."""
    n_original: int
    """Samples per channel before resampling, at `rate_hz`; what the exact frame count is computed from."""
    rate_hz: int
    path: Path | None = None
    """The file it was read from, else None."""
    original: np.ndarray | None = None
    """[C, n_original] float32 where the sound came as an array, else None: a file is decoded again."""
    notes: tuple[str, ...] = ()
    """What had to change, or differs from what the file announces; for the report."""
    drawn: Callable[[], Iterator[np.ndarray]] | None = None
    """Gives the original [C, n_original] in blocks, anew each time, where it is put together from others; else None."""

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_original / self.rate_hz

    def n_frames(self, fps: int | Fraction = FPS) -> int:
        """Exact number of video frames of this sound."""
        return n_frames_of(self.n_original, self.rate_hz, fps)


def read_audio(source: str | os.PathLike[str] | np.ndarray | torch.Tensor, sample_rate: int | None = None) -> Audio:
    """Read any sound: a file in any container, or an array.

    source       path of a sound or video file; or samples [N], [C, N] or [1, C, N]: float -1 .. 1, int16, int32, uint8
    sample_rate  of an array, Hz; ignored for files
    returns      mono is the mean of the channels, or the strongest where they cancel one another. Of a file the default
                 track, else the first; it starts with the picture, where there is one: silence stands before sound that
                 comes later, and sound that comes before is cut. `notes` say what had to change.
    Raises BadInput for a missing or empty file, NaN or infinity, no samples, and whatever holds no sound.
    """
    if isinstance(source, torch.Tensor):
        source = source.detach().cpu().numpy()
    if isinstance(source, np.ndarray):
        return _from_array(source, sample_rate)
    path = check_source(source, "Audio")
    _check_file(path)
    return _from_file(path)


def original_samples(audio: Audio) -> Iterator[np.ndarray]:
    """The original sound in order, float32 [C, n] at `audio.rate_hz`, n_original samples in all: what a video is given.

    A file is decoded again as `read_audio` did: the same track, all its channels, and its delay to the picture as
    silence. Memory does not grow with the length. Raises BadInput for a file that is gone.
    """
    if audio.drawn is not None:
        yield from _in_blocks(audio.drawn())
        return
    if audio.original is not None:
        yield from _in_blocks(iter([audio.original]))
        return
    if audio.path is None:
        raise BadInput("The audio has neither a file nor its original samples. Make it with read_audio.")
    _check_file(audio.path)
    with open_sound(audio.path) as sound:
        yield from _in_blocks(sound.blocks())


def read_channels(audio: Audio) -> list[Audio]:
    """Each channel of a sound as a sound of its own, which is as long; the first one first.

    Raises BadInput for a file that is gone.
    """
    first = next(original_samples(audio))
    heard = [
        _hear(original_samples(audio), audio.rate_hz, f"Channel {channel + 1}", channel).samples
        for channel in range(len(first))
    ]
    return [Audio(samples, audio.n_original, audio.rate_hz) for samples in heard]


def _check_file(path: Path) -> None:
    if not path.exists():
        raise BadInput(f"Audio '{path}' does not exist. {WANTED}")
    if path.is_dir():
        raise BadInput(f"Audio '{path}' is a folder. {WANTED}")
    try:
        with path.open("rb") as file:
            first = file.read(1)
    except OSError as error:
        raise BadInput(f"Audio '{path}' cannot be opened: {error.strerror}. Check the file's permissions.") from error
    if not first:
        raise BadInput(f"Audio '{path}' is empty (0 bytes). {WANTED}")


def _from_array(array: np.ndarray, sample_rate: int | None) -> Audio:
    if sample_rate is None or sample_rate <= 0:
        raise BadInput(f"sample_rate is {sample_rate}; an array of samples needs its rate in Hz, such as 44100.")
    channels = array[0] if array.ndim == 3 and len(array) == 1 else array
    channels = channels[None] if channels.ndim == 1 else channels
    if channels.ndim != 2 or len(channels) > MAX_CHANNELS:
        raise BadInput(f"The audio array has shape {tuple(array.shape)}; give [N], or [C, N] with at most 8 channels.")
    if channels.size == 0:
        raise BadInput(f"The audio array has shape {tuple(array.shape)}: no samples. Give at least one sample.")
    original = _to_float(channels)
    heard = _hear(iter([original]), sample_rate, "The audio array")
    notes: tuple[str, ...] = ()
    if heard.channel is not None:
        notes = (_cancel_note(heard),)
        heard = _hear(iter([original]), sample_rate, "The audio array", heard.channel)
    return Audio(heard.samples, original.shape[1], sample_rate, original=original, notes=notes)


def _from_file(path: Path) -> Audio:
    what = f"Audio '{path}'"
    with open_sound(path) as sound:
        heard = _hear(sound.blocks(), sound.rate_hz, what)
    rate_hz, notes = sound.rate_hz, sound.notes
    if heard.n_original == 0:
        raise BadInput(f"{what} holds no samples{' after its picture starts' if notes else ''}. {WANTED}")
    if heard.channel is not None:
        notes = [*notes, _cancel_note(heard)]
        with open_sound(path) as sound:
            heard = _hear(sound.blocks(), rate_hz, what, heard.channel)
    for note in notes:
        logger.warning("%s: %s", what, note)
    return Audio(heard.samples, heard.n_original, rate_hz, path=path, notes=tuple(notes))


def _to_float(samples: np.ndarray) -> np.ndarray:
    """Integers scaled to -1 .. 1 by their full scale (8 bits unsigned, as in wav files), as float32."""
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128.0) / 128.0
    if np.issubdtype(samples.dtype, np.signedinteger):
        return (samples / -float(np.iinfo(samples.dtype).min)).astype(np.float32)
    if np.issubdtype(samples.dtype, np.floating):
        return samples.astype(np.float32)
    raise BadInput(f"The audio array is {samples.dtype}; give float32 in -1 .. 1, int16, int32 or uint8.")


def _check_samples(samples: np.ndarray, what: str) -> None:
    finite = np.isfinite(samples)
    if not finite.all():
        n_bad = int(samples.size - finite.sum())
        raise BadInput(f"{what} holds {n_bad} values that are NaN or infinite. Repair or export the sound again.")
    peak = float(np.abs(samples).max(initial=0.0))
    if peak > MAX_PEAK:
        raise BadInput(f"{what} reaches {peak:.0f}; floating-point sound lies in -1 .. 1. Divide by its full scale.")


@dataclass(frozen=True)
class _Heard:
    """One pass over a sound."""

    samples: np.ndarray
    n_original: int
    channel: int | None
    """The strongest channel where the channels cancel one another, else None."""
    mix_db: float
    """Level of the mean of the channels against the channels."""


def _hear(blocks: Iterator[np.ndarray], rate_hz: int, what: str, channel: int | None = None) -> _Heard:
    """Sound in blocks [C, n] as mono at 16 kHz: the mean of the channels, or one of them."""
    resampler, samples = Resampler(rate_hz), bytearray()
    n_original, sums, products = 0, np.zeros(1), np.zeros(1)  # float64, whatever the number of channels
    for block in _in_blocks(blocks):
        _check_samples(block, what)
        n_original += block.shape[1]
        samples += resampler.add(block.mean(0) if channel is None else block[channel]).tobytes()
        if len(block) > 1:
            sums, products = sums + block.sum(1), products + block @ block.T
    samples += resampler.finish(np.zeros(0, np.float32)).tobytes()
    mono = np.frombuffer(samples, np.float32)
    if channel is not None or len(sums) == 1:
        return _Heard(mono, n_original, None, 0.0)
    covariance = products / n_original - np.outer(sums, sums) / n_original**2
    energy, of_mean = np.trace(covariance) / len(sums), covariance.sum() / len(sums) ** 2
    mix_db = 10 * float(np.log10(max(of_mean, 1e-20) / max(energy, 1e-20)))
    is_cancelled = energy > _SILENT_POWER and mix_db < _CANCEL_DB
    return _Heard(mono, n_original, int(np.diag(covariance).argmax()) if is_cancelled else None, mix_db)


def _cancel_note(heard: _Heard) -> str:
    assert heard.channel is not None
    return (
        f"The channels of the sound cancel one another: their mean lies {-heard.mix_db:.0f} dB below them. "
        f"Channel {heard.channel + 1} alone is listened to; the video keeps them all."
    )


def _in_blocks(blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The same samples [C, n] in blocks of _READ_BLOCK_SAMPLES; the last is shorter."""
    waiting: list[np.ndarray] = []
    n_waiting = 0
    for block in blocks:
        waiting.append(block)
        n_waiting += block.shape[1]
        if n_waiting >= _READ_BLOCK_SAMPLES:
            whole = waiting[0] if len(waiting) == 1 else np.concatenate(waiting, axis=1)
            n_given = n_waiting - n_waiting % _READ_BLOCK_SAMPLES
            for start in range(0, n_given, _READ_BLOCK_SAMPLES):
                yield whole[:, start : start + _READ_BLOCK_SAMPLES]
            waiting, n_waiting = [whole[:, n_given:]], n_waiting - n_given
    if n_waiting:
        yield np.concatenate(waiting, axis=1)


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
    window, filters = torch.hann_window(N_FFT), mel_filters().T.contiguous()
    blocks = []
    for start in range(0, n_steps, STFT_BLOCK_STEPS):
        block = steps[start : min(start + STFT_BLOCK_STEPS, n_steps)] * window
        power = torch.view_as_real(torch.fft.rfft(block)).square().sum(-1)
        blocks.append(((power @ filters).clamp_min(1e-6).log10() + 3.0) / 1.5)
    return torch.cat(blocks).numpy()


@lru_cache(maxsize=1)
def mel_filters() -> torch.Tensor:
    """Slaney's filters [80, 201], equal to the bit to librosa's (ADR 51)."""
    highest = BREAK_MEL + np.log(SAMPLE_RATE_HZ / 2 / BREAK_HZ) / MEL_STEP
    mels = np.linspace(0.0, highest, N_MELS + 2)
    edges = HZ_PER_MEL * mels
    edges[mels >= BREAK_MEL] = BREAK_HZ * np.exp(MEL_STEP * (mels[mels >= BREAK_MEL] - BREAK_MEL))
    ramps = np.subtract.outer(edges, np.fft.rfftfreq(N_FFT, 1.0 / SAMPLE_RATE_HZ))
    widths = np.diff(edges)[:, None]
    filters = np.maximum(0, np.minimum(-ramps[:-2] / widths[:-1], ramps[2:] / widths[1:])).astype(np.float32)
    filters *= (2.0 / (edges[2:] - edges[:-2]))[:, None]
    return torch.from_numpy(filters)


_QUIET_RMS = 10 ** (-45 / 20)
"""A clip whose loud moments lie below -45 dBFS is quiet: energy is measured against this level instead."""

_OFFSET_SHARE = 0.03
"""A DC offset below this share of the loud moments changes no energy by more than this, and is left as it is."""


def frame_energy(samples: np.ndarray, n_frames: int) -> np.ndarray:
    """Loudness of every video frame against the clip's own loud moments; a DC offset is no loudness.

    samples   [N]   float32 mono 16 kHz
    returns   [T]   0 .. 1: RMS over the frame divided by the clip's loud level (at least -45 dBFS)
    """
    frames = fit_length(samples, n_frames).reshape(n_frames, SAMPLES_PER_FRAME)
    rms = np.sqrt(np.square(frames).mean(1))
    loud = max(loud_level(rms, FPS // 2), _QUIET_RMS)
    offset = np.median(frames.mean(1))
    if abs(offset) > _OFFSET_SHARE * loud:
        frames = fit_length(samples - offset, n_frames).reshape(n_frames, SAMPLES_PER_FRAME)
        rms = frames.std(1)
        loud = max(loud_level(rms, FPS // 2), _QUIET_RMS)
    return np.clip(rms / loud, 0.0, 1.0).astype(np.float32)


def loud_level(levels: np.ndarray, n_loud: int) -> float:
    """What the loudest `n_loud` values (at most 5 % of all) reach: one click does not set it, long silence neither."""
    rank = len(levels) - 1 - min(n_loud, len(levels) // 20)
    return float(np.partition(levels, rank)[rank])
