"""Faces looked at for what they feel: a photo, a clip or pictures in, an emotion code out, by the emotion bank.

The picture side reads what a face does, and the bank what that means. The face itself goes no further than this file:
what comes out lies within the bank, see nets.emotion_bank.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
from torch import Tensor

from ..emotion.reference import Look
from ..emotion.spacing import evenly_spaced
from ..errors import BadInput, FaceNotFound
from ..media.face.controls import read_controls
from ..media.face.crop import crop
from ..media.face.find import locate
from ..media.image import read_image
from ..media.video.files import VIDEO_SUFFIXES, read_video
from ..metrics.emotion import read_emotion
from ..metrics.frames import SIZE_PX
from ..taxonomy import ACTION_UNITS, CONTROLS
from ..weights.experts import ReferenceReader

LOOKED_AT = 24
"""Pictures of a clip that are looked at, spread over it."""
_UNITS = [CONTROLS.index(name) for name in ACTION_UNITS]


def look_by(load: Callable[[], ReferenceReader]) -> Look:
    """What looks at references with a reader, which is loaded when the first one comes; each file is read once."""
    reader = cache(load)

    @cache
    def seen(path: str, start_s: float, end_s: float | None) -> np.ndarray:
        return read_faces(faces_in(pictures_of(path, start_s, end_s), f"reference '{Path(path).name}'"), reader())

    return lambda reference: seen(reference.path, reference.start_s, reference.end_s)


def read_faces(faces: np.ndarray, reader: ReferenceReader) -> np.ndarray:
    """The emotion code [27] that faces, uint8 [T, S, S, 3] in the training frame, show together."""
    return read_emotion(faces, reader).code


def pictures_of(path: str | os.PathLike[str], start_s: float = 0.0, end_s: float | None = None) -> list[np.ndarray]:
    """A photo, or up to LOOKED_AT pictures of a clip between two times, uint8 [H, W, 3]. Raises BadInput."""
    path = Path(path)
    if path.suffix.lower() not in (*VIDEO_SUFFIXES, ".gif"):
        if start_s > 0 or end_s is not None:
            raise BadInput(f"'{path}' is a photo, which has no time: leave its start and end out, or give a clip.")
        return [read_image(path)]
    video = read_video(path)
    first, last = round(start_s * video.fps), video.n_frames
    stop = last if end_s is None else min(last, max(round(end_s * video.fps), first + 1))
    if first >= last:
        raise BadInput(f"'{path}' lasts {last / video.fps:.2f} s; it cannot be looked at from {start_s:g} s on.")
    wanted = set(evenly_spaced(stop - first, LOOKED_AT))
    return [frame for i, frame in enumerate(islice(video.frames(first), stop - first)) if i in wanted]


def cut_faces(
    pictures: Sequence[np.ndarray] | np.ndarray | Tensor, most: int, size_px: int
) -> tuple[list[np.ndarray], FaceNotFound | None]:
    """Cuts around the faces in at most `most` of the pictures, and what was said of the last one without a face.

    pictures  [B] of [H, W, 3], uint8 or float 0 .. 1
    returns   uint8 [size_px, size_px, 3] each, in the training frame
    """
    faces, missed = [], None
    for number in evenly_spaced(len(pictures), most):
        picture = read_image(pictures[number])
        try:
            faces.append(crop(picture, locate(picture, what=f"picture {number}"), size_px))
        except FaceNotFound as error:
            missed = error
    return faces, missed


def faces_in(pictures: Sequence[np.ndarray] | np.ndarray | Tensor, what: str = "pictures") -> np.ndarray:
    """The faces in up to LOOKED_AT of the pictures, uint8 [T, 128, 128, 3] in the training frame.

    pictures  [B] of [H, W, 3], uint8 or float 0 .. 1; those without a face are left out
    what      how they are called in an error
    Raises BadInput where there is no picture, FaceNotFound where none holds a face.
    """
    if len(pictures) == 0:
        raise BadInput(f"There is no picture in {what}.")
    faces, missed = cut_faces(pictures, LOOKED_AT, SIZE_PX)
    if not faces:
        n_seen = min(len(pictures), LOOKED_AT)
        raise FaceNotFound(
            f"No face was found in {what}: {n_seen} of its pictures were looked at, the last said: {missed} "
            "The emotion of a reference is read from a frontal face that fills at least a tenth of the picture."
        ) from missed
    return np.stack(faces)


def read_pictures(pictures: np.ndarray | Tensor, reader: ReferenceReader) -> np.ndarray:
    """The emotion code [27] that the faces in up to 24 of some pictures show together.

    pictures  [B, H, W, 3]  uint8, or float 0 .. 1
    Raises FaceNotFound where none of them holds a face.
    """
    return read_faces(faces_in(pictures), reader)


def measure_pictures(pictures: np.ndarray | Tensor, reader: ReferenceReader) -> np.ndarray:
    """The action units of each face in up to 24 of some pictures, [T, 16], about 0 .. 1, in the order of ACTION_UNITS.

    pictures  [B, H, W, 3]  uint8, or float 0 .. 1; those without a face are left out
    Raises FaceNotFound where none of them holds a face.
    """
    return read_controls(faces_in(pictures), reader.vae).numpy()[:, _UNITS]
