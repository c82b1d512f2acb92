"""Which pictures of a clip are looked at where not all can be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def evenly_spaced(count: int, most: int) -> list[int]:
    """At most `most` of `count` places, in order, from the first to the last.

    >>> evenly_spaced(3, 8), evenly_spaced(100, 4)
    ([0, 1, 2], [0, 33, 66, 99])
    """
    return sorted({round(i * (count - 1) / max(1, min(count, most) - 1)) for i in range(min(count, most))})


def held_between(motion: Sequence[float] | np.ndarray, most: int) -> list[int]:
    """At most `most` places that show what a clip does: it is cut where equally much has moved, and each part gives the
    place at which it is held (our design).

    motion   [T]  how much each picture differs from the one before, any unit; the first value counts for nothing
    returns  as many places as there can be, in order; spread evenly where all pictures move alike

    >>> held_between([0.0] * 100, 4)
    [12, 37, 62, 87]
    >>> still, turning = [0.0] * 40, [1.0, 2.0, 2.0, 1.0]
    >>> held_between([*still, *turning, *still, *turning, *still], 3)
    [20, 63, 106]
    """
    moved = np.nan_to_num(np.asarray(motion, np.float64), posinf=0.0, neginf=0.0).clip(0.0)
    count = len(moved)
    if count <= most:
        return list(range(count))
    moved[0] = 0.0
    seen = moved[moved > 0]
    limit = _CUT * float(np.median(seen)) if len(seen) else 0.0
    moved = moved.clip(max=limit)
    speed = np.maximum(moved, np.append(moved[1:], 0.0))
    path = np.cumsum(moved + (_STILL * moved.mean() or 1.0))
    part = np.minimum((path - path[0]) / (path[-1] - path[0]) * most, most - 1).astype(int)
    chosen = [_slowest(speed, np.flatnonzero(part == number)) for number in range(most) if (part == number).any()]
    while len(chosen) < most:  # a cut that is worth several parts
        edges = np.array([-1, *chosen, count])
        wide = int(np.diff(edges).argmax())
        chosen.insert(wide, int(edges[wide] + edges[wide + 1]) // 2)
    return chosen


_CUT = 8.0
"""A picture moves at most so many times as far as the median one."""
_STILL = 0.5
"""Time counts beside motion: so much of the mean motion for each picture."""


def _slowest(speed: np.ndarray, places: np.ndarray) -> int:
    """The place that moves least; of several, the one nearest to the middle."""
    least = places[speed[places] <= speed[places].min() * (1 + 1e-9)]
    return int(least[np.abs(least - (places[0] + places[-1]) / 2).argmin()])
