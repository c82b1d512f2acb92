"""Video files: frames streamed in, frames and the original sound streamed out, always marked as synthetic."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ...config import FPS
from ...errors import BadInput, EADNetError, MediaError
from ...paths import check_path, check_source
from ..sound.audio import Audio, read_audio
from .backends import file_errors, open_encoder, open_pictures, read_tags
from .encoding import ALPHA_SUFFIXES
from .feeder import Feeder
from .tags import synthetic_tags, xmp_box

logger = logging.getLogger(__name__)

SUFFIXES = (".mp4", ".m4v", ".mov")
"""Of videos that are written."""
VIDEO_SUFFIXES = (*SUFFIXES, ".mkv", ".webm", ".avi")
"""Of files that are read as videos."""
_HELD_BYTES = 16_000_000
"""Frames that wait for the encoder while the next ones are made."""


def check_writable(path: str | os.PathLike[str], overwrite: bool = False, has_alpha: bool = False) -> Path:
    """Make sure that a video can be written to `path`, before any work is done for it.

    Raises BadInput for a wrong suffix, one of a format without an alpha where that is needed, an existing file (unless
    `overwrite`), a folder that is missing or read-only.
    """
    path = check_path(path, "Output")
    if path.suffix.lower() not in SUFFIXES:
        raise BadInput(
            f"Output '{path}' ends in '{path.suffix}'. Give a name that ends in one of {', '.join(SUFFIXES)}."
        )
    if has_alpha and path.suffix.lower() not in ALPHA_SUFFIXES:
        raise BadInput(
            f"Output '{path}' cannot hold a transparent background: {path.suffix} files are H.264, which has no alpha. "
            f"Give a name that ends in {' or '.join(ALPHA_SUFFIXES)} (ProRes 4444), or another background."
        )
    if path.is_dir():
        raise BadInput(f"Output '{path}' is a folder. Give a file name such as '{path / 'out.mp4'}'.")
    if os.path.lexists(path) and not overwrite:
        raise BadInput(f"Output '{path}' exists already. Give another name, or allow it to be overwritten.")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise BadInput(f"Output folder '{folder}' does not exist. Create it first, or give another output.")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise BadInput(
            f"Output folder '{folder}' cannot be written to ({error.strerror}). "
            "Check its permissions, or give another output."
        ) from error
    return path


class VideoWriter:
    """Streams frames into one file with the original sound: H.264, or ProRes 4444 for those that have an alpha.

    The file takes its name only when it is whole.
    Use it as a context manager: leaving by an exception (Ctrl-C too) removes everything written. Frames are encoded in
    a thread of its own. Memory does not grow with the length of the clip. Raises BadInput as `check_writable` and for a
    sound that cannot be read, MediaError if the file cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        size: tuple[int, int],
        fps: int | Fraction = FPS,
        audio: Audio | None = None,
        settings: dict[str, Any] | None = None,
        overwrite: bool = False,
        is_part: bool = False,
        has_alpha: bool = False,
    ) -> None:
        """Begin the file. `size` is (width, height) of the frames; `settings` are JSON values kept in the file's tags.

        is_part    one of several files that `join_videos` makes one of; says nothing of padding, which is said there
        has_alpha  frames are RGBA, [T, H, W, 4]
        """
        self.path = check_writable(path, overwrite, has_alpha)
        self.size, self.n_frames, self._channels = size, 0, 4 if has_alpha else 3
        self._overwrite = overwrite
        self._padding = (size[1] % 2, size[0] % 2)
        even = (size[0] + self._padding[1], size[1] + self._padding[0])
        if any(self._padding):
            level = logging.DEBUG if is_part else logging.WARNING
            logger.log(level, "H.264 needs even sizes: %d x %d is padded to %d x %d", *size, *even)
        folder = self.path.absolute().parent
        self._folder = Path(tempfile.mkdtemp(prefix=f".{self.path.stem[:40]}-", dir=folder))
        self._unfinished = self._folder / f"video{self.path.suffix.lower()}"
        try:
            with written(self.path, "0 frames"):
                tags = synthetic_tags(settings or {})
                self._encoder = open_encoder(self._unfinished, even, Fraction(fps), audio, tags, is_part, has_alpha)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        self._feeder = Feeder(self._encoder.encode, max(1, _HELD_BYTES // (3 * size[0] * size[1])))

    def write(self, frames: np.ndarray) -> None:
        """Append frames, uint8 [T, H, W, 3] or [H, W, 3]; the encoder gets a copy of them while the caller goes on."""
        frames = frames if frames.ndim == 4 else frames[None]
        if frames.shape[1:] != (self.size[1], self.size[0], self._channels) or frames.dtype != np.uint8:
            expected = f"uint8 [T, {self.size[1]}, {self.size[0]}, {self._channels}]"
            raise MediaError(
                f"Frames are {frames.dtype} {list(frames.shape)}, but the video was opened for {expected}."
            )
        with self._told():
            for frame in frames:
                rows, columns = self._padding
                padded = np.pad(frame, ((0, rows), (0, columns), (0, 0)), mode="edge") if rows or columns else frame
                self._feeder.give(padded.copy())
                self.n_frames += 1

    def wait(self) -> None:
        """Until the encoder has taken every frame."""
        with self._told():
            self._feeder.wait()

    def _told(self) -> contextlib.AbstractContextManager[None]:
        return written(self.path, f"{self._feeder.n_taken} frames")

    def finish(self) -> Path:
        """Close the file, mark it and give it its name; returns the path."""
        if self.n_frames == 0:
            raise MediaError(f"No frame was given for '{self.path}'; a video needs at least one.")
        self.wait()
        self._feeder.end()
        with self._told():
            self._encoder.finish()
            publish(self._unfinished, self.path, self._overwrite)
        shutil.rmtree(self._folder, ignore_errors=True)
        return self.path

    def abort(self) -> None:
        """Let go of the encoder and remove what was written; harmless after `finish`."""
        self._feeder.end(is_dropping=True)
        # An unfinished file without a name is closed at once; with one, its end would be written first.
        shutil.rmtree(self._folder, ignore_errors=True)
        self._encoder.abort()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            self.abort()


@contextlib.contextmanager
def written(path: Path, after: str) -> Iterator[None]:
    """What goes wrong while a file is written, as a MediaError; `after` says how far it came."""
    try:
        yield
    except EADNetError:
        raise
    except file_errors() as error:
        is_full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        reason = "the disk is full" if is_full else getattr(error, "strerror", None) or str(error)
        raise MediaError(
            f"'{path}' could not be written after {after} ({reason}). Nothing was kept; check disk space and memory, "
            "then run again."
        ) from error


def publish(unfinished: Path, path: Path, overwrite: bool) -> None:
    """Mark a finished file as synthetic and give it its name, in one step that is on the disk when this returns."""
    with unfinished.open("ab") as file:
        file.write(xmp_box())
        file.flush()
        os.fsync(file.fileno())
    if path.exists() and not overwrite:
        raise BadInput(f"Output '{path}' appeared while the video was made. Give another name.")
    try:
        os.replace(unfinished, path)
    except OSError as error:
        raise MediaError(f"'{path}' cannot be replaced ({error.strerror}). Close whatever has it open.") from error


def write_video(
    path: str | os.PathLike[str],
    frames: Iterable[np.ndarray],
    fps: int | Fraction = FPS,
    audio: Audio | None = None,
    settings: dict[str, Any] | None = None,
    overwrite: bool = False,
) -> int:
    """Write frames, uint8 [H, W, 3] or chunks [T, H, W, 3], one at a time; returns their number. See VideoWriter."""
    check_writable(path, overwrite)
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise MediaError(f"No frame was given for '{path}'; a video needs at least one.")
    with VideoWriter(path, (first.shape[-2], first.shape[-3]), fps, audio, settings, overwrite) as writer:
        writer.write(first)
        for frame in frames:
            writer.write(frame)
    return writer.n_frames


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The tags of a video or sound file; what VideoWriter wrote stands under "settings" and "digital_source_type".

    Raises BadInput.
    """
    tags: dict[str, Any] = {**read_tags(_existing(path))}
    with contextlib.suppress(ValueError):
        tags["settings"] = json.loads(tags.get("comment", ""))
    return tags


def _existing(path: str | os.PathLike[str]) -> Path:
    path = check_source(path, "Video")
    if not path.exists():
        raise BadInput(f"Video '{path}' does not exist. Give a video file such as an mp4.")
    if path.is_dir():
        raise BadInput(f"Video '{path}' is a folder. Give a video file such as an mp4.")
    if path.stat().st_size == 0:
        raise BadInput(f"Video '{path}' is empty (0 bytes). Give a video file such as an mp4.")
    return path


class VideoReader:
    """Frames of a video, uint8 [H, W, 3], decoded one at a time: upright, in square pixels and SDR.

    Frame 0 is the first of the picture stream; iterate as often as needed. `backends.Pictures` has the details.
    """

    def __init__(self, path: str | os.PathLike[str], fps: int | None = None) -> None:
        """Read the beginning. `fps` resamples the frames (drops or repeats) to another rate. Raises BadInput."""
        self.path = _existing(path)
        self._pictures = open_pictures(self.path, fps)
        self.size: tuple[int, int] = self._pictures.size
        """(width, height) in pixels."""
        self.fps: float = self._pictures.fps

    @property
    def notes(self) -> tuple[str, ...]:
        """What had to change (HDR, interlaced, pixels that are not square), and damage as far as frames were read."""
        return tuple(self._pictures.notes)

    @cached_property
    def n_frames(self) -> int:
        """Number of frames, found by decoding them all once."""
        return self._pictures.count()

    def __iter__(self) -> Iterator[np.ndarray]:
        return self.frames()

    def frames(self, first: int = 0) -> Iterator[np.ndarray]:
        """The frames from number `first` on; those before it are decoded, exactly, but not handed out."""
        return self._pictures.frames(first)

    def audio(self) -> Audio:
        """The sound track. Raises BadInput where there is none."""
        return read_audio(self.path)


class FrameCursor:
    """Pictures of a video by their number: read forwards once, and opened again where one is asked for that is past.

    With several places, one may follow another through the same video without opening it again.
    """

    def __init__(self, video: VideoReader, n_places: int = 1) -> None:
        self._places = [_Place(video) for _ in range(n_places)]

    def __getitem__(self, number: int) -> np.ndarray:
        """uint8 [H, W, 3]; IndexError beyond the end."""
        places = sorted(self._places, key=lambda place: place.number)
        before = [place for place in places if place.number <= number]
        return (before[-1] if before else places[0]).read(number)


class _Place:
    """Where a video is read, and the picture there; `number` is -1 before the first."""

    def __init__(self, video: VideoReader) -> None:
        self._video, self.number = video, -1
        self._frames: Iterator[np.ndarray] = iter(())
        self._picture = np.zeros((0, 0, 3), np.uint8)

    def read(self, number: int) -> np.ndarray:
        """Go to a picture. Raises IndexError beyond the end."""
        if number < self.number or self.number < 0:
            self._frames, self.number = self._video.frames(number), number - 1
        while self.number < number:
            found = next(self._frames, None)
            if found is None:
                raise IndexError(f"'{self._video.path}' ends before frame {number}")
            self._picture, self.number = found, self.number + 1
        return self._picture


def read_video(path: str | os.PathLike[str], fps: int | None = None) -> VideoReader:
    """Open a video for streaming; see VideoReader."""
    return VideoReader(path, fps)
