"""Files whose headers say too little for libsndfile, shown to it with the header that they should have.

libsndfile stops at the announced length. Joined mp3 files, mp3 of varying rate without a Xing header, chained Ogg and
wav files whose size was never written are put right here without being copied.
"""

from __future__ import annotations

import io
import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

_MPEG_RATES_HZ = (44_100, 48_000, 32_000)
_KBPS = {
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Bit rates of Layer III in MPEG 1, and in MPEG 2 and 2.5."""
_NO_SIZE = (0, 0xFFFFFFFF)
_XING_HAS_FRAMES, _XING_HAS_BYTES = 1, 2


class FilePart(io.RawIOBase):
    """Pieces of a file, and bytes that stand before them, as one file."""

    def __init__(self, file: BinaryIO, head: bytes, spans: list[tuple[int, int]]) -> None:
        """`spans` are (start, end) in bytes of `file`, in order."""
        self._file, self._head, self._spans = file, head, spans
        self._at = 0
        self._size = len(head) + sum(end - start for start, end in spans)

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Bytes from the beginning."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte; returns its number."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: object) -> int:
        """Fill as much of a buffer as one piece gives."""
        view = memoryview(buffer)  # type: ignore[arg-type]
        data = self._next(len(view))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _next(self, n_bytes: int) -> bytes:
        at = self._at
        if at < len(self._head):
            return self._head[at : at + n_bytes]
        at -= len(self._head)
        for start, end in self._spans:
            if at < end - start:
                self._file.seek(start + at)
                return self._file.read(min(n_bytes, end - start - at))
            at -= end - start
        return b""


def parts_of(file: BinaryIO) -> list[FilePart]:
    """The files that a file consists of: one, or several in a chained Ogg."""
    size = file.seek(0, io.SEEK_END)
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[:4] == b"OggS":
            return ogg_parts(file)
        if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
            return [_wav(file, data)]
        if data[:3] == b"ID3" or _mp3_frame(data, 0) is not None:
            part = _mp3(file, data)
            return [FilePart(file, b"", [(0, size)]) if part is None else part]
    return [FilePart(file, b"", [(0, size)])]


def ogg_parts(file: BinaryIO) -> list[FilePart]:
    """The links of a chained Ogg file: a page that begins a stream, after one that does not, starts the next.

    One for an Ogg file that is no chain; none for any other file.
    """
    file.seek(0)
    if file.read(4) != b"OggS":
        return []
    starts, at, was_first = [0], 0, True
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        while at >= 0 and at + 27 <= len(data):
            is_first = bool(data[at + 5] & 2)
            if is_first and not was_first:
                starts.append(at)
            was_first = is_first
            n_segments = data[at + 26]
            at = data.find(b"OggS", at + 27 + n_segments + sum(data[at + 27 : at + 27 + n_segments]))
        return [FilePart(file, b"", [span]) for span in pairwise([*starts, len(data)])]


def announced_share(path: Path) -> float:
    """How many times more samples a wav file announces than it has bytes for; 1 where all are there."""
    with path.open("rb") as file:
        if file.read(4) not in (b"RIFF", b"RIFX"):
            return 1.0
        file.seek(12)
        while len(head := file.read(8)) == 8:
            n_bytes = struct.unpack("<I", head[4:])[0]
            if head[:4] == b"data":
                n_there = path.stat().st_size - file.tell()
                return 1.0 if n_bytes in _NO_SIZE else max(1.0, n_bytes / max(1, n_there))
            file.seek(n_bytes + n_bytes % 2, io.SEEK_CUR)
    return 1.0


def _wav(file: BinaryIO, data: mmap.mmap) -> FilePart:
    """A wav file; where the size of its samples was never written, they go to the end of the file."""
    at = 12
    while at + 8 <= len(data):
        name, n_bytes = data[at : at + 4], struct.unpack("<I", data[at + 4 : at + 8])[0]
        at += 8
        if name == b"data":
            if n_bytes not in _NO_SIZE:
                break
            n_bytes = min(len(data) - at, 0xFFFFFFFE)
            return FilePart(file, data[: at - 4] + struct.pack("<I", n_bytes), [(at, at + n_bytes)])
        at += n_bytes + n_bytes % 2
    return FilePart(file, b"", [(0, len(data))])


@dataclass(frozen=True)
class _Mp3Frame:
    n_bytes: int
    tag_at: int
    """Where a Xing header would begin, from the frame's start."""


def _mp3_frame(data: mmap.mmap, at: int) -> _Mp3Frame | None:
    """The Layer III frame that starts at a byte, or None."""
    head = data[at : at + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2 or head[1] & 0x18 == 0x08:
        return None
    is_mpeg_1, is_mono = head[1] & 0x18 == 0x18, head[3] & 0xC0 == 0xC0
    kbps_index, rate_index = head[2] >> 4, head[2] >> 2 & 3
    if kbps_index in (0, 15) or rate_index == 3:
        return None
    kbps = _KBPS[1 if is_mpeg_1 else 2][kbps_index]
    rate_hz = _MPEG_RATES_HZ[rate_index] // (1 if is_mpeg_1 else 4 if head[1] & 0x18 == 0 else 2)
    n_bytes = (144 if is_mpeg_1 else 72) * kbps * 1000 // rate_hz + (head[2] >> 1 & 1)
    side_info = (17 if is_mono else 32) if is_mpeg_1 else (9 if is_mono else 17)
    return _Mp3Frame(n_bytes, 4 + side_info)


def _mp3_frames(data: mmap.mmap) -> Iterator[tuple[int, _Mp3Frame]]:
    """(start, frame) of all frames; what lies between them (tags, damage) is passed over."""
    at, is_in_step = 0, False
    while 0 <= at < len(data) - 4:
        if data[at : at + 3] == b"ID3":
            size = data[at + 6 : at + 10]
            at += 10 + (size[0] << 21 | size[1] << 14 | size[2] << 7 | size[3])
            continue
        frame = _mp3_frame(data, at)
        next_at = 0 if frame is None else at + frame.n_bytes
        if frame is None or not (is_in_step or next_at >= len(data) or _mp3_frame(data, next_at)):
            next_id3, next_sync = data.find(b"ID3", at + 1), data.find(b"\xff", at + 1)
            at = min((p for p in (next_id3, next_sync) if p >= 0), default=-1)
            is_in_step = False
            continue
        yield at, frame
        at, is_in_step = next_at, True


def _mp3(file: BinaryIO, data: mmap.mmap) -> FilePart | None:
    """All frames of an mp3 file behind one Xing header that counts them; None where there are none."""
    spans: list[tuple[int, int]] = []
    header: bytearray | None = None
    n_frames = 0
    for start, frame in _mp3_frames(data):
        tag = data[start + frame.tag_at : start + frame.tag_at + 4]
        if header is None and tag in (b"Xing", b"Info"):
            header = bytearray(data[start : start + frame.n_bytes])
            continue
        if header is None:
            header = bytearray(data[start : start + 4] + bytes(frame.n_bytes - 4))
            header[frame.tag_at : frame.tag_at + 4] = b"Xing"
        if n_frames == 0:
            tag_at = frame.tag_at
        end = min(start + frame.n_bytes, len(data))
        spans = [*spans[:-1], (spans[-1][0], end)] if spans and spans[-1][1] == start else [*spans, (start, end)]
        n_frames += 1
    if header is None or n_frames == 0:
        return None
    flags = struct.unpack(">I", header[tag_at + 4 : tag_at + 8])[0]
    if flags & _XING_HAS_FRAMES or flags == 0:
        header[tag_at + 4 : tag_at + 12] = struct.pack(">II", flags | _XING_HAS_FRAMES, n_frames)
    if flags & _XING_HAS_FRAMES and flags & _XING_HAS_BYTES:
        n_bytes = len(header) + sum(end - start for start, end in spans)
        header[tag_at + 12 : tag_at + 16] = struct.pack(">I", n_bytes)
    return FilePart(file, bytes(header), spans)
