"""Segments that several processes make of one clip, each in a hidden folder of its own beside the output."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from .lock import check_free
from .segments import LOCK, MANIFEST, SegmentFolder, file_hash, segment_folder


def part_output(output: Path, first: int) -> Path:
    """What stands for the output where a part is made that begins with segment `first`.

    >>> segment_folder(part_output(Path("clips/out.mp4"), 4)).as_posix()
    'clips/.out-00004.eadnet'
    """
    return output.with_name(f".{output.stem}-{first:05d}{output.suffix}")


def drop_stale(part: Path, recipe: dict[str, Any]) -> None:
    """Remove the folder of a part that was made of other inputs."""
    folder = segment_folder(part)
    if folder.exists() and _values(folder).get("recipe") != json.loads(json.dumps(recipe)):
        shutil.rmtree(folder, ignore_errors=True)


def take_in(folder: SegmentFolder) -> None:
    """Move what parts of this clip have finished into its own folder, and remove theirs.

    Raises BadInput where a process still works in one.
    """
    name = re.compile(rf"\.{re.escape(folder.output.stem)}-\d{{5}}\.eadnet")
    for source in sorted(folder.output.parent.iterdir()):
        if not name.fullmatch(source.name):
            continue
        check_free(source / LOCK, folder.output.name)
        values = _values(source)
        is_same = values.get("recipe") == folder.values["recipe"] and len(values["segments"]) == len(folder.segments)
        for number, segment in enumerate(values["segments"] if is_same else []):
            if segment["state"] == "finished" and not folder.is_finished(number) and _is_whole(source, segment):
                folder.adopt(number, segment, source)
        shutil.rmtree(source, ignore_errors=True)


def _is_whole(source: Path, segment: dict[str, Any]) -> bool:
    return all(file_hash(source / segment[kind]) == segment[f"{kind}_sha256"] for kind in ("video", "latents"))


def _values(folder: Path) -> dict[str, Any]:
    """The manifest in a folder; empty where there is none that can be read."""
    try:
        values = json.loads((folder / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}
