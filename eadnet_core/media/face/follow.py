"""Follow one face through the frames of a video: which one, where in each frame, smoothly, and where it was missed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...errors import BadInput, FaceNotFound
from .appearance import Cuts, Looks, alike, displacement, look_of, patch
from .crop import FaceCrop
from .find import FACE_THRESHOLD, Face, crop_geometry, find_faces, find_near, geometry_of

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
LEAST_RESEMBLING = 0.7
"""`Look.resemblance` below which a face in another shot is another person."""
_NEAR_BONUS, _SIZE_WEIGHT = 0.05, 0.05
"""Among several, what the last place counts, and what a size counts that is e times another."""
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

    face_box    which face: the one nearest to this box; it is found again after a cut or an absence by what it looks
                like, and nobody else is taken for it; where none is ever found, the box itself, in all frames
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
    crops: list[FaceCrop | None] = list(joined(places, moves, n_frames, follower.cuts))
    if on_missing == "pass_through":
        for number in missed:
            crops[number] = None
    return Track(tuple(crops), missed)


class _Follower:
    """Finds the same face again in one picture after the other.

    While it is seen it is followed by its motion, and what it looks like is remembered. Where it is lost in a shot, it
    is looked for near its last place, and elsewhere among faces that were not there before; in another shot its looks
    decide.
    """

    def __init__(self, face_box: tuple[float, float, float, float] | None, face_index: int, threshold: float) -> None:
        self.face_box, self.face_index, self.threshold = face_box, face_index, threshold
        self.box: FaceCrop | None = None
        self.last: FaceCrop | None = None
        self.patch: np.ndarray | None = None
        self.n_missed = 0
        self.best = 0.0
        self.cuts: list[int] = []
        self._scenes = Cuts()
        self._is_same_shot = True
        self._looks, self._looks_of_others = Looks(), Looks()
        self._others: list[FaceCrop] = []

    @property
    def is_lost(self) -> bool:
        """Whether there is nothing to follow."""
        return self.patch is None

    @property
    def _expected(self) -> FaceCrop | None:
        """Where the face should be: at its last place in this shot, or in the box while it was never seen."""
        return self.last if self._is_same_shot or not self._looks else None

    def look(self, picture: np.ndarray, number: int) -> tuple[FaceCrop | None, np.ndarray | None]:
        """What the detector says of this picture, and how far the face has moved since the last one, [2] pixels."""
        if self.face_box is not None and self.box is None:
            self.box = self.last = crop_geometry(self.face_box, (picture.shape[1], picture.shape[0]))
        was_followed = not self.is_lost
        if self._scenes.is_cut(picture):
            self.cuts.append(number)
            self.patch, self._is_same_shot, self._others = None, False, []
        move = self._moved(picture)
        place = None
        if number % SEARCH_EVERY == 0 or self.cuts[-1:] == [number] or (was_followed and move is None):
            place = self._search(picture)
            self.n_missed = 0 if place is not None else self.n_missed + 1
            if self.n_missed >= MOST_SEARCHES_MISSED:
                self.patch = move = None
        if place is not None:
            self.last, self.patch, self._is_same_shot = place, patch(picture, place), True
        return place, move

    def _moved(self, picture: np.ndarray) -> np.ndarray | None:
        """Follow what was seen last by its motion; None, and lost, where it is not there."""
        if self.patch is None or self.last is None:
            return None
        place, total = self.last, np.zeros(2)
        seen = patch(picture, place)
        for _ in range(2):
            step = displacement(self.patch, seen) * place.side_px
            cos, sin = math.cos(place.angle), math.sin(place.angle)
            step = np.array([step[0] * cos - step[1] * sin, step[0] * sin + step[1] * cos])
            place = replace(place, center_x=place.center_x + step[0], center_y=place.center_y + step[1])
            total, seen = total + step, patch(picture, place)
        if alike(self.patch, seen) < LEAST_ALIKE or np.hypot(*total) > _MOST_MOVED * place.side_px:
            self.patch = None
            return None
        self.last, self.patch = place, seen
        return total

    def _search(self, picture: np.ndarray) -> FaceCrop | None:
        """What the detector finds: the followed face, or where none was followed yet, the chosen one."""
        expected = self._expected
        close = None if expected is None else find_near(picture, expected)
        places = self._accepted(close or [])
        found = None if expected is None else _near(expected, places)
        if found is None and (close is None or self.is_lost):
            places = self._accepted(find_faces(picture, 0.0))
            found = None if expected is None else _near(expected, places)
            found = found or self._elsewhere(picture, places)
        others = [place for place in places if place is not found]
        if found is not None:
            self._looks.add(look_of(picture, found))
            for place in others:
                self._looks_of_others.add(look_of(picture, place))
            self._others = others
        else:
            self._others = [_near(other, others) or other for other in self._others]
        return found

    def _accepted(self, faces: list[Face]) -> list[FaceCrop]:
        self.best = max((face.score for face in faces), default=0.0)
        return [geometry_of(face) for face in faces if face.score >= self.threshold]

    def _elsewhere(self, picture: np.ndarray, places: list[FaceCrop]) -> FaceCrop | None:
        """The followed face where it was lost: what resembles it most and is not clearly another."""
        if self.last is None:
            return places[min(self.face_index, len(places) - 1)] if places else None
        if not self.is_lost or not self._looks:
            return None
        places = [place for place in places if _near(place, self._others) is None]
        rated: list[tuple[float, int]] = []
        for number, place in enumerate(places):
            look = look_of(picture, place)
            resemblance = self._looks.resemblance(look)
            if resemblance >= max(LEAST_RESEMBLING, self._looks_of_others.resemblance(look)):
                bonus = _NEAR_BONUS if _near(self.last, [place]) is not None else 0.0
                malus = _SIZE_WEIGHT * abs(math.log(place.side_px / self.last.side_px))
                rated.append((resemblance + bonus - malus, number))
        if rated:
            return places[max(rated)[1]]
        return None if self.box is not None or not places else places[min(self.face_index, len(places) - 1)]


def _near(place: FaceCrop, others: list[FaceCrop]) -> FaceCrop | None:
    """Which of the others lies nearest to a place, if it is the same place."""
    nearest = min(others, key=lambda other: math.dist(other.center, place.center), default=None)
    if nearest is None or math.dist(nearest.center, place.center) >= _NEAR * place.side_px:
        return None
    return nearest


def joined(
    places: dict[int, FaceCrop], moves: dict[int, np.ndarray], n_frames: int, cuts: Sequence[int] = ()
) -> list[FaceCrop]:
    """Crops of all frames: the motion as it was seen, about places, sides and turns that are smoothed over a second.

    The detector is steady over many frames and not from one to the next; motion is the other way round. Nothing is
    smoothed across a cut (number of the first frame after it): a face found late in a shot was there from its start.

    >>> found = joined({0: FaceCrop(10.0, 10.0, 50.0), 5: FaceCrop(12.0, 10.0, 50.0)}, {}, 7)
    >>> [round(place.center_x, 2) for place in found]
    [10.0, 10.4, 10.8, 11.2, 11.6, 12.0, 12.0]
    """
    rows = np.full((n_frames, 4), np.nan)
    number, starts = 0, frozenset(cuts)
    while number < n_frames:
        if number not in places:
            number += 1
            continue
        stop = number + 1
        while stop in moves and stop not in starts:
            stop += 1
        rows[number:stop] = _run(places, moves, number, stop)
        number = stop
    known = np.flatnonzero(~np.isnan(rows[:, 0]))
    for before, after in zip([-1, *known.tolist()], [*known.tolist(), n_frames], strict=True):
        gap = slice(before + 1, after)
        if after == before + 1:
            continue
        if before < 0 or after == n_frames:
            rows[gap] = rows[min(after, n_frames - 1) if before < 0 else before]
            continue
        within = [cut for cut in cuts if before < cut <= after]
        if within:
            rows[before + 1 : within[-1]], rows[within[-1] : after] = rows[before], rows[after]
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
