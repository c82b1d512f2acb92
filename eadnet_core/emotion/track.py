"""An emotion over time: keyframes of words or codes, cross-faded in between."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import BadInput
from .code import INTENSITY
from .taxonomy import EMOTION_CODE_SIZE, EMOTIONS

LEAST_FADE_S = 0.04
"""One frame: a fade cannot be shorter."""
EASES = ("linear", "smooth")
"""How a fade runs: evenly, or starting and ending softly."""
_KEYS = {"time_s", "text", "intensity", "code", "fade_s", "ease"}


@dataclass(frozen=True)
class Keyframe:
    """What the face shows at one time.

    time_s     seconds from the start of the clip
    text       emotion words; empty means neutral
    intensity  0 .. 1 instead of what the words ask for, or None
    code       the emotion code [27] that the words were read as, or that was given
    fade_s     seconds before time_s in which the face changes to this from what it held; None: all the time since
               the keyframe before, 0: at once
    ease       how it changes: one of EASES
    """

    time_s: float
    text: str = ""
    intensity: float | None = None
    code: tuple[float, ...] | None = None
    fade_s: float | None = None
    ease: str = "linear"


@dataclass(frozen=True)
class EmotionTrack:
    """Keyframes in the order of time; before the first and after the last the emotion stays as it is there."""

    keyframes: tuple[Keyframe, ...]

    @classmethod
    def parse(cls, words: str | Sequence[Any]) -> EmotionTrack:
        """A track from one prompt for the whole clip, or from keyframes.

        words  a string; or (time_s, text) or (time_s, text, intensity) tuples, mappings with those names, or Keyframes
        Raises BadInput for times that are negative or given twice, and for an intensity outside 0 .. 1.

        >>> [k.text for k in EmotionTrack.parse([(2, "furious"), (0, "calm")]).keyframes]
        ['calm', 'furious']
        """
        if isinstance(words, str):
            return cls((Keyframe(0.0, words.strip()),))
        keyframes = sorted((_keyframe(item, i) for i, item in enumerate(words)), key=lambda k: k.time_s)
        if not keyframes:
            raise BadInput("An emotion track needs at least one keyframe; for a neutral clip give an empty prompt.")
        for before, after in pairwise(keyframes):
            if before.time_s == after.time_s:
                raise BadInput(f"Two emotion keyframes at {after.time_s:g} s: give each its own time.")
        return cls(tuple(keyframes))

    @classmethod
    def from_json(cls, text: str) -> EmotionTrack:
        """A track from JSON: a string, or a list of objects {"time_s", "text", "intensity"}; raises BadInput.

        >>> EmotionTrack.from_json('"amused"') == EmotionTrack.parse("amused")
        True
        """
        try:
            value = json.loads(text)
        except json.JSONDecodeError as error:
            raise BadInput(f"The emotion track is not JSON ({error}).") from error
        if not isinstance(value, (str, list)):
            raise BadInput('The emotion track must be a string or a list of {"time_s": .., "text": ..}.')
        return cls.parse(value)

    def to_json(self) -> str:
        """The form that `from_json` reads.

        >>> EmotionTrack.parse([(0, "calm"), (1.5, "angry", 0.5)]).to_json()
        '[{"time_s": 0.0, "text": "calm"}, {"time_s": 1.5, "text": "angry", "intensity": 0.5}]'
        """
        values = ({key: getattr(k, key) for key in Keyframe.__dataclass_fields__} for k in self.keyframes)
        return json.dumps([{key: v for key, v in value.items() if v not in (None, "linear")} for value in values])

    def read(self, codes: Callable[[list[str]], np.ndarray]) -> EmotionTrack:
        """The same track with its words read by `codes` (texts -> [n, 27]); codes that are given stay."""
        texts = list(dict.fromkeys(k.text for k in self.keyframes if k.code is None))
        known = dict(zip(texts, np.asarray(codes(texts)), strict=True)) if texts else {}
        filled = (
            k if k.code is not None else replace(k, code=tuple(map(float, known[k.text]))) for k in self.keyframes
        )
        return EmotionTrack(tuple(filled))

    def held(self, cross_fade_s: float) -> EmotionTrack:
        """The same emotions, each held until `cross_fade_s` before the next; fades that are given stay.

        >>> [k.fade_s for k in EmotionTrack.parse([(0, "calm"), {"time_s": 3, "fade_s": 1}]).held(0.5).keyframes]
        [0.5, 1.0]
        """
        return EmotionTrack(
            tuple(k if k.fade_s is not None else replace(k, fade_s=float(cross_fade_s)) for k in self.keyframes)
        )

    def at(self, times_s: ArrayLike) -> np.ndarray:
        """Codes [T, 27] float32 at the given times, held and faded as the keyframes say; it must have been read."""
        if any(k.code is None for k in self.keyframes):
            raise ValueError("this track has words without codes: call read() first")
        codes = np.stack([with_intensity(np.asarray(k.code), k.intensity) for k in self.keyframes])
        times = np.asarray(times_s, dtype=np.float64)
        if len(codes) == 1:
            return np.repeat(codes, len(times), axis=0).astype(np.float32)
        marks = np.array([k.time_s for k in self.keyframes])
        gaps = np.diff(marks, prepend=marks[0] - 1.0)
        wanted = [
            gap if k.fade_s is None else max(k.fade_s, LEAST_FADE_S)
            for k, gap in zip(self.keyframes, gaps, strict=True)
        ]
        fades = np.minimum(wanted, gaps)
        is_smooth = np.array([k.ease == "smooth" for k in self.keyframes])
        after = np.searchsorted(marks, times, side="right").clip(1, len(marks) - 1)
        share = (1.0 + (times - marks[after]) / fades[after]).clip(0.0, 1.0)
        share = np.where(is_smooth[after], share * share * (3.0 - 2.0 * share), share)[:, None]
        return ((1.0 - share) * codes[after - 1] + share * codes[after]).astype(np.float32)


def with_intensity(code: np.ndarray, intensity: float | None) -> np.ndarray:
    """The code brought to an intensity 0 .. 1: valence, arousal and action units in proportion; None leaves it.

    >>> from .code import emotion_code
    >>> bool(np.allclose(with_intensity(emotion_code("sad", 1.0), 0.5), emotion_code("sad", 0.5)))
    True
    """
    if intensity is None or code[INTENSITY] <= 0:
        return code
    scaled = code * (intensity / code[INTENSITY])
    scaled[: len(EMOTIONS)] = code[: len(EMOTIONS)]
    scaled[INTENSITY + 1 :] = scaled[INTENSITY + 1 :].clip(-1, 1)
    return scaled


def _keyframe(item: Any, number: int) -> Keyframe:
    if isinstance(item, Keyframe):
        values: dict[str, Any] = vars(item)
    elif isinstance(item, Mapping):
        values = dict(item)
    elif isinstance(item, Sequence) and not isinstance(item, str) and 2 <= len(item) <= 3:
        values = dict(zip(("time_s", "text", "intensity"), item, strict=False))
    else:
        raise BadInput(f"Emotion keyframe {number} is {item!r}; expected (time_s, text) or (time_s, text, intensity).")
    unknown = sorted(values.keys() - _KEYS)
    if unknown or "time_s" not in values:
        problem = f"unknown '{unknown[0]}'" if unknown else "no 'time_s'"
        raise BadInput(f"Emotion keyframe {number} has {problem}; its keys are {', '.join(sorted(_KEYS))}.")
    intensity, code, text = values.get("intensity"), values.get("code"), values.get("text", "")
    if not isinstance(text, str):
        raise BadInput(f"The text of emotion keyframe {number} is {text!r}; expected words.")
    if code is not None and (np.shape(code) != (EMOTION_CODE_SIZE,) or not np.isfinite(code).all()):
        raise BadInput(f"The code of emotion keyframe {number} must be {EMOTION_CODE_SIZE} finite numbers.")
    fade_s, ease = values.get("fade_s"), values.get("ease", "linear")
    if ease not in EASES:
        raise BadInput(f"The ease of emotion keyframe {number} is {ease!r}; it is one of {', '.join(EASES)}.")
    return Keyframe(
        time_s=_number(values["time_s"], f"time_s of emotion keyframe {number}", math.inf),
        text=text.strip(),
        intensity=None if intensity is None else _number(intensity, f"intensity of emotion keyframe {number}", 1.0),
        code=None if code is None else tuple(map(float, code)),
        fade_s=None if fade_s is None else _number(fade_s, f"fade_s of emotion keyframe {number}", math.inf),
        ease=ease,
    )


def _number(value: Any, name: str, most: float) -> float:
    is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not 0 <= value <= most:
        allowed = "0 or more" if math.isinf(most) else f"0 .. {most:g}"
        raise BadInput(f"The {name} is {value!r}; it must be {allowed}.")
    return float(value)
