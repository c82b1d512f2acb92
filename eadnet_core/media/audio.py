"""Sound in, and the numbers the networks hear: samples, log-mel, energy and speech per video frame."""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from ..config import FPS, MEL_RATE_HZ, N_MELS, SAMPLE_RATE_HZ
from ..errors import BadInput, MediaError
from .containers import open_input

logger = logging.getLogger(__name__)

HOP = SAMPLE_RATE_HZ // MEL_RATE_HZ
"""Samples between two mel steps."""
N_FFT = 400
SAMPLES_PER_FRAME = SAMPLE_RATE_HZ // FPS
MEL_STEPS_PER_FRAME = MEL_RATE_HZ // FPS
_STFT_BLOCK_STEPS = 6000
"""Mel steps computed at once, so that an hour of sound needs the memory of one minute."""
_READ_BLOCK_SAMPLES = 1 << 20
_MAX_CHANNELS = 8
"""What AAC can carry: 7.1."""
_MAX_PEAK = 64.0
"""Floats may overshoot full scale; beyond this they are integers that were never scaled."""
_WANTED = "Give a sound file (wav, flac, mp3, ogg, m4a) or a video with sound."


@dataclass(frozen=True)
class Audio:
    """A sound as the networks hear it, and the original that goes into the finished video."""

    samples: np.ndarray
    """[N] float32, mono, 16 kHz."""
    n_original: int
    """Samples per channel before resampling, at `rate_hz`; what the exact frame count is computed from."""
    rate_hz: int
    path: Path | None = None
    """The file it was read from, else None."""
    original: np.ndarray | None = None
    """[C, n_original] float32 where the sound came as an array, else None: a file is muxed from its path."""

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
    returns      mono is the mean of the channels (ffmpeg's downmix in formats that libsndfile does not read)
    Raises BadInput for a missing or empty file, NaN or infinity, no samples, and whatever holds no sound.
    """
    if isinstance(source, torch.Tensor):
        source = source.detach().cpu().numpy()
    if isinstance(source, np.ndarray):
        return _from_array(source, sample_rate)
    path = Path(source)
    _check_file(path)
    try:
        return _from_soundfile(path)
    except _Unreadable:
        return _from_ffmpeg(path)


def original_samples(audio: Audio) -> Iterator[np.ndarray]:
    """The original sound in order, float32 [C, n] at `audio.rate_hz`: what a video is given. Raises BadInput."""
    if audio.original is not None:
        yield audio.original
        return
    if audio.path is None:
        raise BadInput("The audio has neither a file nor its original samples. Make it with read_audio.")
    _check_file(audio.path)
    from av.audio.resampler import AudioResampler

    resampler = AudioResampler("fltp", rate=audio.rate_hz)
    with open_input(audio.path, "Audio", _WANTED) as container:
        for frame in container.decode(audio=0):
            yield from (part.to_ndarray() for part in resampler.resample(frame))


class _Unreadable(Exception):
    """libsndfile does not know this format."""


def _check_file(path: Path) -> None:
    if not path.exists():
        raise BadInput(f"Audio '{path}' does not exist. {_WANTED}")
    if path.is_dir():
        raise BadInput(f"Audio '{path}' is a folder. {_WANTED}")
    try:
        with path.open("rb") as file:
            first = file.read(1)
    except OSError as error:
        raise BadInput(f"Audio '{path}' cannot be opened: {error.strerror}. Check the file's permissions.") from error
    if not first:
        raise BadInput(f"Audio '{path}' is empty (0 bytes). {_WANTED}")


def _from_array(array: np.ndarray, sample_rate: int | None) -> Audio:
    if sample_rate is None or sample_rate <= 0:
        raise BadInput(f"sample_rate is {sample_rate}; an array of samples needs its rate in Hz, such as 44100.")
    channels = array[0] if array.ndim == 3 and len(array) == 1 else array
    channels = channels[None] if channels.ndim == 1 else channels
    if channels.ndim != 2 or len(channels) > _MAX_CHANNELS:
        raise BadInput(f"The audio array has shape {tuple(array.shape)}; give [N], or [C, N] with at most 8 channels.")
    if channels.size == 0:
        raise BadInput(f"The audio array has shape {tuple(array.shape)}: no samples. Give at least one sample.")
    original = _to_float(channels)
    _check_samples(original, "The audio array")
    resampler = _Resampler(sample_rate)
    samples = np.concatenate([resampler.add(original.mean(0)), resampler.finish()])
    return Audio(samples, original.shape[1], sample_rate, original=original)


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
    if peak > _MAX_PEAK:
        raise BadInput(f"{what} reaches {peak:.0f}; floating-point sound lies in -1 .. 1. Divide by its full scale.")


class _Resampler:
    """Streaming conversion of mono float32 to 16 kHz."""

    def __init__(self, rate_hz: int) -> None:
        import soxr

        self._stream = (
            None if rate_hz == SAMPLE_RATE_HZ else soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32")
        )
        self._ratio = Fraction(SAMPLE_RATE_HZ, rate_hz)
        self._n_in = self._n_out = 0

    def add(self, samples: np.ndarray) -> np.ndarray:
        self._n_in += len(samples)
        samples = samples.astype(np.float32, copy=False)
        if self._stream is not None:
            samples = self._stream.resample_chunk(samples)
        self._n_out += len(samples)
        return samples

    def finish(self) -> np.ndarray:
        """What is left; the total is ceil(n_in * 16000 / rate), at least one sample."""
        missing = -int(-self._n_in * self._ratio // 1) - self._n_out
        rest: np.ndarray = np.zeros(0, np.float32)
        if self._stream is not None:
            rest = self._stream.resample_chunk(np.zeros(0, np.float32), last=True)
        return np.pad(rest[: max(missing, 0)], (0, max(missing - len(rest), 0)))


def _from_soundfile(path: Path) -> Audio:
    import soundfile

    try:
        file = soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, TypeError) as error:
        raise _Unreadable from error
    with file:
        rate, n_original, announced = file.samplerate, 0, file.frames
        if file.channels > _MAX_CHANNELS:
            raise BadInput(
                f"Audio '{path}' has {file.channels} channels; at most {_MAX_CHANNELS} are read. Mix it down."
            )
        resampler, parts = _Resampler(rate), []
        for block in file.blocks(_READ_BLOCK_SAMPLES, dtype="float32", always_2d=True):
            _check_samples(block, f"Audio '{path}'")
            n_original += len(block)
            parts.append(resampler.add(block.mean(1)))
    if n_original == 0:
        raise BadInput(f"Audio '{path}' holds no samples. {_WANTED}")
    if n_original < announced:
        logger.warning("Audio '%s' ends early: %d of %d samples are there", path, n_original, announced)
    return Audio(np.concatenate([*parts, resampler.finish()]), n_original, rate, path=path)


def _from_ffmpeg(path: Path) -> Audio:
    import imageio_ffmpeg

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-i", str(path.resolve()), "-map", "0:a:0"]
    command += ["-af", "aresample=async=1:first_pts=0", "-ac", "1", "-ar", str(SAMPLE_RATE_HZ), "-f", "f32le", "pipe:1"]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError as error:
        raise MediaError(f"ffmpeg cannot be started: {error}. Install imageio-ffmpeg again.") from error
    samples = np.frombuffer(done.stdout[: len(done.stdout) // 4 * 4], dtype="<f4").astype(np.float32)
    if len(samples) == 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no samples"]
        raise BadInput(f"Audio '{path}' holds no sound that can be read ({lines[-1]}). {_WANTED}")
    if done.returncode != 0:
        logger.warning("Audio '%s' is damaged; %.2f s of it were read", path, len(samples) / SAMPLE_RATE_HZ)
    _check_samples(samples, f"Audio '{path}'")
    return Audio(samples, len(samples), SAMPLE_RATE_HZ, path=path)


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
    from librosa.filters import mel

    return torch.from_numpy(mel(sr=SAMPLE_RATE_HZ, n_fft=N_FFT, n_mels=N_MELS)).T.contiguous()


_QUIET_RMS = 10 ** (-45 / 20)
"""A clip whose loud moments lie below -45 dBFS is quiet: energy is measured against this level instead."""


def frame_energy(samples: np.ndarray, n_frames: int) -> np.ndarray:
    """Loudness of every video frame against the clip's own loud moments.

    samples   [N]   float32 mono 16 kHz
    returns   [T]   0 .. 1: RMS over the frame divided by the clip's loud level (at least -45 dBFS)
    """
    rms = np.sqrt(np.square(fit_length(samples, n_frames)).reshape(n_frames, SAMPLES_PER_FRAME).mean(1))
    loud = max(_loud_level(rms, FPS // 2), _QUIET_RMS)
    return np.clip(rms / loud, 0.0, 1.0).astype(np.float32)


def _loud_level(levels: np.ndarray, n_loud: int) -> float:
    """What the loudest `n_loud` values (at most 5 % of all) reach: one click does not set it, long silence neither."""
    rank = len(levels) - 1 - min(n_loud, len(levels) // 20)
    return float(np.partition(levels, rank)[rank])


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
