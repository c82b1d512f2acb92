"""Transcripts with times, as other programs write them: JSON lists of words, Whisper's JSON, SubRip and WebVTT."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from typing import Any

from ..errors import BadInput
from .text_files import read_text
from .words import Word, split_words, syllables

_CLOCK = r"(?:(\d{1,6}):)?(\d{1,6}):(\d{1,6})[.,](\d{1,9})"  # bounded: a file of digits would take minutes
_TIMES = re.compile(rf"{_CLOCK}[ \t]*-->[ \t]*{_CLOCK}[^\n]*")
_WANTED = (
    'Give a JSON list of {"text": .., "start_s": .., "end_s": ..}, the JSON of Whisper (with words or segments), '
    "or a .srt or .vtt file."
)


def read_transcript(path: str | os.PathLike[str]) -> tuple[Word, ...]:
    """The words of a transcript file and their times; a cue is divided by syllables. Raises BadInput."""
    return parse_transcript(read_text(path, "Transcript", _WANTED), f"Transcript '{path}'")


def parse_transcript(text: str, what: str = "The transcript") -> tuple[Word, ...]:
    """The words in the text of a transcript file, in the order of time. Raises BadInput.

    >>> parse_transcript("1\\n00:00:01,000 --> 00:00:02,500\\nHello there\\n")[1]
    Word(text='there', start_s=2.0, end_s=2.5)
    """
    if "-->" in text:
        cues = list(_cues(text.replace("\r\n", "\n")))
    else:
        try:
            cues = list(_entries(json.loads(text)))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise BadInput(f"{what} cannot be read ({type(error).__name__}: {error}). {_WANTED}") from error
    for said, start_s, end_s in cues:
        if not (math.isfinite(start_s) and math.isfinite(end_s) and 0 <= start_s <= end_s):
            raise BadInput(f"{what}: '{said[:40]}' lasts from {start_s:g} to {end_s:g} s; times must go up from 0.")
    words = sorted((w for cue in cues for w in _divided(*cue)), key=lambda w: w.start_s)
    if not words:
        raise BadInput(f"{what} holds no words with times. {_WANTED}")
    return tuple(words)


def _cues(text: str) -> Iterator[tuple[str, float, float]]:
    """(text, start, end) of the cues of SubRip or WebVTT: a line with times, and what follows it to an empty line."""
    times: re.Match[str] | None = None
    said: list[str] = []
    for line in [*text.split("\n"), ""]:
        found = _TIMES.search(line)
        if times is not None and (found or not line.strip()):
            if found and said and said[-1].strip().isdigit():
                said.pop()  # the next cue's number, where no empty line lies between
            yield _cue(times, " ".join(said))
            times = None
        if found:
            times, said = found, []
        else:
            said.append(line)


def _cue(times: re.Match[str], said: str) -> tuple[str, float, float]:
    h0, m0, s0, _, h1, m1, s1, _ = (int(value or 0) for value in times.groups())
    fractions = [float("0." + times.group(i)) for i in (4, 8)]
    said = re.sub(r"<[^<>]*>", " ", said)
    return said, 3600 * h0 + 60 * m0 + s0 + fractions[0], 3600 * h1 + 60 * m1 + s1 + fractions[1]


def _entries(value: Any) -> Iterator[tuple[str, float, float]]:
    """(text, start, end) of our own list, and of Whisper's segments, by words where it has them."""
    if isinstance(value, dict):
        value = value["words"] if value.get("words") else value["segments"]
    for item in value:
        if not isinstance(item, dict):
            raise TypeError(f"{item!r:.40} is no object")
        if item.get("words"):
            yield from _entries(item["words"])
        else:
            text = item["text"] if "text" in item else item["word"]
            start, end = (item[f"{name}_s"] if f"{name}_s" in item else item[name] for name in ("start", "end"))
            yield str(text), float(start), float(end)


def _divided(text: str, start_s: float, end_s: float) -> Iterator[Word]:
    """The words of one cue, each as long as it has syllables."""
    words = split_words(text)
    per_syllable = (end_s - start_s) / max(1, sum(map(syllables, words)))
    for word in words:
        end = start_s + per_syllable * syllables(word)
        yield Word(word, start_s, end)
        start_s = end
