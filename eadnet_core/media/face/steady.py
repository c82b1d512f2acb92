"""Alphas of a video's frames that do not flicker: a pixel that stays as it was averages its alpha over frames before.

A net that sees each frame by itself answers noise and compression with an edge that trembles. The average is over time
alone and guided by the picture (a bilateral filter, Tomasi and Manduchi 1998): a pixel whose brightness has changed
keeps the alpha of its own frame, so that what moves leaves no trail. Our design.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

N_BEFORE = 4
"""Frames before that are averaged in."""
CHANGED = 5.0
"""Change of brightness, of 255, at which the weight of a frame before has fallen to 37 %: compression changes less."""
_AROUND = 5
"""Side in pixels of the square over which a change is looked at: the noise of one pixel is no change."""

Found = tuple[np.ndarray, np.ndarray]
"""The picture, uint8 [H, W, 3], and its alpha, uint8 [H, W]."""
_Kept = tuple[np.ndarray, np.ndarray]
"""The brightness of a picture, uint8 [H, W], and its alpha."""


class Steady:
    """Alphas of frames, each averaged with those before it.

    Frames are asked for by their number, in any order. What came before is remembered while they come in order, and
    looked at again otherwise: a segment made anew is to the bit what it was.
    """

    def __init__(self, found: Callable[[int], Found] | None = None) -> None:
        """`found(number)` looks at one frame by itself; without it, frames that were not asked for are left out."""
        self._found = found
        self._kept: dict[int, _Kept] = {}

    def at(self, number: int, own: Found | None = None) -> np.ndarray:
        """The alpha of a frame, uint8 [H, W]; `own` is what `found(number)` would give, where it is known already."""
        first = max(0, number - N_BEFORE)
        known = self._kept if own is None else {**self._kept, number: _kept(own)}
        numbers = range(number, first - 1, -1)
        if self._found is not None:
            known = {i: known[i] if i in known else _kept(self._found(i)) for i in numbers}
        self._kept = {i: known[i] for i in numbers if i in known}
        return averaged(list(self._kept.values()))


def averaged(frames: list[_Kept]) -> np.ndarray:
    """The alpha of the first of frames, averaged with those of the others where its picture is the same: uint8 [H, W].

    frames  brightness and alpha of each, uint8 [H, W]

    >>> grey = np.full((8, 8), 90, np.uint8)
    >>> light = [(grey, np.full((8, 8), v, np.uint8)) for v in (100, 110)]
    >>> int(averaged(light)[4, 4]), int(averaged([light[0], (grey + 90, light[1][1])])[4, 4])
    (105, 100)
    """
    from scipy.ndimage import uniform_filter  # here, since most clips need none, and it takes long to import

    (picture, alpha), before = frames[0], frames[1:]
    result = alpha.copy()
    unsure = _unsure([alpha for _, alpha in frames])
    if unsure is None:
        return result
    now = picture[unsure].astype(np.float32)
    total, weights = alpha[unsure].astype(np.float32), np.ones_like(now)
    for earlier, other in before:
        if earlier.shape != picture.shape:  # another picture altogether
            continue
        change = np.abs(now - earlier[unsure])
        weight = np.exp(-((uniform_filter(change, _AROUND, mode="nearest") / CHANGED) ** 2))
        total += weight * other[unsure]
        weights += weight
    result[unsure] = np.rint(total / weights)
    return result


def _kept(found: Found) -> _Kept:
    picture, alpha = found
    return (picture.sum(2, dtype=np.uint16) // 3).astype(np.uint8), alpha


def _unsure(alphas: list[np.ndarray]) -> tuple[slice, slice] | None:
    """The rows and columns in which alphas differ from one another; None where they do nowhere."""
    differs: Any = np.zeros(alphas[0].shape, bool)
    for other in alphas[1:]:
        if other.shape == alphas[0].shape:
            differs |= other != alphas[0]
    rows, columns = np.flatnonzero(differs.any(1)), np.flatnonzero(differs.any(0))
    if not len(rows):
        return None
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
