"""Pictures of a video decoded in this process, by PyAV."""

from __future__ import annotations

import re
import struct
import tempfile
from collections.abc import Callable, Generator, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from ...errors import BadInput
from ..containers import open_input, picture_stream
from ..notes import Notes
from .picture_clock import PictureClock
from .picture_filters import (
    Colours,
    Filters,
    assumed_matrix,
    check_size,
    deinterlaced,
    over_background,
    square_width,
    squared_note,
    to_rgb,
    upright,
)
from .read_ahead import read_ahead
from .tone_map import cube

if TYPE_CHECKING:
    from av.buffer import Buffer
    from av.container import InputContainer
    from av.filter import Graph
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

WANTED = "Give a video file such as an mp4."
_MAX_FPS = 1000
"""No camera of the field is faster; a header that says more is damaged."""
_HELD_BYTES = 12_500_000
"""Pictures that are made before they are asked for."""
_MATRICES = {1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020nc", 10: "bt2020c"}
_TRANSFERS = {16: "smpte2084", 18: "arib-std-b67"}
_PRIMARIES = {9: "bt2020"}
"""ITU-T H.273's numbers of what is told apart here, and FFmpeg's names."""


def read_tags(path: Path) -> dict[str, str]:
    """The tags of a media file. Raises BadInput."""
    with open_input(path, "Video", WANTED) as container:
        return dict(container.metadata)


class PyAVPictures:
    """The picture stream of a file; see `backends.Pictures`."""

    def __init__(self, path: Path, fps: int | None) -> None:
        """Decode the first picture. Raises BadInput where there is none."""
        self.path = path
        self.notes = Notes(path)
        with open_input(path, "Video", WANTED) as container:
            stream = picture_stream(container)
            frames = iter(()) if stream is None else _frames(container, stream, lambda _: None)
            first = next(frames, None)
            if stream is None or first is None:
                raise BadInput(f"Video '{path}' holds no video that can be read. {WANTED}")
            self.rate = Fraction(fps) if fps else _rate_of(stream)
            self._colours = _colours_of(stream, first)
            aspect = stream.sample_aspect_ratio or Fraction(1)
        self._turn = _upright_of(first)
        width, height = first.width, first.height
        if any(name == "transpose" for name, _ in self._turn):
            width, height, aspect = height, width, 1 / aspect
        self.size = square_width(width, aspect), height
        check_size(path, self.size)
        if self.size[0] != width:
            self.notes.add(squared_note(self.size))
        if said := self._colours.note():
            self.notes.add(said)

    @property
    def fps(self) -> float:
        """Pictures per second."""
        return float(self.rate)

    def frames(self, first: int) -> Generator[np.ndarray, None, None]:
        """The pictures from number `first` on, uint8 [H, W, 3], made in a thread of their own."""
        n_held = max(2, min(8, _HELD_BYTES // (3 * self.size[0] * self.size[1])))
        return read_ahead(self._converted(first), n_held)

    def _converted(self, first: int) -> Generator[np.ndarray, None, None]:
        convert: _Converter | None = None
        for number, frame in enumerate(self._timed()):
            if number >= first:
                if convert is None or not convert.takes(frame):
                    convert = _Converter(frame, self._colours, self.size)
                yield convert(frame)

    def count(self) -> int:
        """Number of pictures; they are decoded, but not converted."""
        return sum(1 for _ in self._timed())

    def _timed(self) -> Iterator[VideoFrame]:
        """Frames as they are coded, whole and upright, at a constant rate."""
        line: _Line | None = None
        n_done, is_interlaced = 0, False
        for frame in self._decoded():
            is_interlaced |= frame.interlaced_frame
            if line is None or line.kind != _kind(frame, is_interlaced):
                if line is not None:
                    for out in line.end():
                        n_done += 1
                        yield out
                    if line.kind[:2] != (frame.width, frame.height):
                        self.notes.add("changes its size on the way; its pictures are scaled to that of the first.")
                if is_interlaced:
                    self.notes.add("is interlaced; whole frames were made of its fields (deinterlaced).")
                line = _Line(frame, is_interlaced, self._turn, self.rate, n_done)
            for out in line.add(frame):
                n_done += 1
                yield out
        if line is not None:
            yield from line.end()

    def _decoded(self) -> Iterator[VideoFrame]:
        with open_input(self.path, "Video", WANTED) as container:
            stream = picture_stream(container)
            if stream is None:
                raise BadInput(f"Video '{self.path}' holds no video that can be read. {WANTED}")
            has_jumps = bool(container.format.flags & 0x0200)  # AVFMT_TS_DISCONT
            tick_s = stream.time_base or Fraction(1, 90_000)
            clock = PictureClock(tick_s, self.rate, stream.start_time, has_jumps)
            for frame in _frames(container, stream, self.notes.add):
                frame.pts, frame.time_base = clock.place(frame.pts), tick_s
                yield frame
            if clock.n_jumps:
                self.notes.add(
                    f"has a clock that jumps ({clock.n_jumps} times); its pictures follow each other instead."
                )
            announced_s, end_s = _announced_s(stream), float(clock.end * tick_s)
            if end_s < announced_s - max(0.5, 0.02 * announced_s):
                self.notes.add(f"ends after {end_s:.2f} s of the {announced_s:.2f} s that its header announces.")


def _frames(container: InputContainer, stream: VideoStream, tell: Callable[[str], None]) -> Iterator[VideoFrame]:
    """Everything that can be decoded, in the order of display; `tell` hears of damage."""
    from av.error import FFmpegError

    stream.codec_context.thread_type = "AUTO"
    packets, n_damaged = container.demux(stream), 0
    while True:
        try:
            packet = next(packets, None)
        except FFmpegError as error:
            tell(f"is damaged or cut off ({error.strerror}); the pictures before that are used.")
            packet = None
        except IndexError:  # PyAV 17 at the end of a file in which a stream began late
            packet = None
        try:
            frames = stream.codec_context.decode(packet if packet is not None and packet.size else None)
        except EOFError:
            frames = []
        except FFmpegError:
            n_damaged += 1
            frames = []
        for frame in frames:
            n_damaged += frame.is_corrupt
            yield frame
        if packet is None or not packet.size:
            break
    if n_damaged:
        tell(f"is damaged: {n_damaged} of its pictures could not be read whole.")


def _announced_s(stream: VideoStream) -> float:
    """How long a stream says it is, 0 where it does not; Matroska has it in a tag such as 00:01:02.500000000."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    found = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    return 3600 * int(found[1]) + 60 * int(found[2]) + float(found[3]) if found else 0.0


def _rate_of(stream: VideoStream) -> Fraction:
    """Pictures per second: what most intervals are, or the mean where they vary."""
    guessed, average = stream.guessed_rate, stream.average_rate
    if not guessed or (average and abs(guessed / average - 1) > Fraction(1, 10)):
        guessed = average or guessed
    return Fraction(guessed) if guessed and guessed <= _MAX_FPS else Fraction(25)


def _colours_of(stream: VideoStream, frame: VideoFrame) -> Colours:
    context = stream.codec_context
    return Colours(
        _MATRICES.get(int(frame.colorspace), ""),
        _PRIMARIES.get(int(context.color_primaries), ""),
        _TRANSFERS.get(int(context.color_trc), ""),
        any(component.is_alpha for component in frame.format.components),
    )


def _upright_of(frame: VideoFrame) -> Filters:
    found = frame.side_data.get("DISPLAYMATRIX")
    return [] if found is None else upright(struct.unpack("9i", bytes(cast("Buffer", found))[:36]))


def _kind(frame: VideoFrame, is_interlaced: bool) -> tuple[int, int, str, int, int, bool]:
    """What a graph of filters is made for."""
    return frame.width, frame.height, frame.format.name, int(frame.colorspace), int(frame.color_range), is_interlaced


class _Line:
    """Frames of one kind through filters."""

    def __init__(self, frame: VideoFrame, is_interlaced: bool, turn: Filters, rate: Fraction, n_done: int) -> None:
        """`n_done` frames have been handed out before."""
        self.kind = _kind(frame, is_interlaced)
        timed = ("fps", f"fps={rate}:start_time={float(n_done / rate):.6f}")
        self._graph = _graph(frame, [*(deinterlaced() if is_interlaced else []), *turn, timed])

    def add(self, frame: VideoFrame | None) -> Iterator[VideoFrame]:
        self._graph.vpush(frame)
        while True:
            try:
                yield self._graph.vpull()
            except (BlockingIOError, EOFError):
                return

    def end(self) -> Iterator[VideoFrame]:
        return self.add(None)


class _Converter:
    """Frames of one kind as RGB of one size."""

    def __init__(self, frame: VideoFrame, colours: Colours, size: tuple[int, int]) -> None:
        self._kind = _kind(frame, False)
        matrix = assumed_matrix(colours, size)
        made = str(size[0]), str(size[1])
        if not colours.is_wide:
            self._graph = _graph(frame, to_rgb(colours, matrix, *made, None))
            return
        with tempfile.TemporaryDirectory(prefix="eadnet-") as folder:
            table = Path(folder) / "table.cube"
            table.write_text(cube(colours.transfer), "ascii")
            self._graph = _graph(frame, to_rgb(colours, matrix, *made, str(table)))

    def takes(self, frame: VideoFrame) -> bool:
        return self._kind == _kind(frame, False)

    def __call__(self, frame: VideoFrame) -> np.ndarray:
        self._graph.vpush(frame)
        return over_background(self._graph.vpull().to_ndarray())


def _graph(frame: VideoFrame, filters: Filters) -> Graph:
    """Filters in a row for frames of one kind."""
    from av.filter import Graph

    graph = Graph()
    source = graph.add(
        "buffer",
        video_size=f"{frame.width}x{frame.height}",
        pix_fmt=frame.format.name,
        time_base=str(frame.time_base),
        pixel_aspect="1/1",
        colorspace=str(int(frame.colorspace)),
        range=str(int(frame.color_range)),
    )
    steps = [graph.add(name, arguments or None) for name, arguments in filters]
    graph.link_nodes(source, *steps, graph.add("buffersink")).configure()
    return graph
