"""What a curation has decided so far, on disk: one small file for each piece of work, named by all that it depends on.

A piece of work is found again by the SHA-256 of its input and of its rules, so that a run that was stopped repeats only
what it had in hand, and a run with other rules repeats what those rules decide. A file is there whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import time
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


Cost = dict[str, float]
"""Of one piece of work: `cpu_s` and `wall_s`, see `measured`."""


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
        """What `get` found for a key before. Raises MediaError where it is gone."""
        record = self._measured(key)
        if record is None:
            raise MediaError(f"'{self.path(key)}' is gone or damaged. Run again: it is then made anew.")
        return record["found"]

    def write(self, key: str, values: Any) -> None:
        """Keep a record. Raises MediaError where the disk is full."""
        path = self.path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole(path, path.with_suffix(".partial")) as partial:
                partial.write_text(json.dumps(values, ensure_ascii=False), "utf-8")
        except OSError as error:
            raise write_failure(error, path, "What was decided is kept; then run again.") from error

    def get(self, key: str, make: Callable[[], Any], *, is_kept: bool = True) -> tuple[Any, Cost]:
        """(what was found, its cost when it was made) of a key; made and kept where there is none.

        is_kept  False where a file that `make` wrote is gone, so that the record counts for nothing
        """
        record = self._measured(key) if is_kept else None
        if record is not None:
            self.n_found += 1
        else:
            record = measured(make)
            self.write(key, record)
            self.n_made += 1
        return record["found"], record["cost"]

    def _measured(self, key: str) -> dict[str, Any] | None:
        record = self.read(key)
        return record if isinstance(record, dict) and record.keys() == {"found", "cost"} else None


def measured(make: Callable[[], Any]) -> dict[str, Any]:
    """`found` and its `cost`: seconds of this process on a core, and on the clock.

    >>> sorted(measured(lambda: 3)["cost"])
    ['cpu_s', 'wall_s']
    """
    cpu, wall = time.process_time(), time.perf_counter()
    found = make()
    cost = {"cpu_s": round(time.process_time() - cpu, 4), "wall_s": round(time.perf_counter() - wall, 4)}
    return {"found": found, "cost": cost}
