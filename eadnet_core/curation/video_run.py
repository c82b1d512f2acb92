"""`eadnet curate video`: a folder or a list of videos in, training shards out, with a manifest and a datasheet.

A folder holds it: `clips-*.tar` (what `eadnet train denoiser --train adapters --data` reads), `manifest.parquet`,
`datasheet.json`, `datasheet.png`, `costs.json`, and `state/` and `clips/`, which a run that was stopped goes on from.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from ..corpus.pool import ordered
from ..corpus.shards import write_shards
from ..errors import BadInput
from ..media.video.files import VIDEO_SUFFIXES
from ..media.video.lock import held_folder
from ..media.video.segments import file_hash, whole
from ..perception.clips import mead_label
from .costs import DRIVER, Costs
from .datasheet import Datasheet, draw_datasheet
from .duplicates import Seen, settled
from .engine import VIDEOS_IN_HAND, on_ray
from .manifest import LOCK, writing_rows
from .video_flow import CLIP_STAGES, Job, Row, clips_of, finished_clip, rows_of
from .video_rules import VideoRules

SHARD = 256
COLUMNS = {
    "video": "string",
    "sha256": "string",
    "first": "int32",
    "n_frames": "int32",
    "reason": "string",
    "said": "string",
    "same_as": "string",
    "width": "int32",
    "height": "int32",
    "fps": "float32",
    "side_px": "float32",
    "missed": "float32",
    "step": "float32",
    "drift": "float32",
    "growth": "float32",
    "mouth": "float32",
    "confidence": "float32",
    "offset": "int32",
    "blur": "float32",
    "hash": "string",
    "emotion": "string",
    "intensity": "float32",
    "n_blinks": "int32",
    "valence": "float32",
    "arousal": "float32",
    "label": "string",
    "level": "int32",
    "shard_key": "string",
}
"""Of `manifest.parquet`: a row for each clip, and for each video without any; what was not measured is null."""


def find_videos(source: Path) -> list[Row]:
    """A row for each video of a folder, or of a list of paths (.txt, a line each, from the list's folder), by name.

    MEAD's folders give `label` and `level`. Raises BadInput where there is none.
    """
    if source.is_dir():
        paths = sorted(p for p in source.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file())
        named = [(path.relative_to(source).as_posix(), path) for path in paths]
    elif source.suffix == ".txt" and source.is_file():
        lines = [line.strip() for line in source.read_text("utf-8").splitlines()]
        named = [(line, source.parent / line) for line in lines if line and not line.startswith("#")]
    elif source.suffix.lower() in VIDEO_SUFFIXES and source.is_file():
        named = [(source.name, source)]
    else:
        raise BadInput(f"'{source}' is no folder, video or list of videos (.txt). Give one of them.")
    if not named:
        raise BadInput(f"'{source}' names no video: none ends in {', '.join(VIDEO_SUFFIXES)}.")
    rows = []
    for name, path in named:
        label, level = mead_label(path)
        rows.append({"video": name, "path": str(path.absolute()), "label": label, "level": level})
    return rows


def curate_videos(
    source: Path,
    output: Path,
    rules: VideoRules | None = None,
    syncnet: Path | None = None,
    n_workers: int = 1,
    ray: str | None = None,
    on_clip: Callable[[Mapping[str, int]], None] | None = None,
) -> Datasheet:
    """Filter videos into `output`; run again to go on.

    syncnet  file of the SyncNet that judges lips; None asks nothing of them
    ray      `ray_session.AUTO` or `ray_session.LOCAL`; None runs in `n_workers` processes of this machine
    on_clip  called with the counts so far, by reason and "kept"
    Raises BadInput for a source without videos or a folder that another run works in, MediaError for a full disk.
    """
    rules, videos = rules or VideoRules(), find_videos(source)
    if syncnet is not None and not syncnet.is_file():
        raise BadInput(f"SyncNet '{syncnet}' is no file. Give syncnet_v2.model, or a sync expert (.safetensors).")
    job = Job(rules, output.absolute(), syncnet, file_hash(syncnet) if syncnet else "")
    sheet, costs = Datasheet({**asdict(rules), "syncnet": job.syncnet_hash or None}, engine_of(n_workers, ray)), Costs()
    with held_folder(output, LOCK):
        rows = _rows(job, videos, n_workers, ray)
        with writing_rows(output / "manifest.parquet", COLUMNS) as add:
            written = write_shards(_kept(job, rows, sheet, costs, add, on_clip), output, SHARD)
        for path in output.glob("clips-*.tar"):
            if path not in written:
                path.unlink()  # of an earlier run with other rules
        with whole(output / "datasheet.json", output / ".datasheet.json.partial") as path:
            path.write_text(json.dumps(sheet.to_dict(), indent=1, ensure_ascii=False) + "\n", "utf-8")
        with whole(output / "costs.json", output / ".costs.json.partial") as path:
            path.write_text(json.dumps(costs.to_dict(), indent=1) + "\n", "utf-8")
        with whole(output / "datasheet.png", output / ".datasheet.partial.png") as path:
            draw_datasheet(sheet).save(path)
    return sheet


def engine_of(n_workers: int, ray: str | None) -> str:
    """What runs the stages, in words."""
    if ray is not None:
        return f"Ray Data ({ray})"
    return "this process" if n_workers == 1 else f"{n_workers} processes"


def _rows(job: Job, videos: list[Row], n_workers: int, ray: str | None) -> Iterator[Row]:
    """The rows of all clips, in the order of the videos."""
    if ray is not None:
        yield from on_ray(ray, videos, partial(clips_of, job), [partial(stage, job) for stage in CLIP_STAGES])
        return
    for rows in ordered(partial(rows_of, job), videos, n_workers, VIDEOS_IN_HAND):
        yield from rows


def _kept(
    job: Job,
    rows: Iterable[Row],
    sheet: Datasheet,
    costs: Costs,
    add: Callable[[Mapping[str, Any]], None],
    on_clip: Callable[[Mapping[str, int]], None] | None,
) -> Iterator[tuple[str, Mapping[str, bytes]]]:
    """Stages 10 and 11: the clips that stay, as members of a shard; every row goes into manifest and datasheet."""
    seen = Seen() if job.rules.is_unique else None
    for row in rows:
        cpu, wall, n_bytes = time.process_time(), time.perf_counter(), 0
        settled(row, seen, f"{row['video']}: {row.get('first')}", sheet.counts["kept"])
        costs.add(row)
        add(row)
        sheet.count(row)
        if on_clip is not None:
            on_clip(sheet.counts)
        if not row["reason"]:
            members = finished_clip(job, row)
            sheet.show(members["reference.png"])
            n_bytes = sum(len(content) for content in members.values())
            yield row["shard_key"], members
        spent = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
        costs.stages[DRIVER].add({**spent, "written_bytes": n_bytes})
