"""A long live session through pipes: memory and processor time, and whether lips stay with the sound.

python bench/live_long.py --minutes 10 --picture-px 256

The sample's speech is said again and again. Head, lids and gaze are held still, so that what changes in the lower half
of the picture is the mouth: it must do in the last round what it did in the first, at the same frame of it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

from eadnet_core.media.sound.audio import read_audio
from eadnet_core.weights.folders import ASSETS

FPS, SAMPLES_PER_FRAME = 25, 640
REACH = 12
"""Frames to each side among which the lag is searched."""


def main() -> None:
    """Print memory by the minute, then frames, time and lag."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--picture-px", type=int, default=256)
    parser.add_argument("--model", default="mini")
    args = parser.parse_args()
    speech = read_audio(ASSETS / "sample" / "speech.wav").samples
    period = len(speech) // SAMPLES_PER_FRAME
    rounds = round(args.minutes * 60 * FPS / period)
    piece = (speech[: period * SAMPLES_PER_FRAME] * 32767).astype("<i2").tobytes()
    command = [sys.executable, "-m", "eadnet_core", "live", "--model", args.model, "--dtype", "float32"]
    command += ["--portrait", str(ASSETS / "sample" / "portrait.png"), "--picture-px", str(args.picture_px)]
    command += ["--head", "0", "--blink", "0", "--gaze", "0", "--stdin", "pcm", "--stdout", "rgb"]
    began = time.monotonic()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as made:
        threading.Thread(target=feed, args=(made, piece, rounds), daemon=True).start()
        mouth = np.array(watch(made, args.picture_px))
    wall_s, n_frames = time.monotonic() - began, len(mouth)
    print(f"{n_frames} frames of {rounds * period}, {wall_s / (n_frames / FPS):.2f} s of wall time for each second")
    print(f"the last round of {period / FPS:.2f} s lies {lag(mouth, period, rounds)} frames from the first")


def feed(made: subprocess.Popen[bytes], piece: bytes, rounds: int) -> None:
    """As fast as it is taken."""
    assert made.stdin is not None
    for _ in range(rounds):
        made.stdin.write(piece)
    made.stdin.close()


def watch(made: subprocess.Popen[bytes], side: int) -> list[float]:
    """How light the middle of the lower half is, frame by frame; memory and time are printed every minute of video."""
    assert made.stdout is not None
    levels: list[float] = []
    size = 3 * side * side
    rest = b""
    while data := made.stdout.read(1 << 20):
        rest += data
        while len(rest) >= size:
            picture = np.frombuffer(rest[:size], np.uint8).reshape(side, side, 3)
            levels.append(float(picture[side // 2 :, side // 4 : -side // 4].mean()))
            rest = rest[size:]
            if len(levels) % (60 * FPS) in (0, 5 * FPS) and (len(levels) % (60 * FPS) == 0 or len(levels) < 60 * FPS):
                cost = f"{memory_mib(made.pid):7.1f} MiB  {processor_s(made.pid):8.1f} s of processor time"
                print(f"{len(levels) / FPS:6.0f} s  {cost}", flush=True)
    return levels


def memory_mib(pid: int) -> float:
    """Resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def processor_s(pid: int) -> float:
    """Seconds that all threads of a process have computed since it began."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def lag(mouth: np.ndarray, period: int, rounds: int) -> int:
    """Frames by which the last round but one lies behind the second: where the two are most alike."""
    first, last = (mouth[n * period : (n + 1) * period] for n in (1, rounds - 2))
    shifts = range(-REACH, REACH + 1)
    inside = slice(REACH, period - REACH)
    alike = [np.corrcoef(first[inside], np.roll(last, -shift)[inside])[0, 1] for shift in shifts]
    return shifts[int(np.argmax(alike))]


if __name__ == "__main__":
    main()
