"""Cut LatentSync's aligned square out of a picture, say what of it is generated, and put it back without a seam."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from .alignment import BOX_HEIGHT, BOX_WIDTH, AlignedBox, box_size

MASKS = ("lower", "full")
"""What is generated: nose, cheeks, mouth and jaw, which LatentSync's weights were trained on; or brows and eyes too,
for emotion, which needs training."""
MOUTH_BOX = (0.25, 0.5, 0.75, 0.85)
"""x0, y0, x1, y1 of the mouth in the square."""
FEATHER = 0.06
"""Width of the blend inside the edge of what is pasted, in sides of the square."""
_GREY = 127.0
"""What lies beyond the picture's edge."""
_MASK_PX = 256
_BROW_ROW, _EYE_ROW, _NOSE_ROW = 24, 95, 128
"""Rows of the 256-pixel square: above the brows, where the full mask begins; below the eyes, where the lower one begins
on both sides of the nose; the tip of the nose, where it closes."""
_SIDES, _BESIDE_NOSE = (9, 247), (78, 178)
_JAW_LEFT = (
    "00000001000000000000010000000000000100000010101010110101101011110111111110111111211121121221212222222222232332454n"
)
_JAW_RIGHT = (
    "000000100000000000001000000000000010000001010101011011011011011011011111011111111111112112112121221222232322322444"
)
"""How many pixels (base 36) the mask narrows from each row to the next, from _NOSE_ROW, where it is 9 .. 248, down."""


def keep_mask(size_px: int, kind: str = "lower") -> Tensor:
    """What is kept of the square: 1, and 0 where it is generated; what the denoiser's mask channel holds.

    returns  [1, size_px, size_px] float64, equal to the bit to LatentSync's for "lower"; at other sizes than 256 its
             edge is resampled
    """
    return torch.from_numpy(_resized(_mask(kind), (size_px, size_px))[None] / 255.0)


def latent_mask(size_px: int, kind: str = "lower") -> Tensor:
    """`keep_mask` on latent cells of 8 pixels: [1, size_px / 8, size_px / 8]."""
    return keep_mask(size_px, kind)[:, ::8, ::8]


@lru_cache(maxsize=2)
def _mask(kind: str) -> np.ndarray:
    """uint8 [256, 256]: 255 kept, 0 generated."""
    if kind not in MASKS:
        raise ValueError(f"Unknown mask {kind!r}: expected one of {', '.join(MASKS)}.")
    mask = np.full((_MASK_PX, _MASK_PX), 255, np.uint8)
    top = _EYE_ROW if kind == "lower" else _BROW_ROW
    mask[top:_NOSE_ROW, slice(*_SIDES)] = 0
    if kind == "lower":
        mask[top:_NOSE_ROW, slice(*_BESIDE_NOSE)] = 255
    left, right = _SIDES[0], _SIDES[1] + 1
    for row, (from_left, from_right) in enumerate(zip("0" + _JAW_LEFT, "0" + _JAW_RIGHT, strict=True), _NOSE_ROW):
        left, right = left + int(from_left, 36), right - int(from_right, 36)
        mask[row, left:right] = 0
    return mask


def crop_aligned(image: np.ndarray, box: AlignedBox, size_px: int) -> np.ndarray:
    """The aligned square of a picture, uint8 [H, W, 3] -> uint8 [size_px, size_px, 3].

    As `crop_exactly`, but a face that is larger than the box is first reduced by a whole number, where LatentSync
    skips pixels and fine patterns flicker.
    """
    reduced = max(1, int(box.height_px / box_size(size_px)[1]))
    if reduced > 1:
        image = np.asarray(Image.fromarray(image).reduce(reduced))
        box = AlignedBox(box.center_x / reduced, box.center_y / reduced, box.height_px / reduced, box.angle)
    return crop_exactly(image, box.matrix(size_px), size_px)


def crop_exactly(image: np.ndarray, matrix: np.ndarray, size_px: int) -> np.ndarray:
    """The square that LatentSync cuts for a matrix of `alignment.align`, equal to the bit to its float32 path.

    image    uint8 [H, W, 3]; grey lies around it
    returns  uint8 [size_px, size_px, 3]
    """
    height, width = image.shape[:2]
    box_width, box_height = box_size(size_px)
    square = torch.cat([torch.from_numpy(matrix), torch.tensor([[0.0, 0.0, 1.0]])])
    from_unit = torch.linalg.inv(_to_unit(height, width))
    back = torch.linalg.inv(_to_unit(box_height, box_width) @ (square @ from_unit))
    grid = F.affine_grid(back[None, :2], [1, 3, box_height, box_width], align_corners=True)
    pixels = torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32))[None]
    warped = F.grid_sample(pixels, grid, align_corners=True)
    covered = F.grid_sample(torch.ones_like(pixels), grid, align_corners=True)
    warped = warped + (1 - covered) * _GREY
    box = warped[0].permute(1, 2, 0).numpy().astype(np.uint8)
    return _resized(box, (size_px, size_px))


def _to_unit(height: int, width: int) -> Tensor:
    """[3, 3]: pixel indices to -1 .. 1 at the middles of the outermost pixels."""
    unit = torch.tensor([[1.0, 0.0, -1.0], [0.0, 1.0, -1.0], [0.0, 0.0, 1.0]])
    unit[0, 0] = unit[0, 0] * 2.0 / (width - 1.0)
    unit[1, 1] = unit[1, 1] * 2.0 / (height - 1.0)
    return unit


