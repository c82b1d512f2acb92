"""What a command costs: wall time and peak memory of a fresh process with everything it starts."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import MediaError
from ..machine import peak_memory_bytes

_POLL_S = 0.02


@dataclass(frozen=True)
class Cost:
    """`peak_memory_gb` (10^9 bytes) is the greatest sum over the processes alive at one time, each with its own peak so
    far, so an upper bound; nan where the system does not tell (Windows)."""

    seconds: float
    peak_memory_gb: float


def measure_command(command: Sequence[str], n_threads: int | None = None, said: Path | None = None) -> Cost:
    """Run a command to its end; what it says goes to the file `said`.

    Raises MediaError with its last words if it fails.
    """
    environment = dict(os.environ)
    if n_threads is not None:
        environment["OMP_NUM_THREADS"] = environment["MKL_NUM_THREADS"] = str(n_threads)
    began = time.perf_counter()
    with open(said or os.devnull, "w", encoding="utf-8") as output:
        process = subprocess.Popen(
            list(command), stdout=output, stderr=subprocess.PIPE, env=environment, text=True, errors="replace"
        )
    peaks: list[float] = []
    try:
        complaint = _watch(process, peaks)
    finally:
        process.kill()
    seconds = time.perf_counter() - began
    if process.returncode != 0:
        last = complaint.strip().splitlines()[-1:] or ["it said nothing"]
        raise MediaError(f"'{' '.join(command)}' ended with status {process.returncode}: {last[0]}")
    return Cost(seconds, max(peaks) if any(peaks) else _children_peak_gb())


def _watch(process: subprocess.Popen[str], peaks: list[float]) -> str:
    """Wait for the end and return the error output; meanwhile note what its processes take together, in GB."""
    before: set[int] = set()
    while True:
        try:
            return process.communicate(timeout=_POLL_S)[1]
        except subprocess.TimeoutExpired:
            alive = _tree(process.pid)
            # a process that has just been started may still be a twin of its parent, with the parent's memory
            counted = [pid for pid in alive if pid in before or pid == process.pid]
            peaks.append(sum(peak_memory_bytes(pid) for pid in counted) / 1e9)
            before = set(alive)


def _tree(pid: int) -> list[int]:
    """A process and everything below it, where /proc tells."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:
                continue
    return found


def _children_peak_gb() -> float:
    """Greatest resident memory of any ended child of this process: what systems without /proc can say."""
    try:
        import resource
    except ImportError:
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9
