"""Motions as files: JSON for people and programs (motion.schema.json), safetensors for long ones."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.numpy import save_file

from ..emotion.text_files import read_text
from ..errors import BadInput
from ..paths import check_path, check_source, readable_by_others, shown, writing
from .record import MOST_FRAMES, RATES_HZ, TRACKS, Motion
from .tensor_file import read_tensors

SCHEMA = Path(__file__).with_name("motion.schema.json")
SUFFIXES = (".json", ".safetensors")
KEY, VERSION = "eadnet_motion", 1
_DIGITS = 4
_MOST_NOTES = 100
Number = Annotated[float, Field(allow_inf_nan=False)]
Track = Annotated[list[Number], Field(min_length=1, max_length=MOST_FRAMES)]


class MotionFile(BaseModel):
    """What a head, eyes and face do over time. All tracks have as many frames; one that is left out is generated."""

    model_config = ConfigDict(extra="forbid")
    eadnet_motion: Literal[1] = Field(description="Version of this form.")
    fps: float = Field(ge=RATES_HZ[0], le=RATES_HZ[1], description="Frames per second.")
    source: str = Field("", max_length=4096, description="What it was read from, for people.")
    notes: list[Annotated[str, Field(max_length=2000)]] = Field(
        [], max_length=_MOST_NOTES, description="What had to be said when it was read."
    )
    tracks: dict[Literal[TRACKS], Track] = Field(  # type: ignore[valid-type]
        min_length=1,
        description="yaw, pitch, roll: degrees from the pose of rest (picture's right, down, clockwise). gaze_x, "
        "gaze_y: -1 .. 1 (picture's right, down). blink: 0 open .. 1 shut. The others: columns of an emotion code, "
        "0 .. 1, valence and arousal -1 .. 1.",
    )


def schema() -> dict[str, Any]:
    """The JSON schema of motion files, as it lies in `SCHEMA`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **MotionFile.model_json_schema()}


def is_motion_file(path: str | os.PathLike[str]) -> bool:
    """Whether a name is that of a motion, and not of a clip."""
    return Path(path).suffix.lower() in SUFFIXES


def write_motion(path: str | os.PathLike[str], motion: Motion, overwrite: bool = False) -> Path:
    """Write a motion; the suffix decides the form. Raises BadInput, MediaError where the disk refuses."""
    path = check_motion_output(path, overwrite)
    with writing(path):
        if path.suffix.lower() == ".json":
            path.write_text(motion_json(motion), encoding="utf-8")
        else:
            about = {KEY: str(VERSION), "fps": repr(float(motion.fps)), "source": motion.source}
            with readable_by_others(path):
                save_file(dict(motion.tracks), path, {**about, "notes": json.dumps(list(motion.notes))})
    return path


def check_motion_output(path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Refuse a file that could not be written, before any work is done for it. Raises BadInput."""
    path = check_path(path, "Motion")
    if not is_motion_file(path):
        raise BadInput(f"Motion '{shown(path)}' must end in {' or '.join(SUFFIXES)}.")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise BadInput(
            f"Motion '{shown(path)}' cannot be written: its folder does not exist, or it is a folder itself."
        )
    if os.path.lexists(path) and not overwrite:
        raise BadInput(f"Motion '{shown(path)}' exists already. Give another name, or allow it to be overwritten.")
    return path


def motion_json(motion: Motion) -> str:
    """The text of a motion file, a track to a line."""
    rows = {name: [round(float(v), _DIGITS) for v in values] for name, values in motion.tracks.items()}
    tracks = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in rows.items())
    about = {KEY: VERSION, "fps": motion.fps, "source": motion.source, "notes": list(motion.notes)}
    head = json.dumps(about, ensure_ascii=False, indent=1)[:-2]
    return f'{head},\n "tracks": {{\n{tracks}\n }}\n}}\n'


def read_motion(path: str | os.PathLike[str]) -> Motion:
    """A motion from a file. Raises BadInput that says what is wrong in it."""
    path = check_source(path, "Motion")
    if not is_motion_file(path):
        raise BadInput(f"Motion '{shown(path)}' must end in {' or '.join(SUFFIXES)}, as `eadnet motion` writes it.")
    if path.suffix.lower() == ".safetensors":
        return _checked(path, _tensors(path))
    text = read_text(path, "Motion", "Give a motion that `eadnet motion` wrote; a long one as .safetensors.")
    return _checked(path, text)


def _checked(path: Path, values: str | dict[str, Any]) -> Motion:
    what = f"Motion '{shown(path)}'"
    try:
        found = MotionFile.model_validate_json(values) if isinstance(values, str) else MotionFile(**values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise BadInput(f"{what} cannot be used: {where}: {first['msg']}. See {SCHEMA.name}.") from error
    tracks = {name: np.array(row, np.float32) for name, row in found.tracks.items()}
    try:
        return Motion(tracks, found.fps, found.source, tuple(found.notes))
    except BadInput as error:
        raise BadInput(f"{what}: {error}") from error


def _tensors(path: Path) -> dict[str, Any]:
    about, arrays = read_tensors(path, "motion")
    try:
        notes = json.loads(about.get("notes", "[]"))
        values = {KEY: int(about[KEY]), "fps": float(about["fps"]), "source": about.get("source", ""), "notes": notes}
    except (KeyError, ValueError, RecursionError) as error:
        raise BadInput(f"Motion '{shown(path)}' cannot be read ({error}). Give what `eadnet motion` wrote.") from error
    return {**values, "tracks": {name: array.tolist() for name, array in arrays.items()}}
