"""Files that a Save node put into ComfyUI's output folder, or somebody into its input folder, for a Load node."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import folder_paths
from comfy_api.latest import io

from ..eadnet_core.errors import BadInput
from . import bridge

SUFFIXES = (".json", ".safetensors")
SAVED = " [output]"
"""Behind the name of a file in output/eadnet, as ComfyUI marks files of other folders."""


@dataclass(frozen=True)
class SavedFiles:
    """Those of one kind.

    kind  what they hold: "motion" or "style"
    """

    kind: str

    def names(self) -> list[str]:
        """Files that may be of this kind, in input/ and, marked so, in output/eadnet; without any, a line saying so."""
        saved = os.path.join(folder_paths.get_output_directory(), bridge.FOLDER)
        found = [f"{bridge.FOLDER}/{name}{SAVED}" for name in _files_in(saved)]
        return [*_files_in(folder_paths.get_input_directory()), *found] or [f"(save a {self.kind} first)"]

    def path(self, name: str) -> str:
        """The path of an entry of `names`. Raises BadInput for any other file, FileNotFoundError."""
        if not name.lower().removesuffix(SAVED).endswith(SUFFIXES):
            maker = f"Save {self.kind.title()}"
            raise BadInput(f"file is '{name[:80]}'; choose a {self.kind} (.json, .safetensors). {maker} makes one.")
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

    def check(self, name: str) -> bool | str:
        """Whether there is such a file; or, in words, why not."""
        try:
            self.path(name)
        except (BadInput, FileNotFoundError) as error:
            return str(error)
        return True

    def state(self, name: str) -> str:
        """What changes when the file is written again."""
        about = os.stat(self.path(name))
        return f"{about.st_mtime_ns} {about.st_size}"

    def new(self, prefix: str) -> tuple[Path, str]:
        """A path below output/ that no file has, and its name there. Raises BadInput for one that leads elsewhere."""
        folder, stem = os.path.split(prefix.strip().replace("\\", "/"))
        if not folder or not stem or not bridge.is_below(stem):
            raise BadInput(f"filename_prefix is '{prefix[:80]}'; give a folder and a name, such as eadnet/{self.kind}.")
        return bridge.new_output(folder, stem, ".json")

    def file_input(self) -> io.Combo.Input:
        """The choice of a file, of a Load node."""
        return io.Combo.Input(
            "file",
            options=self.names(),
            tooltip=f"A .json or .safetensors in ComfyUI's input folder, or one that Save {self.kind.title()} put into "
            "output/eadnet. Press R to see new ones. Takes no time. Default: the first.",
        )

    def prefix_input(self) -> io.String.Input:
        """The name of a file to come, of a Save node."""
        return io.String.Input(
            "filename_prefix",
            default=f"eadnet/{self.kind}",
            tooltip="Beginning of the file's name, below the output folder; a number follows. No cost. "
            f"Default: eadnet/{self.kind}.",
        )


def _files_in(folder: str) -> list[str]:
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return [name for name in names if name.lower().endswith(SUFFIXES)]
