"""A session recorded on the server, where the file gets its mark of synthetic media."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from ..errors import BadInput
from ..media.video.fragments import FragmentWriter
from .portrait import LivePortrait
from .session import LiveChunk

MOST_S = 3600
"""Of one recording."""
MOST_FILES = 100
"""Of one server."""

logger = logging.getLogger(__name__)


class Recorder:
    """Recordings of one server, numbered, in a folder of its own."""

    def __init__(self, folder: Path, portrait: LivePortrait) -> None:
        self.folder, self.portrait = folder, portrait
        self._n = 0

    def begin(self) -> Recording:
        """A new recording. Raises BadInput for too many."""
        if self._n >= MOST_FILES:
            raise BadInput(f"This server has made {MOST_FILES} recordings. Start it again for more.")
        self._n += 1
        return Recording(self.folder / f"eadnet-live-{self._n:03}.mp4", self.portrait)

    def find(self, name: str) -> Path | None:
        """The file of a recording by its name; None for any other name."""
        names = [path.name for path in self.folder.glob("*.mp4")]
        return self.folder / name if name in names else None


class Recording:
    """One file, which grows while it is recorded."""

    def __init__(self, path: Path, portrait: LivePortrait) -> None:
        self.path, self._portrait = path, portrait
        height, width = portrait.picture.shape[:2]
        self._file = path.open("xb")
        settings = {"model": portrait.model.name, "live": True}
        self._writer = FragmentWriter(self._file, (width, height), settings)
        self.n_frames = 0

    @property
    def is_full(self) -> bool:
        return self.n_frames >= MOST_S * 25

    def add(self, chunk: LiveChunk) -> None:
        """Append a chunk; a painted frame stands for those after it that were not painted."""
        parts = np.repeat(chunk.parts, chunk.every, 0)[: chunk.n_frames]
        self._writer.write(self._portrait.whole(parts), chunk.sound)
        self.n_frames += chunk.n_frames

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()
        self._file.close()
        logger.info("recorded %s: %d frames", self.path, self.n_frames)
