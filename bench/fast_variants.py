"""What was measured and not adopted (ADR 15): other ways for a base's denoiser to work less per step."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from eadnet_core.nets.latentsync.blocks import TransformerBlock
from eadnet_core.nets.latentsync.denoiser import LatentSyncDenoiser
from eadnet_core.nets.latentsync.fast import FastDenoiser, Speed
from eadnet_core.sampling.guidance import Place


class SoundCache(FastDenoiser):
    """Computes each layer's keys and values of a frame's sound once: at full size 5 MB per frame in flight in float32.

    Equal to the bit where kernels treat rows alike. The net's own attentions are changed, so it serves one clip.
    """

    def __init__(self, net: LatentSyncDenoiser, speed: Speed) -> None:
        super().__init__(net, speed)
        self.place: Place | None = None
        self.sound: dict[tuple[nn.Module, int], tuple[Tensor, Tensor]] = {}
        for reader in [block.attn2 for block in net.modules() if isinstance(block, TransformerBlock)]:
            reader.keys_and_values = partial(self._known, reader, reader.keys_and_values)  # type: ignore[assignment]

    def forward(self, *given: Any, **more: Any) -> Tensor:
        """As `FastDenoiser.forward`; `place` is the fourth argument or given by name."""
        self.place = place = given[3] if len(given) > 3 else more.get("place")
        out = super().forward(*given, **more)
        if place is not None and place.step + 1 == place.n_steps:
            done = {frame for window in place.frames for frame in window}
            self.sound = {key: pair for key, pair in self.sound.items() if key[1] not in done}
        return out

    def _known(self, reader: nn.Module, compute: Any, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [B T, S, D] of sound [B T, S, D_a], of whose branches the first may be silent."""
        if self.place is None:
            return compute(audio)
        frames = [frame for window in self.place.frames for frame in window]
        is_loud = [branch.has_audio for branch in self.place.branches][-(len(audio) // len(frames)) :]
        if not any(is_loud):
            return compute(audio)
        tokens = audio.unflatten(0, (-1, len(frames)))[is_loud.index(True)]
        new = {frame: i for i, frame in enumerate(frames) if (reader, frame) not in self.sound}
        if new:
            rows = zip(*compute(tokens[list(new.values())]), strict=True)
            self.sound |= {(reader, frame): pair for frame, pair in zip(new, rows, strict=True)}
        both = [torch.stack(each) for each in zip(*(self.sound[reader, frame] for frame in frames), strict=True)]
        keys, values = (torch.cat([x if loud else torch.zeros_like(x) for loud in is_loud]) for x in both)
        return keys, values


class ChannelsLast(FastDenoiser):
    """Stores features cell by cell: sums are in another order, so the last bits differ. The net itself is changed."""

    def __init__(self, net: LatentSyncDenoiser, speed: Speed) -> None:
        super().__init__(net, speed)
        net.memory_format = torch.channels_last
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class TwoFresh(FastDenoiser):
    """Computes two layers of the finest level in every step, where deep ones are reused."""

    n_fresh = 2
