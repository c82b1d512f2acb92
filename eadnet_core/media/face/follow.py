"""Follow one face through the frames of a video: which one, where in each frame, smoothly, and where it was missed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from ...errors import BadInput, FaceNotFound
from .crop import FaceCrop, crop
from .find import FACE_THRESHOLD, crop_geometry, find_faces, geometry_of

MISS_POLICIES = ("hold", "pass_through", "stop")
"""A frame without a face: keep the face where it was, leave the frame as it is, or raise FaceNotFound."""
SEARCH_EVERY = 5
"""Frames between two searches with the detector; in between the face is followed by its motion."""
MOST_SEARCHES_MISSED = 5
"""After so many in a row, what is followed counts as lost."""
LEAST_ALIKE = 0.6
"""Correlation of the face with itself one frame later below which it is another picture, or none."""
_NEAR = 0.75
"""A face within so many frame widths of the last place is the same face."""
_MOST_MOVED = 0.3
"""Frame widths that a face moves in a frame at most."""
_PATCH_PX = 64
_REACH = 12
"""Frames to each side over which what the detector says is smoothed: its place against the motion, side and turn."""


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
    places: dict[int, FaceCrop] = {}
    moves: dict[int, np.ndarray] = {}
    n_frames = 0
    for number, picture in enumerate(pictures):
        place, move = follower.look(picture, number)
        if place is not None:
            places[number] = place
        if move is not None:
            moves[number] = move
        if place is None and move is None and on_missing == "stop" and (number % SEARCH_EVERY == 0 or places):
            raise FaceNotFound(
                f"No face in frame {number}: best score {follower.best:.2f}, face_threshold {threshold:.2f}. Lower "
                "face_threshold, give a face_box, or set on_missing to 'hold' or 'pass_through'."
            )
        n_frames = number + 1
        if on_picture is not None:
            on_picture(n_frames)
    missed = tuple(number for number in range(n_frames) if number not in places and number not in moves)
    if not places:
        if follower.box is None:
            raise FaceNotFound(
                f"No face in any of {n_frames} frames: best score {follower.best:.2f}, face_threshold {threshold:.2f}. "
                "Lower face_threshold, or give a face_box (x0,y0,x1,y1 in pixels, from the middle of the forehead to "
                "the chin)."
            )
        return Track((follower.box,) * n_frames, missed)
    crops: list[FaceCrop | None] = list(joined(places, moves, n_frames))
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
        self.patch: np.ndarray | None = None
        self.n_missed = 0
        self.best = 0.0

    @property
    def is_lost(self) -> bool:
        """Whether there is nothing to follow."""
        return self.patch is None

    def look(self, picture: np.ndarray, number: int) -> tuple[FaceCrop | None, np.ndarray | None]:
        """What the detector says of this picture, and how far the face has moved since the last one, [2] pixels."""
        if self.face_box is not None and self.box is None:
            self.box = self.last = crop_geometry(self.face_box, (picture.shape[1], picture.shape[0]))
        move = self._moved(picture)
        place = None
        if number % SEARCH_EVERY == 0:
            place = self._search(picture)
            self.n_missed = 0 if place is not None else self.n_missed + 1
            if self.n_missed >= MOST_SEARCHES_MISSED:
                self.patch = move = None
        if place is not None:
            self.last, self.patch = place, _patch(picture, place)
        return place, move

    def _moved(self, picture: np.ndarray) -> np.ndarray | None:
        """Follow what was seen last by its motion; None, and lost, where it is not there."""
        if self.patch is None or self.last is None:
            return None
        place, total = self.last, np.zeros(2)
        seen = _patch(picture, place)
        for _ in range(2):
            step = displacement(self.patch, seen) * place.side_px
            cos, sin = math.cos(place.angle), math.sin(place.angle)
            step = np.array([step[0] * cos - step[1] * sin, step[0] * sin + step[1] * cos])
            place = replace(place, center_x=place.center_x + step[0], center_y=place.center_y + step[1])
            total, seen = total + step, _patch(picture, place)
        if alike(self.patch, seen) < LEAST_ALIKE or np.hypot(*total) > _MOST_MOVED * place.side_px:
            self.patch = None
            return None
        self.last, self.patch = place, seen
        return total

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


def _patch(picture: np.ndarray, place: FaceCrop) -> np.ndarray:
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


def joined(places: dict[int, FaceCrop], moves: dict[int, np.ndarray], n_frames: int) -> list[FaceCrop]:
    """Crops of all frames: the motion as it was seen, about places, sides and turns that are smoothed over a second.

    The detector is steady over many frames and not from one to the next; motion is the other way round.

    >>> found = joined({0: FaceCrop(10.0, 10.0, 50.0), 5: FaceCrop(12.0, 10.0, 50.0)}, {}, 7)
    >>> [round(place.center_x, 2) for place in found]
    [10.0, 10.4, 10.8, 11.2, 11.6, 12.0, 12.0]
    """
    rows = np.full((n_frames, 4), np.nan)
    number = 0
    while number < n_frames:
        if number not in places:
            number += 1
            continue
        stop = number + 1
        while stop in moves:
            stop += 1
        rows[number:stop] = _run(places, moves, number, stop)
        number = stop
    known = np.flatnonzero(~np.isnan(rows[:, 0]))
    for before, after in zip([-1, *known.tolist()], [*known.tolist(), n_frames], strict=True):
        gap = slice(before + 1, after)
        if before < 0 or after == n_frames:
            rows[gap] = rows[min(after, n_frames - 1) if before < 0 else before]
            continue
        is_near = np.hypot(*(rows[after, :2] - rows[before, :2])) < _NEAR * math.exp(rows[before, 2])
        share = np.arange(1, after - before)[:, None] / (after - before) if is_near else 0.0
        rows[gap] = rows[before] + share * (rows[after] - rows[before])
    return [FaceCrop(float(x), float(y), math.exp(side), float(angle)) for x, y, side, angle in rows]


def _run(places: dict[int, FaceCrop], moves: dict[int, np.ndarray], first: int, stop: int) -> np.ndarray:
    """Rows (x, y, log side, turn) of frames that are connected by motion."""
    path = np.cumsum([np.zeros(2), *(moves[i] for i in range(first + 1, stop))], axis=0)
    at = [i for i in range(first, stop) if i in places]
    seen = np.array([(*places[i].center, math.log(places[i].side_px), places[i].angle) for i in at])
    seen[:, :2] -= path[np.array(at) - first]
    rows = np.stack([_smoothed(np.interp(np.arange(first, stop), at, column)) for column in seen.T], axis=1)
    rows[:, :2] += path
    return rows


def _smoothed(values: np.ndarray) -> np.ndarray:
    """The mean over _REACH frames to each side, weighted by a bell, of what a median has freed of outliers."""
    reach = min(_REACH, len(values) - 1)
    if reach < 1:
        return values
    padded = np.pad(values, reach, mode="edge")
    steady = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1), axis=1)
    weights = np.hanning(2 * reach + 3)[1:-1]
    return np.convolve(np.pad(steady, reach, mode="edge"), weights / weights.sum(), mode="valid")
