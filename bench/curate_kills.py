"""`eadnet curate video` killed again and again, as by a power cut, then run to its end: what was lost, or done twice.

    python bench/curate_kills.py                  20 kills, in this process
    python bench/curate_kills.py --kills 5 --ray local

The clips are the sample's, mirrored, shifted and cut off. A run is killed (signal 9, with all its processes) up to 0.3
s after it has written one to four records more. Then the records on disk must be whole. At the end shards and manifest
must equal those of a run that nobody killed, and no record that was on the disk may have been written again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from eadnet_core.media.video.files import read_video, write_video

SAMPLE = Path(__file__).parents[1] / "eadnet_core" / "assets" / "sample" / "clip.mp4"
N_VIDEOS = 8


def make_videos(folder: Path) -> None:
    """Videos of the sample clip, each another way, and one that is cut off."""
    folder.mkdir()
    video = read_video(SAMPLE)
    frames, sound = np.stack(list(video)), video.audio()
    for number in range(N_VIDEOS):
        shown = frames[:, :, ::-1] if number % 2 else frames
        write_video(folder / f"{number}.mp4", list(np.roll(shown, 3 * number, 2)), audio=sound)
    (folder / "cut_off.mp4").write_bytes(SAMPLE.read_bytes()[:2000])


def command(source: Path, output: Path, ray: str | None) -> list[str]:
    """Clips of 1 to 2 seconds at 96 pixels."""
    given = ["curate", "video", str(source), "--output", str(output), "--size", "96", "--no-cuts"]
    given += ["--least-seconds", "1", "--most-seconds", "2", *(["--ray", ray] if ray else [])]
    return [sys.executable, "-m", "eadnet_core", *given]


def records(folder: Path) -> dict[str, int]:
    """When each record was written; raises where one is not whole."""
    found = {}
    for path in folder.rglob("*.json"):
        json.loads(path.read_text("utf-8"))
        found[path.name] = path.stat().st_mtime_ns
    return found


def results(folder: Path) -> dict[str, bytes]:
    """Shards and manifest."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".tar", ".parquet")}


def main() -> None:
    """Run, kill, compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ray", choices=("auto", "local"))
    args = parser.parse_args()
    rng, n_before_end, n_again = random.Random(args.seed), 0, 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_videos(folder / "videos")
        began = time.perf_counter()
        subprocess.run(command(folder / "videos", folder / "whole", None), check=True, capture_output=True)
        seconds = time.perf_counter() - began
        output = folder / "killed"
        for _ in range(args.kills):
            before = records(output / "state")
            run = subprocess.Popen(
                command(folder / "videos", output, args.ray),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            wanted = len(before) + rng.randint(1, 4)
            while run.poll() is None and len(list((output / "state").rglob("*.json"))) < wanted:
                time.sleep(0.05)
            try:
                run.wait(rng.uniform(0, 0.3))
            except subprocess.TimeoutExpired:
                n_before_end += 1
                os.killpg(run.pid, signal.SIGKILL)
                run.wait()
            after = records(output / "state")
            n_again += sum(after.get(name) != stamp for name, stamp in before.items())
        before = records(output / "state")
        subprocess.run(command(folder / "videos", output, args.ray), check=True, capture_output=True)
        after = records(output / "state")
        n_again += sum(after.get(name) != stamp for name, stamp in before.items())
        is_same = results(output) == results(folder / "whole")
        same_records = after.keys() == records(folder / "whole" / "state").keys()
    found = {"kills": n_before_end, "records": len(after), "written_again": n_again, "same_records": same_records}
    print(json.dumps({**found, "same_results": is_same, "seconds_unbroken": round(seconds, 1), "ray": args.ray}))


if __name__ == "__main__":
    main()
