"""`eadnet batch` killed again and again (SIGKILL), then run to its end: what was lost, or made twice.

    python bench/batch_kills.py                              20 kills of a batch in one process
    python bench/batch_kills.py --ray local --actors 2       of the driver, of a process that makes videos, of all of it

Rows are clips of a second by the mini in segments of 7 frames. While a batch runs its folder is read 50 times a second.
What is finished there has to stay as it is: each segment, and each video by its record. At the end every video must
equal that of a batch that nobody killed, and the table must have every row once. Needs psutil, which accelerate brings.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import soundfile

from eadnet_core.media.video.segments import MANIFEST, file_hash
from eadnet_core.weights.folders import ASSETS

SAMPLE = ASSETS / "sample"
SEGMENT_FRAMES = 7
WORDS = ("delighted", "quietly furious", "auto", "sad")
VICTIMS = ("driver", "worker", "node")
"""With Ray: the process that hands out rows, one that makes them, or everything that the batch has started."""
LOOK_S = 0.02


def make_rows(folder: Path, n_rows: int) -> Path:
    """A manifest of clips of a second, each of another piece of the sample's speech."""
    samples, rate_hz = soundfile.read(SAMPLE / "speech.wav", dtype="float32")
    lines = ["portrait,voice,words,name,seed,segment_frames"]
    for number in range(n_rows):
        first = int(rate_hz * 0.1 * number) % (len(samples) - rate_hz)
        soundfile.write(folder / f"{number}.wav", samples[first : first + rate_hz], rate_hz)
        words = WORDS[number % len(WORDS)]
        lines.append(f"{SAMPLE / 'portrait.png'},{number}.wav,{words},clip{number},{number},{SEGMENT_FRAMES}")
    path = folder / "rows.csv"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@dataclass
class Watched:
    """What was seen finished in a folder: when each file was written, the last time that it was looked at."""

    folder: Path
    videos: dict[str, int] = field(default_factory=dict)
    segments: dict[tuple[str, str], int] = field(default_factory=dict)
    n_again: Counter[str] = field(default_factory=Counter)
    n_lost: Counter[str] = field(default_factory=Counter)

    def look(self) -> int:
        """Compare the folder with what was seen before; returns the number of segments and videos so far."""
        for path in self.folder.glob("*.json"):
            record = read(path)
            if "video_sha256" in record:
                self._seen("videos", self.videos, path.stem, path)
        for path in self.folder.glob(f"*.eadnet/{MANIFEST}"):
            for segment in read(path).get("segments", []):
                if segment["state"] == "finished":
                    self._seen("segments", self.segments, (path.parent.stem, segment["video"]), path.parent)
        return len(self.videos) + len(self.segments)

    def _seen(self, kind: str, known: dict[Any, int], key: Any, path: Path) -> None:
        with contextlib.suppress(FileNotFoundError):  # segments go when their video is whole
            written = (path / key[1] if kind == "segments" else path).stat().st_mtime_ns
            self.n_again[kind] += known.setdefault(key, written) != written
            known[key] = written

    def count_lost(self) -> None:
        """What was finished and is no longer there, after a kill."""
        self.n_lost["videos"] += sum("video_sha256" not in read(self.folder / f"{name}.json") for name in self.videos)
        for name, video in self.segments:
            is_made = "video_sha256" in read(self.folder / f"{name}.json")
            self.n_lost["segments"] += not is_made and not (self.folder / f"{name}.eadnet" / video).exists()

    def in_hand(self) -> int:
        """Segments that are begun and not finished."""
        found = 0
        for folder in self.folder.glob("*.eadnet"):
            named = {s.get("video") for s in read(folder / MANIFEST).get("segments", [])}
            written = [path.name for path in folder.glob("*segment-0*") if path.suffix != ".safetensors"]
            found += any(name not in named for name in written)
        return found


