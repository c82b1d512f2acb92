"""An expression posed by hand: named sliders, what each does to a face's controls, and the emotion that they show.

All sliders at 0 leave a face as it is. A muscle's slider adds to what the face does already, or takes it back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np

from ..errors import BadInput
from ..taxonomy import ACTION_UNITS, CONTROLS, EMOTION_RECORDS, EMOTIONS, MOTION, VISEME_PARAMETERS
from .code import AROUSAL, INTENSITY, VALENCE, emotion_code

FORMAT = "eadnet_expression"
"""Key of a preset's version in its file."""
VERSION = 1
MOST = 1.3
"""Of a lip parameter or an action unit, as in families/mini.py."""
MOST_FEELING = 1.5
OWN_LEAST = 0.15
"""What is read off a face that rests reaches so far; less of it is no expression."""
LEAST_INTENSITY = 0.05
DEGREE = float(np.pi / 180)


@dataclass(frozen=True)
class Slider:
    """One thing that an artist can pose.

    name     what widgets, presets and requests call it
    group    where it stands in the panel
    low      least value; below 0 it takes back what `raised` says
    high     greatest value
    step     of the slider
    raised   controls that grow with it
    lowered  controls that grow below 0, once `raised` are at 0
    text     what it does, for tooltips
    """

    name: str
    group: str
    low: float
    high: float
    step: float
    text: str
    raised: tuple[str, ...] = ()
    lowered: tuple[str, ...] = ()


def _muscle(name: str, group: str, text: str, raised: str, lowered: str = "") -> Slider:
    return Slider(name, group, -1.0, 1.0, 0.01, text, tuple(raised.split()), tuple(lowered.split()))


def _turn(name: str, degrees: float, text: str) -> Slider:
    return Slider(name, "head", -degrees, degrees, 0.5, text)


FEELINGS = tuple(
    Slider(name, "feelings", 0.0, 1.0 if name == "neutral" else MOST_FEELING, 0.01, text)
    for name, text in [
        ("neutral", "How far what the picture shows already is taken back"),
        *((record.name, f"How {record.adjective} the face looks") for record in EMOTION_RECORDS[1:]),
    ]
)
SLIDERS = (
    *FEELINGS,
    _muscle("brow_inner", "brows", "Inner brows up, or less raised than in the picture", "AU1"),
    _muscle("brow_outer", "brows", "Outer brows up, or less raised than in the picture", "AU2"),
    _muscle("brow_lower", "brows", "Brows down and together, or less so than in the picture", "AU4"),
    _muscle("lids", "eyes", "Lids wide open, or closed below 0", "AU5", "blink"),
    _muscle("squint", "eyes", "Lids tightened, or less tight than in the picture", "AU7"),
    _muscle("gaze_x", "eyes", "Eyes towards the picture's right, or left below 0", "gaze_x"),
    _muscle("gaze_y", "eyes", "Eyes down, or up below 0", "gaze_y"),
    _muscle("cheeks", "cheeks", "Cheeks raised under the eyes, or less raised than in the picture", "AU6"),
    _muscle("nose", "cheeks", "Nose wrinkled, or less wrinkled than in the picture", "AU9"),
    _muscle("corners", "mouth", "Lip corners up, or down below 0", "AU12", "AU15"),
    _muscle("dimple", "mouth", "One lip corner tightened, or less tight than in the picture", "AU14"),
    _muscle("upper_lip", "mouth", "Upper lip raised, or less raised than in the picture", "AU10"),
    _muscle("jaw", "mouth", "Jaw dropped, or further shut than in the picture", "AU26 jaw"),
    _muscle("lips_open", "mouth", "Lips parted, or further shut than in the picture", "AU25 open"),
    _muscle("lips_width", "mouth", "Lips stretched, or rounded below 0", "AU20", "round"),
    _muscle("lips_press", "mouth", "Lips pressed, or less pressed than in the picture", "press AU23"),
    _muscle("chin", "mouth", "Chin pushed up, or less so than in the picture", "AU17"),
    _turn("yaw", 15.0, "Degrees that the head turns towards the picture's right"),
    _turn("pitch", 10.0, "Degrees that the head nods down"),
    _turn("roll", 8.0, "Degrees that the head leans clockwise"),
)
"""Every slider, in the order of the panel."""
SLIDER = {slider.name: slider for slider in SLIDERS}
MUSCLES = tuple(slider.name for slider in SLIDERS if slider.raised)
GROUPS = tuple(dict.fromkeys(slider.group for slider in SLIDERS))

