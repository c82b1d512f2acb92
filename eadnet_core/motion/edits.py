"""A motion edited by hand: offsets drawn along its lanes, lanes made smooth, blinks added and taken out.

Edits lie on top of a motion, which stays as it was: they can be undone one by one, and laid over another take of it.
Without a motion they make one, from a face at rest.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..config import FPS
from ..errors import BadInput
from .generate import blink_closure
from .record import MOST_FRAMES, SHUT, Motion
from .smoothing import smoothed

LANES = {"yaw": 45.0, "pitch": 45.0, "roll": 45.0, "gaze_x": 1.0, "gaze_y": 1.0}
"""The tracks that points are drawn on, and how far a point may move them: degrees, and shares of a gaze."""
BLINKS = "blinks"
REACH_S = 0.6
"""A point changes its lane so far to each side, unless another one is nearer: our design, a nod and back."""
MOST_SMOOTH_S = 2.0
MOST_POINTS = 2000
NEAR_S = 0.25
"""A blink is taken out by a time so near to it."""


@dataclass(frozen=True)
class LaneEdit:
    """What is changed of one track.

    smooth_s  seconds to each side over which it is averaged first, 0 .. MOST_SMOOTH_S
    points    ((time_s, change), ..) in the order of time, each time once: degrees, or shares of a gaze
    """

    smooth_s: float = 0.0
    points: tuple[tuple[float, float], ...] = ()

    def change(self, times_s: np.ndarray) -> np.ndarray:
        """The change at times [T]: through every point, level there, and 0 from REACH_S before and after it.

        >>> LaneEdit(points=((1.0, 5.0),)).change(np.array([0.0, 0.7, 1.0, 1.3, 2.0])).round(6).tolist()
        [0.0, 2.5, 5.0, 2.5, 0.0]
        """
        if not self.points:
            return np.zeros(len(times_s))
        knots = [(self.points[0][0] - REACH_S, 0.0), self.points[0]]
        for (t0, v0), (t1, v1) in zip(self.points, self.points[1:], strict=False):
            knots += [*_between(t0, v0, t1, v1), (t1, v1)]
        knots.append((self.points[-1][0] + REACH_S, 0.0))
        time, value = np.array(knots).T
        after = np.searchsorted(time, times_s, side="right").clip(1, len(time) - 1)
        share = ((times_s - time[after - 1]) / (time[after] - time[after - 1])).clip(0.0, 1.0)
        share = share * share * (3.0 - 2.0 * share)
        return value[after - 1] + share * (value[after] - value[after - 1])


def _between(t0: float, v0: float, t1: float, v1: float) -> list[tuple[float, float]]:
    """Knots between two points: none where they are near, down to 0 and up again where they are twice REACH_S apart."""
    apart = t1 - t0
    if apart <= REACH_S:
        return []
    if apart >= 2 * REACH_S:
        return [(t0 + REACH_S, 0.0), (t1 - REACH_S, 0.0)][: 1 if apart == 2 * REACH_S else 2]
    return [((t0 + t1) / 2, (2.0 - apart / REACH_S) * (v0 + v1) / 2)]


@dataclass(frozen=True)
class MotionEdits:
    """What is changed of a motion.

    lanes    name in LANES -> LaneEdit
    added    seconds at which lids are shut by a blink of their own
    removed  seconds at which a blink of the motion is taken out
    """

    lanes: Mapping[str, LaneEdit] = field(default_factory=dict)
    added: tuple[float, ...] = ()
    removed: tuple[float, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.added or self.removed or any(e.smooth_s or e.points for e in self.lanes.values()))

    @property
    def end_s(self) -> float:
        """Seconds after which nothing is changed."""
        points = [time for edit in self.lanes.values() for time, _ in edit.points]
        return max([time + REACH_S for time in [*points, *self.added]], default=0.0)

    @classmethod
    def parse(cls, text: str) -> MotionEdits:
        """Edits from their JSON, as the track editor writes it; of an empty text none.

        `{"yaw": {"smooth_s": 0.2, "points": [[1.5, -8]]}, "blinks": {"add": [2.0], "remove": [0.4]}}`
        Raises BadInput.
        """
        if not text.strip():
            return cls()
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BadInput(f"motion_edits is no JSON ({type(error).__name__}: {str(error)[:80]}); {_WANTED}") from None
        if not isinstance(data, dict):
            raise BadInput(f"motion_edits is a {type(data).__name__}; {_WANTED}")
        unknown = [name for name in data if name not in (*LANES, BLINKS)]
        if unknown:
            raise BadInput(
                f"motion_edits has {unknown[0]!r:.60}, which no lane is called; there are {', '.join(LANES)}, {BLINKS}."
            )
        blinks = _object(data.get(BLINKS, {}), BLINKS, ("add", "remove"))
        return cls(
            {name: _lane(name, data[name]) for name in LANES if name in data},
            *(tuple(sorted({_time(v, BLINKS) for v in _list(blinks.get(k, []), BLINKS)})) for k in ("add", "remove")),
        )

    def on(self, motion: Motion | None, duration_s: float) -> Motion:
        """A motion with these edits, at FPS; without one, a face at rest for `duration_s` that does what they say."""
        if motion is None:
            n_frames = min(MOST_FRAMES, max(1, math.ceil(max(duration_s, self.end_s) * FPS)))
            motion = Motion({name: np.zeros(n_frames, np.float32) for name in self._made}, source="drawn by hand")
        elif self.is_empty:
            return motion
        motion = motion.at_rate()
        times_s = (np.arange(motion.n_frames) + 0.5) / FPS
        tracks = dict(motion.tracks)
        for name, edit in self.lanes.items():
            if not edit.points and name not in tracks:
                continue
            own = np.asarray(tracks.get(name, np.zeros(motion.n_frames)), np.float64)
            most = 180.0 if LANES[name] > 1 else 2.0
            changed = smoothed(own, round(edit.smooth_s * FPS)) + edit.change(times_s)
            tracks[name] = changed.clip(-most, most).astype(np.float32)
        if self.added or self.removed:
            tracks["blink"] = self._blinked(np.asarray(tracks.get("blink", np.zeros(motion.n_frames))), times_s)
        return replace(motion, tracks=tracks, source=f"{motion.source}, edited" if motion.source else "edited")

    @property
    def _made(self) -> list[str]:
        """The tracks of a motion that is made of edits alone: a head is held in all three angles where one turns."""
        drawn = [name for name, edit in self.lanes.items() if edit.points]
        names = ["yaw", "pitch", "roll"] if any(name in ("yaw", "pitch", "roll") for name in drawn) else []
        names += [name for name in drawn if name.startswith("gaze")]
        return [*names, "blink"] if self.added or not names else names

    def _blinked(self, closure: np.ndarray, times_s: np.ndarray) -> np.ndarray:
        closure = closure.astype(np.float32).copy()
        for first, last in blinks_of(closure):
            start_s, end_s = times_s[first] - NEAR_S, times_s[last - 1] + NEAR_S
            if any(start_s <= time <= end_s for time in self.removed):
                _opened(closure, first, last)
        for time in self.added:
            closure = np.maximum(closure, blink_closure(times_s - time).astype(np.float32))
        return closure


_WANTED = 'give JSON such as {"yaw": {"points": [[1.5, -8]]}, "blinks": {"add": [2.0], "remove": [0.4]}}.'


def blinks_of(closure: np.ndarray) -> list[tuple[int, int]]:
    """First frame and end of every time that lids are shut.

    >>> blinks_of(np.array([0.0, 0.7, 1.0, 0.2, 0.9]))
    [(1, 3), (4, 5)]
    """
    edges = np.flatnonzero(np.diff(np.pad(closure > SHUT, 1).astype(int)))
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]


def _opened(closure: np.ndarray, first: int, last: int) -> None:
    """Takes out a blink, down to where lids stop opening on both sides."""
    while first > 0 and closure[first - 1] <= closure[first]:
        first -= 1
        if closure[first] == 0:
            break
    while last < len(closure) and closure[last] <= closure[last - 1]:
        last += 1
        if closure[last - 1] == 0:
            break
    ends = closure[first], closure[last - 1]
    closure[first:last] = np.minimum(closure[first:last], np.linspace(*ends, last - first))


def _lane(name: str, data: Any) -> LaneEdit:
    given = _object(data, name, ("smooth_s", "points"))
    smooth_s = _number(given.get("smooth_s", 0.0), f"smooth_s of '{name}'", 0.0, MOST_SMOOTH_S)
    points: dict[float, float] = {}
    for item in _list(given.get("points", []), name):
        if not isinstance(item, list) or len(item) != 2:
            raise BadInput(f"A point of '{name}' in motion_edits is {str(item)[:60]}; give [seconds, change].")
        points[_time(item[0], name)] = _number(item[1], f"a point of '{name}'", -LANES[name], LANES[name])
    return LaneEdit(smooth_s, tuple(sorted(points.items())))


def _object(data: Any, name: str, keys: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(data, dict) or not set(data) <= set(keys):
        raise BadInput(f"'{name}' in motion_edits is {str(data)[:60]}; give an object of {' and '.join(keys)}.")
    return data


def _list(data: Any, name: str) -> list[Any]:
    if not isinstance(data, list) or len(data) > MOST_POINTS:
        raise BadInput(f"'{name}' in motion_edits takes lists of at most {MOST_POINTS}.")
    return data


def _time(value: Any, name: str) -> float:
    return _number(value, f"a time of '{name}'", 0.0, MOST_FRAMES / FPS)


def _number(value: Any, what: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise BadInput(f"{what} in motion_edits is {str(value)[:40]}; give a number in {low:g} .. {high:g}.")
    return float(value)
