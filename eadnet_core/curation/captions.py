"""Does a caption speak of a person: FaceID-6M's keyword filter, with the lists in `words/`.

FaceID-6M (Wang et al., arXiv 2503.07091) keeps captions that hold a word for a person, a nationality, an ethnicity, a
profession or a name. A keyword alone also keeps a rose called Margaret and a Chinese vase, so that here a keyword that
names a thing by the words around it does not count; `has_guards=False` is the plain rule.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import regex

from ..emotion.language import is_english
from ..errors import BadInput

KINDS = {
    "person": "persons",
    "nationality": "nationalities",
    "ethnicity": "ethnicities",
    "profession": "professions",
    "name": "given_names",
}
"""File in `words/` by kind of keyword."""
LANGUAGES = ("de", "en", "es", "fr", "it", "ja", "ko", "nl", "pt", "ru", "zh")
"""Languages with words for persons; given names come from everywhere."""
_LONGEST = 3
"""Words in the longest keyword or phrase."""
_AHEAD = {"nationality": 3, "ethnicity": 3, "name": 2}
"""So many words after a keyword may make it a thing, as in "Chinese blue porcelain vase"; one after the others."""
_CLAUSE = regex.compile(r"[^\n,.;:!?()\[\]|/–—\"“”]+")
_TOKEN = regex.compile(r"[\p{L}\p{M}]+(?:['’-][\p{L}\p{M}]+)*")
_ABBREVIATED = regex.compile(r"\b(St|Mr|Mrs|Ms|Dr|Mt|Ft|Prof|Rev|Gen)\.")
_UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]")
_STOPS = frozenset(("a", "an", "and", "are", "as", "at", "by", "during", "for", "from", "in", "is", "of", "on", "or"))
_STOPS |= {"the", "to", "was", "wearing", "who", "with"}


@dataclass(frozen=True)
class Keyword:
    """A word of a caption that speaks of a person, and which list of `KINDS` holds it."""

    kind: str
    word: str


def keywords(caption: str, languages: Collection[str] = LANGUAGES, has_guards: bool = True) -> list[Keyword]:
    """What in a caption speaks of a person, in order; empty where nothing does.

    languages   whose lists are read; given names of all
    has_guards  leave keywords out that name a thing by the words around them (`words/things.tsv`, English)
    Raises BadInput for a language without lists.

    >>> [k.word for k in keywords("The president of the chess club")]
    ['president']
    >>> keywords("A rose called Margaret"), keywords("A rose called Margaret", has_guards=False)
    ([], [Keyword(kind='name', word='Margaret')])
    >>> keywords("一个女孩在公园"), keywords("Chinese blue porcelain vase")
    ([Keyword(kind='person', word='女孩')], [])
    """
    words = _words(tuple(sorted(languages)))
    found = [Keyword(words.unspaced[m[0]], m[0]) for m in words.pattern.finditer(caption)] if words.pattern else []
    for clause in _CLAUSE.findall(_ABBREVIATED.sub(r"\1", caption)):
        found += _in_clause([m[0].replace("’", "'") for m in _TOKEN.finditer(clause)], words, has_guards)
    return found


@dataclass(frozen=True)
class _Words:
    kinds: dict[str, str]
    names: frozenset[str]
    unspaced: dict[str, str]
    pattern: regex.Pattern[str] | None


def _in_clause(tokens: list[str], words: _Words, has_guards: bool) -> Iterator[Keyword]:
    things = _things()
    at = 0
    while at < len(tokens):
        for n in range(min(_LONGEST, len(tokens) - at), 0, -1):
            text = " ".join(tokens[at : at + n])
            if has_guards and text.casefold() in things["phrases"]:
                break
            kind = _kind(text, words)
            if kind is not None:
                if not has_guards or not _is_thing(kind, tokens, at, n, words):
                    yield Keyword(kind, text)
                break
        at += n


def _kind(text: str, words: _Words) -> str | None:
    """The list that holds a word, in singular or plural, possessive or not."""
    plain = text.removesuffix("'s").removesuffix("'")
    folded = plain.casefold()
    if folded in _things()["capital"] and not plain[:1].isupper():
        return None
    stems = [folded]
    if len(folded) > 4 and folded.endswith("s"):
        stems += [folded[:-1], folded[:-2] if folded.endswith("es") else folded]
        stems += [f"{folded[:-3]}y"] if folded.endswith("ies") else []
    for stem in stems:
        if stem in words.kinds:
            return words.kinds[stem]
    return "name" if folded in words.names and plain[0].isupper() else None


def _is_thing(kind: str, tokens: list[str], at: int, n: int, words: _Words) -> bool:
    """Whether the words around a keyword, tokens[at : at + n], make it the name of a thing."""
    things, last = _things(), tokens[at + n - 1]
    before = tokens[at - 1].casefold() if at else ""
    if last.endswith(("'s", "s'")):
        return True
    for token in tokens[at + n : at + n + _AHEAD.get(kind, 1)]:
        if token.casefold() in _STOPS:
            break
        if token.casefold() in things["after"]:
            return True
    if kind != "name":
        return False
    if before in things["titles"]:
        return before in things["before"]
    if before in things["called"] or before in things["before"]:
        return True
    return " ".join(tokens[at : at + n]).casefold() in things["plain"] and not _has_surname(tokens, at + n, words)


def _has_surname(tokens: list[str], at: int, words: _Words) -> bool:
    """Whether what follows a given name may be a surname: a capital, and known as one, or as no other word."""
    if at >= len(tokens) or not tokens[at][0].isupper():
        return False
    folded = tokens[at].casefold()
    return folded in _surnames() or folded in words.names or not (folded in words.kinds or is_english(folded))


@lru_cache(maxsize=8)
def _words(languages: tuple[str, ...]) -> _Words:
    unknown = sorted(set(languages) - set(LANGUAGES))
    if unknown:
        raise BadInput(f"No lists for the language '{unknown[0]}'; give some of {', '.join(LANGUAGES)}.")
    kinds: dict[str, str] = {}
    names: set[str] = set()
    for kind, name in KINDS.items():
        for language, listed in _lines(name):
            if kind == "name":
                names |= listed
            elif language in languages:
                kinds.update((word, kind) for word in listed if word not in kinds)
    unspaced = {word: kinds.pop(word) for word in list(kinds) if _UNSPACED.match(word)}
    longest_first = sorted(unspaced, key=len, reverse=True)
    pattern = regex.compile("|".join(map(regex.escape, longest_first))) if unspaced else None
    return _Words(kinds, frozenset(names), unspaced, pattern)


@lru_cache(maxsize=1)
def _things() -> dict[str, set[str]]:
    return dict(_lines("things"))


@lru_cache(maxsize=1)
def _surnames() -> frozenset[str]:
    return frozenset(name for _, listed in _lines("surnames") for name in listed)


def _lines(name: str) -> Iterator[tuple[str, set[str]]]:
    """(language or role, words) of each line of a list."""
    text = (files(__package__) / "words" / f"{name}.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
    yield from ((key, {word.casefold() for word in words.split(", ")}) for key, words in rows[1:])
