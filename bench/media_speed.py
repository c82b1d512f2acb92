"""Decoding and encoding with PyAV in this process against imageio-ffmpeg's process, turn by turn.

python bench/media_speed.py [--repeats 7] [--json FILE]: the median of each, in frames per second of wall
time. Both are also measured while this process computes, as it does when it generates: there all of it counts.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from eadnet_core.media.video.feeder import Feeder
from eadnet_core.media.video.imageio_backend import ImageioEncoder, ImageioPictures
from eadnet_core.media.video.pyav_reader import PyAVPictures
from eadnet_core.media.video.pyav_writer import PyAVEncoder

SIZES = {(512, 512): 250, (1920, 1080): 75}
"""(width, height) and the number of frames."""
READERS = {"pyav": PyAVPictures, "imageio-ffmpeg": ImageioPictures}
WRITERS = {"pyav": PyAVEncoder, "imageio-ffmpeg": ImageioEncoder}
HELD_FRAMES = 4


def moving(n_frames: int, size: tuple[int, int]) -> np.ndarray:
    """A textured square that moves over a still, textured background: uint8 [T, H, W, 3]."""
    width, height = size
    rng = np.random.default_rng(0)
    coarse = rng.integers(40, 200, (height // 8 + 1, width // 8 + 1, 3))
    still = coarse.repeat(8, 0).repeat(8, 1)[:height, :width].astype(np.uint8)
    frames = np.repeat(still[None], n_frames, 0)
    side = height // 2
    patch = rng.integers(60, 180, (side // 4, side // 4, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
    for number, frame in enumerate(frames):
        left = (width - side) // 2 + round(10 * np.sin(number / 6))
        frame[height // 4 : height // 4 + len(patch), left : left + len(patch)] = patch
    return frames


def encode(name: str, path: Path, frames: np.ndarray, between: Callable[[], object] = lambda: None) -> None:
    """Write a file; `between` is what the maker of the frames does for each."""
    size = (frames.shape[2], frames.shape[1])
    encoder = WRITERS[name](path, size, Fraction(25), None, {"comment": "{}"}, False)
    feeder = Feeder(encoder.encode, HELD_FRAMES)
    for frame in frames:
        between()
        feeder.give(frame)
    feeder.wait()
    feeder.end()
    encoder.finish()


def decode(name: str, path: Path, between: Callable[[], object] = lambda: None) -> None:
    """Read a whole file."""
    for _ in READERS[name](path, 25).frames(0):
        between()


def computing(seconds_per_frame: float) -> Callable[[], object]:
    """Work for one core that takes about that long when nothing else runs."""
    matrix = torch.randn(256, 256)
    began = time.perf_counter()
    for _ in range(50):
        matrix @ matrix
    n = max(1, round(seconds_per_frame / ((time.perf_counter() - began) / 50)))
    return lambda: [matrix @ matrix for _ in range(n)]


def measure(repeats: int) -> list[dict[str, object]]:
    """Rows: what, size, and frames per second of each backend."""
    rows: list[dict[str, object]] = []
    torch.set_num_threads(1)
    work = computing(0.02)
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder) / "source.mp4", Path(folder) / "made.mp4"
        for size, n_frames in SIZES.items():
            frames = moving(n_frames, size)
            encode("pyav", source, frames)
            jobs: dict[str, Callable[[str], None]] = {
                "decode": lambda name: decode(name, source),
                "decode, computing": lambda name: decode(name, source, work),
                "encode": lambda name, frames=frames: encode(name, made, frames),
                "encode, computing": lambda name, frames=frames: encode(name, made, frames, work),
            }
            for what, run in jobs.items():
                taken: dict[str, list[float]] = {name: [] for name in READERS}
                for _ in range(repeats):
                    for name in READERS:
                        began = time.perf_counter()
                        run(name)
                        taken[name].append(time.perf_counter() - began)
                        made.unlink(missing_ok=True)
                fps = {name: round(n_frames / statistics.median(t), 1) for name, t in taken.items()}
                rows.append({"what": what, "size": f"{size[0]} x {size[1]}", **fps})
                print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = measure(args.repeats)
    if args.json:
        args.json.write_text(json.dumps({"machine": platform.machine(), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
