"""The reference in latents and back: what a clip's residuals are added to, and how frames come out of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .checkpoints import Model
from .media.pose import turn_head

DECODE_FRAMES = 8
LOWPASS_SIGMA = 1 / 32
"""Of the colour correction, in frame widths: finer detail would ghost where the head moves."""


class Head:
    """A reference picture, encoded once: from x0 (the residual to it) to finished frames.

    Where every frame has a picture of its own, as in a video, `turn` and `decode` are given those instead.
    """

    def __init__(self, model: Model, reference: np.ndarray) -> None:
        """`reference` is uint8 [size, size, 3], or [1, size, size, 3]."""
        self.model = model
        self.picture = reference if reference.ndim == 4 else reference[None]
        self.latents, self.image_and_correction = self._read(self.picture)
        self.scale = model.denoiser.residual_scale.float()[:, None, None]

    def _read(self, pictures: np.ndarray) -> tuple[Tensor, Tensor]:
        """Latents [B, C, h, w] of uint8 pictures, and each in -1 .. 1 with its colour correction, [B, 6, H, W]."""
        image = to_unit(pictures, self.model.device).to(self.model.dtype)
        latents = self.model.vae.encode(image)[0]
        again = self.model.vae.decode(latents, image, latents)
        correction = low_pass((image - again).float(), LOWPASS_SIGMA * image.shape[-1])
        return latents, torch.cat([image, correction.to(self.model.dtype)], dim=1)

    def turn(self, motion: Tensor, pictures: np.ndarray | None = None) -> Tensor:
        """Latents [T, C, h, w] of the reference, or of `pictures` [T, ...], with the head turned by motion [T, 8]."""
        pieces = []
        for start, part in _parts(motion):
            shown = self.picture if pictures is None else pictures[start : start + len(part)]
            image = to_unit(shown, self.model.device).to(self.model.dtype)
            pieces.append(self.model.vae.encode(self._turned(image, part))[0])
        return torch.cat(pieces).float()

    def decode(self, x0: Tensor, motion: Tensor, turned: Tensor, pictures: np.ndarray | None = None) -> np.ndarray:
        """Finished frames; a low-pass correction brings the reference's colours back.

        x0        [C, T, h, w]  residual to the turned reference
        motion    [T, 8]
        turned    [T, C, h, w]  what `turn` makes of that motion
        pictures  uint8 [T, size, size, 3]  what each frame refers to, where it is not the reference
        returns   uint8 [T, size, size, 3]
        """
        latents = x0.transpose(0, 1) * self.scale + turned
        pieces = []
        for start, part in _parts(latents):
            stop = start + len(part)
            part = part.to(self.model.dtype).contiguous(memory_format=torch.channels_last)
            shown = self.image_and_correction if pictures is None else self._read(pictures[start:stop])[1]
            image, correction = self._turned(shown, motion[start:stop]).chunk(2, dim=1)
            image = image.contiguous(memory_format=torch.channels_last)
            images = self.model.vae.decode(part, image, turned[start:stop].to(self.model.dtype))
            pieces.append(to_pixels(images.float() + correction.float()))
        return np.concatenate(pieces)

    @staticmethod
    def _turned(picture: Tensor, motion: Tensor) -> Tensor:
        turned = turn_head(picture.expand(len(motion), -1, -1, -1), motion)
        return turned.contiguous(memory_format=torch.channels_last)


def _parts(frames: Tensor) -> Iterator[tuple[int, Tensor]]:
    """(start, at most DECODE_FRAMES of them), one after the other."""
    for start in range(0, len(frames), DECODE_FRAMES):
        yield start, frames[start : start + DECODE_FRAMES]


def to_unit(frames: np.ndarray, device: torch.device) -> Tensor:
    """uint8 [B, H, W, 3] -> float32 [B, 3, H, W] in -1 .. 1."""
    return torch.from_numpy(frames).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def to_pixels(images: Tensor) -> np.ndarray:
    """[B, 3, H, W] in -1 .. 1 -> uint8 [B, H, W, 3]."""
    pixels = images.add(1.0).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def low_pass(images: Tensor, sigma_px: float) -> Tensor:
    """Gaussian blur of [B, C, H, W]; what lies beyond the border is its mirror image."""
    radius = max(1, min(round(3 * sigma_px), min(images.shape[-2:]) - 1))
    offsets = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma_px) ** 2)
    kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, 1, -1)
    padded = F.pad(images, (radius,) * 4, mode="reflect")
    rows = F.conv2d(padded, kernel, groups=images.shape[1])
    return F.conv2d(rows, kernel.transpose(2, 3), groups=images.shape[1])
