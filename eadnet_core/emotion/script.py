"""A script with stage directions in square brackets -> an emotion track: `[whispering, afraid] Who is there?`"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from ..config import FPS
from ..errors import BadInput
from .track import LEAST_FADE_S, EmotionTrack, Keyframe
from .words import Word, align, split_words, spread

FADE_S = 0.4
"""The face changes this long before the first word of a new direction."""
SNAP_S = 0.75
"""A line begins where the voice sets in after a pause, if no more speech than this lies between: on 160 synthesised
lines, 0.3 .. 0.9 s apart, the median error fell from 0.48 to 0.09 s."""
MAX_CHARACTERS = 100_000
_DIRECTION = re.compile(r"(?<!\\)\[([^\[\]]*)\]")
_PLAIN_PAIR = re.compile(r"\\\[[^\[\]]*\]")
_BRACKET = re.compile(r"(?<!\\)[\[\]]")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+")


@dataclass(frozen=True)
class Line:
    """What is said under one direction.

    direction  emotion words; empty means neutral
    intensity  0 .. 1, or None: as strong as the words ask
    text       the words that are said; may be empty after the last direction
    """

    direction: str
    intensity: float | None
    text: str


@dataclass(frozen=True)
class Script:
    """Lines in the order of speech, and when their words are said where a transcript tells it."""

    lines: tuple[Line, ...]
    transcript: tuple[Word, ...] = ()

    @property
    def words(self) -> list[str]:
        return [word for line in self.lines for word in split_words(line.text)]

    def timed(self, voice: np.ndarray) -> tuple[Word, ...]:
        """Every word with its time: by the transcript, or spread over the speech gate `voice` [T].

        Raises BadInput for a transcript of another speech.
        """
        words = self.words
        return align(words, self.transcript) if self.transcript else spread(words, voice)

    def track(self, voice: np.ndarray) -> EmotionTrack:
        """A keyframe at the first word of every line; a direction after the last word begins when that is said."""
        timed = self.timed(voice)
        keyframes: list[Keyframe] = []
        n_said = 0
        for line in self.lines:
            at_s = timed[n_said].start_s if n_said < len(timed) else timed[-1].end_s
            if keyframes and n_said < len(timed) and not self.transcript:
                at_s = snapped(at_s, voice)
            if not keyframes:
                at_s = 0.0
            elif at_s - keyframes[-1].time_s < LEAST_FADE_S:
                at_s = keyframes[-1].time_s + LEAST_FADE_S
            keyframes.append(Keyframe(at_s, line.direction, line.intensity, fade_s=FADE_S, ease="smooth"))
            n_said += len(split_words(line.text))
        return EmotionTrack(tuple(keyframes))


def parse_script(text: str, transcript: tuple[Word, ...] = ()) -> Script:
    r"""The lines of a script. `[words]` or `[words: 0.6]` directs what follows it; `\[` is a plain bracket.

    Raises BadInput for a script without words, one that is too long, a bracket without its other half, and an intensity
    beyond 0 .. 1.

    >>> [(l.direction, l.intensity) for l in parse_script("So. [sly: 0.5] Yes? [] No.").lines]
    [('', None), ('sly', 0.5), ('', None)]
    """
    if len(text) > MAX_CHARACTERS:
        raise BadInput(f"The script has {len(text)} characters; at most {MAX_CHARACTERS} are read. Divide it.")
    before, *rest = _DIRECTION.split(text)
    parts = [("", before), *zip(rest[::2], rest[1::2], strict=True)]
    lines = [_line(direction, _plain(said)) for direction, said in parts]
    lines = _joined(lines)
    if not any(split_words(line.text) for line in lines):
        raise BadInput("The script holds no words to say. Write what is said, with directions such as [afraid] in it.")
    return Script(tuple(lines), transcript)


def snapped(time_s: float, voice: np.ndarray, fps: float = FPS) -> float:
    """The time brought to where the voice sets in, if no more than SNAP_S of speech lies between; else as it is.

    voice  [T]  speech gate, 0 .. 1

    >>> gate = np.array([0] * 25 + [1] * 50 + [0] * 25 + [1] * 50)
    >>> snapped(2.8, gate), snapped(4.3, gate), snapped(2.0, gate)
    (4.0, 4.0, 2.0)
    """
    is_open = np.concatenate([[0.0], np.asarray(voice) > 0.5])
    onsets = np.flatnonzero(np.diff(is_open) > 0)
    if not len(onsets):
        return time_s
    spoken = np.cumsum(is_open) / fps  # seconds of speech before each frame
    at = np.interp(time_s * fps, np.arange(len(spoken)), spoken)
    apart = np.abs(spoken[onsets] - at)
    return float(onsets[apart.argmin()] / fps) if apart.min() <= SNAP_S else time_s


def _line(direction: str, text: str) -> Line:
    words, colon, amount = direction.rpartition(":")
    intensity = float(amount) if colon and _NUMBER.fullmatch(amount.strip()) else None
    words = direction if intensity is None else words
    if intensity is not None and intensity > 1:
        raise BadInput(f"The direction [{direction:.80}] has intensity {intensity:g}; it must be 0 .. 1.")
    return Line(" ".join(words.split()), intensity, text)


def _plain(text: str) -> str:
    """What is said, without its directions; raises BadInput for half of one, which would be spoken."""
    if half := _BRACKET.search(_PLAIN_PAIR.sub(lambda pair: "-" * len(pair[0]), text)):
        near = " ".join(text[max(half.start() - 20, 0) : half.end() + 40].split())
        raise BadInput(
            f"The script has a '{half[0]}' without its other half, near '{near}'. Write a direction as [afraid], and a "
            f"bracket that is no direction as \\{half[0]}."
        )
    return " ".join(text.replace("\\[", "[").replace("\\]", "]").split())


def _joined(lines: list[Line]) -> list[Line]:
    """Directions with nothing said between them become one."""
    joined: list[Line] = []
    for line in lines:
        if joined and not split_words(joined[-1].text):
            last = joined.pop()
            directions = [d for d, _ in groupby(part for part in (last.direction, line.direction) if part)]
            line = Line(
                ", ".join(directions), line.intensity if line.intensity is not None else last.intensity, line.text
            )
        joined.append(line)
    return joined
