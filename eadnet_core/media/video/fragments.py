"""A video that can be watched while it is written: fragmented MP4, for pipes and for files whose end nobody knows."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ...config import FPS, SAMPLE_RATE_HZ
from .encoding import CODEC, SOUND_BITS_PER_S, SOUND_CODEC
from .picture_filters import TO_YUV
from .tags import synthetic_tags, xmp_box

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

FLAGS = "use_metadata_tags+delay_moov+default_base_moof"
"""Delayed is what tells players that the sound begins before time zero, as AAC does; by one frame only."""
PICTURE_OPTIONS = {"crf": "18", "preset": "superfast", "tune": "zerolatency", "g": "50"}
"""Without looking ahead: a picture goes out when it comes in. Players can begin every two seconds."""
_BT709, _TV_RANGE = 1, 1


class Target(Protocol):
    """Where bytes go: a file or a pipe, which need not be able to go back."""

    def write(self, data: bytes, /) -> object:
        """Take all of it."""


class _Forward:
    """A target that can be written to and nothing else, so that FFmpeg does not try to go back in it."""

    def __init__(self, target: Target) -> None:
        self.target = target

    def write(self, data: bytes) -> int:
        """All of it."""
        self.target.write(data)
        return len(data)


class FragmentWriter:
    """H.264 and AAC at 25 pictures a second into a fragmented MP4.

    size      (width, height), even
    settings  what the video is made with, for its tags; JSON values
    """

    def __init__(self, target: Target, size: tuple[int, int], settings: dict[str, Any]) -> None:
        import av
        from av.filter import Graph

        self._target = target
        options = {"movflags": FLAGS, "flush_packets": "1", "frag_duration": "160000"}
        self._container = av.open(_Forward(target), "w", format="mp4", options=options)
        self._container.metadata.update(synthetic_tags(settings))
        self._pictures = self._container.add_stream(CODEC, rate=FPS, options=PICTURE_OPTIONS)
        self._pictures.width, self._pictures.height, self._pictures.pix_fmt = *size, "yuv420p"
        context = self._pictures.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _TV_RANGE
        self._sound = self._container.add_stream(SOUND_CODEC, rate=SAMPLE_RATE_HZ, layout="mono")
        self._sound.bit_rate = SOUND_BITS_PER_S // 2
        self._graph = Graph()
        where = f"{size[0]}x{size[1]}"
        source = self._graph.add("buffer", video_size=where, pix_fmt="rgb24", time_base="1/25", pixel_aspect="1/1")
        steps = [self._graph.add(name, arguments) for name, arguments in TO_YUV]
        self._graph.link_nodes(source, *steps, self._graph.add("buffersink")).configure()
        self._n_frames = self._n_samples = 0

    def write(self, frames: np.ndarray, sound: np.ndarray) -> None:
        """Append pictures, uint8 [T, H, W, 3], and their sound, float32 [640 T] mono 16 kHz."""
        from av.audio.frame import AudioFrame
        from av.video.frame import VideoFrame

        given = AudioFrame.from_ndarray(np.ascontiguousarray(sound, np.float32)[None], "fltp", "mono")
        given.sample_rate, given.pts, given.time_base = SAMPLE_RATE_HZ, self._n_samples, Fraction(1, SAMPLE_RATE_HZ)
        self._n_samples += len(sound)
        self._container.mux(self._sound.encode(given))
        for frame in frames:
            self._graph.vpush(VideoFrame.from_ndarray(frame, "rgb24"))
            picture = self._graph.vpull()
            picture.pts, picture.time_base = self._n_frames, Fraction(1, FPS)
            self._n_frames += 1
            self._mux_pictures(picture)

    def close(self) -> None:
        """Write the rest, and the mark of what is synthetic. Without it, what was written can still be watched."""
        self._container.mux(self._sound.encode(None))
        self._mux_pictures(None)
        self._container.close()
        self._target.write(xmp_box())

    def _mux_pictures(self, picture: VideoFrame | None) -> None:
        for packet in self._pictures.encode(picture):
            packet.duration = packet.duration or 1  # without, a fragment of one frame takes its time from a guess
            self._container.mux(packet)
