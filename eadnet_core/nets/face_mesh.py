"""MediaPipe's FaceMesh (Kartynnik et al., arXiv 1907.06724) as a torch net: 468 points of a face.

Its weights are MediaPipe's own (Apache-2.0), read from its file by bench/face_nets.py.
"""

from __future__ import annotations

from torch import Tensor, nn

from ..config import FaceMeshConfig
from .face_finder import BlazeBlock, SameConv

SIZE_PX = 192
"""Side of the square picture that the net takes."""
_TRUNK = (
    (16, 16, 1), (16, 16, 1), (16, 32, 2), (32, 32, 1), (32, 32, 1), (32, 64, 2), (64, 64, 1), (64, 64, 1),
    (64, 128, 2), (128, 128, 1), (128, 128, 1), (128, 128, 2), (128, 128, 1), (128, 128, 1),
)  # fmt: skip
"""(channels in, out, stride) of every block."""
_HEAD_WIDTH = 32


def _block(channels: int, out_channels: int, stride: int = 1) -> BlazeBlock:
    return BlazeBlock(channels, out_channels, stride, nn.PReLU(out_channels))


def _last(outputs: int) -> list[nn.Module]:
    return [
        nn.Conv2d(128, _HEAD_WIDTH, 1),
        nn.PReLU(_HEAD_WIDTH),
        _block(_HEAD_WIDTH, _HEAD_WIDTH),
        nn.Conv2d(_HEAD_WIDTH, outputs, 3),
        nn.Flatten(),
    ]


class FaceMesh(nn.Module):
    """Points of the one face in a picture, and whether there is one."""

    def __init__(self, config: FaceMeshConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = nn.Sequential(SameConv(3, 16, 3, 2), nn.PReLU(16), *(_block(*sizes) for sizes in _TRUNK))
        self.deepen = nn.Sequential(_block(128, 128, 2), _block(128, 128))
        self.points = nn.Sequential(_block(128, 128), *_last(3 * config.points))
        self.presence = nn.Sequential(_block(128, 128, 2), *_last(1))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Look at faces that fill two thirds of a picture, upright.

        pictures  [B, 3, 192, 192]  RGB, 0 .. 1
        returns   points [B, 468, 3], x, y and depth in pixels of the picture (depth: less is nearer, 0 about the middle
                  of the head), and the logit [B] of a face being there
        """
        features = self.trunk(pictures)
        points = self.points(self.deepen(features)).unflatten(1, (-1, 3))
        return points, self.presence(features)[:, 0]
