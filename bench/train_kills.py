"""A training killed again and again (SIGKILL), then run to its end: what was lost, or learnt twice; needs fork.

    python bench/train_kills.py                    20 kills of one process
    python bench/train_kills.py --processes 2      two processes that talk by gloo, of which one is killed

A small SyncNet learns from a cache of random numbers: the loop is what is tested, not the net. Every process is a fork
of this one. Each sample is numbered, and each process writes down what it draws. Where one of two is killed the other
must end by itself and say what to do. At the end the weights must equal those of a run that nobody killed, every sample
must have come once, and no kill may cost more than a checkpoint interval.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a fork does not take torch's threads along

import accelerate  # noqa: F401
import numpy as np
import torch
from safetensors.torch import load_file

from eadnet_core.config import SyncNetConfig
from eadnet_core.errors import EADNetError
from eadnet_core.nets.syncnet import SyncNet
from eadnet_core.training.data import Cache, CacheInfo, open_or_create
from eadnet_core.training.loop import Recipe, TrainOptions, fit
from eadnet_core.training.syncnet import SyncBatch, SyncObjective, window_starts, windows_batch

SIZES = SyncNetConfig(widths=(16, 16, 16), embedding=16)
N_STEPS, N_PARTS, BATCH = 300, 2, 4
SAID, WAIT_S = 3, 60.0
"""Exit status of a process that said why it ended, and how long one is waited for."""
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
    except EADNetError as error:
        log.with_name(f"said_{log.name}.{rank}").write_text(str(error))
        code = SAID
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


def has_ended(child: int) -> bool:
    """Whether a process has ended; it can be waited for still."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def ended(child: int, limit_s: float) -> tuple[int | None, float]:
    """(exit status of a process, None where it had to be killed, seconds that it took)."""
    began = time.monotonic()
    while time.monotonic() - began < limit_s:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), time.monotonic() - began
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None, limit_s


@dataclass
class Found:
    """What the kills did."""

    n_kills: int = 0
    most_lost_s: float = 0.0
    kept: list[int] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    """How processes ended of which another was killed: "said", "killed" by hand, or their exit status."""
    slowest_s: float = 0.0
    """The longest time that such a process took to end."""
    said: str = ""


def one_round(
    place: Path, number: int, cache: Cache, args: argparse.Namespace, rng: random.Random, so_far: Found
) -> None:
    """Go on with the training, and kill one of its processes while kills are left."""
    folder, log, port = place / "killed", place / f"drawn_{number}", free_port()
    before = step_of(folder)
    children = [start(r, args.processes, port, folder, cache, args.interval, log) for r in range(args.processes)]
    victim = None
    if so_far.n_kills < args.kills:
        while not read(log) and not any(map(has_ended, children)):
            time.sleep(0.05)
        time.sleep(rng.uniform(0, 2.5 * args.interval))
        victim = rng.choice(children)
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        so_far.n_kills += step_of(folder) < N_STEPS
    for rank, child in enumerate(children):
        if child == victim:
            continue
        status, seconds = ended(child, WAIT_S if victim else 1e9)
        if victim and step_of(folder) < N_STEPS:
            so_far.others["said" if status == SAID else "killed" if status is None else str(status)] += 1
            so_far.slowest_s = max(so_far.slowest_s, seconds)
            if status == SAID:
                so_far.said = log.with_name(f"said_{log.name}.{rank}").read_text()
    seen, after = read(log), step_of(folder)
    if not seen:
        raise SystemExit(f"No process of round {number} began to train.")
    so_far.kept += [n for _, numbers in seen[: (after - before) * N_PARTS] for n in numbers]
    lost = seen[(after - before) * N_PARTS :]
    if lost:
        so_far.most_lost_s = max(so_far.most_lost_s, lost[-1][0] - lost[0][0])
    assert len(so_far.kept) == after * N_PARTS * BATCH, (len(so_far.kept), after)


def main() -> int:
    """Run, kill, compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between checkpoints (default: 1)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rng, so_far, n_rounds = random.Random(args.seed), Found(), 0
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        cache = make_cache(place / "cache")
        whole = start(0, 1, 0, place / "whole", cache, 60.0, place / "drawn_whole")
        assert ended(whole, 1e9)[0] == 0
        while step_of(place / "killed") < N_STEPS:
            one_round(place, n_rounds, cache, args, rng, so_far)
            n_rounds += 1
        weights = [
            load_file(place / name / "net" / "checkpoint" / "weights.safetensors") for name in ("whole", "killed")
        ]
    gap = max(float((weights[0][name] - weights[1][name]).abs().max()) for name in weights[0])
    kept = so_far.kept
    found = {
        "kills": so_far.n_kills,
        "processes": args.processes,
        "steps": N_STEPS,
        "largest_difference_of_weights": gap,
        "samples": len(kept),
        "samples_learnt_twice": len(kept) - len(set(kept)),
        "samples_missed": N_SAMPLES - len(set(kept)),
        "most_seconds_lost": round(so_far.most_lost_s, 2),
        "others_ended": dict(so_far.others),
        "most_seconds_until_others_ended": round(so_far.slowest_s, 2),
        "said": so_far.said,
        "interval_s": args.interval,
    }
    print(json.dumps(found))
    is_good = not found["samples_learnt_twice"] and not found["samples_missed"] and set(so_far.others) <= {"said"}
    return 0 if is_good and gap < 1e-3 else 1


if __name__ == "__main__":
    sys.exit(main())
