"""What a face and a picture look like: whether the next picture shows the same scene, and the same face."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from .crop import FaceCrop, crop

_PATCH_PX = 64
_COLOUR_PX = 48
_COLOUR_BINS = 6
_SURROUNDINGS = 1.5
"""Side of what colours are counted in (skin, hair, collar), in sides of the training frame."""
_MOST_LOOKS = 12
_KNOWN = 0.95
"""A look that resembles a remembered one so much tells nothing new."""
_CELLS = 24
_FEWEST_LINES = 180
"""Of a picture that is reduced to cells; the lines between are left out."""
_CUT = 0.1
"""`difference_of` two pictures from which on there may be a cut between them."""
_CUT_TIMES = 5.0
"""So many times larger than the median of the last ones must it be: a camera that pans is no cut."""


def patch(picture: np.ndarray, place: FaceCrop) -> np.ndarray:
    """The face in grey [64, 64], without its mean, fading out from eyes and nose towards its surroundings."""
    grey = crop(picture, place, _PATCH_PX).mean(-1)
    at = (np.arange(_PATCH_PX) + 0.5) / _PATCH_PX - 0.5
    weight = np.exp(-0.5 * (at / 0.17) ** 2)
    window = weight[:, None] * weight[None]
    return (grey - (grey * window).sum() / window.sum()) * window


def displacement(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """How far `after` is moved against `before`, (x, y) in widths, to a fraction of a pixel.

    >>> patch = np.exp(-np.square(np.arange(64) - 30.0)[:, None] / 50 - np.square(np.arange(64) - 30.0) / 50)
    >>> (64 * displacement(patch, np.roll(patch, 2, axis=1))).round(1).tolist()
    [2.0, 0.0]
    """
    from skimage.registration import phase_cross_correlation

    shift = phase_cross_correlation(after, before, upsample_factor=20, normalization=None)[0]
    return np.array([shift[1], shift[0]]) / before.shape[0]


def alike(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of two patches, -1 .. 1; 0 where one is flat."""
    size = math.sqrt(float((one * one).sum() * (other * other).sum()))
    return float((one * other).sum()) / size if size > 1e-6 else 0.0


@dataclass(frozen=True)
class Look:
    """A face in one picture: its patch, and the square root of its colour histogram [n], of norm 1."""

    patch: np.ndarray
    colours: np.ndarray

    def resemblance(self, other: Look) -> float:
        """Mean of the patches' correlation, the one moved onto the other, and of the shared colours; at most 1.

        The same person in another shot mostly has 0.8 or more, another one 0.7 or less.
        """
        x, y = (round(step) for step in _PATCH_PX * displacement(self.patch, other.patch))
        aligned = np.roll(other.patch, (-y, -x), (0, 1))
        shape = max(alike(self.patch, aligned), alike(self.patch, other.patch))
        return (shape + float(self.colours @ other.colours)) / 2


def look_of(picture: np.ndarray, place: FaceCrop) -> Look:
    """What a face looks like, its colours as if the picture were evenly exposed."""
    around = crop(picture, replace(place, side_px=_SURROUNDINGS * place.side_px), _COLOUR_PX).astype(np.float32)
    levels = around * (128.0 / max(1.0, float(around.mean()))) * (_COLOUR_BINS / 256.0)
    r, g, b = levels.astype(int).clip(0, _COLOUR_BINS - 1).reshape(-1, 3).T
    counts = np.bincount((r * _COLOUR_BINS + g) * _COLOUR_BINS + b, minlength=_COLOUR_BINS**3)
    return Look(patch(picture, place), np.sqrt(counts / counts.sum()))


class Looks:
    """The looks of a face, or of several, that are remembered."""

    def __init__(self) -> None:
        self._looks: deque[Look] = deque(maxlen=_MOST_LOOKS)

    def __bool__(self) -> bool:
        return bool(self._looks)

    def add(self, look: Look) -> None:
        """Remember one that is new; the first stays, the oldest of the others goes."""
        if self.resemblance(look) >= _KNOWN:
            return
        if len(self._looks) == _MOST_LOOKS:
            del self._looks[1]
        self._looks.append(look)

    def resemblance(self, look: Look) -> float:
        """How much it resembles the one that it resembles most; -1 where none is remembered."""
        return max((known.resemblance(look) for known in self._looks), default=-1.0)


class Cuts:
    """Notices the first picture after a cut."""

    def __init__(self) -> None:
        self._cells: np.ndarray | None = None
        self._differences: deque[float] = deque(maxlen=9)

    def is_cut(self, picture: np.ndarray) -> bool:
        """Whether this picture, uint8 [H, W, 3], is the first of another scene than the one before."""
        before, self._cells = self._cells, _cells(picture)
        if before is None:
            return False
        difference = difference_of(before, self._cells)
        usual = float(np.median(self._differences)) if self._differences else 0.0
        self._differences.append(difference)
        return difference > max(_CUT, _CUT_TIMES * usual)


def _cells(picture: np.ndarray) -> np.ndarray:
    """A picture in grey [24, 24], without its mean."""
    step = max(1, min(picture.shape[:2]) // _FEWEST_LINES)
    lines = Image.fromarray(np.ascontiguousarray(picture[::step, ::step])).convert("L")
    cells = np.asarray(lines.resize((_CELLS, _CELLS), Image.Resampling.BOX), dtype=np.float32)
    return cells - cells.mean()


def difference_of(one: np.ndarray, other: np.ndarray) -> float:
    """One less the correlation of two pictures without their means, 0 .. 2; more light alone is no difference.

    >>> picture = np.array([[-50.0, 50.0], [20.0, -20.0]])
    >>> [round(difference_of(picture, other), 2) for other in (picture, 1.5 * picture, 0 * picture)]
    [0.0, 0.0, 0.96]
    """
    noise = 2.0 * one.size
    sizes = (float(np.square(one).sum()) + noise) * (float(np.square(other).sum()) + noise)
    return 1.0 - (float((one * other).sum()) + noise) / math.sqrt(sizes)
