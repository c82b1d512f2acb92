"""Sound decoded by PyAV: any container, the track that players play, at the time it has beside the picture."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from ...errors import BadInput
from ..containers import open_input, picture_stream
from .form import WANTED, Unreadable, check_form, has_form, length_notes
from .sndfile_parts import FilePart, announced_share, ogg_parts
from .timeline import MAX_SILENCE_S, Clock, Piece, Timeline

if TYPE_CHECKING:
    from av import AudioFrame, AudioStream, Packet
    from av.container import InputContainer

_COUNTING = frozenset({"mp3", "aac", "ac3", "eac3", "dts", "loas", "amr", "flac", "wav", "w64", "aiff", "au", "caf"})
"""FFmpeg's names of formats whose timestamps are packets counted up."""
_RESTARTING = frozenset({"mpegts", "mpeg"})
"""Broadcast: a clock that steps by more than 10 s has started anew, as in FFmpeg."""
_ESTIMATED = frozenset({"aac", "ac3", "eac3", "dts", "loas", "amr", "mpegts", "mpeg"})
"""Formats that announce no length; FFmpeg guesses one."""
_MAX_CODED_PEAK = 8.0
"""A codec overshoots full scale by little; what lies beyond is made of damage."""
_MAX_FAILURES = 16
"""Times in a row that no packet could be read before the file counts as ended."""
_DTYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
_FULL_SCALE = {"u8": 2.0**7, "s16": 2.0**15, "s32": 2.0**31, "s64": 2.0**63}
_BROADCAST_GAP_S = 10


@contextlib.contextmanager
def open_with_pyav(path: Path) -> Iterator[PyAVSound]:
    """See `sound_files.open_sound`; raises Unreadable where nothing could be decoded."""
    skipped: list[int] = []
    while True:
        with _opened(path) as container:
            tracks = _by_preference(container)
            if len(skipped) == len(tracks):
                reason = "no packet of it can be decoded" if tracks else "it holds no track of sound"
                raise Unreadable(f"Audio '{path}' holds no sound that can be read ({reason}). {WANTED}")
            sound = PyAVSound(path, container, tracks[len(skipped)], _later_links(path))
            if sound.is_empty and sound.n_damaged == 0 and len(tracks) == 1:
                raise BadInput(f"Audio '{path}' holds no samples. {WANTED}")
            if not sound.is_empty:
                sound.notes += _track_notes(container, tracks[len(skipped)], skipped)
                yield sound
                return
            skipped.append(tracks[len(skipped)].index)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    with contextlib.ExitStack() as stack:
        links = _links(path, stack)
        try:
            if len(links) > 1:
                container = stack.enter_context(_open_link(links[0]))
            else:
                container = stack.enter_context(open_input(path, "Audio", WANTED))
        except BadInput as error:
            if error.__cause__ is None:
                raise
            reason = getattr(error.__cause__, "strerror", None) or error.__cause__
            raise Unreadable(f"Audio '{path}' holds no sound that can be read ({reason}). {WANTED}") from error
        yield container


def _links(path: Path, stack: contextlib.ExitStack) -> list[FilePart]:
    """The links of a chained Ogg file, which FFmpeg reads together only where they are alike."""
    return ogg_parts(stack.enter_context(path.open("rb")))


def _open_link(link: FilePart) -> InputContainer:
    import av

    try:
        return cast("InputContainer", av.open(link, format="ogg", metadata_errors="replace"))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise BadInput("A link of a chained Ogg file cannot be read.") from error


def _later_links(path: Path) -> Iterator[InputContainer]:
    with contextlib.ExitStack() as stack:
        for link in _links(path, stack)[1:]:
            with _open_link(link) as container:
                yield container


def _by_preference(container: InputContainer) -> list[AudioStream]:
    """Tracks of sound, those first that the file marks as default."""
    from av.stream import Disposition

    return sorted(container.streams.audio, key=lambda stream: not stream.disposition & Disposition.default)


def _track_notes(container: InputContainer, used: AudioStream, skipped: list[int]) -> list[str]:
    from av.stream import Disposition

    tracks = container.streams.audio
    if len(tracks) < 2:
        return []
    number = [stream.index for stream in tracks].index(used.index) + 1
    said = [used.metadata[key] for key in ("title", "language") if used.metadata.get(key, "und") != "und"]
    name = f"track {number} ({', '.join(said)})" if said else f"track {number}"
    why = "which it marks as default" if used.disposition & Disposition.default else "the first that can be read"
    failed = f" {len(skipped)} before it hold nothing that can be decoded." if skipped else ""
    return [f"The file has {len(tracks)} tracks of sound; {name} is used, {why}.{failed}"]


def picture_start_s(container: InputContainer) -> Fraction | None:
    """When the picture starts by the container's clock, time zero of a file; None without one. Cover art is none."""
    stream = picture_stream(container)
    if stream is None:
        return None
    return Fraction(0) if stream.start_time is None else stream.start_time * Fraction(stream.time_base or 0)


