"""The user's own pixels: where a generated frame may keep them, and what light they are shown to a net in.

Our design (ADR 19). A small autoencoder loses what it never saw: strokes of a brush, marble, the pores of a photograph.
So what a net makes of a frame is taken as a change to the portrait, and the portrait keeps its detail wherever that
change is small. `still` says where, alike for the training frame and for the full picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

STILL_LEVELS = 16.0
"""Levels of 255 by which a place may change before most of its detail belongs to something that is gone."""
STILL_SIGMA = 0.012
"""Over how much the change is averaged, in frame widths: about the width of a lip line."""
LEAST_SIGMA_PX = 1.5
"""A wider blur is taken of a picture reduced by a whole number, so that it is still so many pixels wide there."""
FACE = (0.5, 0.57), (0.25, 0.29)
"""Middle and reach of the ellipse that light is judged by, in frame widths: skin, eyes and mouth without hair."""
CONTRAST = 0.45
"""Standard deviation of the face's brightness over its mean, up to which a picture is shown as it is: 98 of 100 heads
of the corpus lie below."""
GREY = 0.05
"""Standard deviation of a face's colours about their brightness, 0 .. 1, from which it counts as a coloured picture."""
_LUMA = (0.299, 0.587, 0.114)


def still(change: Tensor) -> Tensor:
    """Where a picture keeps its detail: [B, 1, H, W], 1 nothing changed .. 0 something else is there now.

    change  [B, C, H, W]  in units of pictures in -1 .. 1

    >>> bool((still(torch.zeros(1, 3, 16, 16)) == 1).all())
    True
    """
    sigma_px = STILL_SIGMA * change.shape[-1]
    step = max(1, int(sigma_px / LEAST_SIGMA_PX))
    squares = F.avg_pool2d(change.square().mean(1, keepdim=True), step, ceil_mode=True)
    around = low_pass(squares, sigma_px / step)
    if step > 1:
        around = F.interpolate(around, size=change.shape[-2:], mode="bilinear", align_corners=False)
    return torch.exp(-around * (127.5 / STILL_LEVELS) ** 2)


def low_pass(images: Tensor, sigma_px: float) -> Tensor:
    """Gaussian blur of [B, C, H, W]; what lies beyond the border is its mirror image."""
    radius = max(1, min(round(3 * sigma_px), min(images.shape[-2:]) - 1))
    offsets = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma_px) ** 2)
    kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, 1, -1)
    padded = F.pad(images, (radius,) * 4, mode="reflect")
    rows = F.conv2d(padded, kernel, groups=images.shape[1])
    return F.conv2d(rows, kernel.transpose(2, 3), groups=images.shape[1])


def luma(images: Tensor) -> Tensor:
    """Brightness [B, 1, H, W] of [B, 3, H, W]."""
    weights = torch.tensor(_LUMA, device=images.device, dtype=images.dtype)
    return (images * weights[:, None, None]).sum(1, keepdim=True)


@dataclass(frozen=True)
class Light:
    """How pictures are shown to a net that knows soft light only: faces of harsher contrast are paled, as by a mist.

    gain    [B, 1, 1, 1]  what is left of the contrast; 1 for a picture that is shown as it is
    colour  [B, 1, 1, 1]  share of the net's colours that the picture takes: near 0 for a statue, 1 for most
    """

    gain: Tensor
    colour: Tensor

    @classmethod
    def of(cls, images: Tensor) -> Light:
        """The light that pictures [B, 3, H, W] in the training frame, -1 .. 1, need."""
        weight = _inside_face(images)
        bright = luma(images) / 2 + 0.5
        mean = _mean(bright, weight)
        spread = _mean((bright - mean).square(), weight).sqrt()
        colour = _mean((images / 2 + 0.5 - bright).square(), weight).sqrt()
        # gain g takes the mean m to 1 - g (1 - m) and the spread s to g s, so that their ratio becomes CONTRAST
        gain = CONTRAST / (spread + CONTRAST * (1 - mean)).clamp(min=1e-6)
        return cls(gain.clamp(max=1.0), (colour / GREY).clamp(max=1.0))

    def __getitem__(self, frames: slice) -> Light:
        return Light(self.gain[frames], self.colour[frames])

    def shown(self, images: Tensor) -> Tensor:
        """Pictures as the net sees them, all in -1 .. 1 as before."""
        return 1 - self.gain * (1 - images)

    def own(self, shown: Tensor) -> Tensor:
        """The inverse of `shown`."""
        return 1 - (1 - shown) / self.gain

    def changed(self, shown: Tensor, change: Tensor) -> Tensor:
        """The user's picture with a change [B, 3, H, W] that a net made to the shown one."""
        if bool((self.gain == 1).all() & (self.colour == 1).all()):
            return shown + change
        bright = luma(change)
        return self.own(shown) + bright / self.gain + (change - bright) * self.colour


def _inside_face(images: Tensor) -> Tensor:
    """[1, 1, H, W]: 1 inside `FACE`, 0 outside."""
    (x, y), (reach_x, reach_y) = FACE
    height, width = images.shape[-2:]
    rows = (torch.arange(height, device=images.device) + 0.5) / height
    columns = (torch.arange(width, device=images.device) + 0.5) / width
    inside = ((rows[:, None] - y) / reach_y).square() + ((columns - x) / reach_x).square() < 1
    return inside.to(images.dtype)[None, None]


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    """Of [B, C, H, W] under a weight [1, 1, H, W]: [B, 1, 1, 1]."""
    return (values * weight).sum((1, 2, 3), keepdim=True) / (weight.sum() * values.shape[1])
