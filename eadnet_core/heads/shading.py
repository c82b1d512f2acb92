"""Light on a head: skin that scatters, wet eyes and mouths, a soft shadow of the key light.

Runs on one thread in numba. Colours are linear. Lamps lie far away; all that surrounds the head is a small panorama,
seen blurred (nine spherical harmonics per colour, Ramamoorthi and Hanrahan 2001) by everything, and sharp by the
corneas and lenses.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from .folds import fold_skin
from .materials import CORNEA, EXTRA, EYE, GLASS, MOUTH, SKIN, TEETH, TONGUE
from .raster import KERNEL

LINEAR = ((np.arange(256) / 255.0) ** 2.2).astype(np.float32)
_TURNS = np.stack([np.cos(np.arange(16) * 0.3927), np.sin(np.arange(16) * 0.3927)], 1).astype(np.float32)
_GAMMA = (np.linspace(0, 1, 4097) ** (1 / 2.2) * 255 + 0.5).astype(np.uint8)
OPAQUE = 0.02
"""Less light than this through the hair is none."""


class Points(NamedTuple):
    """Render vertices of one frame.

    position, normal, tangent  [N, 3] float32
    sky                        [N] float32     how much of the surroundings a vertex sees, 0 .. 1
    screen                     [N, 3] float32  pixels, and 1 / distance
    """

    position: np.ndarray
    normal: np.ndarray
    tangent: np.ndarray
    sky: np.ndarray
    screen: np.ndarray


class Light(NamedTuple):
    """What lights a frame.

    camera         [3]
    directions     [L, 3]    towards the lamps; the first throws a shadow
    colours        [L, 3]
    harmonics      [9, 3]    irradiance of the panorama / pi
    panorama       [h, w, 3] by height from the zenith and by turn from behind the head
    shadow         [R, R]    depth map of the first lamp
    shadow_matrix  [4, 3]    rows: right, up, towards; the centre
    shadow_offset  how far along the normal a point is moved before it is looked up
    softness       radius of the shadow's edge in texels
    discs          [K, 2]    samples of a disc, from its middle outwards in turn
    gloss          strength of the skin's highlights
    """

    camera: np.ndarray
    directions: np.ndarray
    colours: np.ndarray
    harmonics: np.ndarray
    panorama: np.ndarray
    shadow: np.ndarray
    shadow_matrix: np.ndarray
    shadow_offset: float
    softness: float
    discs: np.ndarray
    gloss: float


@njit(**KERNEL)
def turn_of(x, y):
    """A number 0 .. 15 that looks random from pixel to pixel."""
    h = (x * 374761393 + y * 668265263) & 0x7FFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0x7FFFFFFF
    return (h >> 16) & 15


@njit(**KERNEL)
def texel(surface, m, u, v, out):
    """Colour (linear) and opacity of material m at (u, v), bilinear, into out [4]."""
    width, height = surface.textures[m, 1], surface.textures[m, 2]
    x = min(max(u * width - 0.5, 0.0), width - 1.001)
    y = min(max((1 - v) * height - 0.5, 0.0), height - 1.001)
    xi, yi = int(x), int(y)
    fx, fy = x - xi, y - yi
    i = surface.textures[m, 0] + yi * width + xi
    a, b, c, d = (1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy
    t = surface.texels
    for k in range(3):
        out[k] = (
            a * LINEAR[t[i, k]]
            + b * LINEAR[t[i + 1, k]]
            + c * LINEAR[t[i + width, k]]
            + d * LINEAR[t[i + width + 1, k]]
        ) * surface.tints[m, k]
    out[3] = (a * t[i, 3] + b * t[i + 1, 3] + c * t[i + width, 3] + d * t[i + width + 1, 3]) / 255.0


@njit(**KERNEL)
def lit_share(light, px, py, pz, nx, ny, nz, turn):
    """Share of the first lamp's light that reaches a point, 0 .. 1; four samples, and the rest where they disagree."""
    m, size, off = light.shadow_matrix, light.shadow.shape[0], light.shadow_offset
    x, y, z = px + nx * off - m[3, 0], py + ny * off - m[3, 1], pz + nz * off - m[3, 2]
    sx = m[0, 0] * x + m[0, 1] * y + m[0, 2] * z + size * 0.5
    sy = m[1, 0] * x + m[1, 1] * y + m[1, 2] * z + size * 0.5
    depth = -(m[2, 0] * x + m[2, 1] * y + m[2, 2] * z) - off
    cr, sr, n = _TURNS[turn, 0] * light.softness, _TURNS[turn, 1] * light.softness, light.discs.shape[0]
    lit = 0
    for k in range(n):
        xi = int(sx + light.discs[k, 0] * cr - light.discs[k, 1] * sr)
        yi = int(sy + light.discs[k, 0] * sr + light.discs[k, 1] * cr)
        if xi < 0 or yi < 0 or xi >= size or yi >= size or depth <= light.shadow[yi, xi]:
            lit += 1
        if k == 3 and (lit == 0 or lit == 4):
            return lit * 0.25
    return lit / n


