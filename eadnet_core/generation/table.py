"""Tables of what is to be made, in CSV or JSON lines: cells by column, and what stands in a cell."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..errors import BadInput, EADNetError
from ..option import Option

SHOWN_PROBLEMS = 5
_DELIMITERS = ",;\t"
_NAME_BYTES = 200
_SWITCHES = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
_NO_NAMES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""What Windows keeps for devices."""

T = TypeVar("T")
Find = Callable[[str], Path]
"""The file that a cell names. Raises BadInput or OSError for a path that is not allowed."""


@dataclass(frozen=True)
class Columns:
    """Which columns a table may have, and which it must."""

    names: tuple[str, ...]
    """Those that are no options, as errors list them."""
    required: tuple[str, ...]
    options: tuple[str, ...]


def read_cells(text: str, columns: Columns) -> list[tuple[int, dict[str, Any]]]:
    """(number, values by column) of each row that is not empty: JSON lines where it begins with a brace, else CSV.

    Raises BadInput that names the row, and says what to do.
    """
    text = text.removeprefix("\ufeff")
    return list((_json_rows if text.lstrip().startswith("{") else _csv_rows)(text, columns))


def each_row(
    cells: Sequence[tuple[int, dict[str, Any]]], make: Callable[[int, dict[str, Any]], T], name: Callable[[T], str]
) -> list[T]:
    """What is made of every row; no two may have the same name. Raises BadInput that names the rows."""
    made, problems, taken = [], [], dict[str, int]()
    for number, values in cells:
        try:
            row = make(number, values)
            before = taken.setdefault(folded(name(row)), number)
            if before != number:
                raise BadInput(f"name '{name(row)}' is that of row {before}. Give each row a name of its own.")
            made.append(row)
        except EADNetError as error:
            problems.append(f"Row {number}: {error}")
    if problems:
        more = f"\n{len(problems) - SHOWN_PROBLEMS} more rows." if len(problems) > SHOWN_PROBLEMS else ""
        counted = f"{len(problems)} of {len(cells)} rows cannot be used, and nothing was begun."
        raise BadInput("\n".join([counted, *problems[:SHOWN_PROBLEMS]]) + more)
    return made


def filled(values: dict[str, Any]) -> dict[str, Any]:
    """The cells that hold anything."""
    return {column: value for column, value in values.items() if value is not None and value != ""}


def _csv_rows(text: str, known: Columns) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number, cells by column) of each row that is not empty; the delimiter is what separates the first row."""
    first = text.split("\n", 1)[0]
    table = csv.reader(io.StringIO(text, newline=""), delimiter=max(_DELIMITERS, key=first.count), strict=True)
    columns: list[str] = []
    number = 0
    try:
        for number, cells in enumerate(table, 1):
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if not columns:
                columns = [cell.lower() for cell in cells]
                check_columns(columns, known, f"Row {number}")
            elif len(cells) > len(columns):
                raise BadInput(
                    f"Row {number} has {len(cells)} cells, but there are {len(columns)} columns. "
                    "Put words with a comma in them into double quotes."
                )
            else:
                yield number, dict(zip(columns, cells, strict=False))
    except csv.Error as error:
        raise BadInput(f"Row {number + 1} is no row of a CSV file ({error}). Check its double quotes.") from error


def _json_rows(text: str, known: Columns) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number of the line, values by column) of each line that is not empty."""
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadInput(f"Row {number} is not JSON ({error}). Give one object in braces per line.") from error
        if not isinstance(values, dict):
            raise BadInput(f"Row {number} is no JSON object. Give one object in braces per line.")
        check_columns(list(values), known, f"Row {number}")
        yield number, values


