"""Figures of evaluated portraits by emotion and over all, and their table for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .face_geometry import REGIONS
from .judging import NETS

Row = Mapping[str, Any]


def _inner(*keys: str) -> Callable[[Row], float | None]:
    def read(row: Row) -> float | None:
        value: Any = row
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return None if value is None else float(value)

    return read


FIGURES: dict[str, tuple[str, Callable[[Row], float | None]]] = {
    **{f"hit_{net}": (f"{net} reads it", _inner(net, "hit_clip")) for net in NETS},
    **{f"hit_frames_{net}": (f"{net}, frames", _inner(net, "hit_frames")) for net in NETS},
    **{f"shift_{net}": (f"{net}, shift", _inner(net, "shift_asked")) for net in NETS},
    **{f"as_portrait_{net}": (f"{net}, as portrait", _inner(net, "says_as_portrait")) for net in NETS},
    **{f"identity_{net}": (f"{net}, identity", _inner(net, "identity")) for net in NETS},
    "lip_amplitude": ("lip amplitude", _inner("lips", "amplitude")),
    "lip_speed": ("lip speed", _inner("lips", "speed")),
    "lip_height_amplitude": ("outer lips", _inner("lips_outer", "amplitude")),
    "lip_correlation": ("lips, loudness", _inner("lips", "corr")),
    **{f"sharp_{region}": (f"sharp {region}", _inner("sharp_ratio", region)) for region in REGIONS},
    "turn_range": ("head turn", _inner("head", "turn_range")),
    "jitter": ("jitter", _inner("head", "jitter")),
    "background_shift": ("background shift", _inner("background_shift")),
    "face_found": ("face found", _inner("face_found")),
}
"""By key: its title in the table, and where it stands in the figures of a clip."""


def summarise(rows: Sequence[Row], emotions: Sequence[str]) -> dict[str, Any]:
    """Means by emotion, over all clips and over those that are not neutral; a figure no clip has is None."""
    groups = {label: [row for row in rows if row["emotion"] == label] for label in emotions}
    felt = [row for row in rows if row["emotion"] != "neutral"]
    return {
        "by_emotion": {label: _means(group) for label, group in groups.items() if group},
        "all": _means(rows),
        "without_neutral": _means(felt) if felt else None,
    }


def _means(rows: Sequence[Row]) -> dict[str, Any]:
    means: dict[str, Any] = {"clips": len(rows)}
    for key, (_, read) in FIGURES.items():
        values = [value for row in rows if (value := read(row)) is not None]
        means[key] = float(np.mean(values)) if values else None
    return means


def format_portraits(results: Mapping[str, Any]) -> str:
    """The table: a line for every figure that was measured; columns are emotions, all, and all but neutral."""
    columns = {**results["by_emotion"], "all": results["all"], "felt": results["without_neutral"]}
    columns = {name: means for name, means in columns.items() if means}
    lines = [f"{'':20s}" + "".join(f"{name:>11s}" for name in columns)]
    lines.append(f"{'clips':20s}" + "".join(f"{means['clips']:11d}" for means in columns.values()))
    for key, (title, _) in FIGURES.items():
        values = [means[key] for means in columns.values()]
        if any(value is not None for value in values):
            lines.append(f"{title:20s}" + "".join(f"{'-' if v is None else f'{v:.3f}':>11s}" for v in values))
    lines.append("felt: all but neutral. Lips in eye distances; sharpness and identity against the portrait.")
    lines += [f"left out: {name}: {reason}" for name, reason in results["skipped"].items()]
    return "\n".join(lines)