@njit(**KERNEL)
def surroundings(light, nx, ny, nz, out):
    """Irradiance / pi of the panorama on a surface, into out [3]."""
    h = light.harmonics
    for k in range(3):
        value = (
            h[0, k]
            + h[1, k] * ny
            + h[2, k] * nz
            + h[3, k] * nx
            + h[4, k] * nx * ny
            + h[5, k] * ny * nz
            + h[6, k] * (3 * nz * nz - 1)
            + h[7, k] * nx * nz
            + h[8, k] * (nx * nx - ny * ny)
        )
        out[k] = max(value, 0.0)


@njit(**KERNEL)
def mirrored(light, dx, dy, dz, out):
    """The panorama seen along a direction, into out [3]."""
    rows, columns = light.panorama.shape[0], light.panorama.shape[1]
    y = math.acos(min(1.0, max(-1.0, dy))) / math.pi * rows - 0.5
    x = (math.atan2(dx, dz) / (2 * math.pi) + 0.5) * columns - 0.5
    y = min(max(y, 0.0), rows - 1.001)
    x = min(max(x, 0.0), columns - 1.001)
    xi, yi = int(x), int(y)
    fx, fy = x - xi, y - yi
    p = light.panorama
    for k in range(3):
        upper = p[yi, xi, k] * (1 - fx) + p[yi, xi + 1, k] * fx
        lower = p[yi + 1, xi, k] * (1 - fx) + p[yi + 1, xi + 1, k] * fx
        out[k] = upper * (1 - fy) + lower * fy


@njit(**KERNEL)
def power(x, doublings):
    """x to the power of 2 ** doublings."""
    for _ in range(doublings):
        x = x * x
    return x


@njit(**KERNEL)
def shade(m, albedo, nx, ny, nz, px, py, pz, sky, light, turn, around, out):
    """Light that a point sends to the camera, into out [3]; around [3] is scratch."""
    vx, vy, vz = light.camera[0] - px, light.camera[1] - py, light.camera[2] - pz
    inverse = 1.0 / math.sqrt(vx * vx + vy * vy + vz * vz)
    vx, vy, vz = vx * inverse, vy * inverse, vz * inverse
    facing = nx * vx + ny * vy + nz * vz
    if facing < 0 and m != EYE:
        nx, ny, nz, facing = -nx, -ny, -nz, -facing
    edge = 1 - max(0.0, facing)
    edge = edge * edge * edge * edge * edge
    fresnel = 0.028 + 0.22 * edge
    if m in (CORNEA, GLASS):
        mirrored(light, 2 * facing * nx - vx, 2 * facing * ny - vy, 2 * facing * nz - vz, around)
        for k in range(3):
            out[k] = around[k] * (0.035 + 0.5 * edge) * (0.35 + 0.65 * sky)
    else:
        surroundings(light, nx, ny, nz, around)
        gloss = light.gloss * fresnel * 0.35 * sky * sky if m == SKIN else 0.0
        for k in range(3):
            out[k] = around[k] * (albedo[k] * sky + gloss)
        if m == SKIN:  # a little red bleeds into creases
            out[0] += albedo[0] * around[0] * (1 - sky) * sky * 0.3
    for j in range(light.directions.shape[0]):
        lx, ly, lz = light.directions[j, 0], light.directions[j, 1], light.directions[j, 2]
        nl = nx * lx + ny * ly + nz * lz
        if nl < -0.45:
            continue
        shadow = lit_share(light, px, py, pz, nx, ny, nz, turn) if j == 0 else 0.35 + 0.65 * sky
        hx, hy, hz = lx + vx, ly + vy, lz + vz
        inverse = 1.0 / math.sqrt(hx * hx + hy * hy + hz * hz + 1e-9)
        nh = max(0.0, (nx * hx + ny * hy + nz * hz) * inverse)
        if m == SKIN:
            _skin_lamp(light, j, albedo, nl, nh, shadow, sky, fresnel, out)
        else:
            _lamp(light, j, m, albedo, nl, nh, shadow, sky, out)


