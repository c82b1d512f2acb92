"""Weights as TensorFlow.js stores them: a JSON manifest beside files of raw, often quantised, numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import CheckpointError

Group = Mapping[str, Any]
"""One entry of a manifest: "paths", files beside it whose bytes follow one another, and "weights" in their order."""


def read_json(path: Path) -> Any:
    """The JSON of a manifest or model; raises CheckpointError where it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"'{path}' cannot be read ({error}). Get it again: eadnet download judges.") from error


def read_weights(folder: Path, groups: Sequence[Group]) -> dict[str, Tensor]:
    """Every weight of a manifest, by its own name and in its own layout (filters [h, w, in, out]).

    uint8 and uint16 become q * scale + min in float32, float16 becomes float32, int32 stays. Raises CheckpointError for
    a file that is missing or too short, and for a type that is not known.
    """
    weights: dict[str, Tensor] = {}
    for group in groups:
        content = b"".join(_read(folder / str(name)) for name in group["paths"])
        place = 0
        for entry in group["weights"]:
            kind = entry.get("quantization", {}).get("dtype", entry["dtype"])
            if kind not in ("uint8", "uint16", "float16", "float32", "int32"):
                raise CheckpointError(f"'{entry['name']}' in '{folder}' is of the type '{kind}', which is not known.")
            count = int(np.prod(entry["shape"], dtype=np.int64))
            size = count * np.dtype(kind).itemsize
            if place + size > len(content):
                raise CheckpointError(
                    f"'{folder / str(group['paths'][0])}' ends before '{entry['name']}': {len(content)} bytes, and "
                    f"{place + size} are needed. Get it again: eadnet download judges."
                )
            stored = np.frombuffer(content, np.dtype(kind).newbyteorder("<"), count, place).reshape(entry["shape"])
            weights[entry["name"]] = _restored(stored, entry.get("quantization"))
            place += size
    return weights


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"'{path}' cannot be read ({error}). Get it again: eadnet download judges.") from error


def _restored(stored: np.ndarray, quantization: Mapping[str, Any] | None) -> Tensor:
    if stored.dtype.kind == "i":
        return torch.from_numpy(stored.astype(np.int64))
    values = stored.astype(np.float32)
    if quantization and "scale" in quantization:
        values = values * np.float32(quantization["scale"]) + np.float32(quantization["min"])
    return torch.from_numpy(values)
