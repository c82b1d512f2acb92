"""Emotion tracks as files: what stands in them, checked by pydantic and described by track.schema.json."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..errors import BadInput
from ..taxonomy import EMOTION_CODE_SIZE
from .reference import MOST_VIVID
from .text_files import read_text
from .track import MOST_CODE, EmotionTrack, Keyframe
from .words import Word

SCHEMA = Path(__file__).with_name("track.schema.json")
MAX_KEYFRAMES = 100_000
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Number = Annotated[float, Field(ge=-MOST_CODE, le=MOST_CODE, allow_inf_nan=False)]


_ONE_PLACE: dict[str, Any] = {"oneOf": [{"required": ["time_s"]}, {"required": ["word"]}]}


class FileReference(BaseModel):
    """A photo or clip of any face whose emotion is taken."""

    model_config = ConfigDict(extra="forbid")
    path: str = Field(min_length=1, max_length=4096, description="The file; beside the track where it is relative.")
    start_s: Seconds = Field(0.0, description="Of a clip: the second from which the face is looked at.")
    end_s: Seconds | None = Field(None, description="And until when; left out: to its end.")
    weight: Share = Field(1.0, description="0 the words alone .. 1 the face alone.")
    vividness: float = Field(1.0, ge=0, le=MOST_VIVID, description="0 neutral .. 1 as the face shows it .. 2.")


class FileKeyframe(BaseModel):
    """What the face shows from one time or word on."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_ONE_PLACE)
    time_s: Seconds | None = Field(None, description="Seconds from the start. Give either this or word.")
    word: int | None = Field(None, ge=0, description="Number of the word it begins with, from 0; needs words.")
    text: str = Field("", max_length=2000, description="Emotion words; empty means neutral.")
    intensity: Share | None = Field(None, description="0 .. 1 instead of what the words ask for.")
    code: list[Number] | None = Field(
        None,
        min_length=EMOTION_CODE_SIZE,
        max_length=EMOTION_CODE_SIZE,
        description="The emotion itself, not its words.",
    )
    fade_s: Seconds | None = Field(
        None, description="Seconds before it in which the face changes; 0 at once; left out: since the keyframe before."
    )
    ease: Literal["linear", "smooth", "in", "out"] = Field(
        "linear", description="How the fade runs: evenly; soft at both ends; at its start; at its end."
    )
    reference: FileReference | None = Field(None, description="A face whose emotion is mixed into that of the words.")
    speaker: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="Of several: who speaks from then on, and whose face it is; left out: every face.",
    )

    @model_validator(mode="after")
    def _has_one_place(self) -> FileKeyframe:
        if (self.time_s is None) == (self.word is None):
            raise ValueError("give either time_s or word")
        return self


class FileWord(BaseModel):
    """A word and when it is said."""

    model_config = ConfigDict(extra="forbid")
    text: str = Field(max_length=200)
    start_s: Seconds
    end_s: Seconds


class TrackFile(BaseModel):
    """Emotions over time."""

    model_config = ConfigDict(extra="forbid")
    schema_: str | None = Field(None, alias="$schema", description="Where this schema lies; for editors.")
    version: Literal[1] = 1
    keyframes: list[FileKeyframe] = Field(min_length=1, max_length=MAX_KEYFRAMES)
    words: list[FileWord] = Field(default=[], description="The transcript that word numbers count in.")


def track_schema() -> dict[str, Any]:
    """What stands in track.schema.json: the JSON schema of TrackFile."""

    def plain(value: Any, is_names: bool = False) -> Any:
        if isinstance(value, dict):
            return {k: plain(v, k == "properties") for k, v in value.items() if is_names or k != "title"}
        return [plain(v) for v in value] if isinstance(value, list) else value

    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **plain(TrackFile.model_json_schema())}


def read_track(path: str | os.PathLike[str], words: Sequence[Word] = ()) -> EmotionTrack:
    """The track in a file; its own words win over `words`. Raises BadInput that names the faulty entry."""
    track = parse_track(read_text(path, "Emotion track"), words, f"Emotion track '{path}'")
    return EmotionTrack(tuple(_beside(k, Path(path).parent) for k in track.keyframes))


def _beside(keyframe: Keyframe, folder: Path) -> Keyframe:
    """The keyframe with the file of its reference looked for in the track's own folder."""
    if keyframe.reference is None:
        return keyframe
    return replace(keyframe, reference=replace(keyframe.reference, path=str(folder / keyframe.reference.path)))


def parse_track(text: str, words: Sequence[Word] = (), what: str = "The emotion track") -> EmotionTrack:
    """The track in a JSON text: an object as track.schema.json says, or its list of keyframes alone. Raises BadInput.

    >>> said = '{"keyframes": [{"word": 1, "text": "sad"}], "words": [{"text": "oh", "start_s": 0, "end_s": 1},'
    >>> parse_track(said + ' {"text": "no", "start_s": 1.5, "end_s": 2}]}').keyframes[0].time_s
    1.5
    """
    given = text.strip()
    try:
        file = TrackFile.model_validate_json(f'{{"keyframes": {given}}}' if given.startswith("[") else given)
    except ValidationError as error:
        raise BadInput(f"{what} is not one: {problems(error)}. Its form is described in {SCHEMA.name}.") from error
    spoken = [Word(w.text, w.start_s, w.end_s) for w in file.words] or list(words)
    return EmotionTrack.parse([_values(k, i, spoken, what) for i, k in enumerate(file.keyframes)])


def problems(error: ValidationError, most: int = 3) -> str:
    """The first problems of a validation in one line: where, what, and what was given."""
    found = [f"{'.'.join(map(str, e['loc'])) or 'it'}: {e['msg']} (given: {e['input']!r:.80})" for e in error.errors()]
    more = [f"and {len(found) - most} more"] if len(found) > most else []
    return "; ".join([*found[:most], *more])


def _values(keyframe: FileKeyframe, number: int, words: Sequence[Word], what: str) -> dict[str, Any]:
    values = keyframe.model_dump(exclude={"word"}, exclude_none=True)
    if keyframe.word is not None:
        if keyframe.word >= len(words):
            raise BadInput(
                f"{what}: keyframe {number} begins with word {keyframe.word}, but the times of {len(words)} words are "
                "known. Give the transcript, words in the file, or time_s."
            )
        values["time_s"] = words[keyframe.word].start_s
    return values