def read(path: Path) -> dict[str, Any]:
    """A file of JSON; empty where there is none, or half of one."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}


def command(rows: Path, output: Path, args: argparse.Namespace) -> list[str]:
    """The batch, with its table."""
    given = [sys.executable, "-m", "eadnet_core", "batch", str(rows), "--output", str(output), "--model", args.model]
    given += ["--table", str(output.with_suffix(".parquet"))]
    return given + (["--ray", args.ray, "--actors", str(args.actors)] if args.ray else [])


def kill(run: subprocess.Popen[bytes], victim: str, rng: random.Random) -> str:
    """Kill what was chosen, or the driver where no process makes videos yet; returns what it was."""
    below = psutil.Process(run.pid).children(recursive=True)
    makers = [one for one in below if "_Maker" in " ".join(_words(one))]
    if victim == "worker" and not makers:
        victim = "driver"
    chosen = [rng.choice(makers)] if victim == "worker" else [psutil.Process(run.pid)]
    for one in chosen + (below if victim == "node" else []):
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    return victim


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def watch_until(watched: Watched, run: subprocess.Popen[bytes], n_more: int, then_s: float) -> bool:
    """Look on until so much more is finished and some seconds have gone by; whether the batch still runs."""
    wanted = watched.look() + n_more
    while run.poll() is None and watched.look() < wanted:
        time.sleep(LOOK_S)
    until = time.monotonic() + then_s
    while run.poll() is None and time.monotonic() < until:
        watched.look()
        time.sleep(LOOK_S)
    return run.poll() is None


def measure(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Kill and go on until all rows are made."""
    rng, rows = random.Random(args.seed), make_rows(folder, args.rows)
    began = time.perf_counter()
    subprocess.run(command(rows, folder / "whole", args), check=True, capture_output=True)
    seconds = time.perf_counter() - began
    watched, kills, most_in_hand, n_runs = Watched(folder / "killed"), Counter[str](), 0, 0
    is_done = False
    while not is_done:
        n_runs += 1
        run = subprocess.Popen(
            command(rows, folder / "killed", args), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        is_killed = False
        while not is_killed:
            n_more = rng.randint(0, 2) if kills.total() < args.kills else 10**9
            # nothing more: somewhere in the start, which takes longer than a segment
            if not watch_until(watched, run, n_more, rng.uniform(0, 0.5 if n_more else 8.0)):
                break
            victim = kill(run, rng.choice(VICTIMS) if args.ray else "driver", rng)
            kills[victim] += 1
            if victim != "worker":
                run.wait()
                is_killed = True
            most_in_hand = max(most_in_hand, watched.in_hand())
            watched.look()
            watched.count_lost()
        is_done = not is_killed and run.returncode == 0
    watched.look()
    return {
        "kills": dict(kills),
        "runs": n_runs,
        "rows": args.rows,
        "segments": len(watched.segments),
        "most_segments_in_hand": most_in_hand,
        "lost": {kind: watched.n_lost[kind] for kind in ("videos", "segments")},
        "made_again": {kind: watched.n_again[kind] for kind in ("videos", "segments")},
        **compared(folder, args.rows),
        "seconds_unbroken": round(seconds, 1),
        "ray": args.ray,
        "actors": args.actors if args.ray else None,
    }


def compared(folder: Path, n_rows: int) -> dict[str, Any]:
    """The videos against those of the unbroken batch, the table, and what was left behind."""
    from pyarrow import parquet

    output = folder / "killed"
    names = [f"clip{number}" for number in range(n_rows)]
    differing = [n for n in names if file_hash(output / f"{n}.mp4") != file_hash(folder / "whole" / f"{n}.mp4")]
    table = parquet.read_table(output.with_suffix(".parquet")).to_pylist()
    is_once = sorted(row["name"] for row in table) == sorted(names)
    has_hashes = all(row["video_sha256"] == file_hash(output / f"{row['name']}.mp4") for row in table)
    wanted = {"batch.json", *(f"{name}{suffix}" for name in names for suffix in (".mp4", ".json"))}
    left = sorted({path.name for path in output.iterdir()} - wanted)
    return {"differing_videos": len(differing), "table_is_right": is_once and has_hashes, "left_behind": left}


def main() -> int:
    """Run, print what was seen, and return 0 if nothing was lost and nothing made twice."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rows", type=int, default=12)
    parser.add_argument("--ray", choices=("auto", "local"))
    parser.add_argument("--actors", type=int, default=1)
    parser.add_argument("--model", default="mini", help="mini, or the folder of your own model (default: mini)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), args)
    print(json.dumps(found))
    is_good = not any(found["lost"].values()) and not any(found["made_again"].values()) and not found["left_behind"]
    return 0 if is_good and not found["differing_videos"] and found["table_is_right"] else 1


if __name__ == "__main__":
    sys.exit(main())
