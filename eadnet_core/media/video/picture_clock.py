"""The time of every picture of a stream, counted from the start of the stream and free of jumps."""

from __future__ import annotations

from fractions import Fraction

MAX_GAP_S = 600.0
"""A longer hole between two pictures is a damaged clock and is not filled."""
MAX_JUMP_S = 10.0
"""The same in formats whose clock may begin anew, such as MPEG-TS: ffmpeg's dts_delta_threshold."""

MAX_BACK_S = 0.1
"""Pictures come in the order of display; a clock that goes back further has begun anew (as in ffmpeg)."""


class PictureClock:
    """Presentation times, in ticks of the stream, as they come from a decoder, made relative to the stream's start.

    n_jumps counts the holes that were not believed; after each, pictures follow the last one at the stream's rate.
    """

    def __init__(self, tick_s: Fraction, fps: Fraction, start: int | None, has_jumps: bool) -> None:
        """`start` is the stream's first time, or None for that of its first picture; has_jumps: see MAX_JUMP_S."""
        self.n_jumps = 0
        self._start = start
        self._step = max(1, round(1 / (fps * tick_s)))
        self._most = (MAX_JUMP_S if has_jumps else MAX_GAP_S) / float(tick_s)
        self._back = MAX_BACK_S / float(tick_s)
        self._last = -self._step

    @property
    def end(self) -> int:
        """When the last picture ends, in ticks."""
        return self._last + self._step

    def place(self, pts: int | None) -> int:
        """The time of the next picture.

        >>> clock = PictureClock(Fraction(1, 1000), Fraction(25), 500, has_jumps=True)
        >>> [clock.place(pts) for pts in (500, 540, None, 90_000, 90_040, 500)]
        [0, 40, 80, 120, 160, 200]
        """
        if pts is None:
            self._last += self._step
            return self._last
        if self._start is None:
            self._start = pts
        if not -self._back <= pts - self._start - self._last <= self._most:
            self.n_jumps += 1
            self._start = pts - self._last - self._step
        self._last = pts - self._start
        return self._last
