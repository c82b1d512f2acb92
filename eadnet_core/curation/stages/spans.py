"""Stage 3: scenes become clips of 5 to 10 seconds: the lengths that HDTF, MEAD and LatentSync's own data are cut to."""

from __future__ import annotations

from itertools import pairwise


def clip_spans(starts: list[int], n_frames: int, least: int, most: int) -> list[tuple[int, int, bool]]:
    """(first frame, one behind the last, is long enough) of every clip; a long scene is cut evenly, none is lost.

    starts       first frame of every scene
    least, most  frames of a clip; most is at least twice least

    >>> clip_spans([0, 60, 200], 800, 125, 250)
    [(0, 60, False), (60, 200, True), (200, 400, True), (400, 600, True), (600, 800, True)]
    """
    spans = []
    for first, last in pairwise([*starts, n_frames]):
        n_clips = max(1, -(-(last - first) // most))
        edges = [first + round(i * (last - first) / n_clips) for i in range(n_clips + 1)]
        spans += [(a, b, b - a >= least) for a, b in pairwise(edges) if b > a]
    return spans
