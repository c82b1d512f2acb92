"""What both sides of bench/ablation.py do alike: where runs lie, what they have in common, what their logs say."""

from __future__ import annotations

import csv
import json
import statistics
import sys
import time
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from torch import nn

from eadnet_core.config import to_dict
from eadnet_core.errors import BadInput
from eadnet_core.metrics.report import json_values
from eadnet_core.training.loop import TrainOptions


def run_folder(side: Path, trained: str, seed: int) -> Path:
    """Where one training of a side lies."""
    return side / trained / f"seed{seed}"


def train_options(folder: Path, steps: int, seed: int, threads: int, batch: int | None = None) -> TrainOptions:
    """A training of exactly so many steps on the CPU, scored at its end."""
    return TrainOptions(
        max_steps=steps,
        batch=batch,
        seed=seed,
        device="cpu",
        num_threads=threads,
        run_folder=folder,
        log_every=min(10, steps),
        evaluate_every=steps,
        sheet_every=steps,
        alarm_every=steps,
    )


def settle(side: Path, asked: dict[str, Any]) -> None:
    """Keep what the runs of a side have in common. Raises BadInput where its folder holds runs of another kind."""
    asked = json.loads(json.dumps(asked))
    path = side / "settings.json"
    if path.exists():
        kept = json.loads(path.read_text())
        differing = sorted(name for name in asked if kept.get(name) != asked[name])
        if differing:
            raise BadInput(f"'{side}' holds runs with other {', '.join(differing)}: give another --output.")
    write_json(path, asked)


def results(side: Path, row: str, trained: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(seed, figures) of every finished run of a row."""
    for path in sorted((side / trained).glob(f"seed*/scores_{row}.json")):
        training = json.loads((path.parent / "training.json").read_text())
        yield int(path.parent.name.removeprefix("seed")), json.loads(path.read_text()) | training


def fingerprint(module: nn.Module) -> str:
    """Eight hex digits that differ for other weights."""
    total = 0
    for value in module.state_dict().values():
        total = zlib.crc32(value.detach().cpu().contiguous().numpy().tobytes(), total)
    return f"{total:08x}"


def step_seconds(log: Path) -> float | None:
    """Median wall time of a training step over the log's intervals, so that a disturbed one does not count."""
    marks = [(int(row["step"]), float(row["seconds"])) for row in read_log(log) if row["name"] == "loss"]
    pairs = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairwise(marks)]
    return statistics.median(pairs) if pairs else None


def loss_shares(log: Path, weights: Any) -> dict[str, float]:
    """Size of every weighted loss in the last quarter of a training, relative to that of all together."""
    rows = read_log(log)
    late = [row for row in rows if int(row["step"]) > 0.75 * int(rows[-1]["step"])]
    sizes = {
        name: abs(weight) * statistics.fmean(abs(float(row["value"])) for row in late if row["name"] == name)
        for name, weight in to_dict(weights).items()
        if any(row["name"] == name for row in late)
    }
    return {name: size / sum(sizes.values()) for name, size in sizes.items()}


def share_lines(full: dict[int, dict[str, Any]]) -> list[str]:
    """What each loss weighs in the full model's training: one that hardly weighs can hardly be missed."""
    shares = [figures["loss_shares"] for figures in full.values()]
    if not shares:
        return []
    means = {name: statistics.fmean(share[name] for share in shares) for name in shares[0]}
    listed = ", ".join(f"{name} {100 * mean:.2g} %" for name, mean in sorted(means.items(), key=lambda item: -item[1]))
    return [f"Share of each loss in the last quarter of the full model's training: {listed}.", ""]


def read_log(log: Path) -> list[dict[str, str]]:
    """Rows of a training's log.csv."""
    with log.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_json(path: Path, values: Any) -> None:
    """Write JSON; the file appears under its name only when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(json_values(values), indent=2) + "\n", encoding="utf-8")
    partial.replace(path)


def said(text: str) -> None:
    """Tell where the runs stand."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
