"""What a clip is made from, whatever the model: a reference in pictures, and what the head is asked to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ..media.face.crop import FaceCrop
from ..media.sound.audio import SAMPLES_PER_FRAME

Crops = Callable[[int, int], np.ndarray]
"""(first frame, frame after the last) -> the pictures they are made from, uint8 [T, size, size, 3]."""
Reference = np.ndarray | Crops
"""One picture as the model looks at it, uint8 [size, size, 3], for the whole clip, or a picture for every frame."""
View = dict[str, Tensor]
"""What a model sees of some frames beside their latents, each value with the frames first."""


@dataclass(frozen=True)
class Painted:
    """A portrait whose own pixels become the frames: they are what lies in the box of a `painting.Painter`.

    square   uint8 [size, size, 3], as the model looks at it
    picture  uint8 [H, W, 3]
    face     where the training frame lies in it
    mask     a key of MASK_BOXES
    """

    square: np.ndarray
    picture: np.ndarray
    face: FaceCrop
    mask: str


Source = Reference | Painted
"""What a clip is decoded with."""


@dataclass(frozen=True)
class Performance:
    """What a head is asked to do, per frame.

    samples  [N]      float32 mono 16 kHz; cut or padded with silence to T frames
    voice    [T]      0 .. 1: how far the mouth follows the sound; 0 is a mouth at rest
    code     [T, 27]  emotion code
    motion   [T, 8]   taxonomy.MOTION, relative to the reference
    style    [8]      taxonomy.TRAITS of who speaks; None: nobody in particular
    """

    samples: np.ndarray
    voice: np.ndarray
    code: np.ndarray
    motion: np.ndarray
    style: np.ndarray | None = None

    @property
    def n_frames(self) -> int:
        return len(self.code)

    def part(self, start: int, stop: int) -> Performance:
        """What is asked in frames start .. stop - 1."""
        samples = self.samples[start * SAMPLES_PER_FRAME : stop * SAMPLES_PER_FRAME]
        frames = slice(start, stop)
        return Performance(samples, self.voice[frames], self.code[frames], self.motion[frames], self.style)