@njit(**KERNEL)
def _skin_lamp(light, j, albedo, nl, nh, shadow, sky, fresnel, out):
    """Add lamp j's light on skin to out [3]; red light reaches furthest around an edge."""
    lobes = 1.1 * power(nh, 3) * power(nh, 2) + 2.2 * power(nh, 5) * power(nh, 4)
    specular = light.gloss * fresnel * lobes * max(0.0, min(1.0, nl * 3)) * shadow * (0.3 + 0.7 * sky)
    soft = math.sqrt(shadow)
    for k in range(3):
        wrap = 0.34 if k == 0 else (0.16 if k == 1 else 0.1)
        d = max(0.0, (nl + wrap) / (1 + wrap))
        reaches = shadow * 0.84 + 0.16 * soft if k == 0 else shadow
        out[k] += light.colours[j, k] * (albedo[k] * (d * d * 0.35 + d * 0.65) * reaches + specular)


@njit(**KERNEL)
def _lamp(light, j, m, albedo, nl, nh, shadow, sky, out):
    """Add lamp j's light on a material other than skin to out [3]."""
    d, specular, reaches = max(0.0, nl), 0.0, shadow
    if m == EYE:
        d, reaches = max(0.0, (nl + 0.25) / 1.25), (0.4 + 0.6 * shadow) * sky
    elif m in (CORNEA, GLASS):
        d = 0.0
        specular = (power(nh, 10) * 8.0 + power(nh, 7) * 0.10) if nl > 0 else 0.0
        reaches = 0.2 + 0.8 * shadow
    elif m in (TEETH, TONGUE, MOUTH):
        specular = 0.16 * power(nh, 6) * d
        d, reaches = max(0.0, (nl + 0.4) / 1.4), (0.35 + 0.65 * shadow) * sky
    elif m == EXTRA:
        specular = 0.25 * power(nh, 5) * d
    for k in range(3):
        out[k] += light.colours[j, k] * (albedo[k] * d + specular) * reaches


@njit(**KERNEL)
def blend_normal(points, a, b, c, w0, w1, w2, out):
    """Unit normal between three render vertices, into out [3]."""
    n = points.normal
    for k in range(3):
        out[k] = w0 * n[a, k] + w1 * n[b, k] + w2 * n[c, k]
    scale = 1.0 / math.sqrt(out[0] * out[0] + out[1] * out[1] + out[2] * out[2] + 1e-12)
    for k in range(3):
        out[k] *= scale


@njit(**KERNEL)
def blend_position(points, a, b, c, w0, w1, w2, out):
    """Place between three render vertices, into out [3]."""
    p = points.position
    for k in range(3):
        out[k] = w0 * p[a, k] + w1 * p[b, k] + w2 * p[c, k]


