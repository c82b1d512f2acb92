"""What a command costs with all processes that it starts, Ray's too: seconds of processors, memory, time on the clock.

    python bench/whole_cost.py -- eadnet curate video talks/ --output clips --workers 2

Its processes are looked at once a second. Seconds are the larger of what was seen and of what the system says of those
that were waited for. Memory is the most that was seen at one time: resident memory, in which what processes share
counts in each, and proportional memory, in which it counts once. Needs Linux, and psutil, which accelerate brings.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import psutil

LOOK_S = 1.0
_MIB = 2**20


def proportional_bytes(pid: int) -> int:
    """Memory of a process, what it shares divided by those that share it; 0 where it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def look(processes: list[psutil.Process], cpu_s: dict[tuple[int, float], float]) -> tuple[int, int]:
    """Note the seconds of each process so far; returns the bytes of all, resident and proportional."""
    resident = shared = 0
    for one in processes:
        with contextlib.suppress(psutil.Error):
            spent = one.cpu_times()
            cpu_s[one.pid, one.create_time()] = spent.user + spent.system
            resident += one.memory_info().rss
            shared += proportional_bytes(one.pid)
    return resident, shared


def measure(command: list[str]) -> dict[str, float]:
    """Run a command to its end."""
    cpu_s: dict[tuple[int, float], float] = {}
    most = [0, 0]
    began = time.perf_counter()
    run = subprocess.Popen(command)
    known: dict[int, psutil.Process] = {run.pid: psutil.Process(run.pid)}
    while run.poll() is None:
        for one in psutil.process_iter(["ppid"]):  # by their ids: parents come first
            if one.info["ppid"] in known:
                known.setdefault(one.pid, one)
        known = {pid: one for pid, one in known.items() if one.is_running()}  # also where its parent has ended
        most = [max(*pair) for pair in zip(most, look(list(known.values()), cpu_s), strict=True)]
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(LOOK_S)
    waited = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "status": run.returncode,
        "cpu_s": round(max(sum(cpu_s.values()), waited.ru_utime + waited.ru_stime), 1),
        "wall_s": round(time.perf_counter() - began, 1),
        "processes": len(cpu_s),
        "resident_mib": round(most[0] / _MIB),
        "proportional_mib": round(most[1] / _MIB),
    }


def main() -> int:
    """Run, print, and end as the command does."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("command", nargs=argparse.REMAINDER, help="after --")
    command = [part for part in parser.parse_args().command if part != "--"]
    if not command:
        parser.error("give a command after --")
    found = measure(command)
    print(json.dumps(found), file=sys.stderr)
    return int(found["status"])


if __name__ == "__main__":
    sys.exit(main())
