"""MediaPipe's face finders (BlazeFace, Bazarevsky et al., arXiv 1907.05047), short and full range, as torch nets.

Their weights are MediaPipe's own (Apache-2.0), read from its files by bench/face_nets.py.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config import FaceFinderConfig

N_POINTS = 6
"""Eye, eye, tip of the nose, mouth, ear, ear; the eye on the left of the picture first."""
NEAR_PX, FAR_PX = 128, 192
"""Side of the square picture that each finder takes."""
_NEAR_WIDTHS = (24, 24, 28, 32, 36, 42, 48, 56, 64, 72, 80, 88, 96, 96, 96, 96, 96)
_NEAR_STRIDED = (2, 5, 11)
"""Blocks, from 0, that halve the picture."""
_NEAR_ANCHORS = (2, 6)
"""Boxes for each cell of the last two sizes."""
_FAR_LEVELS = (
    ((32, 8, 32, 1), (32, 8, 32, 1), (32, 12, 48, 2), (48, 12, 48, 1), (48, 16, 64, 1)),
    ((64, 24, 96, 2), (96, 32, 128, 1), (128, 32, 128, 1)),
    ((128, 36, 144, 2), (144, 48, 192, 1), (192, 64, 256, 1)),
    ((256, 96, 384, 2), (384, 96, 384, 1), (384, 96, 384, 1), (384, 96, 384, 1)),
)
"""(channels in, inside, out, stride) of every block on the way down."""
_FAR_UP = ((384, 256, 96, 2), (96, 128, 64, 2), (64, 64, 48, 1))
"""(channels from below, from the side, of the level, blocks) on the way up."""


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow does: what cannot be halved lies at the right and the bottom."""

    def __init__(self, channels: int, out_channels: int, size: int, stride: int = 1, groups: int = 1) -> None:
        whole = size - stride
        super().__init__(
            channels, out_channels, size, stride, padding=whole // 2 if whole % 2 == 0 else 0, groups=groups
        )
        self._pad = (whole // 2, whole - whole // 2) * 2 if whole % 2 else None

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C', H / stride, W / stride]"""
        return super().forward(x if self._pad is None else F.pad(x, self._pad))


def skipped(x: Tensor, channels: int, stride: int) -> Tensor:
    """What a block adds its input as: halved by the maximum, and with empty channels where it has more."""
    if stride == 2:
        x = F.max_pool2d(x, 2)
    return x if x.shape[1] == channels else F.pad(x, (0, 0, 0, 0, 0, channels - x.shape[1]))


class BlazeBlock(nn.Module):
    """A depthwise and a pointwise convolution about a skip connection."""

    def __init__(self, channels: int, out_channels: int, stride: int = 1, activation: nn.Module | None = None) -> None:
        super().__init__()
        self.stride = stride
        self.depthwise = SameConv(channels, channels, 3, stride, groups=channels)
        self.pointwise = nn.Conv2d(channels, out_channels, 1)
        self.activation = activation or nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C', H / stride, W / stride]"""
        y = self.pointwise(self.depthwise(x))
        return self.activation(y + skipped(x, y.shape[1], self.stride))


class _NarrowBlock(nn.Module):
    """Two depthwise convolutions with few channels between them, about a skip connection."""

    def __init__(self, channels: int, inside: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.body = nn.Sequential(
            SameConv(channels, channels, 3, stride, groups=channels),
            nn.Conv2d(channels, inside, 1),
            nn.ReLU(),
            SameConv(inside, inside, 3, groups=inside),
            nn.Conv2d(inside, out_channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        return F.relu(y + skipped(x, y.shape[1], self.stride))


class _Merge(nn.Module):
    """A coarse level enlarged onto a finer one."""

    def __init__(self, below: int, side: int, width: int, blocks: int) -> None:
        super().__init__()
        self.below, self.side = nn.Conv2d(below, width, 1), nn.Conv2d(side, width, 1)
        self.blocks = nn.Sequential(*(_NarrowBlock(width, width // 2, width) for _ in range(blocks)))

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        above = F.interpolate(F.relu(self.below(coarse)), scale_factor=2, mode="bilinear", align_corners=False)
        return self.blocks(F.relu(self.side(fine)) + above)


class _NearBody(nn.Module):
    """128 px -> two maps, [B, 88, 16, 16] and [B, 96, 8, 8]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, _NEAR_WIDTHS[0], 5, 2)
        self.blocks = nn.ModuleList(
            BlazeBlock(a, b, 2 if i in _NEAR_STRIDED else 1) for i, (a, b) in enumerate(pairwise(_NEAR_WIDTHS))
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        x = F.relu(self.stem(x))
        maps = []
        for i, block in enumerate(self.blocks):
            if i == _NEAR_STRIDED[-1]:
                maps.append(x)
            x = block(x)
        return [*maps, x]


class _FarBody(nn.Module):
    """192 px -> one map, [B, 48, 48, 48]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, _FAR_LEVELS[0][0][0], 3, 2)
        self.levels = nn.ModuleList(nn.Sequential(*(_NarrowBlock(*b) for b in level)) for level in _FAR_LEVELS)
        self.merges = nn.ModuleList(_Merge(*sizes) for sizes in _FAR_UP)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = F.relu(self.stem(x))
        levels = []
        for level in self.levels:
            x = level(x)
            levels.append(x)
        for merge, fine in zip(self.merges, levels[-2::-1], strict=True):
            x = merge(x, fine)
        return [x]


class FaceFinder(nn.Module):
    """Every box that may hold a face, from one square picture."""

    centers: Tensor

    def __init__(self, config: FaceFinderConfig) -> None:
        super().__init__()
        self.config = config
        is_near = config.range == "near"
        self.size_px = NEAR_PX if is_near else FAR_PX
        self.body: nn.Module = _NearBody() if is_near else _FarBody()
        channels, n_boxes = ((88, 96), _NEAR_ANCHORS) if is_near else ((_FAR_UP[-1][2],), (1,))
        self.scores = nn.ModuleList(nn.Conv2d(c, n, 1) for c, n in zip(channels, n_boxes, strict=True))
        self.boxes = nn.ModuleList(
            nn.Conv2d(c, n * (4 + 2 * N_POINTS), 1) for c, n in zip(channels, n_boxes, strict=True)
        )
        cells = (16, 8) if is_near else (48,)
        centers = [_centers(n_cells, n) for n_cells, n in zip(cells, n_boxes, strict=True)]
        self.register_buffer("centers", torch.cat(centers), persistent=False)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Look at pictures.

        pictures  [B, 3, size_px, size_px]  RGB, -1 .. 1
        returns   logits [B, n] and places [B, n, 8, 2] (x, y) in sides of the picture: the box's middle, its width and
                  height, and N_POINTS points
        """
        maps = self.body(pictures)
        logits = torch.cat([_by_cell(net(x), 1) for net, x in zip(self.scores, maps, strict=True)], 1)[..., 0]
        raw = torch.cat([_by_cell(net(x), 4 + 2 * N_POINTS) for net, x in zip(self.boxes, maps, strict=True)], 1)
        places = raw.unflatten(-1, (-1, 2)) / self.size_px
        middle, size, points = places.split((1, 1, N_POINTS), 2)
        here = self.centers[:, None]
        return logits, torch.cat([middle + here, size, points + here], 2)


def _by_cell(maps: Tensor, values: int) -> Tensor:
    """[B, n * values, H, W] -> [B, H * W * n, values]"""
    return maps.permute(0, 2, 3, 1).reshape(len(maps), -1, values)


def _centers(n_cells: int, n_boxes: int) -> Tensor:
    """Middles of the cells of a square map, in sides of the picture, [n_cells**2 * n_boxes, 2]."""
    at = (torch.arange(n_cells) + 0.5) / n_cells
    y, x = torch.meshgrid(at, at, indexing="ij")
    return torch.stack([x, y], -1).reshape(-1, 1, 2).expand(-1, n_boxes, 2).reshape(-1, 2)
