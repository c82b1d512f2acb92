"""Mouth, head pose and eyelids of every frame, read from pixels by the face expert."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from .frames import read_batches

OUTPUTS = ("opening", "width", "yaw", "pitch", "roll", "blink")
"""What the face expert predicts for a picture, in the order of its outputs."""


@dataclass(frozen=True)
class FaceTrack:
    """One value per frame [T] each: mouth opening and width as the corpus measures them (about 0 .. 1), the head's
    absolute yaw, pitch and roll in radians, and the eyelids' closure (about 0 .. 1)."""

    opening: np.ndarray
    width: np.ndarray
    yaw: np.ndarray
    pitch: np.ndarray
    roll: np.ndarray
    blink: np.ndarray


def read_faces(frames: np.ndarray, expert: nn.Module) -> FaceTrack:
    """The face in every frame.

    frames   [T, H, W, 3]  uint8 in the training frame
    expert                 [B, 3, H, W] in -1 .. 1 -> [B, 6], in the order of `OUTPUTS`
    """
    outputs = torch.cat(list(read_batches(expert, frames))).numpy()
    return FaceTrack(*(outputs[:, i] for i in range(len(OUTPUTS))))


def correlation(read: np.ndarray, true: np.ndarray) -> float:
    """Pearson correlation of two tracks [T]; 0 where `read` never moves, nan where `true` never does.

    >>> correlation(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0]))
    1.0
    >>> correlation(np.zeros(3), np.array([2.0, 4.0, 6.0]))
    0.0
    """
    a, b = (x.astype(np.float64) - x.mean(dtype=np.float64) for x in (read, true))
    if np.abs(b).max() < 1e-6:
        return float("nan")
    if np.abs(a).max() < 1e-6:
        return 0.0
    return float(np.clip((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()), -1.0, 1.0))
