"""Which language a text is in, told by its script and its words, and whether it is one that is read.

English goes to the network, the languages of LEXICONS to their lexicon; what is neither is not understood.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files

from .lexicon import LATIN, Lexicon, fold, lexicon, others, words_in

ENGLISH = "en"
LEXICONS = {
    "ar": "Arabic",
    "de": "German",
    "es": "Spanish",
    "fr": "French",
    "hi": "Hindi",
    "ja": "Japanese",
    "ko": "Korean",
    "pt": "Portuguese",
    "ru": "Russian",
    "zh": "Chinese",
}
"""Languages that are read by a lexicon, and their names."""
_SCRIPTS = {
    "ja": re.compile("[\u3040-\u30ff\u31f0-\u31ff]"),
    "ko": re.compile("[\u1100-\u11ff\uac00-\ud7af]"),
    "zh": re.compile("[\u3400-\u9fff]"),
    "ru": re.compile("[\u0400-\u04ff]"),
    "ar": re.compile("[\u0600-\u06ff\u0750-\u077f]"),
    "hi": re.compile("[\u0900-\u097f]"),
}
"""A letter of each script, kana before the ideographs that Japanese shares with Chinese."""
_ENDING = re.compile(r"(?:ing|ings|ed|edly|ingly|ly|ily|s|es|ies|er|ers|est|iest|y|ness|iness|ful|less|ish|d|r|ment)$")
_ENGLISH_ENDING = re.compile(r"[a-z]{3,}(?:ed|ing|ly|ous|ful|less|ness|ish)$")
_BEGINNING = re.compile(r"^(?:un|re|over|out|dis|mis|non|under)(?=[a-z]{4})")
_EMOTICONS = re.compile(
    r"(?<!\S)(?:>?[:;=][-']?[()/dpso|]|x-?[dp]|<3|\^_?\^|t_t|;_;|>\.<|o_o|0_0|\u00ac_\u00ac|-_-)(?!\S)", re.IGNORECASE
)
"""Faces in letters that the network knows."""
LEAST_KNOWN = 0.6
"""Share of an English text's words that must be English."""
LEAST_SPOKEN = 0.3
"""Share of another text's words that its lexicon must hold."""


def language_of(text: str) -> str | None:
    """ "en", a language of LEXICONS, or None for what is not read.

    >>> [language_of(t) for t in ("quietly furious", "furieux", "悲しい", "悲伤", "asdf qwer", "?!", "arrabbiata")]
    ['en', 'fr', 'ja', 'zh', None, None, None]
    """
    if _EMOTICONS.search(text):
        return ENGLISH
    folded = fold(text)
    for language, script in _SCRIPTS.items():
        if script.search(folded):
            return language if _speaks(folded, language) else ENGLISH if _is_english(_latin(folded)) else None
    words = _latin(folded)
    return _latin_language(folded, words)


def _speaks(folded: str, language: str) -> bool:
    return any(found.kind != "stop" for found in lexicon(language).find(f" {folded} "))


def _latin(folded: str) -> list[str]:
    """The words in Latin letters, single letters apart."""
    words = (word[0] for word in words_in(folded))
    return [w for w in words if len(w) > 1 and re.fullmatch(r"[a-z\u00df-\u024f'\u1e00-\u1eff]+", w)]


def _latin_language(folded: str, words: Sequence[str]) -> str | None:
    english = {w for w in words if is_english(w)}
    scores = {name: _lead(lexicon(name), folded, english) for name in LATIN}
    best = max(scores, key=lambda name: scores[name])
    unread = max(_lead(other, folded, english) for other in others())
    lead = max(scores[best], unread)
    if lead[1] > 0 and (lead[0] >= 0 or not _is_english(words)):
        is_read = scores[best] >= unread and scores[best][2] >= LEAST_SPOKEN * len(set(words))
        return best if is_read else None
    return ENGLISH if _is_english(words) else None


def _lead(other: Lexicon, folded: str, english: set[str]) -> tuple[int, int, int]:
    """How many words of a text are the other language's: (alone, less those of English alone; alone; in all)."""
    places = other.find(folded)
    words = (w for w in words_in(folded) if len(w[0]) > 1)
    spoken = {w[0] for w in words if any(p.start <= w.start() and w.end() <= p.stop for p in places)}
    n_alone = len(spoken - english)
    return n_alone - len(english - spoken), n_alone, len(spoken)


def _is_english(words: Sequence[str]) -> bool:
    """Whether enough of the words are English, one of them more than a common word unless all are known."""
    known = [w for w in words if is_english(w)]
    if not known or len(known) < LEAST_KNOWN * len(words):
        return False
    return len(known) == len(words) or any(w not in _stop_words() for w in known)


@lru_cache(maxsize=4096)
def is_english(word: str) -> bool:
    """Whether a word in lower case is one, or made of one by an ending or a beginning.

    >>> [is_english(w) for w in ("dog", "gobsmackingly", "soooo", "traurig")]
    [True, True, True, False]
    """
    word = re.sub(r"(.)\1{2,}", r"\1", word).removesuffix("'s")
    if word in _english() or _ENGLISH_ENDING.fullmatch(word):
        return True
    shorter = {_ENDING.sub("", word), _BEGINNING.sub("", word), _ENDING.sub("", _BEGINNING.sub("", word))} - {word}
    stems = (stem for s in shorter if len(s) > 2 for stem in (s, s + "e", s + "y", re.sub(r"(.)\1$", r"\1", s)))
    return any(stem in _english() for stem in stems)


@lru_cache(maxsize=1)
def _english() -> frozenset[str]:
    listed = (files(__package__) / "languages" / "english.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(word for word in listed if not word.startswith("#")) | lexicon(ENGLISH).single_words()


@lru_cache(maxsize=1)
def _stop_words() -> frozenset[str]:
    return lexicon(ENGLISH).single_words("stop")
