"""What lets light through: hair, brows, lashes, corneas and lenses, drawn front to back.

Runs on one thread in numba. Hair is lit like Kajiya and Kay (1989), per vertex.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .materials import BROW, CORNEA, GLASS, HAIR
from .raster import BROW_BIAS, KERNEL, first_pixel, last_pixel
from .shading import OPAQUE, blend_normal, blend_position, lit_share, power, shade, surroundings, texel, turn_of


@njit(**KERNEL)
def light_hair(vertices, materials, points, light, diffuse, gleam):
    """Light on the vertices of hair, brows and lashes: diffuse [N, 3] to multiply, gleam [N, 3] to add."""
    around = np.empty(3, np.float32)
    for q in range(vertices.shape[0]):
        i = vertices[q]
        m = materials[i]
        if m in (CORNEA, GLASS):
            continue
        px, py, pz = points.position[i, 0], points.position[i, 1], points.position[i, 2]
        nx, ny, nz = points.normal[i, 0], points.normal[i, 1], points.normal[i, 2]
        tx, ty, tz = points.tangent[i, 0], points.tangent[i, 1], points.tangent[i, 2]
        vx, vy, vz = light.camera[0] - px, light.camera[1] - py, light.camera[2] - pz
        inverse = 1.0 / math.sqrt(vx * vx + vy * vy + vz * vz)
        vx, vy, vz = vx * inverse, vy * inverse, vz * inverse
        if nx * vx + ny * vy + nz * vz < 0:
            nx, ny, nz = -nx, -ny, -nz
        sky = points.sky[i]
        surroundings(light, nx, ny, nz, around)
        for k in range(3):
            diffuse[i, k] = around[k] * sky
            gleam[i, k] = 0
        for j in range(light.directions.shape[0]):
            lx, ly, lz = light.directions[j, 0], light.directions[j, 1], light.directions[j, 2]
            nl = nx * lx + ny * ly + nz * lz
            shadow = lit_share(light, px, py, pz, nx, ny, nz, 0) if j == 0 else 0.35 + 0.65 * sky
            hx, hy, hz = lx + vx, ly + vy, lz + vz
            inverse = 1.0 / math.sqrt(hx * hx + hy * hy + hz * hz + 1e-9)
            tl = tx * lx + ty * ly + tz * lz
            th = (tx * hx + ty * hy + tz * hz) * inverse
            d = max(0.0, nl * 0.6 + 0.4) * 0.55 + math.sqrt(max(0.0, 1 - tl * tl)) * 0.3 * max(0.0, nl * 0.5 + 0.5)
            strand = math.sqrt(max(0.0, 1 - th * th))
            s = (power(strand, 6) * 0.07 + power(strand, 4) * 0.025) * max(0.0, min(1.0, nl * 2 + 0.3))
            if m != HAIR:
                s *= 0.1
            w = shadow * (0.4 + 0.6 * sky)
            for k in range(3):
                diffuse[i, k] += light.colours[j, k] * w * d
                gleam[i, k] += light.colours[j, k] * w * s


@njit(**KERNEL)
def draw_layers(order, surface, points, light, diffuse, gleam, depth, colour, through):
    """Draw what lets light through, nearest first: adds to colour [N, N, 3], lessens through [N, N]."""
    height, width = depth.shape
    albedo, out, around = np.empty(4, np.float32), np.empty(3, np.float32), np.empty(3, np.float32)
    faces, screen = surface.faces, points.screen
    for q in range(order.shape[0]):
        t = order[q]
        a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
        m = surface.materials[t]
        x0, y0 = screen[a, 0], screen[a, 1]
        x1, y1 = screen[b, 0], screen[b, 1]
        x2, y2 = screen[c, 0], screen[c, 1]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < 1e-9:
            continue
        left, right = first_pixel(x0, x1, x2), last_pixel(x0, x1, x2, width)
        top, bottom = first_pixel(y0, y1, y2), last_pixel(y0, y1, y2, height)
        inverse = 1.0 / area
        nearer = BROW_BIAS if m == BROW else 1.0
        for y in range(top, bottom + 1):
            py = y + 0.5
            for x in range(left, right + 1):
                px = x + 0.5
                w1 = ((px - x0) * (y2 - y0) - (x2 - x0) * (py - y0)) * inverse
                w2 = ((x1 - x0) * (py - y0) - (px - x0) * (y1 - y0)) * inverse
                w0 = 1 - w1 - w2
                if w0 < 0 or w1 < 0 or w2 < 0:
                    continue
                w0, w1, w2 = w0 * screen[a, 2], w1 * screen[b, 2], w2 * screen[c, 2]
                d = w0 + w1 + w2
                transmitted = through[y, x]
                if d * nearer < depth[y, x] or transmitted < OPAQUE:
                    continue
                inverse_d = 1.0 / d
                w0, w1, w2 = w0 * inverse_d, w1 * inverse_d, w2 * inverse_d
                if m in (CORNEA, GLASS):
                    _reflection(m, points, light, a, b, c, w0, w1, w2, turn_of(x, y), albedo, around, out)
                    opacity = surface.tints[m, 3] if m == GLASS else 0.0
                else:
                    opacity = _strand(surface, m, diffuse, gleam, a, b, c, w0, w1, w2, albedo, out)
                for k in range(3):
                    colour[y, x, k] += out[k] * transmitted
                through[y, x] = transmitted * (1 - opacity)


@njit(**KERNEL)
def _reflection(m, points, light, a, b, c, w0, w1, w2, turn, albedo, around, out):
    """What a cornea or lens mirrors, into out [3]."""
    blend_normal(points, a, b, c, w0, w1, w2, around)
    nx, ny, nz = around[0], around[1], around[2]
    blend_position(points, a, b, c, w0, w1, w2, around)
    px, py, pz = around[0], around[1], around[2]
    sky = w0 * points.sky[a] + w1 * points.sky[b] + w2 * points.sky[c]
    shade(m, albedo, nx, ny, nz, px, py, pz, sky, light, turn, around, out)


@njit(**KERNEL)
def _strand(surface, m, diffuse, gleam, a, b, c, w0, w1, w2, albedo, out):
    """Light of hair times its opacity, into out [3]; returns the opacity."""
    uv = surface.uv
    u = w0 * uv[a, 0] + w1 * uv[b, 0] + w2 * uv[c, 0]
    v = w0 * uv[a, 1] + w1 * uv[b, 1] + w2 * uv[c, 1]
    texel(surface, m, u, v, albedo)
    opacity = min(1.0, albedo[3] * surface.tints[m, 3])
    bright = 0.25 + min(1.0, albedo[1] * 2.5)
    for k in range(3):
        lit = albedo[k] * (w0 * diffuse[a, k] + w1 * diffuse[b, k] + w2 * diffuse[c, k])
        shine = w0 * gleam[a, k] + w1 * gleam[b, k] + w2 * gleam[c, k]
        lit += shine * bright * (0.4 + 0.6 * min(1.0, albedo[k] * 3))
        out[k] = lit * opacity
    return opacity
