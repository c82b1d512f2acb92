"""Which pictures of a clip are looked at where not all can be."""

from __future__ import annotations


def evenly_spaced(count: int, most: int) -> list[int]:
    """At most `most` of `count` places, in order, from the first to the last.

    >>> evenly_spaced(3, 8), evenly_spaced(100, 4)
    ([0, 1, 2], [0, 33, 66, 99])
    """
    return sorted({round(i * (count - 1) / max(1, min(count, most) - 1)) for i in range(min(count, most))})
