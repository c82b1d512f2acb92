"""Prints what `eadnet generate` costs on this machine: time and memory by steps, guidance and length of the clip.

Each row is a fresh process on the sample portrait and speech, so that memory is that of a user's run.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import torch

from eadnet_core.evaluation.command_cost import measure_command
from eadnet_core.weights.folders import ASSETS

CASES: tuple[tuple[str, tuple[str, ...], int], ...] = (
    ("default settings", (), 1),
    ("1 step", ("--steps", "1"), 1),
    ("8 steps", ("--steps", "8"), 1),
    ("emotion guidance 1.5", ("--guidance-emotion", "1.5"), 1),
    ("audio and emotion guidance 1.5", ("--guidance-audio", "1.5", "--guidance-emotion", "1.5"), 1),
    ("SyncNet guidance 0.2", ("--sync-guidance", "0.2"), 1),
    ("ten times as long", (), 10),
)
"""(name, options, how often the sample speech is repeated)"""
COLUMNS = "{:32s} {:>9s} {:>12s} {:>11s} {:>9s}"


def main() -> None:
    """Run every case and print one row for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mini", help="mini, or the folder of your own model (default: mini)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument("--dtype", default="auto", help="what the nets compute in, as in eadnet generate")
    parser.add_argument("--cases", nargs="+", metavar="NAME", choices=[name for name, *_ in CASES], help="only these")
    parser.add_argument("--profile", action="store_true", help="also seconds of each stage per second of video")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: torch's choice)")
    args = parser.parse_args()
    print(f"{platform.machine()}, {args.threads or torch.get_num_threads()} threads, torch {torch.__version__}")
    print(COLUMNS.format("", "clip s", "s per s", "process s", "peak GB"))
    with tempfile.TemporaryDirectory() as folder:
        for name, options, n_repeats in CASES:
            if args.cases and name not in args.cases:
                continue
            print(measure(Path(folder), name, options, n_repeats, args), flush=True)


def measure(folder: Path, name: str, options: tuple[str, ...], n_repeats: int, args: argparse.Namespace) -> str:
    """One row: length of the clip, whole pipeline per second of video, whole process, peak memory."""
    samples, rate_hz = soundfile.read(ASSETS / "sample" / "speech.wav", dtype="float32")
    speech, report = folder / "speech.wav", folder / "report.json"
    soundfile.write(speech, np.tile(samples, n_repeats), rate_hz)
    command = [sys.executable, "-m", "eadnet_core", "generate", "--overwrite", *options]
    command += ["--portrait", str(ASSETS / "sample" / "portrait.png"), "--audio", str(speech), "--emotion", "delighted"]
    command += ["--output", str(folder / "video.mp4"), "--json", str(report)]
    command += ["--model", args.model, "--device", args.device, "--dtype", args.dtype]
    cost = measure_command(command, args.threads)
    values = json.loads(report.read_text(encoding="utf-8"))
    per_second = values["seconds_per_second"]
    length = values["n_frames"] / values["fps"]
    row = COLUMNS.format(
        name, f"{length:.1f}", f"{per_second:.2f}", f"{cost.seconds:.1f}", f"{cost.peak_memory_gb:.2f}"
    )
    return row + "\n" + profile(values["seconds"], length) if args.profile else row


def profile(seconds: dict[str, float], length_s: float) -> str:
    """Wall time of each stage per second of video, the longest first; "load" is not in the sum of the row above."""
    stages = sorted(seconds.items(), key=lambda stage: -stage[1])
    return "    " + "   ".join(f"{name} {value / length_s:.3f}" for name, value in stages)


if __name__ == "__main__":
    main()
