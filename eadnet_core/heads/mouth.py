"""The inside of a mouth: teeth set behind the lips, a lower jaw that turns about its hinge, a tongue that rises."""

from __future__ import annotations

import math

import numpy as np

from .anatomy import Part
from .features import Features, landmark_slice
from .rig import SHAPE_INDEX

_TOOTH_SIZE = np.array((0.86, 1.04, 0.93), np.float32)
_TONGUE_SIZE = np.array((0.80, 0.70, 0.92), np.float32)
"""The sets are a little large for the lips."""
_EDGE_BELOW_LIP, _BEHIND_LIP = 0.030, 0.068
_LOWER_BELOW_LIP, _LOWER_BACK = 0.026, 0.015
_TONGUE_DOWN, _TONGUE_BACK = 0.075, 0.05
"""Where the incisors and the tongue lie from the upper lip's rim, in head heights."""
_UPPER_MIDDLE = landmark_slice("lips_inner").start + 5


def upper_lip(features: Features, vertices: np.ndarray) -> np.ndarray:
    """Middle of the upper lip's rim [3]."""
    return (vertices[features.landmarks[_UPPER_MIDDLE]] * features.weights[_UPPER_MIDDLE][:, None]).sum(0)


def lower_set(part: Part, base: np.ndarray) -> np.ndarray:
    """Which vertices of a set of teeth belong to the lower jaw, [N] bool: teeth by height, gums by the nearest."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    points, faces = part.fit(base), part.render_vertices[part.faces]
    ends = np.concatenate([faces[:, 1], faces[:, 2]])
    graph = coo_matrix((np.ones(len(ends)), (np.tile(faces[:, 0], 2), ends)), shape=(len(points),) * 2)
    n, piece = connected_components(graph, directed=False)
    gums = int(np.bincount(piece).argmax())
    middles = {i: points[piece == i].mean(0) for i in range(n) if i != gums and (piece == i).sum() > 20}
    if len(middles) < 2:
        return points[:, 1] < points[:, 1].mean()
    lower, is_tooth = np.zeros(len(points), bool), np.zeros(len(points), bool)
    every = np.array(list(middles.values()))
    for i, middle in middles.items():
        across, deep = np.abs(np.abs(every[:, 0]) - abs(middle[0])), np.abs(every[:, 2] - middle[2])
        near = every[(across < 0.06) & (deep < 0.08)][:, 1]
        lower[piece == i] = middle[1] < (near.min() + near.max()) / 2
        is_tooth |= piece == i
    nearest = cKDTree(points[is_tooth]).query(points[~is_tooth])[1]
    lower[~is_tooth] = lower[is_tooth][nearest]
    return lower


def set_teeth(rest: np.ndarray, lower: np.ndarray, lip: np.ndarray, height: float) -> np.ndarray:
    """Teeth [N, 3] at rest, moved behind the lip [3]; `height` from the eyes to the crown."""
    middle = rest.mean(0)
    out = (rest - middle) * _TOOTH_SIZE + middle
    front = np.abs(out[:, 0] - lip[0]) < 0.085
    if not (front & lower).any() or not (front & ~lower).any():
        return out
    face = out[front & ~lower, 2].max()
    edge = out[front & ~lower & (out[:, 2] > face - 0.09), 1].min()
    out[:, 2] += lip[2] - _BEHIND_LIP * height - face
    out[~lower, 1] += lip[1] - _EDGE_BELOW_LIP * height - edge
    low_face = out[front & lower, 2].max()
    out[lower, 1] += lip[1] - _LOWER_BELOW_LIP * height - out[front & lower & (out[:, 2] > low_face - 0.07), 1].max()
    out[lower, 2] -= _LOWER_BACK * height
    return out


def set_tongue(rest: np.ndarray, height: float) -> np.ndarray:
    """The tongue [N, 3] at rest, smaller, lower and further back."""
    middle = rest.mean(0)
    return (rest - middle) * _TONGUE_SIZE + middle - np.array((0, _TONGUE_DOWN, _TONGUE_BACK)) * height


class Jaw:
    """Moves teeth and tongue with the shapes' weights.

    teeth, tongue  slices of the head's vertices, or None
    lower          [N] bool   vertices of the lower set among the teeth
    """

    def __init__(
        self,
        features: Features,
        body: np.ndarray,
        opens: np.ndarray,
        teeth: slice | None,
        tongue: slice | None,
        lower: np.ndarray,
        height: float,
    ) -> None:
        self._features, self._teeth, self._tongue, self._height = features, teeth, tongue, height
        self._lower = np.flatnonzero(lower) + (teeth.start if teeth else 0)
        self._upper = np.flatnonzero(~lower) + (teeth.start if teeth else 0)
        self._lip = float(upper_lip(features, body)[1])
        self._angle, self._hinge = _hinge(body, opens)

    def move(self, vertices: np.ndarray, weights: np.ndarray) -> None:
        """Turn the lower set and the tongue as far as the jaw opens, in place."""
        opening = float(weights[SHAPE_INDEX["jawOpen"]])
        if self._teeth is not None:
            self._turn(vertices, self._lower, opening)
            rise = float(upper_lip(self._features, vertices)[1]) - self._lip - 0.04 * self._height
            vertices[self._upper, 1] += 0.85 * min(max(0.0, rise), 0.12 * self._height)
        if self._tongue is not None:
            tongue = np.arange(self._tongue.start, self._tongue.stop)
            self._turn(vertices, tongue, opening)
            z = vertices[tongue, 2]
            tip = np.clip((z - (z.max() - 0.35 * self._height)) / (0.35 * self._height), 0, 1) ** 1.5
            up = float(weights[SHAPE_INDEX["tongueUp"]])
            vertices[tongue, 1] += tip * up * (0.05 + 0.17 * opening) * self._height
            vertices[tongue, 2] += tip * up * 0.04 * self._height

    def _turn(self, vertices: np.ndarray, chosen: np.ndarray, opening: float) -> None:
        c, s = math.cos(self._angle * opening), math.sin(self._angle * opening)
        y, z = vertices[chosen, 1] - self._hinge[0], vertices[chosen, 2] - self._hinge[1]
        vertices[chosen, 1] = self._hinge[0] + c * y - s * z
        vertices[chosen, 2] = self._hinge[1] + s * y + c * z


def _hinge(body: np.ndarray, opens: np.ndarray) -> tuple[float, np.ndarray]:
    """Angle and centre (y, z) of the turn that comes nearest to how the chin moves when the jaw opens, [V, 3]."""
    moved = np.abs(opens).sum(1)
    if moved.max() <= 0:
        return 0.0, np.zeros(2)
    chosen = np.flatnonzero((moved > 0.8 * moved.max()) & (np.abs(body[:, 0]) < 0.3))
    before = body[chosen, 1:].astype(float)
    after = before + opens[chosen, 1:]
    a, b = before - before.mean(0), after - after.mean(0)
    angle = math.atan2(float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()), float((a * b).sum()))
    if abs(angle) < 1e-3:
        return 0.0, np.zeros(2)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return angle, np.linalg.solve(np.eye(2) - turn, after.mean(0) - turn @ before.mean(0))
