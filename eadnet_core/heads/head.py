"""A head: drawn from a seed, moved by shapes, gaze and pose."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .assembly import Mesh, add_shapes, assemble, eye_centres
from .identity import Person, draw_person, draw_shape
from .looks import Looks, draw_looks
from .motion import Motion
from .mouth import Jaw
from .raster import KERNEL
from .stock import Stock


class Head:
    """One head of a stock, the same for the same seed.

    person, looks  who it is; drawn where they are not given
    mesh           everything that is drawn
    eyes           [2, 3] centres of the eyeballs at rest, the head's left first
    height         eye line to crown, decimetres
    """

    def __init__(self, stock: Stock, seed: int, person: Person | None = None, looks: Looks | None = None) -> None:
        self.stock, self.seed = stock, seed
        shape, style, detail = (np.random.default_rng([seed, stream]) for stream in range(3))
        self.person = person or draw_person(shape)
        body = draw_shape(shape, stock.anatomy, stock.features, self.person)
        self.looks = looks or draw_looks(style, stock.anatomy, self.person)
        self.mesh: Mesh = assemble(detail, stock, self.person, self.looks, body)
        self._eyeballs = self.mesh.of("eyes")
        self.folds = stock.fold_kit(int(detail.integers(1 << 16)))
        self.fold_gain = (0.55 + 0.75 * self.person.age) * float(np.exp(detail.normal(0, 0.15)))
        self.eyes = eye_centres(self.mesh.rest[self._eyeballs])
        self.height = float(body[stock.anatomy.render_vertices, 1].max() - self.eyes[:, 1].mean())
        self._jaw = self._make_jaw(body)
        self.pivot = self.eyes.mean(0) + np.array((0, -1.15, -0.75)) * self.height
        self.pivot[0] = 0
        y = (self.mesh.rest[:, 1] - (self.pivot[1] - 0.55 * self.height)) / (0.75 * self.height)
        y = np.clip(y, 0, 1)
        self._follows = (y * y * (3 - 2 * y)).astype(np.float32)
        self._is_left = self.mesh.rest[self._eyeballs, 0] > 0

    def _make_jaw(self, body: np.ndarray) -> Jaw:
        opens = np.zeros_like(body)
        if "ict/jawOpen" in self.stock.anatomy.expressions:
            self.stock.anatomy.expressions.add(opens, "ict/jawOpen", 1.0)
        teeth, tongue = (
            self.mesh.of(name) if name in self.mesh.slots else None for name in (self.looks.teeth, "tongue01")
        )
        lower = self.stock.lower_set(self.looks.teeth) if teeth else np.zeros(0, bool)
        return Jaw(self.stock.features, body, opens, teeth, tongue, lower, self.height)

    @property
    def eye_distance(self) -> float:
        """Between the centres of the eyeballs, decimetres."""
        return float(self.eyes[0, 0] - self.eyes[1, 0])

    def moved(self, motion: Motion) -> tuple[np.ndarray, float]:
        """Vertices [V, 3] of the mesh, `shift` left to the camera; and the lips' opening in eye distances."""
        out = self.mesh.rest.copy()
        add_shapes(motion.weights, self.mesh.starts, self.mesh.indices, self.mesh.values, out)
        self._jaw.move(out, motion.weights)
        opening = self.stock.features.lip_opening(out) / self.eye_distance
        ball = rotation(float(motion.gaze[0]), float(motion.gaze[1]), 0.0)
        eyes = out[self._eyeballs]
        for side, centre in zip((self._is_left, ~self._is_left), self.eyes.astype(np.float32), strict=True):
            eyes[side] = (eyes[side] - centre) @ ball.T + centre
        out[self._eyeballs] = eyes
        turn = rotation(*(float(x) for x in motion.turn))
        _follow(
            out, turn, self.pivot.astype(np.float32), self._follows, np.float32(motion.breath * 0.012 * self.height)
        )
        return out, opening


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Rotation [3, 3] by degrees towards the picture's right, down, and clockwise."""
    a, b, c = math.radians(yaw), math.radians(pitch), -math.radians(roll)
    turn = np.array([[math.cos(a), 0, math.sin(a)], [0, 1, 0], [-math.sin(a), 0, math.cos(a)]])
    nod = np.array([[1, 0, 0], [0, math.cos(b), -math.sin(b)], [0, math.sin(b), math.cos(b)]])
    tilt = np.array([[math.cos(c), -math.sin(c), 0], [math.sin(c), math.cos(c), 0], [0, 0, 1]])
    return (turn @ nod @ tilt).astype(np.float32)


@njit(**KERNEL)
def _follow(points, turn, pivot, follows, breath):
    """Turn points about the pivot as far as they follow the skull; the rest rises with the breath. In place."""
    for i in range(points.shape[0]):
        f = follows[i]
        if f > 0:
            x, y, z = points[i, 0] - pivot[0], points[i, 1] - pivot[1], points[i, 2] - pivot[2]
            for k in range(3):
                turned = turn[k, 0] * x + turn[k, 1] * y + turn[k, 2] * z + pivot[k]
                points[i, k] += f * (turned - points[i, k])
        points[i, 1] += (1 - f) * breath
