"""Several videos made into one without decoding them: what a clip that was written in segments ends with."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..sound.audio import Audio
from .backends import join_files
from .files import check_writable, publish, written
from .tags import synthetic_tags


def join_videos(
    parts: Sequence[Path],
    path: str | os.PathLike[str],
    audio: Audio | None = None,
    settings: dict[str, Any] | None = None,
    overwrite: bool = False,
    duration_s: Fraction | None = None,
) -> Path:
    """Join files that one VideoWriter after the other made of one size and rate; every frame stays as it is encoded.

    parts       in order, all in one folder, which is also worked in; their names hold no quotes
    duration_s  cuts a sound that goes on after the last frame; by default all of it is kept
    The file appears under its name when it is whole. Raises MediaError where it cannot be written.
    """
    path = check_writable(path, overwrite)
    with tempfile.TemporaryDirectory(dir=parts[0].parent, prefix=".join-") as folder, written(path, "its segments"):
        joined = Path(folder) / f"joined{path.suffix.lower()}"
        join_files(parts, joined, audio, synthetic_tags(settings or {}), duration_s)
        publish(joined, path, overwrite)
    return path
