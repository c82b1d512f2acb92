"""The manifest of a batch: a table in CSV or JSON lines, of which every row asks for one video."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..emotion.text_files import read_text
from ..errors import BadInput
from ..request import OPTIONS, GenerateOptions
from .table import Columns, Find, each_row, file_of, filled, name_of, read_cells, text_of, value_of

FILES, WORDS, NAME, PRIORITY = ("portrait", "voice"), "words", "name", "priority"
OF_VIDEOS = ("mask", "on_missing", "length")
"""Options that say nothing of a portrait."""
OPTION_COLUMNS = tuple(name for name in OPTIONS if name not in OF_VIDEOS)
COLUMNS = Columns((*FILES, WORDS, NAME, PRIORITY), FILES, OPTION_COLUMNS)
DEFAULT_WORDS = "auto"
"""The emotion of the voice itself."""
RESERVED = "batch"
"""The name of the report."""
SUFFIXES = (".csv", ".tsv", ".jsonl")
AS_UTF8 = "In a spreadsheet, save it as 'CSV UTF-8'."


@dataclass(frozen=True)
class Row:
    """One video that is asked for."""

    number: int
    """Of the row in the file, from 1; in CSV the names of the columns are row 1."""
    name: str
    """Of the video, without its suffix; no two rows have the same."""
    portrait: Path
    voice: Path
    words: str
    options: GenerateOptions
    priority: int = 0
    """Rows of a higher one are made first; among equal ones the order is that of the table."""


def read_rows(path: Path, find: Find | None = None, options: GenerateOptions | None = None) -> list[Row]:
    """Every row of a manifest, all of them checked; paths begin at the folder of the manifest.

    find     where else the file of a cell is looked for
    options  what a row without its own value takes
    Raises BadInput that names the rows, and says of each what to do.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise BadInput(f"Manifest '{path}' ends in '{path.suffix}'. Give a table that ends in {', '.join(SUFFIXES)}.")
    text = read_text(path, "Manifest", AS_UTF8)
    return parse_rows(text, find or (lambda cell: path.parent / cell), options)


def parse_rows(text: str, find: Find, options: GenerateOptions | None = None) -> list[Row]:
    """`read_rows` of the text of a manifest: JSON lines where it begins with a brace, else CSV."""
    cells = read_cells(text, COLUMNS)
    if not cells:
        raise BadInput(f"The manifest has no rows. Give the names of columns ({', '.join(FILES)}, ...), then rows.")
    given = options or GenerateOptions()
    return each_row(cells, lambda number, values: _row(number, values, find, given), lambda row: row.name)


def _row(number: int, values: dict[str, Any], find: Find, options: GenerateOptions) -> Row:
    values = filled(values)
    texts = {column: text_of(column, values[column]) for column in (*FILES, WORDS, NAME) if column in values}
    portrait, voice = (file_of(column, texts.get(column, ""), find) for column in FILES)
    name = name_of(texts.get(NAME) or f"{portrait.stem}-{voice.stem}", RESERVED)
    given = {column: value_of(OPTIONS[column], values[column]) for column in values if column in OPTIONS}
    words = texts.get(WORDS, "").strip() or DEFAULT_WORDS
    return Row(number, name, portrait, voice, words, replace(options, **given), _priority(values.get(PRIORITY, 0)))


def _priority(value: Any) -> int:
    """A whole number from a cell or from JSON. Raises BadInput.

    >>> _priority("-3")
    -3
    """
    try:
        if isinstance(value, bool) or int(value) != float(value) or abs(int(value)) > 10**9:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise BadInput(
            f"{PRIORITY} is {value!r:.80}; give a whole number, such as 10 for what is made first."
        ) from None
    return int(value)
