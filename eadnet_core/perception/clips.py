"""Clips to be described in words: what a folder holds, and what a provider is shown of a video."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..emotion.caption import MAX_PICTURES, Scene
from ..emotion.prosody import VoiceReading, mean_reading, read_voice
from ..emotion.spacing import held_between
from ..emotion.transcript import read_transcript
from ..errors import BadInput, FaceNotFound
from ..media.face.find import find_faces
from ..media.sound.speech import hear
from ..media.video.files import VIDEO_SUFFIXES, VideoReader, read_video
from ..taxonomy import EMOTIONS
from .faces import cut_faces

FACE_SIZE_PX = 256
"""Side of the cut around the face that a provider is shown."""
MOTION_PX = 48
"""Side of the picture of a face whose changes are counted as motion."""
LOOK_EVERY = 25
"""Frames after which the face is looked for anew."""
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

    The pictures are those at which the face is held between its movements (`spacing.held_between`).
    A transcript is a file of the clip's name that ends in .txt, .srt or .vtt.
    Raises BadInput for what is no video, FaceNotFound.
    """
    video = read_video(path)
    wanted = set(held_between(face_motion(video), MAX_PICTURES))
    pictures = [frame for number, frame in enumerate(video) if number in wanted]
    return Scene(
        pictures=shown_faces(pictures),
        transcript=transcript_of(Path(path)),
        voice=_voice(Path(path)),
        label=label,
        level=level,
    )


def face_motion(video: VideoReader) -> np.ndarray:
    """How much each frame differs from the one before around the face, [T], in levels of 255 without its brightness.

    The face is looked for every 25 frames, and taken to stay there meanwhile. 0 where none was found yet.
    """
    moved, box, before = [], None, None
    for number, frame in enumerate(video):
        here = None if box is None else _reduced(frame, box)
        moved.append(0.0 if here is None or before is None else float(np.abs(here - before).mean()))
        if number % LOOK_EVERY == 0:
            found = find_faces(frame)
            if found:
                box = found[0].box
                here = _reduced(frame, box)
        before = here
    return np.array(moved)


def _reduced(frame: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """The part of a frame in a box x0, y0, x1, y1, in grey, few pixels and without its mean."""
    image = Image.fromarray(frame).resize((MOTION_PX, MOTION_PX), Image.Resampling.BOX, _inside(box, frame.shape))
    grey = np.asarray(image.convert("L"), np.float32)
    return grey - grey.mean()


def _inside(box: tuple[float, float, float, float], shape: tuple[int, ...]) -> tuple[float, float, float, float]:
    """The box within the picture; all of the picture where less than a pixel of it is."""
    (x0, x1), (y0, y1) = (np.clip(box[i::2], 0, shape[1 - i]) for i in range(2))
    is_whole = x1 - x0 < 1 or y1 - y0 < 1
    return (0.0, 0.0, float(shape[1]), float(shape[0])) if is_whole else (float(x0), float(y0), float(x1), float(y1))


def shown_faces(pictures: list[np.ndarray]) -> np.ndarray:
    """Cuts [B, 256, 256, 3] uint8 around the faces in at most 8 of the pictures, those without one left out.

    Raises FaceNotFound where none holds a face.
    """
    cuts, missed = cut_faces(pictures, MAX_PICTURES, FACE_SIZE_PX)
    if not cuts:
        raise missed or FaceNotFound("There is no picture to look at.")
    return np.stack(cuts)


def transcript_of(path: Path) -> str:
    """What is said in a clip, from the file beside it; empty where there is none."""
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
