"""A generated square put back into the picture that its face was cut from."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...config import MASK_BOXES
from .crop import FaceCrop

FEATHER = 0.09
"""Width of the blend at the edge of the pasted box, in frame widths."""
LIP_MARGIN, LIP_FEATHER = 0.02, 0.05
"""How far around lips nothing of the picture is left, and the width of the blend beyond, in frame widths."""
_LIP_CELLS = 96
"""Side of the weights of lips; two cells lie nearer to each other than LIP_MARGIN."""


class Paster:
    """Pastes generated frames into one picture; what does not change from frame to frame is computed once.

    The frame is blended in over a feathered edge. Pixels outside the box and away from lips are those of the picture,
    to the bit.
    """

    def __init__(
        self,
        image: np.ndarray,
        geometry: FaceCrop,
        size_px: int,
        mask: str = "full",
        lips: Sequence[np.ndarray] = (),
    ) -> None:
        """What is pasted where.

        image  uint8 [H, W, 3]
        mask   a key of MASK_BOXES: the part of the frame that is pasted
        lips   outlines [n, 2] in frame widths that are pasted wholly, with what lies around them
        """
        self._image = image
        x0, y0, x1, y1 = geometry.bounds((image.shape[1], image.shape[0]), _with_lips(MASK_BOXES[mask], lips))
        self._rows, self._columns = slice(y0, y1), slice(x0, x1)
        ys, xs = torch.meshgrid(torch.arange(y0, y1) + 0.5, torch.arange(x0, x1) + 0.5, indexing="ij")
        cos, sin = math.cos(geometry.angle) / geometry.side_px, math.sin(geometry.angle) / geometry.side_px
        u = (xs - geometry.center_x) * cos + (ys - geometry.center_y) * sin
        v = (ys - geometry.center_y) * cos - (xs - geometry.center_x) * sin
        self._grid = torch.stack([2 * u, 2 * v], dim=-1)[None]
        work_px = _work_size(geometry.side_px, size_px)
        self._resize = None if work_px == size_px else _resize_matrix(size_px, work_px, "bicubic")
        is_upright = geometry.angle == 0 and geometry == geometry.in_whole_pixels()
        self._is_scaled = is_upright and geometry.side_px >= size_px
        if self._is_scaled:
            self._enlarge = _resize_matrix(size_px, round(geometry.side_px), "bicubic")
            left, top = geometry.point(0.0, 0.0)
            self._left, self._top = x0 - round(left), y0 - round(top)
        alpha = pasted(torch.stack([u + 0.5, v + 0.5], -1), mask, lips)
        original = torch.from_numpy(image[self._rows, self._columns].transpose(2, 0, 1).astype(np.float32))
        self._inside, edges = _split(alpha.numpy() == 1)
        # half a level lies in the picture's share, so that cutting off the fraction rounds
        self._edges = [(edge, alpha[edge], original[(slice(None), *edge)] * (1 - alpha[edge]) + 0.5) for edge in edges]

    def paste(self, frame: np.ndarray) -> np.ndarray:
        """Put one frame, uint8 or float 0 .. 255 [size_px, size_px, 3], into the picture; uint8 [H, W, 3]."""
        out = self._image.copy()
        target = out[self._rows, self._columns]
        if target.size == 0:
            return out
        pixels = torch.from_numpy(frame.transpose(2, 0, 1).astype(np.float32))[None]
        inside, edges = (self._enlarged if self._is_scaled else self._sampled)(pixels)
        target[self._inside] = inside
        for (edge, alpha, rest), placed in zip(self._edges, edges, strict=True):
            target[edge] = torch.addcmul(rest, placed, alpha).to(torch.uint8).permute(1, 2, 0).numpy()
        return out

    def _enlarged(self, pixels: Tensor) -> tuple[np.ndarray, list[Tensor]]:
        """See `_sampled`; an enlarged frame whose pixels lie on the picture's is resized in bytes, edges exactly."""
        matrix, size = self._enlarge, len(self._enlarge)
        whole = _to_bytes(pixels).contiguous(memory_format=torch.channels_last)
        large = F.interpolate(whole, size=(size, size), mode="bicubic", align_corners=False)[0].permute(1, 2, 0)
        edges = [self._within_frame(edge) for edge, _, _ in self._edges]
        shown = [(matrix[rows] @ pixels[0] @ matrix[columns].T).clamp_(0, 255) for rows, columns in edges]
        return large.numpy()[self._within_frame(self._inside)], shown

    def _within_frame(self, part: Part) -> Part:
        (top, left), (rows, columns) = (self._top, self._left), part
        return slice(rows.start + top, rows.stop + top), slice(columns.start + left, columns.stop + left)

    def _sampled(self, pixels: Tensor) -> tuple[np.ndarray, list[Tensor]]:
        """A frame, [1, 3, size, size], where it lies in the picture: the inside uint8 [h, w, 3], edges [3, h, w]."""
        return self._parted(self._placed(self._resized(pixels).clamp(0, 255)))

    def _parted(self, placed: Tensor) -> tuple[np.ndarray, list[Tensor]]:
        """What lies in the picture's pixels, [3, h, w], as `_sampled` gives it."""
        inside = _to_bytes(placed[(slice(None), *self._inside)]).permute(1, 2, 0).numpy()
        return inside, [placed[(slice(None), *edge)].clamp(0, 255) for edge, _, _ in self._edges]

    def _resized(self, values: Tensor) -> Tensor:
        """Values of the frame [1, C, size_px, size_px] at the resolution they are sampled at."""
        return values if self._resize is None else self._resize @ values @ self._resize.T

    def _placed(self, values: Tensor) -> Tensor:
        """Values of the frame [1, C, h', w'], of whatever resolution, where the picture's pixels lie: [C, h, w]."""
        return F.grid_sample(values, self._grid, mode="bilinear", padding_mode="border", align_corners=False)[0]