_NUMBER = {name: i for i, name in enumerate(CONTROLS)}
_UNITS = slice(len(VISEME_PARAMETERS), len(VISEME_PARAMETERS) + len(ACTION_UNITS))
_GAZE = [_NUMBER["gaze_x"], _NUMBER["gaze_y"]]
_LOWEST = np.where(np.isin(np.arange(len(CONTROLS)), _GAZE), -1.0, 0.0)
_HIGHEST = np.where(np.arange(len(CONTROLS)) < _UNITS.stop, MOST, 1.0)


class Pose(Protocol):
    """What a face is to do, relative to what it does by itself."""

    @property
    def is_rest(self) -> bool:
        """Whether it leaves a face as it is."""

    def controls(self, own: np.ndarray) -> np.ndarray:
        """[28] taxonomy.CONTROLS, where the face does `own` [28] by itself."""

    def motion(self) -> np.ndarray:
        """[8] taxonomy.MOTION, relative to the picture."""


@dataclass(frozen=True)
class Expression:
    """Values of sliders by name; one that is not named is 0.

    >>> Expression({"corners": 0.5, "yaw": 0}).values
    {'corners': 0.5}
    """

    values: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises BadInput for a slider that there is not, and for a value outside its range."""
        checked = {name: _checked(name, value) for name, value in self.values.items()}
        object.__setattr__(self, "values", {name: value for name, value in checked.items() if value})

    def __getitem__(self, name: str) -> float:
        return self.values.get(name, 0.0)

    @property
    def is_rest(self) -> bool:
        """Whether it leaves a face as it is."""
        return not self.values

    @classmethod
    def from_json(cls, text: str) -> Expression:
        """A preset as `to_json` writes it. Raises BadInput.

        >>> Expression.from_json(Expression({"corners": 0.5}).to_json())["corners"]
        0.5
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BadInput(
                f"The preset is not JSON ({type(error).__name__}). Give a file that the editor saved."
            ) from error
        if not isinstance(data, dict) or data.get(FORMAT) != VERSION or not isinstance(data.get("values"), dict):
            raise BadInput(
                f'The preset is no expression. Give JSON like {{"{FORMAT}": {VERSION}, "values": {{"corners": 0.5}}}}.'
            )
        return cls(data["values"])

    def to_json(self) -> str:
        """The form in which presets are shared."""
        return json.dumps({FORMAT: VERSION, "values": dict(self.values)}, indent=2)

    def controls(self, own: np.ndarray) -> np.ndarray:
        """What a face shall do, [28] taxonomy.CONTROLS, where it does `own` [28] by itself.

        No control is brought beyond its range, but one that `own` has there stays.
        """
        own = np.asarray(own, np.float64)
        shown = own.copy()
        shown[: _UNITS.stop] *= 1.0 - self["neutral"]
        for record in EMOTION_RECORDS[1:]:
            for name, amount in record.action_units.items():
                shown[_NUMBER[name]] += amount * self[record.name]
        for slider in SLIDERS:
            if slider.raised and (value := self[slider.name]):
                _push(shown, slider, value)
        low, high = np.minimum(own, _LOWEST), np.maximum(own, _HIGHEST)
        return shown.clip(low, high).astype(np.float32)

    def motion(self) -> np.ndarray:
        """Turns of the head, [8] taxonomy.MOTION, relative to the picture."""
        moved = np.zeros(len(MOTION), np.float32)
        for name in ("yaw", "pitch", "roll"):
            moved[MOTION.index(name)] = self[name] * DEGREE
        return moved

    def code(self, own: np.ndarray) -> np.ndarray:
        """The emotion code [27] of a face that does `own` [28] by itself and is posed so.

        Its action units are those of the posed face. Its labels are the mixture of feelings whose action units come
        nearest to them: one feeling alone comes out as itself.

        >>> code = Expression({"happy": 0.5}).code(np.zeros(28))
        >>> bool(np.allclose(code, emotion_code("happy", 0.5), atol=1e-6))
        True
        """
        felt = np.clip((np.asarray(own, np.float64) - OWN_LEAST) / (1.0 - OWN_LEAST), 0.0, None)
        units = self.controls(felt)[_UNITS].clip(0.0, MOST)
        return _code_of(units)


