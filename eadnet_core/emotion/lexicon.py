"""Words of feeling in a language, found in a text, and which of them the text denies.

A lexicon is a file of `languages/`: lines of kind, value and words. Kinds are
  one of EMOTIONS   words that name it; the value is an intensity, or empty for the medium level
  EMOTION~          signs of it, such as tears: they count where no feeling is named ("crying with joy" is happy)
  degree            words that ask for the intensity of the value
  deny              words that deny the feeling "before" which or "after" which they stand, or "both"
  keep              what takes a denial back: "not only", "cannot stop"; with the value "alone" it denies by itself
  but               words that begin a clause of its own
  stop              common words that say nothing of a feeling; they tell the language
`word*` fits all words that begin so. In Chinese, Japanese and Korean, words are found anywhere; "_" is a space.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np

from ..taxonomy import EMOTIONS, LEVEL_INTENSITY
from .code import blend, emotion_code

LATIN = ("de", "es", "fr", "pt")
UNSPACED = ("zh", "ja", "ko")
REACH = {"before": 4, "after": 2}
"""Words between a denial and what it denies, at most; twice as many characters in unspaced languages."""
FARTHEST = 100
"""Letters between a denial and what it denies, at most."""
AFTER_BUT = 2.0
"""Weight of a feeling that follows the last "but", beside 1 of those before it."""
_BREAK = re.compile(r"[,.;:!?()\[\]\n\u2014\u2026、。，！？；：،؛؟।¡¿]|\s-+\s")
_LETTER = r"\w\u0300-\u036f\u0900-\u0963"
_WORD = re.compile(rf"[{_LETTER}]+(?:'[{_LETTER}]+)*")
_JOINED = re.compile(r"\W*(?:or|nor|and|o|ni|ou|e|y|et|oder|noch|und|и|или|و|या|और)?\W*(?:an?|any|the)?\W*")
_CAUSE = re.compile(r"\W*(?!reason)\w+.*\b(?:for|from|vor|от)\W*")
"""Between a denial and a feeling that causes what is denied: "cannot sleep for fear" does not deny fear."""
_ARABIC = r"(?:[وف]?(?:ال|بال|لل|س?[يتنا]|[بكل])?)"
"""What may be written before an Arabic word as part of it: and, the, with, for, he, she, we, I."""


@dataclass(frozen=True)
class Found:
    """An entry of a lexicon at start .. stop of a folded text."""

    start: int
    stop: int
    kind: str
    value: str


@dataclass(frozen=True)
class Entry:
    """A folded word of a lexicon, or with is_stem the beginning of words."""

    word: str
    is_stem: bool
    kind: str
    value: str


class Lexicon:
    """The entries of one language; the longest that fits at a place is found there."""

    def __init__(self, language: str, entries: Iterable[Entry]) -> None:
        self.language = language
        self.is_spaced = language not in UNSPACED
        self.entries = sorted(entries, key=lambda e: (-len(e.word), e.is_stem))
        words = (re.escape(e.word) + (rf"[{_LETTER}]*" if e.is_stem else "") for e in self.entries)
        if self.is_spaced:
            before = _ARABIC if language == "ar" else ""
            words = (rf"{word}(?![{_LETTER}])" for word in words)
            self._pattern = re.compile(rf"(?<![{_LETTER}]){before}({'|'.join(words)})")
        else:
            self._pattern = re.compile(f"({'|'.join(words)})")

    def find(self, text: str) -> list[Found]:
        """Entries in a folded text, from left to right, none of them over another."""
        return [self._found(match) for match in self._pattern.finditer(text)]

    def single_words(self, kind: str = "") -> frozenset[str]:
        """Its whole words, of one kind or of all."""
        return frozenset(e.word for e in self.entries if kind in ("", e.kind) and not e.is_stem and " " not in e.word)

    def _found(self, match: re.Match[str]) -> Found:
        word = match[1]
        entry = next(e for e in self.entries if word == e.word or (e.is_stem and word.startswith(e.word)))
        return Found(match.start(), match.end(), entry.kind, entry.value)


@lru_cache(maxsize=16)
def lexicon(language: str) -> Lexicon:
    """The lexicon of a language: "en", "es" .. as the files of `languages/` are called."""
    rows = _rows(language)
    return Lexicon(language, [entry for kind, value, words in rows for entry in _entries(kind, value, words)])


@lru_cache(maxsize=1)
def others() -> tuple[Lexicon, ...]:
    """Common words of languages that are not read."""
    return tuple(Lexicon(name, _entries("stop", "", words)) for name, _, words in _rows("others"))


def _rows(name: str) -> list[tuple[str, str, str]]:
    text = (files(__package__) / "languages" / f"{name}.tsv").read_text(encoding="utf-8")
    lines = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    return [(kind, value.strip(), words) for kind, value, words in lines[1:]]


def _entries(kind: str, value: str, words: str) -> list[Entry]:
    plain = (word.strip() for word in fold(words).split(","))
    return [Entry(word.rstrip("*").replace("_", " "), word.endswith("*"), kind, value) for word in plain]


def fold(text: str) -> str:
    """Lower case, compatible forms, no accents, no vowel signs of Arabic; other scripts keep their marks.

    >>> fold("Él ESTÁ…"), fold("ё"), fold("أُمّ"), fold("が")
    ('el esta...', 'е', 'ام', 'が')
    """
    parts = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'"))
    kept = (c for c in parts if not ("\u0300" <= c <= "\u036f" or "\u064b" <= c <= "\u0655" or c in "\u0640\u0670"))
    return unicodedata.normalize("NFC", "".join(kept)).translate(str.maketrans("ىة", "يه"))


def words_in(text: str) -> list[re.Match[str]]:
    """The words of a folded text, with their places.

    >>> [word[0] for word in words_in("she isn't दुखी.")]
    ['she', "isn't", 'दुखी']
    """
    return list(_WORD.finditer(text))


def emotion_of(found: Found) -> str | None:
    """The emotion that an entry names or is a sign of."""
    name = found.kind.rstrip("~")
    return name if name in EMOTIONS else None


def clauses(text: str, found: Sequence[Found]) -> list[tuple[int, int]]:
    """Where the clauses of a folded text lie: between its marks, and between words of the kind "but".

    >>> text = "not sad, but tired"
    >>> [text[a:b] for a, b in clauses(text, lexicon("en").find(text))]
    ['not sad', ' ', ' tired']
    """
    walls = sorted(_walls(text, found))
    starts = [0, *(stop for _, stop in walls)]
    stops = [*(start for start, _ in walls), len(text)]
    return [(start, stop) for start, stop in zip(starts, stops, strict=True) if start < stop]


def _walls(text: str, found: Sequence[Found]) -> list[tuple[int, int]]:
    """Where the marks and words lie that divide clauses."""
    return [m.span() for m in _BREAK.finditer(text)] + [(f.start, f.stop) for f in found if f.kind == "but"]


def denied_in(text: str, found: Sequence[Found], is_spaced: bool = True) -> list[Found]:
    """Those of the entries found in a folded text that it denies.

    A denial reaches to the nearest feeling on its side, and on to those that are joined to that one ("sad or angry"),
    within its clause and REACH; "keep" behind it in its clause takes it back.

    >>> text = "not sad or angry, but happy; cannot stop smiling"
    >>> [text[f.start : f.stop] for f in denied_in(text, lexicon("en").find(text))]
    ['sad', 'angry']
    """
    feelings = [f for f in found if emotion_of(f)]
    walls = _walls(text, found)

    def reaches(first: int, last: int, most: int) -> bool:
        if last - first > FARTHEST:
            return False
        between = text[first:last]
        n = len(words_in(between)) if is_spaced else len(between.replace(" ", "")) // 2
        is_apart = any(first <= wall[0] < last for wall in walls) or _CAUSE.fullmatch(between)
        return n <= most and not is_apart

    denied: list[Found] = []
    denials = [f for f in found if f.kind == "deny" or f.value == "alone"]
    for i, denial in enumerate(denials):
        if any(reaches(f.stop, denial.start, REACH["after"]) for f in denials[:i]) and denial.kind == "keep":
            continue
        keeps = (f for f in found if f.kind == "keep" and f.start >= denial.stop)
        if any(reaches(denial.stop, keep.start, REACH["before"] - 1) for keep in keeps):
            continue
        after = [f for f in feelings if f.start >= denial.stop and reaches(denial.stop, f.start, REACH["before"])]
        kept = max((f.stop for f in found if f.kind == "keep" and f.stop <= denial.start), default=-1)
        before = [f for f in feelings if f.stop > kept and f.stop <= denial.start]
        before = [f for f in before if reaches(f.stop, denial.start, REACH["after"])]
        if denial.value != "before" and before and not (denial.value == "both" and after):
            denied += before[-1:]
        elif denial.value != "after":
            denied += _joined(text, after)
    return list(dict.fromkeys(denied))


def _joined(text: str, feelings: Sequence[Found]) -> list[Found]:
    """The first of the feelings and those that "or" or "and" join to it."""
    chain = list(feelings[:1])
    for feeling in feelings[1:]:
        if not _JOINED.fullmatch(text[chain[-1].stop : feeling.start]):
            break
        chain.append(feeling)
    return chain


def opposite(denied: Iterable[str]) -> np.ndarray:
    """The code [27] of denied emotions where nothing else is said: not happy is a little sad, not calm is agitated.

    >>> from .code import describe
    >>> describe(opposite(["happy"])).label, describe(opposite(["fear"])).intensity
    ('sad', 0.0)
    """
    emotions = set(denied)
    if emotions == {"happy"}:
        return emotion_code("sad", LEVEL_INTENSITY[0])
    if emotions == {"neutral"}:
        return blend([emotion_code(label, LEVEL_INTENSITY[1]) for label in ("angry", "fear")], [1, 1])
    return emotion_code("neutral", 0.0)


def read_feelings(text: str, language: str, named: Sequence[str] = ()) -> np.ndarray | None:
    """The code [27] of a folded text in a language; None where it names no feeling that is known.

    named  emotions that pictograms name beside the words
    """
    is_mixed = re.search("[a-z]{3}", text) and language not in LATIN
    lexicons = [lexicon(language), *([lexicon("en")] if is_mixed else [])]
    return _weighed(text, lexicons, named)


def _weighed(text: str, lexicons: Sequence[Lexicon], named: Sequence[str]) -> np.ndarray | None:
    padded = f" {text} "
    own = lexicons[0].find(padded)
    loans = [f for other in lexicons[1:] for f in other.find(padded) if not _overlap(f, own) and f.kind != "stop"]
    found = sorted([*own, *loans], key=lambda f: f.start)
    denied = set(denied_in(padded, found, lexicons[0].is_spaced))
    lost = {emotion_of(f) for f in denied}
    live = [f for f in found if emotion_of(f) and f not in denied and emotion_of(f) not in lost]
    feelings = [f for f in live if f.kind in EMOTIONS and f.kind != "neutral"]
    signs = [f for f in live if f.kind.endswith("~")]
    chosen = feelings or ([] if named else signs or live)
    if not chosen and not named:
        return opposite(name for name in lost if name) if lost else None
    turn = max((f.start for f in found if f.kind == "but"), default=-1)
    turn = turn if any(f.start > turn for f in chosen) and turn >= 0 else len(padded)
    asked = [float(f.value) for f in found if f.kind == "degree"]
    shares = Counter((str(emotion_of(f)), f.value, AFTER_BUT if f.start > turn else 1.0) for f in chosen)
    shares.update((name, "", 1.0) for name in named)
    codes = [_at(name, value, asked) for name, value, _ in shares]
    return blend(codes, [weight * n for (_, _, weight), n in shares.items()])


def _overlap(one: Found, many: Iterable[Found]) -> bool:
    return any(one.start < other.stop and other.start < one.stop for other in many)


def _at(label: str, value: str, asked: Sequence[float]) -> np.ndarray:
    """The code [27] of an emotion at an entry's intensity, as weak or strong as words of degree ask."""
    if label == "neutral":
        return emotion_code(label, 0.0)
    intensity = float(value or LEVEL_INTENSITY[1])
    if asked:
        intensity = min(intensity, max(asked)) if max(asked) < LEVEL_INTENSITY[1] else max(intensity, *asked)
    return emotion_code(label, intensity)
