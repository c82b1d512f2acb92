"""The skin's texture: two skins mixed and brought to a tone; make-up, freckles, stubble, beard and moustache."""

from __future__ import annotations

import numpy as np
from numba import njit

from .features import MAP_PX, Features
from .looks import BALD, Looks
from .raster import KERNEL
from .shading import LINEAR
from .stock import Stock

_ENCODED = (np.linspace(0, 1, 4097) ** (1 / 2.2) * 255 + 0.5).astype(np.uint8)
_NOISE_PX = 512


def paint_skin(rng: np.random.Generator, stock: Stock, looks: Looks) -> tuple[np.ndarray, np.ndarray]:
    """The texture [S, S, 4] uint8, and the tint [3] that brings it to the tone."""
    features = stock.features
    first, second = stock.texture(looks.skin), stock.texture(looks.second_skin)
    mean = (1 - looks.second_share) * _face_mean(features, first) + looks.second_share * _face_mean(features, second)
    tint = (looks.tone / np.maximum(mean, 0.01)).clip(0.02, 4.0)
    layers, grain = _layers(features, looks)
    layers[..., :3] /= tint
    out = first.copy()
    rows, columns = features.head_texels
    origin = np.array((rows.start, columns.start))
    _mix(first, second, looks.second_share, layers.astype(np.float32), grain, origin, _noise(rng), out)
    return out, tint


def _face_mean(features: Features, texture: np.ndarray) -> np.ndarray:
    x, y, z = np.moveaxis(features.texel_position, 2, 0)
    with np.errstate(invalid="ignore"):
        where = np.argwhere((z > -0.1) & (abs(x) < 0.75) & (y > -1.0) & (y < -0.25))
    if not len(where):
        return LINEAR[texture[..., :3]].mean((0, 1))
    at = where[::7] * texture.shape[0] // MAP_PX
    return LINEAR[texture[at[:, 0], at[:, 1], :3]].mean(0)


def _layers(features: Features, looks: Looks) -> tuple[np.ndarray, np.ndarray]:
    """Colours laid over the head's texels [h, w, 4], and densities of hair and freckles [h, w, 2]."""
    place = features.head_position
    x, y, z = place
    side, lips = abs(x), features.lips[features.head_texels]
    layers = np.zeros((*x.shape, 4), np.float32)
    grain = np.zeros((*x.shape, 2), np.float32)
    if looks.blush[3] > 0:
        _over(layers, looks.blush, _spot(side, y, (0.66, -0.52), (0.22, 0.17)) * (z > -0.5))
    if looks.shadow[3] > 0:
        _over(layers, looks.shadow, _spot(side, y, (0.5, 0.11), (0.22, 0.075)) * (z > -0.6) * (y > 0.015))
    if looks.lipstick[3] > 0:
        _over(layers, looks.lipstick, lips)
    if max(looks.beard, looks.moustache, looks.stubble) > 0:
        beard, moustache = _beard(place, features.mouth_place), _moustache(place, features.mouth_place)
        hairy = beard * looks.beard + moustache * looks.moustache
        stubble = np.clip(beard + moustache, 0, 1) * looks.stubble
        bare = 1 - lips
        _over(layers, np.append(looks.hair_colour * 0.8, 1.0), np.clip(hairy * 0.62, 0, 0.86) * bare)
        _over(layers, np.append(looks.hair_colour, 0.38), stubble * bare)
        grain[..., 0] = np.clip(hairy + stubble * 0.6, 0, 1) * bare
    if looks.hair == BALD:
        scalp = np.clip((y - 0.75 + 0.25 * side) / 0.35, 0, 1) * looks.stubble * 0.5
        _over(layers, np.append(looks.hair_colour, 0.6), scalp)
    if looks.freckles > 0:
        grain[..., 1] = _spot(side, y, (0.45, -0.42), (0.42, 0.25)) * (z > -0.5) * looks.freckles
    return layers, grain


def _over(layers: np.ndarray, colour: np.ndarray, mask: np.ndarray) -> None:
    """Lay a colour [4] with a mask over the layers [M, M, 4] in place; colours are not multiplied by opacity."""
    share = (mask * colour[3])[..., None]
    total = share + layers[..., 3:] * (1 - share)
    mixed = colour[:3] * share + layers[..., :3] * layers[..., 3:] * (1 - share)
    layers[..., :3] = np.where(total > 1e-6, mixed / np.maximum(total, 1e-6), 0)
    layers[..., 3:] = total


