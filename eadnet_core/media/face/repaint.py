"""A picture's own pixels moved, lit and painted over where they lie: one pass over the pixels that change.

What is smooth is computed at every `step`-th pixel and is straight between: where a pixel comes from, light and paint.
Pixels are moved by cubic splines (Keys 1981, with torch's slope), so that a picture that does not move stays as it is.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
from numba import njit
from numba.core.caching import FunctionCache

KERNEL: Any = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz", "arcp"}}
"""Comparisons with what is not a number must stay false, so that no such place is ever read."""
X, Y, LIGHT, ALPHA, PAINT = 0, 1, 2, 5, 6
N_PLACED = 9
"""What is known of a place: x and y in the picture, three factors, share and colour of paint."""
PAD = 2
"""Pixels around the picture that splines may reach for."""
_SLOPE = np.float32(-0.75)
_ONE, _HALF, _NONE, _MOST = np.float32(1), np.float32(0.5), np.float32(0), np.float32(255)


class _Cache(FunctionCache):  # type: ignore[misc]
    """Compiled code in `__pycache__`, which names the module that compiled it: after a move, it is compiled again."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except ModuleNotFoundError:
            return None


def _kernel(function: Any) -> Any:
    """A function compiled at its first call, and kept on disk: in the package's folder, which may be moved or renamed,
    or in the user's cache. Where neither can be written, every process compiles it."""
    compiled = njit(**KERNEL)(function)
    with suppress(RuntimeError):  # numba's for no folder that it can write
        compiled._cache = _Cache(function)
    return compiled


def padded(picture: np.ndarray) -> np.ndarray:
    """A picture, uint8 [H, W, 3], as `repaint` reads it: float32 [H + 4, W + 4, 4], its edge repeated."""
    around = np.pad(picture, ((PAD, PAD), (PAD, PAD), (0, 0)), mode="edge")
    return np.concatenate([around, around[..., :1]], 2).astype(np.float32)


@_kernel
def _kept(value, most):
    """A value from 0 to `most`; 0 where it is not a number."""
    value = value if value > _NONE else _NONE
    return value if value < most else most


@_kernel
def _between(plane, x0, y0, u, v):
    """A plane at u and v of the way from cell (x0, y0) to the next."""
    upper = plane[y0, x0] + u * (plane[y0, x0 + 1] - plane[y0, x0])
    lower = plane[y0 + 1, x0] + u * (plane[y0 + 1, x0 + 1] - plane[y0 + 1, x0])
    return upper + v * (lower - upper)


@_kernel
def place(change, at, base, to_picture, turn, out):
    """What is known of every `step`-th pixel.

    change      [9, n, n]     flow in the canonical frame, in half frame widths; factors of light; share of paint; its
                              colour, 0 .. 255
    at          [h, w, 2]     the pixel's own place there, x and y in cells
    base        [h, w, 2]     the pixel's number in the picture, less where its place lies by `to_picture` and `turn`
    to_picture  [2, m, m]     where places of the canonical frame lie in the training frame, in half frame widths
    turn        [2, 2]        from there to pixels
    out         [h, w, 9]     see N_PLACED
    """
    n, m = change.shape[1], to_picture.shape[1]
    half, scale, edge = np.float32(n / 2), np.float32(m / n), np.float32(m - 1)
    for row in range(at.shape[0]):
        for column in range(at.shape[1]):
            x, y, found = at[row, column, 0], at[row, column, 1], out[row, column]
            x0, y0 = min(int(x), n - 2), min(int(y), n - 2)
            u, v = x - np.float32(x0), y - np.float32(y0)
            for k in range(7):
                found[LIGHT + k] = _between(change[2 + k], x0, y0, u, v)
            x += half * _between(change[0], x0, y0, u, v)
            y += half * _between(change[1], x0, y0, u, v)
            x, y = _kept((x + _HALF) * scale - _HALF, edge), _kept((y + _HALF) * scale - _HALF, edge)
            x0, y0 = min(int(x), m - 2), min(int(y), m - 2)
            u, v = x - np.float32(x0), y - np.float32(y0)
            x, y = _between(to_picture[0], x0, y0, u, v), _between(to_picture[1], x0, y0, u, v)
            found[X] = base[row, column, 0] + turn[0, 0] * x + turn[0, 1] * y
            found[Y] = base[row, column, 1] + turn[1, 0] * x + turn[1, 1] * y


