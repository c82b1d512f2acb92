"""Pictures with captions as they lie on disk: img2dataset's shards, a folder, or Parquet with the pictures in it.

| what lies there | picture | caption |
|---|---|---|
| shards, `*.tar` | `KEY.jpg`, `.png`, `.webp` | `KEY.txt`, else `caption` of `KEY.json` |
| pictures | any file of `SUFFIXES` | the `.txt` of the same name, else its line in a table of `TABLES` |
| tables, `*.parquet` | bytes in a column of `IMAGE_COLUMNS`, or the path of a file | a column of `CAPTION_COLUMNS` |

A table that only describes a shard of the same name is not read. Nothing is fetched: addresses are of no use here.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..corpus.shards import read_shards
from ..errors import BadInput, MediaError

log = logging.getLogger(__name__)

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
IMAGE_COLUMNS = ("jpg", "jpeg", "png", "webp", "image", "image_bytes", "path", "file", "file_name", "image_path")
CAPTION_COLUMNS = ("caption", "text", "TEXT", "txt")
KEY_COLUMNS = ("key", "id", "url", "URL")
TABLES = ("metadata.jsonl", "captions.jsonl")
FILE_NAMES = ("file_name", "clip", "image", "path")
"""What a line of `TABLES` may call the picture."""
_ROWS = 64


@dataclass(frozen=True)
class Pair:
    """One picture and its caption.

    source  the file that holds it, below the folder that was given
    key     what the source calls it
    image   the file of the picture as it is; empty where it could not be read
    """

    source: str
    key: str
    image: bytes
    caption: str


def read_pairs(source: Path) -> Iterator[Pair]:
    """The pairs of a folder, a shard or a table, always in the same order, one at a time.

    A shard or table that is damaged ends early with a warning and a pair without a picture. Raises BadInput where
    nothing is found.
    """
    if not source.exists():
        raise BadInput(f"'{source}' does not exist. Give a folder of shards, pictures or tables, or one such file.")
    files = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
    root = source.parent if source.is_file() else source
    shards = [path for path in files if path.suffix == ".tar"]
    shard_names = {path.with_suffix("") for path in shards}
    tables = [p for p in files if p.suffix == ".parquet" and p.with_suffix("") not in shard_names]
    pictures = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not (shards or tables or pictures):
        raise BadInput(f"'{source}' holds no shards (.tar), tables (.parquet) or pictures. Give a folder that does.")
    for path in (*shards, *tables):
        name, reader = path.relative_to(root).as_posix(), _in_shard if path.suffix == ".tar" else _in_table
        try:
            yield from reader(path, name)
        except MediaError as error:
            log.warning("%s", error)
            yield Pair(name, "(the rest of this file)", b"", "")
    yield from _in_folder(root, pictures)


def _in_shard(path: Path, name: str) -> Iterator[Pair]:
    for key, members in read_shards([path]):
        image = next((members[s[1:]] for s in SUFFIXES if s[1:] in members), b"")
        caption = members["txt"].decode("utf-8", "replace") if "txt" in members else _caption_in(members)
        yield Pair(name, key, image, caption.strip())


def _caption_in(members: Mapping[str, bytes]) -> str:
    try:
        values = json.loads(members.get("json", b"{}"))
    except (ValueError, RecursionError):
        return ""
    return _first(values if isinstance(values, dict) else {}, CAPTION_COLUMNS, "")


def _in_table(path: Path, name: str) -> Iterator[Pair]:
    import pyarrow
    from pyarrow import parquet

    number = 0
    try:
        for batch in parquet.ParquetFile(path).iter_batches(batch_size=_ROWS):
            for row in batch.to_pylist():
                key = str(_first(row, KEY_COLUMNS, f"row {number}"))
                yield Pair(name, key, _image_in(row, path), str(_first(row, CAPTION_COLUMNS, "")).strip())
                number += 1
    except (OSError, pyarrow.ArrowException) as error:
        raise MediaError(f"Cannot read the table {path}: {error}. Write it again, or leave it out.") from error


def _image_in(row: Mapping[str, Any], path: Path) -> bytes:
    """The file of a row's picture: bytes, a record of them as `datasets` has it, or a path from the table's folder."""
    value = _first(row, IMAGE_COLUMNS, None)
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes):
        return value
    return _file(path.parent / value) if isinstance(value, str) else b""


def _first(row: Mapping[str, Any], columns: tuple[str, ...], default: Any) -> Any:
    """The first value that is there and not empty."""
    return next((row[column] for column in columns if row.get(column)), default)


def _in_folder(root: Path, pictures: list[Path]) -> Iterator[Pair]:
    listed: dict[Path, dict[str, str]] = {}
    for path in pictures:
        words = path.with_suffix(".txt")
        caption = _file(words).decode("utf-8", "replace") if words.is_file() else ""
        for folder in () if caption else (path.parent, root):
            if folder not in listed:
                listed[folder] = _captions(folder)
            caption = caption or listed[folder].get(path.relative_to(folder).as_posix(), "")
        name = path.relative_to(root).as_posix()
        yield Pair(name, name, _file(path), caption.strip())


def _captions(folder: Path) -> dict[str, str]:
    """Caption by picture of the tables of a folder."""
    found: dict[str, str] = {}
    for path in (folder / name for name in TABLES):
        if not path.is_file():
            continue
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
            try:
                row = json.loads(line) if line.strip() else {}
            except (ValueError, RecursionError):
                row = None
            if not isinstance(row, dict):
                log.warning("Line %d of '%s' is no JSON object and is left out", number, path)
                continue
            found[str(_first(row, FILE_NAMES, ""))] = str(_first(row, CAPTION_COLUMNS, ""))
    return found


def _file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError):
        return b""
