"""Sound files of every kind: all of the sound and only it, at its time beside the picture, by both libraries."""

from __future__ import annotations

import struct
import subprocess
import tracemalloc
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import soundfile

from eadnet_core.errors import BadInput
from eadnet_core.media.sound.audio import Audio, original_samples, read_audio
from eadnet_core.media.sound.timeline import Clock, Piece, Timeline

RATE_HZ = 44_100


def voice(seconds: float, rate_hz: int = RATE_HZ, seed: int = 0) -> np.ndarray:
    """Tones of random height that change ten times a second, float32 [N]: every moment is unlike every other."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(rate_hz * seconds)) / rate_hz
    hertz, loud = rng.uniform(150, 900, 1000), rng.uniform(0.3, 1.0, 1000)
    step = (time * 10).astype(int)
    return (0.3 * loud[step] * np.sin(2 * np.pi * np.cumsum(hertz[step]) / rate_hz)).astype(np.float32)


def ffmpeg(*arguments: str | Path) -> None:
    """Run ffmpeg to make a file for a test."""
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, arguments)], check=True)


def encoded(folder: Path, name: str, samples: np.ndarray, rate_hz: int = RATE_HZ, *options: str) -> Path:
    """A file of samples [N] or [N, C], in the format that its name says."""
    source, path = folder / f"{name}.source.wav", folder / name
    soundfile.write(source, samples, rate_hz, subtype="FLOAT")
    ffmpeg("-i", source, *options, path)
    return path


def joined(path: Path, *parts: Path) -> Path:
    """Files one behind the other, byte by byte."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def delay_s(heard: np.ndarray, said: np.ndarray) -> float:
    """How much later the first second of `said` is heard, both [N] at 16 kHz."""
    said = said[1600:14_400].astype(np.float64)
    size = len(heard) + len(said)
    at = np.fft.irfft(np.fft.rfft(heard, size) * np.fft.rfft(said, size).conj(), size)[: len(heard)].argmax()
    return (float(at) - 1600) / 16_000


