"""What faces in pictures do: the picture side's reader of controls, and what it is given of a picture.

The same reader tells a model what its reference does already. So what is read here of a model's own clips is no
judgement from outside: for that there are `eadnet evaluate --portraits`, whose judges are others' nets, and
`--controls`, where no net reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..pixels import to_unit
from .crop import FaceCrop
from .landmarks import read_landmarks

if TYPE_CHECKING:
    from ...nets.vae import VAE

BATCH = 32
"""Pictures that the reader sees at once."""


@torch.inference_mode()
def read_controls(faces: np.ndarray, vae: VAE) -> Tensor:
    """What each of some faces, uint8 [T, S, S, 3] in the training frame, does: [T, 28], columns taxonomy.CONTROLS.

    Computed where the nets of `vae` are, given back on the CPU.
    """
    device, size_px = vae.pose_size.device, vae.config.size_px
    parts = (faces[start : start + BATCH] for start in range(0, len(faces), BATCH))
    return torch.cat([vae.read_controls(*picture_inputs(part, size_px, device)).float().cpu() for part in parts])


def picture_inputs(pictures: np.ndarray, size_px: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """What `VAE.read` is given of pictures, uint8 [B, S, S, 3] in the training frame: images and landmarks.

    size_px  that of the net
    """
    small = np.stack([_reduced(picture, size_px) for picture in pictures])
    points = np.stack([_landmarks(picture) for picture in pictures])
    return to_unit(small, device), torch.from_numpy(points).to(device)


def _reduced(picture: np.ndarray, size_px: int) -> np.ndarray:
    """A square picture, uint8, at the size that the nets look at."""
    if len(picture) == size_px:
        return picture
    return np.asarray(Image.fromarray(picture).resize((size_px, size_px), Image.Resampling.LANCZOS))


def _landmarks(picture: np.ndarray) -> np.ndarray:
    """Landmarks [468, 2] of a square picture, uint8, in frame widths."""
    side = len(picture)
    return read_landmarks(picture, [FaceCrop(side / 2, side / 2, side)])[0].xy / side
