"""How the cost of `eadnet generate` grows with the clip, the portrait and the number of faces, and what starting costs.

    python bench/clip_cost.py --model mini --seconds 5 20 60 --portrait-px 256 512 1080 --faces 1 2 3
    python bench/clip_cost.py --start                    imports, and the first frame of a cold process

Each row is a fresh process on the sample portrait and speech. Wall time wants an idle machine; CPU is of all threads.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from eadnet_core.evaluation.command_cost import measure_command
from eadnet_core.weights.folders import ASSETS

SAMPLE = ASSETS / "sample"
LENGTH_S, PORTRAIT_PX = 5.0, 512
"""What the other two are where one of the three is varied."""
STARTS = (
    ("python alone", ["-c", "pass"]),
    ("import eadnet_core", ["-c", "import eadnet_core"]),
    ("import torch", ["-c", "import torch"]),
    ("eadnet --help", ["-m", "eadnet_core", "--help"]),
    (
        "one frame of video",
        ["-m", "eadnet_core", "generate", "--overwrite", "--portrait", "{portrait}", "--audio", "{short}"],
    ),
)
"""(name, arguments of Python); the last one also gets words and an output."""


@dataclass(frozen=True)
class Case:
    """One clip: its length, the side of the square portrait of each face, and how many of them stand side by side."""

    seconds: float = LENGTH_S
    portrait_px: int = PORTRAIT_PX
    faces: int = 1


def main() -> None:
    """Measure what was asked, and print one row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini", help="mini, mini-256 or a folder (default: mini)")
    parser.add_argument("--seconds", type=float, nargs="+", default=[], help="lengths of the clip")
    parser.add_argument("--portrait-px", type=int, nargs="+", default=[], help="sides of the portrait")
    parser.add_argument("--faces", type=int, nargs="+", default=[], help="numbers of faces in one picture")
    parser.add_argument("--start", action="store_true", help="what starting costs")
    parser.add_argument("--repeats", type=int, default=1, help="the median of so many runs (default: 1)")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: torch's choice)")
    args = parser.parse_args()
    cases = [Case(seconds=s) for s in args.seconds] + [Case(portrait_px=px) for px in args.portrait_px]
    cases += [Case(faces=n) for n in args.faces]
    with tempfile.TemporaryDirectory() as folder:
        if args.start:
            print_starts(Path(folder), args.repeats, args.threads)
        if cases:
            print_clips(Path(folder), cases, args)


def print_clips(folder: Path, cases: list[Case], args: argparse.Namespace) -> None:
    """One row for each case, and the straight line through those that differ in length."""
    print(f"{'clip s':>8s} {'portrait':>9s} {'faces':>6s} {'wall s':>8s} {'CPU s':>8s} {'per s':>6s} {'peak GB':>8s}")
    walls = []
    for case in cases:
        wall, cpu, peak = np.median([clip_cost(folder, case, args) for _ in range(args.repeats)], axis=0)
        walls.append(wall)
        row = f"{case.seconds:8.1f} {case.portrait_px:9d} {case.faces:6d} {wall:8.1f} {cpu:8.1f}"
        print(f"{row} {wall / case.seconds:6.2f} {peak:8.2f}", flush=True)
    if len(args.seconds) > 1:
        slope, intercept = np.polyfit(args.seconds, walls[: len(args.seconds)], 1)
        print(f"wall seconds = {intercept:.2f} + {slope:.3f} x seconds of video")


def clip_cost(folder: Path, case: Case, args: argparse.Namespace) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak GB of one process that makes the clip."""
    portrait = Image.open(SAMPLE / "portrait.png").convert("RGB").resize((case.portrait_px, case.portrait_px))
    picture = Image.new("RGB", (case.portrait_px * case.faces, case.portrait_px))
    for index in range(case.faces):
        picture.paste(portrait, (index * case.portrait_px, 0))
    picture.save(folder / "picture.png")
    speech(folder / "speech.wav", case.seconds)
    command = [sys.executable, "-m", "eadnet_core", "generate", "--overwrite", "--model", args.model]
    command += ["--portrait", str(folder / "picture.png"), "--emotion", "delighted"]
    command += ["--output", str(folder / "clip.mp4")]
    if case.faces == 1:
        command += ["--audio", str(folder / "speech.wav")]
    for index in range(case.faces if case.faces > 1 else 0):
        command += ["--speaker", f"face={index} voice={folder / 'speech.wav'}"]
    return process_cost(command, args.threads)


def speech(path: Path, seconds: float) -> None:
    """The sample's speech, repeated and cut to a length."""
    samples, rate_hz = soundfile.read(SAMPLE / "speech.wav", dtype="float32")
    soundfile.write(path, np.resize(samples, round(seconds * rate_hz)), rate_hz)


def print_starts(folder: Path, repeats: int, threads: int | None) -> None:
    """Fresh processes: wall seconds of the first, whose files may not be in memory, and the medians of the others."""
    speech(folder / "short.wav", 0.04)
    for name, arguments in STARTS:
        filled = [word.format(portrait=SAMPLE / "portrait.png", short=folder / "short.wav") for word in arguments]
        if "generate" in filled:
            filled += ["--emotion", "delighted", "--output", str(folder / "frame.mp4")]
        first, *others = [process_cost([sys.executable, *filled], threads) for _ in range(repeats + 1)]
        wall, cpu, peak = np.median(others, axis=0)
        print(f"{name:24s} first {first[0]:6.2f} s, then {wall:6.2f} s, CPU {cpu:6.2f} s, {peak:5.2f} GB", flush=True)


def process_cost(command: list[str], threads: int | None) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak GB of one process."""
    before = children_cpu_s()
    cost = measure_command(command, threads)
    return cost.seconds, children_cpu_s() - before, cost.peak_memory_gb


def children_cpu_s() -> float:
    """Processor seconds of the processes that ended, with their threads."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
