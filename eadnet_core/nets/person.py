"""MediaPipe's selfie segmentation (a MobileNetV3, Howard et al., arXiv 1905.02244) as a torch net: who is in front.

Its weights are MediaPipe's own (Apache-2.0), read from its file by bench/face_nets.py.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from ..config import PersonConfig
from .face_finder import SameConv

SIZE_PX = 256
"""Side of the square picture that the net takes."""
_DEEP = ((24, 96, 2, 24), (32, 128, 1, 32), (32, 128, 1, 32), (32, 96, 1, 24), (32, 96, 1, 24))
"""(channels in, inside, stride, squeezed) of the blocks at a sixteenth of the picture."""


class _Gate(nn.Module):
    """Weights of channels by what the whole picture holds (squeeze and excitation)."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] -> [B, C, 1, 1]"""
        return self.up(self.down(x.mean((2, 3), keepdim=True)).relu()).sigmoid()


class _Block(nn.Module):
    """Widen, look around, weigh, narrow; added to its input where both have one shape."""

    def __init__(
        self, channels: int, inside: int, out_channels: int, size: int, stride: int, squeezed: int, act: nn.Module
    ) -> None:
        super().__init__()
        self.wide = nn.Conv2d(channels, inside, 1)
        self.around = SameConv(inside, inside, size, stride, groups=inside)
        self.gate = _Gate(inside, squeezed) if squeezed else None
        self.narrow = nn.Conv2d(inside, out_channels, 1)
        self.act = act
        self.is_added = stride == 1 and channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] -> [B, C', h / stride, w / stride]"""
        y = self.act(self.around(self.act(self.wide(x))))
        if self.gate is not None:
            y = y * self.gate(y)
        y = self.narrow(y)
        return x + y if self.is_added else y


class _Up(nn.Module):
    """A coarse map doubled and joined with a finer one of the way down."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.match = nn.Conv2d(coarse, fine, 1)
        self.gate = _Gate(fine, fine)
        self.mix = nn.Conv2d(fine, fine, 1)
        self.around = SameConv(fine, fine, 3, groups=fine)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """[B, C, h, w] and [B, C', 2h, 2w] -> [B, C', 2h, 2w]"""
        larger = F.interpolate(coarse, scale_factor=2.0, mode="bilinear", align_corners=False)
        matched = self.match(larger)
        y = self.mix(fine * self.gate(fine + matched) + matched).relu()
        return y + self.around(y).relu()


class Person(nn.Module):
    """How much of each pixel belongs to a person in the foreground."""

    def __init__(self, config: PersonConfig) -> None:
        super().__init__()
        self.config = config
        soft, relu = nn.Hardswish(), nn.ReLU()
        self.first = SameConv(3, 16, 3, 2)
        self.quarter = _Block(16, 16, 16, 3, 2, 8, relu)
        self.eighth = nn.Sequential(_Block(16, 72, 24, 3, 2, 0, relu), _Block(24, 88, 24, 3, 1, 0, relu))
        self.deep = nn.Sequential(*(_Block(c, inside, 32, 5, s, q, soft) for c, inside, s, q in _DEEP))
        self.local, self.whole = nn.Conv2d(32, 128, 1), nn.Conv2d(32, 128, 1)
        self.up = nn.ModuleList([_Up(128, 24), _Up(24, 16), _Up(16, 16)])
        self.last = nn.ConvTranspose2d(16, 1, 2, 2)

    def forward(self, pictures: Tensor) -> Tensor:
        """Look at pictures of people that fill a good part of them.

        pictures  [B, 3, 256, 256]  RGB, 0 .. 1
        returns   [B, 256, 256]     0 background .. 1 person
        """
        half = F.hardswish(self.first(pictures))
        quarter = self.quarter(half)
        eighth = self.eighth(quarter)
        deep = self.deep(eighth)
        y = self.local(deep).relu() * self.whole(deep.mean((2, 3), keepdim=True)).sigmoid()
        for up, fine in zip(self.up, (eighth, quarter, half), strict=True):
            y = up(y, fine)
        return self.last(y).sigmoid()[:, 0]
