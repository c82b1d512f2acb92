"""A live session as an async generator, and between two pipes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ..emotion.text_files import read_text
from ..errors import BadInput
from .session import LiveChunk, LiveSession

READ_BYTES = 1 << 16
PCM_LEVEL = 32768.0
"""Full scale of 16-bit samples."""


async def stream(session: LiveSession, sound: AsyncIterable[np.ndarray]) -> AsyncIterator[LiveChunk]:
    """Chunks of frames as soon as their sound is there, until the sound ends.

    sound  pieces of any size, float32 [N] mono 16 kHz
    Frames are made in a thread of their own, so that the event loop stays free; `session.feel` may be called meanwhile.
    Raises BadInput for what is no sound.
    """
    # One thread for the whole session: torch keeps a pool of workers for each thread that calls it.
    with ThreadPoolExecutor(1, "eadnet-live") as worker:
        made = asyncio.get_running_loop().run_in_executor
        async for samples in sound:
            session.add(samples)
            while (chunk := await made(worker, next, session.chunks(), None)) is not None:
                yield chunk
        session.finish()
        while (chunk := await made(worker, next, session.chunks(), None)) is not None:
            yield chunk


def pcm_of(data: bytes) -> np.ndarray:
    """Samples of 16-bit little-endian mono PCM, float32 in -1 .. 1.

    >>> pcm_of(bytes([0, 128, 0, 64])).tolist()
    [-1.0, 0.5]
    """
    return np.frombuffer(data, "<i2").astype(np.float32) / PCM_LEVEL


def read_pcm(descriptor: int) -> Iterator[np.ndarray]:
    """Samples from a pipe as they come, until it is closed; half a sample at the end is dropped."""
    rest = b""
    while data := os.read(descriptor, READ_BYTES):
        data = rest + data
        whole = len(data) // 2 * 2
        rest = data[whole:]
        if whole:
            yield pcm_of(data[:whole])


def speak(
    session: LiveSession, sound: Iterator[np.ndarray], show: Callable[[LiveChunk], None], words: WordsFile | None = None
) -> int:
    """Let a session say a sound, and hand every chunk to `show` as soon as it is made; returns the number of frames."""
    n_frames = 0

    def show_all() -> None:
        nonlocal n_frames
        for chunk in session.chunks():
            show(chunk)
            n_frames += chunk.n_frames
            if words is not None and (text := words.changed()) is not None:
                session.feel(text)

    for samples in sound:
        session.add(samples)
        show_all()
    session.finish()
    show_all()
    return n_frames


class WordsFile:
    """A file with the words for the emotion, looked at again and again: whoever writes to it directs the face."""

    def __init__(self, path: Path) -> None:
        """Raises BadInput for a file that cannot be read."""
        self.path = path
        self.text = read_text(path, "Emotion file").strip()
        self._seen = self._mark()

    def changed(self) -> str | None:
        """The new words where the file has changed, else None; one that is gone, or cannot be read, changes nothing."""
        mark = self._mark()
        if mark is None or mark == self._seen:
            return None
        self._seen = mark
        try:
            text = read_text(self.path, "Emotion file").strip()
        except BadInput:
            return None
        if text == self.text:
            return None
        self.text = text
        return text

    def _mark(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size
