"""Where the features lie on the base mesh: landmark points, the lips, and what each texel of the skin shows.

All of it is derived from the mesh: a front view of it is rasterised, and contours are looked for along rays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit

from .anatomy import Anatomy
from .materials import EYE, MOUTH, N_MATERIALS, SKIN
from .raster import KERNEL, Surface, shown_points

LANDMARKS: dict[str, int] = {
    "lips_outer": 20,
    "lips_inner": 20,
    "lid_right": 16,
    "lid_left": 16,
    "brow_right": 10,
    "brow_left": 10,
    "nose": 10,
    "oval": 36,
}
"""Groups of landmarks and how many points each has. "right" is the head's right, the picture's left.

Closed groups begin at the picture's left and run over the top: lips, lids. The oval begins at the top and runs to the
picture's right. A brow is five points along its top from the nose outwards, then five along its bottom. The nose is
four points down its ridge, then six from wing to wing under its tip, left to right in the picture.
"""
N_LANDMARKS = sum(LANDMARKS.values())
MAP_PX = 512
"""Side of the map of the skin's texture."""
_VIEW_PX = 1024


def landmark_slice(group: str) -> slice:
    """Where a group's points lie among all.

    >>> landmark_slice("lips_inner")
    slice(20, 40, None)
    """
    names = list(LANDMARKS)
    first = sum(LANDMARKS[name] for name in names[: names.index(group)])
    return slice(first, first + LANDMARKS[group])


@dataclass(frozen=True)
class Features:
    """What is known of the base mesh.

    is_mouth       [F] bool           triangles of the mouth's lining
    landmarks      [N_LANDMARKS, 3]   vertices of the base mesh
    weights        [N_LANDMARKS, 3]   their weights
    base_points    [N_LANDMARKS, 3]   where they lie on the base mesh
    inner_lips     [K]                vertices of the line where the lips meet, in order around it
    eye_centres    [2, 3]             of the eyeballs, the head's left (x > 0) first
    eye_distance   in decimetres
    texel_position [MAP_PX, MAP_PX, 3] where each texel of the skin lies on the base mesh, in eye distances from the
                                      middle between the eyes; nan where there is no skin
    lips           [MAP_PX, MAP_PX]   0 .. 1
    """

    is_mouth: np.ndarray
    landmarks: np.ndarray
    weights: np.ndarray
    base_points: np.ndarray
    inner_lips: np.ndarray
    eye_centres: np.ndarray
    eye_distance: float
    texel_position: np.ndarray
    lips: np.ndarray

    @classmethod
    def of(cls, anatomy: Anatomy) -> Features:
        """Derive the features of an anatomy; a second's work."""
        eyes = anatomy.part("eyes").fit(anatomy.base)
        centres = np.stack([_middle(eyes[eyes[:, 0] > 0]), _middle(eyes[eyes[:, 0] < 0])])
        distance = float(centres[0, 0] - centres[1, 0])
        is_mouth = _sampled(anatomy.mask("mouth"), anatomy.uv[anatomy.faces].mean(1)) > 0.4
        view = _FrontView.of(anatomy, is_mouth, centres, distance)
        loop = _mouth_line(anatomy, is_mouth)
        points = view.points(anatomy.base[loop])
        corners, weights = (np.concatenate(parts) for parts in zip(*points, strict=True))
        return cls(
            is_mouth=is_mouth,
            landmarks=corners,
            weights=weights,
            base_points=(anatomy.base[corners] * weights[..., None]).sum(1),
            inner_lips=loop,
            eye_centres=centres,
            eye_distance=distance,
            texel_position=_texel_positions(anatomy, centres.mean(0), distance),
            lips=_resized(anatomy.mask("lips")),
        )

    @cached_property
    def head_texels(self) -> tuple[slice, slice]:
        """Rows and columns of the map that show the head."""
        there = np.argwhere(self.texel_position[..., 1] > -3)
        low, high = there.min(0), there.max(0) + 1
        return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))

    @cached_property
    def head_position(self) -> np.ndarray:
        """`texel_position` of those rows and columns [3, H, W], far below where there is no skin."""
        return np.ascontiguousarray(np.moveaxis(np.nan_to_num(self.texel_position[self.head_texels], nan=-9.0), 2, 0))

    @cached_property
    def mouth_place(self) -> np.ndarray:
        """Middle of the mouth [3] on the base mesh, in eye distances from the middle between the eyes."""
        return (self.base_points[landmark_slice("lips_inner")].mean(0) - self.eye_centres.mean(0)) / self.eye_distance

    def points(self, vertices: np.ndarray) -> np.ndarray:
        """The landmarks [N_LANDMARKS, 3] on vertices [V, 3] of a head's body."""
        return (vertices[self.landmarks] * self.weights[..., None]).sum(1)

    def lip_opening(self, vertices: np.ndarray) -> float:
        """Mean of three gaps between the inner lips, in decimetres; negative where they press into one another."""
        lips = self.points(vertices)[landmark_slice("lips_inner")]
        return float((lips[[4, 5, 6], 1] - lips[[16, 15, 14], 1]).mean())


