"""A head before a camera: lamps, backdrop, and one picture a motion with all that is known about each of its pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .folds import FoldShade, map_directions
from .head import Head
from .layers import draw_layers, light_hair
from .lighting import Lamps
from .materials import (
    EXTRA,
    GLASS,
    HAIR,
    MOUTH,
    R_BACKGROUND,
    R_LIPS,
    REGION_OF_MATERIAL,
    SKIN,
    TEETH,
    TONGUE,
)
from .motion import Motion
from .raster import (
    EYE_BIAS,
    INNER_BIAS,
    ambient_occlusion,
    backward_flow,
    light_depth,
    opaque_triangles,
    shown_points,
    strand_tangents,
    vertex_normals,
)
from .shading import Light, Points, develop, draw_opaque

EYE_DISTANCE = 0.26
"""Between the eyes at rest, in frame widths: the training frame."""
EYE_HEIGHT = 0.12
"""How far the middle between the eyes lies above the frame's middle, in half frame widths."""
_SUPERSAMPLING = 2
_SKY_DIRECTIONS = 20
_DISC = 12


@dataclass(frozen=True)
class Camera:
    """Where a head is seen from; lengths in decimetres.

    distance  from the eyes
    half      half the width of what is seen at the eyes' depth
    x, y      what lies in the middle of the frame
    """

    distance: float
    half: float
    x: float
    y: float


def draw_camera(rng: np.random.Generator, head: Head, jitter: float = 1.0) -> Camera:
    """The training frame seen from 5 to 16 head heights, moved and scaled a little; jitter 0 is the exact frame."""
    half = head.eye_distance / (2 * EYE_DISTANCE) * float(np.exp(rng.normal(0, 0.03 * jitter)))
    x = float(head.eyes[:, 0].mean()) + float(rng.normal(0, 0.015 * jitter)) * half
    y = float(head.eyes[:, 1].mean()) - (EYE_HEIGHT + float(rng.normal(0, 0.02 * jitter))) * half
    return Camera(float(rng.uniform(5.0, 15.0)) * head.height, half, x, y)


@dataclass(frozen=True)
class Shot:
    """One picture, N pixels wide.

    image      [N, N, 3] uint8
    regions    [N, N] uint8      of `materials.REGIONS`
    landmarks  [L, 3] float32    right, down in pixels (0 is the frame's edge), and 1 where it is seen, else 0
    opening    of the lips, in eye distances
    screen     [R, 3]            render vertices in pixels, and 1 / distance
    index      [N, N]            the triangle that each pixel shows, -1 the backdrop
    depth      [N, N]            1 / distance
    weights    [N, N, 3]         barycentric
    """

    image: np.ndarray
    regions: np.ndarray
    landmarks: np.ndarray
    opening: float
    screen: np.ndarray
    index: np.ndarray
    depth: np.ndarray
    weights: np.ndarray


