"""A portrait or a video, a voice and words in, finished segments of the full picture out: where everything meets.

`prepare` reads and checks all inputs and knows the exact number of frames; the Generation it returns is iterated for
segments. `generate` is both in one call, `output.write_video` makes a file of a Generation.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch

from ..config import FPS, PRESETS
from ..emotion.code import describe
from ..emotion.reference import Reference
from ..emotion.script import Script
from ..emotion.track import EmotionTrack
from ..families.family import Model, sampler_options
from ..families.load import load_model
from ..families.performance import Crops, Performance
from ..media.face.crop import FaceCrop
from ..media.face.subject import Subject, find_subject
from ..media.image import called, read_image
from ..media.sound.audio import Audio, read_audio
from ..media.sound.speech import hear
from ..media.video.files import VideoReader, check_writable
from ..media.video.segments import check_segments
from ..motion.driving import Driving
from ..motion.style import Style
from ..perception.words import reading_values
from ..request import Cancel, GenerateOptions, GenerationReport, OnProgress, Segment
from .acting import (
    Acting,
    mouth_style,
    performer_reference,
    progress_after,
    progress_of_acting,
    sample_controls,
)
from .animation import Animation
from .clock import Clock
from .forecast import Forecast, Trial, forecast, pictures_at_once
from .plan import Plan, decoded_reference, is_painted, paster, plan, shown_subject, timed

Source = str | os.PathLike[str] | np.ndarray | torch.Tensor
"""A file, or the pixels or samples themselves."""
Words = str | EmotionTrack | Script | Sequence[Any]
"""One prompt for the whole clip, what `EmotionTrack.parse` takes: keyframes (time_s, prompt[, intensity]), or a script.
The prompt "auto" leaves the emotion to the voice."""


def generate(
    portrait: Source, audio: Source | Audio, emotion: Words = "", options: GenerateOptions | None = None, **more: Any
) -> Iterator[Segment]:
    """Yield finished segments in order, round(duration * 25) frames in all, however long the sound is.

    `more` are the keywords of `prepare`, and on_progress and cancel of `Generation.segments`.
    """
    run = {name: more.pop(name) for name in ("on_progress", "cancel") if name in more}
    yield from prepare(portrait, audio, emotion, options, **more).segments(**run)


def prepare(
    portrait: Source | VideoReader,
    audio: Source | Audio,
    emotion: Words = "",
    options: GenerateOptions | None = None,
    *,
    model: str | Model | Callable[[], Model] = "mini",
    device: str = "auto",
    sample_rate: int | None = None,
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    resume: bool = False,
    on_search: Callable[[int, int], None] | None = None,
    reference: Reference | None = None,
    performance: Driving | Callable[[], Driving] | None = None,
    style: Style | None = None,
) -> Generation:
    """Read and check everything that a generation needs, cheapest checks first.

    portrait     path, or pixels [H, W, 3]; or a video to dub, opened with read_video(path, 25)
    audio        path, Audio of `media.audio`, or samples [N] or [C, N] with their sample_rate in Hz
    emotion      words, or keyframes of words; empty means neutral
    model        name of a shipped model, folder of your own, a Model that is loaded already, or what loads one: it is
                 called when the other inputs have been checked
    output       where `write_video` will write; checked before any work is done for it, with overwrite and resume
    on_search    called with (frames of a video searched for the face, frames to search or 0 where unknown)
    reference    a photo or clip of any face whose emotion is mixed into the words, as far as its weight says
    performance  a motion that drives the face, or what reads it: called when the other inputs have been checked
    style        of who speaks; None: nobody in particular
    Raises BadInput, FaceNotFound or CheckpointError, each with what to do.
    """
    options, clock = options or GenerateOptions(), Clock()
    if output is not None:
        check_segments(output, resume)
        check_writable(output, overwrite or resume, options.background == "transparent")
    asked = emotion if isinstance(emotion, (EmotionTrack, Script)) else EmotionTrack.parse(emotion)
    source = portrait if isinstance(portrait, VideoReader) else np.array(read_image(portrait))[None]  # never read-only
    sound = audio if isinstance(audio, Audio) else read_audio(audio, sample_rate)
    clock.stop("read")
    subject = _find(source, sound, options, on_search, called(portrait))
    n_frames = len(subject.crops) if options.length != "audio" and not subject.is_still else sound.n_frames()
    clock.stop("face")
    model = opened(model, device)
    clock.stop("load")
    speech = hear(sound, has_speech_gate=options.has_speech_gate)
    clock.stop("plan")
    driving = performance() if callable(performance) else performance
    words = timed(asked, speech).borrowing(reference)
    planned = plan(model, subject, speech, words, options, n_frames=n_frames, driving=driving, style=style)
    clock.stop("emotion")
    report = report_of(subject, planned, n_frames, driving, clock)
    return Generation(planned.model, subject, sound, planned.performance, planned.options, report, planned.acting)


def report_of(
    subject: Subject, planned: Plan, n_frames: int, driving: Driving | None, clock: Clock
) -> GenerationReport:
    """What is known of a generation before it runs."""
    return GenerationReport(
        model=planned.model.name,
        device=str(planned.model.device),
        n_frames=n_frames,
        fps=FPS,
        width_px=subject.size[0],
        height_px=subject.size[1],
        face_crop=asdict(subject.nearest(0)),
        options=planned.options,
        emotions=_readings(planned.track),
        faces=[] if subject.is_still else subject.face_states(n_frames),
        notes=list(planned.notes),
        performance={} if driving is None else driving.described(),
        seconds=clock.seconds,
        style=planned.style,
        performer=planned.performer.name if planned.performer else None,
    )


def opened(model: str | Model | Callable[[], Model], device: str) -> Model:
    """The model that was given, or that a name, folder or function stands for."""
    if isinstance(model, Model):
        return model
    return model() if callable(model) else load_model(model, device, "auto")


def _find(
    source: np.ndarray | VideoReader,
    sound: Audio,
    options: GenerateOptions,
    on_search: Callable[[int, int], None] | None,
    what: str,
) -> Subject:
    """The face in a portrait, or in as many frames of a video as will be needed."""
    n_frames = None if options.length == "video" or isinstance(source, np.ndarray) else sound.n_frames()
    index = 0 if isinstance(source, np.ndarray) else -1
    return find_subject(
        source,
        index,
        options.face_box,
        options.face_threshold,
        options.on_missing,
        on_picture=on_search,
        face_index=options.face_index,
        n_frames=n_frames,
        accept_any_face=options.accept_any_face,
        what=what,
    )


@dataclass
class Generation:
    """Everything a clip is made from, ready to run; `report` is filled while it runs.

    acting    what the model's performer performs by; None where nobody performs
    controls  [T, 28]  what it was found to do in each frame; None until it has performed
    """

    model: Model
    subject: Subject
    sound: Audio
    performance: Performance
    options: GenerateOptions
    report: GenerationReport
    acting: GenerateOptions | None = None
    controls: np.ndarray | None = None

    def __iter__(self) -> Iterator[Segment]:
        return self.segments()

    @cached_property
    def shown(self) -> Subject:
        """The subject as the model is shown it: its head may have been turned already, or it may have performed.

        It performs when this is asked for first; `perform` before does so with progress.
        """
        self.perform()
        motion, acting = self.performance.motion, None
        if self.acting is not None:
            assert self.performer is not None and self.controls is not None
            acting = Acting(self.performer, self.acting, mouth_style(self.options), motion, self.controls)
        return shown_subject(self.model, self.subject, motion, acting)

    @property
    def performer(self) -> Model | None:
        """Who performs before the model makes the mouth."""
        return None if self.acting is None else self.model.family.performer(self.model)

    def perform(self, on_progress: OnProgress | None = None, cancel: Cancel | None = None) -> None:
        """Let the performer perform, unless it has or there is none. Raises Cancelled."""
        if self.controls is None:
            self.controls = self.performed(0, self.performance.n_frames, on_progress, cancel)

    def performed(
        self, start: int, stop: int, on_progress: OnProgress | None = None, cancel: Cancel | None = None
    ) -> np.ndarray | None:
        """What the performer does in frames start .. stop - 1, [T, 28], as if they were a clip; None without one."""
        if self.acting is None:
            return None
        assert self.performer is not None
        reference = performer_reference(self.performer, self.subject)
        if not isinstance(reference, np.ndarray):
            reference = partial(_later, reference, start)
        part, seconds = self.performance.part(start, stop), self.report.seconds
        return sample_controls(self.performer, reference, part, self.acting, on_progress, cancel, seconds)

    def moving(self, start: int, motion: np.ndarray, controls: np.ndarray | None = None) -> Generation:
        """The same with other motion [T, 8], and another performance [T, 28], in the frames from `start` on."""
        whole, part = self.performance.motion.copy(), slice(start, start + len(motion))
        whole[part] = motion
        acted = self.controls
        if controls is not None:
            acted = np.zeros((len(whole), controls.shape[1]), np.float32) if acted is None else acted.copy()
            acted[part] = controls
        return replace(self, performance=replace(self.performance, motion=whole), controls=acted)

    @property
    def geometry(self) -> FaceCrop:
        """Where the face lies in the first picture."""
        return self.subject.nearest(0)

    def forecast(self) -> Forecast:
        """Time, memory and disk this will take; measured by making a few of its frames."""
        if self.acting is None:
            return forecast(self.model, self.shown, self.performance, self.options, self.paster())
        assert self.performer is not None
        acted_s, controls = Trial(self.performer, self.subject, self.performance, self.acting).performance()
        trial = replace(self, controls=controls)
        acted_px = self.performer.family.picture_px(self.performer, self.subject.nearest(0).side_px)
        return forecast(self.model, trial.shown, self.performance, self.options, trial.paster(), acted_s, acted_px)

    def segments(self, on_progress: OnProgress | None = None, cancel: Cancel | None = None) -> Iterator[Segment]:
        """Yield finished segments in order; at most OUTPUT_BYTES of full pictures are held at a time.

        Raises Cancelled when `cancel` returns True; what was yielded before is finished.
        """
        animation, paste = self.animation(on_progress, cancel), self.paster()
        for latents in animation:
            yield from self.finished(animation.frames(latents, self.at_once), latents.start, paste)
            del latents  # its view would be held while the next segment is sampled

    def animation(self, on_progress: OnProgress | None = None, cancel: Cancel | None = None) -> Animation:
        """The clip in the square that the model sees; what it is shown is performed first."""
        n_frames, n_before = self.performance.n_frames, 0
        if self.performer is not None and self.controls is None:
            n_before = n_frames * sampler_options(self.performer, self.acting or self.options).steps
            n_more = n_frames * (sampler_options(self.model, self.options).steps + 1)
            self.perform(progress_of_acting(on_progress, n_more), cancel)
            on_progress = progress_after(on_progress, n_before)
        reference = decoded_reference(self.model, self.shown, self.options)
        seconds = self.report.seconds
        return Animation(self.model, reference, self.performance, self.options, on_progress, cancel, seconds)

    @property
    def at_once(self) -> int:
        """Full pictures that are held at a time."""
        return pictures_at_once(self.report.width_px, self.report.height_px)

    def paster(self, read: Callable[[int], np.ndarray] | None = None) -> Callable[[np.ndarray, int], np.ndarray]:
        """(generated squares, number of the first) -> full pictures, for frames in order; `read`: see `plan.paster`."""
        return paster(self.model, self.shown, self.subject, self.performance.motion, self.options, read)

    @property
    def n_ticks(self) -> int:
        """What its progress counts in all."""
        steps = sampler_options(self.model, self.options).steps + 1
        if self.performer is not None:
            steps += sampler_options(self.performer, self.acting or self.options).steps
        return self.performance.n_frames * steps

    def seen(self, frames: np.ndarray, pictures: np.ndarray, start: int) -> Callable[[], np.ndarray]:
        """What makes the training frames of finished pictures, of what was pasted into them."""
        squares = None if is_painted(self.model, self.shown) else frames
        return partial(self.shown.faces, squares, pictures[..., :3], start, PRESETS["mini"].size_px)

    def finished(
        self, parts: Iterable[np.ndarray], start: int, paste: Callable[[np.ndarray, int], np.ndarray]
    ) -> Iterator[Segment]:
        """Segments of generated squares that come in parts, from frame `start` on."""
        clock = Clock(self.report.seconds)
        for frames in parts:
            clock.start()
            pasted = paste(frames, start)
            clock.stop("paste")
            yield Segment(pasted, start, (self.seen(frames, pasted, start),))
            start += len(frames)


def _later(crops: Crops, by: int, start: int, stop: int) -> np.ndarray:
    """Crops of frames that are counted from `by`."""
    return crops(by + start, by + stop)


def _readings(track: EmotionTrack) -> list[dict[str, Any]]:
    """How every keyframe was read."""
    codes = track.at([k.time_s for k in track.keyframes])
    return [
        {"start_s": k.time_s, **reading_values(describe(code, k.text))}
        for k, code in zip(track.keyframes, codes, strict=True)
    ]
