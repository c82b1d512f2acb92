"""A folder of clips captioned into a JSONL file: what is there is found again by content, and a run may be killed.

A line is written whole and reaches the disk before the next clip is begun. It holds the SHA-256 of its clip and a key
of all that it depends on. So a clip is asked about again only where its content, what is known of it, its transcript,
the model or the question has changed; copies of a clip share one answer.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..emotion.caption import Provider
from ..emotion.llm.chat import ProviderError, ProviderRefused
from ..errors import BadInput, Cancelled, EADNetError
from ..media.video.lock import Lock
from ..media.video.segments import file_hash
from ..paths import check_path, shown, write_failure
from ..request import Cancel
from .clips import ClipFile, find_clips, scene_of, transcript_of

log = logging.getLogger(__name__)

STREAK = 5
"""After so many clips in a row without an answer the model is taken to be gone, and the run stops."""
Line = dict[str, Any]
"""One line of the file: clip, source, known_label and known_level if there are any, and a description or an error."""


@dataclass
class Outcome:
    """What a run over a folder came to.

    n_clips   clips in the folder
    n_made    described in this run
    n_kept    whose line of an earlier run, or of a copy, stands
    errors    why a clip has no caption, by its name
    notes     what did not go as asked with one that has a caption, by its name
    labels    how many captions speak of each emotion
    """

    n_clips: int
    n_made: int = 0
    n_kept: int = 0
    errors: dict[str, str] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    labels: Counter[str] = field(default_factory=Counter)

    def add(self, line: Line, *, is_made: bool) -> None:
        """Count the line of a clip."""
        if "error" in line:
            self.errors[line["clip"]] = line["error"]
            return
        self.n_made += is_made
        self.n_kept += not is_made
        self.labels[str(line.get("label"))] += 1
        if isinstance(notes := line.get("notes"), list) and notes:
            self.notes[line["clip"]] = notes

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "labels": dict(self.labels)}


def caption_folder(
    folder: str | os.PathLike[str],
    output: str | os.PathLike[str],
    provider: Provider,
    on_clip: Callable[[int, int], None] | None = None,
    cancel: Cancel | None = None,
    asked: str = "",
) -> Outcome:
    """Caption the clips below a folder, one JSON line each.

    A clip that fails gets a line with `error`. It is tried again by the next run, as is one that the rules described
    for want of an answer.

    asked  names all that a caption depends on besides the clip: who describes it, and how it is asked
    Raises BadInput for the folder or output, and where the model refuses; ProviderError where it answers none of STREAK
    clips in a row; MediaError for a full disk; Cancelled between clips.
    """
    clips, output = find_clips(folder), _checked(Path(output))
    try:
        lock = Lock(output.with_name(f".{output.name}.lock"), output.name)
    except OSError as error:
        raise write_failure(error, output) from error
    try:
        return _Run(CaptionFile(output), provider, asked).over(clips, on_clip, cancel)
    finally:
        lock.release()


class CaptionFile:
    """The lines of a JSONL file, by clip; the last one of a clip counts."""

    def __init__(self, path: Path) -> None:
        """Read what is there. Raises BadInput for a file that holds no captions."""
        self.path, self.lines = path, dict[str, Line]()
        written = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        self._n_written = len(written)
        for values in map(_values, written):
            if values is not None:
                self.lines[values["clip"]] = values
        if written and not self.lines:
            raise BadInput(
                f"'{shown(path)}' holds no captions. Give a new file, so that nothing of yours is overwritten."
            )
        self.lines = {name: line for name, line in self.lines.items() if "caption" in line}
        self.by_key = {line["source"]["key"]: line for line in self.lines.values() if _is_final(line)}
        self.tidy()

    def add(self, line: Line) -> None:
        """One whole line, on the disk when this returns. Raises MediaError."""
        try:
            with self.path.open("ab", buffering=0) as file:
                file.write(_bytes(line))
                os.fsync(file.fileno())
        except OSError as error:
            raise write_failure(error, self.path, "All lines before it are there; the next run goes on.") from error
        self._n_written += 1
        self.lines[line["clip"]] = line
        if _is_final(line):
            self.by_key.setdefault(line["source"]["key"], line)

    def tidy(self) -> None:
        """Take out what was cut off, failed or came to be replaced; the file is there whole at any time."""
        if self._n_written == len(self.lines):
            return
        partial = self.path.with_name(self.path.name + ".partial")
        try:
            partial.write_bytes(b"".join(map(_bytes, self.lines.values())))
            os.replace(partial, self.path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise write_failure(error, self.path) from error
        self._n_written = len(self.lines)


@dataclass
class _Run:
    """One run: where lines go, who describes, and how many clips in a row got no answer."""

    file: CaptionFile
    provider: Provider
    asked: str
    streak: int = 0

    def over(self, clips: list[ClipFile], on_clip: Callable[[int, int], None] | None, cancel: Cancel | None) -> Outcome:
        outcome = Outcome(len(clips))
        for number, clip in enumerate(clips):
            if cancel is not None and cancel():
                raise Cancelled(f"Stopped after {number} of {len(clips)} clips; the next run goes on from there.")
            self._one(clip, outcome)
            if on_clip is not None:
                on_clip(number + 1, len(clips))
        self.file.tidy()
        return outcome

    def _one(self, clip: ClipFile, outcome: Outcome) -> None:
        was = self.file.lines.get(clip.name)
        if was is not None and "source" not in was:  # of a version that knew no sources
            return outcome.add(was, is_made=False)
        line: Line
        known: Line = {} if clip.label is None else {"known_label": clip.label, "known_level": clip.level}
        try:
            source = _source(clip, self.asked, was)
        except (OSError, EADNetError) as error:
            found = write_failure(error, clip.path) if isinstance(error, OSError) else error
            line = {"clip": clip.name, **known, "error": f"{type(found).__name__}: {found}"}
        else:
            same = was if was is not None and was["source"]["key"] == source["key"] else None
            if same is not None and _is_final(same):
                return outcome.add(same, is_made=False)
            if (copy := self.file.by_key.get(source["key"])) is not None:
                line = {**copy, "clip": clip.name, "source": source}
                self.file.add(line)
                return outcome.add(line, is_made=False)
            line = {"clip": clip.name, "source": source, **known, **self._described(clip)}
        self.file.add(line)
        return outcome.add(line, is_made=True)

    def _described(self, clip: ClipFile) -> Line:
        """What the provider says of a clip, or its error. Raises BadInput and ProviderError that concern all clips."""
        try:
            found = self.provider(scene_of(clip.path, clip.label, clip.level))
        except (ProviderRefused, Cancelled):
            raise
        except EADNetError as error:
            log.warning("'%s': %s", clip.name, error)
            if isinstance(error, ProviderError):
                self._count(str(error))
            return {"error": f"{type(error).__name__}: {error}"}
        if found.is_stand_in:
            self._count(found.notes[0] if found.notes else "")
        else:
            self.streak = 0
        return {**found.to_json(), **({"is_stand_in": True} if found.is_stand_in else {})}

    def _count(self, reason: str) -> None:
        self.streak += 1
        if self.streak >= STREAK:
            raise ProviderError(
                f"The model answered none of {STREAK} clips in a row. The last reason: {reason} "
                "Check that it runs, then run again: what was captioned before is kept."
            )


def _source(clip: ClipFile, asked: str, was: Line | None) -> dict[str, Any]:
    """What a line depends on. A file of the same size and time as before is not read again.

    Raises OSError, and BadInput for a transcript that cannot be read.
    """
    stat = clip.path.stat()
    size = {"bytes": stat.st_size, "modified_ns": stat.st_mtime_ns}
    before = was["source"] if was is not None else {}
    is_same = all(before.get(name) == value for name, value in size.items()) and "sha256" in before
    content = before["sha256"] if is_same else file_hash(clip.path)
    parts = [content, clip.label, clip.level, transcript_of(clip.path), asked]
    return {**size, "sha256": content, "key": hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]}


def _is_final(line: Line) -> bool:
    """Whether the clip need not be asked about again as long as its source stays the same."""
    return "source" in line and "error" not in line and not line.get("is_stand_in")


def _checked(output: Path) -> Path:
    check_path(output, "Output")
    if output.is_dir() or not output.absolute().parent.is_dir():
        raise BadInput(f"'{shown(output)}' cannot be written: its folder does not exist, or it is a folder itself.")
    return output


def _bytes(line: Line) -> bytes:
    return json.dumps(line, ensure_ascii=False).encode() + b"\n"


def _values(line: bytes) -> Line | None:
    """What a line holds; None of one that was cut off or is something else."""
    try:
        values: Any = json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict) or not isinstance(values.get("clip"), str):
        return None
    source = values.get("source", {"key": ""})
    return values if isinstance(source, dict) and isinstance(source.get("key"), str) else None
