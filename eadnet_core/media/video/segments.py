"""Segments of a clip on disk: a folder beside the output that keeps what is finished until the output is whole.

The manifest says what belongs to the clip; it is replaced in one step after the files that it names, so that whatever
moment a run is killed at, the folder holds finished segments and nothing else counts.
"""

from __future__ import annotations

import contextlib
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
from ...paths import check_path, write_failure
from ..sound.audio import Audio
from .encoding import ALPHA_SUFFIXES
from .files import VideoWriter
from .join import join_videos
from .lock import Lock, check_free

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
_FORMAT, _VERSION = "eadnet-segments", 1
_OURS = ("segment-*", "sampler-*", ".segment-*", ".join-*", "*.partial")
"""Every file and folder that is made here but the manifest and the lock."""
LOCK = "run.lock"
"""Held while a run works in the folder."""


def segment_folder(output: str | os.PathLike[str]) -> Path:
    """Where the segments of a video lie until it is whole.

    >>> segment_folder("clips/out.mp4").as_posix()
    'clips/out.eadnet'
    """
    return Path(output).with_suffix(".eadnet")


def check_segments(output: str | os.PathLike[str], resume: bool) -> None:
    """Refuse to begin where a run still works or segments of an earlier one lie, before any work is done.

    Raises BadInput, also for a name that the file system does not take, with ".eadnet" for its suffix.
    """
    output = check_path(output, "Output")
    if not output.name:
        raise BadInput(f"Output '{output}' is a folder. Give a file name such as '{output / 'out.mp4'}'.")
    folder = check_path(segment_folder(output), "The folder of segments beside the output,")
    check_free(folder / LOCK, output.name)
    _refuse_others(folder, resume)


def _refuse_others(folder: Path, resume: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"'{folder}' is no folder, and segments have to lie there. Remove it, or give another output.")
    if not resume and folder.exists() and _begun(folder):
        raise BadInput(
            f"'{folder}' holds segments of an earlier run. Continue it with --resume (resume=True), or remove that "
            "folder to begin anew."
        )


