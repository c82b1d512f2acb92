"""Video files: whole or absent, marked as synthetic, exact in length."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from eadnet_core.errors import BadInput, MediaError
from eadnet_core.media.sound.audio import read_audio
from eadnet_core.media.video import backends
from eadnet_core.media.video.encoding import PICTURE_OPTIONS
from eadnet_core.media.video.files import VideoWriter, check_writable, read_metadata, read_video, write_video, written
from eadnet_core.media.video.join import join_videos
from eadnet_core.media.video.tags import DIGITAL_SOURCE_TYPE


@pytest.fixture(params=["pyav", "imageio"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "imageio":
        monkeypatch.setattr(backends, "has_pyav", lambda: False)
    return request.param


def clip(n_frames: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A moving colour ramp, uint8 [T, H, W, 3]."""
    t, y, x = np.mgrid[0:n_frames, 0:height, 0:width]
    return np.stack([60 + 2 * x, 50 + 3 * y, 40 + 4 * (t % 40) + x // 2], axis=-1).clip(0, 255).astype(np.uint8)


def sound(seconds: float, rate_hz: int = 44_100, channels: int = 2) -> np.ndarray:
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    return np.stack([0.3 * np.sin(2 * np.pi * 330 * (c + 1) * time) for c in range(channels)]).astype(np.float32)


@pytest.mark.parametrize("n_frames", [1, 2, 3, 13, 26, 101])
def test_frames_come_back_in_number_and_colour(tmp_path: Path, backend: str, n_frames: int) -> None:
    frames = clip(n_frames)
    assert write_video(tmp_path / "a.mp4", iter(frames)) == n_frames
    reader = read_video(tmp_path / "a.mp4")
    assert (reader.fps, reader.size, reader.n_frames) == (25.0, (64, 48), n_frames)
    back = np.stack(list(reader)).astype(float)
    error = back - frames
    assert np.abs(error).mean() < 4.0
    assert np.abs(error.mean(axis=(0, 1, 2))).max() < 1.0


@pytest.mark.parametrize("seconds", [0.04, 0.06, 0.1, 1.0, 2.5])
def test_sound_and_frames_have_the_exact_length(tmp_path: Path, backend: str, seconds: float) -> None:
    audio = read_audio(sound(seconds), 44_100)
    write_video(tmp_path / "a.mp4", clip(audio.n_frames()), audio=audio)
    assert read_video(tmp_path / "a.mp4").n_frames == max(1, int(seconds * 25 + 0.5))
    assert read_audio(tmp_path / "a.mp4").duration_s == pytest.approx(seconds, abs=0.03)


def test_the_original_sound_is_kept_whole_and_in_place(tmp_path: Path, backend: str) -> None:
    import soundfile

    soundfile.write(tmp_path / "voice.wav", sound(2.0).T, 44_100)
    for audio in (read_audio(tmp_path / "voice.wav"), read_audio(sound(2.0), 44_100)):
        write_video(tmp_path / "a.mp4", clip(20), audio=audio, overwrite=True)
        back = read_audio(tmp_path / "a.mp4")
        assert back.duration_s == pytest.approx(2.0, abs=0.01)
        inner = slice(4000, 28_000)
        assert np.corrcoef(back.samples[inner], audio.samples[inner])[0, 1] > 0.99


@pytest.mark.parametrize(("rate_hz", "channels"), [(192_000, 2), (8000, 1), (48_000, 6), (3000, 1), (44_100, 8)])
def test_any_rate_and_channel_count_is_muxed(tmp_path: Path, backend: str, rate_hz: int, channels: int) -> None:
    audio = read_audio(sound(0.5, rate_hz, channels), rate_hz)
    write_video(tmp_path / "a.mp4", clip(13), audio=audio)
    assert read_audio(tmp_path / "a.mp4").duration_s == pytest.approx(0.5, abs=0.05)


def test_one_sample_of_sound(tmp_path: Path, backend: str) -> None:
    audio = read_audio(np.full(1, 0.1, np.float32), 192_000)
    assert write_video(tmp_path / "a.mp4", clip(audio.n_frames()), audio=audio) == 1
    assert read_video(tmp_path / "a.mp4").n_frames == 1


def test_odd_sizes_are_padded_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frames = clip(3, 33, 27)
    write_video(tmp_path / "a.mp4", frames)
    assert "33 x 27 is padded to 34 x 28" in caplog.text
    back = next(iter(read_video(tmp_path / "a.mp4")))
    assert back.shape == (28, 34, 3)
    assert np.abs(back[:27, :33].astype(int) - frames[0]).mean() < 6


def test_chunks_and_frames_give_the_same_file(tmp_path: Path) -> None:
    frames = clip(10)
    write_video(tmp_path / "a.mp4", iter(frames))
    write_video(tmp_path / "b.mp4", [frames[:4], frames[4:]])
    one, two = (list(read_video(tmp_path / name)) for name in ("a.mp4", "b.mp4"))
    assert len(one) == 10 and np.array_equal(one, two)


def test_resampling_to_another_rate(tmp_path: Path, backend: str) -> None:
    write_video(tmp_path / "a.mp4", clip(50), fps=25)
    assert read_video(tmp_path / "a.mp4", fps=10).n_frames == 20
    assert read_video(tmp_path / "a.mp4", fps=50).n_frames == 100


def test_both_backends_write_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames, audio = clip(60, 96, 64), read_audio(sound(2.4), 44_100)
    files = []
    for name, has in (("pyav", True), ("imageio", False)):
        monkeypatch.setattr(backends, "has_pyav", lambda has=has: has)
        parts = [tmp_path / f"{name}-{i}.mp4" for i in range(2)]
        for part, shown in zip(parts, (frames[:25], frames[25:]), strict=True):
            with VideoWriter(part, (96, 64), is_part=True) as writer:
                writer.write(shown)
        write_video(tmp_path / f"{name}.mp4", frames, 30, audio, {"seed": 7})
        join_videos(parts, tmp_path / f"{name}-joined.mp4", audio, {"seed": 7}, duration_s=Fraction(2))
        files.append([tmp_path / f"{name}.mp4", tmp_path / f"{name}-joined.mp4"])
    monkeypatch.undo()
    for one, two in zip(*files, strict=True):
        a, b = read_video(one), read_video(two)
        assert (a.size, a.fps, a.n_frames) == (b.size, b.fps, b.n_frames)
        assert max(np.abs(x.astype(int) - y).max() for x, y in zip(a, b, strict=True)) <= 1
        mine, others = read_metadata(one), read_metadata(two)
        assert {**mine, "encoder": ""} == {**others, "encoder": ""}
        sounds = read_audio(one), read_audio(two)
        assert sounds[0].n_original == pytest.approx(sounds[1].n_original, abs=1024)
        n = min(len(s.samples) for s in sounds)
        assert np.corrcoef(sounds[0].samples[:n], sounds[1].samples[:n])[0, 1] > 0.999
        assert colour_tags(one) == colour_tags(two) == (1, 1, 1, 1, "yuv420p", "aac")
    assert read_audio(files[0][1]).duration_s == pytest.approx(2.0, abs=0.03)


def colour_tags(path: Path) -> tuple[object, ...]:
    """Matrix, primaries, transfer and range as numbers, pixel format, codec of the sound."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        context = container.streams.video[0].codec_context
        numbers = (frame.colorspace, context.color_primaries, context.color_trc, frame.color_range)
        return (*map(int, numbers), frame.format.name, container.streams.audio[0].codec_context.name)


def test_parts_of_two_releases_of_the_encoder_are_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their parameter sets differ, and a file has room for one: the others go into the stream."""
    parts = [tmp_path / f"segment-{i}.mp4" for i in range(3)]
    for part, preset in zip(parts, ("superfast", "ultrafast", "medium"), strict=True):
        monkeypatch.setitem(PICTURE_OPTIONS, "preset", preset)
        write_part(part, clip(9))
    join_videos(parts, tmp_path / "joined.mp4")
    wanted = [frame for part in parts for frame in read_video(part)]
    assert np.array_equal(list(read_video(tmp_path / "joined.mp4")), wanted)


def write_part(path: Path, frames: np.ndarray) -> None:
    with VideoWriter(path, (frames.shape[2], frames.shape[1]), is_part=True) as writer:
        writer.write(frames)


# ---- marks


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".m4v"])
def test_files_are_marked_as_synthetic_with_their_settings(tmp_path: Path, backend: str, suffix: str) -> None:
    settings = {"prompt": 'a = "b"; # \\ \n glücklich 幸せ ' * 300, "seed": 7, "steps": 8, "head": 0.5}
    path = tmp_path / f"a{suffix}"
    write_video(path, clip(2), settings=settings)
    tags = read_metadata(path)
    assert tags["settings"] == settings
    assert tags["digital_source_type"] == DIGITAL_SOURCE_TYPE
    assert "ynthetic" in tags["description"]
    data = path.read_bytes()
    box = data.index(bytes.fromhex("be7acfcb97a942e89c71999491e3afac"))
    assert int.from_bytes(data[box - 8 : box - 4], "big") == len(data) - (box - 8)
    assert f'DigitalSourceType="{DIGITAL_SOURCE_TYPE}"'.encode() in data[box:]


