"""What a video of a real portrait shows: lips, head, sharpness and background, and what the judges read of it.

The measures and their scales are those of an outside judge of talking-head videos, so that tables can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..config import FPS, SAMPLE_RATE_HZ
from ..media.face.landmark_masks import lid_opening, lip_opening
from ..media.face.landmarks import LEFT_EYE, RIGHT_EYE
from ..weights.judges import Judges
from .background import background_shift
from .face import correlation
from .face_geometry import REGIONS, eye_distance, lip_height, lip_width, sharpness, turn
from .judging import LABELS, NETS, Cuts, cosine, cut_faces, named, read_expressions, read_identities, top

FollowFace = Callable[[Iterable[np.ndarray]], Iterator["np.ndarray | None"]]
"""Landmarks [468, 2 or 3] in pixels, of pictures uint8 [H, W, 3] that follow one another; None where no face is."""
LOOKED_AT_EVERY = 6
"""Expressions and sharpness are read off one frame of so many, the first in the middle of a step."""
IDENTITY_FRAMES = 4
LEAST_FRAMES = 5
QUIET_DB = 40.0
"""Loudness is floored so far below its peak."""
REACH = 3
"""Frames by which lips may be early or late where their correlation with the loudness is sought."""


@dataclass(frozen=True)
class Still:
    """A portrait, and what is read off it.

    points       [468, 2 or 3]
    sharp        by region
    expressions  probabilities [7] by net; empty without judges
    identity     embeddings by net; empty without judges
    """

    picture: np.ndarray
    points: np.ndarray
    sharp: dict[str, float | None]
    expressions: dict[str, np.ndarray]
    identity: dict[str, np.ndarray]

    def to_json(self) -> dict[str, Any]:
        """Its figures as plain values."""
        says = {net: {"probabilities": named(p), "says": top(named(p))} for net, p in self.expressions.items()}
        return {
            "size": [self.picture.shape[1], self.picture.shape[0]],
            "eye_distance_px": eye_distance(self.points),
            "opening": float(lip_opening(self.points)),
            "turn": turn(self.points),
            "sharp": self.sharp,
            **says,
        }


def read_still(picture: np.ndarray, follow: FollowFace, judges: Judges | None) -> Still | None:
    """Read a portrait, uint8 [H, W, 3]; None where no face is found."""
    points = next(iter(follow([picture])), None)
    if points is None:
        return None
    cuts = [cut_faces(picture, points)] if judges else []
    expressions = {net: p[0] for net, p in read_expressions(cuts, judges).items()} if judges else {}
    identity = {net: e[0] for net, e in read_identities(cuts, judges).items()} if judges else {}
    return Still(picture, points, sharpness(picture, points), expressions, identity)


@dataclass
class ClipReader:
    """Takes a clip in, frame by frame, and measures it at the end; holds no frames but cuts of faces."""

    still: Still
    judges: Judges | None
    _found: list[int] = field(default_factory=list)
    _tracks: list[list[float]] = field(default_factory=list)
    _places: list[np.ndarray] = field(default_factory=list)
    _eye_distances: list[float] = field(default_factory=list)
    _sharp: list[dict[str, float | None]] = field(default_factory=list)
    _shifts: list[float] = field(default_factory=list)
    _cuts: list[Cuts] = field(default_factory=list)
    n_frames: int = 0

    def add(self, frame: np.ndarray, points: np.ndarray | None) -> None:
        """Take in the next frame, uint8 [H, W, 3], and its landmarks."""
        number, self.n_frames = self.n_frames, self.n_frames + 1
        if points is None:
            return
        self._found.append(number)
        self._tracks.append([measure(points) for measure in _MEASURES.values()])
        self._places.append(points[[LEFT_EYE[0], RIGHT_EYE[1], _NOSE], :2].mean(0))
        self._eye_distances.append(eye_distance(points))
        if number % LOOKED_AT_EVERY == LOOKED_AT_EVERY // 2:
            self._sharp.append(sharpness(frame, points))
            self._shifts += background_shift(self.still.picture, frame, self.still.points, points)
            if self.judges is not None:
                self._cuts.append(cut_faces(frame, points))

    def report(self, samples: np.ndarray, label: str) -> dict[str, Any]:
        """Every figure as plain values; only how often a face was found where that was hardly ever.

        samples  [N]  16 kHz mono, what is spoken
        label    what was asked for, one of LABELS
        """
        figures: dict[str, Any] = {"frames": self.n_frames, "face_found": len(self._found) / max(1, self.n_frames)}
        if len(self._found) < LEAST_FRAMES or not self._sharp:
            return figures
        numbers = np.arange(self.n_frames)
        tracks = {
            name: np.interp(numbers, self._found, column)
            for name, column in zip(_MEASURES, np.array(self._tracks).T, strict=True)
        }
        loud = loudness(samples, self.n_frames)
        figures["lips"] = {
            **_moved(tracks["opening"]),
            **dict(zip(("corr", "offset_frames"), best_correlation(tracks["opening"], loud), strict=True)),
            "width_std": float(tracks["width"].std()),
        }
        figures["lips_outer"] = _moved(tracks["height"])
        figures["lids_median"] = float(np.median(tracks["lids"]))
        figures["head"] = self._head(tracks["turn"])
        figures["sharp_ratio"] = self._sharp_ratio()
        figures["background_shift"] = float(np.percentile(self._shifts, 95)) if self._shifts else None
        return figures | (self._judged(label) if self.judges is not None else {})

    def _head(self, turned: np.ndarray) -> dict[str, float]:
        places = np.array(self._places) / np.mean(self._eye_distances)
        jitter = np.linalg.norm(np.diff(places, 2, axis=0), axis=1).mean()
        return {"turn_range": float(np.ptp(turned)), "move_std": float(places.std(0).mean()), "jitter": float(jitter)}

    def _sharp_ratio(self) -> dict[str, float | None]:
        ratios: dict[str, float | None] = {}
        for region in REGIONS:
            values = [sharp[region] for sharp in self._sharp if sharp[region] is not None]
            own = self.still.sharp[region]
            ratios[region] = float(np.mean(np.array(values, float)) / own) if values and own else None
        return ratios

    def _judged(self, label: str) -> dict[str, Any]:
        assert self.judges is not None
        picked = sorted({int(i) for i in np.linspace(0, len(self._cuts) - 1, min(len(self._cuts), IDENTITY_FRAMES))})
        identities = read_identities([self._cuts[i] for i in picked], self.judges)
        seen = read_expressions(self._cuts, self.judges)
        asked, figures = LABELS.index(label), {}
        for net in NETS:
            mean, own = seen[net].mean(0), self.still.expressions[net]
            cosines = [cosine(self.still.identity[net], other) for other in identities[net]]
            figures[net] = {
                "mean": named(mean),
                "clip_says": top(named(mean)),
                "hit_clip": top(named(mean)) == label,
                "hit_frames": float((seen[net].argmax(1) == asked).mean()),
                "p_asked": float(mean[asked]),
                "shift_asked": float(mean[asked] - own[asked]),
                "says_as_portrait": top(named(mean)) == top(named(own)),
                "identity": float(np.mean(cosines)),
                "identity_least": float(np.min(cosines)),
            }
        return figures


_NOSE = 1
"""Its tip."""
_MEASURES: dict[str, Callable[[np.ndarray], float]] = {
    "opening": lambda points: float(lip_opening(points)),
    "height": lip_height,
    "width": lip_width,
    "lids": lambda points: float(lid_opening(points)),
    "turn": turn,
}
"""One value per frame each."""


def _moved(track: np.ndarray) -> dict[str, float]:
    """How far and how fast a track [T] moves: 95th less 5th percentile, and mean change from frame to frame."""
    low, high = np.percentile(track, (5, 95))
    speed = float(np.abs(np.diff(track)).mean())
    return {"amplitude": float(high - low), "median": float(np.median(track)), "speed": speed}


def loudness(samples: np.ndarray, n_frames: int) -> np.ndarray:
    """dB per frame [T] of samples [N], floored QUIET_DB below the peak and smoothed over three frames."""
    hop = SAMPLE_RATE_HZ // FPS
    padded = np.pad(samples, (0, max(0, n_frames * hop - len(samples))))[: n_frames * hop].reshape(n_frames, hop)
    db = 20 * np.log10(np.sqrt((padded.astype(np.float64) ** 2).mean(1)) + 1e-4)
    return np.convolve(np.maximum(db, db.max() - QUIET_DB), (0.25, 0.5, 0.25), "same")


def best_correlation(track: np.ndarray, loud: np.ndarray) -> tuple[float, int]:
    """Highest correlation of two tracks [T] within REACH frames, and by how many frames the first one is late there.

    >>> track = np.array([0, 0, 1, 0, 3, 0, 0, 2, 0, 0, 0, 1, 0.0])
    >>> best_correlation(np.roll(track, 2), track)[1]
    2
    """
    found = {}
    for late in range(-REACH, REACH + 1):
        one, other = track[max(0, late) : len(track) + min(0, late)], loud[max(0, -late) : len(loud) - max(0, late)]
        found[late] = correlation(one, other) if len(one) > 1 and np.ptp(other) > 0 else 0.0
    late = max(found, key=lambda key: found[key])
    return found[late], late
