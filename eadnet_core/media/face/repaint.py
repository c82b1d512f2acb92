"""A picture's own pixels moved, lit and painted over where they lie: one pass over the pixels that change.

What is smooth is computed at every `step`-th pixel and is straight between: where a pixel comes from, light and paint.
Pixels are moved by cubic splines (Keys 1981, with torch's slope), so that a picture that does not move stays as it is.

Four neighbours of a row are sixteen numbers side by side, which are computed together (ADR 58).
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core.caching import FunctionCache
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

KERNEL: Any = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz", "arcp"}}
"""Comparisons with what is not a number must stay false, so that no such place is ever read."""
X, Y, ALPHA, LIGHT, PAINT = 0, 1, 2, 4, 8
N_PLACED = 12
"""What is known of a place: x and y in the picture, share of paint; three factors; colour of paint. Three by four."""
PAD = 2
"""Pixels around the picture that splines may reach for."""
BLOCK = 496
"""Pixels of a row that are prepared together, and the largest step."""
_SLOPE = np.float32(-0.75)
_BEHIND, _ROWS, _SHARE, _NEW, _OLD = 0, 1, 5, 6, 7
N_KNOWN = 8
"""What is known of a pixel: how far it lies behind the second of its four columns; weights of its four rows; share of
paint; weight of the frame, and of what was there."""
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
    """A picture, uint8 [H, W, 3], as `repaint` reads it: uint8 [H + 4, W + 4, 4], its edge repeated."""
    height, width = picture.shape[:2]
    around = np.zeros((height + 2 * PAD, width + 2 * PAD, 4), np.uint8)
    around[PAD:-PAD, PAD:-PAD, :3] = picture
    around[PAD:-PAD, :PAD], around[PAD:-PAD, -PAD:] = around[PAD:-PAD, PAD, None], around[PAD:-PAD, -PAD - 1, None]
    around[:PAD], around[-PAD:] = around[PAD], around[-PAD - 1]
    return around


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
    out         [h, w, 12]    see N_PLACED
    """
    n, m = change.shape[1], to_picture.shape[1]
    half, scale, edge = np.float32(n / 2), np.float32(m / n), np.float32(m - 1)
    for row in range(at.shape[0]):
        for column in range(at.shape[1]):
            x, y, found = at[row, column, 0], at[row, column, 1], out[row, column]
            x0, y0 = min(int(x), n - 2), min(int(y), n - 2)
            u, v = x - np.float32(x0), y - np.float32(y0)
            found[ALPHA] = _between(change[5], x0, y0, u, v)
            for k in range(3):
                found[LIGHT + k] = _between(change[2 + k], x0, y0, u, v)
                found[PAINT + k] = _between(change[6 + k], x0, y0, u, v)
            x += half * _between(change[0], x0, y0, u, v)
            y += half * _between(change[1], x0, y0, u, v)
            x, y = _kept((x + _HALF) * scale - _HALF, edge), _kept((y + _HALF) * scale - _HALF, edge)
            x0, y0 = min(int(x), m - 2), min(int(y), m - 2)
            u, v = x - np.float32(x0), y - np.float32(y0)
            x, y = _between(to_picture[0], x0, y0, u, v), _between(to_picture[1], x0, y0, u, v)
            found[X] = base[row, column, 0] + turn[0, 0] * x + turn[0, 1] * y
            found[Y] = base[row, column, 1] + turn[1, 0] * x + turn[1, 1] * y


_FLOAT, _BYTE, _INT = ir.FloatType(), ir.IntType(8), ir.IntType(32)
_FOUR, _SIXTEEN = ir.VectorType(_FLOAT, 4), ir.VectorType(_FLOAT, 16)
_S = float(_SLOPE)
_SPLINE = ((0, 1, 0, 0), (_S, 0, -_S, 0), (-2 * _S, -_S - 3, 2 * _S + 3, _S), (_S, _S + 2, -_S - 2, -_S))
"""Weights of four neighbours in powers of how far a place lies behind the second."""


