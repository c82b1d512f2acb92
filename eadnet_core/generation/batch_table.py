"""What a batch made as one table in Parquet: a row for each video, with its record."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ..config import FPS
from ..errors import BadInput
from ..media.video.segments import whole
from ..paths import write_failure
from .batch import BatchReport, read_record
from .rows import Row

COLUMNS = {
    "row": "int32",
    "name": "string",
    "status": "string",
    "priority": "int32",
    "portrait": "string",
    "voice": "string",
    "words": "string",
    "video_s": "float64",
    "seconds": "float64",
    "seconds_per_minute": "float64",
    "error": "string",
    "key": "string",
    "video_sha256": "string",
    "report": "string",
}
"""Arrow's type by column. `seconds` is the work of this run; `report` is JSON, of whichever run made it."""


def check_table(path: Path) -> None:
    """Refuse a table that could not be written, before any work. Raises BadInput."""
    if path.suffix.lower() != ".parquet":
        raise BadInput(f"'{path}' must end in .parquet.")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise BadInput(f"'{path}' cannot be written: its folder does not exist, or it is a folder itself.")
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise BadInput("--table needs pyarrow: pip install 'eadnet[cluster]'.") from error


def write_table(path: Path, rows: Sequence[Row], report: BatchReport, folder: Path) -> None:
    """Write the outcomes of all rows, in their order, with the records in a batch's folder. Raises MediaError."""
    import pyarrow
    from pyarrow import parquet

    table = []
    for row, outcome in zip(rows, report.outcomes, strict=True):
        record = read_record(folder, row)
        made = record.get("report") or {}
        video_s = (outcome.n_frames or made.get("n_frames", 0)) / FPS
        values = {
            "row": row.number,
            "name": row.name,
            "status": outcome.status,
            "priority": row.priority,
            "portrait": str(row.portrait),
            "voice": str(row.voice),
            "words": row.words,
            "video_s": video_s,
            "seconds": outcome.seconds,
            "seconds_per_minute": 60 * outcome.seconds / video_s if video_s and outcome.seconds else None,
            "error": outcome.error,
            "key": record.get("key"),
            "video_sha256": record.get("video_sha256"),
            "report": json.dumps(made, ensure_ascii=False) if made else None,
        }
        table.append(values)
    schema = pyarrow.schema([(name, pyarrow.type_for_alias(kind)) for name, kind in COLUMNS.items()])
    try:
        with whole(path, path.with_name(f".{path.name}.partial")) as partial:
            parquet.write_table(pyarrow.Table.from_pylist(table, schema), partial)
    except OSError as error:
        raise write_failure(error, path, "The videos are kept; then run again.") from error