class PyAVSound:
    """A `sound_form.SoundReader` of one track; the first piece is decoded at once."""

    def __init__(
        self, path: Path, container: InputContainer, stream: AudioStream, later: Iterator[InputContainer]
    ) -> None:
        """`later` are the links of a chained Ogg file that follow `container`."""
        formats = set(container.format.name.split(","))
        self.path, self.notes = path, list[str]()
        self.n_damaged = self._n_packets = 0
        """Packets that could not be decoded, and all."""
        self._later = later
        self._is_mp4, self._counts, self._is_begun = "mp4" in formats, bool(formats & _COUNTING), False
        self._is_coded = stream.codec_context is not None and not stream.codec_context.name.startswith("pcm_")
        self._announced_s = None if formats & _ESTIMATED else _announced_s(container, stream)
        if self._announced_s is not None and "wav" in formats:
            self._announced_s *= announced_share(path)  # FFmpeg itself takes what the file has
        self._pieces = self._decode_all(container, stream)
        first = next(self._pieces, None)
        self.is_empty = first is None
        if first is None:
            return
        self.rate_hz, self.n_channels = first.rate_hz, len(first.samples)
        self._pieces = chain([first], self._pieces)
        clock = Clock(
            picture_start_s(container),
            counts_packets=self._counts,
            max_gap_s=_BROADCAST_GAP_S if formats & _RESTARTING else MAX_SILENCE_S,
        )
        self._timeline = Timeline(self.rate_hz, self.n_channels, clock)

    def blocks(self) -> Iterator[np.ndarray]:
        """All samples in order, float32 [n_channels, n]."""
        for piece in self._pieces:
            yield from self._timeline.add(piece)
        yield from self._timeline.finish()
        self.notes += self._timeline.notes()
        if self.n_damaged:
            damaged = f"{self.n_damaged} of {self._n_packets} packets of the sound are damaged"
            self.notes.append(f"{damaged}; what could be decoded is used.")
        self.notes += length_notes(self._announced_s, self._timeline.length_s)

    def _decode_all(self, container: InputContainer, stream: AudioStream) -> Iterator[Piece]:
        """Every link of a chain follows the one before: their clocks all start at zero."""
        yield from self._decode(container, stream)
        try:
            for link in self._later:
                tracks = _by_preference(link)
                if self._announced_s is not None and tracks:
                    self._announced_s += _announced_s(link, tracks[0]) or 0.0
                for piece in self._decode(link, tracks[0]) if tracks else ():
                    yield replace(piece, time_s=None)
        except BadInput as error:
            self.notes.append(str(error))

    def _decode(self, container: InputContainer, stream: AudioStream) -> Iterator[Piece]:
        """Whatever can be decoded, in order; the end of an mp4's last packet is padding where its duration says so."""
        is_after_damage = False
        held: tuple[Piece, Packet] | None = None
        for packet in self._packets(container, stream):
            self._n_packets += packet.size > 0
            is_damaged = packet.is_corrupt and not self._counts  # a wav that ends in a part of a packet says so too
            for frame in self._frames(packet):
                if frame is not None and frame.samples == 0:
                    continue
                piece = None if frame is None else self._piece(frame, is_after_damage)
                is_damaged, is_after_damage = is_damaged or piece is None, is_damaged or piece is None
                if piece is None:
                    continue
                if held is not None:
                    yield held[0]
                held = piece, packet
            self.n_damaged += is_damaged
        if held is not None:
            yield self._without_padding(*held)

    def _packets(self, container: InputContainer, stream: AudioStream) -> Iterator[Packet]:
        """All packets to the end of the file; a place where none can be read is passed over."""
        import av

        failures = 0 if stream.codec_context is not None else _MAX_FAILURES
        while failures < _MAX_FAILURES:
            try:
                for packet in container.demux(stream):
                    failures = 0
                    yield packet
                return
            except (av.FFmpegError, OSError, IndexError):  # IndexError: PyAV 17 where a track began on the way
                failures += 1
        self.n_damaged += 1

    def _frames(self, packet: Packet) -> Iterator[AudioFrame | None]:
        """The frames of a packet, None for one that cannot be decoded."""
        import av

        try:
            yield from cast("list[AudioFrame]", packet.decode())
        except (av.FFmpegError, OSError):
            if packet.size:
                yield None

    def _piece(self, frame: AudioFrame, is_after_damage: bool) -> Piece | None:
        """A frame as floats; None where a codec made values of damage that are no sound."""
        n_channels, kind = frame.layout.nb_channels, frame.format.packed.name
        if not has_form(frame.sample_rate, n_channels):
            if not self._is_begun:
                check_form(f"Audio '{self.path}'", frame.sample_rate, n_channels)
            return None
        values = _values(frame, np.dtype(_DTYPES[kind]))
        if kind in _FULL_SCALE:
            zero = _FULL_SCALE[kind] if kind == "u8" else 0.0
            samples = (values.astype(np.float32, order="C") - np.float32(zero)) * np.float32(1 / _FULL_SCALE[kind])
        else:
            samples = values.astype(np.float32, order="C")
            if self._is_coded and not np.abs(samples).max(initial=0.0) <= _MAX_CODED_PEAK:
                return None
        self._is_begun = True
        time_s = None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base
        return Piece(samples, frame.sample_rate, time_s, is_after_damage)

    def _without_padding(self, piece: Piece, packet: Packet) -> Piece:
        if not (self._is_mp4 and packet.duration and packet.time_base):
            return piece
        n_samples = round(packet.duration * packet.time_base * piece.rate_hz)
        if not 0 < n_samples < piece.samples.shape[1]:
            return piece
        return Piece(piece.samples[:, :n_samples], piece.rate_hz, piece.time_s, piece.is_after_damage)


def _values(frame: AudioFrame, dtype: np.dtype) -> np.ndarray:
    """The values of a frame [C, n]. PyAV's own `to_ndarray` reads a ninth plane, which is no memory, after eight."""
    n_channels = frame.layout.nb_channels
    if not frame.format.is_planar:
        return np.frombuffer(memoryview(frame.planes[0]), dtype, frame.samples * n_channels).reshape(-1, n_channels).T
    return np.stack([np.frombuffer(memoryview(plane), dtype, frame.samples) for plane in frame.planes[:n_channels]])


def _announced_s(container: InputContainer, stream: AudioStream) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is not None and len(container.streams) == 1:
        return container.duration / 1e6
    return None
