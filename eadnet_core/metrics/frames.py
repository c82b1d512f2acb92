"""From uint8 pictures to the batches a scoring net reads."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..media.pixels import to_unit

BATCH = 64
"""Pictures a scoring net sees at once: bounds memory, whatever the length of the video."""
SIZE_PX = 128
"""Side of the pictures that the scoring nets learned from."""


def to_expert(frames: np.ndarray, device: torch.device) -> Tensor:
    """uint8 frames [T, H, W, 3] as float32 [T, 3, 128, 128] in -1 .. 1 on `device`; larger ones are averaged."""
    images = to_unit(np.ascontiguousarray(frames), device)
    return images if images.shape[-1] == SIZE_PX else F.interpolate(images, size=(SIZE_PX, SIZE_PX), mode="area")


def device_of(net: nn.Module) -> torch.device:
    """Where the parameters of `net` live."""
    return next(net.parameters()).device


@torch.inference_mode()
def read_batches(net: nn.Module, frames: np.ndarray, batch: int = BATCH) -> Iterator[Tensor]:
    """Outputs [b, D] of `net` on the CPU for successive batches of uint8 frames [T, H, W, 3]."""
    device = device_of(net)
    for start in range(0, len(frames), batch):
        yield net(to_expert(frames[start : start + batch], device)).float().cpu()
