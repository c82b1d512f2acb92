"""Lamps and surroundings, drawn: daylight, hard sun, a window, a lamp, two colours, a dark room.

Directions point towards the lamp in the head's coordinates: x to the picture's right, y up, z towards the camera.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

_ROWS, _COLUMNS = 24, 48
_SETUPS = ("soft", "studio", "sun", "window", "coloured", "dark", "flat")
_SHARES = (0.26, 0.20, 0.14, 0.14, 0.08, 0.06, 0.12)


@dataclass(frozen=True)
class Lamps:
    """What lights a head; see `shading.Light`. Softness is a share of the shadow map's width."""

    directions: np.ndarray
    colours: np.ndarray
    harmonics: np.ndarray
    panorama: np.ndarray
    softness: float
    exposure: float


def draw_lamps(rng: np.random.Generator) -> Lamps:
    """One of several setups, its directions, strengths and colours varied."""
    setup = str(rng.choice(_SETUPS, p=_SHARES))
    side = 1.0 if rng.random() < 0.5 else -1.0
    key, key_colour = _direction(side * rng.uniform(0.1, 1.1), rng.uniform(0.15, 0.95)), _warm(rng, 0.10)
    sky, strength, fill, rim = (
        rng.uniform(0.28, 0.52),
        rng.uniform(0.5, 0.95),
        rng.uniform(0.05, 0.3),
        rng.uniform(0, 0.5),
    )
    softness = rng.uniform(0.006, 0.022)
    fill_colour, rim_colour = _warm(rng, 0.12), _warm(rng, 0.15)
    if setup == "sun":
        sky, strength, fill, softness = rng.uniform(0.2, 0.4), rng.uniform(0.9, 1.3), 0.03, rng.uniform(0.002, 0.005)
    elif setup == "window":
        key = _direction(side * rng.uniform(0.9, 1.45), rng.uniform(0.0, 0.5))
        sky, fill, softness = rng.uniform(0.15, 0.3), rng.uniform(0.0, 0.15), rng.uniform(0.012, 0.03)
    elif setup == "coloured":
        key_colour, fill_colour, rim_colour = (_vivid(rng) for _ in range(3))
        fill, rim = rng.uniform(0.25, 0.6), rng.uniform(0.2, 0.8)
    elif setup == "dark":
        sky, strength, fill = rng.uniform(0.08, 0.18), rng.uniform(0.5, 0.9), 0.04
    elif setup == "flat":
        key, sky = _direction(side * rng.uniform(0, 0.3), rng.uniform(0.1, 0.5)), rng.uniform(0.5, 0.7)
        strength = rng.uniform(0.25, 0.5)
    directions = [key, _direction(-side * rng.uniform(0.4, 1.4), rng.uniform(-0.1, 0.4))]
    back = np.array([-side * rng.uniform(0.6, 1.0), rng.uniform(0.2, 0.7), -rng.uniform(0.3, 0.9)])
    directions.append(back / np.linalg.norm(back))
    colours = [key_colour * strength, fill_colour * fill, rim_colour * rim]
    panorama = _panorama(rng, key, key_colour, sky)
    return Lamps(
        np.array(directions, np.float32),
        np.array(colours, np.float32),
        _harmonics(panorama),
        panorama,
        softness,
        _exposure(rng, strength, sky, fill),
    )


def _exposure(rng: np.random.Generator, strength: float, sky: float, fill: float) -> float:
    """Bring the light to a usual brightness, but for a share that stays too dark or too bright."""
    total = 0.62 * strength + sky + 0.4 * fill
    return float((0.92 / total) ** 0.75 * np.exp(rng.normal(0.02, 0.12)))


def _direction(azimuth: float, elevation: float) -> np.ndarray:
    """Unit vector; azimuth from the camera's side to the picture's right, in radians."""
    level = math.cos(elevation)
    return np.array([math.sin(azimuth) * level, math.sin(elevation), math.cos(azimuth) * level])


def _warm(rng: np.random.Generator, spread: float) -> np.ndarray:
    t = rng.normal(0.02, spread)
    return np.array([1 + t, 1.0, 1 - t]).clip(0.4, 1.8)


def _vivid(rng: np.random.Generator) -> np.ndarray:
    colour = rng.uniform(0.15, 1.0, 3)
    colour[rng.integers(3)] = 1.2
    return colour / colour.mean()


def _panorama(rng: np.random.Generator, key: np.ndarray, key_colour: np.ndarray, sky: float) -> np.ndarray:
    """Surroundings [rows, columns, 3]: a gradient, a window at the key light, darker and brighter patches."""
    height = np.cos((np.arange(_ROWS) + 0.5) / _ROWS * math.pi)[:, None, None]
    t = rng.normal(0, 0.10)
    upper, lower = np.array([1 - t, 1.0, 1 + t]) * sky, sky * rng.uniform(0.25, 0.7) * np.array([1.0, 0.92, 0.84])
    out = np.tile(lower + (upper - lower) * (0.5 + 0.5 * height), (1, _COLUMNS, 1))
    rows, columns = np.mgrid[0:_ROWS, 0:_COLUMNS]
    for _ in range(rng.integers(2, 9)):
        y, x = rng.integers(2, _ROWS - 3), rng.integers(0, _COLUMNS)
        inside = (abs(rows - y) <= rng.integers(1, 5)) & (abs(columns - x) <= rng.integers(1, 9))
        out[inside] *= rng.uniform(0.2, 2.2) * _warm(rng, 0.15)
    row = math.acos(key[1]) / math.pi * _ROWS
    column = (math.atan2(key[0], key[2]) / (2 * math.pi) + 0.5) * _COLUMNS
    high, wide = rng.uniform(1.2, 3.0), rng.uniform(1.0, 3.0)
    window = (abs(rows - row) < high) & (abs(columns - column) < wide)
    if rng.random() < 0.5:  # a cross bar
        window &= (abs(rows - row) > 0.4) | (high < 1.5)
    out[window] += key_colour * rng.uniform(2.0, 6.0)
    return out.astype(np.float32)


def _harmonics(panorama: np.ndarray) -> np.ndarray:
    """Irradiance / pi as coefficients of 1, y, z, x, xy, yz, 3 z^2 - 1, xz, x^2 - y^2; [9, 3].

    Bright windows are limited, since the lamps themselves stand for them.
    """
    rows, columns = panorama.shape[:2]
    polar = (np.arange(rows) + 0.5) / rows * math.pi
    turn = ((np.arange(columns) + 0.5) / columns - 0.5) * 2 * math.pi
    y = np.repeat(np.cos(polar)[:, None], columns, 1)
    x, z = np.sin(polar)[:, None] * np.sin(turn)[None], np.sin(polar)[:, None] * np.cos(turn)[None]
    area = np.sin(polar)[:, None] * (math.pi / rows) * (2 * math.pi / columns) * np.ones_like(x)
    basis = np.stack([np.ones_like(x), y, z, x, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y])
    scale = np.array([0.282095, *[0.488603] * 3, *[1.092548] * 2, 0.315392, 1.092548, 0.546274]) ** 2
    transfer = np.array([1.0, *[2 / 3] * 3, *[0.25] * 5])
    found = np.einsum("brc,rc,rck->bk", basis, area, np.minimum(panorama, 1.0))
    return (found * (scale * transfer)[:, None]).astype(np.float32)