def _begun(folder: Path) -> bool:
    """Whether a folder holds more than what a run leaves that ends before its manifest is written."""
    return any(name != LOCK and not name.endswith(".partial") for name in os.listdir(folder))


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
        Raises BadInput for a folder that is there without `resume`, for one that another recipe made, and while another
        run works in it, MediaError where it cannot be written.
        """
        self.output, self.path = Path(output), segment_folder(output)
        check_segments(output, resume)
        self.damaged: set[int] = set()
        try:
            self._lock = Lock(self.path / LOCK, self.output.name)
        except OSError as error:
            raise write_failure(error, self.path) from error
        try:
            _refuse_others(self.path, resume)
            if (self.path / MANIFEST).is_file():
                self._open(recipe, overwrite, free)
            else:
                self._begin(recipe, n_frames, segment_frames, overwrite)
        except OSError as error:
            self._leave()
            raise write_failure(error, self.path) from error
        except BaseException:
            self._leave()
            raise

    def _open(self, recipe: dict[str, Any], overwrite: bool, free: frozenset[str]) -> None:
        self.values = self._read(self.path / MANIFEST)
        self._compare(recipe, free)
        self.values["owns_output"] |= overwrite
        self._check_output()
        self._tidy()
        self._check_files()

    def _begin(self, recipe: dict[str, Any], n_frames: int, segment_frames: int, overwrite: bool) -> None:
        if _begun(self.path):
            raise BadInput(f"'{self.path}' is no folder of segments: it has no {MANIFEST}. Remove it.")
        starts = range(0, n_frames, segment_frames)
        segments = [
            {"start_frame": s, "stop_frame": min(s + segment_frames, n_frames), "state": "open"} for s in starts
        ]
        self.values = {"format": _FORMAT, "version": _VERSION, "state": "running", "output": self.output.name}
        self.values |= {"owns_output": overwrite, "recipe": recipe, "segments": segments, "sampler": None}
        self._check_output()
        self._save()

    def _leave(self) -> None:
        """Let other runs in; an empty folder goes."""
        self._lock.release()
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def _check_output(self) -> None:
        """The output may be replaced if that was allowed, or if an earlier run of this clip has written it."""
        if self.output.exists() and not self.values["owns_output"]:
            raise BadInput(f"Output '{self.output}' exists already. Move it away, or allow it to be overwritten.")

    def _read(self, manifest: Path) -> dict[str, Any]:
        try:
            values = json.loads(manifest.read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise BadInput(f"'{manifest}' cannot be read ({error}). Remove the folder to begin anew.") from error
        if not isinstance(values, dict):
            raise BadInput(f"'{manifest}' is no manifest of segments. Remove the folder to begin anew.")
        if values.get("format") != _FORMAT or values.get("version") != _VERSION:
            raise BadInput(f"'{manifest}' was written by another version. Finish it there, or remove the folder.")
        if not _is_whole(values):
            raise BadInput(f"'{manifest}' is damaged. Remove the folder to begin anew.")
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
        has_alpha: bool = False,
    ) -> None:
        """Write one segment; it counts when the manifest names it.

        size       (width, height) of the frames, uint8 [t, H, W, 3] in parts
        state      what `sampler_state` gives back; None leaves what is there
        has_alpha  frames are [t, H, W, 4]
        """
        before = self.segments[number]
        redone = f"-seed{seed}" if "seed" in before and before["seed"] != seed else ""
        suffix = ALPHA_SUFFIXES[0] if has_alpha else ".mp4"
        video = self.path / f"segment-{number:05d}{redone}{suffix}"
        with VideoWriter(video, size, FPS, overwrite=True, is_part=True, has_alpha=has_alpha) as writer:
            for part in frames:
                writer.write(part)
        names = {"video": video.name, "latents": self._store(video.stem, latents)}
        sums = {f"{kind}_sha256": file_hash(self.path / name) for kind, name in names.items()}
        segments, sampler = list(self.segments), self.values["sampler"]
        segments[number] = {**before, "state": "finished", "seed": seed, **names, **sums}
        if state is not None:
            name = self._store(f"sampler-{number:05d}", state)
            sampler = {"file": name, "sha256": file_hash(self.path / name)}
        self._save(segments=segments, sampler=sampler, state="running")
        self.damaged.discard(number)
        self._tidy()

    def adopt(self, number: int, segment: dict[str, Any], source: Path) -> None:
        """Take a finished segment of the same clip over from another folder."""
        for kind in ("video", "latents"):
            os.replace(source / segment[kind], self.path / segment[kind])
        segments = list(self.segments)
        segments[number] = segment
        self._save(segments=segments, state="running")
        self.damaged.discard(number)

    def _store(self, stem: str, tensors: dict[str, Tensor]) -> str:
        path = self.path / f"{stem}.safetensors"
        with whole(path, path.with_suffix(".partial")) as partial:
            save_file(tensors, partial)
        return path.name

    def finish(self, audio: Audio, settings: dict[str, Any], duration_s: Fraction | None) -> None:
        """Join the segments with the sound into the output."""
        self._check_output()
        self._save(owns_output=True)
        parts = [self.path / segment["video"] for segment in self.segments]
        join_videos(parts, self.path / f"segment-joined{self.output.suffix}", audio, settings, True, duration_s)
        os.replace(self.path / f"segment-joined{self.output.suffix}", self.output)
        self._save(state="joined")

    def remove(self) -> None:
        """Remove everything that was made here, the manifest last."""
        self.values |= {"segments": [], "sampler": None}
        self._tidy()
        (self.path / MANIFEST).unlink(missing_ok=True)
        self._leave()
        if self.path.exists():
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

    def _save(self, **changes: Any) -> None:
        """Write the manifest; changed values count when that is done."""
        values = {**self.values, **changes}
        with whole(self.path / MANIFEST, self.path / f"{MANIFEST}.partial") as partial:
            partial.write_text(json.dumps(values, indent=1) + "\n", "utf-8")
        self.values = values

    def __enter__(self) -> SegmentFolder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is None:
            self._lock.release()
            return
        n_finished = sum(segment["state"] == "finished" for segment in self.segments)
        kept = f"{n_finished} of {len(self.segments)} segments are finished and kept in '{self.path}'"
        if n_finished == 0:
            self.remove()
        else:
            self._lock.release()
            logger.warning("%s: continue with --resume (resume=True)", kept)
        if isinstance(error, (OSError, SafetensorError)):
            go_on = f"{kept}: go on with --resume (resume=True)." if n_finished else "Nothing was finished; run again."
            name = getattr(error, "filename", None)
            raise write_failure(error, name if isinstance(name, str) else self.path, go_on) from error


@contextlib.contextmanager
def whole(path: Path, partial: Path) -> Iterator[Path]:
    """Write `partial` inside: when it is whole and on the disk it takes the place of `path`; half of it goes."""
    try:
        yield partial
        _sync(partial)
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def _is_whole(values: dict[str, Any]) -> bool:
    """Whether a manifest has what a run reads of it, and names files of its own folder alone."""
    segments, sampler = values.get("segments"), values.get("sampler")
    if not isinstance(values.get("recipe"), dict) or not isinstance(segments, list) or not segments:
        return False
    if not isinstance(values.get("output"), str) or not isinstance(values.get("owns_output"), bool):
        return False
    needed, named = {"start_frame", "stop_frame", "state"}, []
    for segment in segments:
        if not isinstance(segment, dict) or not needed <= segment.keys():
            return False
        if segment["state"] == "finished":
            if not {"seed", "video", "latents", "video_sha256", "latents_sha256"} <= segment.keys():
                return False
            named += [segment["video"], segment["latents"]]
    if sampler is not None:
        if not isinstance(sampler, dict) or not {"file", "sha256"} <= sampler.keys():
            return False
        named.append(sampler["file"])
    return all(isinstance(name, str) and name not in ("", "..") and Path(name).name == name for name in named)


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
