"""The mouth that a base painted, laid over a performance: where it ends, and where the lip corners go.

Our design (ADR 32). A base hears no emotion, so it paints a mouth that speaks and neither smiles nor frowns as much as
the performance that it was shown. The same landmarks are read off both pictures; what differs at the lip corners is
taken back by moving pixels. Nothing looks at other frames, so that a clip does not depend on how it is cut.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional as F

from .aligned_crop import FEATHER, box_bounds, paste_aligned, pasted_share
from .alignment import AlignedBox, aligned_box
from .crop import FaceCrop
from .framing import SQUARE, Framing, Paste, aligned_mask
from .landmark_masks import LIPS_OUTER
from .landmarks import LEAST_PRESENT, read_landmarks

CORNERS = (61, 291)
"""Landmarks of the lip corners, that on the left of the picture first."""
REACH, MOST_SHIFT = 0.22, 0.3
"""Standard deviation of what moves with a lip corner, and the furthest that it moves, in widths of the mouth. More
would fold the picture."""
LOWER_FACE = (
    234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454,
    340, 346, 347, 348, 358, 327, 2, 98, 129, 119, 118, 117, 111,
)  # fmt: skip
"""Landmarks around what a base may change: the jaw from ear to ear, then below the eyes and around the nose."""
JAW_MARGIN, LIP_MARGIN = 0.08, 0.2
"""How far what is laid on reaches beyond these landmarks, and beyond the lips, in widths of the mouth."""


@dataclass(frozen=True)
class MouthStyle:
    """How a painted mouth is laid over a performance.

    by       "base": within jaw and cheeks; "blend": the lips alone
    corners  0 the lip corners stay as painted .. 1 where the performance has them
    edge     "landmarks": ends by the landmarks of each frame; "fixed": as the base's mask does
    """

    by: str = "base"
    corners: float = 1.0
    edge: str = "landmarks"

    @property
    def is_plain(self) -> bool:
        """Whether nothing is left to do but to paste."""
        return self.by == "base" and self.corners == 0 and self.edge == "fixed"

    @property
    def framing(self) -> Framing:
        """The aligned square, pasted in this way."""
        return Framing(SQUARE.cut, self._paster)

    def _paster(self, picture: np.ndarray, face: FaceCrop, size_px: int, mask: str) -> Paste:
        """Pastes squares into a performed picture, uint8 [H, W, 3]; plainly where no face is seen."""
        box, kind = aligned_box(face), aligned_mask(mask)

        def paste(frame: np.ndarray) -> np.ndarray:
            painted = paste_aligned(picture, box, frame, kind)
            rows, columns = box_bounds(picture, box)
            if self.is_plain or rows.start == rows.stop or columns.start == columns.stop:
                return painted
            seen = [read_landmarks(each, [face])[0] for each in (picture, painted)]
            if min(each.presence for each in seen) < LEAST_PRESENT:
                return painted
            origin = np.array([columns.start, rows.start], np.float32)
            before, after = (each.xy - origin for each in seen)
            share = pasted_share(box, rows, columns, len(frame), kind)
            performed, made = (_tensor(each[rows, columns]) for each in (picture, painted))
            made = self._with_corners(made, share, before, after)
            laid = torch.lerp(performed, made, self._share(share, before, after, box))
            laid = torch.where(share > 0, laid, performed).clamp(0, 255).round().to(torch.uint8)
            out = picture.copy()
            out[rows, columns] = laid.permute(1, 2, 0).numpy()
            return out

        return paste

    def _with_corners(self, made: Tensor, share: Tensor, before: np.ndarray, after: np.ndarray) -> Tensor:
        """A part of a painted picture [3, h, w] with its lip corners moved towards those of the performance."""
        if self.corners == 0:
            return made
        return moved(made, after[list(CORNERS)], corner_shifts(before, after, self.corners), mouth_width(before), share)

    def _share(self, share: Tensor, before: np.ndarray, after: np.ndarray, box: AlignedBox) -> Tensor:
        """How much of each pixel is taken from the painted picture: [h, w]."""
        if self.by == "base" and self.edge == "fixed":
            return torch.ones_like(share)
        outline, margin = (LIPS_OUTER, LIP_MARGIN) if self.by == "blend" else (LOWER_FACE, JAW_MARGIN)
        margin_px = margin * mouth_width(before)
        outlines = [grown(points[list(outline)], margin_px) for points in (before, after)]
        return _softened(_filled(outlines, share.shape), margin_px if self.by == "blend" else FEATHER * box.height_px)


def mouth_width(points: np.ndarray) -> float:
    """Distance of the lip corners of landmarks [468, 2], at least one pixel."""
    left, right = points[list(CORNERS)]
    return max(1.0, float(np.linalg.norm(right - left)))


def corner_shifts(before: np.ndarray, after: np.ndarray, strength: float) -> np.ndarray:
    """How far the lip corners go from a painted face's landmarks towards a performed one's, both [468, 2]: [2, 2].

    >>> before, after = np.zeros((468, 2)), np.zeros((468, 2))
    >>> before[291] = (100, 0); after[291] = (90, 10)
    >>> corner_shifts(before, after, 0.5).tolist()
    [[0.0, 0.0], [5.0, -5.0]]
    """
    shifts = strength * (before - after)[list(CORNERS)]
    lengths = np.linalg.norm(shifts, axis=1, keepdims=True)
    return shifts * np.minimum(1.0, MOST_SHIFT * mouth_width(before) / np.maximum(lengths, 1e-6))


def moved(picture: Tensor, points: np.ndarray, shifts: np.ndarray, width: float, share: Tensor) -> Tensor:
    """A picture [3, h, w] whose pixels around points [n, 2] are moved by shifts [n, 2], all in pixels.

    width  of the mouth, in pixels
    share  [h, w]  0 where nothing moves .. 1
    """
    height, length = picture.shape[1:]
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(length) + 0.5, indexing="ij")
    flow = torch.zeros(height, length, 2)
    for (at_x, at_y), shift in zip(points + shifts, torch.from_numpy(np.asarray(shifts, np.float32)), strict=True):
        near = torch.exp(-((x - float(at_x)) ** 2 + (y - float(at_y)) ** 2) / (2 * (REACH * width) ** 2))
        flow = flow - near[..., None] * shift
    where = torch.stack([x, y], -1) + share[..., None] * flow
    grid = where / where.new_tensor([length, height]) * 2 - 1
    return F.grid_sample(picture[None], grid[None], mode="bicubic", padding_mode="border", align_corners=False)[0]


def grown(outline: np.ndarray, margin: float) -> np.ndarray:
    """An outline [n, 2] whose points lie further from their middle by a margin.

    >>> grown(np.array([[0.0, 0.0], [2.0, 0.0]]), 1.0).tolist()
    [[-1.0, 0.0], [3.0, 0.0]]
    """
    out = outline - outline.mean(0)
    return outline + margin * out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-6)


def _filled(outlines: list[np.ndarray], size: torch.Size) -> Tensor:
    """[h, w]: 1 within any of some outlines in pixels."""
    drawn = Image.new("L", (size[1], size[0]))
    pen = ImageDraw.Draw(drawn)
    for outline in outlines:
        pen.polygon([(float(x) - 0.5, float(y) - 0.5) for x, y in outline], fill=255)
    return torch.from_numpy(np.asarray(drawn, np.float32) / 255)


def _softened(inside: Tensor, width_px: float) -> Tensor:
    """A mask [h, w] that falls off smoothly within its edge, over so many pixels."""
    reach = max(1, round(width_px / 2))
    blurred = inside[None]
    for _ in range(2):  # as the fixed mask is
        blurred = F.avg_pool2d(blurred, 2 * reach + 1, 1, reach, count_include_pad=False)
    t = (2 * blurred[0] - 1).clamp(0, 1) * inside
    return t * t * (3 - 2 * t)


def _tensor(picture: np.ndarray) -> Tensor:
    """uint8 [h, w, 3] -> float32 [3, h, w]"""
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1).float()
