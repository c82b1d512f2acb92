"""Clips described in words: frames, voice and transcript of a video to a provider, a folder of them to a JSONL file."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..emotion.caption import MAX_PICTURES, Description, Provider, Scene
from ..emotion.prosody import VoiceReading, mean_reading, read_voice
from ..emotion.spacing import evenly_spaced
from ..emotion.transcript import read_transcript
from ..errors import BadInput, Cancelled, EADNetError, FaceNotFound, MediaError
from ..media.sound.speech import hear
from ..media.video.files import VIDEO_SUFFIXES, read_video
from ..request import Cancel
from ..taxonomy import EMOTIONS
from .faces import cut_faces

log = logging.getLogger(__name__)

FACE_SIZE_PX = 256
"""Side of the cut around the face that a provider is shown."""
_LEVEL = re.compile(r"level_([123])")


@dataclass(frozen=True)
class ClipFile:
    """A clip of a folder, and the emotion and level 0 .. 2 that MEAD's folders tell of it."""

    path: Path
    name: str
    label: str | None = None
    level: int | None = None


def find_clips(folder: str | os.PathLike[str]) -> list[ClipFile]:
    """Every video below a folder, by name; in MEAD's layout, actor/video/view/emotion/level_N, with label and level.

    Raises BadInput for a folder that is missing or holds no video.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BadInput(f"'{folder}' is not a folder. Give the folder that holds the clips.")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file())
    if not paths:
        raise BadInput(f"'{folder}' holds no video: none ends in {', '.join(VIDEO_SUFFIXES)}.")
    return [ClipFile(p, p.relative_to(folder).as_posix(), *mead_label(p)) for p in paths]


def mead_label(path: Path) -> tuple[str | None, int | None]:
    """(label, level 0 .. 2) that MEAD's folders tell of a clip; (None, None) in any other layout.

    >>> mead_label(Path("M003/video/front/angry/level_2/001.mp4")), mead_label(Path("angry/001.mp4"))
    (('angry', 1), (None, None))
    """
    *_, kind, _, emotion, level, _ = ("", "", "", "", *path.parts)
    found = _LEVEL.fullmatch(level)
    if kind != "video" or emotion not in EMOTIONS or found is None:
        return None, None
    return emotion, int(found[1]) - 1


def scene_of(path: str | os.PathLike[str], label: str | None = None, level: int | None = None) -> Scene:
    """What a provider is shown of a clip: up to 8 cuts of the face, its voice, and the transcript that lies beside it.

    A transcript is a file of the clip's name that ends in .txt, .srt or .vtt.
    Raises BadInput for what is no video, FaceNotFound.
    """
    video = read_video(path)
    wanted = set(evenly_spaced(video.n_frames, MAX_PICTURES))
    pictures = [frame for number, frame in enumerate(video) if number in wanted]
    return Scene(
        pictures=shown_faces(pictures),
        transcript=_transcript(Path(path)),
        voice=_voice(Path(path)),
        label=label,
        level=level,
    )


def shown_faces(pictures: list[np.ndarray]) -> np.ndarray:
    """Cuts [B, 256, 256, 3] uint8 around the faces in at most 8 of the pictures, those without one left out.

    Raises FaceNotFound where none holds a face.
    """
    cuts, missed = cut_faces(pictures, MAX_PICTURES, FACE_SIZE_PX)
    if not cuts:
        raise missed or FaceNotFound("There is no picture to look at.")
    return np.stack(cuts)


def caption_folder(
    folder: str | os.PathLike[str],
    output: str | os.PathLike[str],
    provider: Provider,
    on_clip: Callable[[int, int], None] | None = None,
    cancel: Cancel | None = None,
) -> tuple[int, int]:
    """Caption the clips below a folder, one JSON line each; clips that have a line already are skipped.

    A clip that fails gets a line with `error` and is tried again by the next run. Lines are written whole.
    returns  (clips that have a caption, clips that failed)
    Raises BadInput for the folder or output, MediaError for a full disk, Cancelled between clips.
    """
    clips, output = find_clips(folder), Path(output)
    done = {line["clip"] for line in _finished(output)}
    n_failed = 0
    n_done = sum(clip.name in done for clip in clips)
    for number, clip in enumerate(c for c in clips if c.name not in done):
        if cancel is not None and cancel():
            raise Cancelled(f"Stopped after {number} clips; the next run goes on from there.")
        values = _captioned(clip, provider)
        n_failed += "error" in values
        _append(output, values)
        if on_clip is not None:
            on_clip(n_done + number + 1, len(clips))
    return len(clips) - n_failed, n_failed


def _captioned(clip: ClipFile, provider: Provider) -> dict[str, Any]:
    known = {} if clip.label is None else {"known_label": clip.label, "known_level": clip.level}
    try:
        description: Description = provider(scene_of(clip.path, clip.label, clip.level))
    except EADNetError as error:
        log.warning("'%s': %s", clip.name, error)
        return {"clip": clip.name, **known, "error": f"{type(error).__name__}: {error}"}
    return {"clip": clip.name, **known, **description.to_json()}


def _finished(output: Path) -> Iterator[dict[str, Any]]:
    """The lines with a caption that a run before wrote. Broken lines and failures are taken out of the file."""
    if output.is_dir() or not output.absolute().parent.is_dir():
        raise BadInput(f"'{output}' cannot be written: its folder does not exist, or it is a folder itself.")
    if not output.exists():
        return
    lines = output.read_bytes().splitlines(keepends=True)
    kept = [(line, values) for line in lines if (values := _values(line)) is not None and "caption" in values]
    if lines and not any(_values(line) for line in lines):
        raise BadInput(f"'{output}' holds no captions. Give a new file, so that nothing of yours is overwritten.")
    if len(kept) < len(lines):
        partial = output.with_name(output.name + ".partial")
        partial.write_bytes(b"".join(line for line, _ in kept))
        os.replace(partial, output)
    yield from (values for _, values in kept)


def _values(line: bytes) -> dict[str, Any] | None:
    """What a line holds; None of one that was cut off or is something else."""
    try:
        values = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return values if isinstance(values, dict) and "clip" in values else None


def _append(output: Path, values: dict[str, Any]) -> None:
    """One whole line, on the disk before the next clip is begun."""
    try:
        with output.open("ab", buffering=0) as file:
            file.write(json.dumps(values, ensure_ascii=False).encode() + b"\n")
            os.fsync(file.fileno())
    except OSError as error:
        raise MediaError(
            f"'{output}' cannot be written ({error.strerror}). Check disk space and permissions."
        ) from error


def _transcript(path: Path) -> str:
    text = path.with_suffix(".txt")
    if text.is_file():
        return text.read_text(encoding="utf-8", errors="replace")
    timed = next((t for s in (".srt", ".vtt") if (t := path.with_suffix(s)).is_file()), None)
    return "" if timed is None else " ".join(word.text for word in read_transcript(timed))


def _voice(path: Path) -> VoiceReading | None:
    """How the clip's voice sounds; None for a clip without sound or speech."""
    try:
        speech = hear(read_video(path).audio())
    except BadInput:
        return None
    return mean_reading(read_voice(speech.sound.samples, speech.voice))
