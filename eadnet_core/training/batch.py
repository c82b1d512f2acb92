"""The base of every training's batch: a frozen dataclass of tensors, moved and stacked field by field.

Each training declares its own batch, with the shapes of its fields, beside the function that draws it. The loop knows
this base alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import torch
from torch import Tensor

Given = TypeVar("Given", bound="Batch")


@dataclass(frozen=True)
class Batch:
    """What one training step learns from. A field is a tensor, another batch, or a plain value that never moves."""

    def to(self: Given, device: torch.device, *, non_blocking: bool = False) -> Given:
        """The same on another device."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        movable = {name: value for name, value in values.items() if isinstance(value, (Tensor, Batch))}
        return replace(self, **{name: x.to(device, non_blocking=non_blocking) for name, x in movable.items()})

    @staticmethod
    def stack(samples: Sequence[Given]) -> Given:
        """One batch of samples of the same class whose fields are all tensors, without B in front of theirs."""
        names = [f.name for f in fields(samples[0])]
        return replace(samples[0], **{name: torch.stack([getattr(one, name) for one in samples]) for name in names})
