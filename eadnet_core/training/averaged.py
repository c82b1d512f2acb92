"""The moving average of weights, in one piece or spread over processes."""

from __future__ import annotations

import copy

import torch
from torch import nn

from .processes import local, spread_like, whole


class AveragedWeights:
    """Exponential moving average of a module's weights, with a short memory at the start.

    Where the weights are spread over processes (FSDP), so is their mean; `gather` fills `module`.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self._decay = decay
        self.follow(module)

    def follow(self, module: nn.Module) -> None:
        """Take weights from these parameters from now on; what was averaged so far is kept."""
        current = list(module.parameters())
        self._parts = []
        for mean, now in zip(self.module.parameters(), current, strict=True):
            self._parts.append(mean if not hasattr(now, "to_local") else spread_like(mean.detach(), now))
        self._current = current
        self._buffers = list(zip(self.module.buffers(), module.buffers(), strict=True))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after `step` steps."""
        weight = 1 - min(self._decay, (1 + step) / (10 + step))
        current = [local(p.detach()) for p in self._current]
        torch._foreach_lerp_([local(part) for part in self._parts], current, weight)
        for kept, now in self._buffers:
            kept.copy_(now)

    @torch.no_grad()
    def gather(self) -> None:
        """Fill `module` from all processes; every one of them has to call it."""
        for mean, part in zip(self.module.parameters(), self._parts, strict=True):
            if mean is not part:
                mean.copy_(whole(part))
