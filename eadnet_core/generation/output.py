"""A generation on its way into a file: segments on disk, going on after a stop, one segment made anew, the scores."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..config import FPS
from ..errors import BadInput
from ..families.family import sampler_options
from ..media.video.parts import drop_stale, part_output, take_in
from ..media.video.segments import MANIFEST, SegmentFolder, segment_folder
from ..request import Cancel, OnProgress, Segment
from ..weights.experts import Experts
from .animation import Animation, Latents, decode_latents
from .clock import Clock
from .conversation import Conversation, SharedProgress
from .pipeline import Generation
from .plan import decoded_reference
from .recipe import Work, faces_of, recipe
from .scoring import Scoring, scorers_of

if TYPE_CHECKING:
    from ..metrics.report import Scores

log = logging.getLogger(__name__)

KNOWN_WINDOWS = 2
"""Windows of finished frames on both sides that a segment made anew sees."""
CONTROLS = "controls"
"""Name of a performance among what is stored of a clip."""
FADE_FRAMES = 12
"""Over which it fades, in latents and motion, from what was there before: its neighbours belong to that."""


def write_video(
    work: Work,
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
) -> Scores | dict[str, Scores] | None:
    """Write a clip into one video file with its original sound; the file appears when it is whole.

    Segments of `segment_frames` go to the folder out.eadnet beside out.mp4 as they are finished; nothing finished is
    lost, whatever happens.

    resume         go on where an earlier run of the same inputs stopped; the video is that of an unbroken run
    keep_segments  leave the folder there, for `redo`
    redo           number of one segment, from 0, to make anew with the seed of this clip; the others stay
    report         picture of the scores to draw; of several faces, one for each, with its name before the suffix;
                   experts: what scores, default those shipped with the model
    has_settings   let the file say what it was made with; that it is synthetic it always says
    returns        the scores where a report was asked for; of several faces by their names
    Raises BadInput for an output that is refused and for segments of other inputs, MediaError if it cannot be written,
    Cancelled.
    """
    about = work.report
    scorers = scorers_of(work, None if report is None else Path(report), experts)
    if redo is not None and not (segment_folder(output) / MANIFEST).is_file():
        raise BadInput(f"There are no segments of '{output}' to redo one of. Make it with --keep-segments first.")
    clock = Clock(about.seconds)
    free = frozenset() if redo is None else _seeds(work)
    length, is_open = work.options.segment_frames, resume or redo is not None
    with SegmentFolder(output, recipe(work), about.n_frames, length, is_open, overwrite, free) as folder:
        clock.stop("check")
        if resume:
            take_in(folder)
        job = _Job(work, folder, scorers, on_progress, cancel)
        if redo is None:
            job.go_on()
        else:
            job.redo(redo)
        clock.start()
        cut = Fraction(about.n_frames, FPS) if about.n_frames < work.sound.n_frames() else None
        folder.finish(work.sound, job.settings() if has_settings else {}, cut)
        if not keep_segments and redo is None:
            folder.remove()
    clock.stop("join")
    for note in about.notes:
        log.info("note: %s", note)
    if not scorers:
        return None
    scores = [scorer.finish(Path(output).name) for scorer in scorers]
    return dict(zip(work.report.names, scores, strict=True)) if isinstance(work, Conversation) else scores[0]


def write_part(
    work: Work, output: Path, first: int, last: int, on_progress: OnProgress | None = None, cancel: Cancel | None = None
) -> None:
    """Make the segments first .. last - 1 of a clip by themselves; `write_video` with `resume` takes them in.

    They lie beside the output until then, and a part that was stopped goes on. Without SyncNet guidance they are what
    one run makes of the whole clip. Raises MediaError, Cancelled, and BadInput while another process makes this part.
    """
    part, made_of = part_output(output, first), recipe(work)
    drop_stale(part, made_of)
    with SegmentFolder(part, made_of, work.report.n_frames, work.options.segment_frames, resume=True) as folder:
        _Job(work, folder, (), on_progress, cancel).make(first, last)


def _prefixes(work: Work) -> list[str]:
    """What stands before the names of what is stored of each face; nothing where there is one."""
    return [f"face{i}." for i in range(len(work.faces))] if isinstance(work, Conversation) else [""]


def _seeds(work: Work) -> frozenset[str]:
    """The names of seeds in a recipe."""
    names = work.report.names if isinstance(work, Conversation) else ()
    return frozenset({"options.seed", *(f"speakers.{name}.options.seed" for name in names)})


class _Job:
    """Fills a folder with the segments of a clip, all of whose faces are made for one segment after the other."""

    def __init__(
        self,
        work: Work,
        folder: SegmentFolder,
        scorers: Sequence[Scoring],
        on_progress: OnProgress | None,
        cancel: Cancel | None,
    ) -> None:
        self.work, self.folder, self.scorers = work, folder, scorers
        self.cancel = cancel
        self.prefixes = _prefixes(work)
        self.spans = [(s["start_frame"], s["stop_frame"]) for s in folder.segments]
        self.progress = SharedProgress(faces_of(work), on_progress)

    def go_on(self) -> None:
        """Make every segment that is not finished."""
        work, folder = self.work, self.folder
        if all(folder.is_finished(number) for number in range(len(self.spans))):
            self._score_stored(range(len(self.spans)))
            return
        state = folder.sampler_state()
        states = None if state is None else [_named(state, prefix) for prefix in self.prefixes]
        for face, own in zip(faces_of(work), states or [], strict=False):
            if CONTROLS in own:
                face.controls = own.pop(CONTROLS).numpy()
        clips = [face.animation(self.progress.of(i), self.cancel) for i, face in enumerate(faces_of(work))]
        for i, (clip, own) in enumerate(zip(clips, states or [], strict=False)):
            clip.restore(own)
            self.progress.begin(i, clip.counter.n_sampled + clip.counter.n_decoded)
        first = clips[0].wave.first // work.options.segment_frames
        self._score_stored(range(first))
        for number, latents in enumerate(zip(*clips, strict=True), first):
            if folder.is_finished(number):
                for clip, own_latents in zip(clips, latents, strict=True):
                    clip.skip(own_latents)
                self._score_stored([number])
                continue
            self._add(work, number, clips, latents, has_state=number < len(self.spans) - 1)
            del latents  # their views would be held while the next segment is sampled

    def make(self, first: int, last: int) -> None:
        """Make the segments first .. last - 1 that are not finished, and no state to go on from."""
        open_ones = [number for number in range(first, last) if not self.folder.is_finished(number)]
        if not open_ones:
            return
        first = open_ones[0]
        clips = [face.animation(self.progress.of(i), self.cancel) for i, face in enumerate(faces_of(self.work))]
        for clip in clips:
            clip.begin(self.spans[first][0])
        for number, latents in enumerate(islice(zip(*clips, strict=True), last - first), first):
            self._add(self.work, number, clips, latents, has_state=False)
            del latents

    def redo(self, number: int) -> None:
        """Make one segment anew between its neighbours, which stay."""
        work, folder = self.work, self.folder
        if not all(folder.is_finished(i) for i in range(len(self.spans))):
            raise BadInput(f"Not all segments of '{folder.output}' are finished. Go on with --resume first.")
        if not 0 <= number < len(self.spans):
            raise BadInput(f"redo is {number}, but the segments are numbered 0 .. {len(self.spans) - 1}.")
        seed = work.options.seed
        if folder.segments[number]["seed"] == seed:
            raise BadInput(f"Segment {number} was made with seed {seed}; give another one with --seed.")
        (start, stop), n_frames = self.spans[number], work.report.n_frames
        moved, clips, made = [], [], []
        for i, (face, prefix) in enumerate(zip(faces_of(work), self.prefixes, strict=True)):
            reach = KNOWN_WINDOWS * sampler_options(face.model, face.options).window_frames
            first, last = max(0, start - reach), min(n_frames, stop + reach)
            x0, motion, controls = self._stored(first, last, prefix)
            inside = slice(start - first, stop - first)
            weight = fade(stop - start, start > 0, stop < n_frames)
            performance = face.performance
            blended = performance.motion.copy()
            blended[first:last] = motion
            blended[start:stop] += weight[:, None] * (performance.motion[start:stop] - motion[inside])
            other = face.moving(0, blended)
            acted = other.performed(first, last, cancel=self.cancel)
            if acted is not None and controls is not None:
                controls[inside] += weight[:, None] * (acted[inside] - controls[inside])
                other = other.moving(first, blended[first:last], controls)
            clip = other.animation(self.progress.of(i), self.cancel)
            anew = clip.resample(start, stop, first, x0)
            faded = torch.lerp(x0[:, inside], anew.x0, torch.from_numpy(weight)[:, None, None])
            moved.append(other)
            clips.append(clip)
            made.append(replace(anew, x0=faded))
        self._score_stored(range(number))
        self._add(_with_faces(work, moved), number, clips, made, has_state=False)
        self._score_stored(range(number + 1, len(self.spans)))

    def _add(
        self, work: Work, number: int, clips: Sequence[Animation], latents: Sequence[Latents], has_state: bool
    ) -> None:
        seconds = self.work.report.seconds
        began, counted = time.perf_counter(), self._counted()
        start = self.spans[number][0]
        parts = [clip.frames(own, work.at_once) for clip, own in zip(clips, latents, strict=True)]
        frames = self._watched(work, _finished(work, parts, start))
        stored: dict[str, Tensor] = {}
        kept: dict[str, Tensor] = {}
        for face, prefix, clip, own in zip(faces_of(work), self.prefixes, clips, latents, strict=True):
            tracks = {"motion": face.performance.motion, CONTROLS: face.controls}
            part = slice(start, start + own.n_frames)
            for name, track in tracks.items():
                if track is not None:
                    stored[prefix + name] = torch.from_numpy(track[part].copy())
            stored[f"{prefix}x0"] = own.x0.contiguous()
            if has_state:
                kept |= {prefix + name: value for name, value in clip.state().items()}
                if face.controls is not None:
                    kept[prefix + CONTROLS] = torch.from_numpy(face.controls)
        has_alpha = work.options.background == "transparent"
        state = kept if has_state else None
        self.folder.add(number, work.options.seed, work.subject.size, frames, stored, state, has_alpha)
        rest = time.perf_counter() - began - (self._counted() - counted)
        seconds["write"] = seconds.get("write", 0.0) + rest

    def _counted(self) -> float:
        """Seconds that stages have counted so far."""
        reports = [self.work.report, *(face.report for face in faces_of(self.work))]
        each = {id(report.seconds): report.seconds for report in reports}
        return sum(sum(one.values()) for one in each.values())

    def _watched(self, work: Work, segments: Iterable[Segment]) -> Iterator[np.ndarray]:
        """The full pictures, after the scorers have seen the faces."""
        for segment in segments:
            self._score(work, segment)
            yield segment.frames

    def _score(self, work: Work, segment: Segment) -> None:
        for scorer, face, own in zip(self.scorers, faces_of(work), segment.faces, strict=False):
            scorer.add(replace(segment, faces=(own,)), face.shown)

    def _stored(self, first: int, last: int, prefix: str) -> tuple[Tensor, np.ndarray, np.ndarray | None]:
        """x0 [C, T, h, w], motion [T, 8] and performance [T, 28] of frames first .. last - 1 of finished segments."""
        numbers = [i for i, (start, stop) in enumerate(self.spans) if start < last and stop > first]
        kept = [_named(self.folder.latents(i), prefix) for i in numbers]
        inside = slice(first - self.spans[numbers[0]][0], last - self.spans[numbers[0]][0])
        x0, motion = torch.cat([k["x0"] for k in kept], dim=1), torch.cat([k["motion"] for k in kept])
        controls = torch.cat([k[CONTROLS] for k in kept])[inside].numpy() if CONTROLS in kept[0] else None
        return x0[:, inside], motion[inside].numpy(), controls

    def _score_stored(self, numbers: Iterable[int]) -> None:
        """Let the scorers see segments that were finished before."""
        if not self.scorers:
            return
        for number in numbers:
            start, stop = self.spans[number]
            faces, decoded = [], []
            for face, prefix in zip(faces_of(self.work), self.prefixes, strict=True):
                x0, motion, controls = self._stored(start, stop, prefix)
                own = face.moving(start, motion, controls)
                reference = decoded_reference(own.model, own.shown, own.options)
                made = decode_latents(own.model, reference, x0, motion, own.options, first=start)
                faces.append(own)
                decoded.append(map(itemgetter(1), made))
            work = _with_faces(self.work, faces)
            for segment in _finished(work, decoded, start):
                self._score(work, segment)

    def settings(self) -> dict[str, Any]:
        """What the file says it was made with; segments that were made anew are named with their seeds."""
        settings = self.work.report.settings()
        seed = self.folder.values["recipe"]["options"]["seed"]
        others = {str(i): s["seed"] for i, s in enumerate(self.folder.segments) if s["seed"] != seed}
        settings["options"]["seed"] = seed
        return {**settings, **({"segment_seeds": others} if others else {})}


def _named(values: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those of a face, by their own names."""
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}


def _with_faces(work: Work, faces: Sequence[Generation]) -> Work:
    return work.with_faces(faces) if isinstance(work, Conversation) else faces[0]


def _finished(work: Work, parts: Sequence[Iterable[np.ndarray]], start: int) -> Iterator[Segment]:
    """Finished pictures of the squares of every face, which come in parts, from frame `start` on."""
    if isinstance(work, Conversation):
        return work.finished(parts, start, work.painter())
    return work.finished(parts[0], start, work.paster())


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
