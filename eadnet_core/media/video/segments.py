"""Segments of a clip on disk: a folder beside the output that keeps what is finished until the output is whole.

The manifest says what belongs to the clip; it is replaced in one step after the files that it names, so that whatever
moment a run is killed at, the folder holds finished segments and nothing else counts.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ...config import FPS
from ...errors import BadInput, MediaError
from ..sound.audio import Audio
from .files import VideoWriter
from .join import join_videos

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
_FORMAT, _VERSION = "eadnet-segments", 1
_OURS = ("segment-*", "sampler-*", ".segment-*", ".join-*", "*.partial")
"""Every file and folder that is made here but the manifest."""


def segment_folder(output: str | os.PathLike[str]) -> Path:
    """Where the segments of a video lie until it is whole.

    >>> segment_folder("clips/out.mp4").as_posix()
    'clips/out.eadnet'
    """
    return Path(output).with_suffix(".eadnet")


def check_segments(output: str | os.PathLike[str], resume: bool) -> None:
    """Refuse to begin where segments of an earlier run lie, before any work is done. Raises BadInput."""
    folder = segment_folder(output)
    if not resume and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(
            f"'{folder}' holds segments of an earlier run. Continue it with --resume (resume=True), or remove that "
            "folder to begin anew."
        )


def file_hash(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, "" where there is none."""
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except FileNotFoundError:
        return ""
    return digest.hexdigest()


