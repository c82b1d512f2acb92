"""What is head and what is background in the frames of a clip, and finished frames with another background.

A portrait is looked at once, and its masks move as its head does, so that their edges do not flicker. In a video every
frame is looked at, as its head moves by itself; its alphas are averaged over time where the picture rests.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

from .crop import FaceCrop
from .masks import head_alpha
from .person import person_alpha
from .steady import Found, Steady
from .subject import Subject
from .turned import TurnedPortrait

BACKGROUNDS = ("moving", "locked", "transparent")
GROWTH, SOFT = 0.07, 0.05
"""How far around the head a locked background begins, and over which width it fades in, in sides of the frame: the
chin of an open mouth and the hair of an expression stay within."""
_COARSE_PX = 96
"""Pixels to a side of the frame at which that reach is computed; its edge is soft."""

Matte = Callable[[int, np.ndarray], np.ndarray]
"""(number of the frame, the picture it is pasted into uint8 [H, W, 3]) -> uint8 [H, W]"""


class Mattes:
    """Where the head and the whole person lie in each frame of a clip, before the face in it does anything."""

    def __init__(self, subject: Subject, motion: np.ndarray) -> None:
        """`subject` as it was found, and the motion [T, 8] of its head, which only a portrait needs."""
        self._subject, self._motion = subject, motion
        self._moving: dict[str, TurnedPortrait] = {}
        self._steady: dict[str, Steady] = {}

    def person(self, number: int, picture: np.ndarray) -> np.ndarray:
        """The alpha of the person: uint8 [H, W]."""
        return self._of("person", number, picture)

    def head(self, number: int, picture: np.ndarray) -> np.ndarray:
        """The alpha of the head, hair included, cut along the jaw: uint8 [H, W]."""
        return self._of("head", number, picture)

    def reach(self, number: int, picture: np.ndarray) -> np.ndarray:
        """Where a moving head may change a picture: the grown head, where it was and where it is; uint8 [H, W]."""
        reach = self._of("reach", number, picture)
        return np.maximum(reach, self._moving["reach"].picture[..., 0]) if self._moving else reach

    def _of(self, name: str, number: int, picture: np.ndarray) -> np.ndarray:
        face = self._subject.nearest(self._subject.index(number))
        if not self._subject.is_still:
            found = _MADE[name](picture, face)
            return self._steadied(name).at(number, (picture, found)) if name in _STEADY else found
        if name not in self._moving:
            made = _MADE[name](self._subject.picture(0), face)
            self._moving[name] = TurnedPortrait(np.repeat(made[..., None], 3, 2), face, self._motion, _MOST_PX[name])
        moving = self._moving[name]
        return moving[min(number, len(moving) - 1)][..., 0]

    def _steadied(self, name: str) -> Steady:
        """The masks of a video over time; frames before the first that is asked for are read once more."""
        if name not in self._steady:
            read = self._subject.reader()

            def found(number: int) -> Found:
                picture = read(number)
                return picture, _MADE[name](picture, self._subject.nearest(self._subject.index(number)))

            self._steady[name] = Steady(found)
        return self._steady[name]


def _reach(picture: np.ndarray, face: FaceCrop) -> np.ndarray:
    head, step = head_alpha(picture, face), max(1, round(face.side_px / _COARSE_PX))
    height, width = head.shape
    padded = F.pad(torch.from_numpy(head)[None, None].float(), (0, -width % step, 0, -height % step), mode="replicate")
    coarse = F.max_pool2d(padded, step)
    grow, soft = (max(1, round(share * face.side_px / step)) for share in (GROWTH + SOFT, SOFT / 2))
    grown = F.max_pool2d(coarse, 2 * grow + 1, 1, grow)
    for _ in range(2):
        grown = F.avg_pool2d(grown, 2 * soft + 1, 1, soft, count_include_pad=False)
    fine = F.interpolate(grown, scale_factor=float(step), mode="bilinear", align_corners=False)
    return fine[0, 0, :height, :width].round().to(torch.uint8).numpy()


_MADE: dict[str, Callable[[np.ndarray, FaceCrop], np.ndarray]] = {
    "person": person_alpha,
    "head": head_alpha,
    "reach": _reach,
}
_STEADY = ("person", "head")
"""Alphas that are seen; the edge of a reach is wide and soft."""
_MOST_PX = {"person": 512, "head": 512, "reach": 128}
"""Side of the frame in which a mask is turned: hair is finer than the soft edge of a reach."""


class Backdrop:
    """Gives finished frames a background that stays as it was, or none; see `BACKGROUNDS`."""

    def __init__(self, kind: str, subject: Subject, motion: np.ndarray) -> None:
        """`kind` is "locked" or "transparent"; `subject` and `motion` as of `Mattes`."""
        self._kind, self._mattes = kind, Mattes(subject, motion)
        self._portrait = subject.picture(0) if subject.is_still else None

    def __call__(self, finished: np.ndarray, picture: np.ndarray, number: int) -> np.ndarray:
        """A finished frame of a clip, uint8 [H, W, 3], which was pasted into `picture`.

        returns  uint8 [H, W, 3], outside the reach of the head that of the portrait or video to the bit; or RGBA
                 [H, W, 4] with straight alpha
        """
        original = picture if self._portrait is None else self._portrait
        if self._kind == "transparent":
            return np.concatenate([finished, self._mattes.person(number, original)[..., None]], 2)
        return blended(original, finished, self._mattes.reach(number, original))


def blended(under: np.ndarray, over: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """One picture over another by an alpha [H, W]: both to the bit where it is 0 and 255; all uint8.

    >>> black, white = np.zeros((1, 3, 3), np.uint8), np.full((1, 3, 3), 255, np.uint8)
    >>> blended(black, white, np.array([[0, 100, 255]], np.uint8))[0, :, 0].tolist()
    [0, 100, 255]
    """
    out = under.copy()
    rows, columns = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
    if not len(rows):
        return out
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    share = alpha[part][..., None].astype(np.int32)
    mixed = under[part].astype(np.int32) * (255 - share) + over[part].astype(np.int32) * share
    out[part] = (mixed + 127) // 255
    return out
