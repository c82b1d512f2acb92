"""Which triangles of teeth can ever be seen: roots and backs are not drawn."""

from __future__ import annotations

import math

import numpy as np

from .anatomy import Part

SIZE_PX = 640
YAWS_DEG, PITCHES_DEG = (-30, 0, 30), (-20, 0, 20)


def seen_teeth(part: Part, opened: np.ndarray) -> np.ndarray:
    """The triangles that are seen from one of nine directions, upper and lower teeth each alone, [F] bool.

    opened  [V, 3]  the base mesh with its jaw open
    """
    points = part.fit(opened)[part.render_vertices].astype(np.float32)
    middle = points.mean(0)
    reach = np.abs(points - middle).max() * 1.2
    is_upper = points[:, 1] > middle[1]
    rows = [np.nonzero(side[part.faces].all(1))[0] for side in (is_upper, ~is_upper)]
    seen = np.zeros(len(part.faces), bool)
    for yaw in YAWS_DEG:
        for pitch in PITCHES_DEG:
            turned = (points - middle) @ _turn(yaw, pitch).T
            screen = turned / reach * SIZE_PX / 2 + SIZE_PX / 2
            for row in rows:
                seen[row[nearest_faces(screen, part.faces[row], SIZE_PX)]] = True
    return seen


def nearest_faces(screen: np.ndarray, faces: np.ndarray, size_px: int) -> np.ndarray:
    """The numbers of the triangles that are nearest in at least one pixel.

    screen  [R, 3]  x and y in pixels of a square picture, z larger where nearer
    faces   [F, 3]

    >>> screen = np.array([(0, 0, 1), (9, 0, 1), (0, 9, 1), (0, 0, 2), (9, 0, 2), (0, 9, 2)], float)
    >>> nearest_faces(screen, np.array([(0, 1, 2), (3, 4, 5)]), 10).tolist()
    [1]
    """
    depth = np.full((size_px, size_px), -np.inf)
    number = np.full((size_px, size_px), -1)
    corners = screen[faces].astype(np.float64)
    low = np.clip(np.ceil(corners[:, :, :2].min(1) - 0.5).astype(int), 0, size_px)
    high = np.clip(np.floor(corners[:, :, :2].max(1) - 0.5).astype(int) + 1, 0, size_px)
    for k in np.nonzero((high > low).all(1))[0]:
        (x0, y0, z0), (x1, y1, z1), (x2, y2, z2) = corners[k].tolist()
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < 1e-9:
            continue
        box = slice(low[k, 1], high[k, 1]), slice(low[k, 0], high[k, 0])
        x = np.arange(low[k, 0], high[k, 0]) + 0.5 - x0
        y = np.arange(low[k, 1], high[k, 1])[:, None] + 0.5 - y0
        second = (x * (y2 - y0) - (x2 - x0) * y) / area
        third = ((x1 - x0) * y - x * (y1 - y0)) / area
        first = 1 - second - third
        z = first * z0 + second * z1 + third * z2
        is_nearer = (first >= 0) & (second >= 0) & (third >= 0) & (z > depth[box])
        depth[box][is_nearer] = z[is_nearer]
        number[box][is_nearer] = k
    return np.unique(number[number >= 0])


def _turn(yaw_deg: float, pitch_deg: float) -> np.ndarray:
    """The rotation [3, 3] by a yaw of a pitch."""
    yaw, pitch = math.radians(yaw_deg), math.radians(pitch_deg)
    about_y = [(math.cos(yaw), 0, math.sin(yaw)), (0, 1, 0), (-math.sin(yaw), 0, math.cos(yaw))]
    about_x = [(1, 0, 0), (0, math.cos(pitch), -math.sin(pitch)), (0, math.sin(pitch), math.cos(pitch))]
    return np.array(about_y) @ np.array(about_x)