class _Lanes:
    """Numbers that are computed together, as instructions of LLVM: numba's own loops make none for so few."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def at(self, data: Any, index: Any, shape: Any) -> Any:
        """The numbers from an index on; `shape` is their vector type."""
        start = self.builder.bitcast(self.builder.gep(data, [index]), shape.as_pointer())
        return self.builder.load(start, align=1 if shape.element == _BYTE else 4)

    def floats(self, data: Any, index: Any, n: int) -> Any:
        """n bytes from an index on, as floats."""
        return self.builder.uitofp(self.at(data, index, ir.VectorType(_BYTE, n)), ir.VectorType(_FLOAT, n))

    def chosen(self, values: Any, which: Any) -> Any:
        """Some of the numbers, by their places."""
        mask = ir.Constant(ir.VectorType(_INT, len(which)), [ir.Constant(_INT, i) for i in which])
        return self.builder.shuffle_vector(values, values, mask)

    def alike(self, value: Any, n: int) -> Any:
        """n times the same number."""
        one = ir.Constant(ir.VectorType(_FLOAT, n), ir.Undefined)
        return self.chosen(self.builder.insert_element(one, value, ir.Constant(_INT, 0)), [0] * n)

    def constant(self, values: Any) -> Any:
        """Numbers that are known now."""
        return ir.Constant(ir.VectorType(_FLOAT, len(values)), [ir.Constant(_FLOAT, float(v)) for v in values])

    def times(self, a: Any, b: Any) -> Any:
        """a b"""
        return self.builder.fmul(a, b, flags=("contract", "nsz"))

    def plus(self, a: Any, b: Any) -> Any:
        """a + b"""
        return self.builder.fadd(a, b, flags=("contract", "nsz"))

    def less(self, a: Any, b: Any) -> Any:
        """a - b"""
        return self.builder.fsub(a, b, flags=("contract", "nsz"))

    def kept(self, values: Any) -> Any:
        """From 0 to 255; 0 where it is not a number."""
        none, most = self.constant([0] * 4), self.constant([255] * 4)
        values = self.builder.select(self.builder.fcmp_ordered(">", values, none), values, none)
        return self.builder.select(self.builder.fcmp_ordered("<", values, most), values, most)


@intrinsic
def _paint(typing, fine, at, stride, was, line, place, share, known, x, out, to):  # type: ignore[no-untyped-def]
    """One pixel of a frame.

    fine    `padded`, flat; the pixel's first neighbour lies `at` there, the next row of them `stride` further, and what
            was at the pixel's own place lies at `was`
    line    [12 n]    see N_PLACED: the pixel lies `share` of the way from that which begins at `place` to the next
    known   [8, 496]  see N_KNOWN, `x` in it
    out     uint8, flat; the pixel is written `to` there
    """
    signature = types.void(fine, at, stride, was, line, place, share, known, x, out, to)

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        lanes, number = _Lanes(builder), given[1].type
        times, plus, less = lanes.times, lanes.plus, lanes.less
        arrays = {i: make_array(signature.args[i])(context, builder, given[i]).data for i in (0, 4, 7, 9)}
        pixels, _line, _known, shown = arrays.values()
        _, at, stride, was, _, place, share, _, x, _, to = given

        def further(index: Any, by: int) -> Any:
            return builder.add(index, ir.Constant(number, by))

        def of(which: int, n: int) -> Any:
            return lanes.alike(builder.load(builder.gep(_known, [further(x, which * BLOCK)])), n)

        def between(which: int) -> Any:
            here, there = (lanes.at(_line, further(place, which + d), _FOUR) for d in (0, N_PLACED))
            return plus(here, times(lanes.alike(share, 4), less(there, here)))

        rows = []
        for r in range(4):
            rows.append(times(of(_ROWS + r, 16), lanes.floats(pixels, at, 16)))
            at = builder.add(at, stride)
        behind, weights = of(_BEHIND, 16), [lanes.constant([w for w in power for _ in range(4)]) for power in _SPLINE]
        columns = plus(weights[2], times(behind, weights[3]))
        columns = plus(weights[0], times(behind, plus(weights[1], times(behind, columns))))
        moved = times(columns, plus(plus(rows[0], rows[1]), plus(rows[2], rows[3])))
        moved = plus(lanes.chosen(moved, range(8)), lanes.chosen(moved, range(8, 16)))
        moved = plus(lanes.chosen(moved, range(4)), lanes.chosen(moved, range(4, 8)))
        light, paint, alpha = between(LIGHT), between(PAINT), of(_SHARE, 4)
        made = lanes.kept(plus(times(alpha, paint), times(moved, less(light, times(alpha, light)))))
        before = plus(lanes.constant([0.5] * 4), times(of(_OLD, 4), lanes.floats(pixels, was, 4)))
        found = builder.fptosi(plus(before, times(of(_NEW, 4), made)), ir.VectorType(_INT, 4))
        three = lanes.chosen(builder.trunc(found, ir.VectorType(_BYTE, 4)), range(3))
        builder.store(three, builder.bitcast(builder.gep(shown, [to]), three.type.as_pointer()), align=1)
        return context.get_dummy_value()

    return signature, generate


@_kernel
def _spread(line, step, shares, xs, ys, alpha):
    """Places x and y in the picture and shares of paint of all pixels between the places of a line, see N_PLACED."""
    for j in range(len(line) // N_PLACED - 1):
        here, there = N_PLACED * j, N_PLACED * (j + 1)
        for i in range(step):
            x = j * step + i
            xs[x] = line[here + X] + shares[i] * (line[there + X] - line[here + X])
            ys[x] = line[here + Y] + shares[i] * (line[there + Y] - line[here + Y])
            alpha[x] = line[here + ALPHA] + shares[i] * (line[there + ALPHA] - line[here + ALPHA])


@_kernel
def _neighbours(xs, ys, right, bottom, wide, known, at):
    """Which pixels of the picture come to places, and with what weights.

    right, bottom, wide  last x and y of the picture, and the width of the padded one
    known                [8 x 496]  see N_KNOWN; this is written but for the share of paint and the frame's weight
    at                   [n]       the first of sixteen neighbours, in numbers of pixels of the padded picture
    """
    for x in range(len(at)):
        sx, sy = _kept(xs[x], right), _kept(ys[x], bottom)
        x0, y0 = np.int32(sx), np.int32(sy)
        at[x] = (y0 + np.int32(1)) * wide + x0 + np.int32(1)
        known[_BEHIND * BLOCK + x] = sx - np.float32(x0)
        s, t = _SLOPE, sy - np.float32(y0)
        u = _ONE - t
        first = ((s * (t + _ONE) - np.float32(5) * s) * (t + _ONE) + np.float32(8) * s) * (t + _ONE) - np.float32(4) * s
        second = ((s + np.float32(2)) * t - (s + np.float32(3))) * t * t + _ONE
        third = ((s + np.float32(2)) * u - (s + np.float32(3))) * u * u + _ONE
        known[_ROWS * BLOCK + x] = first
        known[(_ROWS + 1) * BLOCK + x] = second
        known[(_ROWS + 2) * BLOCK + x] = third
        known[(_ROWS + 3) * BLOCK + x] = _ONE - first - second - third


@_kernel
def _weighed(us, vs, u, v, edges, feather, new, old):
    """The weights of a row of the frame, and of what was there: `media.face.paste.coverage` of its places.

    us, vs  [n]  what columns add to x and y in frame widths from 0 .. 1; `u` and `v` are what the row adds
    edges   [4]  x0, y0, x1, y1 of the box
    """
    x0, y0, x1, y1 = edges[0], edges[1], edges[2], edges[3]
    for i in range(len(us)):
        x, y = us[i] + u, vs[i] + v
        t = _kept(min(min(x - x0, x1 - x), min(y - y0, y1 - y)) / feather, _ONE)
        weight = t * t * (np.float32(3) - np.float32(2) * t)
        new[i] = weight
        old[i] = _ONE - weight


@_kernel
def repaint(fine, top, left, columns, rows, edges, feather, placed, step, out):
    """Rows of a frame.

    fine       `padded` of the whole picture
    top, left  where the first pixel lies in the picture
    columns    [2, w]   what the columns add to x and y in frame widths; `rows` [2, h] what the rows add
    edges      [4]      the box, x0, y0, x1, y1 in frame widths, over whose edge of width `feather` the frame fades
    placed     see `place`: for the pixels' edges 0, step, 2 step ..
    step       pixels between two places, at most BLOCK
    out        [h, 3 w]  uint8
    """
    n_places, width = placed.shape[1], columns.shape[1]
    flat, shown, stride = fine.reshape(-1), out.reshape(-1), 4 * fine.shape[1]
    lines = placed.reshape(len(placed), -1)
    right, bottom = np.float32(fine.shape[1] - 2 * PAD - 1), np.float32(fine.shape[0] - 2 * PAD - 1)
    line, at = np.empty(lines.shape[1], np.float32), np.empty(BLOCK, np.int32)
    xs, ys, known = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32), np.empty((N_KNOWN, BLOCK), np.float32)
    shares = (np.arange(step).astype(np.float32) + _HALF) * np.float32(1.0 / step)
    together = BLOCK // step
    place_of, share_of = np.empty(BLOCK, np.int32), np.empty(BLOCK, np.float32)
    for x in range(together * step):
        place_of[x], share_of[x] = N_PLACED * (x // step), shares[x % step]
    for y in range(len(out)):
        upper, lower, share = lines[y // step], lines[y // step + 1], shares[y % step]
        for k in range(len(line)):
            line[k] = upper[k] + share * (lower[k] - upper[k])
        for first in range(0, n_places - 1, together):
            begin = first * step
            n = min(min(together, n_places - 1 - first) * step, width - begin)
            if n <= 0:
                break
            some = line[N_PLACED * first : N_PLACED * (min(first + together, n_places - 1) + 1)]
            _spread(some, step, shares, xs, ys, known[_SHARE])
            _neighbours(xs, ys, right, bottom, np.int32(fine.shape[1]), known.reshape(-1), at[:n])
            us, vs = columns[0, begin : begin + n], columns[1, begin : begin + n]
            _weighed(us, vs, rows[0, y], rows[1, y], edges, feather, known[_NEW], known[_OLD])
            was, to = (y + top + PAD) * stride + 4 * (begin + left + PAD), 3 * (y * width + begin)
            for x in range(n):
                k, place = np.uintp(x), np.int64(place_of[np.uintp(x)]) + N_PLACED * first
                _paint(
                    flat,
                    4 * np.int64(at[k]),
                    stride,
                    was + 4 * x,
                    line,
                    place,
                    share_of[k],
                    known,
                    x,
                    shown,
                    to + 3 * x,
                )
