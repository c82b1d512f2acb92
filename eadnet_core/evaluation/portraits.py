"""How a model does on real portraits: `eadnet evaluate --portraits FOLDER --voices FOLDER`.

Every portrait is made to speak in every emotion, with the voices in turn. Each clip is measured by landmarks and, where
their files are at hand, by nets from outside. Clips and their figures lie in one folder, so that a run goes on where an
earlier one was stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..config import FPS
from ..emotion.track import EmotionTrack, Keyframe
from ..errors import BadInput, EADNetError
from ..families.family import Model
from ..families.load import load_model
from ..generation.output import write_video
from ..generation.pipeline import prepare
from ..media.image import read_image
from ..media.sound.audio import Audio, original_samples, read_audio
from ..media.video.files import read_video
from ..media.video.segments import file_hash
from ..metrics.judging import LABELS
from ..metrics.portrait import LOOKED_AT_EVERY, ClipReader, FollowFace, Still, read_still
from ..metrics.portrait_table import summarise
from ..metrics.report import json_values
from ..paths import check_path, writing
from ..request import GenerateOptions
from ..weights.folders import find_model, weight_files
from ..weights.judges import Judges
from .portrait_sheets import draw_sheets, strip_picture

PROMPTS = {
    "neutral": "calm, neutral",
    "happy": "overjoyed",
    "sad": "devastated",
    "angry": "furious",
    "fear": "terrified",
    "disgusted": "utterly disgusted",
    "surprised": "completely astonished",
}
"""What is asked for by label, each at intensity 1."""
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
SOUNDS = (".wav", ".flac", ".mp3", ".ogg", ".m4a", ".opus")
SETTINGS = "settings.json"
OnProgress = Callable[[int, int], None]
"""(clips done, clips in all)"""


@dataclass(frozen=True)
class Request:
    """What is evaluated, and where to.

    portraits, voices, output  folders; the output is made if it is missing
    emotions                   some of LABELS
    seconds                    of each voice, from its beginning
    """

    portraits: Path
    voices: Path
    output: Path
    model: str = "mini"
    device: str = "auto"
    emotions: Sequence[str] = LABELS
    seconds: float = 3.0
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = [name for name in self.emotions if name not in PROMPTS]
        if unknown or not self.emotions:
            raise BadInput(f"{unknown or 'No emotion'} cannot be judged; give some of {', '.join(PROMPTS)}.")
        if not 0.5 <= self.seconds <= 60:
            raise BadInput(f"seconds is {self.seconds:g}; give 0.5 .. 60.")


@dataclass(frozen=True)
class Job:
    """One clip to be made: its portrait, emotion and voice, and where it goes."""

    portrait: Path
    label: str
    voice: str
    folder: Path

    @property
    def video(self) -> Path:
        return self.folder / f"{self.label}.mp4"

    @property
    def figures(self) -> Path:
        return self.folder / f"{self.label}.json"

    @property
    def strip(self) -> Path:
        return self.folder / f"{self.label}.jpg"


@dataclass
class PortraitBench:
    """Makes and measures the clips of a request; the model is loaded with the first clip that has to be made."""

    request: Request
    follow: FollowFace
    judges: Judges | None
    voices: dict[str, Audio]
    skipped: dict[str, str] = field(default_factory=dict)
    """Why a portrait was left out, by its file name."""

    @cached_property
    def model(self) -> Model:
        """The model, loaded."""
        return load_model(self.request.model, self.request.device, "auto")

    def jobs(self) -> list[Job]:
        """Every portrait in every emotion; the voices go round."""
        names = list(self.voices)
        return [
            Job(portrait, label, names[(i + k) % len(names)], self.request.output / "clips" / portrait.name)
            for i, portrait in enumerate(list_files(self.request.portraits, PICTURES, "portraits"))
            for k, label in enumerate(self.request.emotions)
        ]

    def clips(self, jobs: Sequence[Job], on_clip: OnProgress) -> Iterator[dict[str, Any]]:
        """The figures of every clip, made and measured unless they are there; portraits that fail land in `skipped`."""
        still: tuple[Path, Still | None] | None = None
        for number, job in enumerate(jobs):
            known = self._known(job)
            if known is None and job.portrait.name not in self.skipped:
                try:
                    if still is None or still[0] != job.portrait:
                        still = job.portrait, read_still(read_image(job.portrait), self.follow, self.judges)
                    known = self._make(job, still[1])
                except EADNetError as error:
                    self.skipped[job.portrait.name] = str(error)
            on_clip(number + 1, len(jobs))
            if known is not None:
                yield known

    def _known(self, job: Job) -> dict[str, Any] | None:
        """The figures of a clip that is there and was made of the same; None where it must be made or judged."""
        try:
            figures = json.loads(job.figures.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        is_whole = job.video.is_file() and job.strip.is_file() and (self.judges is None or figures.get("is_judged"))
        return figures if is_whole and figures.get("source") == self._source(job) else None

    def _source(self, job: Job) -> dict[str, Any]:
        sound = hashlib.sha256(self.voices[job.voice].samples.tobytes()).hexdigest()
        return {"portrait": file_hash(job.portrait), "voice": sound, "prompt": PROMPTS[job.label]}

    def _make(self, job: Job, still: Still | None) -> dict[str, Any]:
        if still is None:
            raise BadInput(f"No face was found in '{job.portrait.name}': give a picture with one face, near frontal.")
        job.folder.mkdir(parents=True, exist_ok=True)
        voice, source = self.voices[job.voice], self._source(job)
        if not job.video.is_file() or self._made_of(job) != source:
            intensity = None if job.label == "neutral" else 1.0
            words = EmotionTrack((Keyframe(0.0, PROMPTS[job.label], intensity),))
            options = replace(GenerateOptions(), seed=self.request.seed)
            work = prepare(job.portrait, voice, words, options, model=lambda: self.model)
            write_video(work, job.video, overwrite=True, resume=True)
        reader, strip = ClipReader(still, self.judges), []
        for number, (frame, points) in enumerate(_followed(job.video, self.follow)):
            reader.add(frame, points)
            if number % LOOKED_AT_EVERY == LOOKED_AT_EVERY // 2:
                strip.append(frame)
        figures = {
            "portrait": job.portrait.name,
            "emotion": job.label,
            "voice": job.voice,
            "source": source,
            "is_judged": self.judges is not None,
            "still": still.to_json(),
            **reader.report(voice.samples, job.label),
        }
        strip_picture(still, strip).save(job.strip, quality=90)
        write_values(job.figures, figures)
        return json_values(figures)

    def _made_of(self, job: Job) -> Any:
        try:
            return json.loads(job.figures.read_text(encoding="utf-8")).get("source")
        except (OSError, ValueError):
            return None


def evaluate_portraits(
    request: Request, follow: FollowFace, judges: Judges | None, progress: OnProgress | None = None
) -> dict[str, Any]:
    """Figures by emotion and over all, and those of every clip, as JSON values; sheets are drawn beside the clips.

    Raises BadInput for an empty folder, a voice that cannot be read, an output that holds clips of other settings, and
    where no portrait is left. Portraits that cannot be used are in "skipped", by file name with the reason.
    """
    voices = {path.name: first_seconds(path, request.seconds) for path in list_files(request.voices, SOUNDS, "voices")}
    bench = PortraitBench(request, follow, judges, voices)
    jobs = bench.jobs()
    _check_settings(request)
    rows = list(bench.clips(jobs, progress or (lambda done, total: None)))
    if not rows:
        raise BadInput(f"No portrait in '{request.portraits}' could be used: {next(iter(bench.skipped.values()))}")
    draw_sheets(request.output, request.emotions, [row["portrait"] for row in rows])
    results = {
        "model": request.model,
        "seconds": request.seconds,
        "is_judged": judges is not None,
        **summarise(rows, request.emotions),
        "skipped": bench.skipped,
        "clips": rows,
    }
    return json_values(results)


def list_files(folder: Path, suffixes: Sequence[str], what: str) -> list[Path]:
    """The files of a folder that end in one of `suffixes`, by name. Raises BadInput where there is none."""
    check_path(folder, what.capitalize())
    if not folder.is_dir():
        raise BadInput(f"'{folder}' is no folder; give the folder of the {what}.")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.is_file())
    if not found:
        raise BadInput(f"There are no {what} in '{folder}': put files in it that end in {', '.join(suffixes)}.")
    return found


def first_seconds(path: Path, seconds: float) -> Audio:
    """The beginning of a sound. Raises BadInput for what holds no sound."""
    sound = read_audio(path)
    samples = np.concatenate(list(original_samples(sound)), axis=1)[:, : round(seconds * sound.rate_hz)]
    return read_audio(samples, sound.rate_hz)


def write_values(path: Path, values: Any) -> None:
    """Write JSON values, all or nothing."""
    unfinished = path.with_name(path.name + ".partial")
    with writing(unfinished):
        unfinished.write_text(json.dumps(json_values(values), indent=1) + "\n", encoding="utf-8")
        unfinished.replace(path)


def _followed(video: Path, follow: FollowFace) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """Frames of a video, each with its landmarks."""
    seen: list[np.ndarray] = []

    def frames() -> Iterator[np.ndarray]:
        for frame in read_video(video, FPS):
            seen.append(frame)
            yield frame

    for points in follow(frames()):
        yield seen.pop(0), points


def _check_settings(request: Request) -> None:
    """Refuse an output folder whose clips were made with other settings; note those of this run."""
    weights = "".join(file_hash(path) for path in weight_files(find_model(request.model)))
    values = {
        "weights": hashlib.sha256(weights.encode()).hexdigest(),
        "seconds": request.seconds,
        "seed": request.seed,
    }
    path = request.output / SETTINGS
    if path.is_file():
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            known = {}
        differing = [name for name in values if known.get(name) != values[name]]
        if differing:
            raise BadInput(
                f"'{request.output}' holds clips of other settings ({', '.join(differing)}): give another --output, or "
                "remove it."
            )
    elif request.output.exists() and (not request.output.is_dir() or any(request.output.iterdir())):
        raise BadInput(f"'{request.output}' exists and holds no evaluation of portraits: give another --output.")
    check_path(request.output, "Output").mkdir(parents=True, exist_ok=True)
    write_values(path, values)