def _middle(points: np.ndarray) -> np.ndarray:
    return (points.min(0) + points.max(0)) / 2


def _sampled(picture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    height, width = picture.shape
    x = (uv[:, 0] * width).astype(int).clip(0, width - 1)
    y = ((1 - uv[:, 1]) * height).astype(int).clip(0, height - 1)
    return picture[y, x] / 255.0


def _resized(picture: np.ndarray) -> np.ndarray:
    rows = np.arange(MAP_PX) * picture.shape[0] // MAP_PX
    columns = np.arange(MAP_PX) * picture.shape[1] // MAP_PX
    return (picture[np.ix_(rows, columns)] / 255.0).astype(np.float32)


def _mouth_line(anatomy: Anatomy, is_mouth: np.ndarray) -> np.ndarray:
    """Vertices between the skin and the mouth's lining, in order of their angle around their middle."""
    faces = anatomy.render_vertices[anatomy.faces]
    both = np.intersect1d(faces[is_mouth], faces[~is_mouth])
    position = anatomy.base[both]
    from_middle = position[:, :2] - position[:, :2].mean(0)
    scale = np.abs(from_middle).max(0)
    return both[np.argsort(np.arctan2(from_middle[:, 1] / scale[1], from_middle[:, 0] / scale[0]))]


def _texel_positions(anatomy: Anatomy, middle: np.ndarray, distance: float) -> np.ndarray:
    out = np.full((MAP_PX, MAP_PX, 3), np.nan, np.float32)
    place = ((anatomy.base[anatomy.render_vertices] - middle) / distance).astype(np.float32)
    _fill_texels(anatomy.uv.astype(np.float32), anatomy.faces.astype(np.int32), place, out)
    return out


@njit(**KERNEL)
def _fill_texels(uv, faces, place, out):
    size = out.shape[0]
    for t in range(faces.shape[0]):
        a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
        x0, y0 = uv[a, 0] * size, (1 - uv[a, 1]) * size
        x1, y1 = uv[b, 0] * size, (1 - uv[b, 1]) * size
        x2, y2 = uv[c, 0] * size, (1 - uv[c, 1]) * size
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < 1e-9:
            continue
        for y in range(max(0, int(min(y0, y1, y2)) - 1), min(size, int(max(y0, y1, y2)) + 2)):
            for x in range(max(0, int(min(x0, x1, x2)) - 1), min(size, int(max(x0, x1, x2)) + 2)):
                px, py = x + 0.5, y + 0.5
                w1 = ((px - x0) * (y2 - y0) - (x2 - x0) * (py - y0)) / area
                w2 = ((x1 - x0) * (py - y0) - (px - x0) * (y1 - y0)) / area
                if w1 < -0.3 or w2 < -0.3 or w1 + w2 > 1.3:
                    continue
                for k in range(3):
                    out[y, x, k] = (1 - w1 - w2) * place[a, k] + w1 * place[b, k] + w2 * place[c, k]


@dataclass(frozen=True)
class _FrontView:
    """The base mesh from the front, 3.2 eye distances wide; landmarks are picked in it.

    index, weights  what each pixel shows (see `raster.shown_points`)
    """

    anatomy: Anatomy
    surface: Surface
    index: np.ndarray
    weights: np.ndarray
    position: np.ndarray
    lips: np.ndarray
    middle: np.ndarray
    distance: float

    @classmethod
    def of(cls, anatomy: Anatomy, is_mouth: np.ndarray, centres: np.ndarray, distance: float) -> _FrontView:
        middle = centres.mean(0)
        eyes = anatomy.part("eyes")
        body = anatomy.base[anatomy.render_vertices]
        balls = eyes.fit(anatomy.base)[eyes.render_vertices]
        position = np.concatenate([body, balls]).astype(np.float32)
        faces = np.concatenate([anatomy.faces, eyes.faces[eyes.visible] + len(body)]).astype(np.int32)
        materials = np.full(len(faces), EYE, np.int32)
        materials[: len(is_mouth)] = np.where(is_mouth, MOUTH, SKIN)
        surface = Surface(
            faces,
            materials,
            np.concatenate([anatomy.uv, eyes.uv]).astype(np.float32),
            np.zeros((1, 4), np.uint8),
            np.zeros((N_MATERIALS, 3), np.int64),
            np.ones((N_MATERIALS, 4), np.float32),
        )
        scale = _VIEW_PX / (3.2 * distance)
        screen = np.empty((len(position), 3), np.float32)
        screen[:, 0] = (position[:, 0] - middle[0]) * scale + _VIEW_PX / 2
        screen[:, 1] = (middle[1] - position[:, 1]) * scale + _VIEW_PX * 0.4
        screen[:, 2] = 1 / (1000.0 - position[:, 2])
        depth = np.empty((_VIEW_PX, _VIEW_PX), np.float32)
        index = np.empty((_VIEW_PX, _VIEW_PX), np.int32)
        weights = np.zeros((_VIEW_PX, _VIEW_PX, 3), np.float32)
        shown_points(screen, surface, 1e-6, 1e-6, depth, index, weights)
        shown = surface.uv[surface.faces[index.clip(0)]]
        uv = (shown * weights[..., None]).sum(2).reshape(-1, 2)
        lips = _sampled(anatomy.mask("lips"), uv).reshape(index.shape) * (index >= 0) * (materials[index] == SKIN)
        return cls(anatomy, surface, index, weights, position, lips, middle, distance)

    def points(self, inner_lips: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Vertices [n, 3] and weights [n, 3] of each group, in the order of LANDMARKS."""
        lips = np.argwhere(self.lips > 0.5)
        inner = self.at(self._spread(self.pixels(inner_lips), 20))
        outer = self.at(self._contour(self.lips > 0.5, (lips.min(0) + lips.max(0)) / 2, np.ptp(lips, 0), 20))
        lids = [self.at(self._lids(side)) for side in (-1, 1)]
        brows = [self.at(self._grid(self._brow(side))) for side in (-1, 1)]
        return [outer, inner, *lids, *brows, self.at(self._grid(_NOSE)), self.at(self._oval())]

    def pixels(self, position: np.ndarray) -> np.ndarray:
        """(row, column) [n, 2] of points of the base mesh."""
        scale = _VIEW_PX / (3.2 * self.distance)
        x = (position[:, 0] - self.middle[0]) * scale + _VIEW_PX / 2
        y = (self.middle[1] - position[:, 1]) * scale + _VIEW_PX * 0.4
        return np.stack([y, x], 1)

    def at(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The skin's triangle and weights under each (row, column), or at the nearest pixel that shows skin."""
        n_body = len(self.anatomy.faces)
        corners, weights = [], []
        for row, column in pixels:
            reach = 12
            top, left = max(0, int(row) - reach), max(0, int(column) - reach)
            window = self.index[top : top + 2 * reach + 1, left : left + 2 * reach + 1]
            is_skin = (window >= 0) & (window < n_body) & (self.surface.materials[window] == SKIN)
            where = np.argwhere(is_skin)
            if not len(where):
                where = np.argwhere((window >= 0) & (window < n_body))
            nearest = where[np.abs(where + np.array((top - row, left - column))).sum(1).argmin()] + np.array(
                (top, left)
            )
            face = self.anatomy.faces[self.index[tuple(nearest)]]
            corners.append(self.anatomy.render_vertices[face])
            weights.append(self.weights[tuple(nearest)])
        return np.array(corners, np.int32), np.array(weights, np.float32)

    @staticmethod
    def _directions(n: int) -> list[tuple[float, float]]:
        """(down, right) from the picture's left over the top, clockwise."""
        angles = [math.pi - 2 * math.pi * k / n for k in range(n)]
        return [(-math.sin(a), math.cos(a)) for a in angles]

    def _contour(self, mask: np.ndarray, middle: np.ndarray, size: np.ndarray, n: int) -> np.ndarray:
        """The outermost pixels of a mask along n rays of an ellipse."""
        found = []
        steps = np.linspace(0, 0.75, 400)[:, None]
        for direction in self._directions(n):
            ray = (middle + steps * np.array(direction) * size).astype(int).clip(0, _VIEW_PX - 1)
            inside = np.flatnonzero(mask[ray[:, 0], ray[:, 1]])
            found.append(ray[inside[-1]] if len(inside) else middle)
        return np.array(found, float)

    def _spread(self, loop: np.ndarray, n: int) -> np.ndarray:
        """n points at even steps around a flat closed line, from its leftmost point over the top."""
        left, right = loop[loop[:, 1].argmin()], loop[loop[:, 1].argmax()]
        chord = left[0] + (loop[:, 1] - left[1]) / (right[1] - left[1]) * (right[0] - left[0])
        upper, lower = loop[loop[:, 0] <= chord + 1e-6], loop[loop[:, 0] >= chord - 1e-6]
        xs = left[1] + (right[1] - left[1]) * (0.5 - 0.5 * np.cos(np.linspace(0, math.pi, n // 2 + 1)))
        out = []
        for half, x in ((upper, xs[:-1]), (lower, xs[::-1][:-1])):
            order = half[np.argsort(half[:, 1])]
            out.append(np.stack([np.interp(x, order[:, 1], order[:, 0]), x], 1))
        return np.concatenate(out)

    def _lids(self, side: int) -> np.ndarray:
        half = np.arange(_VIEW_PX)[None, :] * side > _VIEW_PX / 2 * side
        mask = (self.surface.materials[self.index] == EYE) & (self.index >= 0) & half
        where = np.argwhere(mask)
        return self._contour(mask, (where.min(0) + where.max(0)) / 2, np.ptp(where, 0) * 1.2, 16)

    def _brow(self, side: int) -> list[tuple[float, float]]:
        """Two rows along the middle of the brows' cards, in eye distances from the middle between the eyes."""
        card = (self.anatomy.part("brow_01").fit(self.anatomy.base) - self.middle) / self.distance
        card = card[card[:, 0] * side > 0]
        card[:, 0] *= side
        low, high = np.quantile(card[:, 0], (0.02, 0.98))
        rows: list[list[tuple[float, float]]] = [[], []]
        for x in np.linspace(low + 0.04, high - 0.04, 5):
            near = card[np.abs(card[:, 0] - x) < 0.08][:, 1]
            middle, reach = (near.max() + near.min()) / 2, np.ptp(near) * 0.28
            rows[0].append((side * x, middle + reach))
            rows[1].append((side * x, middle - reach))
        return rows[0] + rows[1]

    def _grid(self, places: list[tuple[float, float]]) -> np.ndarray:
        offsets = np.array([(x, y, 0.0) for x, y in places]) * self.distance
        return self.pixels(self.middle + offsets)

    def _oval(self) -> np.ndarray:
        """Where the face turns away: along rays, the last pixel in front of a plane that leans back to the brow."""
        shown = self.surface.faces[self.index.clip(0)]
        place = (self.position[shown] * self.weights[..., None]).sum(2)
        relative = (place - self.middle) / self.distance
        is_face = (self.index >= 0) & (relative[..., 2] > -0.50 - 0.12 * relative[..., 1])
        is_face &= (relative[..., 1] < 0) | ((relative[..., 0] / 1.25) ** 2 + (relative[..., 1] / 1.02) ** 2 < 1)
        centre = self.pixels((self.middle + np.array([0, -0.45, 0]) * self.distance)[None])[0]
        found = []
        steps = np.arange(0, 640)[:, None]
        for k in range(36):
            angle = 2 * math.pi * k / 36
            ray = (centre + steps * np.array([-math.cos(angle), math.sin(angle)])).astype(int)
            ray = ray[(ray >= 0).all(1) & (ray < _VIEW_PX).all(1)]
            found.append(ray[np.flatnonzero(is_face[ray[:, 0], ray[:, 1]])[-1]])
        return np.array(found, float)


_NOSE = [
    (0.0, -0.05), (0.0, -0.22), (0.0, -0.40), (0.0, -0.56),
    (-0.24, -0.63), (-0.15, -0.70), (-0.05, -0.72), (0.05, -0.72), (0.15, -0.70), (0.24, -0.63),
]  # fmt: skip
"""(right in the picture, up) in eye distances from the middle between the eyes, on the base mesh."""