def check_columns(columns: list[str], known: Columns, where: str) -> None:
    """Raise BadInput for a column that is unknown, that stands there twice, or that is missing."""
    unknown = [column for column in columns if column not in (*known.names, *known.options)]
    if unknown:
        raise BadInput(
            f"{where}: no column is called {', '.join(repr(c)[:40] for c in unknown[:SHOWN_PROBLEMS])}. There are "
            f"{', '.join(known.names)} and the options of docs/options.md, such as seed or head."
        )
    double = sorted({column for column in columns if columns.count(column) > 1})
    if double:
        raise BadInput(f"{where}: the column {', '.join(double)} stands there twice. Remove one.")
    missing = [column for column in known.required if column not in columns]
    if missing:
        raise BadInput(
            f"{where}: the column {' and '.join(missing)} is missing. Every row needs {' and '.join(known.required)}."
        )


def text_of(column: str, value: Any) -> str:
    """The text in a cell. Raises BadInput."""
    if not isinstance(value, str):
        raise BadInput(f"{column} is {value!r:.80}; give text.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadInput(f"{column} holds half a character ({error.reason}). Write it anew.") from error
    return value


def file_of(column: str, cell: str, find: Find) -> Path:
    """The file that a cell names. Raises BadInput where it is none."""
    if not cell:
        raise BadInput(f"{column} is empty. Give the path of a file.")
    try:
        path = find(cell)
        is_file = path.is_file()
    except (OSError, ValueError) as error:
        reason = error if isinstance(error, EADNetError) else getattr(error, "strerror", None) or error
        raise BadInput(f"{column} '{cell[:80]}' cannot be used: {reason}") from error
    if not is_file:
        raise BadInput(f"{column} '{cell[:80]}' is no file (looked for at '{path}'). Correct the path.")
    return path


def name_of(text: str, reserved: str = "") -> str:
    """The name of a video, if it is a name on every system and leads nowhere else. Raises BadInput.

    >>> name_of("Anna 喜.mp4")
    'Anna 喜'
    """
    name = unicodedata.normalize("NFC", text)
    name = name[:-4] if name.lower().endswith(".mp4") else name
    if any(c in '/\\:*?"<>|' or not c.isprintable() for c in name):
        raise BadInput(f'name {text!r:.80} holds what a file name may not: / \\ : * ? " < > | or a control character.')
    if not name or name[0] in ". " or name[-1] in ". " or _NO_NAMES.fullmatch(name) or name.lower() == reserved:
        raise BadInput(f"name {text!r:.80} cannot be used: it is empty, begins or ends in a dot or space, or is taken.")
    if len(name.encode()) > _NAME_BYTES:
        raise BadInput(f"name {text[:40]!r}... is too long: give at most {_NAME_BYTES} bytes.")
    return name


def folded(name: str) -> str:
    """What is the same for two names that some file systems hold for one."""
    return unicodedata.normalize("NFC", name.casefold())


def value_of(option: Option, value: Any) -> Any:
    """The value of an option from a cell or from JSON; its range is checked with all others. Raises BadInput."""
    if option.choices:
        return value
    if isinstance(option.default, bool):
        switch = value if isinstance(value, bool) else _SWITCHES.get(str(value).lower())
        if switch is None:
            raise BadInput(f"{option.name} is {value!r:.80}; give on or off.")
        return switch
    if option.within is None:
        return _box(option.name, value)
    try:
        number = float(value) if not isinstance(value, bool) else None
        if number is not None and option.is_whole:
            number = int(value) if isinstance(value, str) else value if int(value) == value else None
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None:
        kind = "a whole number" if option.is_whole else "a number, with a point and no comma"
        raise BadInput(f"{option.name} is {value!r:.80}; give {kind}.")
    return int(number) if option.is_whole else number


def _box(name: str, value: Any) -> tuple[float, float, float, float]:
    try:
        x0, y0, x1, y1 = (float(v) for v in (value.replace(",", " ").split() if isinstance(value, str) else value))
    except (TypeError, ValueError):
        raise BadInput(f"{name} is {value!r:.80}; give four numbers x0 y0 x1 y1 in pixels.") from None
    if not all(map(math.isfinite, (x0, y0, x1, y1))):
        raise BadInput(f"{name} is {value!r:.80}; give four finite numbers.")
    return x0, y0, x1, y1
