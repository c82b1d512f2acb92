"""What a base's own SyncNet (LatentSync's StableSyncNet) says of a clip that the base has made.

It supervised the base, so this is no judgement from outside: it says whether the base did what it was trained for.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np
import torch
from torch import Tensor

from ..config import FPS
from ..media.pixels import to_unit
from ..media.sound.sync_features import SYNCNET_MEL_RATE_HZ, SYNCNET_MEL_STEPS, syncnet_mel, syncnet_mel_windows
from ..nets.latentsync.stable_syncnet import StableSyncNet

SHIFT_FRAMES = 12
"""How far the sound is moved against the picture, earlier and later, for comparison."""


@dataclass(frozen=True)
class BaseSync:
    """How well lips and sound belong together, by the SyncNet of a base.

    cosine          mean similarity of windows of frames (16 of LatentSync) and their sound, -1 .. 1
    cosine_shifted  the same with sound from `SHIFT_FRAMES` earlier or later; nan in a clip that is too short for that
    n_windows       windows that were compared
    """

    cosine: float
    cosine_shifted: float
    n_windows: int

    def __str__(self) -> str:
        shifted = f"{self.cosine_shifted:.2f}" if isfinite(self.cosine_shifted) else "none"
        return f"SyncNet of the base: similarity {self.cosine:.2f} with the sound, {shifted} with that around it."


class BaseSyncMeter:
    """Takes in a clip's aligned squares in blocks, and says at the end what the SyncNet makes of them."""

    def __init__(self, syncnet: StableSyncNet) -> None:
        self._syncnet, self._frames, self.size_px = syncnet, syncnet.config.frames, syncnet.config.size_px
        self._weight = next(syncnet.parameters())
        self._stride = max(1, self._frames // 2)
        self._waiting: list[np.ndarray] = []
        self._starts: list[int] = []
        self._seen: list[Tensor] = []
        self._first = 0

    @torch.inference_mode()
    def add(self, squares: np.ndarray) -> None:
        """The next squares, uint8 [b, size_px, size_px, 3]."""
        self._waiting += list(squares)
        while len(self._waiting) >= self._frames:
            window = to_unit(np.stack(self._waiting[: self._frames]), self._weight.device)[None].to(self._weight.dtype)
            self._seen.append(self._syncnet.embed_frames(window)[0].float().cpu())
            self._starts.append(self._first)
            del self._waiting[: self._stride]
            self._first += self._stride

    @torch.inference_mode()
    def finish(self, samples: np.ndarray) -> BaseSync | None:
        """What it says, for the sound [N] at 16 kHz of all that was taken in; None where no window fits."""
        mel = syncnet_mel(samples)
        last = (mel.shape[1] - SYNCNET_MEL_STEPS) * FPS // SYNCNET_MEL_RATE_HZ
        pairs = [(seen, start) for seen, start in zip(self._seen, self._starts, strict=True) if start <= last]
        if not pairs:
            return None
        shifted = [
            (seen, start + shift)
            for seen, start in pairs
            for shift in (-SHIFT_FRAMES, SHIFT_FRAMES)
            if 0 <= start + shift <= last
        ]
        return BaseSync(self._cosine(mel, pairs), self._cosine(mel, shifted), len(pairs))

    def _cosine(self, mel: Tensor, pairs: list[tuple[Tensor, int]]) -> float:
        """Mean similarity of embedded windows and the sound from a frame on."""
        found = []
        for seen, start in pairs:
            heard = syncnet_mel_windows(mel, [start]).to(self._weight.device, self._weight.dtype)
            found.append(float(seen @ self._syncnet.embed_audio(heard)[0].float().cpu()))
        return float(np.mean(found)) if found else float("nan")
