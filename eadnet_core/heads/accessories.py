"""Glasses and hats, made for each head out of tubes, discs and the head's own scalp."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .materials import EXTRA, GLASS

FRAME_UV, HAT_UV = (0.25, 0.5), (0.75, 0.5)
"""Where the accessory texture holds the colour of the frame of glasses, and of the hat."""
_RIM_POINTS, _TUBE_SIDES = 28, 5


@dataclass(frozen=True)
class Accessory:
    """A mesh that moves with the skull alone.

    vertices [N, 3], uv [N, 2], faces [F, 3], materials [F]
    """

    vertices: np.ndarray
    uv: np.ndarray
    faces: np.ndarray
    materials: np.ndarray


def make_glasses(rng: np.random.Generator, points: np.ndarray, eyes: np.ndarray, ears: np.ndarray) -> Accessory:
    """Glasses before the eyes.

    points  [P, 3] the skin's vertices
    eyes    [2, 3] centres of the eyeballs, the head's left first
    ears    [2, 3] where the temples end
    """
    distance = float(eyes[0, 0] - eyes[1, 0])
    half_width, half_height = distance * rng.uniform(0.36, 0.44), distance * rng.uniform(0.22, 0.38)
    corner, thickness = rng.uniform(2.0, 4.0), distance * rng.uniform(0.014, 0.035)
    middle = eyes.mean(0)
    near = points[(abs(points[:, 0] - eyes[0, 0]) < half_width) & (abs(points[:, 1] - middle[1]) < half_height)]
    front = np.quantile(near[:, 2], 0.97) + 0.10 * distance
    drop = -0.05 * distance
    angles = np.linspace(0, 2 * np.pi, _RIM_POINTS, endpoint=False)
    ring = np.stack([_rounded(np.cos(angles), corner) * half_width, _rounded(np.sin(angles), corner) * half_height], 1)
    pieces: list[tuple[np.ndarray, np.ndarray, int]] = []
    for eye in eyes:
        curve = np.empty((_RIM_POINTS, 3))
        curve[:, :2] = ring + np.array((eye[0] * 1.04, middle[1] + drop))
        curve[:, 2] = front - 0.10 * np.abs(curve[:, 0]) ** 2 / distance
        pieces.append((*_tube(curve, thickness, is_closed=True), EXTRA))
        pieces.append((*_fan(curve), GLASS))
        outer = np.sign(eye[0]) * (abs(eye[0]) * 1.04 + half_width)
        hinge = np.array([outer, middle[1] + drop + 0.4 * half_height, front - 0.10 * outer**2 / distance])
        ear = ears[0] if eye[0] > 0 else ears[1]
        end = np.array([ear[0] * 1.0, ear[1], ear[2]])
        temple = hinge + (end - hinge) * np.linspace(0, 1, 6)[:, None]
        pieces.append((*_tube(temple, thickness, is_closed=False), EXTRA))
    inner = eyes[0, 0] * 1.04 - half_width
    span = np.linspace(-1, 1, 7)
    bridge = np.stack(
        [span * inner, middle[1] + drop + half_height * (0.25 + 0.12 * (1 - span**2)), np.full(7, front)], 1
    )
    pieces.append((*_tube(bridge, thickness, is_closed=False), EXTRA))
    return _joined(pieces, FRAME_UV)


def make_hat(
    rng: np.random.Generator, vertices: np.ndarray, faces: np.ndarray, eyes: np.ndarray, brow_y: float
) -> Accessory:
    """A knitted hat: the scalp above a slanted line, moved outwards; vertices [V, 3], faces [F, 3] of the body."""
    distance = float(eyes[0, 0] - eyes[1, 0])
    height = hat_height(vertices, eyes, brow_y)
    chosen = faces[(height[faces] > 0).any(1)]
    used, inverse = np.unique(chosen, return_inverse=True)
    scalp, above = vertices[used].copy(), height[used] / distance
    scalp[:, 1] -= np.minimum(above, 0) * distance  # an even rim
    middle = np.array([0, eyes[0, 1] + 0.6 * distance, scalp[:, 2].mean()])
    outward = scalp - middle
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    band = np.clip((rng.uniform(0.2, 0.45) - above) / 0.06, 0, 1) * 0.05 * (rng.random() < 0.7)
    lift = distance * (0.13 + 0.12 * np.clip(above, 0, 1) ** 0.7 + band) * rng.uniform(0.9, 1.3)
    crown = scalp + outward * lift[:, None]
    return _joined([(crown, inverse.reshape(-1, 3), EXTRA)], HAT_UV)


def hat_height(vertices: np.ndarray, eyes: np.ndarray, brow_y: float) -> np.ndarray:
    """How far vertices [V, 3] lie above the rim of a hat, which sinks towards the back; [V]."""
    distance = float(eyes[0, 0] - eyes[1, 0])
    back = np.clip(eyes[0, 2] - vertices[:, 2], 0, None)
    return vertices[:, 1] - (brow_y + 0.34 * distance - 0.16 * back)


def _rounded(values: np.ndarray, corner: float) -> np.ndarray:
    return np.sign(values) * np.abs(values) ** (2 / corner)


def _tube(curve: np.ndarray, radius: float, is_closed: bool) -> tuple[np.ndarray, np.ndarray]:
    n = len(curve)
    ahead = np.roll(curve, -1, 0) - np.roll(curve, 1, 0)
    if not is_closed:
        ahead[0], ahead[-1] = curve[1] - curve[0], curve[-1] - curve[-2]
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    hint = np.where(np.abs(ahead[:, 2:]) > 0.8, (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    across = np.cross(ahead, hint)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    up = np.cross(across, ahead)
    turn = np.linspace(0, 2 * np.pi, _TUBE_SIDES, endpoint=False)
    ring = np.cos(turn)[None, :, None] * across[:, None] + np.sin(turn)[None, :, None] * up[:, None]
    vertices = (curve[:, None] + radius * ring).reshape(-1, 3)
    faces = []
    for i in range(n if is_closed else n - 1):
        for j in range(_TUBE_SIDES):
            k, a, b = (j + 1) % _TUBE_SIDES, i * _TUBE_SIDES, (i + 1) % n * _TUBE_SIDES
            faces += [(a + j, b + j, b + k), (a + j, b + k, a + k)]
    return vertices, np.array(faces)


def _fan(curve: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    n = len(curve)
    middle = curve.mean(0) + np.array((0, 0, 0.02))
    faces = [(i, (i + 1) % n, n) for i in range(n)]
    return np.concatenate([curve, middle[None]]), np.array(faces)


def _joined(pieces: list[tuple[np.ndarray, np.ndarray, int]], uv: tuple[float, float]) -> Accessory:
    starts = np.cumsum([0, *(len(vertices) for vertices, _, _ in pieces)])
    vertices = np.concatenate([vertices for vertices, _, _ in pieces]).astype(np.float32)
    faces = np.concatenate([f + start for (_, f, _), start in zip(pieces, starts, strict=False)])
    materials = np.concatenate([np.full(len(f), material) for _, f, material in pieces])
    return Accessory(vertices, np.tile(np.array(uv, np.float32), (len(vertices), 1)), faces, materials)
