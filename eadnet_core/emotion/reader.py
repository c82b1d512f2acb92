"""Free text -> emotion code: what an artist's words ask of a face.

A network reads the words (handed in as a callable, see nets.text_encoder); this file holds what must not depend on
a network's mood: an empty prompt is neutral, a plain label is honoured, "not happy" is not happy, "slightly" is weaker
than "very", and a face that is described in words gets the action units of that description.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from ..taxonomy import ACTION_UNITS, EMOTION_RECORDS, EMOTIONS, LEVEL_INTENSITY
from .code import AROUSAL, INTENSITY, Emotion, blend, describe, emotion_code

N_RAW = len(EMOTIONS) + 2 + len(ACTION_UNITS)
"""Raw numbers per text: label logits [8], intensity, log-odds of "describes a face", action units [16]."""
_INTENSITY, _IS_FACE = len(EMOTIONS), len(EMOTIONS) + 1

Encode = Callable[[Sequence[str]], np.ndarray]

SHARPNESS = 2.0
"""Power on the label probabilities: a code should show the emotion that was meant, not the reader's doubt."""
LEAST_SHARE = 0.2
"""Labels below this share of the best one are dropped from a code."""
MIXED_INTENSITY = 0.15
"""Intensity below which an emotion other than neutral would not be seen."""

_LABEL_OF = {word: record.name for record in EMOTION_RECORDS for word in record.words}
"""Words that name a label outright."""

DEGREES: dict[str, float] = {
    **dict.fromkeys(("slightly", "faintly", "mildly", "barely", "subtly", "vaguely", "somewhat", "gently"), 0.4),
    **dict.fromkeys(("a bit", "a little", "a touch", "a hint of", "a trace of", "kind of", "sort of"), 0.4),
    **dict.fromkeys(("fairly", "rather"), 0.5),
    **dict.fromkeys(("pretty", "moderately", "quite"), 0.7),
    **dict.fromkeys(("really", "truly"), 0.8),
    **dict.fromkeys(("very", "deeply", "strongly", "highly", "terribly", "seriously"), 0.9),
    **dict.fromkeys(("extremely", "utterly", "totally", "completely", "incredibly", "absolutely", "insanely"), 1.0),
    **dict.fromkeys(("intensely", "tremendously", "overwhelmingly", "beyond", "exceedingly"), 1.0),
}
"""Intensity that a word of degree asks for, in a short prompt."""
_DEGREE = re.compile(r"\b(" + "|".join(sorted(DEGREES, key=len, reverse=True)) + r")\b(?! (?:much|many|few|time)\b)")

_NEGATION = (
    r"(?:not|never|no longer|no|without|hardly|neither|nor|isn't|aren't|wasn't|weren't|ain't|doesn't|don't|didn't|"
    r"far from|anything but)"
)
_FILLER = (
    r"(?:(?:a|an|the|any|at all|in the least|very|really|so|too|look|looks|looking|feel|feeling|seem|seeming|be)\s+)*"
)
_NEGATED = re.compile(
    rf"\b{_NEGATION}\s+{_FILLER}({'|'.join(_LABEL_OF)})\b(?:\s+(?:at all|in the least|any more|anymore))?"
)
_ONLY_LABELS = re.compile(
    r"^(?:(?:is|are|look|looks|looking|feel|feels|feeling|seem|seems|very|really|and|with|an?|the|face|expression|emotion|"
    r"look|mood|person|man|woman|boy|girl|he|she|they|it|of|in|full|at all|just|but|also|both|all|"
    + "|".join(DEGREES)
    + "|"
    + "|".join(_LABEL_OF)
    + r")\b[\s,.;:!?+&/-]*)+$"
)
_SHORT = 6
"""Words up to which a prompt is short: degrees and labels then speak for all of it."""

_PICTOGRAM_OF = {sign: f" {record.name} " for record in EMOTION_RECORDS for sign in record.pictograms}


