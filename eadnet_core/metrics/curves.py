"""What is asked for against what is seen: curves, whether they rise, and a page of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from .plot import LINE, PALETTE, SOFT_INK, Chart, Page

WIDTH, HEIGHT = 1200, 1130
_WIDE = {"intensity": (92, 110, 470, 420), "blend": (740, 110, 1000, 420)}
_SMALL_TOP, _SMALL_HEIGHT, _SMALL_WIDTH, _SMALL_GAP = 560, 190, 240, 140


@dataclass(frozen=True)
class Curve:
    """What was seen at each value asked for, in rising order."""

    asked: tuple[float, ...]
    seen: tuple[float, ...]

    @property
    def spearman(self) -> float:
        """Whether it rises all the way: Spearman's rank correlation, 1 where every step goes up."""
        return spearman(self.asked, self.seen)


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Rank correlation -1 .. 1; ties share their ranks, and a curve that never moves has 0.

    >>> round(spearman([0, 1, 2, 3], [0.1, 0.5, 0.4, 0.9]), 6)
    0.8
    >>> spearman([0, 1, 2], [0.3, 0.3, 0.3])
    0.0
    """
    a, b = (_ranks(np.asarray(values, float)) for values in (first, second))
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm > 0 else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    return (values[:, None] > values).sum(1) + 0.5 * (values[:, None] == values).sum(1)


def draw_curves(
    title: str,
    intensity: Mapping[str, Curve],
    blend: Mapping[str, Curve],
    amplitudes: Mapping[str, tuple[Curve, str]],
) -> Image.Image:
    """One page: intensity by emotion, blends by pair, and each amplitude with what it is measured in."""
    page = Page(WIDTH, HEIGHT)
    page.text(40, 28, title, 22)
    _draw_many(page, "intensity", "Intensity asked and seen", intensity, "asked", "seen, 0 .. 1")
    _draw_many(page, "blend", "Blends of two", blend, "weight of the second", "log-odds of the second")
    for number, (name, (curve, unit)) in enumerate(amplitudes.items()):
        left = 92 + (_SMALL_WIDTH + _SMALL_GAP) * (number % 3)
        top = _SMALL_TOP + (_SMALL_HEIGHT + 120) * (number // 3)
        box = (left, top, left + _SMALL_WIDTH, top + _SMALL_HEIGHT)
        chart = Chart(page, box, _range(curve.asked), (0.0, 1.1 * max(curve.seen)), f"{name}: {curve.spearman:+.2f}")
        chart.grid()
        chart.line(np.array(curve.asked), np.array(curve.seen), LINE)
        chart.axes("asked", unit)
    return page.finish()


def _draw_many(page: Page, place: str, title: str, curves: Mapping[str, Curve], x: str, y: str) -> None:
    box = _WIDE[place]
    every = [value for curve in curves.values() for value in curve.seen]
    low = min(0.0, *every)
    chart = Chart(page, box, (0.0, 1.0), (low, max(every)), title)
    chart.grid()
    colours = dict(zip(curves, PALETTE[len(PALETTE) - len(curves) :], strict=True))
    for name, curve in curves.items():
        chart.line(np.array(curve.asked), np.array(curve.seen), colours[name])
    chart.axes(x, y)
    page.legend(box[2] + 14, box[1], [(f"{n} {c.spearman:+.2f}", colours[n]) for n, c in curves.items()])
    page.text(box[2] + 14, box[1] + 20 * len(curves) + 6, "rank correlation", 11, SOFT_INK)


def _range(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)
