"""What somebody's head, eyes and face do in a clip, as tracks over time: read off a video, edited, and played again."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..config import FPS
from ..errors import BadInput
from ..taxonomy import ACTION_UNITS, EMOTIONS

HEAD = ("yaw", "pitch", "roll")
GAZE = ("gaze_x", "gaze_y")
EXPRESSION = (*EMOTIONS, "intensity", "valence", "arousal", *ACTION_UNITS)
"""The columns of an emotion code, by name."""
PARTS: dict[str, tuple[str, ...]] = {"head": HEAD, "gaze": GAZE, "blinks": ("blink",), "expression": EXPRESSION}
"""What can be taken from a performance, and the tracks that it is made of."""
TRACKS = tuple(name for names in PARTS.values() for name in names)
SHUT = 0.5
"""Closure from which lids blink."""
MOST_FRAMES = 1_000_000
RATES_HZ = (1.0, 240.0)
_LARGEST = {"head": 180.0, "gaze": 2.0, "blinks": 1.0, "expression": 2.0}
_LARGEST_OF = {name: _LARGEST[part] for part, names in PARTS.items() for name in names}


@dataclass(frozen=True, eq=False)
class Motion:
    """Tracks of a face over time; a track that is not there was not read.

    tracks  name in `TRACKS` -> float32 [T]. yaw, pitch, roll: degrees from the pose in which the head rests, towards
            the picture's right, down, clockwise. gaze_x, gaze_y: -1 .. 1 from where the eyes rest, towards the
            picture's right and down. blink: 0 open .. 1 shut. The others are the columns of an emotion code
    fps     frames per second
    source  what it was read from, for people
    notes   what had to be said when it was read
    Raises BadInput for a name, a value, a length or a rate that cannot be.
    """

    tracks: Mapping[str, NDArray[np.float32]]
    fps: float = FPS
    source: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (isinstance(self.fps, (int, float)) and RATES_HZ[0] <= self.fps <= RATES_HZ[1]):
            raise BadInput(f"fps of the motion is {self.fps!r}; give {RATES_HZ[0]:g} .. {RATES_HZ[1]:g}.")
        unknown = [name for name in self.tracks if name not in TRACKS]
        if unknown or not self.tracks:
            what = f"no track is called {unknown[0]!r:.60}" if unknown else "it holds no track"
            raise BadInput(f"The motion cannot be used: {what}. There are {', '.join(TRACKS)}.")
        tracks = {name: np.asarray(values, np.float32) for name, values in self.tracks.items()}
        first = next(iter(tracks))
        for name, values in tracks.items():
            _check_track(name, values)
            if len(values) != len(tracks[first]):
                raise BadInput(
                    f"Track '{name}' of the motion has {len(values)} frames, but '{first}' has {len(tracks[first])}. "
                    "Give all tracks as many."
                )
        object.__setattr__(self, "tracks", tracks)

    @property
    def n_frames(self) -> int:
        """Frames of every track."""
        return len(next(iter(self.tracks.values())))

    @property
    def duration_s(self) -> float:
        return self.n_frames / self.fps

    @property
    def parts(self) -> tuple[str, ...]:
        """The keys of `PARTS` of which at least one track is there."""
        return tuple(part for part, names in PARTS.items() if any(name in self.tracks for name in names))

    @property
    def codes(self) -> NDArray[np.float32]:
        """Emotion codes [T, 27]; a column that is not there is 0."""
        nothing = np.zeros(self.n_frames, np.float32)
        return np.stack([self.tracks.get(name, nothing) for name in EXPRESSION], 1)

    def summary(self) -> str:
        """How long it is and what it holds, in a line.

        >>> Motion({"yaw": np.array([-4.0, 2.0])}).summary()
        '2 frames, 0.08 s: yaw -4 .. 2 degrees'
        """
        held = [
            f"{n} {self.tracks[n].min():.0f} .. {self.tracks[n].max():.0f} degrees" for n in HEAD if n in self.tracks
        ]
        if "blink" in self.tracks:
            n_blinks = int((np.diff(np.pad(self.tracks["blink"] > SHUT, 1).astype(int)) > 0).sum())
            held.append(f"{n_blinks} blink{'' if n_blinks == 1 else 's'}")
        held += [part for part in self.parts if part in ("gaze", "expression")]
        return f"{self.n_frames} frames, {self.duration_s:.2f} s: {', '.join(held)}"

    def at_rate(self, fps: float = FPS) -> Motion:
        """The same over the same time at another rate, in straight lines between the middles of frames.

        >>> Motion({"yaw": np.array([0.0, 2.0])}, fps=12.5).at_rate(25).tracks["yaw"].tolist()
        [0.0, 0.5, 1.5, 2.0]
        """
        if fps == self.fps:
            return self
        n_frames = max(1, math.floor(self.duration_s * fps + 0.5))
        here, there = (np.arange(self.n_frames) + 0.5) / self.fps, (np.arange(n_frames) + 0.5) / fps
        return replace(self, tracks={n: np.interp(there, here, v) for n, v in self.tracks.items()}, fps=fps)

    def digest(self) -> str:
        """SHA-256 of the tracks and their rate."""
        hashed = hashlib.sha256(repr(float(self.fps)).encode())
        for name in sorted(self.tracks):
            hashed.update(name.encode() + self.tracks[name].tobytes())
        return hashed.hexdigest()


def _check_track(name: str, values: np.ndarray) -> None:
    if values.ndim != 1 or not 1 <= len(values) <= MOST_FRAMES:
        raise BadInput(f"Track '{name}' of the motion has {values.size} frames; give 1 .. {MOST_FRAMES}.")
    most = _LARGEST_OF[name]
    least = 0.0 if name == "blink" else -most
    wrong = np.flatnonzero(~((values >= least) & (values <= most)))
    if len(wrong):
        raise BadInput(
            f"Track '{name}' of the motion is {values[wrong[0]]:g} in frame {wrong[0]}; give {least:g} .. {most:g}."
        )
