"""The manifest of a curation: a table in Parquet with a row for all that came in, and why it did not come out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..media.video.segments import whole
from ..paths import write_failure

LOCK = ".curate.lock"
"""In the folder of a curation, while a run works in it."""
_ROWS = 4096
"""In memory at a time, and in each group of the file."""


@contextlib.contextmanager
def writing_rows(path: Path, columns: Mapping[str, str]) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A function that adds a row to a table, which takes the place of `path` when the block ends well.

    columns  Arrow's type by column, such as "string", "int32", "float32" or "bool", or "list" for texts; a value that a
             row lacks is null
    Raises MediaError where the disk is full.
    """
    import pyarrow
    from pyarrow import parquet

    kinds = {"list": pyarrow.list_(pyarrow.string())}
    schema = pyarrow.schema([(n, kinds[k] if k in kinds else pyarrow.type_for_alias(k)) for n, k in columns.items()])
    rows: list[dict[str, Any]] = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            whole(path, path.with_name(f".{path.name}.partial")) as partial,
            parquet.ParquetWriter(partial, schema) as table,
        ):

            def add(row: Mapping[str, Any]) -> None:
                rows.append({name: row.get(name) for name in columns})
                if len(rows) == _ROWS:
                    table.write_table(pyarrow.Table.from_pylist(rows, schema))
                    rows.clear()

            yield add
            table.write_table(pyarrow.Table.from_pylist(rows, schema))
    except OSError as error:
        raise write_failure(error, path) from error


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a manifest, in order."""
    from pyarrow import parquet

    return list(parquet.read_table(path).to_pylist())
