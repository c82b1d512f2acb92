"""The original SyncNet (Chung and Zisserman 2016), version 2: what LSE-C and LSE-D of the literature are measured with.

State dicts of the public `syncnet_v2.model` fit as they are.
"""

from __future__ import annotations

from torch import Tensor, nn

WINDOW_FRAMES = 5
WINDOW_STEPS = 20
"""Cepstra of one window of frames."""
PICTURE_PX = 224


class SyncNetV2(nn.Module):
    """Embeds 5 frames and 0.2 s of cepstra; the Euclidean distance of the two says how well they fit."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_conv2d(1, 64), nn.MaxPool2d((1, 1), (1, 1)),
            *_conv2d(64, 192), nn.MaxPool2d((3, 3), (1, 2)),
            *_conv2d(192, 384), *_conv2d(384, 256), *_conv2d(256, 256), nn.MaxPool2d((3, 3), (2, 2)),
            nn.Conv2d(256, 512, (5, 4)), nn.BatchNorm2d(512), nn.ReLU(),
        )  # fmt: skip
        self.netfcaud = _head()
        self.netfclip = _head()
        self.netcnnlip = nn.Sequential(
            *_conv3d(3, 96, (5, 7, 7), 2, 0), nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_conv3d(96, 256, (1, 5, 5), 2, 1), nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_conv3d(256, 256, (1, 3, 3), 1, 1), *_conv3d(256, 256, (1, 3, 3), 1, 1),
            *_conv3d(256, 256, (1, 3, 3), 1, 1),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_conv3d(256, 512, (1, 6, 6), 1, 0),
        )  # fmt: skip

    def embed_frames(self, frames: Tensor) -> Tensor:
        """frames [B, 3, 5, 224, 224], blue first, 0 .. 255 -> [B, 1024]"""
        return self.netfclip(self.netcnnlip(frames).flatten(1))

    def embed_audio(self, cepstra: Tensor) -> Tensor:
        """cepstra [B, 1, 13, 20] of `media.sync_features.cepstra` -> [B, 1024]"""
        return self.netfcaud(self.netcnnaud(cepstra).flatten(1))


def _conv2d(width: int, out: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(width, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU(inplace=True)


def _conv3d(width: int, out: int, kernel: tuple[int, int, int], stride: int, padding: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv3d(width, out, kernel, (1, stride, stride), (0, padding, padding))
    return conv, nn.BatchNorm3d(out), nn.ReLU(inplace=True)


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024))
