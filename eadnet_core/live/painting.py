"""What a face does, painted into the picture's own pixels: what does not change from frame to frame is made once.

A clip cuts the training frame out, moves it, and pastes it back. Here the change is brought to the picture and the
picture's pixels are moved where they lie: they are sampled once instead of three times. Only the box that the frame
touches is made; beside it the picture stays, and is not copied.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..config import MASK_BOXES
from ..families.mini import Head
from ..media.face.crop import FaceCrop
from ..media.face.paste import coverage
from ..nets.vae import LAID_PX, Change

FINE = 2
"""Times by which the picture is enlarged once, by cubic splines, so that straight lines between its pixels do for every
frame."""
LEAST_PAINT = 1 / 255
"""Where less than this is painted, nothing is."""


@dataclass(frozen=True)
class Box:
    """Rows top .. bottom - 1 and columns left .. right - 1 of a picture."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def part(self) -> tuple[slice, slice]:
        """The same as rows and columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


class Painter:
    """Frames of one portrait.

    head      the portrait as the nets know it
    picture   uint8 [H, W, 3]
    geometry  where the training frame lies in it
    """

    def __init__(self, head: Head, picture: np.ndarray, geometry: FaceCrop) -> None:
        self.head, self.picture, self.geometry = head, picture, geometry
        height, width = picture.shape[:2]
        x0, y0, x1, y1 = geometry.bounds((width, height))
        self.box = Box(y0, y1, x0, x1)
        device = head.shown.device
        ys, xs = torch.meshgrid(torch.arange(y0, y1) + 0.5, torch.arange(x0, x1) + 0.5, indexing="ij")
        cos, sin = np.cos(geometry.angle) / geometry.side_px, np.sin(geometry.angle) / geometry.side_px
        u = (xs - geometry.center_x) * cos + (ys - geometry.center_y) * sin
        v = (ys - geometry.center_y) * cos - (xs - geometry.center_x) * sin
        self._frame = torch.stack([2 * u, 2 * v], dim=-1)[None].to(device)
        weight = coverage(u + 0.5, v + 0.5, MASK_BOXES["full"])[None, None].to(device)
        self._here = torch.stack([xs / width * 2 - 1, ys / height * 2 - 1])[None].to(device)
        turn = [[np.cos(geometry.angle), -np.sin(geometry.angle)], [np.sin(geometry.angle), np.cos(geometry.angle)]]
        scale = torch.tensor(turn, dtype=torch.float32) * geometry.side_px / torch.tensor([[width], [height]])
        self._to_picture = scale.to(device)
        whole = torch.from_numpy(picture.transpose(2, 0, 1).copy()).to(device, torch.float32)[None]
        fine = F.interpolate(whole, scale_factor=FINE, mode="bicubic", align_corners=False)
        self._fine = fine.clamp(0, 255)
        self._weight, self._rest = weight, (1 - weight) * whole[..., y0:y1, x0:x1]

    def paint(self, controls: Tensor, motion: Tensor) -> np.ndarray:
        """What lies in the box, uint8 [T, h, w, 3].

        controls  [T, 28]
        motion    [T, 8]
        """
        change = self.head.change(controls, motion)
        change = change.in_picture(self.head.features, min(LAID_PX, self.head.shown.shape[-1]))
        return np.stack([self._one(change, i) for i in range(len(controls))])

    def _one(self, change: Change, i: int) -> np.ndarray:
        """One frame after the other: what is worked on stays in the processor's cache."""
        flow, light, alpha, paint = (x[i : i + 1] for x in (change.flow, change.light, change.alpha, change.paint))
        shift = torch.einsum("ij,bjhw->bihw", self._to_picture, flow)
        placed = F.grid_sample(torch.cat([shift, light.exp()], 1), self._frame, align_corners=False)
        where = (self._here + placed[:, :2]).permute(0, 2, 3, 1)
        moved = F.grid_sample(self._fine, where, padding_mode="border", align_corners=False)
        lit = moved * placed[:, 2:]
        self._over(lit, alpha, paint)
        shown = torch.addcmul(self._rest, lit.clamp_(0, 255), self._weight)
        return shown[0].permute(1, 2, 0).add_(0.5).to(torch.uint8).contiguous().numpy()

    def _over(self, lit: Tensor, alpha: Tensor, paint: Tensor) -> None:
        """Paint over a frame, in place, where there is any paint."""
        part = self._painted(alpha[0, 0] > LEAST_PAINT)
        if part is None:
            return
        rows, columns = part
        over = torch.cat([alpha, paint.add(1).mul_(127.5)], 1)
        placed = F.grid_sample(over, self._frame[:, rows, columns], align_corners=False)
        lit[..., rows, columns].lerp_(placed[:, 1:], placed[:, :1])

    def _painted(self, is_painted: Tensor) -> tuple[slice, slice] | None:
        """The rows and columns of the box that hold all that is painted, [h, h] of the frame."""
        found = [torch.nonzero(is_painted.any(dim)).flatten() for dim in (1, 0)]
        if not len(found[0]):
            return None
        size = len(is_painted)
        (y0, y1), (x0, x1) = ((int(f[0]) - 1, int(f[-1]) + 2) for f in found)
        corners = [self.geometry.point(x / size, y / size) for x in (x0, x1) for y in (y0, y1)]
        (left, top), (right, bottom) = np.min(corners, 0), np.max(corners, 0)
        rows = slice(max(0, int(top) - self.box.top), max(0, int(bottom) + 1 - self.box.top))
        return rows, slice(max(0, int(left) - self.box.left), max(0, int(right) + 1 - self.box.left))