@_kernel
def _spline(t):
    """Weights of the four pixels around a place that lies t behind the second."""
    s, u = _SLOPE, _ONE - t
    first = ((s * (t + _ONE) - np.float32(5) * s) * (t + _ONE) + np.float32(8) * s) * (t + _ONE) - np.float32(4) * s
    second = ((s + np.float32(2)) * t - (s + np.float32(3))) * t * t + _ONE
    third = ((s + np.float32(2)) * u - (s + np.float32(3))) * u * u + _ONE
    return first, second, third, _ONE - first - second - third


@_kernel
def _moved(fine, row, made):
    """Colours [3 w] of the picture's pixels at places of a row [9, w], lit."""
    flat, stride = fine.reshape(-1), np.uintp(fine.shape[1] * 4)
    right, bottom = np.float32(fine.shape[1] - 5), np.float32(fine.shape[0] - 5)
    for x in range(made.shape[0] // 3):
        sx, sy = _kept(row[X, x], right), _kept(row[Y, x], bottom)
        x0, y0 = np.uintp(sx), np.uintp(sy)
        c0, c1, c2, c3 = _spline(sx - np.float32(x0))
        rows = _spline(sy - np.float32(y0))
        at = (y0 + np.uintp(1)) * stride + (x0 + np.uintp(1)) * np.uintp(4)
        red, green, blue = _NONE, _NONE, _NONE
        for r in range(4):
            a, b, c, d = at, at + np.uintp(4), at + np.uintp(8), at + np.uintp(12)
            red += rows[r] * (c0 * flat[a] + c1 * flat[b] + c2 * flat[c] + c3 * flat[d])
            k = np.uintp(1)
            green += rows[r] * (c0 * flat[a + k] + c1 * flat[b + k] + c2 * flat[c + k] + c3 * flat[d + k])
            k = np.uintp(2)
            blue += rows[r] * (c0 * flat[a + k] + c1 * flat[b + k] + c2 * flat[c + k] + c3 * flat[d + k])
            at += stride
        made[3 * x] = red * row[LIGHT, x]
        made[3 * x + 1] = green * row[LIGHT + 1, x]
        made[3 * x + 2] = blue * row[LIGHT + 2, x]


@_kernel
def repaint(picture, fine, weight, placed, step, out):
    """The part of a frame that changes.

    picture  [h, 3 w]  uint8, what was there
    fine     `padded` of the whole picture
    weight   [h, 3 w]  of the frame over the picture
    placed   see `place`: for the pixels' edges 0, step, 2 step ..
    step     pixels between two places
    out      [h, 3 w]  uint8
    """
    n_places, width = placed.shape[1], weight.shape[1] // 3
    line, row = np.empty((N_PLACED, n_places), np.float32), np.empty((N_PLACED, n_places * step), np.float32)
    made, per = np.empty(3 * width, np.float32), np.float32(1.0 / step)
    for y in range(weight.shape[0]):
        upper, fy = y // step, (np.float32(y % step) + _HALF) * per
        for j in range(n_places):
            for k in range(N_PLACED):
                line[k, j] = placed[upper, j, k] + fy * (placed[upper + 1, j, k] - placed[upper, j, k])
        for k in range(N_PLACED):
            for i in range(step):
                fx = (np.float32(i) + _HALF) * per
                for j in range(n_places - 1):
                    row[k, j * step + i] = line[k, j] + fx * (line[k, j + 1] - line[k, j])
        _moved(fine, row, made)
        for x in range(width):
            for k in range(3):
                made[3 * x + k] += row[ALPHA, x] * (row[PAINT + k, x] - made[3 * x + k])
        was, share, shown = picture[y], weight[y], out[y]
        for i in range(3 * width):
            before = np.float32(was[i])
            shown[i] = np.uint8(np.int32(before + share[i] * (_kept(made[i], _MOST) - before) + _HALF))
