"""Peak memory of `eadnet generate` by length of the clip, and what the forecast said of each run beside what happened.

Each row is a fresh process with everything it starts, on the sample portrait and the sample speech repeated.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from eadnet_core.evaluation.command_cost import measure_command
from eadnet_core.weights.folders import ASSETS

COLUMNS = "{:>8s} {:>9s} {:>12s} {:>12s} {:>9s} {:>12s} {:>9s} {:>12s}"
FORECAST = re.compile(r"about ([0-9.]+) (s|min), ([0-9.]+) GB of memory.*?, ([0-9.]+) MB on disk")


def main() -> None:
    """Print one row for each length, and the memory of the longest over that of the shortest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lengths", type=float, nargs="+", default=[10.0, 60.0], metavar="S", help="(default: 10 60)")
    parser.add_argument("--model", default="mini", help="mini, or the folder of your own model (default: mini)")
    parser.add_argument("--steps", default="2", metavar="N", help="(default: 2)")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: torch's choice)")
    parser.add_argument("--json", type=Path, help="write the figures here")
    args = parser.parse_args()
    print(
        COLUMNS.format("clip s", "peak GB", "forecast GB", "seconds", "forecast", "MB on disk", "forecast", "s per s")
    )
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for length_s in args.lengths:
            rows.append(measure(Path(folder), length_s, args))
            row = rows[-1]
            values = [f"{row['length_s']:.0f}", f"{row['peak_gb']:.3f}", f"{row['forecast_gb']:.2f}"]
            values += [f"{row['seconds']:.1f}", f"{row['forecast_seconds']:.1f}", f"{row['mb']:.2f}"]
            print(COLUMNS.format(*values, f"{row['forecast_mb']:.1f}", f"{row['seconds_per_second']:.2f}"), flush=True)
    print(
        f"peak memory, {args.lengths[-1]:g} s / {args.lengths[0]:g} s: {rows[-1]['peak_gb'] / rows[0]['peak_gb']:.3f}"
    )
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def measure(folder: Path, length_s: float, args: argparse.Namespace) -> dict[str, float]:
    """What one run took, and what it had said before; seconds are those of the stages that a forecast covers."""
    samples, rate_hz = soundfile.read(ASSETS / "sample" / "speech.wav", dtype="float32")
    speech, report, output, said = (folder / name for name in ("speech.wav", "report.json", "video.mp4", "said.txt"))
    n_samples = round(length_s * rate_hz)
    soundfile.write(speech, np.resize(samples, n_samples), rate_hz)
    command = [sys.executable, "-m", "eadnet_core", "generate", "--overwrite", "--steps", args.steps]
    command += ["--portrait", str(ASSETS / "sample" / "portrait.png"), "--audio", str(speech), "--emotion", "delighted"]
    command += ["--output", str(output), "--json", str(report), "--model", args.model, "--device", "cpu"]
    cost = measure_command(command, args.threads, said)
    values = json.loads(report.read_text(encoding="utf-8"))
    covered = ("encode", "sample", "decode", "paste", "write", "join")
    found = FORECAST.search(said.read_text(encoding="utf-8"))
    if found is None:
        raise SystemExit(f"no forecast in what was said: {said.read_text(encoding='utf-8')}")
    return {
        "length_s": length_s,
        "peak_gb": cost.peak_memory_gb,
        "forecast_gb": float(found[3]),
        "seconds": sum(values["seconds"][name] for name in covered),
        "forecast_seconds": float(found[1]) * (60 if found[2] == "min" else 1),
        "mb": output.stat().st_size / 1e6,
        "forecast_mb": float(found[4]),
        "seconds_per_second": values["seconds_per_second"],
    }


if __name__ == "__main__":
    main()
