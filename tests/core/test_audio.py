"""Sound: what is read, what is refused, and the numbers made of it."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import soundfile
import torch

from eadnet_core.errors import BadInput
from eadnet_core.media.sound.audio import (
    SAMPLES_PER_FRAME,
    fit_length,
    frame_energy,
    log_mel,
    mel_filters,
    n_frames_of,
    read_audio,
)

RATE_HZ = 16_000


def tone(rate_hz: int = RATE_HZ, seconds: float = 1.0, hertz: float = 440.0) -> np.ndarray:
    """A quiet sine, float32 [N]."""
    time = np.arange(round(rate_hz * seconds)) / rate_hz
    return (0.25 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def syllables(seconds: float) -> np.ndarray:
    """A voiced, speech-like sound: harmonics of 130 Hz in five bursts a second."""
    time = np.arange(round(RATE_HZ * seconds)) / RATE_HZ
    voice = sum(np.sin(2 * np.pi * 130 * k * time) / k for k in range(1, 18))
    return (0.08 * voice * (0.5 - 0.5 * np.cos(2 * np.pi * 5 * time))).astype(np.float32)


def ffmpeg(*arguments: str | Path) -> None:
    """Run ffmpeg to make a file for a test."""
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, arguments)], check=True)


# ---- exact lengths


@pytest.mark.parametrize("rate_hz", [8000, 16_000, 22_050, 44_100, 48_000, 192_000])
def test_frame_count_is_the_rounded_duration_for_every_length(rate_hz: int) -> None:
    lengths = np.unique(np.geomspace(1, 600 * rate_hz, 4000).astype(int))
    for n_samples in (*lengths.tolist(), rate_hz // 25, 600 * rate_hz):
        exact = Fraction(n_samples * 25, rate_hz)
        floor = exact.numerator // exact.denominator
        expected = max(1, floor + (exact - floor >= Fraction(1, 2)))
        assert n_frames_of(n_samples, rate_hz) == expected


def test_frame_count_rounds_ties_up_and_never_reaches_zero() -> None:
    assert n_frames_of(1, 192_000) == 1
    assert n_frames_of(960, RATE_HZ) == 2  # 1.5 frames
    assert n_frames_of(1600, RATE_HZ) == 3  # 2.5 frames: not to even
    assert n_frames_of(600 * 44_100, 44_100) == 15_000
    assert n_frames_of(44_100, 44_100, Fraction(30_000, 1001)) == 30


def test_fit_length_cuts_and_pads_to_whole_frames() -> None:
    samples = np.arange(1000, dtype=np.float32)
    assert np.array_equal(fit_length(samples, 1), samples[:SAMPLES_PER_FRAME])
    assert len(fit_length(samples, 3)) == 3 * SAMPLES_PER_FRAME
    assert not fit_length(samples, 3)[1000:].any()


# ---- reading


@pytest.mark.parametrize("rate_hz", [8000, 11_025, 16_000, 44_100, 48_000, 192_000])
def test_any_rate_keeps_pitch_and_duration(tmp_path: Path, rate_hz: int) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(rate_hz), rate_hz)
    audio = read_audio(path)
    assert (audio.n_original, audio.rate_hz, audio.n_frames()) == (rate_hz, rate_hz, 25)
    assert audio.samples.dtype == np.float32 and len(audio.samples) == RATE_HZ
    inner = slice(800, -800)
    assert np.abs(audio.samples - tone())[inner].max() < 0.01


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT"])
def test_any_bit_depth_has_the_same_level(tmp_path: Path, subtype: str) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(), RATE_HZ, subtype=subtype)
    assert np.abs(read_audio(path).samples - tone()).max() < 0.01


def test_channels_are_averaged(tmp_path: Path) -> None:
    path = tmp_path / "surround.wav"
    channels = np.stack([k / 6 * tone() for k in range(1, 7)], axis=1)
    soundfile.write(path, channels, RATE_HZ, subtype="FLOAT")
    assert np.allclose(read_audio(path).samples, channels.mean(1), atol=1e-6)


@pytest.mark.parametrize("name", ["sound.flac", "sound.ogg", "sound.mp3", "sound.m4a", "sound.mkv", "sound.opus"])
def test_any_container_is_read(tmp_path: Path, name: str) -> None:
    soundfile.write(tmp_path / "source.wav", tone(48_000), 48_000)
    ffmpeg("-i", tmp_path / "source.wav", tmp_path / name)
    audio = read_audio(tmp_path / name)
    assert audio.duration_s == pytest.approx(1.0, abs=0.06)
    assert np.sqrt(np.square(audio.samples).mean()) == pytest.approx(0.177, rel=0.1)
    assert audio.path == tmp_path / name


@pytest.mark.parametrize(
    "array",
    [
        tone(),
        tone()[None],
        tone()[None, None],
        np.stack([tone(), tone()]),
        (tone() * 32_768).astype(np.int16),
        (tone() * 2**31).astype(np.int32),
        (tone() * 128 + 128).round().astype(np.uint8),
        tone().astype(np.float64),
        torch.from_numpy(tone()),
    ],
    ids=["mono", "1xN", "1x1xN", "stereo", "int16", "int32", "uint8", "float64", "tensor"],
)
def test_arrays_are_scaled_and_kept_for_the_file(array: np.ndarray) -> None:
    audio = read_audio(array, RATE_HZ)
    assert np.abs(audio.samples - tone()).max() < 0.01
    assert audio.original is not None and audio.original.shape[1] == audio.n_original == RATE_HZ
    assert audio.path is None


def test_one_sample_is_one_frame(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "one.wav", np.ones(1, np.float32), 192_000)
    audio = read_audio(tmp_path / "one.wav")
    assert (len(audio.samples), audio.n_original, audio.n_frames()) == (1, 1, 1)


def test_long_files_are_resampled_in_blocks_as_in_one_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile.write(tmp_path / "a.wav", tone(44_100, 3.0), 44_100, subtype="FLOAT")
    whole = read_audio(tmp_path / "a.wav").samples
    monkeypatch.setattr("eadnet_core.media.sound.audio._READ_BLOCK_SAMPLES", 1000)
    assert np.allclose(read_audio(tmp_path / "a.wav").samples, whole, atol=1e-6)


def test_unreadable_files_say_why(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("this is no sound")
    (tmp_path / "raw.raw").write_bytes(b"abc")
    soundfile.write(tmp_path / "none.wav", np.zeros((0, 1)), RATE_HZ)
    nan = tone()
    nan[7] = np.nan
    soundfile.write(tmp_path / "nan.wav", nan, RATE_HZ, subtype="FLOAT")
    ffmpeg("-f", "lavfi", "-i", "color=size=32x32:duration=0.2", tmp_path / "mute.mp4")
    for name, words in {
        "absent.wav": "does not exist",
        "empty.wav": "empty",
        "text.wav": "no sound that can be read",
        "raw.raw": "no sound that can be read",
        "none.wav": "no samples",
        "nan.wav": "1 values that are NaN or infinite",
        "mute.mp4": "no sound that can be read",
        ".": "is a folder",
    }.items():
        with pytest.raises(BadInput, match=words):
            read_audio(tmp_path / name)


@pytest.mark.parametrize(
    ("array", "rate_hz", "words"),
    [
        (np.zeros(0, np.float32), RATE_HZ, "no samples"),
        (np.array([0.0, np.inf]), RATE_HZ, "NaN or infinite"),
        (np.array([0.0, 20_000.0]), RATE_HZ, "reaches 20000"),
        (tone(), None, "needs its rate"),
        (tone(), 0, "needs its rate"),
        (np.zeros((9, 100), np.float32), RATE_HZ, "at most 8 channels"),
        (np.zeros((100, 2), np.float32), RATE_HZ, "at most 8 channels"),
        (np.zeros(10, bool), RATE_HZ, "is bool"),
    ],
)
def test_unusable_arrays_say_why(array: np.ndarray, rate_hz: int | None, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        read_audio(array, rate_hz)


# ---- log-mel


def test_log_mel_has_four_steps_a_frame_and_follows_librosa() -> None:
    import librosa

    samples = syllables(2.0)
    mel = log_mel(samples)
    assert mel.shape == (200, 80) and mel.dtype == np.float32
    power = librosa.feature.melspectrogram(
        y=samples, sr=RATE_HZ, n_fft=400, hop_length=160, n_mels=80, pad_mode="constant"
    )
    expected = (np.log10(np.maximum(power, 1e-6)) + 3.0) / 1.5
    assert np.abs(mel - expected.T[:200]).max() < 1e-3
    assert log_mel(samples, 7).shape == (28, 80)
    assert log_mel(samples, 60).shape == (240, 80)
    assert log_mel(samples[:1]).shape == (4, 80)


def test_mel_filters_equal_librosas_to_the_bit() -> None:
    import librosa

    assert np.array_equal(mel_filters().numpy(), librosa.filters.mel(sr=RATE_HZ, n_fft=400, n_mels=80))


def test_log_mel_of_an_excerpt_equals_the_excerpt_of_the_log_mel() -> None:
    samples = syllables(2.0)
    excerpt = log_mel(samples[10 * SAMPLES_PER_FRAME : 30 * SAMPLES_PER_FRAME])
    assert np.allclose(excerpt[2:-2], log_mel(samples)[40:120][2:-2], atol=1e-5)


def test_log_mel_in_blocks_equals_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = log_mel(syllables(2.0))
    monkeypatch.setattr("eadnet_core.media.sound.audio.STFT_BLOCK_STEPS", 33)
    assert np.allclose(log_mel(syllables(2.0)), whole, atol=1e-5)


# ---- energy


def test_energy_follows_loudness_and_not_gain() -> None:
    samples = np.concatenate([np.zeros(RATE_HZ, np.float32), syllables(1.0)])
    energy = frame_energy(samples, 50)
    assert energy.shape == (50,) and energy[:24].max() == 0.0 and energy[25:].max() == 1.0
    assert np.allclose(frame_energy(samples * 0.3, 50), energy, atol=1e-5)
    assert frame_energy(np.zeros(RATE_HZ, np.float32), 25).max() == 0.0
    assert frame_energy(np.full(RATE_HZ, 1e-4, np.float32), 25).max() < 0.05


@pytest.mark.parametrize("offset", [0.01, -0.2])
def test_a_dc_offset_is_no_loudness(offset: float) -> None:
    samples = np.concatenate([np.zeros(RATE_HZ, np.float32), syllables(1.0), np.zeros(300, np.float32)])
    energy = frame_energy(samples, 51)
    assert np.allclose(frame_energy(samples + np.float32(offset), 51), energy, atol=0.02)
    assert frame_energy(np.full(RATE_HZ, offset, np.float32), 25).max() == 0.0


def test_energy_without_an_offset_is_the_plain_root_mean_square() -> None:
    samples = syllables(1.0)
    rms = np.sqrt(np.square(samples).reshape(25, -1).mean(1))
    assert np.array_equal(frame_energy(samples, 25), np.clip(rms / np.sort(rms)[-2], 0.0, 1.0))


# ---- real speech


@pytest.mark.parametrize("name", ["english_female.wav", "mandarin_female.wav"])
def test_real_speech(media_folder: Path, name: str) -> None:
    audio = read_audio(media_folder / "speech" / name)
    n_frames = audio.n_frames()
    assert n_frames == round(audio.duration_s * 25)
    mel = log_mel(audio.samples, n_frames)
    assert 0.6 < mel.std() < 1.6 and abs(mel.mean()) < 1.0