def _spot(x: np.ndarray, y: np.ndarray, centre: tuple[float, float], size: tuple[float, float]) -> np.ndarray:
    return np.exp(-0.5 * (((x - centre[0]) / size[0]) ** 2 + ((y - centre[1]) / size[1]) ** 2))


def _beard(place: np.ndarray, mouth: np.ndarray) -> np.ndarray:
    """Cheeks below the mouth's corners, jaw and chin."""
    x, y, z = place
    upper = mouth[1] + 0.02 + 1.0 * np.clip(abs(x) - 0.42, 0, 2) ** 1.4 - 0.22 * np.clip(0.45 - abs(x), 0, 1)
    under = np.clip((y - (mouth[1] - 1.15)) / 0.25, 0, 1)
    front = np.clip((z + 1.0 + 0.35 * np.clip(y - mouth[1], 0, 1)) / 0.3, 0, 1)
    return np.clip((upper - y) / 0.16, 0, 1) * under * front * (y > -3)


def _moustache(place: np.ndarray, mouth: np.ndarray) -> np.ndarray:
    x, y, z = place
    height = y - mouth[1] - 0.10
    band = np.clip(1 - abs(height - 0.06 + 0.35 * np.clip(abs(x) - 0.15, 0, 1)) / 0.13, 0, 1) ** 0.7
    corner = np.exp(-0.5 * (((abs(x) - 0.46) / 0.06) ** 2 + ((height + 0.14) / 0.12) ** 2))
    return np.maximum(band * np.clip((0.52 - abs(x)) / 0.1, 0, 1), corner * 0.8) * (z > -0.4)


def _noise(rng: np.random.Generator) -> np.ndarray:
    """Fine grain and coarse grain, [N, N, 2] 0 .. 1."""
    fine = rng.random((_NOISE_PX, _NOISE_PX), dtype=np.float32)
    coarse = rng.random((_NOISE_PX, _NOISE_PX), dtype=np.float32)
    for axis in (0, 1, 0, 1):
        coarse = (coarse + np.roll(coarse, 1, axis) + np.roll(coarse, -1, axis)) / np.float32(3)
    return np.stack([fine, (coarse - coarse.min()) / np.ptp(coarse)], -1)


@njit(**KERNEL)
def _mix(first, second, share, layers, grain, origin, noise, out):
    size, height, width = out.shape[0], layers.shape[0], layers.shape[1]
    scale = MAP_PX / size
    top, left = int(origin[0] / scale), int(origin[1] / scale)
    for y in range(top, min(size, int((origin[0] + height) / scale))):
        my = min(max((y + 0.5) * scale - 0.5 - origin[0], 0.0), height - 1.001)
        yi = int(my)
        fy = my - yi
        for x in range(left, min(size, int((origin[1] + width) / scale))):
            mx = min(max((x + 0.5) * scale - 0.5 - origin[1], 0.0), width - 1.001)
            xi = int(mx)
            fx = mx - xi
            a, b, c, d = (1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy
            cover = (
                a * layers[yi, xi, 3]
                + b * layers[yi, xi + 1, 3]
                + c * layers[yi + 1, xi, 3]
                + d * layers[yi + 1, xi + 1, 3]
            )
            hair, spots = grain[yi, xi, 0], grain[yi, xi, 1]
            if cover < 0.003 and share < 0.003 and spots < 0.003:
                continue
            grains = noise[y % noise.shape[0], x % noise.shape[1]]
            cover *= 1 - hair * (1 - grains[0]) * 0.7
            freckle = 1 - 0.45 * min(1.0, max(0.0, (grains[1] - 0.62) * 9)) * min(1.0, spots * 1.6)
            for k in range(3):
                value = LINEAR[first[y, x, k]] * (1 - share) + LINEAR[second[y, x, k]] * share
                value *= freckle if k > 0 else 0.4 + 0.6 * freckle
                if cover > 0.003:
                    colour = (
                        a * layers[yi, xi, k]
                        + b * layers[yi, xi + 1, k]
                        + c * layers[yi + 1, xi, k]
                        + d * layers[yi + 1, xi + 1, k]
                    )
                    value = value * (1 - cover) + colour * cover
                out[y, x, k] = _ENCODED[int(min(1.0, max(0.0, value)) * 4096)]
