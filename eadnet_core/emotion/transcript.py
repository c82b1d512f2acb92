"""Transcripts with times, as other programs write them: JSON lists of words, Whisper's JSON, SubRip and WebVTT."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

from ..errors import BadInput
from .words import Word, split_words, syllables

MAX_BYTES = 16_000_000
_CLOCK = r"(?:(\d{1,9}):)?(\d{1,9}):(\d{1,9})[.,](\d{1,9})"
_TIMES = re.compile(rf"{_CLOCK}[ \t]*-->[ \t]*{_CLOCK}")
_WANTED = (
    'Give a JSON list of {"text": .., "start_s": .., "end_s": ..}, the JSON of Whisper (with words or segments), '
    "or a .srt or .vtt file."
)


def read_transcript(path: str | os.PathLike[str]) -> tuple[Word, ...]:
    """The words of a transcript file and their times; a cue is divided by syllables. Raises BadInput."""
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadInput(f"Transcript '{path}' is larger than {MAX_BYTES // 1_000_000} MB. {_WANTED}")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"Transcript '{path}' cannot be read ({error}). {_WANTED}") from error
    return parse_transcript(text, f"Transcript '{path}'")


def parse_transcript(text: str, what: str = "The transcript") -> tuple[Word, ...]:
    """The words in the text of a transcript file, in the order of time. Raises BadInput.

    >>> parse_transcript("1\\n00:00:01,000 --> 00:00:02,500\\nHello there\\n")[1]
    Word(text='there', start_s=2.0, end_s=2.5)
    """
    if "-->" in text:
        cues = list(_cues(text.splitlines()))
    else:
        try:
            cues = list(_entries(json.loads(text)))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            raise BadInput(f"{what} cannot be read ({type(error).__name__}: {error}). {_WANTED}") from error
    for said, start_s, end_s in cues:
        if not (math.isfinite(start_s) and math.isfinite(end_s) and 0 <= start_s <= end_s):
            raise BadInput(f"{what}: '{said[:40]}' lasts from {start_s:g} to {end_s:g} s; times must go up from 0.")
    words = sorted((w for cue in cues for w in _divided(*cue)), key=lambda w: w.start_s)
    if not words:
        raise BadInput(f"{what} holds no words with times. {_WANTED}")
    return tuple(words)


def _cues(lines: list[str]) -> Iterator[tuple[str, float, float]]:
    """(text, start, end) of every cue: a line of times, and the lines below it until an empty one."""
    rest = iter(lines)
    for line in rest:
        match = _TIMES.search(line)
        if match is None:
            continue
        h0, m0, s0, f0, h1, m1, s1, f1 = (part or "0" for part in match.groups())
        start_s = 3600 * int(h0) + 60 * int(m0) + float(f"{s0}.{f0}")
        end_s = 3600 * int(h1) + 60 * int(m1) + float(f"{s1}.{f1}")
        said = takewhile(str.strip, rest)
        yield re.sub(r"<[^<>]*>", " ", "\n".join(said)), start_s, end_s


def _entries(value: Any) -> Iterator[tuple[str, float, float]]:
    """(text, start, end) of our own list, and of Whisper's segments, by words where it has them."""
    if isinstance(value, dict):
        value = value["words"] if value.get("words") else value["segments"]
    for item in value:
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
