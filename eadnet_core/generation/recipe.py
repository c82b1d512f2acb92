"""A clip of one face or of several, and everything that decides what it looks like."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..media.sound.audio import Audio
from ..media.video.files import VideoReader
from ..media.video.segments import file_hash
from ..weights.folders import weight_files
from .conversation import Conversation
from .pipeline import Generation

Work = Generation | Conversation
"""What can be written: a clip of one face, or of several."""


def faces_of(work: Work) -> tuple[Generation, ...]:
    """The faces of a clip, each with what it does."""
    return work.faces if isinstance(work, Conversation) else (work,)


def weights_hash(folder: Path) -> str:
    """SHA-256 of all weight files of a model."""
    return hashlib.sha256("".join(file_hash(path) for path in weight_files(folder)).encode()).hexdigest()


def recipe(work: Work) -> dict[str, Any]:
    """Everything that decides what the frames look like, files and arrays by their SHA-256; plain JSON values."""
    if not isinstance(work, Conversation):
        return _recipe(work)
    about = work.report
    values = {
        "options": {"seed": about.options.seed},
        "speakers": {name: _recipe(face) for name, face in zip(about.names, work.faces, strict=True)},
        "bystanders": about.bystanders,
        "audio": {"sha256": _sound_hash(work.sound)},
    }
    return json.loads(json.dumps(values))


def _sound_hash(sound: Audio) -> str:
    """Of the original where it is one array, of the file it came from, else of what is listened to."""
    if sound.original is not None:
        return hashlib.sha256(sound.original.tobytes()).hexdigest()
    return file_hash(sound.path) if sound.path is not None else hashlib.sha256(sound.samples.tobytes()).hexdigest()


def _recipe(generation: Generation) -> dict[str, Any]:
    """That of one face."""
    about, subject, sound, model = generation.report, generation.subject, generation.sound, generation.model
    pictures, performer = subject.pictures, generation.performer
    if isinstance(pictures, VideoReader):
        seen = {"video": {"sha256": file_hash(pictures.path)}}
    else:
        seen = {"portrait": {"sha256": hashlib.sha256(subject.picture(0).tobytes()).hexdigest()}}
    values = {
        **seen,
        "audio": {"sha256": _sound_hash(sound)},
        "emotion": [reading["text"] for reading in about.emotions],
        "emotion_codes": {"sha256": hashlib.sha256(generation.performance.code.tobytes()).hexdigest()},
        "model": {"name": model.name, "sha256": weights_hash(model.folder)},
        "performer": None if performer is None else {"name": performer.name, "sha256": weights_hash(performer.folder)},
        "device": model.device.type,
        "dtype": str(model.dtype).removeprefix("torch."),
        "n_frames": about.n_frames,
        "size_px": [about.width_px, about.height_px],
        "face_crop": about.face_crop,
        "options": asdict(about.options),
        **_performance(about.performance),
        **({"style": {"sha256": about.style["sha256"]}} if about.style else {}),
    }
    return json.loads(json.dumps(values))


def _performance(about: dict[str, Any]) -> dict[str, Any]:
    """What drives the clip, whatever its file is called; nothing where nothing does."""
    return {"performance": {name: value for name, value in about.items() if name != "source"}} if about else {}
