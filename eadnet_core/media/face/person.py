"""Who is in front of a picture's background: an alpha as fine as the picture, hair included.

MediaPipe's net sees 256 pixels a side. It looks at the whole picture and again at the head alone; what it finds is
drawn to the picture's own edges by a guided filter (He and Sun, arXiv 1505.00996).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...nets.person import SIZE_PX
from ...weights.files import load_part
from ...weights.folders import FACES
from .crop import FaceCrop

HEAD_REGION, HEAD_REGION_Y = 1.3, 0.52
"""Side of the region that is looked at for the head, in sides of the training frame, and where its middle lies."""
_RADIUS, _EPSILON = 6, 1e-4
"""Of the guided filter: pixels of the net, and the variance of brightness below which the picture has no edge."""
_LOW, _HIGH = 0.15, 0.85
"""Shares that count as none and as all: the net is rarely surer."""
_BLEND = 0.1
"""Over which share of the head's region it takes over from the whole picture."""

Window = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels of a picture, end exclusive."""


@lru_cache(maxsize=1)
def _net() -> Any:
    return load_part(FACES / "person.safetensors", "person")[0]


def person_alpha(picture: np.ndarray, face: FaceCrop) -> np.ndarray:
    """How much of each pixel is the person whose face lies there, and not what is behind.

    picture  uint8 [H, W, 3]
    returns  uint8 [H, W]
    """
    alpha, height, width = _seen(picture), *picture.shape[:2]
    x0, y0, x1, y1 = head_window(face, (width, height))
    if (x1 - x0) * (y1 - y0) < 0.8 * width * height:
        near, share = _seen(picture[y0:y1, x0:x1]), _taken_over((x0, y0, x1, y1), (width, height))
        alpha[y0:y1, x0:x1] += share * (near - alpha[y0:y1, x0:x1])
    return alpha.mul_(255).round_().to(torch.uint8).numpy()


def person_in_window(picture: np.ndarray, window: Window) -> np.ndarray:
    """The same where one window of the picture is looked at alone, 0 outside of it: uint8 [H, W]."""
    x0, y0, x1, y1 = window
    alpha = np.zeros(picture.shape[:2], np.uint8)
    alpha[y0:y1, x0:x1] = _seen(picture[y0:y1, x0:x1]).mul_(255).round_().to(torch.uint8).numpy()
    return alpha


def head_window(face: FaceCrop, size: tuple[int, int]) -> Window:
    """The part of a picture (width, height) that holds the head of a face; never empty."""
    x, y = face.point(0.5, HEAD_REGION_Y)
    x0, y0, x1, y1 = FaceCrop(x, y, face.side_px * HEAD_REGION, face.angle).bounds(size)
    x0, y0 = min(x0, size[0] - 1), min(y0, size[1] - 1)
    return x0, y0, max(x0 + 1, x1), max(y0 + 1, y1)


def _seen(picture: np.ndarray) -> Tensor:
    """Alpha [h, w], 0 .. 1, of a part of a picture, uint8 [h, w, 3]."""
    height, width = picture.shape[:2]
    whole = torch.from_numpy(picture.transpose(2, 0, 1)[None].astype(np.float32)).div_(255)
    small = F.interpolate(whole, size=(SIZE_PX, SIZE_PX), mode="bilinear", antialias=True).clamp_(0, 1)
    with torch.inference_mode():
        share = _net()(small)[:, None]
    scale, shift = _guided(small.mean(1, keepdim=True), share)
    size = (height, width)
    scale, shift = (F.interpolate(x, size=size, mode="bilinear", align_corners=False) for x in (scale, shift))
    alpha = whole.mean(1, keepdim=True).mul_(scale).add_(shift)[0, 0]
    return alpha.sub_(_LOW).div_(_HIGH - _LOW).clamp_(0, 1)


def _guided(guide: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and shift [1, 1, h, w] by which a guide's brightness becomes values, locally."""

    def mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 2 * _RADIUS + 1, 1, _RADIUS, count_include_pad=False)

    middle, average = mean(guide), mean(values)
    covariance = mean(guide * values) - middle * average
    scale = covariance / (mean(guide * guide) - middle * middle + _EPSILON)
    return mean(scale), mean(average - scale * middle)


def _taken_over(window: Window, size: tuple[int, int]) -> Tensor:
    """Weight [h, w] of a window's own alpha: rises from its edges inwards, but not from those of the picture."""
    x0, y0, x1, y1 = window
    sides = []
    for start, stop, end in ((y0, y1, size[1]), (x0, x1, size[0])):
        place = torch.arange(stop - start) + 0.5
        reach = max(1.0, _BLEND * (stop - start))
        before = place / reach if start > 0 else torch.ones_like(place)
        after = (stop - start - place) / reach if stop < end else torch.ones_like(place)
        sides.append(torch.minimum(before, after).clamp(0, 1))
    return sides[0][:, None] * sides[1]
