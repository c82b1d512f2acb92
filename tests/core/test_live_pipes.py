"""`eadnet live` between two pipes, and the fragmented MP4 that it writes."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from eadnet_core.errors import BadInput
from eadnet_core.live.streams import WordsFile, read_pcm
from eadnet_core.media.video.fragments import FragmentWriter
from eadnet_core.media.video.tags import DIGITAL_SOURCE_TYPE

N_FRAMES = 21


def pcm(n_frames: int) -> bytes:
    t = np.arange(n_frames * 640) / 16_000
    return (8000 * np.sin(2 * np.pi * 180 * t) * np.sin(2 * np.pi * 3 * t) ** 2).astype("<i2").tobytes()


def live(folder: Path, portrait: np.ndarray, model: Path, *more: str) -> subprocess.CompletedProcess[bytes]:
    Image.fromarray(portrait).save(folder / "face.png")
    command = [sys.executable, "-m", "eadnet_core", "live", "--portrait", str(folder / "face.png")]
    command += ["--face-box", "32,24,96,108", "--model", str(model), *more]
    return subprocess.run(command, input=pcm(N_FRAMES), capture_output=True, check=False)


def test_bare_pictures(tmp_path: Path, portrait: np.ndarray, tiny_folder: Path) -> None:
    done = live(tmp_path, portrait, tiny_folder, "--stdin", "pcm", "--stdout", "rgb", "--emotion", "happy")
    assert done.returncode == 0, done.stderr
    frames = np.frombuffer(done.stdout, np.uint8).reshape(-1, 128, 128, 3)
    assert len(frames) == N_FRAMES and not np.array_equal(frames[0], frames[-1])
    assert b"0.32 s behind the sound" in done.stderr


def test_a_video_with_its_sound(tmp_path: Path, portrait: np.ndarray, tiny_folder: Path) -> None:
    done = live(tmp_path, portrait, tiny_folder, "--stdin", "pcm", "--stdout", "mp4")
    assert done.returncode == 0, done.stderr
    with av.open(io.BytesIO(done.stdout)) as video:
        assert [round(25 * f.time) for f in video.decode(video=0)] == list(range(N_FRAMES))
        assert video.metadata["digital_source_type"] == DIGITAL_SOURCE_TYPE


def test_it_says_what_it_needs(tmp_path: Path, portrait: np.ndarray, tiny_folder: Path) -> None:
    done = live(tmp_path, portrait, tiny_folder, "--stdout", "mp4")
    assert done.returncode == 2 and b"--stdin pcm" in done.stderr and not done.stdout


class Pipe:
    """What cannot go back."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data


def test_a_fragmented_video_grows_and_keeps_sound_and_picture_together() -> None:
    pipe, rng = Pipe(), np.random.default_rng(0)
    sound = (0.3 * np.convolve(rng.normal(size=100 * 640), np.ones(8) / 8, "same")).astype(np.float32)
    writer, sizes = FragmentWriter(pipe, (64, 48), {"model": "tiny"}), []
    for start in range(0, 100, 5):
        levels = np.arange(start, start + 5, dtype=np.uint8) * 2
        frames = np.broadcast_to(levels[:, None, None, None], (5, 48, 64, 3))
        writer.write(frames, sound[start * 640 : (start + 5) * 640])
        sizes.append(len(pipe.data))
    assert all(a < b for a, b in pairwise(sizes))  # one chunk is held back, no more
    with av.open(io.BytesIO(pipe.data[: sizes[10]])) as part:
        assert sum(1 for _ in part.decode(video=0)) >= 45  # it can be watched before its end
    writer.close()
    with av.open(io.BytesIO(pipe.data)) as whole:
        pictures = list(whole.decode(video=0))
        assert [round(25 * f.time) for f in pictures] == list(range(100))
        assert abs(int(pictures[60].to_ndarray(format="rgb24").mean()) - 120) <= 3
    with av.open(io.BytesIO(pipe.data)) as whole:
        heard = np.concatenate([f.to_ndarray()[0] for f in whole.decode(audio=0)])
    match = np.correlate(heard[:20_000], sound[2000:18_000], "valid")
    assert int(match.argmax()) == 2000  # to the sample
    assert b"trainedAlgorithmicMedia" in pipe.data[-800:]


def test_pcm_comes_in_pieces() -> None:
    reader, writer = os.pipe()
    data = pcm(3)
    os.write(writer, data[:7])
    pieces = read_pcm(reader)
    first = next(pieces)
    os.write(writer, data[7:] + b"\x01")
    os.close(writer)
    samples = np.concatenate([first, *pieces])
    os.close(reader)
    assert np.array_equal(samples, np.frombuffer(data, "<i2") / np.float32(32768))


def test_words_in_a_file_are_read_again_when_they_change(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    with pytest.raises(BadInput):
        WordsFile(path)
    path.write_text("happy\n")
    words = WordsFile(path)
    assert words.text == "happy" and words.changed() is None
    path.write_text("furious, about to shout")
    assert words.changed() == "furious, about to shout" and words.changed() is None
    path.write_bytes(b"\xff\xfe\x00broken")
    assert words.changed() is None
    path.unlink()
    assert words.changed() is None
