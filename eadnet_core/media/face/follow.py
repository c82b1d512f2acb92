"""Follow one face through the frames of a video: which one, where in each frame, smoothly, and where it was missed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import BadInput, FaceNotFound
from ...motion.smoothing import smoothed
from .appearance import Cuts, Look, Looks, look_of
from .crop import FaceCrop
from .find import FACE_THRESHOLD, Face, crop_geometry, find_faces, find_near, geometry_of
from .landmarks import LEAST_PRESENT, read_landmarks

MISS_POLICIES = ("hold", "pass_through", "stop")
"""A frame without a face: keep the face where it was, leave the frame as it is, or raise FaceNotFound."""
SEARCH_EVERY = 5
"""Frames between two searches of the whole picture for a face that is lost."""
LOOK_EVERY = 25
"""Frames after which it is remembered anew what a followed face looks like."""
_NEAR = 0.75
"""A face within so many frame widths of the last place is the same face."""
_MOST_MOVED, _MOST_GROWN = 0.3, 1.25
"""Frame widths that a face moves in a frame at most, and by what it grows or shrinks."""
LEAST_RESEMBLING = 0.7
"""`Look.resemblance` below which a face in another shot is another person."""
_NEAR_BONUS, _SIZE_WEIGHT = 0.05, 0.05
"""Among several, what the last place counts, and what a size counts that is e times another."""
_PLACE_REACH, _TURN_REACH, _SIDE_REACH = 2, 4, 12
"""Frames to each side over which a face's place, its turn, and the side of its frame are smoothed."""


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
    accept_any_face: bool = False,
) -> Track:
    """Follow a face through pictures, uint8 [H, W, 3]; one at a time is held.

    face_box    which face: the one nearest to this box; it is found again after a cut or an absence by what it looks
                like, and nobody else is taken for it; where none is ever found, the box itself, in all frames
    face_index  which face else: 0 the most prominent of the first frame that has one, 1 the next, ...
    on_missing  one of MISS_POLICIES
    on_picture  called with the number of pictures searched; may raise to stop
    accept_any_face  as in `find.find_faces`; such a face is looked for in every frame
    Raises BadInput, or FaceNotFound where there is no face at all, or by the policy.
    """
    choice = Choice(face_box, face_index, on_missing, accept_any_face)
    return follow_all(pictures, [choice], threshold, on_picture)[0]


@dataclass(frozen=True)
class Choice:
    """Which face is followed, and what becomes of frames without it; see `follow`."""

    face_box: tuple[float, float, float, float] | None = None
    face_index: int = 0
    on_missing: str = "hold"
    accept_any_face: bool = False

    def __post_init__(self) -> None:
        if self.on_missing not in MISS_POLICIES:
            raise BadInput(f"on_missing is '{self.on_missing}'; give one of {', '.join(MISS_POLICIES)}.")


def follow_all(
    pictures: Iterable[np.ndarray],
    choices: Sequence[Choice],
    threshold: float = FACE_THRESHOLD,
    on_picture: Callable[[int], None] | None = None,
) -> list[Track]:
    """Follow several faces through the same pictures, which are read once; a track for each choice, as of `follow`.

    No two of them are the same face: where two would be, the one that came there from further away was lost.
    """
    followed = [_Followed(choice, threshold) for choice in choices]
    n_frames = 0
    for number, picture in enumerate(pictures):
        places = [one.follower.look(picture, number) for one in followed]
        for one, is_lost in zip(followed, _taken_twice([one.follower for one in followed], places), strict=True):
            one.take(number, is_lost)
        n_frames = number + 1
        if on_picture is not None:
            on_picture(n_frames)
    return [one.track(n_frames) for one in followed]


