"""Files of motions: in ComfyUI's input folder, and those that Save Motion put into its output folder."""

from __future__ import annotations

import os
from pathlib import Path

import folder_paths

from ..eadnet_core.errors import BadInput
from . import bridge

SUFFIXES = (".json", ".safetensors")
NO_MOTION = "(save a motion first)"
SAVED = " [output]"
"""Behind the name of a motion in output/eadnet, as ComfyUI marks files of other folders."""


def list_motions() -> list[str]:
    """Files that may hold a motion, in input/ and, marked so, in output/eadnet; a line that says so where none is."""
    saved = os.path.join(folder_paths.get_output_directory(), bridge.FOLDER)
    found = [f"{bridge.FOLDER}/{name}{SAVED}" for name in _motions_in(saved)]
    return [*_motions_in(folder_paths.get_input_directory()), *found] or [NO_MOTION]


def _motions_in(folder: str) -> list[str]:
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return [name for name in names if name.lower().endswith(SUFFIXES)]


def motion_file(name: str) -> str:
    """The path of an entry of `list_motions`. Raises BadInput for any other file, FileNotFoundError."""
    if not name.lower().removesuffix(SAVED).endswith(SUFFIXES):
        raise BadInput(f"file is '{name[:80]}'; choose a motion (.json, .safetensors). Save Motion makes one.")
    if not name.endswith(SAVED):
        return bridge.input_file(name, "", "input")
    folder, file = os.path.split(name.removesuffix(SAVED))
    if folder != bridge.FOLDER or not bridge.is_below(file):
        raise BadInput(f"file is '{name[:80]}'; choose one of the input folder, or of output/{bridge.FOLDER}.")
    place = bridge.output_folder(folder)[0]
    path = os.path.realpath(place / file)
    if os.path.dirname(path) != str(place) or not os.path.isfile(path):
        raise FileNotFoundError(f"'{file[:80]}' is not in output/{bridge.FOLDER}.")
    return path


def motion_output(prefix: str) -> tuple[Path, str]:
    """A path below output/ that no file has, and its name there. Raises BadInput for a prefix that leads elsewhere."""
    folder, stem = os.path.split(prefix.strip().replace("\\", "/"))
    if not folder or not stem or not bridge.is_below(stem):
        raise BadInput(f"filename_prefix is '{prefix[:80]}'; give a folder and a name, such as eadnet/motion.")
    return bridge.new_output(folder, stem, ".json")


def state_of(path: str) -> str:
    """What changes when a file is written again."""
    about = os.stat(path)
    return f"{about.st_mtime_ns} {about.st_size}"
