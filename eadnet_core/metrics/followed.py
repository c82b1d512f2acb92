"""The landmarks of the one face in a clip, from frame to frame."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from ..media.face.crop import FaceCrop
from ..media.face.find import find_faces
from ..media.face.landmarks import LEAST_PRESENT, LEFT_EYE, REGION, REGION_Y, RIGHT_EYE, Landmarks, read_landmarks

GROWTH = 1.5
"""Side of the square that the net is shown, over the longer side of the points' box."""


def follow_face(pictures: Iterable[np.ndarray]) -> Iterator[np.ndarray | None]:
    """Landmarks [468, 3] in pixels of the most prominent face of each picture, uint8 [H, W, 3]; None where none is."""
    follower = FaceFollower()
    for picture in pictures:
        yield follower.look(picture)


class FaceFollower:
    """Reads the landmarks of one face in picture after picture.

    It is looked for where it was in the picture before. Whatever looks like one is taken: a face that a model has drawn
    badly is still to be measured.
    """

    def __init__(self, face: FaceCrop | None = None) -> None:
        """`face`: where it lies in the first picture, and is looked for once it is lost; default: it is searched."""
        self._face = face
        self._last: Landmarks | None = None
        self._seen: np.ndarray | None = None

    def look(self, picture: np.ndarray) -> np.ndarray | None:
        """Landmarks [468, 3] in pixels of the next picture, uint8 [H, W, 3]; None where the face is not there.

        A picture that repeats the one before has its landmarks: a still clip has still lips.
        """
        if self._seen is None or not np.array_equal(picture, self._seen):
            here = _look_again(picture, self._last) if self._last is not None else None
            if here is None:
                first = self._search(picture)
                here = _look_again(picture, first) if first is not None else None
            self._last, self._seen = here, picture
        return None if self._last is None else self._last.points

    def _search(self, picture: np.ndarray) -> Landmarks | None:
        if self._face is not None:
            return read_landmarks(picture, [self._face])[0]
        found = find_faces(picture) or find_faces(picture, accept_any_face=True)
        return found[0].landmarks if found else None


def _look_again(picture: np.ndarray, last: Landmarks) -> Landmarks | None:
    """The landmarks where a face was last, shown as MediaPipe shows it; None where it is no longer there."""
    here = read_landmarks(picture, [_place(last.points)])[0]
    return here if here.presence >= LEAST_PRESENT else None


def _place(points: np.ndarray) -> FaceCrop:
    """The training frame whose region for the net is the grown box of points [468, 3], level by the eyes.

    How far lips seem to be open depends on what the net is shown, and the scales of real videos were taken so.
    """
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    along = points[RIGHT_EYE[1], :2] - points[LEFT_EYE[0], :2]
    angle = math.atan2(float(along[1]), float(along[0]))
    side = float((high - low).max()) * GROWTH / REGION
    x, y = (low + high) / 2
    down = side * (REGION_Y - 0.5)
    return FaceCrop(float(x + down * math.sin(angle)), float(y - down * math.cos(angle)), side, angle)
