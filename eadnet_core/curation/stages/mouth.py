"""Stage 6: is the mouth seen, or is a hand, a microphone or a scarf before it?

The pixels about the mouth are moved a little, left, right, up and down, and the landmarks are read again. Where the
mouth is seen its landmarks go along. Where something is before it the net of the landmarks has guessed the lips from
the rest of the face, which was not moved, and they stay. Colours are not asked: beards, skins and grey pictures make no
difference. Our design.

Threshold: lips that follow by less than 0.51 of the way. Of 16 heads of the corpus (`bench/covered_mouths.py --seed 0`)
48 clips with a free mouth measure .52 to .82, and of 128 with something before the lips 124 less than .51. They have
192 px; smaller squares are enlarged to that, without which lips of 128 px follow by .02 to .04 less.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from ...emotion.spacing import evenly_spaced
from ...media.face.crop import FaceCrop
from ...media.face.landmark_masks import LIPS_INNER, LIPS_OUTER
from ...media.face.landmarks import LEAST_PRESENT, read_landmarks

LOOKED_AT = 4
"""Frames of a clip that are looked at."""
LEAST_PX = 192
"""Side of a frame as it is looked at; the threshold was chosen on frames of this size."""
_LIPS = (*LIPS_OUTER, *LIPS_INNER)
_MOVED = 0.1
"""How far pixels are moved, in distances of the eyes."""
_REACH = np.array((0.75, 0.6))
"""Of what is moved, to the sides and up and down, in the same; outside it fades."""


def mouth_seen(frames: np.ndarray) -> float:
    """How far the lips' landmarks follow the pixels of the mouth: median over frames of a clip.

    frames   uint8 [T, S, S, 3] in the training frame
    returns  about .7 where the mouth is seen, .2 where something is before it; 0 without a face
    """
    chosen = (_enlarged(frames[number]) for number in evenly_spaced(len(frames), LOOKED_AT))
    return float(np.median([_followed(frame) for frame in chosen]))


def _enlarged(frame: np.ndarray) -> np.ndarray:
    """A frame of at least `LEAST_PX`.

    >>> [_enlarged(np.zeros((side, side, 3), np.uint8)).shape[0] for side in (128, 256)]
    [192, 256]
    """
    if len(frame) >= LEAST_PX:
        return frame
    return np.asarray(Image.fromarray(frame).resize((LEAST_PX, LEAST_PX), Image.Resampling.BICUBIC))


def _followed(frame: np.ndarray) -> float:
    side = float(frame.shape[1])
    first = read_landmarks(frame, [FaceCrop(side / 2, side / 2, side)])[0]
    if first.presence < LEAST_PRESENT:
        return 0.0
    face, lips = first.frame(), first.xy[list(_LIPS)]
    apart = float(np.linalg.norm(np.diff(first.eyes[:, :2], axis=0)))
    middle, shares = (lips.min(0) + lips.max(0)) / 2, []
    for axis in np.eye(2):
        moved = [_moved(frame, middle, apart * _REACH, sign * _MOVED * apart * axis) for sign in (1, -1)]
        there, back = (read_landmarks(picture, [face])[0].xy[list(_LIPS)].mean(0) for picture in moved)
        shares.append(float((there - back) @ axis) / (2 * _MOVED * apart))
    return float(np.mean(shares))


def _moved(frame: np.ndarray, middle: np.ndarray, reach: np.ndarray, by: np.ndarray) -> np.ndarray:
    """The frame with the pixels about a point (x, y) moved, less and less towards the end of their reach.

    >>> frame = np.zeros((41, 41, 3), np.uint8)
    >>> frame[20, 20] = 200
    >>> moved = _moved(frame, np.array((20.0, 20.0)), np.array((10.0, 10.0)), np.array((3.0, 0.0)))
    >>> np.unravel_index(moved[..., 0].argmax(), (41, 41)) == (20, 23)
    True
    """
    from scipy.ndimage import map_coordinates

    (x0, y0), (x1, y1) = np.maximum(0, middle - 1.6 * reach).astype(int), np.ceil(middle + 1.6 * reach).astype(int)
    part = frame[y0:y1, x0:x1]
    y, x = np.mgrid[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]].astype(np.float32)
    away = ((x - middle[0]) / reach[0]) ** 2 + ((y - middle[1]) / reach[1]) ** 2
    weight = np.exp(-(away**2))
    places = [y - by[1] * weight, x - by[0] * weight]
    out = frame.copy()
    out[y0:y1, x0:x1] = np.stack(
        [map_coordinates(frame[..., k], places, order=1, mode="nearest") for k in range(3)], -1
    )
    return out
