"""What heads are made from, read once a process: parts, textures at the size that a picture needs, features."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from .anatomy import Anatomy, Part
from .features import Features
from .folds import FoldKit
from .mouth import lower_set

_TEXTURE_SCALE = {"skin": 0.6667, "hair": 0.5, "eye": 0.5, "cloth": 0.5, "teeth": 0.5}
"""Textures are made for pictures of 256 pixels; half as many need less."""
_SMALL_PX = 160
_N_FOLD_KITS = 6
_FOLD_STEP_DM, _SMALL_FOLD_STEP_DM = 0.0065, 0.011
"""Pictures up to this size are drawn with smaller textures."""


class Stock:
    """An anatomy with its parts and textures at hand.

    anatomy   what is read
    size_px   side of the pictures to be drawn
    """

    def __init__(self, anatomy: Anatomy, size_px: int) -> None:
        self.anatomy, self.size_px = anatomy, size_px
        self._parts: dict[str, Part] = {}
        self._textures: dict[str, np.ndarray] = {}
        self._fold_kits: dict[int, FoldKit] = {}
        self._lower_sets: dict[str, np.ndarray] = {}

    @cached_property
    def features(self) -> Features:
        return Features.of(self.anatomy)

    def part(self, name: str) -> Part:
        """A part by its name."""
        if name not in self._parts:
            self._parts[name] = self.anatomy.part(name)
        return self._parts[name]

    def fold_kit(self, number: int) -> FoldKit:
        """One of a few ways in which skin folds."""
        number %= _N_FOLD_KITS
        if number not in self._fold_kits:
            step = _SMALL_FOLD_STEP_DM if self.size_px <= _SMALL_PX else _FOLD_STEP_DM
            self._fold_kits[number] = FoldKit(np.random.default_rng(number), step)
        return self._fold_kits[number]

    def lower_set(self, teeth: str) -> np.ndarray:
        """Which vertices of a part of teeth belong to the lower jaw, [N] bool."""
        if teeth not in self._lower_sets:
            self._lower_sets[teeth] = lower_set(self.part(teeth), self.anatomy.base)
        return self._lower_sets[teeth]

    def texture(self, name: str) -> np.ndarray:
        """[H, W, 4] uint8."""
        if name not in self._textures:
            self._textures[name] = self._resized(self.anatomy.texture(name), name.split("_")[0])
        return self._textures[name]

    def _resized(self, picture: np.ndarray, kind: str) -> np.ndarray:
        from PIL import Image

        scale = _TEXTURE_SCALE.get(kind, 1.0) if self.size_px <= _SMALL_PX else 1.0
        if scale == 1.0 or min(picture.shape[:2]) < 64:
            return picture
        size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
        return np.asarray(
            Image.fromarray(picture, "RGBA").resize(
                size, Image.Resampling.BOX if scale == 0.5 else Image.Resampling.BILINEAR
            )
        )