def paste_aligned(image: np.ndarray, box: AlignedBox, frame: np.ndarray, kind: str = "lower") -> np.ndarray:
    """Put a generated square back; pixels outside its mask are those of the picture, to the bit.

    image    uint8 [H, W, 3]
    frame    uint8 [size, size, 3]
    kind     one of MASKS: what was generated
    returns  uint8 [H, W, 3]
    """
    out = image.copy()
    rows, columns = box_bounds(image, box)
    if rows.start == rows.stop or columns.start == columns.stop:
        return out
    grid = _grid(box, rows, columns)
    pixels = torch.from_numpy(frame.transpose(2, 0, 1).astype(np.float32))[None]
    wanted = max(1, round(box.height_px)), max(1, round(box.height_px * BOX_WIDTH / BOX_HEIGHT))
    size = min(wanted[0], frame.shape[0]), min(wanted[1], frame.shape[1])
    pixels = F.interpolate(pixels, size=size, mode="bicubic", antialias=True)
    placed = F.grid_sample(pixels, grid, mode="bicubic", padding_mode="border", align_corners=False)[0]
    alpha = F.grid_sample(_alpha(frame.shape[0], kind), grid, align_corners=False)[0]
    original = torch.from_numpy(out[rows, columns]).permute(2, 0, 1).float()
    blended = torch.lerp(original, placed.clamp(0, 255), alpha).round().to(torch.uint8)
    out[rows, columns] = blended.permute(1, 2, 0).numpy()
    return out


def box_bounds(image: np.ndarray, box: AlignedBox) -> tuple[slice, slice]:
    """The rows and columns of a picture that a box touches; empty where it lies outside."""
    corners = np.array([box.point(x, y) for x in (0.0, 1.0) for y in (0.0, 1.0)])
    x0, y0 = (int(v) for v in np.clip(np.floor(corners.min(0)), 0, image.shape[1::-1]))
    x1, y1 = (int(v) for v in np.clip(np.ceil(corners.max(0)), 0, image.shape[1::-1]))
    return slice(y0, max(y0, y1)), slice(x0, max(x0, x1))


def pasted_share(box: AlignedBox, rows: slice, columns: slice, size_px: int, kind: str) -> Tensor:
    """How much of each pixel of a part of a picture `paste_aligned` takes from a square: [h, w], 0 .. 1."""
    return F.grid_sample(_alpha(size_px, kind), _grid(box, rows, columns), align_corners=False)[0, 0]


def _grid(box: AlignedBox, rows: slice, columns: slice) -> Tensor:
    """Where the pixels of a part of a picture lie in the square, -1 .. 1: [1, h, w, 2]."""
    y, x = torch.meshgrid(
        torch.arange(rows.start, rows.stop) + 0.5, torch.arange(columns.start, columns.stop) + 0.5, indexing="ij"
    )
    cos, sin = math.cos(box.angle), math.sin(box.angle)
    across = ((x - box.center_x) * cos + (y - box.center_y) * sin) / (box.height_px * BOX_WIDTH / BOX_HEIGHT)
    down = ((y - box.center_y) * cos - (x - box.center_x) * sin) / box.height_px
    return torch.stack([2 * across, 2 * down], -1)[None]


@lru_cache(maxsize=4)
def _alpha(size_px: int, kind: str) -> Tensor:
    """Weight [1, 1, size, size] of the pasted square: 0 outside the mask and on its edge, 1 from FEATHER inwards."""
    inside = (keep_mask(size_px, kind)[None] < 0.5).float()
    reach = max(1, round(FEATHER * size_px / 2))
    blurred = inside
    for _ in range(2):  # a box twice is nearly a Gaussian; half of it is reached on the edge
        blurred = F.avg_pool2d(blurred, 2 * reach + 1, 1, reach, count_include_pad=False)
    t = (2 * blurred - 1).clamp(0, 1) * inside
    return t * t * (3 - 2 * t)


_TAPS = 8
_FIXED = 1 << 11
"""Lanczos weights are whole numbers of this fraction, as in OpenCV, so that its bits can be met."""


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Lanczos resampling over 8 taps without anti-aliasing, equal to the bit to OpenCV's INTER_LANCZOS4.

    image    uint8 [H, W] or [H, W, C]
    size     (height, width)
    """
    if image.shape[:2] == size:
        return image
    (rows, row_weights), (columns, column_weights) = (
        _lanczos(old, new) for old, new in zip(image.shape[:2], size, strict=True)
    )
    values = image.reshape(*image.shape[:2], -1).astype(np.int64)
    values = np.einsum("htwc,ht->hwc", values[rows], row_weights)
    values = np.einsum("hwtc,wt->hwc", values[:, columns], column_weights)
    scaled = (values + _FIXED * _FIXED // 2) // (_FIXED * _FIXED)
    return np.clip(scaled, 0, 255).astype(np.uint8).reshape(*size, *image.shape[2:])


@lru_cache(maxsize=16)
def _lanczos(old: int, new: int) -> tuple[np.ndarray, np.ndarray]:
    """Sources [new, 8], the ends repeated, and their whole-number weights [new, 8] along one axis."""
    middle = ((np.arange(new) + 0.5) * (old / new) - 0.5).astype(np.float32)
    first = np.floor(middle)
    distance = ((middle - first)[:, None] + np.float32(3) - np.arange(_TAPS, dtype=np.float32)).astype(np.float64)
    angle = np.where(distance == 0, 1e-15, distance) * (np.pi / 4)
    # the sine of four times the angle, common to all taps but for its sign, is left out
    weights = ((-1.0) ** np.arange(_TAPS) * np.sin(angle) / angle**2).astype(np.float32)
    total = weights[:, :1].copy()
    for tap in range(1, _TAPS):  # one by one in float32, whose rounding decides ties below
        total += weights[:, tap : tap + 1]
    weights *= np.float32(1) / total
    sources = first.astype(int)[:, None] + np.arange(-3, 5)
    return np.clip(sources, 0, old - 1), np.rint(weights * np.float32(_FIXED)).astype(np.int64)
