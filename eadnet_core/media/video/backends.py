"""The two ways to read and write video files: PyAV inside this process, or imageio-ffmpeg where PyAV is missing.

Both give the same pictures and files. This is the only place that chooses.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np

from ..containers import has_pyav
from ..notes import Notes
from ..sound.audio import Audio


class Pictures(Protocol):
    """The picture stream of a file, upright, in square pixels and SDR, at a constant rate.

    size   (width, height) in pixels
    fps    pictures per second
    notes  what had to change, and damage; grows while pictures are read

    Picture 0 is the first that the stream shows: time zero of a file is the start of its picture stream. A hole in the
    stream's times is filled with the picture before it.
    """

    size: tuple[int, int]
    notes: Notes

    @property
    def fps(self) -> float: ...

    def frames(self, first: int) -> Generator[np.ndarray, None, None]:
        """uint8 [H, W, 3] from number `first` on; those before it are decoded, exactly, but not handed out."""
        ...

    def count(self) -> int:
        """Number of pictures, found by decoding them all."""
        ...


class Encoder(Protocol):
    """One file that is being written; its calls come from one thread at a time."""

    def encode(self, frame: np.ndarray) -> None:
        """Append a picture, uint8 [H, W, 3], or RGBA [H, W, 4] in a file with an alpha."""
        ...

    def finish(self) -> None:
        """Write the rest; the file is whole when this returns."""
        ...

    def abort(self) -> None:
        """Let go of the file, whose folder is removed by the caller; harmless after `finish`."""
        ...


def open_pictures(path: Path, fps: int | None) -> Pictures:
    """Open the pictures of a file, resampled to `fps` where it is given. Raises BadInput."""
    if has_pyav():
        from .pyav_reader import PyAVPictures

        return PyAVPictures(path, fps)
    from .imageio_backend import ImageioPictures

    return ImageioPictures(path, fps)


def open_encoder(
    path: Path,
    size: tuple[int, int],
    fps: Fraction,
    audio: Audio | None,
    tags: dict[str, str],
    is_part: bool,
    has_alpha: bool = False,
) -> Encoder:
    """Begin a file. `size` is even; a part has no frames that refer to later ones, see `join_files`.

    has_alpha  pictures are RGBA, and the file is one of encoding.ALPHA_SUFFIXES
    Raises BadInput for a sound that cannot be read.
    """
    if has_pyav():
        from .pyav_writer import PyAVEncoder

        return PyAVEncoder(path, size, fps, audio, tags, is_part, has_alpha=has_alpha)
    from .imageio_backend import ImageioEncoder

    return ImageioEncoder(path, size, fps, audio, tags, is_part, has_alpha)


def join_files(
    parts: Sequence[Path], path: Path, audio: Audio | None, tags: dict[str, str], duration_s: Fraction | None
) -> None:
    """Write the pictures of several parts, one after the other and as they are encoded, into one file with a sound."""
    if has_pyav():
        from .pyav_writer import join_parts
    else:
        from .imageio_backend import join_parts
    join_parts(parts, path, audio, tags, duration_s)


def read_tags(path: Path) -> dict[str, str]:
    """The tags of a media file as a whole. Raises BadInput."""
    if has_pyav():
        from .pyav_reader import read_tags as read
    else:
        from .imageio_backend import read_tags as read
    return read(path)


def file_errors() -> tuple[type[Exception], ...]:
    """What reading and writing raise where a file, a disk or the memory is at fault."""
    found: tuple[type[Exception], ...] = (OSError, ValueError, RuntimeError, LookupError, MemoryError)
    if has_pyav():
        from av.error import FFmpegError

        found = (*found, FFmpegError)
    return found
