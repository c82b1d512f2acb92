"""What a curation has decided so far, on disk: one small file for each piece of work, named by all that it depends on.

A piece of work is found again by the SHA-256 of its input and of its rules, so that a run that was stopped repeats only
what it had in hand, and a run with other rules repeats what those rules decide. A file is there whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import MediaError
from ..media.video.segments import whole
from ..paths import write_failure


def digest(*parts: bytes | str) -> str:
    """SHA-256 of some parts, told apart by their lengths.

    >>> digest("ab", "c") == digest("a", "bc")
    False
    """
    hashed = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        hashed.update(len(content).to_bytes(8, "little"))
        hashed.update(content)
    return hashed.hexdigest()


class Store:
    """Records of JSON by key in a folder, each replaced in one step."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.n_found = self.n_made = 0
        """Records that an earlier run had made, and those of this one."""

    def path(self, key: str) -> Path:
        """Where a record lies; two letters of the key make a folder, so that none grows too large."""
        return self.folder / key[:2] / f"{key}.json"

    def read(self, key: str) -> Any | None:
        """The record of a key; None where there is none that can be read."""
        try:
            return json.loads(self.path(key).read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            return None

    def known(self, key: str) -> Any:
        """The record of a key that was made before. Raises MediaError where it is gone."""
        found = self.read(key)
        if found is None:
            raise MediaError(f"'{self.path(key)}' is gone or damaged. Run again: it is then made anew.")
        return found

    def write(self, key: str, values: Any) -> None:
        """Keep a record. Raises MediaError where the disk is full."""
        path = self.path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole(path, path.with_suffix(".partial")) as partial:
                partial.write_text(json.dumps(values, ensure_ascii=False), "utf-8")
        except OSError as error:
            raise write_failure(error, path, "What was decided is kept; then run again.") from error

    def get(self, key: str, make: Callable[[], Any]) -> Any:
        """The record of a key, made and kept where there is none."""
        found = self.read(key)
        if found is not None:
            self.n_found += 1
            return found
        made = make()
        self.write(key, made)
        self.n_made += 1
        return made
