"""Video files: frames streamed in, frames and the original sound streamed out, always marked as synthetic."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Iterable, Iterator
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import imageio_ffmpeg
import numpy as np

from ...config import FPS
from ...errors import BadInput, MediaError
from ..sound.audio import Audio, read_audio
from .feeder import Feeder
from .tags import ffmetadata, xmp_box

logger = logging.getLogger(__name__)

SUFFIXES = (".mp4", ".m4v", ".mov")
"""Of videos that are written."""
VIDEO_SUFFIXES = (*SUFFIXES, ".mkv", ".webm", ".avi")
"""Of files that are read as videos."""
_CRF = "15"
_PRESET = ("-preset", "superfast", "-x264-params", "mbtree=1:rc-lookahead=10")
"""With the tree, which saves half of what still backgrounds take, a third less time than veryfast, a quarter larger."""
_HELD_BYTES = 16_000_000
"""Frames that wait for ffmpeg while the next ones are made."""
_PART_OPTIONS = ("-bf", "0")
"""Frames that refer to later ones are decoded before they are shown: where parts meet, that order would overlap."""
SOUND_OPTIONS = ("-c:a", "aac", "-b:a", "192k")
MP4_OPTIONS = ("-movflags", "use_metadata_tags+faststart")
_TO_YUV = "scale=out_color_matrix=bt709:out_range=tv:flags=bicubic+accurate_rnd+full_chroma_int,format=yuv420p"
_TO_RGB = "scale=flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
"""Without these flags ffmpeg's fast conversion darkens every picture by one level."""


