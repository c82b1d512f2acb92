"""Free text -> emotion code: what an artist's words ask of a face.

A network reads the words (handed in as a callable, see nets.text_encoder); this file holds what must not depend on
a network's mood: an empty prompt is neutral, a plain label is honoured, "not happy" is not happy, "slightly" is weaker
than "very", and a face that is described in words gets the action units of that description.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ..taxonomy import ACTION_UNITS, EMOTION_CODE_SIZE, EMOTION_RECORDS, EMOTIONS, LEVEL_INTENSITY
from .code import AROUSAL, INTENSITY, Emotion, blend, describe, emotion_code
from .language import ENGLISH, LEXICONS, language_of
from .lexicon import Found, clauses, denied_in, emotion_of, fold, lexicon, opposite, read_feelings, words_in

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

MOST_READ = 2000
"""Letters that are read of a text, at most; the network reads fewer."""
MOST_QUOTED = 60
"""Letters of a text that its note quotes, at most."""
_MOST = re.compile(
    r"\b(?:never|nothing|nobody|no one|(?:could|can)(?:n't| ?not)) (?:\w+ ){0,2}?"
    r"(?:be|been|felt|feel|seen|makes?|made) (?:\w+ ){0,2}?(?:more |so |this |such |(?=\w+ier\b|sadder\b))"
)
"""What looks like a denial and says the most: "couldn't be more", "never felt so", "nothing makes her happier"."""
_ANSWERED_NO = re.compile(r"[^.!?]*\?\s*(?:not|no|nope|never|hardly|far from)\b")
"""A question whose answer denies it: "happy? not me"."""
_LESS = re.compile(r"\b(?:joy|cheer|mirth|humou?r|fear)less(?:ly)?\b")
_NOT_UNHAPPY = frozenset(EMOTIONS) - {"neutral", "sad", "angry", "contempt"}
"""What a text that denies a happy feeling cannot mean."""

_PICTOGRAM_OF = {sign: f" {record.name} " for record in EMOTION_RECORDS for sign in record.pictograms}


class TextReader:
    """Reads emotion words with an encoder: texts -> raw numbers [n, 26]."""

    def __init__(self, encode: Encode) -> None:
        self._encode = encode

    def read(self, texts: Sequence[str]) -> list[Emotion]:
        """What each text asks for, in the order given; empty texts are neutral."""
        rows = zip(self.codes(texts), texts, strict=True)
        return [replace(describe(code, text), note=note_of(text)) for code, text in rows]

    def codes(self, texts: Sequence[str]) -> np.ndarray:
        """The codes [n, 27] float32 of the texts."""
        readings = [_reading(text) for text in texts]
        open_words = [reading.words for reading in readings if isinstance(reading, _Open)]
        raws = iter(self._encode(open_words)) if open_words else iter(())
        rows = [to_code(next(raws), r.words, r.barred) if isinstance(r, _Open) else r for r in readings]
        return np.stack(rows) if rows else np.zeros((0, EMOTION_CODE_SIZE), np.float32)


@dataclass(frozen=True)
class _Open:
    """English words that the network must read, and the emotions that the text denies."""

    words: str
    barred: frozenset[str] = frozenset()


def note_of(text: str) -> str:
    """What a report says of a text that is not understood, and neutral for that; empty for all others.

    >>> note_of("quietly furious"), note_of("")
    ('', '')
    >>> note_of("asdf qwer")[:38]
    "'asdf qwer' was not understood and is "
    """
    words = text.strip()
    short = words if len(words) <= MOST_QUOTED else words[: MOST_QUOTED - 3] + "..."
    if len(words) > MOST_READ:
        return f"Only the first {MOST_READ} of {len(words)} letters of {short!r} are read: say it in fewer words."
    if not words or by_rule(normalise(words)) is not None or _by_language(words) is not None:
        return ""
    languages = ", ".join(("English", *LEXICONS.values()))
    return f"{short!r} was not understood and is neutral. Say it in {languages}, or as one of the eight emotions."


def _reading(text: str) -> np.ndarray | _Open:
    """The code of a text, or what of it the network must read."""
    text = text.strip()[:MOST_READ]
    plain = normalise(text)
    neutral = emotion_code("neutral", 0.0)
    if not plain:
        return neutral
    ruled = by_rule(plain)
    if ruled is not None:
        return ruled
    read = _by_language(text)
    if isinstance(read, np.ndarray):
        return read
    return neutral if read is None else _without_denied(plain)


def _by_language(text: str) -> np.ndarray | Literal["en"] | None:
    """ "en" for English; the code of a text in another language; None for what is not understood."""
    named = [_PICTOGRAM_OF[c].strip() for c in text if c in _PICTOGRAM_OF]
    words = "".join(" " if c in _PICTOGRAM_OF else c for c in text)
    language = language_of(words)
    if language == ENGLISH:
        return "en"
    if language is not None:
        return read_feelings(fold(words), language, named)
    return blend([emotion_code(label, LEVEL_INTENSITY[1]) for label in named], [1.0] * len(named)) if named else None


def normalise(text: str) -> str:
    """Lower case, single spaces, plain quotes, and pictograms as the labels they stand for.

    >>> normalise("  So  HAPPY 😊 ")
    'so happy happy'
    """
    text = "".join(_PICTOGRAM_OF.get(c, c) for c in text.lower().replace("\u2019", "'"))
    return " ".join(text.split())


def by_rule(text: str) -> np.ndarray | None:
    """The code of a normalised text that is made of label words alone; None for all others.

    >>> describe(by_rule("slightly angry")).label, by_rule("fuming")
    ('angry', None)
    """
    labels = list(dict.fromkeys(_LABEL_OF[word] for word in re.findall(r"\w+", text) if word in _LABEL_OF))
    if not labels or not _ONLY_LABELS.match(text):
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


def to_code(raw: np.ndarray, text: str, barred: Collection[str] = ()) -> np.ndarray:
    """A code [27] from the raw numbers [26] of a normalised text, without the barred emotions."""
    logits = raw[: len(EMOTIONS)].astype(np.float64)
    words = re.findall(r"\w+", text)
    named = {_LABEL_OF[word] for word in words if word in _LABEL_OF}
    bonus = 4.0 if len(words) <= _SHORT else 1.0
    logits += [bonus * (label in named) for label in EMOTIONS]
    logits[[label in barred for label in EMOTIONS]] = -np.inf
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


def _without_denied(text: str) -> np.ndarray | _Open:
    """What is left of a normalised English text without the feelings that it denies.

    The clauses of a denied feeling are dropped; if the others say something, they are read, and never as what was
    denied. If not, the denied feeling turns to its opposite. "Couldn't be happier" denies nothing.
    """
    text = _MOST.sub("extremely ", text)
    found = lexicon(ENGLISH).find(text)
    denied = denied_in(text, found)
    for phrase in (*_ANSWERED_NO.finditer(text), *_LESS.finditer(text)):
        denied += [f for f in found if emotion_of(f) and phrase.start() <= f.start < phrase.end()]
    if not denied:
        return _Open(text)
    lost = frozenset(name for f in denied if (name := emotion_of(f)))
    rest = _rest(text, found, denied, lost)
    ruled = by_rule(rest)
    if ruled is not None:
        return ruled
    if rest:
        return _Open(rest, lost)
    is_plain = all(text[f.start : f.stop] in _LABEL_OF for f in denied)
    return opposite(lost) if is_plain or lost != {"happy"} else _Open(text, _NOT_UNHAPPY)


def _rest(text: str, found: Sequence[Found], denied: Sequence[Found], lost: Collection[str]) -> str:
    """The clauses that tell something else than what is denied, or nothing."""
    kept, says = [], False
    for start, stop in clauses(text, found):
        inside = [f for f in found if start <= f.start < stop]
        live = [f for f in inside if emotion_of(f) and f not in denied and emotion_of(f) not in lost]
        gone = [f for f in inside if f in denied]
        if gone and not live:
            continue
        begin = gone[-1].stop if gone and gone[-1].stop <= live[-1].start else start
        end = gone[0].start if gone and begin == start else stop
        kept.append(text[begin:end].strip())
        marks = [f for f in inside if f.kind in ("stop", "deny", "but", "keep")]
        says = says or any(len(w[0]) > 1 and not _lies_in(w, begin, marks) for w in words_in(text[begin:end]))
    return ", ".join(filter(None, kept)) if says else ""


def _lies_in(word: re.Match[str], offset: int, marks: Sequence[Found]) -> bool:
    return any(mark.start <= offset + word.start() and offset + word.end() <= mark.stop for mark in marks)
