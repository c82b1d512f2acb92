"""Video files encoded and joined in this process, by PyAV."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from ..containers import open_input
from ..sound.audio import Audio, original_samples
from .encoding import (
    ALPHA_CODEC,
    ALPHA_OPTIONS,
    CODEC,
    MP4_FLAGS,
    PART_OPTIONS,
    PICTURE_OPTIONS,
    SOUND_BITS_PER_S,
    SOUND_CODEC,
    SOUND_RATES_HZ,
    encoder_threads,
)
from .parameter_sets import with_parameter_sets
from .picture_filters import TO_YUV, TO_YUVA, Filters

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.filter import Graph
    from av.packet import Packet
    from av.video.stream import VideoStream

_LAYOUTS = ("mono", "stereo", "2.1", "4.0", "5.0", "5.1", "6.1", "7.1")
"""FFmpeg's usual layout of so many channels."""
_BLOCK_SAMPLES = 8192
_REMAKE = "Remove it; with --resume it is made again."
_BT709, _TV_RANGE = 1, 1
"""ITU-T H.273's number of BT.709 for matrix, primaries and transfer; FFmpeg's of the range 16 .. 235."""


class PyAVEncoder:
    """H.264, or ProRes where there is an alpha, and AAC into one file; see `backends.Encoder`."""

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        fps: Fraction,
        audio: Audio | None,
        tags: dict[str, str],
        is_part: bool,
        quality: dict[str, str] | None = None,
        has_alpha: bool = False,
    ) -> None:
        """Open the file. `size` (width, height) is even; `quality` are x264's options in place of the usual ones."""
        self._container = _open_output(path, tags)
        options = {**(quality or PICTURE_OPTIONS), **(PART_OPTIONS if is_part else {})}
        codec, options = (ALPHA_CODEC, ALPHA_OPTIONS) if has_alpha else (CODEC, options)
        self._stream = cast("VideoStream", self._container.add_stream(codec, rate=fps, options=options))
        self._pixels, filters = ("rgba", TO_YUVA) if has_alpha else ("rgb24", TO_YUV)
        self._stream.width, self._stream.height, self._stream.pix_fmt = *size, filters[1][1]
        context = self._stream.codec_context
        context.thread_type, context.thread_count = "FRAME", encoder_threads()
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _TV_RANGE
        self._sound = None if audio is None else _SoundTrack(self._container, audio, None)
        self._graph = _to_yuv(size, self._pixels, filters)
        self._n, self._fps = 0, fps

    def encode(self, frame: np.ndarray) -> None:
        """See `backends.Encoder`."""
        from av.video.frame import VideoFrame

        self._graph.vpush(VideoFrame.from_ndarray(frame, self._pixels))
        converted = self._graph.vpull()
        converted.pts, converted.time_base = self._n, 1 / self._fps
        self._n += 1
        self._write(self._stream.encode(converted))

    def _write(self, packets: Sequence[Packet]) -> None:
        for packet in packets:
            packet.duration = packet.duration or 1
            if self._sound is not None:
                self._sound.write_until(_seconds(packet.dts, packet))
            self._container.mux(packet)

    def finish(self) -> None:
        """Write the rest; the file is whole when this returns."""
        self._write(self._stream.encode(None))
        if self._sound is not None:
            self._sound.write_until(None)
        self._container.close()

    def abort(self) -> None:
        """Let go of the file; harmless after `finish`."""
        with contextlib.suppress(OSError, ValueError):
            self._container.close()


def join_parts(
    parts: Sequence[Path], path: Path, audio: Audio | None, tags: dict[str, str], duration_s: Fraction | None
) -> None:
    """Write the pictures of parts into one file without decoding them; see `backends.join_files`."""
    with contextlib.closing(_open_output(path, tags)) as container:
        with open_input(parts[0], "Segment", _REMAKE) as first:
            given = first.streams.video[0]
            stream, settings = container.add_stream_from_template(given, opaque=True), given.codec_context.extradata
        sound = None if audio is None else _SoundTrack(container, audio, duration_s)
        for packet in _in_a_row(parts, settings):
            if sound is not None:
                sound.write_until(_seconds(packet.dts, packet))
            packet.stream = stream
            container.mux(packet)
        if sound is not None:
            sound.write_until(None)


