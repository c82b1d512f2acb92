"""What this machine has left, and what a process takes of it, where the system tells."""

from __future__ import annotations

import os
from pathlib import Path


def peak_memory_bytes(pid: int | None = None) -> int:
    """Greatest resident memory of a process so far, by default of this one; 0 where /proc does not tell."""
    return _status("self" if pid is None else str(pid), "VmHWM")


def memory_bytes() -> int:
    """Resident memory of this process now; 0 where /proc does not tell."""
    return _status("self", "VmRSS")


def free_memory_bytes() -> int | None:
    """Memory that programs can still have; None where the system does not tell."""
    found = _field(Path("/proc/meminfo"), "MemAvailable")
    if found:
        return found
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def has_matrix_units() -> bool:
    """Whether the CPU multiplies bf16 matrices in units of their own (AMX), several times as fast as float32."""
    return bool(_capabilities().get("amx_bf16", False))


def has_quick_bf16() -> bool:
    """Whether the CPU multiplies bf16 faster than float32: in units of their own (AMX), or in vectors (AVX-512)."""
    found = _capabilities()
    return bool(found.get("amx_bf16", False) or found.get("avx512_bf16", False))


def _capabilities() -> dict[str, object]:
    import torch

    found: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return found


def _status(process: str, name: str) -> int:
    return _field(Path(f"/proc/{process}/status"), name)


def _field(path: Path, name: str) -> int:
    """A line such as "VmHWM:  1234 kB" in bytes; 0 where there is none."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    line = next((line for line in lines if line.startswith(f"{name}:")), None)
    return int(line.split()[1]) * 1024 if line else 0