class Studio:
    """Draws one head under fixed lamps.

    backdrop  [size, size, 3] linear
    """

    def __init__(self, head: Head, size_px: int, camera: Camera, lamps: Lamps, backdrop: np.ndarray) -> None:
        self.head, self.size_px, self.camera, self.lamps = head, size_px, camera, lamps
        n = size_px * _SUPERSAMPLING
        self._backdrop = np.repeat(np.repeat(backdrop, _SUPERSAMPLING, 0), _SUPERSAMPLING, 1)
        self._depth, self._through = np.empty((n, n), np.float32), np.empty((n, n), np.float32)
        self._index, self._colour = np.empty((n, n), np.int32), np.empty((n, n, 3), np.float32)
        self._shadow_px = 384 if size_px <= 160 else 512
        self._shadow = np.empty((self._shadow_px, self._shadow_px), np.float32)
        self._discs = _spiral(_DISC)
        surface = head.mesh.surface
        self._layers = np.flatnonzero(surface.materials >= HAIR).astype(np.int32)
        self._layer_vertices = np.unique(surface.faces[self._layers]).astype(np.int32)
        n_render = len(head.mesh.render_vertices)
        self._materials = np.zeros(n_render, np.int32)
        self._materials[surface.faces.ravel()] = np.repeat(surface.materials, 3)
        self._tangents = np.zeros((n_render, 3), np.float32)
        self._diffuse, self._gleam = np.zeros((n_render, 3), np.float32), np.zeros((n_render, 3), np.float32)
        self._vertex_faces = np.ascontiguousarray(head.mesh.render_vertices[surface.faces])
        self._middle = head.eyes.mean(0).astype(np.float32) - np.array((0, 0.5 * head.height, 0), np.float32)
        self._sky = self._occlusion()
        self._inside = {m: np.unique(surface.faces[surface.materials == m]) for m in (TEETH, TONGUE, MOUTH)}
        self._lips = _sample_lips(head)
        self._folds = self._fold_shade()
        is_body = (surface.faces < head.mesh.n_body).all(1)
        self._body_faces = np.ascontiguousarray(surface.faces[is_body])
        self._count = np.zeros(n_render, np.float32)

    def _fold_shade(self) -> FoldShade:
        kit, anatomy, n = self.head.folds, self.head.stock.anatomy, len(self.head.mesh.render_vertices)
        return FoldShade(
            kit.place(anatomy.base[anatomy.render_vertices], n),
            np.zeros((kit.height, kit.width, 3), np.float32),
            np.zeros((n, 3), np.float32),
            np.zeros((n, 3), np.float32),
        )

    def _occlusion(self) -> np.ndarray:
        """How much of the surroundings each render vertex sees at rest."""
        mesh = self.head.mesh
        normals = np.empty_like(mesh.rest)
        vertex_normals(mesh.rest, self._vertex_faces, normals)
        sky = np.empty(len(mesh.rest), np.float32)
        ambient_occlusion(
            np.ascontiguousarray(mesh.rest[mesh.render_vertices]),
            normals,
            mesh.render_vertices,
            mesh.surface,
            _sphere(_SKY_DIRECTIONS),
            128,
            self._middle,
            3.0 * self.head.height,
            sky,
        )
        out = sky[mesh.render_vertices]
        out[np.isin(self._materials, (EXTRA, GLASS))] = 0.9
        return np.clip(out * 1.08, 0.03, 1)

    def shoot(self, motion: Motion) -> Shot:
        """The picture of a motion."""
        mesh, n = self.head.mesh, self.size_px
        vertices, opening = self.head.moved(motion)
        normals = np.empty_like(vertices)
        vertex_normals(vertices, self._vertex_faces, normals)
        position = np.ascontiguousarray(vertices[mesh.render_vertices])
        screen = self.project(position, motion)
        strand_tangents(position, mesh.surface.uv, mesh.surface.faces, self._layers, self._tangents)
        fine = screen * np.array((_SUPERSAMPLING, _SUPERSAMPLING, 1), np.float32)
        normal = np.ascontiguousarray(normals[mesh.render_vertices])
        points = Points(position, normal, self._tangents, self._sky_at(opening, position), fine)
        folds, kit = self._folds, self.head.folds
        kit.combine(motion.folds, self.head.fold_gain, self.head.person.age, folds.map)
        step = np.float32(kit.step_dm)
        map_directions(position, self._body_faces, folds.place, step, folds.along_x, folds.along_y, self._count)
        image = self._draw(points)
        inner, eye = self._biases()
        depth, index = np.empty((n, n), np.float32), np.empty((n, n), np.int32)
        weights = np.zeros((n, n, 3), np.float32)
        shown_points(screen, mesh.surface, inner, eye, depth, index, weights)
        landmarks = self._landmarks(vertices, motion, depth)
        regions = self._regions(index, weights)
        return Shot(image, regions, landmarks, opening, screen, index, depth, weights)

    def flow(self, shot: Shot, reference: Shot) -> tuple[np.ndarray, np.ndarray]:
        """Where the shot's pixels lie in the reference [N, N, 2], in half frame widths, and 255 where they are seen."""
        flow = np.empty((*shot.index.shape, 2), np.float32)
        visible = np.empty(shot.index.shape, np.uint8)
        surface = self.head.mesh.surface
        tolerance = 0.06 * self.head.height / self.camera.distance
        backward_flow(
            shot.index,
            shot.weights,
            surface.faces,
            surface.materials,
            reference.screen,
            reference.depth,
            reference.index,
            tolerance,
            flow,
            visible,
        )
        return flow, visible

    def project(self, points: np.ndarray, motion: Motion) -> np.ndarray:
        """Points [P, 3] on the picture: right and down in pixels, and 1 / distance, [P, 3]."""
        camera, n = self.camera, self.size_px
        out = np.empty_like(points, dtype=np.float32)
        out[:, 2] = 1 / (self.head.eyes[:, 2].mean() + camera.distance - points[:, 2])
        scale = out[:, 2] * np.float32(camera.distance / camera.half * n / 2)
        out[:, 0] = (points[:, 0] - np.float32(camera.x)) * scale + np.float32(n * (0.5 + motion.shift[0]))
        out[:, 1] = (np.float32(camera.y) - points[:, 1]) * scale + np.float32(n * (0.5 + motion.shift[1]))
        return out

    def _biases(self) -> tuple[float, float]:
        nearer = self.head.height / self.camera.distance
        return INNER_BIAS * nearer, EYE_BIAS * nearer

    def _sky_at(self, opening: float, position: np.ndarray) -> np.ndarray:
        """The mouth's inside sees more of the surroundings the wider the lips are open, and less the deeper it lies."""
        out = self._sky.copy()
        wide = max(0.0, opening)
        lights = {
            TEETH: min(1.0, 0.72 + 1.2 * wide),
            TONGUE: min(0.75, 0.5 + 0.8 * wide),
            MOUTH: min(0.65, 0.2 + 1.2 * wide),
        }
        teeth = self._inside[TEETH]
        front = position[teeth, 2].max() if len(teeth) else 0.0
        for material, light in lights.items():
            where = self._inside[material]
            deep = (front - position[where, 2]) / (0.5 * self.head.height)
            out[where] = light * np.clip(1 - deep, 0.25, 1)
        return out

    def _draw(self, points: Points) -> np.ndarray:
        head, lamps = self.head, self.lamps
        surface = head.mesh.surface
        light = self._light(points)
        inner, eye = self._biases()
        opaque_triangles(points.screen, surface, inner, eye, self._depth, self._index)
        self._colour[:] = 0
        self._through[:] = 1
        nearness = points.screen[surface.faces[self._layers], 2].sum(1)
        order = self._layers[np.argsort(-nearness)]
        light_hair(self._layer_vertices, self._materials, points, light, self._diffuse, self._gleam)
        draw_layers(order, surface, points, light, self._diffuse, self._gleam, self._depth, self._colour, self._through)
        flat = 0.048 * head.height / self.camera.distance
        draw_opaque(
            surface,
            points,
            light,
            self._folds,
            self._depth,
            self._index,
            flat,
            self._backdrop,
            self._colour,
            self._through,
        )
        out = np.empty((self.size_px, self.size_px, 3), np.uint8)
        develop(self._colour, _SUPERSAMPLING, lamps.exposure, out)
        return out

    def _light(self, points: Points) -> Light:
        head, lamps, size = self.head, self.lamps, self._shadow_px
        towards = lamps.directions[0].astype(np.float64)
        right = np.cross((0.0, 1.0, 0.0), towards)
        right /= np.linalg.norm(right)
        up = np.cross(towards, right)
        extent = 2.6 * head.height
        matrix = np.stack([right * size / 2 / extent, up * size / 2 / extent, towards, self._middle]).astype(np.float32)
        seen = (points.position - self._middle) @ matrix[:3].T
        seen[:, :2] += size / 2
        seen[:, 2] *= -1
        light_depth(seen, head.mesh.surface, self._shadow)
        eye = np.array((self.camera.x * 0.5, self.camera.y, head.eyes[0, 2] + self.camera.distance), np.float32)
        return Light(
            eye,
            lamps.directions,
            lamps.colours,
            lamps.harmonics,
            lamps.panorama,
            self._shadow,
            matrix,
            float(2 * extent / size * (1.3 + 0.45 * lamps.softness * size)),
            float(lamps.softness * size),
            self._discs,
            head.looks.gloss,
        )

    def _landmarks(self, vertices: np.ndarray, motion: Motion, depth: np.ndarray) -> np.ndarray:
        points = self.head.stock.features.points(vertices)
        out = self.project(points, motion)
        at = out[:, :2].astype(int)
        inside = ((at >= 0) & (at < self.size_px)).all(1)
        column, row = at.clip(1, self.size_px - 2).T
        tolerance = 0.16 * self.head.height / self.camera.distance
        around = np.stack([depth[row + dy, column + dx] for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
        seen = around.min(0) < out[:, 2] * (1 + tolerance)
        out[:, 2] = inside & seen
        return out

    def _regions(self, index: np.ndarray, weights: np.ndarray) -> np.ndarray:
        surface = self.head.mesh.surface
        out = REGION_OF_MATERIAL[surface.materials[index]]
        skin = (index >= 0) & (surface.materials[index] == SKIN)
        lips = (self._lips[surface.faces[index[skin]]] * weights[skin]).sum(1)
        out[skin] = np.where(lips > 0.5, R_LIPS, out[skin])
        out[index < 0] = R_BACKGROUND
        return out


def _sample_lips(head: Head) -> np.ndarray:
    """How much each render vertex belongs to the lips, 0 .. 1."""
    lips = head.stock.features.lips
    uv, size = head.mesh.surface.uv, lips.shape[0]
    out = np.zeros(len(uv), np.float32)
    body = uv[: head.mesh.n_body]
    x = (body[:, 0] * size).astype(int).clip(0, size - 1)
    y = ((1 - body[:, 1]) * size).astype(int).clip(0, size - 1)
    out[: head.mesh.n_body] = lips[y, x]
    return out


def _spiral(n: int) -> np.ndarray:
    """Points of a unit disc [n, 2] by the golden angle; the first four lie around its middle."""
    k = np.arange(n)
    radius, angle = np.sqrt((k + 0.5) / n), k * 2.39996
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    order = np.argsort([-r if k % 3 == 2 else r for k, r in enumerate(radius)])
    return points[order].astype(np.float32)


def _sphere(n: int) -> np.ndarray:
    """Directions [n, 3] over the sphere but for its lowest part."""
    k = np.arange(n)
    y = 1 - (k + 0.5) / n * 1.75
    radius, angle = np.sqrt(1 - y * y), k * 2.39996
    return np.stack([radius * np.cos(angle), y, radius * np.sin(angle)], 1).astype(np.float32)