# ---- what goes wrong


def left(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_an_error_half_way_leaves_nothing(tmp_path: Path, backend: str) -> None:
    def frames() -> Iterator[np.ndarray]:
        yield from clip(5)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(tmp_path / "a.mp4", frames(), audio=read_audio(sound(1.0), 44_100))
    assert left(tmp_path) == []


def test_an_error_half_way_keeps_the_file_that_was_there(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", clip(3))
    before = (tmp_path / "a.mp4").read_bytes()
    with pytest.raises(ZeroDivisionError), VideoWriter(tmp_path / "a.mp4", (64, 48), overwrite=True) as writer:
        writer.write(clip(2))
        raise ZeroDivisionError
    assert (tmp_path / "a.mp4").read_bytes() == before and left(tmp_path) == ["a.mp4"]


@contextlib.contextmanager
def full_disk(n_bytes: int) -> Iterator[None]:
    """Files cannot grow beyond `n_bytes`, as if the disk were full."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def noise(n_frames: int) -> np.ndarray:
    """What cannot be compressed, uint8 [T, 256, 256, 3]."""
    return np.random.default_rng(0).integers(0, 255, (n_frames, 256, 256, 3), dtype=np.uint8)


def test_a_full_disk_half_way_is_one_line_and_leaves_nothing(tmp_path: Path, backend: str) -> None:
    with (
        pytest.raises(MediaError, match=r"a\.mp4' could not be written after \d+ frames .*Nothing was kept") as caught,
        full_disk(100_000),
        VideoWriter(tmp_path / "a.mp4", (256, 256)) as writer,
    ):
        for frame in noise(200):
            writer.write(frame)
    assert left(tmp_path) == [] and "\n" not in str(caught.value)


def test_a_disk_that_is_full_at_the_end_is_one_line_and_leaves_nothing(tmp_path: Path, backend: str) -> None:
    audio = read_audio(sound(1.0), 44_100)
    with pytest.raises(MediaError, match="could not be written") as caught, full_disk(10_000):
        write_video(tmp_path / "a.mp4", noise(20), audio=audio)
    assert left(tmp_path) == [] and "\n" not in str(caught.value)


def test_a_full_disk_is_called_that(tmp_path: Path) -> None:
    words = r"a\.mp4' could not be written after 3 frames \(the disk is full\)"
    with pytest.raises(MediaError, match=words), written(tmp_path / "a.mp4", "3 frames"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_sound_that_is_gone_is_told_before_any_frame(tmp_path: Path, backend: str) -> None:
    audio = read_audio(sound(1.0), 44_100)
    gone = dataclasses.replace(audio, original=None, path=tmp_path / "gone.wav")
    with pytest.raises(BadInput, match=r"gone\.wav"):
        VideoWriter(tmp_path / "a.mp4", (64, 48), audio=gone)
    assert left(tmp_path) == []


def test_wrong_frames_are_refused(tmp_path: Path) -> None:
    for frame in (clip(1, 32, 32), clip(1).astype(np.float32)):
        with pytest.raises(MediaError, match="was opened for"), VideoWriter(tmp_path / "a.mp4", (64, 48)) as writer:
            writer.write(frame)
    with pytest.raises(MediaError, match="No frame"):
        write_video(tmp_path / "a.mp4", [])
    assert left(tmp_path) == []


def test_outputs_are_checked_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "there.mp4").write_bytes(b"x")
    (tmp_path / "folder.mp4").mkdir()
    for name, words in {
        "there.mp4": "exists already",
        "folder.mp4": "is a folder",
        "none/a.mp4": "does not exist",
        "there.mp4/a.mp4": "does not exist",
        "a.avi": "Give a name that ends in one of .mp4",
        "a": "Give a name that ends in one of .mp4",
    }.items():
        with pytest.raises(BadInput, match=words):
            check_writable(tmp_path / name)
    assert check_writable(tmp_path / "there.mp4", overwrite=True) == tmp_path / "there.mp4"
    assert left(tmp_path) == ["folder.mp4", "there.mp4"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(BadInput, match="cannot be written to"):
            check_writable(tmp_path / "a.mp4")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="there is no /proc")
def test_a_folder_that_takes_no_files_is_refused() -> None:
    with pytest.raises(BadInput, match="cannot be written to"):
        check_writable("/proc/self/a.mp4")


def test_unreadable_videos_say_why(tmp_path: Path, backend: str) -> None:
    write_video(tmp_path / "whole.mp4", clip(50))
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("this is no video")
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "whole.mp4").read_bytes()[:200])
    import soundfile

    soundfile.write(tmp_path / "sound.wav", sound(0.2).T, 44_100)
    for name, words in {
        "absent.mp4": "does not exist",
        ".": "is a folder",
        "empty.mp4": "is empty",
        "text.mp4": "cannot be read|no video that can be read",
        "cut.mp4": "cannot be read|no video that can be read",
        "sound.wav": "no video that can be read",
    }.items():
        with pytest.raises(BadInput, match=words):
            read_video(tmp_path / name)
    for name in ("absent.mp4", "empty.mp4", "text.mp4"):
        with pytest.raises(BadInput):
            read_metadata(tmp_path / name)


def test_a_reader_can_be_left_early_and_read_again(tmp_path: Path, backend: str) -> None:
    write_video(tmp_path / "a.mp4", clip(30))
    reader = read_video(tmp_path / "a.mp4")
    first = next(iter(reader))
    assert np.array_equal(next(iter(reader)), first)
    assert first.flags.writeable


def test_real_video(media_folder: Path) -> None:
    path = next((media_folder / "video").glob("*.mp4"))
    reader = read_video(path)
    frames = iter(reader)
    assert next(frames).shape == (reader.size[1], reader.size[0], 3)
    assert reader.fps == 25.0
    assert reader.audio().duration_s == pytest.approx(10.0, abs=0.1)
