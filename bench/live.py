"""What a live session costs: seconds per second, the first frame, and chunks, in wall time and in CPU time.

python bench/live.py --model mini --threads 1 2 --seconds 20 --picture-px 512
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from eadnet_core.families.load import load_model
from eadnet_core.live.portrait import LivePortrait
from eadnet_core.live.session import LiveChunk, LiveSession
from eadnet_core.machine import memory_bytes
from eadnet_core.media.sound.audio import read_audio
from eadnet_core.weights.folders import ASSETS

PIECE = 320
"""Samples that come at a time, 20 ms."""


def percentile(values: list[float], share: float) -> float:
    """The value below which that share of values lies."""
    return float(np.percentile(values, 100 * share))


def main() -> None:
    """Print one block for each number of threads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--portrait", type=Path, default=ASSETS / "sample" / "portrait.png")
    parser.add_argument("--picture-px", type=int, default=512)
    parser.add_argument("--chunk-frames", type=int, default=5)
    parser.add_argument("--ahead-frames", type=int, default=3)
    args = parser.parse_args()
    speech = read_audio(ASSETS / "sample" / "speech.wav").samples
    sound = np.tile(speech, 1 + int(args.seconds * 16_000 / len(speech)))[: int(args.seconds * 16_000)]
    for n_threads in args.threads:
        torch.set_num_threads(n_threads)
        began = time.perf_counter()
        model = load_model(args.model, "cpu", args.dtype)
        loaded = time.perf_counter()
        portrait = LivePortrait(model, args.portrait, picture_px=args.picture_px)
        ready = time.perf_counter()
        run(LiveSession(portrait, "delighted", args.chunk_frames, args.ahead_frames), sound[:16_000])  # warm
        session = LiveSession(portrait, "delighted", args.chunk_frames, args.ahead_frames)
        cpu, before = time.process_time(), memory_bytes()
        chunks, walls = run(session, sound)
        cpu = time.process_time() - cpu
        video_s = sum(chunk.n_frames for chunk in chunks) / 25
        stages = {name: sum(c.seconds[name] for c in chunks) / video_s for name in chunks[0].seconds}
        median, worst = 1000 * statistics.median(walls), 1000 * max(walls)
        print(f"{args.model} {args.dtype}, {n_threads} threads, {args.picture_px} px, {video_s:.0f} s of video")
        print(f"  load {loaded - began:.2f} s, portrait {ready - loaded:.2f} s")
        print(f"  per second of video: wall {sum(walls) / video_s:.2f} s, CPU {cpu / video_s:.2f} s")
        print("  wall by stage: " + ", ".join(f"{name} {value:.2f}" for name, value in stages.items()))
        print(f"  chunk, ms: median {median:.0f}, 95 % {1000 * percentile(walls, 0.95):.0f}, worst {worst:.0f}")
        print(f"  first frame: {1000 * session.delay_s:.0f} ms of sound + {1000 * walls[0]:.0f} ms")
        print(f"  memory grew by {(memory_bytes() - before) / 2**20:.1f} MiB")


def run(session: LiveSession, sound: np.ndarray) -> tuple[list[LiveChunk], list[float]]:
    """Chunks without their pictures, and the wall time of each."""
    chunks, walls = [], []
    for start in range(0, len(sound), PIECE):
        session.add(sound[start : start + PIECE])
        began = time.perf_counter()
        for chunk in session.chunks():
            walls.append(time.perf_counter() - began)
            chunks.append(
                LiveChunk(chunk.start, chunk.parts[:, :1, :1].copy(), chunk.sound, chunk.emotion, chunk.seconds)
            )
            began = time.perf_counter()
    return chunks, walls


if __name__ == "__main__":
    main()
