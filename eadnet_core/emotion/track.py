"""An emotion over time: keyframes of words or codes, cross-faded in between."""

from __future__ import annotations

import json
import math
import sys
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import BadInput
from ..taxonomy import EMOTION_CODE_SIZE, EMOTIONS
from .code import INTENSITY
from .reader import note_of
from .reference import Look, Reference

FADE_FRAMES = 10
"""In which words that are changed while a face speaks take over, .4 s."""
LEAST_FADE_S = 0.04
"""One frame: a fade cannot be shorter."""
MOST_CODE = 10.0
"""No number of a code is beyond it; those of the words stay within 1, and half precision holds 65504."""
EASES = ("linear", "smooth", "in", "out")
"""How a fade runs: evenly; starting and ending softly; starting softly; ending softly."""
_KEYS = {"time_s", "text", "intensity", "code", "fade_s", "ease", "reference", "speaker"}
_SOFT_PARTS = 8
"""Straight pieces that a soft fade becomes where two tracks are blended."""


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
    reference  a photo or clip whose face is looked at beside the words
    speaker    who speaks from then on and whose face it is, by name; None: every face, and whoever spoke goes on
    """

    time_s: float
    text: str = ""
    intensity: float | None = None
    code: tuple[float, ...] | None = None
    fade_s: float | None = None
    ease: str = "linear"
    reference: Reference | None = None
    speaker: str | None = None


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
            if before.time_s == after.time_s and before.speaker == after.speaker:
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
        except (ValueError, RecursionError) as error:
            raise BadInput(f"The emotion track is not JSON ({error}).") from error
        if not isinstance(value, (str, list)):
            raise BadInput('The emotion track must be a string or a list of {"time_s": .., "text": ..}.')
        return cls.parse(value)

    def to_json(self) -> str:
        """The form that `from_json` reads.

        >>> EmotionTrack.parse([(0, "calm"), (1.5, "angry", 0.5)]).to_json()
        '[{"time_s": 0.0, "text": "calm"}, {"time_s": 1.5, "text": "angry", "intensity": 0.5}]'
        """
        values = map(asdict, self.keyframes)
        return json.dumps([{key: v for key, v in value.items() if v not in (None, "linear")} for value in values])

    @property
    def speakers(self) -> tuple[str, ...]:
        """Everybody whom a keyframe names, in the order in which they begin."""
        return tuple(dict.fromkeys(k.speaker for k in self.keyframes if k.speaker is not None))

    def turns(self, speaker: str, end_s: float) -> list[tuple[float, float]]:
        """When one of several speaks: (start, end) in seconds, each from a keyframe of theirs to the next of another.

        >>> talk = EmotionTrack.parse([{"time_s": t, "speaker": name} for t, name in ((0, "A"), (2, "B"), (5, "A"))])
        >>> talk.turns("A", 8.0), talk.turns("B", 8.0)
        ([(0.0, 2.0), (5.0, 8.0)], [(2.0, 5.0)])
        """
        times = sorted({k.time_s for k in self.keyframes if k.speaker is not None} | {end_s})
        spans: list[tuple[float, float]] = []
        for k in self.keyframes:
            if k.speaker != speaker or k.time_s >= end_s:
                continue
            start_s, stop_s = k.time_s, times[bisect_right(times, k.time_s)]
            if spans and spans[-1][1] >= start_s:
                start_s = spans.pop()[0]
            spans.append((start_s, min(stop_s, end_s)))
        return spans

    def of(self, speaker: str) -> EmotionTrack:
        """What one of several shows: keyframes that name them, and those that name nobody; neutral without any."""
        own = {k.time_s for k in self.keyframes if k.speaker == speaker}
        kept = [k for k in self.keyframes if k.speaker == speaker or (k.speaker is None and k.time_s not in own)]
        return EmotionTrack(tuple(replace(k, speaker=None) for k in kept) or (Keyframe(0.0),))

    def read(self, codes: Callable[[list[str]], np.ndarray]) -> EmotionTrack:
        """The same track with its words read by `codes` (texts -> [n, 27]); codes that are given stay."""
        texts = list(dict.fromkeys(k.text for k in self.keyframes if k.code is None))
        known = dict(zip(texts, np.asarray(codes(texts)), strict=True)) if texts else {}
        filled = (
            k if k.code is not None else replace(k, code=tuple(map(float, known[k.text]))) for k in self.keyframes
        )
        return EmotionTrack(tuple(filled))

    def unread(self) -> list[str]:
        """Notes on the words that will not be understood, before the track is read."""
        notes = (note_of(k.text) for k in self.keyframes if k.code is None)
        return list(dict.fromkeys(filter(None, notes)))

    def borrowing(self, reference: Reference | None) -> EmotionTrack:
        """The same track with a reference beside the words of every keyframe that has none of its own."""
        return EmotionTrack(tuple(replace(k, reference=k.reference or reference) for k in self.keyframes))

    def seen(self, look: Look) -> EmotionTrack:
        """A track that has been read with what its references show mixed in, as far as each of them weighs."""
        return EmotionTrack(tuple(_seen(k, look) for k in self.keyframes))

    def blended(self, other: EmotionTrack, weight: float) -> EmotionTrack:
        """At every time this track's emotion mixed with another's; both must have been read.

        weight  of the other, 0 .. 1

        >>> calm, wild = (EmotionTrack((Keyframe(0.0, code=(x,) * 27),)) for x in (0.0, 1.0))
        >>> calm.blended(wild, 0.25).at([3.0])[0, 0]
        np.float32(0.25)
        """
        times = sorted({t for track in (self, other) for t in track._corners()})
        share = _number(weight, "weight of a blend", 1.0)
        codes = (1.0 - share) * self.at(times) + share * other.at(times)
        said = [" + ".join(dict.fromkeys(filter(None, (self._words(t), other._words(t))))) for t in times]
        rows = zip(times, said, codes, strict=True)
        return EmotionTrack(tuple(Keyframe(t, text, code=tuple(map(float, code))) for t, text, code in rows))

    def _corners(self) -> list[float]:
        """Times between which the codes run straight."""
        corners = [self.keyframes[0].time_s]
        for before, k in pairwise(self.keyframes):
            gap = k.time_s - before.time_s
            fade = gap if k.fade_s is None else min(max(k.fade_s, LEAST_FADE_S), gap)
            parts = 1 if k.ease == "linear" else _SOFT_PARTS
            corners += [k.time_s - fade * (1 - i / parts) for i in range(parts + 1)]
        return corners

    def _words(self, time_s: float) -> str:
        return next((k.text for k in reversed(self.keyframes) if k.time_s <= time_s), self.keyframes[0].text)

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
        if any(k.reference is not None for k in self.keyframes):
            raise ValueError("this track has references that nobody looked at: call seen() first")
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
        fades = np.minimum(wanted, gaps).clip(1e-6)  # speakers may have keyframes at one time
        eases = np.array([EASES.index(k.ease) for k in self.keyframes])
        after = np.searchsorted(marks, times, side="right").clip(1, len(marks) - 1)
        share = (1.0 + (times - marks[after]) / fades[after]).clip(0.0, 1.0)
        share = eased(share, eases[after])[:, None]
        return ((1.0 - share) * codes[after - 1] + share * codes[after]).astype(np.float32)


def eased(share: np.ndarray, eases: np.ndarray) -> np.ndarray:
    """How far fades have come, 0 .. 1, where they have lasted for `share` [T] of their time.

    eases  [T]  indices of EASES

    >>> eased(np.full(4, 0.25), np.arange(4)).tolist()
    [0.25, 0.15625, 0.0625, 0.4375]
    """
    return np.choose(eases, [share, share * share * (3.0 - 2.0 * share), share * share, share * (2.0 - share)])


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


def _seen(keyframe: Keyframe, look: Look) -> Keyframe:
    reference = keyframe.reference
    if reference is None or keyframe.code is None:
        return keyframe
    code = reference.mixed(np.asarray(keyframe.code, dtype=np.float32), look(reference))
    words = " + ".join(filter(None, (keyframe.text, f"as in {reference.name}")))
    return replace(keyframe, text=words, code=tuple(map(float, code)), reference=None)


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
    speaker = values.get("speaker")
    if speaker is not None and not (isinstance(speaker, str) and speaker.strip()):
        raise BadInput(f"The speaker of emotion keyframe {number} is {speaker!r}; give a name, or leave it out.")
    fade_s, ease = values.get("fade_s"), values.get("ease", "linear")
    if ease not in EASES:
        raise BadInput(f"The ease of emotion keyframe {number} is {ease!r}; it is one of {', '.join(EASES)}.")
    return Keyframe(
        time_s=_number(values["time_s"], f"time_s of emotion keyframe {number}", math.inf),
        text=text.strip(),
        intensity=None if intensity is None else _number(intensity, f"intensity of emotion keyframe {number}", 1.0),
        code=None if code is None else _code(code, number),
        fade_s=None if fade_s is None else _number(fade_s, f"fade_s of emotion keyframe {number}", math.inf),
        ease=ease,
        reference=None if values.get("reference") is None else Reference.parse(values["reference"]),
        speaker=None if speaker is None else speaker.strip(),
    )


def _code(values: Any, number: int) -> tuple[float, ...]:
    try:
        code = np.asarray(values)
    except ValueError:  # rows of unequal lengths
        code = np.zeros(0)
    is_code = code.shape == (EMOTION_CODE_SIZE,) and code.dtype.kind in "iuf"
    if not is_code or not (np.abs(code) <= MOST_CODE).all():
        wanted = f"{EMOTION_CODE_SIZE} finite numbers, none beyond {MOST_CODE:g}"
        raise BadInput(f"The code of emotion keyframe {number} must be {wanted}.")
    return tuple(map(float, code))


def _number(value: Any, name: str, most: float) -> float:
    is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= min(most, sys.float_info.max):
        allowed = "0 or more" if math.isinf(most) else f"0 .. {most:g}"
        raise BadInput(f"The {name} is {value!r}; it must be {allowed}.")
    return float(value)