class TextReader:
    """Reads emotion words with an encoder: texts -> raw numbers [n, 26]."""

    def __init__(self, encode: Encode) -> None:
        self._encode = encode

    def read(self, texts: Sequence[str]) -> list[Emotion]:
        """What each text asks for, in the order given; empty texts are neutral."""
        return [describe(code, text) for code, text in zip(self.codes(texts), texts, strict=True)]

    def codes(self, texts: Sequence[str]) -> np.ndarray:
        """The codes [n, 27] float32 of the texts."""
        plain = [normalise(text) for text in texts]
        codes = np.tile(emotion_code("neutral", 0.0), (len(texts), 1))
        open_texts = []
        for i, text in enumerate(plain):
            ruled = by_rule(text)
            if ruled is not None:
                codes[i] = ruled
            elif text:
                open_texts.append(i)
        if open_texts:
            words = [_without_negated(plain[i]) for i in open_texts]
            for i, text, raw in zip(open_texts, words, self._encode(words), strict=True):
                codes[i] = to_code(raw, text)
        return codes


def normalise(text: str) -> str:
    """Lower case, single spaces, plain quotes, and pictograms as the labels they stand for.

    >>> normalise("  So  HAPPY 😊 ")
    'so happy happy'
    """
    text = "".join(_PICTOGRAM_OF.get(c, c) for c in text.lower().replace("\u2019", "'"))
    return " ".join(text.split())


def by_rule(text: str) -> np.ndarray | None:
    """The code of a normalised text that is made of label words alone, or of one label denied; None for all others.

    >>> describe(by_rule("slightly angry")).label, describe(by_rule("not happy at all")).label, by_rule("fuming")
    ('angry', 'sad', None)
    """
    denied = _NEGATED.findall(text)
    rest = _NEGATED.sub(" ", text)
    if denied and not re.search(r"\w", re.sub(r"\b(?:and|or|he|she|is|they|are|looks?)\b", "", rest)):
        is_low = {_LABEL_OF[word] for word in denied} == {"happy"}
        return emotion_code("sad", LEVEL_INTENSITY[0]) if is_low else emotion_code("neutral", 0.0)
    labels = list(dict.fromkeys(_LABEL_OF[word] for word in re.findall(r"\w+", text) if word in _LABEL_OF))
    if denied or not labels or not _ONLY_LABELS.match(text):
        return None
    intensity = degree(text)
    strong = any(word in text for record in EMOTION_RECORDS for word in record.extreme_words)
    plain = 1.0 if strong else LEVEL_INTENSITY[1]
    codes = [emotion_code(label, 0.0 if label == "neutral" else intensity or plain) for label in labels]
    return blend(codes, [1.0] * len(codes))


def degree(text: str) -> float | None:
    """The intensity that words of degree ask for, or None.

    >>> degree("extremely sad"), degree("a bit sad"), degree("sad")
    (1.0, 0.4, None)
    """
    found = [DEGREES[word] for word in _DEGREE.findall(text)]
    return max(found) if found else None


def to_code(raw: np.ndarray, text: str) -> np.ndarray:
    """A code [27] from the raw numbers [26] of a normalised text."""
    logits = raw[: len(EMOTIONS)].astype(np.float64)
    words = re.findall(r"\w+", text)
    named = {_LABEL_OF[word] for word in words if word in _LABEL_OF}
    bonus = 4.0 if len(words) <= _SHORT else 1.0
    logits += [bonus * (label in named) for label in EMOTIONS]
    shares = np.exp(SHARPNESS * (logits - logits.max()))
    shares[shares < LEAST_SHARE] = 0.0
    shares /= shares.sum()
    intensity = float(np.clip(raw[_INTENSITY], MIXED_INTENSITY, 1.0))
    asked = degree(text)
    if asked is not None and len(words) <= 2 * _SHORT:
        intensity = min(intensity, asked) if asked < LEVEL_INTENSITY[1] else max(intensity, asked)
    code = blend([emotion_code(label, 0.0 if label == "neutral" else intensity) for label in EMOTIONS], shares)
    is_face = 1 / (1 + np.exp(-float(raw[_IS_FACE])))
    units = slice(AROUSAL + 1, None)
    code[units] += np.float32(is_face) * (np.clip(raw[_IS_FACE + 1 :], 0.0, 1.0) - code[units])
    code[INTENSITY] = min(1.0, float(code[INTENSITY]))
    return code


def _without_negated(text: str) -> str:
    """The text without the labels that it denies, if something is left: "not angry, just tired" -> "just tired"."""
    rest = _NEGATED.sub(" ", text).strip(" ,.;:-!")
    return rest if len(re.findall(r"\w+", rest)) > 1 else text