@pytest.fixture(params=["pyav", "libsndfile"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Reads with one library, then with the other."""
    monkeypatch.setattr("eadnet_core.media.sound.files.has_pyav", lambda: request.param == "pyav")
    return request.param


@pytest.fixture
def without_pyav(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where PyAV is not installed."""
    monkeypatch.setattr("eadnet_core.media.sound.files.has_pyav", lambda: False)
    monkeypatch.setattr("eadnet_core.media.sound.sndfile_reader.has_pyav", lambda: False)


# ---- announced lengths


def test_joined_mp3_is_heard_to_its_end(tmp_path: Path, library: str) -> None:
    parts = [encoded(tmp_path, f"{seed}.mp3", voice(1.0, seed=seed)) for seed in (1, 2)]
    audio = read_audio(joined(tmp_path / "joined.mp3", *parts))
    assert audio.duration_s == pytest.approx(2.0, abs=0.1)
    second = read_audio(voice(1.0, seed=2), RATE_HZ).samples
    assert delay_s(audio.samples, second) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("is_loud_first", [True, False], ids=["announces too much", "announces too little"])
def test_mp3_of_varying_rate_without_xing_header(tmp_path: Path, library: str, is_loud_first: bool) -> None:
    noise = np.random.default_rng(0).normal(0, 0.2, RATE_HZ).astype(np.float32)
    parts = [noise, np.zeros(3 * RATE_HZ, np.float32)]
    samples = np.concatenate(parts if is_loud_first else parts[::-1])
    path = encoded(tmp_path, "a.mp3", samples, RATE_HZ, "-write_xing", "0", "-q:a", "2")
    audio = read_audio(path)
    assert audio.duration_s == pytest.approx(4.0, abs=0.08)
    assert np.abs(audio.samples).max() < 2.0
    rms = [np.sqrt(np.square(part).mean()) for part in np.array_split(audio.samples, 4)]
    assert rms[0 if is_loud_first else 3] > 0.1 and sum(r > 0.05 for r in rms) == 1
    assert library != "pyav" or any("announces" in note for note in audio.notes)


@pytest.mark.parametrize(
    ("codec", "second_rate_hz", "n_channels"),
    [("libvorbis", RATE_HZ, 1), ("libvorbis", 48_000, 1), ("libvorbis", RATE_HZ, 2), ("libopus", 48_000, 1)],
)
def test_every_link_of_a_chained_ogg(
    tmp_path: Path, library: str, codec: str, second_rate_hz: int, n_channels: int
) -> None:
    first = encoded(tmp_path, "1.ogg", voice(1.5, seed=1), RATE_HZ, "-c:a", codec)
    more = np.repeat(voice(1.5, second_rate_hz, seed=2)[:, None], n_channels, axis=1)
    second = encoded(tmp_path, "2.ogg", more, second_rate_hz, "-c:a", codec)
    audio = read_audio(joined(tmp_path / "chain.ogg", first, second))
    assert audio.duration_s == pytest.approx(3.0, abs=0.02)
    said = read_audio(voice(1.5, seed=2), RATE_HZ).samples
    if second_rate_hz == RATE_HZ:
        assert delay_s(audio.samples, said) == pytest.approx(1.5, abs=0.01)
    is_alike = second_rate_hz == audio.rate_hz and n_channels == 1
    assert any("changes its rate or its channels" in note for note in audio.notes) is not is_alike
    assert sum(block.shape[1] for block in original_samples(audio)) == audio.n_original


def test_flac_of_unknown_length(tmp_path: Path, library: str) -> None:
    soundfile.write(tmp_path / "a.flac", voice(3.0), RATE_HZ)
    whole = read_audio(tmp_path / "a.flac")
    data = bytearray((tmp_path / "a.flac").read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    (tmp_path / "streamed.flac").write_bytes(data)
    audio = read_audio(tmp_path / "streamed.flac")
    assert audio.n_original == 3 * RATE_HZ and np.array_equal(audio.samples, whole.samples)


def test_flac_that_announces_too_much(tmp_path: Path, library: str) -> None:
    soundfile.write(tmp_path / "a.flac", voice(1.0), RATE_HZ)
    data = bytearray((tmp_path / "a.flac").read_bytes())
    data[22:26] = struct.pack(">I", 5 * RATE_HZ)
    (tmp_path / "a.flac").write_bytes(data)
    audio = read_audio(tmp_path / "a.flac")
    assert audio.n_original == RATE_HZ and np.isfinite(audio.samples).all()
    assert any("announces 5.00 s of sound, but 1.00 s" in note for note in audio.notes)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_wav_whose_size_was_never_written(tmp_path: Path, library: str, size: int) -> None:
    soundfile.write(tmp_path / "a.wav", voice(1.5), RATE_HZ)
    whole, data = read_audio(tmp_path / "a.wav"), bytearray((tmp_path / "a.wav").read_bytes())
    data[4:8] = data[40:44] = struct.pack("<I", size)
    (tmp_path / "a.wav").write_bytes(data)
    audio = read_audio(tmp_path / "a.wav")
    assert audio.n_frames() == 38 and audio.n_original == whole.n_original and audio.notes == ()
    assert np.array_equal(audio.samples, whole.samples)


def test_wav_that_ends_early_says_so(tmp_path: Path, library: str) -> None:
    soundfile.write(tmp_path / "a.wav", voice(2.0), RATE_HZ)
    (tmp_path / "a.wav").write_bytes((tmp_path / "a.wav").read_bytes()[: 44 + RATE_HZ])
    audio = read_audio(tmp_path / "a.wav")
    assert audio.n_original == RATE_HZ // 2
    assert audio.notes == ("The file announces 2.00 s of sound, but 0.50 s are there; those are used.",)


def test_chunks_behind_the_samples_are_no_sound(tmp_path: Path, library: str) -> None:
    soundfile.write(tmp_path / "a.wav", voice(1.0), RATE_HZ)
    with (tmp_path / "a.wav").open("ab") as file:
        file.write(b"LIST" + struct.pack("<I", 5000) + b"\x7f" * 5000)
    assert read_audio(tmp_path / "a.wav").n_original == RATE_HZ


# ---- both libraries alike


@pytest.mark.parametrize(
    ("name", "subtype", "container"),
    [
        ("a.wav", "PCM_U8", "WAV"),
        ("a.wav", "PCM_16", "WAV"),
        ("a.wav", "PCM_24", "WAVEX"),
        ("a.wav", "PCM_32", "WAV"),
        ("a.wav", "FLOAT", "WAVEX"),
        ("a.wav", "DOUBLE", "WAV"),
        ("a.wav", "ALAW", "WAV"),
        ("a.wav", "ULAW", "WAV"),
        ("a.wav", "PCM_16", "RF64"),
        ("a.w64", "PCM_16", "W64"),
        ("a.aiff", "PCM_24", "AIFF"),
        ("a.flac", "PCM_16", "FLAC"),
        ("a.flac", "PCM_24", "FLAC"),
    ],
)
def test_uncompressed_sound_is_the_same_to_the_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, subtype: str, container: str
) -> None:
    stereo = np.stack([voice(1.0), voice(1.0, seed=1)], axis=1)
    soundfile.write(tmp_path / name, stereo, RATE_HZ, subtype, format=container)
    by_pyav = read_audio(tmp_path / name)
    original = np.concatenate(list(original_samples(by_pyav)), axis=1)
    monkeypatch.setattr("eadnet_core.media.sound.files.has_pyav", lambda: False)
    by_libsndfile = read_audio(tmp_path / name)
    assert by_pyav.notes == by_libsndfile.notes == ()
    assert np.array_equal(by_pyav.samples, by_libsndfile.samples)
    read = soundfile.read(tmp_path / name, dtype="float32")[0].T
    assert np.array_equal(original, read)
    assert np.array_equal(read_audio(read, RATE_HZ).samples, by_pyav.samples)


@pytest.mark.parametrize("name", ["a.ogg", "a.mp3", "a.opus"])
def test_compressed_sound_is_nearly_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = encoded(tmp_path, name, voice(2.0))
    by_pyav = read_audio(path)
    monkeypatch.setattr("eadnet_core.media.sound.files.has_pyav", lambda: False)
    by_libsndfile = read_audio(path)
    assert by_pyav.n_original == by_libsndfile.n_original
    assert np.abs(by_pyav.samples - by_libsndfile.samples).max() < 2e-3


def test_without_pyav_other_containers_say_what_to_install(tmp_path: Path, without_pyav: None) -> None:
    with pytest.raises(BadInput, match=r"Install PyAV.*pip install av"):
        read_audio(encoded(tmp_path, "a.m4a", voice(0.5)))


def test_no_process_is_started(tmp_path: Path, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [encoded(tmp_path, name, voice(0.5)) for name in ("a.mp3", "a.ogg")]
    paths += [encoded(tmp_path, "a.m4a", voice(0.5))] if library == "pyav" else []

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    for path in paths:
        assert read_audio(path).duration_s == pytest.approx(0.5, abs=0.05)


# ---- containers, tracks and time


@pytest.mark.parametrize("name", ["a.m4a", "a.mp4", "a.mov", "a.webm", "a.mka", "a.mp3", "a.flac"])
def test_the_encoders_padding_is_not_heard(tmp_path: Path, name: str) -> None:
    audio = read_audio(encoded(tmp_path, name, voice(1.3, 48_000), 48_000))
    assert audio.n_original == pytest.approx(1.3 * 48_000, abs=480 if name == "a.mka" else 0)
    assert delay_s(audio.samples, read_audio(voice(1.3), RATE_HZ).samples) == pytest.approx(0.0, abs=0.002)


@pytest.mark.parametrize("n_channels", [1, 2, 6, 8])
@pytest.mark.parametrize("name", ["a.m4a", "a.flac"])
def test_every_channel_is_read(tmp_path: Path, name: str, n_channels: int) -> None:
    channels = np.stack([voice(0.5, 48_000, seed=seed) for seed in range(n_channels)])
    audio = read_audio(encoded(tmp_path, name, channels.T, 48_000, "-b:a", "640k"))
    original = np.concatenate(list(original_samples(audio)), axis=1)
    assert original.shape == channels.shape
    found = np.corrcoef(original[:, 4800:-4800], channels[:, 4800:-4800])[:n_channels, n_channels:]
    assert (found.max(1) > 0.9).sum() >= n_channels - 1  # LFE is filtered


def test_raw_aac_is_read(tmp_path: Path) -> None:
    audio = read_audio(encoded(tmp_path, "a.aac", voice(1.3)))
    assert audio.duration_s == pytest.approx(1.3, abs=0.07) and audio.notes == ()


def picture(seconds: float) -> list[str]:
    """ffmpeg's arguments for a moving picture."""
    return ["-f", "lavfi", "-i", f"testsrc=size=64x48:rate=25:duration={seconds}"]


@pytest.mark.parametrize("container", ["mp4", "mov", "mkv", "ts"])
@pytest.mark.parametrize("offset_s", [0.52, 0.0, -0.52], ids=["late", "together", "early"])
def test_sound_keeps_its_time_beside_the_picture(tmp_path: Path, container: str, offset_s: float) -> None:
    soundfile.write(tmp_path / "a.wav", voice(3.0), RATE_HZ)
    path = tmp_path / f"a.{container}"
    before = [["-itsoffset", str(max(x, 0.0))] for x in (-offset_s, offset_s)]
    sound = ["-i", tmp_path / "a.wav", "-c:a", "aac", "-c:v", "libx264"]
    ffmpeg(*before[0], *picture(3.0), *before[1], *sound, path)
    audio, said = read_audio(path), read_audio(voice(3.0), RATE_HZ).samples
    cut = max(0, round(-offset_s * 16_000))
    assert delay_s(audio.samples, said[cut:]) == pytest.approx(max(offset_s, 0.0), abs=0.025)
    assert audio.duration_s == pytest.approx(3.0 + offset_s, abs=0.05)
    words = {0.52: "after the picture", -0.52: "before the picture"}.get(offset_s)
    assert words is None or any(words in note for note in audio.notes)


def test_sound_that_ends_before_the_picture_starts(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", voice(0.4), RATE_HZ)
    ffmpeg("-itsoffset", "2", *picture(1.0), "-i", tmp_path / "a.wav", "-c:a", "aac", tmp_path / "a.mkv")
    with pytest.raises(BadInput, match="after its picture starts"):
        read_audio(tmp_path / "a.mkv")


@pytest.mark.parametrize("name", ["a.mp3", "a.m4a"])
def test_cover_art_is_no_picture(tmp_path: Path, name: str) -> None:
    soundfile.write(tmp_path / "a.wav", voice(1.0), RATE_HZ)
    ffmpeg("-f", "lavfi", "-i", "color=size=64x64:duration=0.04", "-frames:v", "1", tmp_path / "a.jpg")
    options = ["-map", "0", "-map", "1", "-c:v", "mjpeg", "-disposition:v", "attached_pic"]
    ffmpeg("-i", tmp_path / "a.wav", "-i", tmp_path / "a.jpg", *options, tmp_path / name)
    audio = read_audio(tmp_path / name)
    assert audio.n_original == RATE_HZ and audio.notes == ()


def two_tracks(folder: Path, name: str) -> Path:
    """Silence in the first track, a voice in stereo in the second, which is the default."""
    soundfile.write(folder / "1.wav", np.zeros(2 * RATE_HZ), RATE_HZ)
    soundfile.write(folder / "2.wav", np.stack([voice(2.0), 0.5 * voice(2.0)], 1), RATE_HZ)
    options = ["-map", "0", "-map", "1", "-c:a", "aac", "-disposition:a:0", "0", "-disposition:a:1", "default"]
    ffmpeg("-i", folder / "1.wav", "-i", folder / "2.wav", *options, folder / name)
    return folder / name


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_the_default_track_is_heard_and_kept(tmp_path: Path, name: str) -> None:
    audio = read_audio(two_tracks(tmp_path, name))
    assert delay_s(audio.samples, read_audio(voice(2.0), RATE_HZ).samples) == pytest.approx(0.0, abs=0.025)
    assert audio.notes == ("The file has 2 tracks of sound; track 2 is used, which it marks as default.",)
    original = np.concatenate(list(original_samples(audio)), axis=1)
    assert original.shape == (2, audio.n_original)
    assert np.abs(original[1] - 0.5 * original[0]).mean() < 0.02 < np.abs(original[0]).mean()


def test_a_default_track_that_cannot_be_decoded_is_passed_over(tmp_path: Path) -> None:
    path = two_tracks(tmp_path, "a.mkv")
    data = path.read_bytes()
    at = data.rindex(b"A_AAC", 0, 4000)
    path.write_bytes(data[:at] + b"A_ZZZ" + data[at + 5 :])
    audio = read_audio(path)
    assert not audio.samples.any() and audio.duration_s == pytest.approx(2.0, abs=0.05)
    assert "track 1 is used, the first that can be read. 1 before it" in audio.notes[0]


# ---- damage


@pytest.mark.parametrize("name", ["a.mp4", "a.ts", "a.flac"])
def test_damage_in_the_middle_keeps_the_time_and_says_so(tmp_path: Path, name: str) -> None:
    path = encoded(tmp_path, name, voice(4.0))
    whole, data = read_audio(path), bytearray(path.read_bytes())
    middle, n_bytes = len(data) // 2, len(data) // 20
    if name == "a.ts":  # packets lost on the way
        del data[middle // 188 * 188 : (middle + n_bytes) // 188 * 188]
    else:
        data[middle : middle + n_bytes] = np.random.default_rng(0).bytes(n_bytes)
    path.write_bytes(data)
    audio = read_audio(path)
    assert audio.n_original == pytest.approx(whole.n_original, abs=0.002 * RATE_HZ)
    assert any("damaged" in note for note in audio.notes)
    for piece in (slice(0, 16_000), slice(-16_000, None)):
        assert np.abs(audio.samples[piece] - whole.samples[piece]).max() < 0.01


def test_nan_comes_from_a_file_that_holds_nan_alone(tmp_path: Path, library: str) -> None:
    samples = voice(0.2)
    samples[100:103] = [np.nan, np.inf, -np.inf]
    soundfile.write(tmp_path / "a.wav", samples, RATE_HZ, "FLOAT")
    with pytest.raises(BadInput, match="3 values that are NaN or infinite"):
        read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("rate_hz", [0, 1, 0xFFFFFFFF])
def test_a_rate_that_is_none_is_refused(tmp_path: Path, library: str, rate_hz: int) -> None:
    soundfile.write(tmp_path / "a.wav", voice(0.2), RATE_HZ)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    data[24:28] = struct.pack("<I", rate_hz)
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(BadInput, match=r"a rate of|no sound that can be read"):
        read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.ogg", "a.flac", "a.m4a", "a.mkv", "a.ts"])
def test_changed_bytes_give_finite_sound_or_one_line(tmp_path: Path, library: str, name: str) -> None:
    good = encoded(tmp_path, name, voice(0.5)).read_bytes()
    for seed in range(12):
        rng = np.random.default_rng(seed)
        data = bytearray(good)
        for at in rng.integers(0, min(len(data), 400 if seed % 2 else len(data)), 6):
            data[at] = rng.integers(256)
        path = tmp_path / f"changed{Path(name).suffix}"
        path.write_bytes(data[: len(data) if seed % 3 else rng.integers(1, len(data))])
        try:
            audio = read_audio(path)
        except BadInput as error:
            assert "\n" not in str(error)
        else:
            assert np.isfinite(audio.samples).all() and audio.duration_s < 3700


# ---- channels that cancel


@pytest.mark.parametrize(("left", "right"), [(1.0, -1.0), (0.5, -0.6)])
@pytest.mark.parametrize("offset", [0.0, 0.1])
def test_channels_that_cancel_are_heard(tmp_path: Path, left: float, right: float, offset: float) -> None:
    stereo = np.stack([left * voice(1.0), right * voice(1.0)]) + np.float32(offset)
    soundfile.write(tmp_path / "a.wav", stereo.T, RATE_HZ, "FLOAT")
    loudest = stereo[np.abs([left, right]) == max(abs(left), abs(right))]
    said = [read_audio(channel, RATE_HZ).samples for channel in loudest]
    for audio in (read_audio(tmp_path / "a.wav"), read_audio(stereo, RATE_HZ)):
        assert any(np.array_equal(audio.samples, one) for one in said)
        assert len(audio.notes) == 1 and "cancel one another" in audio.notes[0]
        assert np.array_equal(np.concatenate(list(original_samples(audio)), axis=1), stereo)


def test_channels_that_do_not_cancel_are_averaged() -> None:
    one = np.zeros((8, RATE_HZ), np.float32)
    one[3] = voice(1.0)
    for channels in (one, np.stack([voice(1.0), voice(1.0, seed=1)]), np.zeros((2, 100), np.float32)):
        audio = read_audio(channels, RATE_HZ)
        assert audio.notes == ()
        assert np.array_equal(audio.samples, read_audio(channels.mean(0), RATE_HZ).samples)


# ---- the original


def test_the_original_holds_every_channel_and_the_delay(tmp_path: Path) -> None:
    stereo = np.stack([voice(1.0), voice(1.0, seed=1)])
    soundfile.write(tmp_path / "a.wav", stereo.T, RATE_HZ, "FLOAT")
    sound = ["-itsoffset", "0.5", "-i", tmp_path / "a.wav", "-c:a", "pcm_f32le"]
    ffmpeg(*picture(1.0), *sound, tmp_path / "a.mkv")
    audio = read_audio(tmp_path / "a.mkv")
    original = np.concatenate(list(original_samples(audio)), axis=1)
    assert original.shape == (2, audio.n_original) and audio.n_original == round(1.5 * RATE_HZ)
    assert not original[:, : RATE_HZ // 2].any() and np.array_equal(original[:, RATE_HZ // 2 :], stereo)


def test_an_original_that_is_gone_says_so(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", voice(0.2), RATE_HZ)
    audio = read_audio(tmp_path / "a.wav")
    (tmp_path / "a.wav").unlink()
    with pytest.raises(BadInput, match="does not exist"):
        list(original_samples(audio))
    with pytest.raises(BadInput, match="neither a file nor"):
        list(original_samples(Audio(audio.samples, audio.n_original, RATE_HZ)))


def test_memory_is_that_of_the_mono_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eadnet_core.media.sound.audio._READ_BLOCK_SAMPLES", 1 << 15)
    with soundfile.SoundFile(tmp_path / "a.wav", "w", 48_000, 2) as file:
        for seed in range(20):
            file.write(np.random.default_rng(seed).normal(0, 0.1, (5 * 48_000, 2)))
    read_audio(tmp_path / "a.wav")
    tracemalloc.start()
    audio = read_audio(tmp_path / "a.wav")
    read_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    held = tracemalloc.get_traced_memory()[0]
    assert sum(block.shape[1] for block in original_samples(audio)) == audio.n_original == 100 * 48_000
    written_bytes = tracemalloc.get_traced_memory()[1] - held
    tracemalloc.stop()
    assert read_bytes < 1.2 * audio.samples.nbytes + 3_000_000
    assert written_bytes < 3_000_000 < 2 * 4 * audio.n_original / 10


# ---- the timeline


def pieces(*times_s: float | None, n_samples: int = 100) -> list[Piece]:
    """Pieces of 0.1 s at 1 kHz, all ones."""
    ones = np.ones((1, n_samples), np.float32)
    return [Piece(ones, 1000, None if time_s is None else Fraction(time_s)) for time_s in times_s]


def placed(clock: Clock, *parts: Piece) -> tuple[np.ndarray, list[str]]:
    """What a timeline makes of pieces: samples [N] and notes."""
    timeline = Timeline(1000, 1, clock)
    blocks = [block for part in parts for block in timeline.add(part)]
    blocks += timeline.finish()
    return np.concatenate([np.zeros((1, 0)), *blocks], axis=1)[0], timeline.notes()


def test_a_gap_is_silent_and_jitter_is_none() -> None:
    samples, notes = placed(Clock(), *pieces(5.0, 5.125, 5.5))
    assert len(samples) == 600 and samples[:200].all() and not samples[200:500].any() and samples[500:].all()
    assert notes == ["Gaps in the sound, 0.30 s in all, are filled with silence."]


def test_an_overlap_is_cut_and_a_clock_that_starts_anew_is_followed() -> None:
    assert len(placed(Clock(), *pieces(0.0, 0.03125, 0.2))[0]) == 300
    samples, notes = placed(Clock(), *pieces(50.0, 0.0, 0.1))
    assert len(samples) == 300 and samples.all() and "jump" in notes[0]


@pytest.mark.parametrize("late_s", [1e6, -1e6, 1e15])
def test_timestamps_that_cannot_be_add_no_silence(late_s: float) -> None:
    samples, notes = placed(Clock(zero_s=Fraction(0)), *pieces(late_s, late_s + 0.1, 2 * late_s))
    assert len(samples) == 300 and samples.all() and "jump" in notes[0]


def test_broadcast_fills_short_gaps_alone_and_counted_packets_none() -> None:
    assert len(placed(Clock(max_gap_s=10), *pieces(0.0, 5.0, 50.0))[0]) == 5200
    assert len(placed(Clock(counts_packets=True), *pieces(0.0, 5.0, 50.0))[0]) == 300
