"""Pictures as nets take and make them: between uint8 [..., H, W, 3] and float [..., 3, H, W] in -1 .. 1."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def to_unit(pixels: np.ndarray, device: torch.device | None = None) -> Tensor:
    """uint8 [..., H, W, 3] -> float32 [..., 3, H, W] in -1 .. 1, in the order that the pixels have in memory.

    That order decides the last bits of what a net makes of a picture, so it is not changed here; LatentSync's nets get
    a `contiguous` copy. The values are those of LatentSync's (x / 255 - .5) / .5, to the bit on a CPU.

    device  where the values are converted; default: the CPU
    """
    copied = torch.from_numpy(np.array(pixels))  # pixels may lie in a file that is mapped read-only
    return copied.to(device).float().div_(127.5).sub_(1.0).movedim(-1, -3)


def to_pixels(images: Tensor) -> np.ndarray:
    """[..., 3, H, W] in -1 .. 1 -> uint8 [..., H, W, 3]."""
    pixels = images.add(1.0).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)
    return pixels.movedim(-3, -1).contiguous().cpu().numpy()