@njit(**KERNEL)
def draw_opaque(surface, points, light, folds, depth, index, flat, background, colour, through):
    """Light what lies under the hair, once per 2 x 2 block where it is of one material and `flat` enough in depth."""
    height, width = depth.shape
    albedo, out, around = np.empty(4, np.float32), np.empty(3, np.float32), np.empty(3, np.float32)
    materials = surface.materials
    for top in range(0, height, 2):
        for left in range(0, width, 2):
            first, whole = index[top, left], False
            if first >= 0:
                b, c, d = index[top, left + 1], index[top + 1, left], index[top + 1, left + 1]
                m = materials[first]
                if b >= 0 and c >= 0 and d >= 0 and m == materials[b] == materials[c] == materials[d] and m != TEETH:
                    z0, z1, z2, z3 = (
                        depth[top, left],
                        depth[top, left + 1],
                        depth[top + 1, left],
                        depth[top + 1, left + 1],
                    )
                    near, far = max(z0, z1, z2, z3), min(z0, z1, z2, z3)
                    whole = near - far < far * flat
            for part in range(1 if whole else 4):
                y, x = top + (part >> 1), left + (part & 1)
                t, transmitted = index[y, x], through[y, x]
                if whole:
                    transmitted = max(through[y, x], through[y, x + 1], through[y + 1, x], through[y + 1, x + 1])
                if transmitted < OPAQUE:
                    continue
                if t < 0:
                    for k in range(3):
                        colour[y, x, k] += background[y, x, k] * transmitted
                    continue
                centre = 1.0 if whole else 0.5
                shade_pixel(
                    surface, points, light, folds, t, x + centre, y + centre, turn_of(x, y), albedo, around, out
                )
                if whole:
                    for j in range(2):
                        for i in range(2):
                            for k in range(3):
                                colour[top + j, left + i, k] += out[k] * through[top + j, left + i]
                else:
                    for k in range(3):
                        colour[y, x, k] += out[k] * transmitted


@njit(**KERNEL)
def shade_pixel(surface, points, light, folds, t, px, py, turn, albedo, around, out):
    """Light of triangle t at the screen point (px, py), into out [3]."""
    faces, uv, screen = surface.faces, surface.uv, points.screen
    a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
    x0, y0 = screen[a, 0], screen[a, 1]
    x1, y1 = screen[b, 0], screen[b, 1]
    x2, y2 = screen[c, 0], screen[c, 1]
    inverse = 1.0 / ((x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0))
    w1 = ((px - x0) * (y2 - y0) - (x2 - x0) * (py - y0)) * inverse
    w2 = ((x1 - x0) * (py - y0) - (px - x0) * (y1 - y0)) * inverse
    w0 = (1 - w1 - w2) * screen[a, 2]
    w1, w2 = w1 * screen[b, 2], w2 * screen[c, 2]
    inverse = 1.0 / (w0 + w1 + w2)
    w0, w1, w2 = w0 * inverse, w1 * inverse, w2 * inverse
    m = surface.materials[t]
    texel(
        surface,
        m,
        w0 * uv[a, 0] + w1 * uv[b, 0] + w2 * uv[c, 0],
        w0 * uv[a, 1] + w1 * uv[b, 1] + w2 * uv[c, 1],
        albedo,
    )
    blend_position(points, a, b, c, w0, w1, w2, out)
    qx, qy, qz = out[0], out[1], out[2]
    blend_normal(points, a, b, c, w0, w1, w2, out)
    if m == SKIN:
        fold_skin(folds, a, b, c, w0, w1, w2, out, albedo)
    nx, ny, nz = out[0], out[1], out[2]
    sky = w0 * points.sky[a] + w1 * points.sky[b] + w2 * points.sky[c]
    shade(m, albedo, nx, ny, nz, qx, qy, qz, sky, light, turn, around, out)


@njit(**KERNEL)
def develop(colour, supersampling, exposure, out):
    """Average linear colour [N s, N s, 3] to a picture [N, N, 3] uint8, with a soft shoulder."""
    height, width = out.shape[0], out.shape[1]
    scale = exposure / (supersampling * supersampling)
    for y in range(height):
        for x in range(width):
            for k in range(3):
                v = 0.0
                for j in range(supersampling):
                    for i in range(supersampling):
                        v += min(colour[y * supersampling + j, x * supersampling + i, k], 2.0)
                v *= scale
                v = v * (1 + v * 0.22) / (1 + v * 0.42)
                out[y, x, k] = _GAMMA[int(min(1.0, max(0.0, v)) * 4096)]
