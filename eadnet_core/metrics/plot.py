"""Line and area charts drawn with Pillow, which is always present: the report needs no plotting package."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SUPERSAMPLING = 2
"""Pages are drawn this much larger and reduced at the end, which smooths every line."""
INK, SOFT_INK, GRID = (32, 36, 44), (108, 114, 126), (226, 229, 234)
PALETTE = (
    (142, 148, 158),
    (240, 176, 32),
    (58, 110, 190),
    (206, 54, 48),
    (126, 78, 168),
    (88, 148, 62),
    (24, 168, 176),
    (196, 108, 150),
)
"""One colour per emotion, in the order of the taxonomy."""
LINE, ACCENT = (20, 92, 158), (206, 54, 48)
Color = tuple[int, int, int]
LegendEntry = tuple[str, Color]


class Page:
    """A white picture to draw on, measured in final pixels."""

    def __init__(self, width: int, height: int) -> None:
        self._image = Image.new("RGB", (width * SUPERSAMPLING, height * SUPERSAMPLING), "white")
        self._draw = ImageDraw.Draw(self._image)
        self.size = (width, height)

    def text(self, x: float, y: float, text: str, size: float = 14, color: Color = INK, anchor: str = "lt") -> None:
        """Write one line; `anchor` is Pillow's two letters: l m r for x, t m b for y."""
        self._draw.text(_scale((x, y)), text, fill=color, font=_font(size), anchor=anchor)

    def vertical_text(self, x: float, y: float, text: str, size: float = 14, color: Color = SOFT_INK) -> None:
        """Write one line upwards, centred on (x, y)."""
        left, top, right, bottom = _font(size).getbbox(text)
        label = Image.new("L", (int(right - left) + 4, int(bottom - top) + 4), 0)
        ImageDraw.Draw(label).text((2 - left, 2 - top), text, fill=255, font=_font(size))
        label = label.rotate(90, expand=True)
        corner = (int(x * SUPERSAMPLING - label.width / 2), int(y * SUPERSAMPLING - label.height / 2))
        self._image.paste(color, (*corner, corner[0] + label.width, corner[1] + label.height), label)

    def line(self, points: Sequence[tuple[float, float]], color: Color, width: float = 1.0) -> None:
        """A line through `points`; with a single point, a dot."""
        if len(points) == 1:
            (x, y), r = points[0], 2 * width
            self._draw.ellipse((*_scale((x - r, y - r)), *_scale((x + r, y + r))), fill=color)
        else:
            self._draw.line([_scale(p) for p in points], color, max(1, round(width * SUPERSAMPLING)), joint="curve")

    def polygon(self, points: Sequence[tuple[float, float]], color: Color) -> None:
        """A filled area."""
        if len(points) > 2:
            self._draw.polygon([_scale(p) for p in points], fill=color)

    def legend(self, x: float, y: float, entries: Sequence[LegendEntry]) -> None:
        """Coloured squares with their names, one below another."""
        for row, (name, color) in enumerate(entries):
            top = y + 20 * row
            self.polygon([(x, top), (x + 12, top), (x + 12, top + 12), (x, top + 12)], color)
            self.text(x + 18, top + 6, name, 13, INK, "lm")

    def finish(self) -> Image.Image:
        """The page at its final size."""
        return self._image.reduce(SUPERSAMPLING)


class Chart:
    """One pair of axes on a page."""

    def __init__(
        self,
        page: Page,
        box: tuple[float, float, float, float],
        x_range: tuple[float, float],
        y_range: tuple[float, float],
        title: str = "",
    ) -> None:
        """`box` holds x0, y0, x1, y1 of the plotting area in pixels; an empty range is widened by one."""
        self._page, self._box = page, box
        self._x_range = x_range if x_range[1] > x_range[0] else (x_range[0] - 0.5, x_range[0] + 0.5)
        self._y_range = y_range if y_range[1] > y_range[0] else (y_range[0] - 0.5, y_range[0] + 0.5)
        page.text(box[0], box[1] - 12, title, 16, INK, "lb")

    def area(self, x: np.ndarray, low: np.ndarray, high: np.ndarray, color: Color) -> None:
        """Fill between two curves."""
        self._page.polygon(self._points(x, high) + self._points(x, low)[::-1], color)

    def line(self, x: np.ndarray, y: np.ndarray, color: Color, width: float = 2.0) -> None:
        """Draw a curve, broken where it is nan."""
        valid = np.isfinite(y)
        for run in np.split(np.arange(len(y)), np.flatnonzero(np.diff(valid.astype(int))) + 1):
            if len(run) and valid[run[0]]:
                self._page.line(self._points(x[run], y[run]), color, width)

    def mark(self, x: float, label: str, color: Color) -> None:
        """A vertical line at x with its label beside it."""
        (px, top), (_, bottom) = self._point(x, self._y_range[1]), self._point(x, self._y_range[0])
        self._page.line([(px, top), (px, bottom)], color, 1.2)
        on_right = px < (self._box[0] + self._box[2]) / 2 + 1
        self._page.text(px + (6 if on_right else -6), bottom - 10, label, 13, color, "lb" if on_right else "rb")

    def axes(self, x_label: str, y_label: str, x_unit: str = "") -> None:
        """Frame, ticks, grid lines and labels; drawn last, so that no curve hides them."""
        x0, y0, x1, y1 = self._box
        for value in ticks(*self._x_range, 10):
            px, _ = self._point(value, self._y_range[0])
            self._page.line([(px, y1), (px, y1 + 5)], SOFT_INK)
            self._page.text(px, y1 + 9, f"{value:g}{x_unit}", 12, SOFT_INK, "mt")
        for value in ticks(*self._y_range, 5):
            _, py = self._point(self._x_range[0], value)
            self._page.line([(x0 - 5, py), (x0, py)], SOFT_INK)
            self._page.text(x0 - 9, py, f"{value:g}", 12, SOFT_INK, "rm")
        self._page.line([(x0, y0), (x0, y1), (x1, y1)], SOFT_INK, 1.2)
        self._page.text((x0 + x1) / 2, y1 + 28, x_label, 13, SOFT_INK, "mt")
        self._page.vertical_text(x0 - 52, (y0 + y1) / 2, y_label, 13)

    def grid(self) -> None:
        """Horizontal grid lines; drawn first."""
        for value in ticks(*self._y_range, 5):
            _, py = self._point(self._x_range[0], value)
            self._page.line([(self._box[0], py), (self._box[2], py)], GRID)

    def _point(self, x: float, y: float) -> tuple[float, float]:
        (x0, y0, x1, y1), (left, right), (low, high) = self._box, self._x_range, self._y_range
        inside = min(max(y, low), high)
        return x0 + (x - left) / (right - left) * (x1 - x0), y1 - (inside - low) / (high - low) * (y1 - y0)

    def _points(self, x: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
        return [self._point(float(a), float(b)) for a, b in zip(x, y, strict=True)]


def ticks(low: float, high: float, most: int) -> list[float]:
    """At most `most` + 1 round values within low .. high, evenly spaced by 1, 2 or 5 times a power of ten.

    >>> ticks(0.0, 3.0, 5)
    [0.0, 1.0, 2.0, 3.0]
    """
    rough = (high - low) / most
    power = 10.0 ** floor(log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))
    first = int(np.ceil(low / step - 1e-9))
    last = int(np.floor(high / step + 1e-9))
    return [round(i * step, 10) for i in range(first, last + 1)]


def _scale(point: tuple[float, float]) -> tuple[float, float]:
    return point[0] * SUPERSAMPLING, point[1] * SUPERSAMPLING


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size * SUPERSAMPLING)
