"""A base's denoiser with less work per step: what branches share, what steps share, what is nearly the same.

The net itself is untouched: `FastDenoiser` calls its blocks in the same order and leaves out what it knows already.
It holds features of the frames in flight, so there is one for each clip that is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import BadInput
from ...sampling.conditions import FrameConditions
from ...sampling.guidance import Place
from ..adapters import FULL_STRENGTH, Strengths
from .blocks import LayerContext, Shortcuts
from .denoiser import LatentSyncDenoiser


@dataclass(frozen=True)
class Speed:
    """What may be spared; by default nothing is, and every bit stays."""

    share_branches: bool = False
    """Compute what the predictions of guidance have in common once, and no attention to sound where there is none:
    smaller products, whose last bits differ."""
    compiled: bool = False
    """torch.compile of the whole net at fixed shapes: minutes at first, then fused kernels; the last bits differ."""
    reuse_every: int = 1
    """Compute the deep layers in one step of so many and take their features from the step before in the others (after
    DeepCache, Ma et al. 2023); 1 never does. The result differs visibly: measure it (bench/speed.py)."""

    def __post_init__(self) -> None:
        if self.reuse_every < 1:
            raise BadInput(f"reuse_every is {self.reuse_every}; give 1 (every step in full) or more.")


class FastDenoiser(nn.Module):
    """LatentSync's denoiser for one clip, called as that is, and told where in the clip each call is."""

    n_fresh = 1
    """Layers of the finest level on the way up that are computed in every step."""

    def __init__(self, net: LatentSyncDenoiser, speed: Speed) -> None:
        super().__init__()
        if not isinstance(net, LatentSyncDenoiser):
            raise BadInput("Only a base's denoiser can be sped up so; the mini's is fast as it is. Leave speed out.")
        self.net, self.speed = net, speed
        self.n_reused = net.config.up_blocks[0] - self.n_fresh
        self.deep: dict[tuple[int, int], Tensor] = {}
        self._full = torch.compile(self._run, dynamic=False) if speed.compiled else self._run
        self._shallow = torch.compile(self._rerun, dynamic=False) if speed.compiled else self._rerun

    def forward(
        self,
        sample: Tensor,
        time: Tensor,
        conditions: FrameConditions,
        place: Place | None = None,
        *,
        strengths: Strengths = FULL_STRENGTH,
    ) -> Tensor:
        """The raw output, as `LatentSyncDenoiser.forward`; without gradients.

        place  without it nothing is spared but by compiled
        """
        if place is None:
            return self._full(sample, time, conditions, strengths, Shortcuts(), False)[0]
        shortcuts = self._shortcuts(place)
        phase = place.step % self.speed.reuse_every
        is_kept = self.speed.reuse_every > 1 and phase + 1 < self.speed.reuse_every and place.step + 1 < place.n_steps
        deep = self._recall(place, is_last=not is_kept) if phase else None
        if deep is not None:
            out = self._shallow(sample, time, conditions, strengths, shortcuts, deep)
        else:
            out, deep = self._full(sample, time, conditions, strengths, shortcuts, is_kept)
            if is_kept:
                self._remember(deep, place)
        return out

    def state(self) -> dict[str, Tensor]:
        """Deep features of the frames in flight, so that a run that goes on later gives the same; on the CPU."""
        return {f"{branch}.{frame}": value.cpu() for (branch, frame), value in self.deep.items()}

    def restore(self, state: Mapping[str, Tensor], device: torch.device | str) -> None:
        """Go on from a `state`."""
        keys = {name: name.partition(".") for name in state}
        self.deep = {(int(key[0]), int(key[2])): state[name].to(device) for name, key in keys.items()}

    def _shortcuts(self, place: Place) -> Shortcuts:
        if not self.speed.share_branches:
            return Shortcuts()
        quiet = [not branch.has_audio for branch in place.branches]
        n_quiet = next((i for i, is_quiet in enumerate(quiet) if not is_quiet), len(quiet))
        return Shortcuts(n_branches=len(quiet), n_silent=len(place.frames) * n_quiet)

    def _remember(self, deep: Tensor, place: Place) -> None:
        frames = [frame for window in place.frames for frame in window]
        for row, value in enumerate(deep):
            self.deep[row // len(frames), frames[row % len(frames)]] = value

    def _recall(self, place: Place, *, is_last: bool) -> Tensor | None:
        """Deep features [B T, C, h, w] of the batch, given up where no later step needs them; None where some lack."""
        keys = [(b, frame) for b in range(len(place.branches)) for window in place.frames for frame in window]
        if any(key not in self.deep for key in keys):
            return None
        found = torch.stack([self.deep[key] for key in keys])
        if is_last:
            for key in set(keys):
                del self.deep[key]
        return found.contiguous(memory_format=self.net.memory_format)

    def _run(
        self,
        sample: Tensor,
        time: Tensor,
        conditions: FrameConditions,
        strengths: Strengths,
        shortcuts: Shortcuts,
        is_kept: bool,
    ) -> tuple[Tensor, Tensor]:
        """The whole net; beside the output the features that enter the fresh layers, where they are kept."""
        net = self.net
        x, context = net.begin(sample, time, conditions, strengths, shortcuts)
        skips: list[list[Tensor]] = []
        for down in net.down_blocks:
            x, outputs, _ = down(x, context)
            skips.append(outputs)
        x, _ = net.mid_block(x, context)
        *deeper, finest = net.up_blocks
        for up in deeper:
            x, _ = up(x, skips.pop(), context)
        deep: Any = finest
        x = deep.layers(x, skips[0], context, 0, self.n_reused)
        return self._end(x, skips[0], context), x if is_kept else x[:0]

    def _rerun(
        self,
        sample: Tensor,
        time: Tensor,
        conditions: FrameConditions,
        strengths: Strengths,
        shortcuts: Shortcuts,
        deep: Tensor,
    ) -> Tensor:
        """The first and last layers alone, around features of a step before."""
        net: Any = self.net
        x, context = net.begin(sample, time, conditions, strengths, shortcuts)
        skips = [x]
        for i in range(self.n_fresh - 1):
            x = net.down_blocks[0].layer(i, x, context)
            skips.append(x)
        return self._end(deep, skips, context)

    def _end(self, x: Tensor, skips: list[Tensor], context: LayerContext) -> Tensor:
        finest: Any = self.net.up_blocks[-1]
        x = finest.layers(x, skips, context, self.n_reused, len(finest.resnets))
        x, _ = finest.merge(x, context)
        return self.net.finish(x, context.n_frames)
