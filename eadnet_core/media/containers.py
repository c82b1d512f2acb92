"""Media files opened with PyAV: FFmpeg's libraries inside this process, so that no process is started.

A file from elsewhere may be a playlist that names other files or addresses. Only files that hold the media themselves
are opened, and from them nothing but files is read.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BadInput

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

_PLAYLISTS = frozenset({"hls", "dash", "concat", "sdp", "rtsp", "imf", "applehttp"})
"""FFmpeg's names of formats that point to other files."""


@lru_cache(maxsize=1)
def has_pyav() -> bool:
    """Whether PyAV is installed; imageio-ffmpeg and soundfile read and write files where it is not."""
    return importlib.util.find_spec("av") is not None


@contextlib.contextmanager
def open_input(path: Path, what: str, wanted: str) -> Iterator[InputContainer]:
    """A media file, open for reading, closed at the end.

    what    what the file is to the user, such as "Video" or "Audio"
    wanted  a sentence that says what to give instead
    Raises BadInput for a file that FFmpeg does not know, and for one that only points to others.
    """
    import av

    try:
        container = av.open(f"file:{path.resolve()}", options={"protocol_whitelist": "file"}, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:  # av.EOFError is no OSError
        reason = getattr(error, "strerror", None) or error
        raise BadInput(f"{what} '{path}' cannot be read ({reason}). {wanted}") from error
    with container:
        if _PLAYLISTS & set(container.format.name.split(",")):
            raise BadInput(f"{what} '{path}' is a playlist that points to other files. {wanted}")
        yield container


def picture_stream(container: InputContainer) -> VideoStream | None:
    """The stream to show: the default one, then the largest; cover art is none, nor what no decoder knows."""
    from av.stream import Disposition

    known = [s for s in container.streams.video if s.codec_context is not None]
    streams = [s for s in known if not s.disposition & Disposition.attached_pic]
    default = [s for s in streams if s.disposition & Disposition.default]
    return max(default or streams, key=lambda s: s.width * s.height, default=None)
