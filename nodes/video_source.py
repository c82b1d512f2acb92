"""IMAGE and VIDEO at one input: pictures in memory, or a file that is read as it is needed."""

from __future__ import annotations

import contextlib
import filecmp
import os
from typing import TYPE_CHECKING, Any

import torch
from comfy_api.latest import InputImpl, Types, io

from ..eadnet_core.config import FPS
from ..eadnet_core.errors import BadInput
from . import bridge

if TYPE_CHECKING:
    from ..eadnet_core.media.video.files import VideoReader


def picture_input(name: str, tooltip: str, **more: Any) -> io.Input:
    """An input that takes pictures or a video."""
    return io.MultiType.Input(name, [io.Image, io.Video], tooltip=tooltip, **more)


def fps_input() -> io.Input:
    """The rate of frames that come without one."""
    return io.Float.Input(
        "fps",
        default=25.0,
        min=1.0,
        max=240.0,
        step=0.001,
        tooltip="Frames per second of images; a video brings its own. No cost. Default: 25.",
    )


def to_source(given: Any, fps: int | None = FPS) -> tuple[torch.Tensor | VideoReader, float | None]:
    """IMAGE or VIDEO -> the pictures, and their rate where it is known.

    A video in a file is read from there as it is needed, at `fps`, by default the model's rate, or at its own for None;
    one that another node holds in memory is its pictures. Raises BadInput for a video that cannot be read.
    """
    from ..eadnet_core.media.video.files import read_video

    if isinstance(given, torch.Tensor):
        return bridge.to_pictures(given), None
    if isinstance(given, InputImpl.VideoFromComponents):
        parts = given.get_components()
        return bridge.to_pictures(parts.images), float(parts.frame_rate)
    return read_video(video_file(given), fps), None


def pasted_into(face: Any, portrait: Any) -> Any:
    """The pictures of IMAGE or VIDEO for `Subject.on`; None for the video that the face was found in.

    Raises BadInput where the one is a video and the other is not, and for another video.
    """
    from ..eadnet_core.media.video.files import VideoReader

    found_in = face.pictures
    if not isinstance(found_in, VideoReader):
        pictures = to_source(portrait)[0]
        if isinstance(pictures, VideoReader):
            raise BadInput(
                "'portrait' is a video, but the face was looked for in pictures. Connect the same to EAD-Net Face and "
                "to 'portrait'."
            )
        return pictures
    own = None if isinstance(portrait, torch.Tensor) else _own_file(portrait)
    if isinstance(portrait, torch.Tensor) or (own is not None and not _is_same(found_in.path, own)):
        raise BadInput(
            f"'portrait' is not the video '{found_in.path.name}' that the face was found in. Connect that video to "
            "EAD-Net Face and to 'portrait'."
        )
    return None


def video_frames(video: Any) -> int:
    """About how many frames a VIDEO has at the model's rate; 1 where it does not say."""
    with contextlib.suppress(ValueError):
        return max(1, round(video.get_duration() * FPS))
    return 1


def video_file(video: Any) -> str:
    """A path to a VIDEO: its own file, or a copy in temp/ where it has none or is cut.

    Raises BadInput for an address.
    """
    if (own := _own_file(video)) is not None:
        return own
    path = bridge.temp_file(".mp4")
    video.save_to(path, format=Types.VideoContainer.MP4)
    return path


def _own_file(video: Any) -> str | None:
    """The path of a VIDEO that is a whole file. Raises BadInput for an address."""
    source = None if isinstance(video, InputImpl.VideoFromComponents) else video.get_stream_source()
    window = getattr(video, "get_active_trim_window", lambda: (0.0, 0.0))()  # ComfyUI 0.8 cuts no videos
    if not isinstance(source, str) or any(window):
        return None
    if not os.path.isfile(source):
        raise BadInput("The video is not a file on this machine; load it with Load Video.")
    return os.path.abspath(source)


def _is_same(one: Any, other: str) -> bool:
    return os.path.samefile(one, other) or filecmp.cmp(one, other, shallow=False)
