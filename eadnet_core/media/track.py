"""Follow one face through the frames of a video: which one, where in each frame, smoothly, and where it was missed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from ..errors import BadInput, FaceNotFound
from .crop import FaceCrop
from .face import FACE_THRESHOLD, crop_geometry, find_faces, geometry_of, refit

MISS_POLICIES = ("hold", "pass_through", "stop")
"""A frame without a face: keep the face where it was, leave the frame as it is, or raise FaceNotFound."""
SEARCH_EVERY = 5
"""Frames between two searches with the detector; in between the face is found again around where it was."""
LEAST_LIKENESS = 0.2
"""Correlation with the face template below which what lies around the last place is no face; 0.3 - 0.5 on faces."""
_NEAR = 0.75
"""A face within so many frame widths of the last place is the same face."""
_CUT = 0.35
"""A face that moves by more frame widths than this from one frame to the next is behind a cut."""
_PLACE_REACH, _SHAPE_REACH = 4, 8
"""Frames to each side over which place, and side and turn, are smoothed: pass nods up to 4.6 Hz, and 1.8 Hz."""


@dataclass(frozen=True)
class Track:
    """A face in every frame.

    crops   one for each frame; None where the frame passes through as it is
    missed  the frames in which no face was found
    """

    crops: tuple[FaceCrop | None, ...]
    missed: tuple[int, ...]


def follow(
    pictures: Iterable[np.ndarray],
    face_box: tuple[float, float, float, float] | None = None,
    face_index: int = 0,
    threshold: float = FACE_THRESHOLD,
    on_missing: str = "hold",
    on_picture: Callable[[int], None] | None = None,
) -> Track:
    """Follow a face through pictures, uint8 [H, W, 3]; one at a time is held.

    face_box    which face: the one nearest to this box; where none is ever found there, the box itself, in all frames
    face_index  which face else: 0 the most prominent of the first frame that has one, 1 the next, ...
    on_missing  one of MISS_POLICIES
    on_picture  called with the number of pictures searched; may raise to stop
    Raises BadInput, or FaceNotFound where there is no face at all, or by the policy.
    """
    if on_missing not in MISS_POLICIES:
        raise BadInput(f"on_missing is '{on_missing}'; give one of {', '.join(MISS_POLICIES)}.")
    follower = _Follower(face_box, face_index, threshold)
    found: dict[int, FaceCrop] = {}
    n_frames = 0
    for number, picture in enumerate(pictures):
        place = follower.look(picture, number)
        if place is not None:
            found[number] = place
        elif on_missing == "stop" and (number % SEARCH_EVERY == 0 or found):
            raise FaceNotFound(
                f"No face in frame {number}: best score {follower.best:.2f}, face_threshold {threshold:.2f}. Lower "
                "face_threshold, give a face_box, or set on_missing to 'hold' or 'pass_through'."
            )
        n_frames = number + 1
        if on_picture is not None:
            on_picture(n_frames)
    missed = tuple(number for number in range(n_frames) if number not in found)
    if not found:
        if follower.box is None:
            raise FaceNotFound(
                f"No face in any of {n_frames} frames: best score {follower.best:.2f}, face_threshold {threshold:.2f}. "
                "Lower face_threshold, or give a face_box (x0,y0,x1,y1 in pixels, from the middle of the forehead to "
                "the chin)."
            )
        return Track((follower.box,) * n_frames, missed)
    crops: list[FaceCrop | None] = list(smooth(found, n_frames))
    if on_missing == "pass_through":
        for number in missed:
            crops[number] = None
    return Track(tuple(crops), missed)


class _Follower:
    """Finds the same face again in one picture after the other."""

    def __init__(self, face_box: tuple[float, float, float, float] | None, face_index: int, threshold: float) -> None:
        self.face_box, self.face_index, self.threshold = face_box, face_index, threshold
        self.box: FaceCrop | None = None
        self.last: FaceCrop | None = None
        self.is_lost = True
        self.best = 0.0

    def look(self, picture: np.ndarray, number: int) -> FaceCrop | None:
        """Where the face is in this picture; None where it is not."""
        if self.face_box is not None and self.box is None:
            self.box = self.last = crop_geometry(self.face_box, (picture.shape[1], picture.shape[0]))
        place = self._search(picture) if number % SEARCH_EVERY == 0 else None
        if place is None and not self.is_lost and self.last is not None:
            again, likeness = refit(picture, self.last)
            place = again if likeness >= LEAST_LIKENESS else None
        if place is not None:
            self.last, self.is_lost = place, False
        elif number % SEARCH_EVERY == 0:
            self.is_lost = True
        return place

    def _search(self, picture: np.ndarray) -> FaceCrop | None:
        """What the detector finds: the face near the last place, or where there was none yet, the chosen one."""
        faces = find_faces(picture, 0.0)
        self.best = max((face.score for face in faces), default=0.0)
        places = [geometry_of(face) for face in faces if face.score >= self.threshold]
        if self.last is not None:
            last = self.last
            near = sorted((math.dist(p.center, last.center) / last.side_px, i) for i, p in enumerate(places))
            if near and near[0][0] < _NEAR:
                return places[near[0][1]]
            if not self.is_lost or self.box is not None:
                return None
        return places[min(self.face_index, len(places) - 1)] if places else None


def smooth(found: dict[int, FaceCrop], n_frames: int) -> list[FaceCrop]:
    """Crops of all frames from those that were found: without outliers, smooth between cuts, linear over gaps.

    >>> track = smooth({0: FaceCrop(10.0, 10.0, 50.0), 2: FaceCrop(12.0, 10.0, 50.0)}, 4)
    >>> [round(crop.center_x, 2) for crop in track]
    [10.0, 11.0, 12.0, 12.0]
    """
    at = np.array(sorted(found))
    values = np.array([[c.center_x, c.center_y, math.log(c.side_px), c.angle] for c in (found[i] for i in at)])
    moved = np.hypot(*np.diff(values[:, :2], axis=0).T) / np.exp(values[1:, 2])
    ends = [*(np.flatnonzero(moved > _CUT * np.diff(at)) + 1), len(at)]
    rows, first, done = np.zeros((n_frames, 4)), 0, 0
    for end in ends:
        stop = n_frames if end == len(at) else int(at[end])
        numbers = np.arange(done, stop)
        run = np.stack([np.interp(numbers, at[first:end], column) for column in values[first:end].T], axis=1)
        rows[done:stop] = np.stack([_smoothed(run[:, i], _PLACE_REACH if i < 2 else _SHAPE_REACH) for i in range(4)], 1)
        first, done = end, stop
    return [FaceCrop(float(x), float(y), math.exp(side), float(angle)) for x, y, side, angle in rows]


def _smoothed(values: np.ndarray, reach: int) -> np.ndarray:
    """Outliers taken out by a median of 5, then a parabola fitted around every value (Savitzky-Golay)."""
    reach = min(reach, (len(values) - 1) // 2)
    if reach < 2:
        return values
    padded = np.pad(values, 2, mode="reflect", reflect_type="odd")
    steady = np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1)
    offsets = np.arange(-reach, reach + 1)
    weights = np.linalg.pinv(np.stack([offsets**0, offsets, offsets**2], axis=1))[0]
    return np.convolve(np.pad(steady, reach, mode="reflect", reflect_type="odd"), weights[::-1], mode="valid")
