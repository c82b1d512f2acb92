"""The nets of @vladmandic/face-api 1.7.15 (MIT) that read a face: its expression, and who it is.

Rebuilt after the package's source; its published weights are loaded by `weights.judges`. They measure, nothing more.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .tfjs_graph import pad_same

MEAN_RGB = (122.782, 117.001, 104.298)
EXPRESSION_SIZE_PX, IDENTITY_SIZE_PX = 112, 150
EXPRESSIONS = 7
IDENTITY_WIDTH = 128


def _normalised(faces: Tensor) -> Tensor:
    return (faces - faces.new_tensor(MEAN_RGB)[:, None, None]) / 255


class SeparableConv(nn.Module):
    """A depthwise 3 x 3 and a pointwise convolution, padded as TensorFlow does."""

    def __init__(self, channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.depthwise = nn.Conv2d(channels, channels, 3, stride, groups=channels, bias=False)
        self.pointwise = nn.Conv2d(channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] -> [B, C', h / stride, w / stride]."""
        return self.pointwise(self.depthwise(pad_same(x, (3, 3), (self.stride, self.stride))))


class DenseBlock(nn.Module):
    """Four convolutions; each sees the sum of those before it."""

    def __init__(self, channels: int, out_channels: int, is_first: bool) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(channels, out_channels, 3, 2) if is_first else SeparableConv(channels, out_channels, 2)
        self.conv1, self.conv2, self.conv3 = (SeparableConv(out_channels, out_channels) for _ in range(3))
        self.is_first = is_first

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] -> [B, C', h / 2, w / 2]."""
        total = F.relu(self.conv0(pad_same(x, (3, 3), (2, 2)) if self.is_first else x))
        first = self.conv1(total)
        total = total + first
        second = self.conv2(F.relu(total))
        total = total + second
        return F.relu(total + self.conv3(F.relu(total)))


class FaceExpression(nn.Module):
    """Seven expressions of an aligned face."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 32, 64, 128, 256)
        self.blocks = nn.ModuleList(DenseBlock(widths[i], widths[i + 1], i == 0) for i in range(4))
        self.fc = nn.Linear(256, EXPRESSIONS)

    def forward(self, faces: Tensor) -> Tensor:
        """[B, 3, 112, 112] RGB 0 .. 255 -> probabilities [B, 7]."""
        x = _normalised(faces)
        for block in self.blocks:
            x = block(x)
        return torch.softmax(self.fc(F.avg_pool2d(x, 7, 2).flatten(1)), -1)


class ScaledConv(nn.Module):
    """A 3 x 3 (at first 7 x 7) convolution, then a scale and a shift of every channel."""

    def __init__(self, channels: int, out_channels: int, is_down: bool, has_relu: bool, size: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out_channels, size, 2 if is_down else 1, 0 if is_down else size // 2)
        self.weights, self.biases = nn.Parameter(torch.ones(out_channels)), nn.Parameter(torch.zeros(out_channels))
        self.has_relu = has_relu

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] -> [B, C', h', w']; halved without padding where it leads down."""
        x = self.conv(x) * self.weights[:, None, None] + self.biases[:, None, None]
        return F.relu(x) if self.has_relu else x


class Residual(nn.Module):
    """Two convolutions beside a shortcut; one that leads down pads channels, below and right with zeros."""

    def __init__(self, channels: int, out_channels: int, is_down: bool) -> None:
        super().__init__()
        self.conv1 = ScaledConv(channels, out_channels, is_down, has_relu=True)
        self.conv2 = ScaledConv(out_channels, out_channels, is_down=False, has_relu=False)
        self.is_down = is_down

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] -> [B, C', h', w']."""
        out = self.conv2(self.conv1(x))
        if not self.is_down:
            return F.relu(out + x)
        pooled = F.avg_pool2d(x, 2)
        if pooled.shape[-2:] != out.shape[-2:]:
            out = F.pad(out, (0, 1, 0, 1))
        return F.relu(out + F.pad(pooled, (0, 0, 0, 0, 0, out.shape[1] - pooled.shape[1])))


class FaceIdentity(nn.Module):
    """Who a face is: dlib's residual net, as face-api carries it."""

    LAYERS = (
        *("conv32_1", "conv32_2", "conv32_3", "conv64_down", "conv64_1", "conv64_2", "conv64_3"),
        *("conv128_down", "conv128_1", "conv128_2", "conv256_down", "conv256_1", "conv256_2", "conv256_down_out"),
    )

    def __init__(self) -> None:
        super().__init__()
        self.conv32_down = ScaledConv(3, 32, is_down=True, has_relu=True, size=7)
        channels = 32
        for name in self.LAYERS:
            width = int(name.removeprefix("conv").split("_")[0])
            setattr(self, name, Residual(channels, width, "down" in name))
            channels = width
        self.fc = nn.Linear(channels, IDENTITY_WIDTH, bias=False)

    def forward(self, faces: Tensor) -> Tensor:
        """[B, 3, 150, 150] RGB 0 .. 255 -> [B, 128]; below a distance of 0.6 two faces count as one person."""
        x = F.max_pool2d(self.conv32_down(_normalised(faces)), 3, 2)
        for name in self.LAYERS:
            x = getattr(self, name)(x)
        return self.fc(x.mean((2, 3)))
