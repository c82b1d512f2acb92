"""The rasteriser's geometry: normals, depth maps of the lights, what each pixel shows, and where it lay before.

Everything runs on one thread in numba. Screen coordinates are pixels to the right and down, and 1 / distance, so that
larger is nearer. Triangles index render vertices; a render vertex is a (vertex, texture coordinate) pair.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from .materials import BROW, CLOTH, CORNEA, EXTRA, EYE, GLASS, HAIR, LASH, MOUTH, SKIN, TEETH, TONGUE

KERNEL: Any = {"cache": True, "fastmath": True, "nogil": True, "error_model": "numpy"}
BROW_BIAS = 1.004
"""Brows lie flat on the skin: they count as this much nearer."""
INNER_BIAS, EYE_BIAS = 0.110, 0.012
"""Teeth and eyes count as this much deeper, in head heights, so that gums and corneas never pierce the skin."""
ALPHA_TEST = 100
"""Texels of hair more transparent than this (of 255) neither throw shadows nor own a pixel."""


class Surface(NamedTuple):
    """A head's triangles and textures.

    faces      [F, 3] int32     render vertices
    materials  [F] int32
    uv         [N, 2] float32   of render vertices
    texels     [X, 4] uint8     all textures, one after another
    textures   [M, 3] int64     offset, width, height of each material's
    tints      [M, 4] float32   factors of colour and opacity
    """

    faces: np.ndarray
    materials: np.ndarray
    uv: np.ndarray
    texels: np.ndarray
    textures: np.ndarray
    tints: np.ndarray


@njit(**KERNEL)
def first_pixel(a, b, c):
    """The first pixel from 0 on whose centre lies at or beyond the least of three coordinates."""
    return max(0, int(np.ceil(min(a, b, c) - 0.5)))


@njit(**KERNEL)
def last_pixel(a, b, c, size):
    """The last pixel below `size` whose centre lies at or before the greatest of three coordinates."""
    return min(size - 1, int(np.floor(max(a, b, c) - 0.5)))


@njit(**KERNEL)
def _nearness(m, inner_bias, eye_bias):
    """Factor of 1 / distance by which a material counts as nearer than it is."""
    if m == BROW:
        return BROW_BIAS
    if m in (TEETH, TONGUE, MOUTH):
        return 1 - inner_bias
    return 1 - eye_bias if m == EYE else 1.0


@njit(**KERNEL)
def vertex_normals(position, faces, out):
    """Unit normals [V, 3] of the mesh, weighted by area."""
    out[:] = 0
    for t in range(faces.shape[0]):
        a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
        ux = position[b, 0] - position[a, 0]
        uy = position[b, 1] - position[a, 1]
        uz = position[b, 2] - position[a, 2]
        vx = position[c, 0] - position[a, 0]
        vy = position[c, 1] - position[a, 1]
        vz = position[c, 2] - position[a, 2]
        nx = uy * vz - uz * vy
        ny = uz * vx - ux * vz
        nz = ux * vy - uy * vx
        for k in (a, b, c):
            out[k, 0] += nx
            out[k, 1] += ny
            out[k, 2] += nz
    for i in range(position.shape[0]):
        scale = 1.0 / (math.sqrt(out[i, 0] ** 2 + out[i, 1] ** 2 + out[i, 2] ** 2) + 1e-12)
        for k in range(3):
            out[i, k] *= scale


@njit(**KERNEL)
def strand_tangents(position, uv, faces, chosen, out):
    """Unit direction [N, 3] in which v grows, of the render vertices of the chosen triangles: along the hair."""
    for q in range(chosen.shape[0]):
        for j in range(3):
            out[faces[chosen[q], j], :] = 0
    for q in range(chosen.shape[0]):
        t = chosen[q]
        a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
        du1, dv1 = uv[b, 0] - uv[a, 0], uv[b, 1] - uv[a, 1]
        du2, dv2 = uv[c, 0] - uv[a, 0], uv[c, 1] - uv[a, 1]
        side = 1.0 if du1 * dv2 - dv1 * du2 > 0 else -1.0
        for k in range(3):
            v = ((position[c, k] - position[a, k]) * du1 - (position[b, k] - position[a, k]) * du2) * side
            out[a, k] += v
            out[b, k] += v
            out[c, k] += v
    for q in range(chosen.shape[0]):
        for j in range(3):
            a = faces[chosen[q], j]
            scale = 1.0 / (math.sqrt(out[a, 0] ** 2 + out[a, 1] ** 2 + out[a, 2] ** 2) + 1e-9)
            for k in range(3):
                out[a, k] *= scale


@njit(**KERNEL)
def is_opaque(surface, m, u, v):
    """Whether the texel at (u, v) of material m hides what lies behind."""
    width, height = surface.textures[m, 1], surface.textures[m, 2]
    x = min(width - 1, max(0, int(u * width)))
    y = min(height - 1, max(0, int((1 - v) * height)))
    return surface.texels[surface.textures[m, 0] + y * width + x, 3] >= ALPHA_TEST


@njit(**KERNEL)
def light_depth(screen, surface, depth):
    """Orthographic depth map [R, R] of what throws shadows; smaller is nearer the light."""
    depth[:] = 1e9
    size = depth.shape[0]
    faces, uv = surface.faces, surface.uv
    for t in range(faces.shape[0]):
        m = surface.materials[t]
        if m != SKIN and m != CLOTH and m != HAIR and m != EXTRA:
            continue
        a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
        x0, y0 = screen[a, 0], screen[a, 1]
        x1, y1 = screen[b, 0], screen[b, 1]
        x2, y2 = screen[c, 0], screen[c, 1]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < 1e-9 or (m == SKIN and area < 0):
            continue
        left, right = first_pixel(x0, x1, x2), last_pixel(x0, x1, x2, size)
        top, bottom = first_pixel(y0, y1, y2), last_pixel(y0, y1, y2, size)
        inverse = 1.0 / area
        for y in range(top, bottom + 1):
            py = y + 0.5
            for x in range(left, right + 1):
                px = x + 0.5
                w1 = ((px - x0) * (y2 - y0) - (x2 - x0) * (py - y0)) * inverse
                w2 = ((x1 - x0) * (py - y0) - (px - x0) * (y1 - y0)) * inverse
                w0 = 1 - w1 - w2
                if w0 < 0 or w1 < 0 or w2 < 0:
                    continue
                d = w0 * screen[a, 2] + w1 * screen[b, 2] + w2 * screen[c, 2]
                if d < depth[y, x]:
                    if m == HAIR and not is_opaque(
                        surface,
                        m,
                        w0 * uv[a, 0] + w1 * uv[b, 0] + w2 * uv[c, 0],
                        w0 * uv[a, 1] + w1 * uv[b, 1] + w2 * uv[c, 1],
                    ):
                        continue
                    depth[y, x] = d


@njit(**KERNEL)
def ambient_occlusion(render_position, normal, render_vertex, surface, directions, size, centre, extent, out):
    """How much of the sky each vertex sees, [V] 0 .. 1, by one small depth map a direction."""
    n, n_render = normal.shape[0], render_position.shape[0]
    screen = np.empty((n_render, 3), np.float32)
    depth = np.empty((size, size), np.float32)
    total = np.zeros(n, np.float32)
    out[:] = 0
    scale = size * 0.5 / extent
    bias = extent / size * 1.6
    for k in range(directions.shape[0]):
        d = directions[k]
        ux, uy, uz = (0.0, 0.0, 1.0) if abs(d[1]) > 0.9 else (0.0, 1.0, 0.0)
        rx, ry, rz = uy * d[2] - uz * d[1], uz * d[0] - ux * d[2], ux * d[1] - uy * d[0]
        length = 1.0 / math.sqrt(rx * rx + ry * ry + rz * rz)
        rx, ry, rz = rx * length, ry * length, rz * length
        vx, vy, vz = d[1] * rz - d[2] * ry, d[2] * rx - d[0] * rz, d[0] * ry - d[1] * rx
        for i in range(n_render):
            x, y, z = (
                render_position[i, 0] - centre[0],
                render_position[i, 1] - centre[1],
                render_position[i, 2] - centre[2],
            )
            screen[i, 0] = (rx * x + ry * y + rz * z) * scale + size * 0.5
            screen[i, 1] = (vx * x + vy * y + vz * z) * scale + size * 0.5
            screen[i, 2] = -(d[0] * x + d[1] * y + d[2] * z)
        light_depth(screen, surface, depth)
        for i in range(n_render):
            j = render_vertex[i]
            c = normal[j, 0] * d[0] + normal[j, 1] * d[1] + normal[j, 2] * d[2]
            if c <= 0.02:
                continue
            total[j] += c
            x, y = int(screen[i, 0]), int(screen[i, 1])
            if (
                x < 0
                or y < 0
                or x >= size
                or y >= size
                or screen[i, 2] <= depth[y, x] + bias + extent / size * 1.5 * (1 - c)
            ):
                out[j] += c
    for j in range(n):
        out[j] = out[j] / total[j] if total[j] > 0 else 1.0


@njit(**KERNEL)
def opaque_triangles(screen, surface, inner_bias, eye_bias, depth, index):
    """Nearest opaque triangle of each pixel: index [N, N] (-1 none) and 1 / distance [N, N]."""
    depth[:] = 0
    index[:] = -1
    height, width = depth.shape
    faces = surface.faces
    for t in range(faces.shape[0]):
        m = surface.materials[t]
        if m >= HAIR:
            continue
        a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
        x0, y0 = screen[a, 0], screen[a, 1]
        x1, y1 = screen[b, 0], screen[b, 1]
        x2, y2 = screen[c, 0], screen[c, 1]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < 1e-9 or (m == SKIN and area > 0):
            continue
        left, right = first_pixel(x0, x1, x2), last_pixel(x0, x1, x2, width)
        top, bottom = first_pixel(y0, y1, y2), last_pixel(y0, y1, y2, height)
        inverse = 1.0 / area
        nearer = _nearness(m, inner_bias, eye_bias)
        for y in range(top, bottom + 1):
            py = y + 0.5
            for x in range(left, right + 1):
                px = x + 0.5
                w1 = ((px - x0) * (y2 - y0) - (x2 - x0) * (py - y0)) * inverse
                w2 = ((x1 - x0) * (py - y0) - (px - x0) * (y1 - y0)) * inverse
                w0 = 1 - w1 - w2
                if w0 < 0 or w1 < 0 or w2 < 0:
                    continue
                d = (w0 * screen[a, 2] + w1 * screen[b, 2] + w2 * screen[c, 2]) * nearer
                if d > depth[y, x]:
                    depth[y, x] = d
                    index[y, x] = t


@njit(**KERNEL)
def shown_points(screen, surface, inner_bias, eye_bias, depth, index, weights):
    """What each pixel shows, hair included: triangle [N, N] (-1 none), 1 / distance, barycentric weights [N, N, 3].

    Layers that cover a pixel by less than `ALPHA_TEST` do not own it; corneas, lenses and lashes never do.
    """
    depth[:] = 0
    index[:] = -1
    height, width = depth.shape
    faces, uv = surface.faces, surface.uv
    for t in range(faces.shape[0]):
        m = surface.materials[t]
        if m in (CORNEA, GLASS, LASH):
            continue
        a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
        x0, y0 = screen[a, 0], screen[a, 1]
        x1, y1 = screen[b, 0], screen[b, 1]
        x2, y2 = screen[c, 0], screen[c, 1]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < 1e-9 or (m == SKIN and area > 0):
            continue
        left, right = first_pixel(x0, x1, x2), last_pixel(x0, x1, x2, width)
        top, bottom = first_pixel(y0, y1, y2), last_pixel(y0, y1, y2, height)
        inverse = 1.0 / area
        nearer = _nearness(m, inner_bias, eye_bias)
        for y in range(top, bottom + 1):
            py = y + 0.5
            for x in range(left, right + 1):
                px = x + 0.5
                w1 = ((px - x0) * (y2 - y0) - (x2 - x0) * (py - y0)) * inverse
                w2 = ((x1 - x0) * (py - y0) - (px - x0) * (y1 - y0)) * inverse
                w0 = 1 - w1 - w2
                if w0 < 0 or w1 < 0 or w2 < 0:
                    continue
                d = w0 * screen[a, 2] + w1 * screen[b, 2] + w2 * screen[c, 2]
                if d * nearer <= depth[y, x]:
                    continue
                p0, p1, p2 = w0 * screen[a, 2] / d, w1 * screen[b, 2] / d, w2 * screen[c, 2] / d
                if m in (HAIR, BROW) and not is_opaque(
                    surface,
                    m,
                    p0 * uv[a, 0] + p1 * uv[b, 0] + p2 * uv[c, 0],
                    p0 * uv[a, 1] + p1 * uv[b, 1] + p2 * uv[c, 1],
                ):
                    continue
                depth[y, x] = d * nearer
                index[y, x] = t
                weights[y, x, 0], weights[y, x, 1], weights[y, x, 2] = p0, p1, p2


@njit(**KERNEL)
def _same(m, n):
    """Whether two materials show one another: brows lie on the skin."""
    return m == n or (m == BROW and n == SKIN) or (m == SKIN and n == BROW)


@njit(**KERNEL)
def backward_flow(
    index, weights, faces, materials, reference_screen, reference_depth, reference_index, tolerance, flow, visible
):
    """Where each pixel's point lies in the reference, [N, N, 2] in half frame widths, and whether it is seen there.

    The background stands still: it is visible where the reference shows background too. A point is hidden where the
    reference shows something nearer by `tolerance`, a share of its distance. visible [N, N]: 255 or 0.
    """
    n = index.shape[0]
    for y in range(n):
        for x in range(n):
            t = index[y, x]
            flow[y, x, 0], flow[y, x, 1] = 0, 0
            if t < 0:
                visible[y, x] = 255 if reference_index[y, x] < 0 else 0
                continue
            u, v, d = 0.0, 0.0, 0.0
            for k in range(3):
                i = faces[t, k]
                w = weights[y, x, k]
                u += w * reference_screen[i, 0]
                v += w * reference_screen[i, 1]
                d += w * reference_screen[i, 2]
            flow[y, x, 0] = (u - (x + 0.5)) / n * 2
            flow[y, x, 1] = (v - (y + 0.5)) / n * 2
            column, row, seen = int(u), int(v), 0
            if column >= 1 and row >= 1 and column < n - 1 and row < n - 1:
                for dy in range(-1, 2):
                    for dx in range(-1, 2):
                        s = reference_index[row + dy, column + dx]
                        if (
                            s >= 0
                            and reference_depth[row + dy, column + dx] < d * (1 + tolerance)
                            and _same(materials[s], materials[t])
                        ):
                            seen = 1
            visible[y, x] = 255 * seen
