"""How many frames are decoded together: their number decides the last bits, and the memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

DECODE_FRAMES, DECODE_PX = 8, 256
"""Frames that are decoded together, of this size or smaller."""


def in_parts(frames: Any, at_once: int = DECODE_FRAMES) -> Iterator[tuple[int, Any]]:
    """(start, at most `at_once` of them), one after the other."""
    for start in range(0, len(frames), at_once):
        yield start, frames[start : start + at_once]


def frames_at_once(size_px: int) -> int:
    """Frames of a size that are decoded together: large ones take as much memory as DECODE_FRAMES of DECODE_PX.

    >>> frames_at_once(128), frames_at_once(512)
    (8, 2)
    """
    return max(1, min(DECODE_FRAMES, DECODE_FRAMES * DECODE_PX**2 // size_px**2))
