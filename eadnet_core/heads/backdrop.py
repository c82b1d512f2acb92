"""What stands behind a head: walls, blurred rooms, blinds and shelves with straight lines, leaves and sky, textures."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

_KINDS = ("wall", "blurred", "stripes", "shelves", "outdoors", "texture", "plain")
_SHARES = (0.20, 0.26, 0.12, 0.12, 0.14, 0.10, 0.06)


def draw_backdrop(rng: np.random.Generator, size_px: int) -> np.ndarray:
    """A linear picture [size, size, 3] float32."""
    kind = str(rng.choice(_KINDS, p=_SHARES))
    picture = _MAKERS[kind](rng, size_px)
    sharpness = rng.uniform(0.0, 0.02) if kind in ("stripes", "shelves", "texture") else rng.uniform(0.004, 0.05)
    picture = picture.filter(ImageFilter.GaussianBlur(sharpness * size_px))
    linear = (np.asarray(picture, np.float32) / 255) ** 2.2
    return (linear * np.float32(rng.uniform(0.5, 1.1))).astype(np.float32)


def _colour(rng: np.random.Generator, base: float | None = None, spread: float = 0.14) -> tuple[int, int, int]:
    grey = rng.uniform(0.15, 0.9) if base is None else base
    return tuple(int(x) for x in np.clip((grey * (1 + rng.normal(0, spread, 3))) * 255, 4, 250))  # type: ignore[return-value]


def _gradient(rng: np.random.Generator, size: int, spread: float) -> Image.Image:
    first, second = np.array(_colour(rng)), np.array(_colour(rng))
    second = first + (second - first) * spread
    y, x = np.mgrid[0:size, 0:size] / size
    along = x * rng.normal() + y * rng.normal() + 0.5 * rng.normal() * (x * x + y * y)
    along = (along - along.min()) / (np.ptp(along) + 1e-6)
    return Image.fromarray((first + (second - first) * along[..., None]).clip(0, 255).astype(np.uint8))


def _wall(rng: np.random.Generator, size: int) -> Image.Image:
    picture = _gradient(rng, size, 0.5)
    draw = ImageDraw.Draw(picture)
    if rng.random() < 0.5:  # a door, a corner or a picture on the wall
        x = int(rng.integers(0, size))
        draw.rectangle(
            [x, int(rng.integers(-size // 2, size // 2)), x + int(rng.integers(size // 8, size)), size], _colour(rng)
        )
    return picture


def _plain(rng: np.random.Generator, size: int) -> Image.Image:
    return _gradient(rng, size, 0.15)


def _blurred(rng: np.random.Generator, size: int) -> Image.Image:
    picture = _gradient(rng, size, 1.0)
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.integers(5, 18)):
        x, y = rng.integers(-size // 8, size, 2)
        w, h = rng.integers(size // 20, size // 2, 2)
        shape = draw.rectangle if rng.random() < 0.55 else draw.ellipse
        shape([int(x), int(y), int(x + w), int(y + h)], _colour(rng, None, 0.25))
    return picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.01, 0.06) * size))


def _stripes(rng: np.random.Generator, size: int) -> Image.Image:
    """Blinds, bars or wallpaper; level, upright or slanted."""
    picture = _gradient(rng, size * 2, 0.6)
    draw = ImageDraw.Draw(picture)
    period = rng.uniform(0.03, 0.16) * size
    colour, second, share = _colour(rng), _colour(rng), rng.uniform(0.2, 0.7)
    for k in range(int(2 * size / period) + 1):
        top = k * period
        draw.rectangle([0, int(top), 2 * size, int(top + share * period)], colour)
        if share > 0.45:
            draw.line([0, int(top), 2 * size, int(top)], second, max(1, size // 128))
    angle = float(rng.choice((0.0, 90.0, rng.uniform(0, 180))))
    picture = picture.rotate(angle, Image.Resampling.BILINEAR)
    return picture.crop((size // 2, size // 2, size // 2 + size, size // 2 + size))


def _shelves(rng: np.random.Generator, size: int) -> Image.Image:
    picture = Image.new("RGB", (size, size), _colour(rng, rng.uniform(0.05, 0.4)))
    draw = ImageDraw.Draw(picture)
    step = int(rng.uniform(0.18, 0.4) * size)
    board = _colour(rng, rng.uniform(0.1, 0.7))
    for top in range(-int(rng.integers(0, step)), size, step):
        x = 0
        while x < size:
            width = max(2, int(rng.uniform(0.015, 0.08) * size))
            if rng.random() < 0.85:
                draw.rectangle(
                    [x, top + int(rng.uniform(0.1, 0.5) * step), x + width - 1, top + step], _colour(rng, None, 0.35)
                )
            x += width
        draw.rectangle([0, top + step - max(2, size // 40), size, top + step], board)
    return picture


def _clouds(rng: np.random.Generator, size: int, octaves: int, fade: float) -> np.ndarray:
    """Noise of several sizes [size, size], about 0 .. 1."""
    out, weight, cells = np.zeros((size, size)), 1.0, int(rng.integers(2, 5))
    for _ in range(octaves):
        small = Image.fromarray(rng.random((cells, cells)).astype(np.float32))
        out += weight * np.asarray(small.resize((size, size), Image.Resampling.BICUBIC))
        weight, cells = weight * fade, min(size, cells * 2)
    return (out - out.min()) / np.ptp(out)


def _outdoors(rng: np.random.Generator, size: int) -> Image.Image:
    """Sky, leaves or fields, and something on the horizon."""
    sky = np.array((0.55, 0.70, 0.92)) * rng.uniform(0.6, 1.1) + rng.normal(0, 0.05, 3)
    green = np.array((0.25, 0.38, 0.16)) * rng.uniform(0.5, 1.6) + rng.normal(0, 0.05, 3)
    leaves = _clouds(rng, size, 6, rng.uniform(0.5, 0.9))[..., None]
    horizon = rng.uniform(-0.2, 1.0)
    edge = np.mgrid[0:size, 0:size][0] / size - horizon + 0.25 * (_clouds(rng, size, 5, 0.6) - 0.5)
    ground = np.clip(edge * 12, 0, 1)[..., None]
    out = sky * (0.85 + 0.25 * leaves) * (1 - ground) + green * (0.35 + 1.3 * leaves) * ground
    return Image.fromarray((out.clip(0, 1) * 255).astype(np.uint8))


def _texture(rng: np.random.Generator, size: int) -> Image.Image:
    """Plaster, brick, cloth: two colours mixed by noise, sometimes in courses."""
    first, second = np.array(_colour(rng)), np.array(_colour(rng))
    mix = _clouds(rng, size, 7, rng.uniform(0.7, 1.0))[..., None]
    out = first + (second - first) * mix * rng.uniform(0.3, 1.0)
    if rng.random() < 0.4:
        y, x = np.mgrid[0:size, 0:size]
        course, length = max(4, int(rng.uniform(0.04, 0.12) * size)), max(8, int(rng.uniform(0.1, 0.3) * size))
        joint = (y % course < max(1, size // 90)) | (
            (x + (y // course % 2) * length // 2) % length < max(1, size // 90)
        )
        out[joint] *= rng.uniform(0.5, 1.3)
    return Image.fromarray(out.clip(0, 255).astype(np.uint8))


_MAKERS = {
    "wall": _wall,
    "plain": _plain,
    "blurred": _blurred,
    "stripes": _stripes,
    "shelves": _shelves,
    "outdoors": _outdoors,
    "texture": _texture,
}
