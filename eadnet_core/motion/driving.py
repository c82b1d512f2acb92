"""A motion that was read off somebody drives a portrait: how much of it, which parts, and what happens at its end."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..config import FPS, PERFORMANCE_LENGTHS
from ..errors import BadInput
from ..taxonomy import MOTION
from .generate import LIMITS
from .record import GAZE, HEAD, PARTS, Motion
from .smoothing import smoothed

DEFAULT_TAKE = ("head", "gaze", "blinks")
SHIFTS = ("shift_x", "shift_y")
MOST_SCALE = 2.0
SEAM_FRAMES = 12
"""Over which the end of a loop fades into its beginning, and eyes into those that go on by themselves."""
KNEE = 0.7
"""Of a limit: a head that turns further is held back softly."""
WHOLE_BLINKS = 0.5
"""Strength from which lids are those of the performance; half a blink of each would be none."""
_WITHIN = {"strength": 1.0, "scale": MOST_SCALE, "smoothing_s": 1.0}
_SLACK_DEGREES = 0.5


@dataclass(frozen=True)
class DrivingOptions:
    """How a motion is used. Raises BadInput for a value out of its range.

    strength     share beside the generated motion: 0 that alone .. 1 the performance alone
    scale        amplitude of its head and gaze: 0 none, 1 as it was read .. 2
    take         which of `record.PARTS` are taken; the others are generated
    length       one of PERFORMANCE_LENGTHS, where it is shorter than the clip
    smoothing_s  seconds to each side over which the head's angles are averaged, 0 .. 1
    """

    strength: float = 1.0
    scale: float = 1.0
    take: tuple[str, ...] = DEFAULT_TAKE
    length: str = "hold"
    smoothing_s: float = 0.08

    def __post_init__(self) -> None:
        for name, most in _WITHIN.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most:
                raise BadInput(f"{name} of the performance is {value!r}; give a number in 0 .. {most:g}.")
        if self.length not in PERFORMANCE_LENGTHS:
            raise BadInput(
                f"length of the performance is {self.length!r}; give one of {', '.join(PERFORMANCE_LENGTHS)}."
            )
        unknown = [part for part in self.take if part not in PARTS]
        if unknown or not self.take:
            what = f"{unknown[0]!r:.60}" if unknown else "nothing"
            raise BadInput(f"take of the performance is {what}; give some of {', '.join(PARTS)}.")


@dataclass(frozen=True)
class Driving:
    """A motion and how it is used."""

    motion: Motion
    options: DrivingOptions = DrivingOptions()

    @property
    def taken(self) -> tuple[str, ...]:
        """The parts that are taken and that the motion holds."""
        return tuple(part for part in PARTS if part in self.options.take and part in self.motion.parts)

    def recipe(self) -> dict[str, Any]:
        """What decides how it drives, as plain JSON values."""
        take = sorted(set(self.options.take))
        return {**asdict(self.options), "take": take, "motion": {"sha256": self.motion.digest()}}

    def described(self) -> dict[str, Any]:
        """The recipe, and what the motion was read from."""
        return {**self.recipe(), "source": self.motion.source}


def driven(made: np.ndarray, driving: Driving) -> np.ndarray:
    """The motion track [T, 8] of taxonomy.MOTION in which a performance drives what was made, [T, 8].

    A head that is taken has no shifts of its own: turning about the neck brings what a head moves.
    """
    motion, options, result = driving.motion.at_rate(), driving.options, np.array(made, np.float32)
    n_frames, taken = len(made), driving.taken
    strength, fading = np.full(n_frames, options.strength), _fading(options, motion.n_frames, n_frames)
    played: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name, values in motion.tracks.items():
        if name in HEAD and "head" in taken:
            angles = smoothed(np.radians(values), round(options.smoothing_s * FPS)) * options.scale
            played[name] = held_back(angles, _limit(name)), strength
        elif name in GAZE and "gaze" in taken:
            played[name] = (values * options.scale).clip(-1.0, 1.0), strength * fading
        elif name == "blink" and "blinks" in taken and options.strength >= WHOLE_BLINKS:
            played[name] = values, (fading >= WHOLE_BLINKS).astype(float)
    if "head" in taken:
        played |= {name: (np.zeros(1), strength) for name in SHIFTS}
    for name, (values, share) in played.items():
        column = MOTION.index(name)
        laid = fitted(values, n_frames, options.length)
        result[:, column] = (1.0 - share) * result[:, column] + share * laid
    return result


def driven_codes(codes: np.ndarray, driving: Driving) -> np.ndarray:
    """Emotion codes [T, 27] with the expression of a performance mixed in, where it is taken."""
    if "expression" not in driving.taken:
        return codes
    laid = fitted(driving.motion.at_rate().codes, len(codes), driving.options.length)
    share = driving.options.strength
    return ((1.0 - share) * codes + share * laid).astype(np.float32)


def driving_notes(driving: Driving, n_frames: int) -> list[str]:
    """What a user should know of a performance that drives a clip of so many frames."""
    motion, notes = driving.motion.at_rate(), [f"Performance: {note}" for note in driving.motion.notes]
    missing = [part for part in driving.options.take if part not in motion.parts]
    if missing:
        notes.append(f"The performance holds no {', '.join(missing)}; that is generated.")
    if "gaze" in driving.taken and any(name not in motion.tracks for name in GAZE):
        notes.append("The performance holds sideways gaze alone; up and down is generated.")
    if "blinks" in driving.taken and driving.options.strength < WHOLE_BLINKS:
        notes.append(
            f"Below strength {WHOLE_BLINKS:g} the blinks of a performance are left out, as half a blink is none."
        )
    if motion.n_frames < n_frames:
        goes_on = {"hold": "its last pose stays", "loop": "it begins again", "bounce": "it runs to and fro"}
        lasts = f"The performance lasts {motion.duration_s:.2f} s of {n_frames / FPS:.2f} s"
        notes.append(f"{lasts}; {goes_on[driving.options.length]}.")
    elif motion.n_frames > n_frames:
        notes.append(f"Of the performance's {motion.duration_s:.2f} s, {n_frames / FPS:.2f} s are used.")
    for name in HEAD:
        if "head" not in driving.taken or name not in motion.tracks:
            continue
        most = float(np.abs(motion.tracks[name][:n_frames]).max()) * driving.options.scale
        shown = float(np.degrees(held_back(np.radians(np.array(most)), _limit(name))))
        if most - shown > _SLACK_DEGREES:
            notes.append(f"The performance's {name} reaches {most:.0f} degrees and is held back to {shown:.0f}.")
    return notes


def fitted(values: np.ndarray, n_frames: int, length: str) -> np.ndarray:
    """A track [n, ...] cut or prolonged to [n_frames, ...] by one of PERFORMANCE_LENGTHS.

    >>> fitted(np.array([0, 1, 2]), 7, "bounce").tolist(), fitted(np.array([0, 1]), 4, "hold").tolist()
    ([0, 1, 2, 1, 0, 1, 2], [0, 1, 1, 1])
    """
    n, time = len(values), np.arange(n_frames)
    if n >= n_frames or n == 1 or length == "hold":
        return values[np.minimum(time, n - 1)]
    if length == "bounce":
        phase = time % (2 * n - 2)
        return values[np.minimum(phase, 2 * n - 2 - phase)]
    seam = min(SEAM_FRAMES, n // 4)
    phase, has_begun = time % (n - seam), time >= n - seam
    result = values[phase].astype(np.float64)
    inside = np.flatnonzero(has_begun & (phase < seam))
    share = ((phase[inside] + 1) / (seam + 1)).reshape(-1, *[1] * (values.ndim - 1))
    result[inside] = (1 - share) * values[n - seam + phase[inside]] + share * values[phase[inside]]
    return result


def held_back(angles: np.ndarray, limit: float) -> np.ndarray:
    """Angles as they are up to `KNEE` of a limit, and beyond it bent so that they never pass it.

    >>> held_back(np.array([0.5, -5.0]), 1.0).round(3).tolist()
    [0.5, -1.0]
    """
    size, knee = np.abs(angles), KNEE * limit
    bent = knee + (limit - knee) * np.tanh((size - knee) / (limit - knee))
    return np.sign(angles) * np.where(size > knee, bent, size)


def _fading(options: DrivingOptions, n: int, n_frames: int) -> np.ndarray:
    """Share [T] of the performance's lids and eyes: they go on by themselves where its head is only held."""
    time = np.arange(n_frames)
    if options.length != "hold" or n >= n_frames:
        return np.ones(n_frames)
    return np.clip((n + SEAM_FRAMES - time) / SEAM_FRAMES, 0.0, 1.0)


def _limit(name: str) -> float:
    return float(LIMITS[MOTION.index(name)])
