"""Frames that a net is asked of, and those between them, for what changes smoothly from frame to frame (ADR 41)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Added:
    """What the net adds to a mean face, at the size of its own pictures.

    flow   [B, 2, H, W]  as in `vae.Change`
    light  [B, 3, H, W]  as in `vae.Change`
    """

    flow: Tensor
    light: Tensor

    def last(self) -> Added:
        """That of the last frame, in memory of its own."""
        return Added(self.flow[-1:].clone(), self.light[-1:].clone())

    def after(self, before: Added) -> Added:
        """Both in a row."""
        return Added(torch.cat([before.flow, self.flow]), torch.cat([before.light, self.light]))


def frames_between(n_frames: int, most: int, has_before: bool) -> list[int]:
    """Which of some frames a net is asked of, no two further apart than `most`: the last, and the first or one before.

    >>> frames_between(5, 3, True), frames_between(5, 3, False), frames_between(1, 3, True)
    ([2, 4], [0, 2, 4], [0])
    """
    first = -1 if has_before else 0
    n_steps = max(1, -(-(n_frames - 1 - first) // most))
    found = {round(first + (n_frames - 1 - first) * i / n_steps) for i in range(n_steps + 1)}
    return sorted(found - {-1})


def weights_between(n_frames: int, numbers: list[int]) -> Tensor:
    """How much each of some frames weighs in those between them, float32 [T, K].

    >>> weights_between(3, [-1, 1, 2]).tolist()
    [[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    rows = [np.interp(np.arange(n_frames), numbers, unit) for unit in np.eye(len(numbers))]
    return torch.from_numpy(np.stack(rows, 1)).float()
