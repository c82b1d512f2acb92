"""Who speaks in a clip of several faces: a line of a command for each, or a table with a row for each."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..emotion.script import Script, parse_script
from ..emotion.text_files import read_text
from ..emotion.track import EmotionTrack
from ..emotion.track_file import read_track
from ..errors import BadInput
from ..media.face.several import LEFT, RIGHT, Place, parse_place
from ..media.sound.audio import Audio
from ..media.sound.form import MAX_CHANNELS
from ..motion.driving import Driving
from ..motion.style import Style
from ..motion.style_file import read_style_file
from ..request import OPTIONS, GenerateOptions
from .rows import AS_UTF8, SUFFIXES
from .table import Columns, Find, check_columns, each_row, file_of, filled, name_of, read_cells, text_of, value_of

OF_THE_CLIP = (
    *("face_box", "face_index", "face_threshold", "accept_any_face"),
    *("background", "on_missing", "length", "segment_frames"),
)
"""Options that are the same for all faces of a clip, or that `face` says."""
OWN_OPTIONS = tuple(name for name in OPTIONS if name not in OF_THE_CLIP)
TEXTS = ("name", "face", "voice", "channel", "start_s", "words", "track", "script", "style")
COLUMNS = Columns(TEXTS, (), OWN_OPTIONS)
AFTER = "after"
"""A start at the end of the voice of the speaker before."""
_SIDES = {LEFT: 1, RIGHT: 2}


@dataclass(frozen=True)
class Speaker:
    """One face of a clip, its voice and its words.

    name         of the speaker, as a track's keyframes say it
    face         which face: counted from left to right from 0, "left", "right", or a box
    voice        a file, or a sound; None where it is part of the sound of the whole clip, or where nobody speaks
    channel      of the sound of the whole clip, from 1: what this speaker says; None without
    start_s      seconds after which the voice begins; None: where that of the speaker before ends
    words        as of `pipeline.prepare`; times count from where the voice begins. None: those of the whole clip
    options      what differs from the options of the clip, by name, of OWN_OPTIONS
    performance  as of `pipeline.prepare`
    style        of this speaker; None: nobody in particular
    Raises BadInput for what contradicts itself.
    """

    name: str
    face: Place
    voice: str | Path | Audio | None = None
    channel: int | None = None
    start_s: float | None = 0.0
    words: str | EmotionTrack | Script | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    performance: Driving | Callable[[], Driving] | None = None
    style: Style | None = None

    def __post_init__(self) -> None:
        if self.voice is not None and self.channel is not None:
            raise BadInput(f"'{self.name}' has a voice and a channel. Give a file, or a channel of the clip's sound.")
        if self.voice is None and self.start_s != 0.0:
            raise BadInput(f"'{self.name}' has a start_s and no voice of its own. Give the voice that begins then.")
        if self.channel is not None and not 1 <= self.channel <= MAX_CHANNELS:
            raise BadInput(f"channel of '{self.name}' is {self.channel}; give 1 .. {MAX_CHANNELS}, left or right.")
        if self.start_s is not None and not (math.isfinite(self.start_s) and self.start_s >= 0):
            raise BadInput(f"start_s of '{self.name}' is {self.start_s}; give seconds from 0 on, or after.")
        unknown = [name for name in self.options if name not in OWN_OPTIONS]
        if unknown:
            raise BadInput(f"'{unknown[0]}' of '{self.name}' is the same for all faces of a clip, or no option at all.")

    def settings(self, of_clip: GenerateOptions, number: int) -> GenerateOptions:
        """All options of this face; without a seed of its own it moves otherwise than the others.

        number  of the speaker, from 0
        """
        seed = (of_clip.seed + number) % 2**63
        return replace(of_clip, **{"seed": seed, **self.options})


def read_speakers(path: Path) -> list[Speaker]:
    """The speakers in a table, in the order of its rows; paths begin at its folder. Raises BadInput."""
    if path.suffix.lower() not in SUFFIXES:
        raise BadInput(f"Speakers '{path}' ends in '{path.suffix}'. Give a table that ends in {', '.join(SUFFIXES)}.")
    cells = read_cells(read_text(path, "Speakers", AS_UTF8), COLUMNS)
    return _speakers(cells, lambda cell: path.parent / cell)


def parse_speakers(texts: Sequence[str], find: Find = Path) -> list[Speaker]:
    """Speakers from lines such as "face=left voice=anna.wav words='glad at last'". Raises BadInput.

    >>> [speaker.face for speaker in parse_speakers(["face=left channel=1", "face=right channel=2"])]
    ['left', 'right']
    """
    return _speakers([(number, _cells(text, f"Speaker {number}")) for number, text in enumerate(texts, 1)], find)


def _cells(text: str, where: str) -> dict[str, Any]:
    try:
        parts = shlex.split(text)
    except ValueError as error:
        raise BadInput(f"{where} is {text!r:.80}: {error}. Close the quotes around words.") from error
    pairs = [part.partition("=") for part in parts]
    wrong = next((key for key, equals, _ in pairs if not equals), None)
    if wrong is not None:
        raise BadInput(
            f"{where} has {wrong!r:.80} without a '='. Give such as \"face=left voice=anna.wav words='glad at last'\"."
        )
    keys = [key.strip().lower().replace("-", "_") for key, _, _ in pairs]
    check_columns(keys, COLUMNS, where)
    return dict(zip(keys, (value for _, _, value in pairs), strict=True))


def _speakers(cells: Sequence[tuple[int, dict[str, Any]]], find: Find) -> list[Speaker]:
    if not cells:
        raise BadInput("There are no speakers. Give one for each face that speaks or listens.")
    numbers = {number: i for i, (number, _) in enumerate(cells)}
    return each_row(cells, lambda number, row: _speaker(numbers[number], row, find), lambda speaker: speaker.name)


def _speaker(number: int, values: dict[str, Any], find: Find) -> Speaker:
    values = filled(values)
    texts = {column: text_of(column, str(values[column])) for column in TEXTS if column in values}
    face = _face(values.get("face", number))
    said = [name for name in ("words", "track", "script") if name in texts]
    if len(said) > 1:
        raise BadInput(f"{' and '.join(said)} say how the face feels. Give one of them.")
    return Speaker(
        name=name_of(texts.get("name") or str(number + 1)),
        face=face,
        voice=file_of("voice", texts["voice"], find) if "voice" in texts else None,
        channel=_channel(texts["channel"]) if "channel" in texts else None,
        start_s=_start_s(texts.get("start_s", "0")),
        words=_words(texts, find),
        options={name: value_of(OPTIONS[name], values[name]) for name in values if name in OPTIONS},
        style=read_style_file(file_of("style", texts["style"], find)) if "style" in texts else None,
    )


def _face(value: Any) -> Place:
    if isinstance(value, (list, tuple)):
        return parse_place(" ".join(map(str, value)))
    return parse_place(str(value))


def _words(texts: dict[str, str], find: Find) -> str | EmotionTrack | Script | None:
    if "track" in texts:
        track = read_track(file_of("track", texts["track"], find))
        if track.speakers:
            raise BadInput("The track of a speaker names speakers. Give it for the whole clip (--emotion-track).")
        return track
    if "script" in texts:
        return parse_script(read_text(file_of("script", texts["script"], find), "Script"), ())
    return texts["words"].strip() if "words" in texts else None


def _channel(text: str) -> int:
    said = text.strip().lower()
    if said in _SIDES:
        return _SIDES[said]
    if not said.isdecimal():
        raise BadInput(f"channel is {text!r:.80}; give its number from 1, left or right.")
    return int(said)


def _start_s(text: str) -> float | None:
    if text.strip().lower() == AFTER:
        return None
    try:
        return float(text)
    except ValueError:
        raise BadInput(f"start_s is {text!r:.80}; give seconds, or {AFTER}: where the voice before ends.") from None
