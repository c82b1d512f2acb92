"""Text files of users: scripts, transcripts and tracks, in UTF-8, or in what their byte order mark says."""

from __future__ import annotations

import codecs
import os

from ..errors import BadInput

MAX_BYTES = 16_000_000
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_text(path: str | os.PathLike[str], what: str, wanted: str = "") -> str:
    r"""The text of a file, its lines ended by \n.

    what    what the file is to the user, such as "Transcript"
    wanted  a sentence that says what to give instead of what a file holds; of no use where it cannot be opened
    Raises BadInput for a file that cannot be opened, is larger than MAX_BYTES, or holds no text.
    """
    name = f"{what} '{os.fspath(path)}'"
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadInput(f"{name} cannot be read ({reason}). Check its path and permissions.") from error
    if len(data) > MAX_BYTES:
        raise BadInput(f"{name} is larger than {MAX_BYTES // 1_000_000} MB. {wanted}".rstrip())
    mark, encoding = next((found for found in _MARKS if data.startswith(found[0])), (b"", "utf-8"))
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        place = f"byte {error.object[error.start]:#04x} at {len(mark) + error.start}"
        said = f"{name} is not text in {encoding.upper()} ({place}). Save it as UTF-8. {wanted}"
        raise BadInput(said.rstrip()) from error
    if "\0" in text:
        raise BadInput(f"{name} holds a zero byte, as no text does. Save it as UTF-8. {wanted}".rstrip())
    return text.replace("\r\n", "\n").replace("\r", "\n")
