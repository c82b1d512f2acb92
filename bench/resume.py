"""Kills a generation at random moments (SIGKILL) and resumes it, again and again; needs a system with fork.

No finished segment may be lost, and the video must be that of an unbroken run, byte for byte. Everything is prepared
once and every run is a fork of that, so that the moments fall on sampling, decoding, writing and joining.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a fork does not take torch's threads along

import soundfile
import torch

from eadnet_core import GenerateOptions, prepare, write_video
from eadnet_core.generation.pipeline import Generation
from eadnet_core.media.video.segments import MANIFEST, file_hash, segment_folder
from eadnet_core.weights.folders import ASSETS


def main() -> int:
    """Run, print what was seen, and return 0 if nothing was lost and all videos are equal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of the clip (default: 3)")
    parser.add_argument("--segment-frames", type=int, default=12)
    parser.add_argument("--model", default="mini", help="mini, or the folder of your own model (default: mini)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--json", type=Path, help="write the figures here")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), args)
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(", ".join(f"{name} {value}" for name, value in found.items()))
    return 0 if found["lost_segments"] == 0 and found["differing_videos"] == 0 else 1


def measure(folder: Path, args: argparse.Namespace) -> dict[str, int]:
    """Counts: kills, runs that were killed with something finished, segments lost, videos that differ."""
    samples, rate_hz = soundfile.read(ASSETS / "sample" / "speech.wav", dtype="float32")
    options = GenerateOptions(segment_frames=args.segment_frames)
    generation = prepare(
        ASSETS / "sample" / "portrait.png",
        samples[: int(args.seconds * rate_hz)].T,
        "delighted",
        options,
        model=args.model,
        device="cpu",
        sample_rate=rate_hz,
    )
    whole, output = folder / "whole.mp4", folder / "out.mp4"
    began = time.perf_counter()
    if finish(start(generation, whole)) != 0:
        raise SystemExit("the unbroken run failed")
    length_s, rng = time.perf_counter() - began, random.Random(args.seed)
    found = {"kills": 0, "kills_with_segments": 0, "finished_videos": 0, "lost_segments": 0, "differing_videos": 0}
    while found["kills"] < args.kills or not output.exists():
        before = finished(output)
        child = start(generation, output)
        limit_s = rng.uniform(0.0, 0.6 * length_s) if found["kills"] < args.kills else float("inf")
        killed = wait_or_kill(child, limit_s)
        after = finished(output)
        found["kills"] += killed
        if output.exists():
            found["finished_videos"] += 1
            found["differing_videos"] += file_hash(output) != file_hash(whole)
            if not killed and found["kills"] < args.kills:
                output.unlink()
        elif killed:
            found["kills_with_segments"] += bool(after)
            found["lost_segments"] += len(before - after)
    return found


def start(generation: Generation, output: Path) -> int:
    """Fork a run of the generation; returns its process id."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            write_video(generation, output, resume=True)
            status = 0
        except BaseException as error:
            print(f"run failed: {error!r}", file=sys.stderr, flush=True)
        finally:
            os._exit(status)
    return child


def finish(child: int) -> int:
    """Exit status of a run that is waited for."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def wait_or_kill(child: int, limit_s: float) -> bool:
    """Wait so long, then SIGKILL; whether it was killed. A run that fails by itself ends everything."""
    began = time.perf_counter()
    while time.perf_counter() - began < limit_s:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            if os.waitstatus_to_exitcode(status) != 0:
                raise SystemExit("a resumed run failed")
            return False
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def finished(output: Path) -> set[tuple[int, str]]:
    """(number, hash) of the finished segments whose video is whole on the disk."""
    manifest = segment_folder(output) / MANIFEST
    if not manifest.is_file():
        return set()
    segments = json.loads(manifest.read_text("utf-8"))["segments"]
    kept = {(i, s["video_sha256"]) for i, s in enumerate(segments) if s["state"] == "finished"}
    return {(i, digest) for i, digest in kept if file_hash(manifest.parent / segments[i]["video"]) == digest}


if __name__ == "__main__":
    sys.exit(main())
