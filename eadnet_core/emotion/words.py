"""When each word is said: from a transcript with times, or spread over the voiced parts of the sound."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np

from ..config import FPS
from ..errors import BadInput

_CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+(?:['\u2019-][^\W_{_CJK}]+)*")
_VOWELS = re.compile(r"[aeiouyáàâäãåæéèêëíìîïóòôöõøœúùûüýÿ]+")
LEAST_MATCH = 0.3
"""Share of a script's words that a transcript must hold; below it, it is of another speech."""


@dataclass(frozen=True)
class Word:
    """One word and when it is said, in seconds."""

    text: str
    start_s: float
    end_s: float


def split_words(text: str) -> list[str]:
    """The words of a text, without signs; each Chinese, Japanese or Korean character is one.

    >>> split_words("Don't -- it's over-cooked, 2 times! 你好")
    ["Don't", "it's", 'over-cooked', '2', 'times', '你', '好']
    """
    return _WORD.findall(text)


def syllables(word: str) -> int:
    """About how many syllables a word has: its groups of vowels, a silent e apart; at least one.

    >>> [syllables(word) for word in ("cat", "stone", "table", "emotion", "hello", "42")]
    [1, 1, 2, 3, 2, 2]
    """
    if word.isdigit():
        return max(1, len(word))
    groups = len(_VOWELS.findall(word.lower()))
    is_silent = re.search(r"[^aeiouyl]es?$", word.lower()) is not None
    return max(1, groups - (is_silent and groups > 1))


def spread(words: Sequence[str], voice: np.ndarray, fps: float = FPS) -> tuple[Word, ...]:
    """Words laid over the frames in which somebody speaks, each as long as it has syllables.

    voice  [T]  speech gate, 0 .. 1; where it is shut nothing is said. A sound without any speech counts as all speech.

    >>> [(w.start_s, w.end_s) for w in spread(["one", "o'clock"], np.array([0] * 25 + [1] * 75))]
    [(1.0, 2.0), (2.0, 4.0)]
    """
    spoken = np.flatnonzero(np.asarray(voice) > 0.5)
    if not len(spoken):
        spoken = np.arange(len(voice))
    ends = np.cumsum([syllables(word) for word in words]) * (len(spoken) / sum(map(syllables, words)))
    starts = np.concatenate([[0.0], ends[:-1]])
    first = np.minimum(np.floor(starts + 1e-9).astype(int), len(spoken) - 1)
    last = np.maximum(np.ceil(ends - 1e-9).astype(int) - 1, 0)
    start_s = (spoken[first] + starts - first) / fps
    end_s = (spoken[last] + ends - last) / fps
    return tuple(Word(*values) for values in zip(words, start_s.tolist(), end_s.tolist(), strict=True))


def align(words: Sequence[str], spoken: Sequence[Word]) -> tuple[Word, ...]:
    """The words of a script with the times of a transcript of it; those it lacks lie between their neighbours.

    Raises BadInput where less than LEAST_MATCH of the words are in the transcript.

    >>> heard = (Word("hello", 0.2, 0.6), Word("my", 0.7, 0.8), Word("friend", 0.8, 1.2))
    >>> [w.start_s for w in align(["Hello", "dear", "friend"], heard)]
    [0.2, 0.6, 0.8]
    """
    keys, heard = ([_key(text) for text in texts] for texts in (words, [w.text for w in spoken]))
    pairs = [
        (block.a + i, block.b + i)
        for block in SequenceMatcher(None, keys, heard, autojunk=False).get_matching_blocks()
        for i in range(block.size)
    ]
    if len(pairs) < max(1.0, LEAST_MATCH * len(words)):
        raise BadInput(
            f"Only {len(pairs)} of the script's {len(words)} words are in the transcript. "
            "Give the transcript of this speech, or none: the words are then spread over the voice."
        )
    ends = np.cumsum([syllables(word) for word in words]).astype(float)
    starts = ends - [syllables(word) for word in words]
    own = [spoken[b] for _, b in pairs]
    known = np.concatenate([[0.0], *([starts[a], ends[a]] for a, _ in pairs), [ends[-1]]])
    said = [t for w in own for t in (w.start_s, w.end_s)]
    times = np.maximum.accumulate(np.array([min(spoken[0].start_s, said[0]), *said, spoken[-1].end_s]))
    start_s, end_s = (_between(at, known, times) for at in (starts, ends))
    for (a, _), word in zip(pairs, own, strict=True):
        start_s[a], end_s[a] = word.start_s, word.end_s
    return tuple(Word(*values) for values in zip(words, start_s, end_s, strict=True))


def _between(at: np.ndarray, known: np.ndarray, times: np.ndarray) -> list[float]:
    """Times at places among known ones; of two at one place, the earlier."""
    places, first = np.unique(known, return_index=True)
    return np.interp(at, places, times[first]).tolist()


def _key(text: str) -> str:
    return re.sub(r"[^\w]", "", text.lower())
