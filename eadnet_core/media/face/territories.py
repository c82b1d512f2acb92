"""Whose a pixel is where several faces are pasted into one picture, and the picture that this makes.

A pixel belongs to the face that is nearest, in sides of that face's frame. Between two faces that are pasted the change
is soft. What belongs to somebody who stands by is left as it is, to the bit: there the softness lies on the other side.
So the order in which faces are given changes nothing. Our design.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .crop import FaceCrop
from .paste import FEATHER

MARGIN = 0.25
"""Around the frame, in its sides: what is pasted lies within, LatentSync's square too."""


@dataclass(frozen=True)
class Share:
    """How much of a part of the picture is a face's.

    part    its rows and columns
    weight  [h, w] float32 0 .. 1; None where all of it is
    """

    part: tuple[slice, slice]
    weight: np.ndarray | None


def shares(
    size: tuple[int, int], speakers: Sequence[FaceCrop], bystanders: Sequence[FaceCrop] = (), is_wide: bool = False
) -> list[Share]:
    """What part of a picture (width, height) each speaker's face has, if all of them are pasted.

    is_wide  whether more than what lies about the frame changes, such as an alpha of the whole picture

    >>> left, right = FaceCrop(30.5, 50.0, 40.0), FaceCrop(70.5, 50.0, 40.0)
    >>> [share.weight[50, ::10].round(1).tolist() for share in shares((100, 100), [left, right], is_wide=True)]
    [[1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 1.0, 1.0, 1.0, 1.0]]
    """
    parts = [_part(size, face, is_wide) for face in speakers]
    found = []
    for number, part in enumerate(parts):
        rivals = [other for i, other in enumerate(speakers) if i != number and _overlap(part, parts[i])]
        found.append(Share(part, _weight(part, speakers[number], rivals, bystanders)))
    return found


def painted(original: np.ndarray, pictures: Sequence[np.ndarray], found: Sequence[Share]) -> np.ndarray:
    """One picture of several in each of which one face was pasted into the original, all uint8 [H, W, C].

    A pixel that is all one face's, and one that is nobody's, is that of its picture to the bit.
    """
    out = original.copy()
    for picture, share in zip(pictures, found, strict=True):
        over, under = picture[share.part], original[share.part]
        if share.weight is None:
            out[share.part] += over - under  # in bytes, modulo 256: where nobody else has a share this is `over`
            continue
        change = over.astype(np.int16) - under
        change = np.rint(change * share.weight[..., None]).astype(np.int16)
        out[share.part] = (out[share.part] + change).clip(0, 255).astype(np.uint8)
    return out


def _part(size: tuple[int, int], face: FaceCrop, is_wide: bool) -> tuple[slice, slice]:
    if is_wide:
        return slice(0, size[1]), slice(0, size[0])
    x0, y0, x1, y1 = face.bounds(size, (-MARGIN, -MARGIN, 1 + MARGIN, 1 + MARGIN))
    return slice(y0, y1), slice(x0, x1)


def _overlap(one: tuple[slice, slice], other: tuple[slice, slice]) -> bool:
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(one, other, strict=True))


def _weight(
    part: tuple[slice, slice], face: FaceCrop, rivals: Sequence[FaceCrop], bystanders: Sequence[FaceCrop]
) -> np.ndarray | None:
    """The share of a face in the pixels of a part; None where all of them are its own."""
    ys, xs = (np.arange(side.start, side.stop, dtype=np.float32) + 0.5 for side in part)
    own = _distance(face, xs, ys)
    weight = np.ones_like(own)
    total = np.ones_like(own)
    if rivals:
        apart = np.stack([_distance(other, xs, ys) for other in rivals])
        weight = _soft((apart.min(0) - own) / FEATHER + 0.5)
        everybody = np.concatenate([own[None], apart])
        total = weight.copy()
        for number in range(1, len(everybody)):
            total += _soft((np.delete(everybody, number, 0).min(0) - everybody[number]) / FEATHER + 0.5)
    weight = weight / np.maximum(total, 1e-6)
    for other in bystanders:
        weight = weight * _soft((_distance(other, xs, ys) - own) / FEATHER)
    return None if (weight == 1).all() else weight.astype(np.float32)


def _distance(face: FaceCrop, xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """Of pixels [h, w] from the middle of a face, in sides of its frame."""
    return np.hypot(xs[None] - face.center_x, ys[:, None] - face.center_y) / face.side_px


def _soft(t: np.ndarray) -> np.ndarray:
    t = t.clip(0, 1)
    return t * t * (3 - 2 * t)