def _taken_twice(followers: Sequence[_Follower], places: Sequence[FaceCrop | None]) -> list[bool]:
    """Which of the faces that were found are somebody else's."""
    is_lost = [False] * len(places)
    for i, place in enumerate(places):
        for j, other in enumerate(places[:i]):
            if place is None or other is None or is_lost[i] or is_lost[j] or not _is_same(place, other):
                continue
            is_lost[i if followers[i].jumped_px(place) >= followers[j].jumped_px(other) else j] = True
    return is_lost


class _Followed:
    """A face that is followed, and where it was in each frame so far."""

    def __init__(self, choice: Choice, threshold: float) -> None:
        self.choice, self.threshold = choice, threshold
        self.follower = _Follower(choice.face_box, choice.face_index, threshold, choice.accept_any_face)
        self.places: dict[int, FaceCrop] = {}

    def take(self, number: int, is_lost: bool) -> None:
        """Keep where the face was found in a frame, unless what was found `is_lost` to another."""
        place = self.follower.settle(is_lost)
        if place is not None:
            self.places[number] = place
        elif self.choice.on_missing == "stop" and (number % SEARCH_EVERY == 0 or self.places):
            raise FaceNotFound(
                f"No face in frame {number}: best score {self.follower.best:.2f}, face_threshold {self.threshold:.2f}. "
                "Lower face_threshold, give a face_box, or set on_missing to 'hold' or 'pass_through'."
            )

    def track(self, n_frames: int) -> Track:
        """Where the face lies in all of the frames."""
        places, follower = self.places, self.follower
        missed = tuple(number for number in range(n_frames) if number not in places)
        if not places:
            if follower.box is None:
                raise FaceNotFound(
                    f"No face in any of {n_frames} frames: best score {follower.best:.2f}, face_threshold "
                    f"{self.threshold:.2f}. Lower face_threshold, or give a face_box (x0,y0,x1,y1 in pixels, from the "
                    "middle of the forehead to the chin)."
                )
            return Track((follower.box,) * n_frames, missed)
        crops: list[FaceCrop | None] = list(joined(places, n_frames, follower.cuts))
        if self.choice.on_missing == "pass_through":
            for number in missed:
                crops[number] = None
        return Track(tuple(crops), missed)