class SegmentFolder:
    """The segments of one clip; use it as a context manager.

    An exception keeps what is finished; where nothing is, the folder goes. After `finish` it goes unless it is kept.
    """

    def __init__(
        self,
        output: str | os.PathLike[str],
        recipe: dict[str, Any],
        n_frames: int,
        segment_frames: int,
        resume: bool = False,
        overwrite: bool = False,
        free: frozenset[str] = frozenset(),
    ) -> None:
        """Make the folder, or with `resume` open the one that is there.

        recipe     JSON values that decide what the clip looks like; nested mappings are compared value by value
        overwrite  allows to replace an output that was there before
        free       names in the recipe, such as "options.seed", that may differ
        Raises BadInput for a folder that is there without `resume`, and for one that another recipe made.
        """
        self.output, self.path = Path(output), segment_folder(output)
        check_segments(output, resume)
        self.damaged: set[int] = set()
        manifest = self.path / MANIFEST
        if manifest.is_file():
            self.values = self._read(manifest)
            self._compare(recipe, free)
            self.values["owns_output"] |= overwrite
            self._check_output()
            self._tidy()
            self._check_files()
            return
        if self.path.exists() and any(not name.endswith(".partial") for name in os.listdir(self.path)):
            raise BadInput(f"'{self.path}' is no folder of segments: it has no {MANIFEST}. Remove it.")
        starts = range(0, n_frames, segment_frames)
        segments = [
            {"start_frame": s, "stop_frame": min(s + segment_frames, n_frames), "state": "open"} for s in starts
        ]
        self.values = {"format": _FORMAT, "version": _VERSION, "state": "running", "output": self.output.name}
        self.values |= {"owns_output": overwrite, "recipe": recipe, "segments": segments, "sampler": None}
        self._check_output()
        self.path.mkdir(exist_ok=True)
        self._save()

    def _check_output(self) -> None:
        """The output may be replaced if that was allowed, or if an earlier run of this clip has written it."""
        if self.output.exists() and not self.values["owns_output"]:
            raise BadInput(f"Output '{self.output}' exists already. Move it away, or allow it to be overwritten.")

    def _read(self, manifest: Path) -> dict[str, Any]:
        try:
            values = json.loads(manifest.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise BadInput(f"'{manifest}' cannot be read ({error}). Remove the folder to begin anew.") from error
        if values.get("format") != _FORMAT or values.get("version") != _VERSION:
            raise BadInput(f"'{manifest}' was written by another version. Finish it there, or remove the folder.")
        if values["output"] != self.output.name:
            raise BadInput(f"'{self.path}' belongs to '{values['output']}', not to '{self.output.name}'.")
        return values

    def _compare(self, recipe: dict[str, Any], free: frozenset[str]) -> None:
        differing = list(_differences(self.values["recipe"], json.loads(json.dumps(recipe)), free))
        if differing:
            raise BadInput(
                f"The segments in '{self.path}' were made otherwise: {'; '.join(differing)}. Give what they were made "
                "with, or remove that folder to begin anew."
            )

    def _check_files(self) -> None:
        for number, segment in enumerate(self.segments):
            if segment["state"] != "finished":
                continue
            kinds = [k for k in ("video", "latents") if file_hash(self.path / segment[k]) != segment[f"{k}_sha256"]]
            if kinds:
                logger.warning("Segment %d in '%s' is damaged (%s); it is made again", number, self.path, kinds[0])
                self.damaged.add(number)

    @property
    def segments(self) -> list[dict[str, Any]]:
        """What the manifest says of each: start_frame, stop_frame, state, and if finished seed, video, latents."""
        return self.values["segments"]

    @property
    def is_joined(self) -> bool:
        """Whether the output was made of these segments."""
        return self.values["state"] == "joined"

    def is_finished(self, number: int) -> bool:
        """Whether a segment is there, whole."""
        return self.segments[number]["state"] == "finished" and number not in self.damaged

    def sampler_state(self) -> dict[str, Tensor] | None:
        """What to go on sampling from after the finished segments; None to begin at the first frame."""
        kept = self.values["sampler"]
        if self.damaged or kept is None:
            return None
        if file_hash(self.path / kept["file"]) != kept["sha256"]:
            logger.warning("'%s' is damaged: finished segments stay, but are sampled through again", kept["file"])
            return None
        return load_file(self.path / kept["file"])

    def latents(self, number: int) -> dict[str, Tensor]:
        """What was stored with a segment."""
        try:
            return load_file(self.path / self.segments[number]["latents"])
        except (OSError, KeyError, SafetensorError) as error:
            raise MediaError(f"The latents of segment {number} in '{self.path}' cannot be read ({error}).") from error

    def add(
        self,
        number: int,
        seed: int,
        size: tuple[int, int],
        frames: Iterable[np.ndarray],
        latents: dict[str, Tensor],
        state: dict[str, Tensor] | None = None,
    ) -> None:
        """Write one segment; it counts when the manifest names it.

        size    (width, height) of the frames, uint8 [t, H, W, 3] in parts
        state   what `sampler_state` gives back; None leaves what is there
        """
        before = dict(self.segments[number])
        redone = f"-seed{seed}" if "seed" in before and before["seed"] != seed else ""
        video = self.path / f"segment-{number:05d}{redone}.mp4"
        with VideoWriter(video, size, FPS, overwrite=True, is_part=True) as writer:
            for part in frames:
                writer.write(part)
        names = {"video": video.name, "latents": self._store(video.stem, latents)}
        sums = {f"{kind}_sha256": file_hash(self.path / name) for kind, name in names.items()}
        self.segments[number].update({"state": "finished", "seed": seed, **names, **sums})
        if state is not None:
            name = self._store(f"sampler-{number:05d}", state)
            self.values["sampler"] = {"file": name, "sha256": file_hash(self.path / name)}
        self.values["state"] = "running"
        self._save()
        self.damaged.discard(number)
        self._tidy()

    def _store(self, stem: str, tensors: dict[str, Tensor]) -> str:
        path = self.path / f"{stem}.safetensors"
        partial = path.with_suffix(".partial")
        save_file(tensors, partial)
        _sync(partial)
        os.replace(partial, path)
        return path.name

    def finish(self, audio: Audio, settings: dict[str, Any], duration_s: Fraction | None) -> None:
        """Join the segments with the sound into the output."""
        self._check_output()
        self.values["owns_output"] = True
        self._save()
        parts = [self.path / segment["video"] for segment in self.segments]
        join_videos(parts, self.path / f"segment-joined{self.output.suffix}", audio, settings, True, duration_s)
        os.replace(self.path / f"segment-joined{self.output.suffix}", self.output)
        self.values["state"] = "joined"
        self._save()

    def remove(self) -> None:
        """Remove everything that was made here, the manifest last."""
        self.values |= {"segments": [], "sampler": None}
        self._tidy()
        (self.path / MANIFEST).unlink(missing_ok=True)
        try:
            self.path.rmdir()
        except OSError:
            logger.warning("'%s' holds files that are not ours, and stays", self.path)

    def _tidy(self) -> None:
        """Remove what a killed run left half written, and what a newer segment took the place of."""
        sampler = self.values["sampler"] or {}
        named = {sampler.get("file"), *(s.get(kind) for s in self.segments for kind in ("video", "latents"))}
        for pattern in _OURS:
            for path in self.path.glob(pattern):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                elif path.name not in named:
                    path.unlink(missing_ok=True)

    def _save(self) -> None:
        partial = self.path / f"{MANIFEST}.partial"
        partial.write_text(json.dumps(self.values, indent=1) + "\n", "utf-8")
        _sync(partial)
        os.replace(partial, self.path / MANIFEST)

    def __enter__(self) -> SegmentFolder:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is None:
            return
        n_finished = sum(segment["state"] == "finished" for segment in self.segments)
        if n_finished == 0:
            self.remove()
        else:
            text = "%d of %d segments are finished and kept in '%s': continue with --resume (resume=True)"
            logger.warning(text, n_finished, len(self.segments), self.path)


def _sync(path: Path) -> None:
    """Let the disk have what was written, so that a manifest never names what a power cut took away."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _differences(was: Any, now: Any, free: frozenset[str], name: str = "") -> Iterator[str]:
    """What differs between two recipes, in words."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in sorted({*was, *now}):
            yield from _differences(was.get(key), now.get(key), free, f"{name}.{key}" if name else key)
    elif was != now and name not in free:
        what = name.removesuffix(".sha256")
        yield f"{what} is another one" if what != name else f"{name} was {was!r}, is {now!r}"
