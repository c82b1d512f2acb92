"""What a camera, a file or a painter does to a picture: drawn once a clip, and done alike to each of its pictures."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from numba import njit
from PIL import Image, ImageFilter

from .raster import KERNEL

Effect = Callable[[np.ndarray, np.random.Generator], np.ndarray]
PAINTED_SHARE = 0.14
"""Share of the clips that are drawn or painted."""


def draw_effects(rng: np.random.Generator, size_px: int) -> list[Effect]:
    """Effects of one clip, in order; each takes a picture [N, N, 3] uint8 and a generator for its noise."""
    found: list[Effect] = []
    if rng.random() < PAINTED_SHARE:
        found += _painter(rng, size_px)
    if rng.random() < 0.5:
        found.append(_grade(rng))
    if rng.random() < 0.10:
        found.append(_monochrome(rng))
    if rng.random() < 0.30:
        found.append(_blur(rng, size_px))
    elif rng.random() < 0.35:
        found.append(_sharpen(rng))
    if rng.random() < 0.55:
        found.append(_grain(rng))
    if rng.random() < 0.45:
        found.append(_jpeg(rng))
    return found


def apply_effects(effects: list[Effect], picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The picture after all effects."""
    for effect in effects:
        picture = effect(picture, rng)
    return picture


def _painter(rng: np.random.Generator, size_px: int) -> list[Effect]:
    """Brush strokes, sometimes few colours, sometimes dark outlines."""
    radius = max(1, round(rng.uniform(0.008, 0.02) * size_px))
    found: list[Effect] = [lambda picture, _: kuwahara(picture, radius)]
    if rng.random() < 0.4:
        n = int(rng.integers(4, 9))
        found.append(lambda picture, _: ((picture // (256 // n)) * (256 // n) + 128 // n).clip(0, 255).astype(np.uint8))
    if rng.random() < 0.35:
        strength = rng.uniform(0.3, 0.9)
        found.append(lambda picture, _: _outlined(picture, strength))
    if rng.random() < 0.5:
        paper = 1 + rng.normal(0, rng.uniform(0.01, 0.05), (size_px, size_px, 1))
        found.append(lambda picture, _: _bytes(picture * paper))
    return found


def _outlined(picture: np.ndarray, strength: float) -> np.ndarray:
    grey = picture.astype(np.float32).mean(2)
    down, right = np.gradient(grey)
    edge = np.clip((np.hypot(down, right) - 8) / 40, 0, 1)[..., None]
    return _bytes(picture * (1 - strength * edge))


def _grade(rng: np.random.Generator) -> Effect:
    """Contrast, saturation, warmth and the black point."""
    contrast, saturation, black = rng.uniform(0.8, 1.25), rng.uniform(0.6, 1.3), rng.uniform(-8, 18)
    gain = np.exp(rng.normal(0, 0.05, 3))

    def effect(picture: np.ndarray, _: np.random.Generator) -> np.ndarray:
        x = picture.astype(np.float32)
        grey = x.mean(2, keepdims=True)
        x = (grey + (x - grey) * saturation) * gain
        return _bytes(black + (x - 118) * contrast + 118 * (1 - black / 255))

    return effect


def _monochrome(rng: np.random.Generator) -> Effect:
    tone = np.array((1.0, 1.0, 1.0)) if rng.random() < 0.6 else np.array((1.08, 1.0, 0.82))
    weights = rng.dirichlet((6, 10, 3))
    return lambda picture, _: _bytes((picture @ weights)[..., None] * tone)


def _blur(rng: np.random.Generator, size_px: int) -> Effect:
    radius = rng.uniform(0.15, 0.9) * size_px / 128
    return lambda picture, _: np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))


def _sharpen(rng: np.random.Generator) -> Effect:
    percent, radius = int(rng.uniform(30, 140)), rng.uniform(0.6, 1.6)
    return lambda picture, _: np.asarray(Image.fromarray(picture).filter(ImageFilter.UnsharpMask(radius, percent, 0)))


def _grain(rng: np.random.Generator) -> Effect:
    strength = float(np.exp(rng.uniform(np.log(0.8), np.log(9.0))))
    is_grey = rng.random() < 0.5

    def effect(picture: np.ndarray, varies: np.random.Generator) -> np.ndarray:
        shape = (*picture.shape[:2], 1) if is_grey else picture.shape
        return _bytes(picture + strength * varies.standard_normal(shape, dtype=np.float32))

    return effect


def _jpeg(rng: np.random.Generator) -> Effect:
    quality = int(rng.uniform(35, 95))

    def effect(picture: np.ndarray, _: np.random.Generator) -> np.ndarray:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=quality)
        return np.asarray(Image.open(file))

    return effect


def _bytes(values: np.ndarray) -> np.ndarray:
    return (values + 0.5).clip(0, 255).astype(np.uint8)


@njit(**KERNEL)
def kuwahara(picture, radius):
    """The mean of the calmest of four neighbouring windows: flat strokes with sharp edges (Kuwahara et al. 1976)."""
    height, width = picture.shape[:2]
    out = np.empty_like(picture)
    for y in range(height):
        for x in range(width):
            best = 1e18
            for corner in range(4):
                top = y - radius if corner < 2 else y
                left = x - radius if corner % 2 == 0 else x
                n, r, g, b, squares = 0, 0.0, 0.0, 0.0, 0.0
                for j in range(max(0, top), min(height, top + radius + 1)):
                    for i in range(max(0, left), min(width, left + radius + 1)):
                        p, q, s = float(picture[j, i, 0]), float(picture[j, i, 1]), float(picture[j, i, 2])
                        n += 1
                        r += p
                        g += q
                        b += s
                        squares += p * p + q * q + s * s
                spread = squares / n - (r * r + g * g + b * b) / (n * n)
                if spread < best:
                    best = spread
                    out[y, x, 0], out[y, x, 1], out[y, x, 2] = int(r / n), int(g / n), int(b / n)
    return out
