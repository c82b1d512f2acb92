"""A training killed again and again (SIGKILL), then run to its end: what was lost, or learnt twice; needs fork.

    python bench/train_kills.py                    20 kills of one process
    python bench/train_kills.py --processes 2      two processes that talk by gloo; one is killed, then the other

A small SyncNet learns from a cache of random numbers: the loop is what is tested, not the net. Every process is a fork
of this one. Each sample is numbered, and each process writes down what it draws. At the end the weights must equal
those of a run that nobody killed, every sample must have come once, and no kill may cost more than a checkpoint
interval.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a fork does not take torch's threads along

import accelerate  # noqa: F401
import numpy as np
import torch
from safetensors.torch import load_file

from eadnet_core.config import SyncNetConfig
from eadnet_core.nets.syncnet import SyncNet
from eadnet_core.training.data import Cache, CacheInfo, open_or_create
from eadnet_core.training.loop import Recipe, TrainOptions, fit
from eadnet_core.training.syncnet import SyncBatch, SyncObjective, window_starts, windows_batch

SIZES = SyncNetConfig(widths=(16, 16, 16), embedding=16)
N_STEPS, N_PARTS, BATCH = 300, 2, 4
N_SAMPLES = N_STEPS * N_PARTS * BATCH
"""So many that each comes once in the whole run."""


def make_cache(folder: Path) -> Cache:
    """Clips of random numbers."""
    cache = open_or_create(folder, CacheInfo(16, 16, 128, 0, "train", 4, has_pictures=False))
    rng = np.random.default_rng(0)
    for name in ("mel", "controls", "energy"):
        cache.array(name, "r+")[:] = rng.uniform(0.2, 1, cache.array(name).shape)
    cache.flush()
    return cache


def train(folder: Path, cache: Cache, interval_s: float, drawn: Path | None) -> None:
    """Train to the end, or go on."""
    torch.manual_seed(0)
    net = SyncNet(SIZES)
    starts = window_starts(SIZES, cache.info.n_frames)

    def pick(rng: np.random.Generator, numbers: Sequence[int]) -> SyncBatch:
        if drawn is not None:
            with drawn.open("a") as file:
                file.write(json.dumps([time.time(), list(numbers)]) + "\n")
        of = np.array(numbers)
        return windows_batch(cache, SIZES, of % cache.info.n_clips, starts[of % len(starts)])

    recipe = Recipe("net", net, SyncObjective(net), None, BATCH, 1e-3, pick=pick, n_samples=N_SAMPLES)
    options = TrainOptions(
        max_steps=N_STEPS, parts=N_PARTS, device="cpu", progress=False, run_folder=folder, log_every=50,
        save_every_minutes=interval_s / 60,
    )  # fmt: skip
    fit(recipe, options)


def start(rank: int, n: int, port: int, folder: Path, cache: Cache, interval_s: float, log: Path) -> int:
    """A fork that trains as process `rank` of `n`; returns its id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        if n > 1:
            known = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": n, "LOCAL_WORLD_SIZE": n}
            known |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "ACCELERATE_USE_CPU": "true"}
            os.environ.update({name: str(value) for name, value in known.items()})
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        train(folder, cache, interval_s, log.with_name(f"{log.name}.{rank}"))
        code = 0
    finally:
        os._exit(code)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def step_of(folder: Path) -> int:
    """Of the checkpoint."""
    for name in ("checkpoint", "checkpoint.old"):
        path = folder / "net" / name / "progress.json"
        if path.exists():
            return json.loads(path.read_text())["step"]
    return 0


def read(log: Path) -> list[tuple[float, list[int]]]:
    """What was drawn, and when; the last line of a process that was killed may be half."""
    found = []
    for path in log.parent.glob(f"{log.name}.*"):
        for line in path.read_text().splitlines():
            try:
                found.append(tuple(json.loads(line)))
            except ValueError:
                continue
    return sorted(found)


def main() -> int:
    """Run, kill, compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between checkpoints (default: 1)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rng, n_kills, most_lost_s, kept = random.Random(args.seed), 0, 0.0, list[int]()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        cache = make_cache(place / "cache")
        whole = [start(0, 1, 0, place / "whole", cache, 60.0, place / "drawn_whole")]
        assert all(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0 for child in whole)
        folder, rounds = place / "killed", 0
        while step_of(folder) < N_STEPS:
            before, log, port = step_of(folder), place / f"drawn_{rounds}", free_port()
            rounds += 1
            children = [
                start(r, args.processes, port, folder, cache, args.interval, log) for r in range(args.processes)
            ]
            if n_kills < args.kills:
                while not read(log) and os.waitpid(children[0], os.WNOHANG)[0] == 0:
                    time.sleep(0.05)
                time.sleep(rng.uniform(0, 2.5 * args.interval))
                first = rng.randrange(len(children))
                for number, child in enumerate([children[first], *children[:first], *children[first + 1 :]]):
                    if number:
                        time.sleep(0.2)
                    try:
                        os.kill(child, signal.SIGKILL)
                    except ProcessLookupError:
                        continue
                n_kills += step_of(folder) < N_STEPS
            for child in children:
                try:
                    os.waitpid(child, 0)
                except ChildProcessError:
                    continue
            seen, after = read(log), step_of(folder)
            per_step = N_PARTS * BATCH
            kept += [n for _, numbers in seen[: (after - before) * N_PARTS] for n in numbers]
            lost = seen[(after - before) * N_PARTS :]
            if lost:
                most_lost_s = max(most_lost_s, lost[-1][0] - lost[0][0])
            assert len(kept) == after * per_step, (len(kept), after)
        weights = [
            load_file(place / name / "net" / "checkpoint" / "weights.safetensors") for name in ("whole", "killed")
        ]
        gap = max(float((weights[0][name] - weights[1][name]).abs().max()) for name in weights[0])
        found = {
            "kills": n_kills,
            "processes": args.processes,
            "steps": N_STEPS,
            "largest_difference_of_weights": gap,
            "samples": len(kept),
            "samples_learnt_twice": len(kept) - len(set(kept)),
            "samples_missed": N_SAMPLES - len(set(kept)),
            "most_seconds_lost": round(most_lost_s, 2),
            "interval_s": args.interval,
        }
    print(json.dumps(found))
    return 0 if not found["samples_learnt_twice"] and not found["samples_missed"] and gap < 1e-3 else 1


if __name__ == "__main__":
    sys.exit(main())