class _Follower:
    """Finds the same face again in one picture after the other.

    While it is seen its landmarks are followed, and what it looks like is remembered. Where it is lost in a shot, it is
    looked for near its last place, and elsewhere among faces that were not there before; in another shot its looks
    decide.
    """

    def __init__(
        self,
        face_box: tuple[float, float, float, float] | None,
        face_index: int,
        threshold: float,
        accept_any_face: bool,
    ) -> None:
        self.face_box, self.face_index, self.threshold = face_box, face_index, threshold
        self.accept_any_face = accept_any_face
        self.box: FaceCrop | None = None
        self.last: FaceCrop | None = None
        self.is_lost = True
        self.best = 0.0
        self.cuts: list[int] = []
        self._scenes = Cuts()
        self._is_same_shot = True
        self._looks, self._looks_of_others = Looks(), Looks()
        self._found: FaceCrop | None = None
        self._found_look: Look | None = None
        self._others: list[FaceCrop] = []

    @property
    def _expected(self) -> FaceCrop | None:
        """Where the face should be: at its last place in this shot, or in the box while it was never seen."""
        return self.last if self._is_same_shot or not self._looks else None

    def look(self, picture: np.ndarray, number: int) -> FaceCrop | None:
        """Where the face lies in this picture; None where it is not seen, or is not looked for; then `settle`."""
        self._found_look = None
        if self.face_box is not None and self.box is None:
            self.box = self.last = crop_geometry(self.face_box, (picture.shape[1], picture.shape[0]))
        is_cut = self._scenes.is_cut(picture)
        if is_cut:
            self.cuts.append(number)
            self.is_lost, self._is_same_shot, self._others = True, False, []
        place = None if self.is_lost else self._followed(picture)
        if place is not None and number % LOOK_EVERY == 0:
            self._found_look = look_of(picture, place)
        if place is None and (number % SEARCH_EVERY == 0 or is_cut or not self.is_lost):
            self.is_lost = True
            place = self._search(picture)
        self._found = place
        return place

    def settle(self, is_lost: bool = False) -> FaceCrop | None:
        """Go on from what `look` has found, unless that `is_lost` to whom it belongs; returns what is left of it."""
        if self._found is None or is_lost:
            self.is_lost |= is_lost
            return None
        if self._found_look is not None:
            self._looks.add(self._found_look)
        self.last, self.is_lost, self._is_same_shot = self._found, False, True
        return self._found

    def jumped_px(self, place: FaceCrop) -> float:
        """How far a place lies from where the face was last; infinite where it never was anywhere."""
        return math.inf if self.last is None else math.dist(place.center, self.last.center)

    def _followed(self, picture: np.ndarray) -> FaceCrop | None:
        """The face by its landmarks, beginning at the last place; None where it is not there."""
        assert self.last is not None
        landmarks = read_landmarks(picture, [self.last])[0]
        place = landmarks.frame()
        growth = place.side_px / self.last.side_px
        if (
            landmarks.presence >= LEAST_PRESENT
            and math.dist(place.center, self.last.center) <= _MOST_MOVED * self.last.side_px
            and 1 / _MOST_GROWN <= growth <= _MOST_GROWN
        ):
            return place
        if not self.accept_any_face:
            return None
        return _near(self.last, self._accepted(find_near(picture, self.last, True)))

    def _search(self, picture: np.ndarray) -> FaceCrop | None:
        """What the finder sees: the lost face, or where none was followed yet, the chosen one."""
        expected, is_known = self._expected, bool(self._looks)
        places, found = [], None
        if expected is not None:
            places = self._accepted(find_near(picture, expected, self.accept_any_face))
            found = _near(expected, places)
        if found is None or not is_known:
            places = self._accepted(find_faces(picture, 0.0, self.accept_any_face))
            found = found or (None if expected is None else _near(expected, places))
            found = found or self._elsewhere(picture, places)
        others = [place for place in places if found is None or not _is_same(place, found)]
        if found is not None:
            self._found_look = look_of(picture, found)
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
        if not self._looks:
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


def _is_same(one: FaceCrop, other: FaceCrop) -> bool:
    """Whether two places in one picture are the same face."""
    return math.dist(one.center, other.center) < 0.5 * min(one.side_px, other.side_px)


def _near(place: FaceCrop, others: list[FaceCrop]) -> FaceCrop | None:
    """Which of the others lies nearest to a place, if it is the same place."""
    nearest = min(others, key=lambda other: math.dist(other.center, place.center), default=None)
    if nearest is None or math.dist(nearest.center, place.center) >= _NEAR * place.side_px:
        return None
    return nearest


def joined(places: dict[int, FaceCrop], n_frames: int, cuts: Sequence[int] = ()) -> list[FaceCrop]:
    """Crops of all frames, smoothed where they were seen one after the other, and between such runs in a straight line.

    The side of the frame is smoothed over a second, since a head does not grow. Nothing is smoothed across a cut
    (number of the first frame after it): a face found late in a shot was there from its start.

    >>> found = joined({0: FaceCrop(10.0, 10.0, 50.0), 5: FaceCrop(12.0, 10.0, 50.0)}, 7)
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
        while stop in places and stop not in starts:
            stop += 1
        seen = [places[i] for i in range(number, stop)]
        rows[number:stop] = _run(np.array([(*p.center, math.log(p.side_px), p.angle) for p in seen]))
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


def _run(seen: np.ndarray) -> np.ndarray:
    """Rows (x, y, log side, turn) of frames one after the other, smoothed."""
    reaches = (_PLACE_REACH, _PLACE_REACH, _SIDE_REACH, _TURN_REACH)
    turns = np.unwrap(seen[:, 3])
    columns = (*seen[:, :3].T, turns)
    return np.stack([smoothed(column, reach) for column, reach in zip(columns, reaches, strict=True)], axis=1)
