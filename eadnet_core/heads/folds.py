"""Folds of the skin: furrows of the brow, crow's feet, the folds beside nose and mouth, the chin's dimples.

They are height fields on a cylinder around the base head, so that they lie alike on every identity. A frame's map is
their sum; the skin's normal is tilted by its slope, and its colour darkened in the furrows.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from .raster import KERNEL
from .rig import FOLDS

_AXIS_Z, _RADIUS = 0.55, 0.95
_LEFT, _RIGHT, _BOTTOM, _TOP = -1.0, 1.0, 5.95, 8.05
"""The cylinder, and what of it is mapped: along it in decimetres of the base mesh."""
_MAX_SLOPE = 0.8
_DARKENING = 0.55
_Curve = tuple[list[tuple[float, float]], float, float]
# fmt: off
_CURVES: dict[str, list[_Curve]] = {
    "forehead": [
        ([(-.52, 7.58), (-.3, 7.62), (0, 7.59), (.3, 7.62), (.52, 7.58)], .012, .011),
        ([(-.5, 7.66), (-.25, 7.70), (0, 7.67), (.25, 7.70), (.5, 7.66)], .012, .012),
        ([(-.46, 7.745), (-.2, 7.78), (0, 7.755), (.2, 7.78), (.46, 7.745)], .012, .011),
        ([(-.36, 7.83), (0, 7.845), (.36, 7.83)], .011, .008),
    ],
    "forehead_mid": [
        ([(-.24, 7.56), (-.1, 7.60), (0, 7.58), (.1, 7.60), (.24, 7.56)], .012, .011),
        ([(-.26, 7.635), (-.1, 7.68), (0, 7.66), (.1, 7.68), (.26, 7.635)], .012, .012),
        ([(-.24, 7.72), (0, 7.75), (.24, 7.72)], .012, .010),
    ],
    "glabella": [
        ([(.05, 7.33), (.05, 7.40), (.065, 7.47), (.075, 7.56)], .014, .020),
        ([(.105, 7.38), (.12, 7.45), (.125, 7.52)], .012, .009),
    ],
    "nose_root": [
        ([(-.075, 7.33), (0, 7.325), (.075, 7.33)], .013, .016),
        ([(.015, 7.27), (.06, 7.255), (.10, 7.215)], .010, .010),
        ([(.015, 7.215), (.065, 7.19), (.105, 7.145)], .010, .012),
        ([(.02, 7.16), (.07, 7.125), (.10, 7.085)], .010, .009),
    ],
    "crow": [
        ([(.54, 7.30), (.61, 7.335), (.69, 7.375)], .009, .009),
        ([(.545, 7.275), (.62, 7.285), (.71, 7.295)], .009, .010),
        ([(.54, 7.25), (.61, 7.235), (.69, 7.205)], .009, .009),
        ([(.53, 7.225), (.59, 7.19), (.65, 7.145)], .009, .006),
    ],
    "under_eye": [
        ([(.19, 7.215), (.27, 7.165), (.37, 7.155), (.46, 7.175), (.53, 7.215)], .013, .012),
        ([(.17, 7.17), (.25, 7.10), (.35, 7.075), (.45, 7.10)], .018, .008),
    ],
    "nasolabial": [([(.155, 6.97), (.20, 6.90), (.255, 6.81), (.315, 6.72), (.36, 6.63), (.372, 6.55)], .017, .024)],
    "corner": [([(.305, 6.62), (.335, 6.56), (.35, 6.49), (.345, 6.42)], .015, .018)],
    "mentolabial": [([(-.19, 6.46), (-.1, 6.435), (0, 6.43), (.1, 6.435), (.19, 6.46)], .018, .012)],
    "dimple_L": [([(.335, 6.68), (.355, 6.62), (.34, 6.55)], .014, .022)],
}
"""(x, y) of each furrow on the head's left, its width and depth, in decimetres; one that crosses the middle is whole,
the others are mirrored."""
_CHIN = [
    (.0, 6.36), (.05, 6.40), (-.05, 6.395), (.085, 6.345), (-.085, 6.35), (.035, 6.315), (-.04, 6.31), (.11, 6.40),
    (-.11, 6.405), (0, 6.42), (.0, 6.27), (.07, 6.28), (-.07, 6.275),
]
# fmt: on
_OF_AGE = {"nasolabial": 0.40, "forehead": 0.15, "crow": 0.25, "under_eye": 0.35, "corner": 0.12, "mentolabial": 0.15}
"""How deep folds are at rest on the oldest."""


class FoldShade(NamedTuple):
    """What the shading of a frame needs to know of folds.

    place      [N, 2]     of render vertices on the map, in pixels; far outside where there are no folds
    map        [h, w, 3]  slope along x, slope along y, darkening
    along_x    [N, 3]     how x on the map grows in space
    along_y    [N, 3]
    """

    place: np.ndarray
    map: np.ndarray
    along_x: np.ndarray
    along_y: np.ndarray


class FoldKit:
    """Folds as one face has them, all at full strength.

    step_dm  size of the map's pixels, in decimetres
    """

    def __init__(self, rng: np.random.Generator, step_dm: float) -> None:
        self.step_dm = step_dm
        self.width, self.height = int((_RIGHT - _LEFT) / step_dm), int((_TOP - _BOTTOM) / step_dm)
        self._patches = {name: self._patch(field) for name, field in self._fields(rng).items()}

    def place(self, base: np.ndarray, n: int) -> np.ndarray:
        """Where the base mesh's render vertices [R, 3] lie on the map, [n, 2] in pixels; the rest lies far outside."""
        along = np.arctan2(base[:, 0], base[:, 2] - _AXIS_Z) * _RADIUS
        y = base[:, 1]
        inside = (np.abs(along) < 0.98) & (y > _BOTTOM) & (y < _TOP) & (base[:, 2] > 0.6)
        out = np.full((n, 2), -1e4, np.float32)
        found = np.stack([(along - _LEFT) / self.step_dm, (_TOP - y) / self.step_dm], 1)
        out[: len(base)][inside] = found[inside]
        return out

    def combine(self, strengths: np.ndarray, gain: float, age: float, out: np.ndarray) -> None:
        """The map [h, w, 3] of folds at these strengths (of `rig.FOLDS`), at least as deep as the age leaves them."""
        out[:] = 0
        aged = max(0.0, (age - 0.35) / 0.65)
        for name, strength in zip(FOLDS, strengths, strict=True):
            depth = max(float(strength), _OF_AGE.get(name, 0.0) * aged) * gain
            if depth > 0.01:
                top, left, patch = self._patches[name]
                out[top : top + patch.shape[0], left : left + patch.shape[1]] += patch * np.float32(depth)
        slope = out[..., 0] ** 2 + out[..., 1] ** 2
        out[..., :2] /= np.sqrt(1 + slope / np.float32(_MAX_SLOPE**2))[..., None]

    def _fields(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        found = {}
        for name, curves in _CURVES.items():
            field = np.zeros((2, self.height, self.width), np.float32)
            for points, width, depth in curves:
                line = np.array(points)
                deep = depth * float(np.exp(rng.normal(0, 0.25)))
                sides = (1,) if (line[:, 0] < 0).any() or name == "dimple_L" else (1, -1)
                for side in sides:
                    moved = line + rng.normal(0, 0.006, line.shape) + rng.normal(0, 0.006, 2)
                    self._furrow(field, moved * (side, 1), width * rng.uniform(0.85, 1.2), deep)
            found[name] = field
        for name, half in (("L", slice(0, self.width // 2)), ("R", slice(self.width // 2, None))):
            found[f"nasolabial_{name}"] = found["nasolabial"].copy()
            found[f"nasolabial_{name}"][:, :, half] = 0
        found["dimple_R"] = found["dimple_L"][:, :, ::-1].copy()
        found["chin"] = self._chin(rng)
        return found

    def _furrow(self, field: np.ndarray, line: np.ndarray, width: float, depth: float) -> None:
        """Press a furrow with raised rims into the heights field[0], and mark it in field[1]."""
        from scipy.interpolate import CubicSpline
        from scipy.spatial import cKDTree

        t = np.linspace(0, 1, 60)
        curve = CubicSpline(np.linspace(0, 1, len(line)), line)(t)
        taper = np.sin(np.pi * np.clip(t * 0.92 + 0.04, 0, 1)) ** 0.7
        reach = 6 * width
        low, high = curve.min(0) - reach, curve.max(0) + reach
        left, right = (
            max(0, int((low[0] - _LEFT) / self.step_dm)),
            min(self.width, int((high[0] - _LEFT) / self.step_dm) + 1),
        )
        top, bottom = (
            max(0, int((_TOP - high[1]) / self.step_dm)),
            min(self.height, int((_TOP - low[1]) / self.step_dm) + 1),
        )
        rows, columns = np.mgrid[top:bottom, left:right]
        places = np.stack([_LEFT + (columns + 0.5) * self.step_dm, _TOP - (rows + 0.5) * self.step_dm], -1).reshape(
            -1, 2
        )
        distance, nearest = cKDTree(curve).query(places, distance_upper_bound=reach)
        near = np.isfinite(distance)
        strength = np.zeros(len(places))
        strength[near] = taper[nearest[near]] * depth
        distance = np.where(near, distance, 9.0)
        dent = -np.exp(-0.5 * (distance / width) ** 2) + 0.45 * np.exp(
            -0.5 * ((distance - 2.6 * width) / (1.3 * width)) ** 2
        )
        dark = np.exp(-0.5 * (distance / (0.85 * width)) ** 2) / 0.02
        field[0, top:bottom, left:right] += (dent * strength).reshape(rows.shape)
        field[1, top:bottom, left:right] += (dark * strength).reshape(rows.shape)

    def _chin(self, rng: np.random.Generator) -> np.ndarray:
        field = np.zeros((2, self.height, self.width), np.float32)
        rows, columns = np.mgrid[0 : self.height, 0 : self.width]
        x, y = _LEFT + (columns + 0.5) * self.step_dm, _TOP - (rows + 0.5) * self.step_dm
        for cx, cy in _CHIN:
            cx, cy = cx + rng.normal(0, 0.01), cy + rng.normal(0, 0.01)
            spot = np.exp(-0.5 * (((x - cx) / 0.02) ** 2 + ((y - cy) / 0.016) ** 2))
            field[0] -= 0.008 * spot
            field[1] += 0.25 * spot
        return field

    def _patch(self, field: np.ndarray) -> tuple[int, int, np.ndarray]:
        """Top, left and the smallest patch [h, w, 3] of slopes and darkening that holds a fold."""
        down, right = np.gradient(field[0], self.step_dm)
        full = np.stack([right, -down, field[1]], -1).astype(np.float32)
        there = np.argwhere(np.abs(full).max(2) > 2e-3)
        (top, left), (bottom, end) = there.min(0), there.max(0) + 1
        return int(top), int(left), np.ascontiguousarray(full[top:bottom, left:end])


@njit(**KERNEL)
def map_directions(position, faces, place, step, along_x, along_y, count):
    """How the map's x and y grow in space at each render vertex of the first faces, into along_x, along_y [N, 3]."""
    along_x[:] = 0
    along_y[:] = 0
    count[:] = 0
    for t in range(faces.shape[0]):
        a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
        if place[a, 0] < -1e3 or place[b, 0] < -1e3 or place[c, 0] < -1e3:
            continue
        ux, uy, uz = position[b, 0] - position[a, 0], position[b, 1] - position[a, 1], position[b, 2] - position[a, 2]
        vx, vy, vz = position[c, 0] - position[a, 0], position[c, 1] - position[a, 1], position[c, 2] - position[a, 2]
        uu, uv, vv = ux * ux + uy * uy + uz * uz, ux * vx + uy * vy + uz * vz, vx * vx + vy * vy + vz * vz
        area = uu * vv - uv * uv
        if area < 1e-14:
            continue
        for q in range(2):
            first, second = (place[b, q] - place[a, q]) * step, (place[c, q] - place[a, q]) * step
            if q == 1:
                first, second = -first, -second
            s, w = (vv * first - uv * second) / area, (uu * second - uv * first) / area
            x, y, z = s * ux + w * vx, s * uy + w * vy, s * uz + w * vz
            length = math.sqrt(x * x + y * y + z * z)
            limit = 1.0 if length < 1.6 else 1.6 / length
            out = along_x if q == 0 else along_y
            for j in (a, b, c):
                out[j, 0] += x * limit
                out[j, 1] += y * limit
                out[j, 2] += z * limit
        for j in (a, b, c):
            count[j] += 1
    for i in range(count.shape[0]):
        if count[i] > 0:
            for k in range(3):
                along_x[i, k] /= count[i]
                along_y[i, k] /= count[i]


@njit(**KERNEL)
def fold_skin(folds, a, b, c, w0, w1, w2, normal, albedo):
    """Tilt the normal [3] and darken the albedo [3] in place where a fold crosses the point."""
    p, m = folds.place, folds.map
    x = w0 * p[a, 0] + w1 * p[b, 0] + w2 * p[c, 0]
    y = w0 * p[a, 1] + w1 * p[b, 1] + w2 * p[c, 1]
    if x < 1 or y < 1 or x >= m.shape[1] - 2 or y >= m.shape[0] - 2:
        return
    xi, yi = int(x), int(y)
    fx, fy = x - xi, y - yi
    i, j, k, n = (1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy
    right = i * m[yi, xi, 0] + j * m[yi, xi + 1, 0] + k * m[yi + 1, xi, 0] + n * m[yi + 1, xi + 1, 0]
    up = i * m[yi, xi, 1] + j * m[yi, xi + 1, 1] + k * m[yi + 1, xi, 1] + n * m[yi + 1, xi + 1, 1]
    dark = i * m[yi, xi, 2] + j * m[yi, xi + 1, 2] + k * m[yi + 1, xi, 2] + n * m[yi + 1, xi + 1, 2]
    if right == 0 and up == 0 and dark == 0:
        return
    gx, gy = folds.along_x, folds.along_y
    length = 0.0
    for q in range(3):
        normal[q] -= right * (w0 * gx[a, q] + w1 * gx[b, q] + w2 * gx[c, q])
        normal[q] -= up * (w0 * gy[a, q] + w1 * gy[b, q] + w2 * gy[c, q])
        length += normal[q] * normal[q]
    length = 1.0 / math.sqrt(length + 1e-12)
    for q in range(3):
        normal[q] *= length
    if dark > 0:
        dark = dark / (1 + dark) * _DARKENING
        albedo[0] *= 1 - 0.8 * dark
        albedo[1] *= 1 - dark
        albedo[2] *= 1 - dark
