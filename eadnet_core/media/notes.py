"""What has to be said about a file that is read: each thing once, in the log and for the report."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

logger = logging.getLogger(__name__)


class Notes:
    """Sentences about one file, in the order in which they were found."""

    def __init__(self, path: Path) -> None:
        """Nothing has been said yet."""
        self._name, self._said = path.name, list[str]()

    def add(self, said: str) -> None:
        """Keep a sentence that goes on after the name of the file, unless it is there already."""
        note = f"'{self._name}' {said}"
        if note not in self._said:
            self._said.append(note)
            logger.warning("Video %s", note)

    def __iter__(self) -> Iterator[str]:
        return iter(self._said)
