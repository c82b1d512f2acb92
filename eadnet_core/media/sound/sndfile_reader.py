"""Sound read by libsndfile where PyAV is missing: wav, flac, ogg, mp3 and their kin, to their end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..containers import has_pyav
from .form import WANTED, Unreadable, check_form, length_notes
from .sndfile_parts import FilePart, announced_share, parts_of
from .timeline import Clock, Piece, Timeline

if TYPE_CHECKING:
    from soundfile import SoundFile

_BLOCK_SAMPLES = 1 << 16
_UNKNOWN = 1 << 62
"""libsndfile's number of samples where the header of a stream tells none is larger than this."""


@contextlib.contextmanager
def open_with_libsndfile(path: Path) -> Iterator[LibsndfileSound]:
    """See `sound_files.open_sound`; raises Unreadable for formats that libsndfile does not know."""
    with path.open("rb") as file:
        parts = parts_of(file)
        try:
            first = _opened(parts[0])
        except (RuntimeError, TypeError) as error:
            advice = "" if has_pyav() else "Install PyAV, which reads more formats (pip install av). "
            raise Unreadable(
                f"Audio '{path}' holds no sound that can be read (unknown to libsndfile). {advice}{WANTED}"
            ) from error
        with first:
            check_form(f"Audio '{path}'", first.samplerate, first.channels)
            yield LibsndfileSound(first, parts[1:], announced_share(path))


def _opened(part: FilePart) -> SoundFile:
    """Raises RuntimeError, soundfile's own among them, for what libsndfile does not know."""
    import soundfile

    class Forwards(soundfile.SoundFile):
        """Read once from front to back: soundfile seeks after every block, which fails where the length is unknown."""

        def seekable(self) -> bool:
            return False

    return Forwards(part)


class LibsndfileSound:
    """A `sound_form.SoundReader` of one file, which may be several that were joined."""

    def __init__(self, first: SoundFile, others: list[FilePart], share: float) -> None:
        """`others` follow `first`; the header announces `share` times as many samples as the file has bytes for."""
        self.rate_hz, self.n_channels, self.notes = first.samplerate, first.channels, list[str]()
        self._first, self._others, self._share = first, others, share
        self._announced_s: float | None = 0.0

    def blocks(self) -> Iterator[np.ndarray]:
        """All samples in order, float32 [n_channels, n]."""
        timeline = Timeline(self.rate_hz, self.n_channels, Clock())
        for piece in self._pieces():
            yield from timeline.add(piece)
        yield from timeline.finish()
        self.notes += timeline.notes() + length_notes(self._announced_s, timeline.length_s)

    def _pieces(self) -> Iterator[Piece]:
        yield from self._read(self._first)
        for part in self._others:
            try:
                file = _opened(part)
            except RuntimeError:
                self.notes.append("A part of the sound is unknown to libsndfile. Install PyAV (pip install av).")
                return
            with file:
                yield from self._read(file)

    def _read(self, file: SoundFile) -> Iterator[Piece]:
        if file.frames > _UNKNOWN:
            self._announced_s = None
        elif self._announced_s is not None:
            self._announced_s += self._share * file.frames / file.samplerate
        while True:
            block = np.zeros((_BLOCK_SAMPLES, file.channels), np.float32)
            try:
                n_read = file.buffer_read_into(block, "float32")
            except RuntimeError as error:
                self.notes.append(f"The sound is damaged and ends early ({getattr(error, 'error_string', error)}).")
                return
            if n_read == 0:
                return
            yield Piece(np.ascontiguousarray(block[:n_read].T), file.samplerate, None)