_WHOLE = 1 - 1e-5
"""Weights beyond are 1 but for the rounding of interpolation."""
Part = tuple[slice, slice]
"""Rows and columns."""


def _to_bytes(pixels: Tensor) -> Tensor:
    return pixels.clamp(0, 255).round_().to(torch.uint8)


def _split(is_whole: np.ndarray) -> tuple[Part, list[Part]]:
    """The largest part about the middle of a mask [h, w] that is True throughout, and those around it.

    >>> mask = np.zeros((8, 8), bool)
    >>> mask[2:6, 3:5] = True
    >>> _split(mask)[0]
    (slice(2, 6, None), slice(3, 5, None))
    """
    h, w = is_whole.shape
    y0, y1, x0, x1 = 0, h, 0, w
    while y0 < y1 and x0 < x1 and not is_whole[y0:y1, x0:x1].all():
        sides = {
            "y0": is_whole[y0, x0:x1].mean(),
            "y1": is_whole[y1 - 1, x0:x1].mean(),
            "x0": is_whole[y0:y1, x0].mean(),
            "x1": is_whole[y0:y1, x1 - 1].mean(),
        }
        worst = min(sides, key=lambda side: sides[side])
        y0, y1 = y0 + (worst == "y0"), y1 - (worst == "y1")
        x0, x1 = x0 + (worst == "x0"), x1 - (worst == "x1")
    inside = slice(y0, y1), slice(x0, x1)
    around = [(slice(0, y0), slice(0, w)), (slice(y1, h), slice(0, w))]
    return inside, [*around, (slice(y0, y1), slice(0, x0)), (slice(y0, y1), slice(x1, w))]


def paste(image: np.ndarray, geometry: FaceCrop, frame: np.ndarray, mask: str = "full") -> np.ndarray:
    """Put one generated frame back into the picture; see Paster, which is faster for many."""
    return Paster(image, geometry, frame.shape[0], mask).paste(frame)


def _work_size(side_px: float, size_px: int) -> int:
    """Resolution at which a frame is sampled: smoothly doubled where it is enlarged, filtered where it is reduced."""
    if side_px > 1.5 * size_px:
        return 2 * size_px
    return max(1, round(side_px)) if side_px < size_px else size_px


def _resize_matrix(size: int, new_size: int, mode: str) -> Tensor:
    """[new_size, size]: resizes along one axis, anti-aliased; a product with it is faster than F.interpolate."""
    rows = torch.eye(size)[None, None]
    return F.interpolate(rows, size=(new_size, size), mode=mode, align_corners=False, antialias=new_size < size)[0, 0]


def _depth(x: Tensor, y: Tensor, box: tuple[float, float, float, float]) -> Tensor:
    """Distance inwards from the nearest edge of a box, negative outside; all in frame widths."""
    x0, y0, x1, y1 = box
    return torch.minimum(torch.minimum(x - x0, x1 - x), torch.minimum(y - y0, y1 - y))


