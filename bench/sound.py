"""CPU seconds to read a minute of sound: PyAV, libsndfile, and ffmpeg as a process, in turns in one run.

Each reads the same file to 16 kHz mono; the process is what the project used before. Medians over rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import soundfile

from eadnet_core.errors import BadInput
from eadnet_core.media.sound import files as sound_files
from eadnet_core.media.sound.audio import read_audio

RATE_HZ = 44_100
NAMES = ("sound.wav", "sound.mp3", "sound.m4a", "sound.ogg")


def make(folder: Path, seconds: float) -> None:
    """Stereo noise with the rhythm of speech in every format."""
    rng = np.random.default_rng(0)
    n_samples = round(seconds * RATE_HZ)
    swing = 0.1 + 0.1 * np.sin(2 * np.pi * 4 * np.arange(n_samples) / RATE_HZ)
    soundfile.write(folder / NAMES[0], swing[:, None] * rng.normal(size=(n_samples, 2)), RATE_HZ)
    for name in NAMES[1:]:
        source = ["-i", str(folder / NAMES[0]), str(folder / name)]
        subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *source], check=True)


def by_process(path: Path) -> None:
    """The samples from ffmpeg's standard output."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-ac", "1", "-ar", "16000"]
    done = subprocess.run([*command, "-f", "f32le", "pipe:1"], capture_output=True, check=True)
    np.frombuffer(done.stdout, "<f4").copy()


def by_library(has_pyav: bool) -> Callable[[Path], None]:
    """`read_audio` with one of its backends."""

    def read(path: Path) -> None:
        sound_files.has_pyav = lambda: has_pyav  # type: ignore[assignment]
        read_audio(path)

    return read


def main() -> None:
    """Print one line per format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    readers = {"PyAV": by_library(True), "libsndfile": by_library(False), "process": by_process}
    with tempfile.TemporaryDirectory() as name:
        make(Path(name), args.seconds)
        for file in NAMES:
            taken: dict[str, list[float]] = {reader: [] for reader in readers}
            for _ in range(args.rounds + 1):
                for reader, read in readers.items():
                    start = sum(os.times()[:4])
                    with contextlib.suppress(BadInput):
                        read(Path(name) / file)
                        taken[reader].append(sum(os.times()[:4]) - start)
            medians = {reader: statistics.median(t[1:]) for reader, t in taken.items() if t}
            print(file, "  ".join(f"{reader} {seconds:.3f} s" for reader, seconds in medians.items()), sep="\t")


if __name__ == "__main__":
    main()
