"""Long clips from short windows: position-shift fusion (Sonic, DICE-Talk).

At each step the clip is cut into windows that do not overlap, and the cuts move by `shift` frames from step to step:
every frame is denoised exactly once per step (cost 1.0x) and context spreads over the steps.

Our choice at the ends: no wrap-around. Frame 0 and frame T - 1 are not neighbours, and a window around both ends would
let attention tie them together. Instead the first and last window of a step may be shorter, but never under a quarter
of the window. The mini takes any length, so a shorter window is an ordinary input to it; what a net with norms over
frames makes of a frame depends on the window's length, so for LatentSync's the sampler fills short windows up.

"fixed" windows do not shift and the last one is what is left: LatentSync's own, with a seam every 16 frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

SHIFT_FRAMES = 7
"""How far the cuts move per step; it shares no divisor with the usual window lengths, so cuts do not return soon."""


class Window(NamedTuple):
    """Frames start .. stop - 1."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        return self.stop - self.start


def plan(n_frames: int, window: int, step_index: int, shift: int = SHIFT_FRAMES) -> list[Window]:
    """The windows of one step, in order; together they cover each of `n_frames` once, none longer than `window`.

    shift  frames that the cuts move per step; at 0 they stay, and the last window may have a single frame

    >>> plan(40, 16, 0)
    [Window(start=0, stop=16), Window(start=16, stop=32), Window(start=32, stop=40)]
    >>> plan(40, 16, 1)
    [Window(start=0, stop=7), Window(start=7, stop=23), Window(start=23, stop=36), Window(start=36, stop=40)]
    >>> [window.length for window in plan(33, 16, 5, shift=0)]
    [16, 16, 1]
    """
    if n_frames <= window:
        return [Window(0, n_frames)]
    least = max(1, window // 4) if shift else 1
    cuts = list(range(step_index * shift % window or window, n_frames, window))
    cuts[0] = max(cuts[0], least)
    cuts[-1] = min(cuts[-1], n_frames - least)
    edges = [0, *cuts, n_frames]
    return [Window(start, stop) for start, stop in pairwise(edges)]


def fuse(pieces: Sequence[Tensor], windows: Sequence[Window], dim: int = 1) -> Tensor:
    """The clip from the pieces of its windows, which may come in any order."""
    order = sorted(range(len(windows)), key=lambda i: windows[i].start)
    return torch.cat([pieces[i] for i in order], dim=dim)


def batches(windows: Sequence[Window], batch_windows: int) -> list[list[Window]]:
    """Windows of equal length together, at most `batch_windows` in one forward pass.

    >>> [len(b) for b in batches(plan(40, 16, 1), 8)]
    [1, 1, 1, 1]
    >>> [len(b) for b in batches(plan(64, 16, 0), 3)]
    [3, 1]
    """
    by_length: dict[int, list[Window]] = {}
    for window in windows:
        by_length.setdefault(window.length, []).append(window)
    return [group[i : i + batch_windows] for group in by_length.values() for i in range(0, len(group), batch_windows)]
