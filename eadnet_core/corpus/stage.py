"""A head before its camera: everything that follows from the head's number, ready to be drawn in any state."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..heads.anatomy import Anatomy, anatomy_folder
from ..heads.backdrop import draw_backdrop
from ..heads.effects import apply_effects, draw_effects
from ..heads.head import Head
from ..heads.lighting import draw_lamps
from ..heads.rig import motions
from ..heads.stock import Stock
from ..heads.studio import Studio, draw_camera

TONES = ("light", "medium", "dark")
TONE_BORDERS = (0.33, 0.15)
"""Luminance of the skin (linear, 0 .. 1) down to which a tone reaches."""
_LUMINANCE = (0.2126, 0.7152, 0.0722)
_PLACE, _GRAIN = 3, 4
"""Streams of the head's number; `Head` itself takes 0 .. 2."""


@dataclass(frozen=True)
class People:
    """Who is seen, as far as figures are given for some and for others.

    tone  one of TONES
    sex   "female" or "male"
    age   0 young .. 1 old
    """

    tone: str
    sex: str
    age: float

    @classmethod
    def of(cls, head: Head) -> People:
        """Those of a head."""
        sex = "male" if head.person.is_male else "female"
        return cls(tone_of(head.looks.tone), sex, round(head.person.age, 3))


def tone_of(colour: np.ndarray) -> str:
    """Which of TONES a skin of a mean linear colour [3] has.

    >>> tone_of(np.array([0.2, 0.062, 0.031]))
    'dark'
    """
    luminance = float(colour @ _LUMINANCE)
    return TONES[sum(luminance < border for border in TONE_BORDERS)]


class Stage:
    """One head in its light, in the training frame; camera, lamps, backdrop and effects follow from its number.

    people    who it is
    backdrop  linear [size, size, 3], seen alike under the lamps of every number; default: the number's own
    """

    def __init__(self, stock: Stock, head_seed: int, backdrop: np.ndarray | None = None) -> None:
        head = Head(stock, head_seed)
        camera, lamps, behind, effects = (np.random.default_rng([head_seed, _PLACE, k]) for k in range(4))
        size = stock.size_px
        self.people = People.of(head)
        self._seed = head_seed
        light = draw_lamps(lamps)
        backdrop = draw_backdrop(behind, size) if backdrop is None else backdrop / np.float32(light.exposure)
        self._studio = Studio(head, size, draw_camera(camera, head), light, backdrop)
        self._effects = draw_effects(effects, size)

    def draw(self, states: np.ndarray, has_effects: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Pictures of states [T, R] (`rig.STATE`): uint8 [T, N, N, 3], and the gap of the lips [T] in eye distances.

        Grain lies alike on every picture: a head at rest does not flicker, and any picture is the same in every clip.
        """
        shots = [self._studio.shoot(motion) for motion in motions(states)]
        pictures = [shot.image for shot in shots]
        if has_effects:
            pictures = [apply_effects(self._effects, p, np.random.default_rng([self._seed, _GRAIN])) for p in pictures]
        return np.stack(pictures), np.array([shot.opening for shot in shots], np.float32)


def open_stage(head_seed: int, size_px: int, heads: str | Path | None = None) -> Stage:
    """The stage of a head, kept while the same is asked for again; raises BadInput where there is no anatomy.

    heads  folder of the anatomy; see `anatomy.anatomy_folder`
    """
    return _stage(head_seed, size_px, anatomy_folder(heads))


@lru_cache(maxsize=2)
def _stage(head_seed: int, size_px: int, folder: Path) -> Stage:
    return Stage(_stock(size_px, folder), head_seed)


@lru_cache(maxsize=2)
def _stock(size_px: int, folder: Path) -> Stock:
    return Stock(Anatomy.open(folder), size_px)
