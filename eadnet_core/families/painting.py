"""What a face does, painted into the picture's own pixels: what does not change from frame to frame is made once.

The change is brought to the picture, and the picture's pixels are moved where they lie, once (`media/face/repaint.py`).
Only the box that the frame touches is made; beside it the picture stays, and is not copied.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import torch

from ..config import MASK_BOXES
from ..media.face.crop import FaceCrop
from ..media.face.paste import FEATHER
from ..nets.canonical import Maps, sampled
from ..nets.vae import LAID_PX, Change

BANDS = 4
"""Parts of a frame that are painted by themselves: what is known of their places stays near the processor, and five
frames keep two threads busy to the end."""


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
        from ..media.face.repaint import BLOCK, padded  # numba takes half a second to import

        height, width = picture.shape[:2]
        x0, y0, x1, y1 = geometry.bounds((width, height), MASK_BOXES[mask])
        self.box = Box(y0, y1, x0, x1)
        self.picture, self._fine = picture, padded(picture)
        self._columns, self._rows = _added(geometry, self.box)
        self._edges = np.array(MASK_BOXES[mask], np.float32)
        self._step = min(max(1, int(geometry.side_px // LAID_PX)), BLOCK)
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
            one = self._bands(change, out)
            jobs = list(product(range(len(out)), self._of_rows(out.shape[1])))
            n_threads = min(torch.get_num_threads(), len(jobs))
            if n_threads > 1:
                with ThreadPoolExecutor(n_threads) as threads:
                    list(threads.map(one, *zip(*jobs, strict=True)))
            else:
                for job in jobs:
                    one(*job)
        return out

    def _of_rows(self, height: int) -> list[slice]:
        """Rows of places, as bands of about as many pixels each."""
        n = -(-height // self._step)
        edges = np.linspace(0, n, min(n, BANDS) + 1).round().astype(int)
        return [slice(a, b) for a, b in pairwise(edges.tolist())]

    def _bands(self, change: Change, out: np.ndarray) -> Callable[[int, slice], None]:
        """What paints a band of one frame; kernels let go of the interpreter, so that several are painted at once."""
        from ..media.face.repaint import N_PLACED, place, repaint

        parts = change.flow, change.light.exp(), change.alpha, change.paint.add(1).mul_(127.5)
        maps = torch.cat([part.float() for part in parts], 1).cpu().contiguous().numpy()
        n, step = maps.shape[-1], self._step
        at = np.clip((self._canonical + 1) * np.float32(n / 2) - np.float32(0.5), 0, np.float32(n - 1))
        top, left, feather = self.box.top, self.box.left, np.float32(FEATHER)

        def one(i: int, band: slice) -> None:
            places, rows = slice(band.start, band.stop + 1), slice(band.start * step, band.stop * step)
            placed = np.empty((*at[places].shape[:2], N_PLACED), np.float32)
            place(maps[i], at[places], self._base[places], self._to_picture, self._turn, placed)
            shown = out[i, rows].reshape(len(out[i, rows]), -1)
            where = self._columns, np.ascontiguousarray(self._rows[:, rows]), self._edges, feather
            repaint(self._fine, top + rows.start, left, *where, placed, step, shown)

        return one


def _added(geometry: FaceCrop, box: Box) -> tuple[np.ndarray, np.ndarray]:
    """What columns and rows of a box add to places of the frame, x and y in frame widths: [2, w] and [2, h] float32."""
    xs, ys = torch.arange(box.left, box.right) + 0.5, torch.arange(box.top, box.bottom) + 0.5
    nothing_x, nothing_y = torch.full((1,), geometry.center_x), torch.full((1,), geometry.center_y)
    columns, rows = _in_frame(geometry, xs, nothing_y), _in_frame(geometry, nothing_x, ys)
    return torch.stack(columns).numpy(), torch.stack(rows).add_(0.5).numpy()


def _in_frame(geometry: FaceCrop, xs: torch.Tensor, ys: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Places of the picture in frame widths from the middle of the frame."""
    cos, sin = np.cos(geometry.angle) / geometry.side_px, np.sin(geometry.angle) / geometry.side_px
    x, y = xs - geometry.center_x, ys - geometry.center_y
    return x * cos + y * sin, y * cos - x * sin