@dataclass(frozen=True)
class Felt:
    """The expression of an emotion by itself, as a run has it where nobody speaks.

    Sampled frames of a silent face do what the code's action units say, whatever the portrait does by itself: over
    four portraits, nine emotions each, action units differ by 0.02 in the mean (0.2 from the portraits' own).

    turned  {"yaw" | "pitch" | "roll": degrees, "gaze_x" | "gaze_y": -1 .. 1, "blink": 0 .. 1}, where it is set
    """

    code: np.ndarray
    turned: Mapping[str, float] = field(default_factory=dict)
    is_rest: ClassVar[bool] = False

    def controls(self, own: np.ndarray) -> np.ndarray:
        """What a face shall do, [28] taxonomy.CONTROLS, where it does `own` [28] by itself; it looks where it did.

        >>> shown = Felt(emotion_code("happy", 1.0)).controls(np.full(28, 0.5))
        >>> [float(shown[_NUMBER[name]]) for name in ("AU12", "AU4", "jaw", "blink", "gaze_x")]
        [1.0, 0.0, 0.0, 0.0, 0.5]
        """
        shown = np.zeros(len(CONTROLS), np.float32)
        shown[_UNITS] = np.asarray(self.code)[AROUSAL + 1 :].clip(0.0, MOST)
        shown[_GAZE] = np.asarray(own)[_GAZE]
        for name in ("gaze_x", "gaze_y", "blink"):
            if name in self.turned:
                shown[_NUMBER[name]] = self.turned[name]
        return shown

    def motion(self) -> np.ndarray:
        """Turns of the head, [8] taxonomy.MOTION."""
        moved = np.zeros(len(MOTION), np.float32)
        for name in ("yaw", "pitch", "roll"):
            moved[MOTION.index(name)] = self.turned.get(name, 0.0) * DEGREE
        return moved


def _checked(name: str, value: Any) -> float:
    slider = SLIDER.get(name)
    if slider is None:
        raise BadInput(f"There is no slider {name!r:.80}; there are {', '.join(SLIDER)}.")
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not slider.low <= value <= slider.high:
        raise BadInput(f"{name} is {value!r:.80}; give a number in {slider.low:g} .. {slider.high:g}.")
    return float(value)


def _push(shown: np.ndarray, slider: Slider, value: float) -> None:
    """Raise some controls; first what stands against them is taken back."""
    raised, lowered = slider.raised, slider.lowered
    if _NUMBER[raised[0]] in _GAZE:
        shown[_NUMBER[raised[0]]] += value
        return
    if value < 0:
        raised, lowered = lowered, raised
    back = 0.0
    for name in lowered:
        taken = min(max(shown[_NUMBER[name]], 0.0), abs(value))
        shown[_NUMBER[name]] -= taken
        back = max(back, taken)
    for name in raised:
        shown[_NUMBER[name]] += abs(value) - back


def _code_of(units: np.ndarray) -> np.ndarray:
    """The code of action units [16]."""
    from scipy.optimize import nnls  # here, since importing it takes longer than loading the pack

    basis = np.stack([emotion_code(record.name, 1.0)[AROUSAL + 1 :] for record in EMOTION_RECORDS[1:]], 1)
    weights, _ = nnls(basis.astype(np.float64), units.astype(np.float64))
    strength = float(weights.sum())
    code = emotion_code("neutral", 0.0)
    if strength >= LEAST_INTENSITY:
        code[: len(EMOTIONS)] = [0.0, *(weights / strength)]
        points = np.array([(record.valence, record.arousal) for record in EMOTION_RECORDS[1:]])
        code[INTENSITY] = min(strength, MOST_FEELING)
        code[VALENCE : AROUSAL + 1] = (weights @ points).clip(-1.0, 1.0)
    code[AROUSAL + 1 :] = units
    return code
