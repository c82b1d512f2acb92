"""Styles as files: JSON for people and programs, safetensors for other tools."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.numpy import save_file

from ..emotion.text_files import read_text
from ..errors import BadInput
from ..paths import check_path, check_source, readable_by_others, shown, writing
from ..taxonomy import TRAITS
from .style import MOST, Style
from .tensor_file import read_tensors

SUFFIXES = (".json", ".safetensors")
KEY, VERSION = "eadnet_style", 1
MOST_SOURCE = 4096
"""Letters of what a style was read from."""
_DIGITS = 3


class TraitFile(BaseModel):
    """One trait, in standard deviations from the average person."""

    model_config = ConfigDict(extra="forbid")
    mean: Annotated[float, Field(allow_inf_nan=False, ge=-MOST, le=MOST)] = 0.0
    sd: Annotated[float, Field(allow_inf_nan=False, ge=0.0, le=MOST)] = 0.0


class StyleFile(BaseModel):
    """The style of a speaker. A trait that is left out is that of the average person."""

    model_config = ConfigDict(extra="forbid")
    eadnet_style: Literal[1] = Field(description="Version of this form.")
    source: str = Field("", max_length=MOST_SOURCE, description="What it was read from, for people.")
    traits: dict[Literal[TRAITS], TraitFile] = Field(default_factory=dict)  # type: ignore[valid-type]


def is_style_file(path: str | os.PathLike[str]) -> bool:
    """Whether a name is that of a style, and not of a clip."""
    return Path(path).suffix.lower() in SUFFIXES


def check_style_output(path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Refuse a file that could not be written, before any work is done for it. Raises BadInput."""
    path = check_path(path, "Style")
    if not is_style_file(path):
        raise BadInput(f"Style '{shown(path)}' must end in {' or '.join(SUFFIXES)}.")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise BadInput(f"Style '{shown(path)}' cannot be written: its folder does not exist, or it is a folder itself.")
    if os.path.lexists(path) and not overwrite:
        raise BadInput(f"Style '{shown(path)}' exists already. Give another name, or allow it to be overwritten.")
    return path


def write_style(path: str | os.PathLike[str], style: Style, overwrite: bool = False) -> Path:
    """Write a style; the suffix decides the form. Raises BadInput, MediaError where the disk refuses."""
    path = check_style_output(path, overwrite)
    with writing(path):
        if path.suffix.lower() == ".json":
            path.write_text(style_json(style), encoding="utf-8")
        else:
            with readable_by_others(path):
                save_file({"mean": style.mean, "sd": style.sd}, path, {KEY: str(VERSION), "source": style.source})
    return path


def style_json(style: Style) -> str:
    """The text of a style file, a trait to a line."""
    each = zip(TRAITS, style.mean.tolist(), style.sd.tolist(), strict=True)
    rows = [f'  "{name}": {{"mean": {mean:.{_DIGITS}f}, "sd": {sd:.{_DIGITS}f}}}' for name, mean, sd in each]
    source = json.dumps(style.source, ensure_ascii=False)
    return f'{{\n "{KEY}": {VERSION},\n "source": {source},\n "traits": {{\n' + ",\n".join(rows) + "\n }\n}\n"


def read_style_file(path: str | os.PathLike[str]) -> Style:
    """A style from a file. Raises BadInput that says what is wrong in it."""
    path = check_source(path, "Style")
    if not is_style_file(path):
        raise BadInput(f"Style '{shown(path)}' must end in {' or '.join(SUFFIXES)}, as `eadnet style` writes it.")
    if path.suffix.lower() == ".safetensors":
        return _from_tensors(path)
    text = read_text(path, "Style", "Give a style that `eadnet style` wrote.")
    try:
        found = StyleFile.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise BadInput(
            f"Style '{shown(path)}' cannot be used: {where}: {first['msg']}. Give what `eadnet style` wrote, with the "
            f"traits {', '.join(TRAITS)}."
        ) from error
    traits = [found.traits.get(name, TraitFile()) for name in TRAITS]
    return Style(np.array([t.mean for t in traits]), np.array([t.sd for t in traits]), found.source)


def _from_tensors(path: Path) -> Style:
    about, arrays = read_tensors(path, "style")
    what, wanted = f"Style '{shown(path)}'", "Give what `eadnet style` wrote."
    if about[KEY] != str(VERSION) or not {"mean", "sd"} <= arrays.keys():
        raise BadInput(f"{what} is of another version, or without mean and sd. {wanted}")
    try:
        return Style(arrays["mean"], arrays["sd"], about.get("source", "")[:MOST_SOURCE])
    except BadInput as error:
        raise BadInput(f"{what} cannot be used: {error} {wanted}") from error
