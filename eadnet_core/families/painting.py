"""What a face does, painted into the picture's own pixels: what does not change from frame to frame is made once.

The change is brought to the picture, and the picture's pixels are moved where they lie, once (`media/face/repaint.py`).
Only the box that the frame touches is made; beside it the picture stays, and is not copied.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from ..config import MASK_BOXES
from ..media.face.crop import FaceCrop
from ..media.face.paste import coverage
from ..nets.canonical import Maps, sampled
from ..nets.vae import LAID_PX, Change


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

    maps      how the portrait was laid out, of one face
    picture   uint8 [H, W, 3]
    geometry  where the training frame lies in it
    mask      a key of MASK_BOXES: the part of the frame that is painted
    """

    def __init__(self, maps: Maps, picture: np.ndarray, geometry: FaceCrop, mask: str = "full") -> None:
        from ..media.face.repaint import padded  # numba takes half a second to import

        height, width = picture.shape[:2]
        x0, y0, x1, y1 = geometry.bounds((width, height), MASK_BOXES[mask])
        self.box = Box(y0, y1, x0, x1)
        self.picture, self._fine = picture, padded(picture)
        self._was = picture[self.box.part].reshape(self.box.bottom - self.box.top, -1)
        u, v = _in_frame(geometry, *_middles(self.box))
        weight = coverage(u + 0.5, v + 0.5, MASK_BOXES[mask])
        self._weight = weight.repeat_interleave(3, 1).numpy()
        self._step = max(1, int(geometry.side_px // LAID_PX))
        xs, ys = (torch.arange(0, b - a + 2 * self._step, self._step) + float(a) for a, b in ((x0, x1), (y0, y1)))
        ys, xs = torch.meshgrid(ys, xs, indexing="ij")
        frame = 2 * torch.stack(_in_frame(geometry, xs, ys))[None]
        to_picture = maps.to_picture.float().cpu()
        canonical = sampled(maps.to_canonical.float().cpu(), frame).clamp(-1, 1)
        self._canonical = canonical[0].permute(1, 2, 0).contiguous().numpy()
        half = geometry.side_px / 2
        cos, sin = half * np.cos(geometry.angle), half * np.sin(geometry.angle)
        self._turn = np.array([[cos, -sin], [sin, cos]], np.float32)
        lies = sampled(to_picture, canonical)[0].permute(1, 2, 0).numpy() @ self._turn.T
        self._base = np.ascontiguousarray(torch.stack([xs, ys], 2).numpy() - np.float32(0.5) - lies)
        self._to_picture = to_picture[0].contiguous().numpy()

    def paint(self, change: Change) -> np.ndarray:
        """What lies in the box in frames of a change in the canonical frame: uint8 [T, h, w, 3]."""
        out = np.empty((len(change.flow), *self.picture[self.box.part].shape), np.uint8)
        if out.size:
            one = self._frames(change, out)
            n_threads = min(torch.get_num_threads(), len(out))
            if n_threads > 1:
                with ThreadPoolExecutor(n_threads) as threads:
                    list(threads.map(one, range(len(out))))
            else:
                for i in range(len(out)):
                    one(i)
        return out

    def _frames(self, change: Change, out: np.ndarray) -> Callable[[int], None]:
        """What paints one frame; kernels let go of the interpreter, so that several may be painted at once."""
        from ..media.face.repaint import N_PLACED, place, repaint

        parts = change.flow, change.light.exp(), change.alpha, change.paint.add(1).mul_(127.5)
        maps = torch.cat([part.float() for part in parts], 1).cpu().contiguous().numpy()
        n = maps.shape[-1]
        at = np.clip((self._canonical + 1) * np.float32(n / 2) - np.float32(0.5), 0, np.float32(n - 1))
        rows = len(self._was), -1

        def one(i: int) -> None:
            placed = np.empty((*at.shape[:2], N_PLACED), np.float32)
            place(maps[i], at, self._base, self._to_picture, self._turn, placed)
            repaint(self._was, self._fine, self._weight, placed, self._step, out[i].reshape(rows))

        return one


def _middles(box: Box) -> tuple[torch.Tensor, torch.Tensor]:
    """x and y of the middles of pixels, [h, w] each."""
    ys, xs = torch.arange(box.top, box.bottom) + 0.5, torch.arange(box.left, box.right) + 0.5
    y, x = torch.meshgrid(ys, xs, indexing="ij")
    return x, y


def _in_frame(geometry: FaceCrop, xs: torch.Tensor, ys: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Places of the picture in frame widths from the middle of the frame."""
    cos, sin = np.cos(geometry.angle) / geometry.side_px, np.sin(geometry.angle) / geometry.side_px
    x, y = xs - geometry.center_x, ys - geometry.center_y
    return x * cos + y * sin, y * cos - x * sin
