"""A generation on its way into a file: segments on disk, going on after a stop, one segment made anew, the scores."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..config import FPS
from ..errors import BadInput
from ..families.base import BaseModel
from ..families.family import sampler_options
from ..media.face.subject import Subject
from ..media.video.files import VideoReader
from ..media.video.segments import MANIFEST, SegmentFolder, file_hash, segment_folder
from ..paths import check_path, writing
from ..request import Cancel, OnProgress, Segment
from ..weights.experts import Experts, load_experts
from ..weights.folders import weight_files
from .animation import Animation, Latents, decode_latents
from .clock import Clock
from .pipeline import Generation
from .plan import shown_reference

if TYPE_CHECKING:
    from ..metrics.report import Scores

log = logging.getLogger(__name__)

LEAST_SCORED_FRAMES = 5
KNOWN_WINDOWS = 2
"""Windows of finished frames on both sides that a segment made anew sees."""
CONTROLS = "controls"
"""Name of a performance among what is stored of a clip."""
FADE_FRAMES = 12
"""Over which it fades, in latents and motion, from what was there before: its neighbours belong to that."""


def write_video(
    generation: Generation,
    output: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    resume: bool = False,
    keep_segments: bool = False,
    redo: int | None = None,
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
    report: str | os.PathLike[str] | None = None,
    experts: Experts | None = None,
    has_settings: bool = True,
) -> Scores | None:
    """Write a generation into one video file with its original sound; the file appears when it is whole.

    Segments of `segment_frames` go to the folder out.eadnet beside out.mp4 as they are finished; nothing finished is
    lost, whatever happens.

    resume         go on where an earlier run of the same inputs stopped; the video is that of an unbroken run
    keep_segments  leave the folder there, for `redo`
    redo           number of one segment, from 0, to make anew with the seed of this generation; the others stay
    report         picture of the scores to draw; experts: what scores, default those shipped with the model
    has_settings   let the file say what it was made with; that it is synthetic it always says
    returns        the scores where a report was asked for
    Raises BadInput for an output that is refused and for segments of other inputs, MediaError if it cannot be written,
    Cancelled.
    """
    about = generation.report
    scorer = _Scoring(generation, Path(report), experts) if report is not None else None
    if redo is not None and not (segment_folder(output) / MANIFEST).is_file():
        raise BadInput(f"There are no segments of '{output}' to redo one of. Make it with --keep-segments first.")
    clock = Clock(about.seconds)
    free = frozenset() if redo is None else frozenset({"options.seed"})
    length, is_open = generation.options.segment_frames, resume or redo is not None
    with SegmentFolder(output, recipe(generation), about.n_frames, length, is_open, overwrite, free) as folder:
        clock.stop("check")
        job = _Job(generation, folder, scorer, on_progress, cancel)
        if redo is None:
            job.go_on()
        else:
            job.redo(redo)
        clock.start()
        cut = Fraction(about.n_frames, FPS) if about.n_frames < generation.sound.n_frames() else None
        folder.finish(generation.sound, job.settings() if has_settings else {}, cut)
        if not keep_segments and redo is None:
            folder.remove()
    clock.stop("join")
    for note in about.notes:
        log.info("note: %s", note)
    return scorer.finish(Path(output).name) if scorer is not None else None


class _Job:
    """Fills a folder with the segments of a generation."""

    def __init__(
        self,
        generation: Generation,
        folder: SegmentFolder,
        scorer: _Scoring | None,
        on_progress: OnProgress | None,
        cancel: Cancel | None,
    ) -> None:
        self.generation, self.folder, self.scorer = generation, folder, scorer
        self.on_progress, self.cancel = on_progress, cancel
        self.spans = [(s["start_frame"], s["stop_frame"]) for s in folder.segments]

    def go_on(self) -> None:
        """Make every segment that is not finished."""
        generation, folder = self.generation, self.folder
        if all(folder.is_finished(number) for number in range(len(self.spans))):
            self._score_stored(range(len(self.spans)))
            return
        state = folder.sampler_state()
        if state is not None and CONTROLS in state:
            generation.controls = state.pop(CONTROLS).numpy()
        clip = generation.animation(self.on_progress, self.cancel)
        if state is not None:
            clip.restore(state)
        first = clip.wave.first // generation.options.segment_frames
        self._score_stored(range(first))
        for number, latents in enumerate(clip, first):
            if folder.is_finished(number):
                clip.skip(latents)
                self._score_stored([number])
                continue
            is_last = number == len(self.spans) - 1
            self._add(generation, number, clip, latents, None if is_last else clip.state)
            del latents  # its view would be held while the next segment is sampled

    def redo(self, number: int) -> None:
        """Make one segment anew between its neighbours, which stay."""
        generation, folder = self.generation, self.folder
        if not all(folder.is_finished(i) for i in range(len(self.spans))):
            raise BadInput(f"Not all segments of '{folder.output}' are finished. Go on with --resume first.")
        if not 0 <= number < len(self.spans):
            raise BadInput(f"redo is {number}, but the segments are numbered 0 .. {len(self.spans) - 1}.")
        seed = generation.options.seed
        if folder.segments[number]["seed"] == seed:
            raise BadInput(f"Segment {number} was made with seed {seed}; give another one with --seed.")
        (start, stop), n_frames = self.spans[number], generation.report.n_frames
        reach = KNOWN_WINDOWS * sampler_options(generation.model, generation.options).window_frames
        first, last = max(0, start - reach), min(n_frames, stop + reach)
        x0, motion, controls = self._stored(first, last)
        inside = slice(start - first, stop - first)
        weight = fade(stop - start, start > 0, stop < n_frames)
        performance = generation.performance
        blended = performance.motion.copy()
        blended[first:last] = motion
        blended[start:stop] += weight[:, None] * (performance.motion[start:stop] - motion[inside])
        moved = generation.moving(0, blended)
        acted = moved.performed(first, last, cancel=self.cancel)
        if acted is not None and controls is not None:
            controls[inside] += weight[:, None] * (acted[inside] - controls[inside])
            moved = moved.moving(first, blended[first:last], controls)
        clip = moved.animation(self.on_progress, self.cancel)
        made = clip.resample(start, stop, first, x0)
        faded = torch.lerp(x0[:, inside], made.x0, torch.from_numpy(weight)[:, None, None])
        made = replace(made, x0=faded)
        self._score_stored(range(number))
        self._add(moved, number, clip, made, None)
        self._score_stored(range(number + 1, len(self.spans)))

    def _add(
        self,
        generation: Generation,
        number: int,
        clip: Animation,
        latents: Latents,
        state: Callable[[], dict[str, Tensor]] | None,
    ) -> None:
        seconds = generation.report.seconds
        began, counted = time.perf_counter(), sum(seconds.values())
        start = self.spans[number][0]
        parts = clip.frames(latents, generation.at_once)
        frames = self._watched(generation, generation.finished(parts, start, generation.paster()))
        tracks = {"motion": generation.performance.motion, CONTROLS: generation.controls}
        part = slice(start, start + latents.n_frames)
        stored = {name: torch.from_numpy(track[part].copy()) for name, track in tracks.items() if track is not None}
        stored["x0"] = latents.x0.contiguous()
        kept = state() if state is not None else None
        if kept is not None and generation.controls is not None:
            kept[CONTROLS] = torch.from_numpy(generation.controls)
        has_alpha = generation.options.background == "transparent"
        self.folder.add(number, generation.options.seed, generation.subject.size, frames, stored, kept, has_alpha)
        rest = time.perf_counter() - began - (sum(seconds.values()) - counted)
        seconds["write"] = seconds.get("write", 0.0) + rest

    def _watched(self, generation: Generation, segments: Iterable[Segment]) -> Iterator[np.ndarray]:
        """The full pictures, after the scorer has seen the face."""
        for segment in segments:
            if self.scorer is not None:
                self.scorer.add(segment, generation.shown)
            yield segment.frames

    def _stored(self, first: int, last: int) -> tuple[Tensor, np.ndarray, np.ndarray | None]:
        """x0 [C, T, h, w], motion [T, 8] and performance [T, 28] of frames first .. last - 1 of finished segments."""
        numbers = [i for i, (start, stop) in enumerate(self.spans) if start < last and stop > first]
        kept = [self.folder.latents(i) for i in numbers]
        inside = slice(first - self.spans[numbers[0]][0], last - self.spans[numbers[0]][0])
        x0, motion = torch.cat([k["x0"] for k in kept], dim=1), torch.cat([k["motion"] for k in kept])
        controls = torch.cat([k[CONTROLS] for k in kept])[inside].numpy() if CONTROLS in kept[0] else None
        return x0[:, inside], motion[inside].numpy(), controls

    def _score_stored(self, numbers: Iterable[int]) -> None:
        """Let the scorer see segments that were finished before."""
        if self.scorer is None:
            return
        for number in numbers:
            start, stop = self.spans[number]
            x0, motion, controls = self._stored(start, stop)
            generation = self.generation.moving(start, motion, controls)
            reference = shown_reference(generation.model, generation.shown)
            decoded = decode_latents(generation.model, reference, x0, motion, generation.options, first=start)
            for segment in generation.finished((frames for _, frames in decoded), start, generation.paster()):
                self.scorer.add(segment, generation.shown)

    def settings(self) -> dict[str, Any]:
        """What the file says it was made with; segments that were made anew are named with their seeds."""
        settings = self.generation.report.settings()
        seed = self.folder.values["recipe"]["options"]["seed"]
        others = {str(i): s["seed"] for i, s in enumerate(self.folder.segments) if s["seed"] != seed}
        settings["options"]["seed"] = seed
        return {**settings, **({"segment_seeds": others} if others else {})}


def fade(n_frames: int, has_before: bool, has_after: bool) -> np.ndarray:
    """Weight [T] of what is new: rises from what was there at the borders that have neighbours.

    >>> [round(float(weight), 2) for weight in fade(5, True, False)]
    [0.33, 0.67, 1.0, 1.0, 1.0]
    """
    reach = min(FADE_FRAMES, n_frames // 2)
    ramp = np.arange(1, n_frames + 1, dtype=np.float32) / (reach + 1)
    before = ramp if has_before else np.ones(n_frames, np.float32)
    after = ramp[::-1] if has_after else np.ones(n_frames, np.float32)
    return np.minimum(np.minimum(before, after), np.float32(1.0))


def weights_hash(folder: Path) -> str:
    """SHA-256 of all weight files of a model."""
    return hashlib.sha256("".join(file_hash(path) for path in weight_files(folder)).encode()).hexdigest()


def recipe(generation: Generation) -> dict[str, Any]:
    """Everything that decides what the frames look like, files and arrays by their SHA-256; plain JSON values."""
    about, subject, sound, model = generation.report, generation.subject, generation.sound, generation.model
    pictures, performer = subject.pictures, generation.performer
    if isinstance(pictures, VideoReader):
        seen = {"video": {"sha256": file_hash(pictures.path)}}
    else:
        seen = {"portrait": {"sha256": hashlib.sha256(subject.picture(0).tobytes()).hexdigest()}}
    heard = hashlib.sha256(sound.original.tobytes()).hexdigest() if sound.original is not None else ""
    values = {
        **seen,
        "audio": {"sha256": heard or file_hash(sound.path or "")},
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
    }
    return json.loads(json.dumps(values))


def _performance(about: dict[str, Any]) -> dict[str, Any]:
    """What drives the clip, whatever its file is called; nothing where nothing does."""
    return {"performance": {name: value for name, value in about.items() if name != "source"}} if about else {}


class _Scoring:
    """Scores the frames on their way to the file, and draws the report."""

    def __init__(self, generation: Generation, path: Path, experts: Experts | None) -> None:
        from ..metrics.base_sync import BaseSyncMeter
        from ..metrics.report import Scorer

        if generation.report.n_frames < LEAST_SCORED_FRAMES:
            raise BadInput(f"A report needs at least {LEAST_SCORED_FRAMES} frames; this clip has fewer.")
        check_path(path, "Report")
        if path.suffix.lower() != ".png" or not path.absolute().parent.is_dir():
            raise BadInput(f"Report '{path}' cannot be written: give a .png in a folder that exists.")
        self.generation, self.path = generation, path
        self.scorer = Scorer(experts or load_experts(generation.model.device, generation.model.folder))
        model = generation.model
        own = model.syncnet if isinstance(model, BaseModel) else None
        self.base = BaseSyncMeter(own) if own is not None else None

    def add(self, segment: Segment, shown: Subject) -> None:
        """Take in finished frames in order.

        shown  the subject as the model was shown it, which knows where the face lies in each
        """
        self.scorer.add(segment.face_frames)
        if self.base is None:
            return
        for number, frame in enumerate(segment.frames[..., :3], segment.start_frame):
            self.base.add(shown.framing.cut(frame, shown.nearest(shown.index(number)), self.base.size_px)[None])

    def finish(self, name: str) -> Scores:
        from ..metrics.report import draw_report

        labels = {reading["label"] for reading in self.generation.report.emotions}
        asked = labels.pop() if len(labels) == 1 else None
        samples = self.generation.sound.samples
        scores = self.scorer.finish(samples, name, asked)
        if self.base is not None:
            scores = replace(scores, base_sync=self.base.finish(samples))
        with writing(self.path, "The video is whole; score it again with `eadnet score`."):
            draw_report(scores).save(self.path)
        return scores