def check_writable(path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Make sure that a video can be written to `path`, before any work is done for it.

    Raises BadInput for a wrong suffix, an existing file (unless `overwrite`), a folder that is missing or read-only.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise BadInput(
            f"Output '{path}' ends in '{path.suffix}'. Give a name that ends in one of {', '.join(SUFFIXES)}."
        )
    if path.is_dir():
        raise BadInput(f"Output '{path}' is a folder. Give a file name such as '{path / 'out.mp4'}'.")
    if path.exists() and not overwrite:
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
    """Streams frames into one H.264 file with the original sound; the file takes its name only when it is whole.

    Use it as a context manager: leaving by an exception (Ctrl-C too) ends ffmpeg and removes everything written.
    Memory does not grow with the length of the clip. Raises BadInput as `check_writable`, MediaError if ffmpeg ends.
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
    ) -> None:
        """Start ffmpeg. `size` is (width, height) of the frames; `settings` are JSON values kept in the file's tags.

        is_part  one of several files that `join_videos` makes one of; says nothing of padding, which is said there
        """
        self.path = check_writable(path, overwrite)
        self.size, self.n_frames = size, 0
        self._overwrite, self._is_part = overwrite, is_part
        self._padding = (size[1] % 2, size[0] % 2)
        if any(self._padding):
            even = (size[0] + self._padding[1], size[1] + self._padding[0])
            level = logging.DEBUG if is_part else logging.WARNING
            logger.log(level, "H.264 needs even sizes: %d x %d is padded to %d x %d", *size, *even)
        folder = self.path.absolute().parent
        self._folder = Path(tempfile.mkdtemp(prefix=f".{self.path.stem[:40]}-", dir=folder))
        self._unfinished = self._folder / f"video{self.path.suffix.lower()}"
        try:
            with (self._folder / "ffmpeg.log").open("wb") as log:
                command = self._command(fps, audio, settings or {})
                # Its own session: Ctrl-C is ours to handle, ffmpeg must not finish a half-written file on its own.
                self._process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log, start_new_session=True
                )
        except BaseException as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            if isinstance(error, OSError):
                raise MediaError(f"ffmpeg cannot be started ({error}). Install imageio-ffmpeg again.") from error
            raise
        assert self._process.stdin is not None
        self._feeder = Feeder(self._process.stdin, max(1, _HELD_BYTES // (3 * size[0] * size[1])))

    def _command(self, fps: int | Fraction, audio: Audio | None, settings: dict[str, Any]) -> list[str]:
        width, height = self.size[0] + self._padding[1], self.size[1] + self._padding[0]
        tags = self._folder / "tags.txt"
        tags.write_text(ffmetadata(settings), encoding="utf-8")
        command = [ffmpeg(), "-v", "error", "-nostdin", "-f", "rawvideo", "-pix_fmt", "rgb24"]
        command += ["-video_size", f"{width}x{height}", "-framerate", str(Fraction(fps)), "-i", "pipe:0"]
        command += ["-f", "ffmetadata", "-i", str(tags)]
        if audio is not None:
            command += ["-i", str(sound_file(self._folder, audio)), "-map", "2:a:0", *SOUND_OPTIONS]
        command += ["-map", "0:v:0", "-map_metadata", "1", "-map_chapters", "-1", "-c:v", "libx264", "-crf", _CRF]
        command += [*_PRESET, "-vf", _TO_YUV, *(_PART_OPTIONS if self._is_part else ())]
        command += ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"]
        return [*command, *MP4_OPTIONS, str(self._unfinished)]

    @property
    def pid(self) -> int:
        """Number of the ffmpeg process."""
        return self._process.pid

    def write(self, frames: np.ndarray) -> None:
        """Append frames, uint8 [T, H, W, 3] or [H, W, 3]; ffmpeg gets a copy of them while the caller goes on."""
        frames = frames if frames.ndim == 4 else frames[None]
        if frames.shape[1:] != (self.size[1], self.size[0], 3) or frames.dtype != np.uint8:
            expected = f"uint8 [T, {self.size[1]}, {self.size[0]}, 3]"
            raise MediaError(
                f"Frames are {frames.dtype} {list(frames.shape)}, but the video was opened for {expected}."
            )
        if any(self._padding):
            frames = np.pad(frames, ((0, 0), (0, self._padding[0]), (0, self._padding[1]), (0, 0)), mode="edge")
        with self._told():
            for frame in frames:
                self._feeder.give(frame.tobytes())
                self.n_frames += 1

    def wait(self) -> None:
        """Until ffmpeg has taken every frame."""
        with self._told():
            self._feeder.wait()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._process.kill()
            self._process.wait()
            raise self._failure() from error

    def _failure(self) -> MediaError:
        with contextlib.suppress(OSError):
            lines = (self._folder / "ffmpeg.log").read_text(errors="replace").strip().splitlines()[-3:]
            said = " | ".join(lines) or "it said nothing"
            return MediaError(
                f"ffmpeg ended while writing '{self.path}' after {self._feeder.n_written} frames (exit status "
                f"{self._process.returncode}: {said}). Nothing was kept; check disk space and memory, then run again."
            )
        return MediaError(f"ffmpeg ended while writing '{self.path}'. Nothing was kept; run again.")

    def finish(self) -> Path:
        """Close the file, mark it and give it its name; returns the path."""
        if self.n_frames == 0:
            raise MediaError(f"No frame was given for '{self.path}'; a video needs at least one.")
        self.wait()
        self._feeder.end()
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        if self._process.wait() != 0:
            raise self._failure()
        publish(self._unfinished, self.path, self._overwrite)
        shutil.rmtree(self._folder, ignore_errors=True)
        return self.path

    def abort(self) -> None:
        """End ffmpeg and remove what was written; harmless after `finish`."""
        if self._process.poll() is None:
            self._process.kill()
        self._feeder.end()
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            self.abort()


def sound_file(folder: Path, audio: Audio) -> Path:
    """The file that holds the original sound; samples are written into `folder`."""
    if audio.original is None:
        if audio.path is None:
            raise BadInput("The audio has neither a file nor its original samples. Make it with read_audio.")
        return audio.path.resolve()
    import soundfile

    path = folder / "sound.wav"
    soundfile.write(path, audio.original.T, audio.rate_hz, subtype="FLOAT")
    return path


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


def ffmpeg() -> str:
    """The ffmpeg to run. Raises MediaError where there is none."""
    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise MediaError("No ffmpeg was found. Install imageio-ffmpeg again, or set IMAGEIO_FFMPEG_EXE.") from error


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The tags of a video or sound file; what VideoWriter wrote stands under "settings" and "digital_source_type"."""
    path = _existing(path)
    command = [ffmpeg(), "-v", "error", "-nostdin", "-i", str(path.resolve()), "-f", "ffmetadata", "pipe:1"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["unknown format"]
        raise BadInput(f"'{path}' cannot be read as a video ({lines[-1]}). Give an mp4 file.")
    tags: dict[str, Any] = {}
    key, value, escaped, in_value = "", "", False, False
    for c in done.stdout.decode(errors="replace") + "\n":
        if escaped or (c not in "=\\\n"):
            key, value = (key, value + c) if in_value else (key + c, value)
            escaped = False
        elif c == "\\":
            escaped = True
        elif c == "=" and not in_value:
            in_value = True
        elif c == "\n":
            if in_value:
                tags[key] = value
            key, value, in_value = "", "", False
        else:
            value += c
    with contextlib.suppress(ValueError):
        tags["settings"] = json.loads(tags.get("comment", ""))
    return tags


def _existing(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if not path.exists():
        raise BadInput(f"Video '{path}' does not exist. Give a video file such as an mp4.")
    if path.is_dir():
        raise BadInput(f"Video '{path}' is a folder. Give a video file such as an mp4.")
    if path.stat().st_size == 0:
        raise BadInput(f"Video '{path}' is empty (0 bytes). Give a video file such as an mp4.")
    return path


class VideoReader:
    """Frames of a video, uint8 [H, W, 3], decoded one at a time and upright; iterate as often as needed."""

    def __init__(self, path: str | os.PathLike[str], fps: int | None = None) -> None:
        """Read the header. `fps` resamples the frames (drops or repeats) to another rate. Raises BadInput."""
        self.path = _existing(path)
        self._rate = "" if fps is None else f"fps={fps},"
        frames = self._open()
        try:
            header = next(frames)
        except (OSError, RuntimeError, StopIteration, KeyError, ValueError, IndexError) as error:
            raise BadInput(
                f"'{self.path}' holds no video that can be read. Give a video file such as an mp4."
            ) from error
        finally:
            frames.close()
        self.size: tuple[int, int] = header["size"]
        """(width, height) in pixels."""
        self.fps: float = float(fps or header["fps"])

    def _open(self, first: int = 0) -> Generator[Any, None, None]:
        skip = f"trim=start_frame={first},setpts=PTS-STARTPTS," if first else ""
        options = ["-vf", f"{self._rate}{skip}{_TO_RGB}"]
        return imageio_ffmpeg.read_frames(str(self.path.resolve()), pix_fmt="rgb24", output_params=options)

    @cached_property
    def n_frames(self) -> int:
        """Number of frames, found by decoding them all once."""
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[np.ndarray]:
        return self.frames()

    def frames(self, first: int = 0) -> Iterator[np.ndarray]:
        """The frames from number `first` on; those before it are decoded, exactly, but not handed out."""
        frames = self._open(first)
        try:
            next(frames)
            for data in frames:
                yield np.frombuffer(data, np.uint8).reshape(self.size[1], self.size[0], 3).copy()
        finally:
            frames.close()

    def audio(self) -> Audio:
        """The sound track. Raises BadInput where there is none."""
        return read_audio(self.path)


class FrameCursor:
    """Pictures of a video by their number: read forwards once, and opened again where one is asked for that is past."""

    def __init__(self, video: VideoReader) -> None:
        self._video = video
        self._frames: Iterator[np.ndarray] = iter(())
        self._next, self._last = 0, np.zeros((0, 0, 3), np.uint8)

    def __getitem__(self, number: int) -> np.ndarray:
        """uint8 [H, W, 3]; IndexError beyond the end."""
        if number == self._next - 1:
            return self._last
        if number < self._next or self._next == 0:
            self._frames, self._next = self._video.frames(number), number
        while self._next <= number:
            found = next(self._frames, None)
            if found is None:
                raise IndexError(f"'{self._video.path}' ends before frame {number}")
            self._last, self._next = found, self._next + 1
        return self._last


def read_video(path: str | os.PathLike[str], fps: int | None = None) -> VideoReader:
    """Open a video for streaming; see VideoReader."""
    return VideoReader(path, fps)