def _in_a_row(parts: Sequence[Path], settings: bytes | None) -> Iterator[Packet]:
    """The packets of parts, each part's after the last one's; `settings` are the parameter sets of the file."""
    start = 0
    for part in parts:
        end = start
        with open_input(part, "Segment", _REMAKE) as source:
            stream = source.streams.video[0]
            own = stream.codec_context.extradata
            for packet in source.demux(stream):
                if packet.pts is None or packet.dts is None:  # what tells the decoder that this was all
                    continue
                pts, dts = start + packet.pts, start + packet.dts
                end = max(end, pts + (packet.duration or 0))
                if packet.is_keyframe and own and own != settings:
                    packet = with_parameter_sets(packet, own)
                packet.pts, packet.dts = pts, dts
                yield packet
        start = end


def _seconds(ticks: int | None, packet: Packet) -> float:
    return float((ticks or 0) * (packet.time_base or 0))


class _SoundTrack:
    """The original sound on its way into a container, in AAC packets."""

    def __init__(self, container: OutputContainer, audio: Audio, end_s: Fraction | None) -> None:
        """Read its beginning; `end_s` cuts it. Raises BadInput for a sound that cannot be read."""
        self._container, self._rate_hz = container, audio.rate_hz
        self._n_left = None if end_s is None else ceil(end_s * audio.rate_hz)
        self._blocks = original_samples(audio)
        first = next(self._blocks)
        self._layout = _LAYOUTS[len(first) - 1]
        rate_hz = min((r for r in SOUND_RATES_HZ if r >= audio.rate_hz), default=SOUND_RATES_HZ[-1])
        self._stream = container.add_stream(SOUND_CODEC, rate=rate_hz, layout=self._layout)
        self._stream.bit_rate = SOUND_BITS_PER_S
        self._packets = self._encoded(first)
        self._held: Packet | None = None

    def write_until(self, time_s: float | None) -> None:
        """Write the packets up to a time, so that they lie beside the pictures; None writes all."""
        while (packet := self._held or next(self._packets, None)) is not None:
            self._held = packet
            if time_s is not None and _seconds(packet.pts, packet) > time_s:
                return
            self._held = None
            self._container.mux(packet)

    def _encoded(self, first: np.ndarray) -> Iterator[Packet]:
        from av.audio.frame import AudioFrame

        n_done = 0
        for block in self._cut(first):
            frame = AudioFrame.from_ndarray(np.ascontiguousarray(block.T).reshape(1, -1), "flt", self._layout)
            frame.sample_rate, frame.pts, frame.time_base = self._rate_hz, n_done, Fraction(1, self._rate_hz)
            n_done += block.shape[1]
            yield from self._stream.encode(frame)
        yield from self._stream.encode(None)

    def _cut(self, first: np.ndarray) -> Iterator[np.ndarray]:
        """Blocks [C, n] of float32, short ones, up to the end."""
        for whole in chain([first], self._blocks):
            for start in range(0, whole.shape[1], _BLOCK_SAMPLES):
                block = whole[:, start : start + _BLOCK_SAMPLES]
                if self._n_left is not None:
                    block = block[:, : self._n_left]
                    self._n_left -= block.shape[1]
                if block.shape[1] == 0:
                    return
                yield block


def _open_output(path: Path, tags: dict[str, str]) -> OutputContainer:
    import av

    container = av.open(f"file:{path.resolve()}", "w", options={"movflags": MP4_FLAGS})
    container.metadata.update(tags)
    return container


def _to_yuv(size: tuple[int, int], pixels: str, filters: Filters) -> Graph:
    from av.filter import Graph

    graph = Graph()
    source = graph.add(
        "buffer", video_size=f"{size[0]}x{size[1]}", pix_fmt=pixels, time_base="1/25", pixel_aspect="1/1"
    )
    steps = [graph.add(name, arguments) for name, arguments in filters]
    graph.link_nodes(source, *steps, graph.add("buffersink")).configure()
    return graph
