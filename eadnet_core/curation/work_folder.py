"""The folder of a curation: one run at a time works in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ..errors import BadInput
from ..media.video.lock import Lock
from ..paths import check_path, write_failure


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[None]:
    """The folder made and held inside the block. Raises BadInput where another run holds it, or it is a file."""
    check_path(folder, "Output")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = Lock(folder / ".curate.lock", folder.name)
    except FileExistsError as error:
        raise BadInput(f"Output '{folder}' is a file. Give a folder.") from error
    except OSError as error:
        raise write_failure(error, folder) from error
    try:
        yield
    finally:
        lock.release()