def coverage(x: Tensor, y: Tensor, box: tuple[float, float, float, float]) -> Tensor:
    """Smooth weight of the frame: 0 on and outside the box's edge, 1 from FEATHER inwards."""
    t = (_depth(x, y, box) / FEATHER).clamp(0, 1)
    return t * t * (3 - 2 * t)


def pasted(places: Tensor, mask: str, lips: Sequence[np.ndarray] = ()) -> Tensor:
    """How much of what lies at places of the frame is the frame's, and not the picture's; mask and lips as of Paster.

    places   [h, w, 2] in frame widths
    returns  [h, w]  0 .. 1

    >>> lips = [np.array([[0.4, 0.6], [0.6, 0.6], [0.6, 0.7], [0.4, 0.7]])]
    >>> place = torch.tensor([[[0.5, 0.6]]])
    >>> round(pasted(place, "mouth").item(), 2), pasted(place, "mouth", lips).item()
    (0.38, 1.0)
    """
    x, y = places.unbind(-1)
    weight = coverage(x, y, MASK_BOXES[mask])
    if not lips or not weight.numel():
        return weight
    cells = lip_coverage(lips)[None, None]
    near = F.grid_sample(cells, places[None] * 2 - 1, mode="bilinear", padding_mode="border", align_corners=False)[0, 0]
    near = torch.where(near > _WHOLE, 1.0, near) * coverage(x, y, MASK_BOXES["full"])
    return torch.maximum(weight, near)


def lip_coverage(lips: Sequence[np.ndarray]) -> Tensor:
    """Smooth weight of the frame about lips: 1 inside and up to LIP_MARGIN around, 0 from LIP_FEATHER beyond.

    lips     outlines [n, 2] in frame widths
    returns  [_LIP_CELLS, _LIP_CELLS], at the middles of cells of the frame

    >>> weight = lip_coverage([np.array([[0.4, 0.6], [0.6, 0.6], [0.6, 0.7], [0.4, 0.7]])])
    >>> weight[62, 48].item(), weight[58, 48].item(), weight[48, 48].item()
    (1.0, 1.0, 0.0)
    """
    weight = torch.zeros(_LIP_CELLS, _LIP_CELLS)
    middles, reach = (torch.arange(_LIP_CELLS) + 0.5) / _LIP_CELLS, LIP_MARGIN + LIP_FEATHER
    for outline in lips:
        (left, top), (right, bottom) = outline.min(0) - reach, outline.max(0) + reach
        columns, rows = ((middles > first) & (middles < last) for first, last in ((left, right), (top, bottom)))
        y, x = torch.meshgrid(middles[rows], middles[columns], indexing="ij")
        begin = torch.from_numpy(np.asarray(outline, np.float32))
        side, away = begin.roll(-1, 0) - begin, torch.stack([x, y], -1)[:, :, None] - begin
        share = ((away * side).sum(-1) / side.square().sum(-1).clamp(min=1e-12)).clamp(0, 1)
        distance = (away - share[..., None] * side).square().sum(-1).amin(-1).sqrt()
        is_level = (away[..., 1] < 0) != (away[..., 1] < side[:, 1])
        is_left = away[..., 0] < side[:, 0] * away[..., 1] / side[:, 1]
        is_inside = (is_level & is_left).sum(-1) % 2 == 1  # an even number of sides lies beside a point outside
        t = (1 - (distance.masked_fill(is_inside, 0) - LIP_MARGIN) / LIP_FEATHER).clamp(0, 1)
        near = rows[:, None] & columns
        weight[near] = torch.maximum(weight[near], (t * t * (3 - 2 * t)).flatten())
    return weight


def _with_lips(box: tuple[float, float, float, float], lips: Sequence[np.ndarray]) -> tuple[float, float, float, float]:
    """A box of the frame that holds lips too, with all that is blended about them.

    >>> _with_lips((0.25, 0.5, 0.75, 1.0), [np.array([[0.4, 0.5], [0.6, 0.5], [0.5, 0.625]])])
    (0.25, 0.43, 0.75, 1.0)
    """
    x0, y0, x1, y1 = box
    reach = LIP_MARGIN + LIP_FEATHER
    for outline in lips:
        (left, top), (right, bottom) = outline.min(0) - reach, outline.max(0) + reach
        x0, y0, x1, y1 = min(x0, left), min(y0, top), max(x1, right), max(y1, bottom)
    return max(0.0, float(x0)), max(0.0, float(y0)), min(1.0, float(x1)), min(1.0, float(y1))
