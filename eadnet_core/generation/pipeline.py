"""A portrait or a video, a voice and words in, finished segments of the full picture out: where everything meets.

`prepare` reads and checks all inputs and knows the exact number of frames; the Generation it returns is iterated for
segments. `generate` is both in one call, `output.write_video` makes a file of a Generation.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ..config import FPS, PRESETS
from ..emotion.code import describe
from ..emotion.reference import Reference
from ..emotion.script import Script
from ..emotion.track import EmotionTrack
from ..families.family import Model
from ..families.load import load_model
from ..families.mini import DECODE_FRAMES
from ..families.performance import Performance
from ..media.face.crop import FaceCrop
from ..media.face.subject import Subject, find_subject
from ..media.image import read_image
from ..media.sound.audio import Audio, read_audio
from ..media.sound.speech import hear
from ..media.video.files import VideoReader, check_writable
from ..media.video.segments import check_segments
from ..motion.driving import Driving
from ..perception.words import reading_values
from ..request import Cancel, GenerateOptions, GenerationReport, OnProgress, Segment
from .animation import Animation
from .clock import Clock
from .forecast import OUTPUT_BYTES, Forecast, forecast
from .plan import Plan, paster, plan, shown_reference, shown_subject, timed

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
    subject = _find(source, sound, options, on_search)
    n_frames = len(subject.crops) if options.length != "audio" and not subject.is_still else sound.n_frames()
    clock.stop("face")
    model = _opened(model, device)
    clock.stop("load")
    speech = hear(sound, has_speech_gate=options.has_speech_gate)
    clock.stop("plan")
    driving = performance() if callable(performance) else performance
    words = timed(asked, speech).borrowing(reference)
    planned = plan(model, subject, speech, words, options, n_frames=n_frames, driving=driving)
    clock.stop("emotion")
    report = _report(model, subject, planned, n_frames, driving, clock)
    return Generation(model, subject, sound, planned.performance, planned.options, report)


def _report(
    model: Model, subject: Subject, planned: Plan, n_frames: int, driving: Driving | None, clock: Clock
) -> GenerationReport:
    """What is known of a generation before it runs."""
    return GenerationReport(
        model=model.name,
        device=str(model.device),
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
    )


def _opened(model: str | Model | Callable[[], Model], device: str) -> Model:
    if isinstance(model, Model):
        return model
    return model() if callable(model) else load_model(model, device, "auto")


def _find(
    source: np.ndarray | VideoReader,
    sound: Audio,
    options: GenerateOptions,
    on_search: Callable[[int, int], None] | None,
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
    )


@dataclass
class Generation:
    """Everything a clip is made from, ready to run; `report` is filled while it runs."""

    model: Model
    subject: Subject
    sound: Audio
    performance: Performance
    options: GenerateOptions
    report: GenerationReport

    def __iter__(self) -> Iterator[Segment]:
        return self.segments()

    @cached_property
    def shown(self) -> Subject:
        """The subject as the model is shown it: a portrait's head may have been turned already."""
        return shown_subject(self.model, self.subject, self.performance.motion)

    def moving(self, start: int, motion: np.ndarray) -> Generation:
        """The same with other motion [T, 8] in the frames from `start` on."""
        whole = self.performance.motion.copy()
        whole[start : start + len(motion)] = motion
        return replace(self, performance=replace(self.performance, motion=whole))

    @property
    def geometry(self) -> FaceCrop:
        """Where the face lies in the first picture."""
        return self.subject.nearest(0)

    def forecast(self) -> Forecast:
        """Time, memory and disk this will take; measured by making a few of its frames."""
        return forecast(self.model, self.shown, self.performance, self.options, self.paster())

    def segments(self, on_progress: OnProgress | None = None, cancel: Cancel | None = None) -> Iterator[Segment]:
        """Yield finished segments in order; at most OUTPUT_BYTES of full pictures are held at a time.

        Raises Cancelled when `cancel` returns True; what was yielded before is finished.
        """
        animation, paste = self.animation(on_progress, cancel), self.paster()
        for latents in animation:
            yield from self.finished(animation.frames(latents, self.at_once), latents.start, paste)
            del latents  # its view would be held while the next segment is sampled

    def animation(self, on_progress: OnProgress | None = None, cancel: Cancel | None = None) -> Animation:
        """The clip in the training frame."""
        reference = shown_reference(self.model, self.shown)
        seconds = self.report.seconds
        return Animation(self.model, reference, self.performance, self.options, on_progress, cancel, seconds)

    @property
    def at_once(self) -> int:
        """Full pictures that are held at a time."""
        n_frames = max(1, OUTPUT_BYTES // (3 * self.report.width_px * self.report.height_px))
        return max(n_frames // DECODE_FRAMES * DECODE_FRAMES, min(n_frames, DECODE_FRAMES))

    def paster(self) -> Callable[[np.ndarray, int], np.ndarray]:
        """(generated squares, number of the first) -> full pictures, for frames in order."""
        return paster(self.model, self.subject, self.performance.motion, self.options)

    def finished(
        self, parts: Iterable[np.ndarray], start: int, paste: Callable[[np.ndarray, int], np.ndarray]
    ) -> Iterator[Segment]:
        """Segments of generated squares that come in parts, from frame `start` on."""
        clock, seen = Clock(self.report.seconds), self.shown
        for frames in parts:
            clock.start()
            pasted = paste(frames, start)
            faces = seen.faces(frames, pasted[..., :3], start, PRESETS["mini"].size_px)
            clock.stop("paste")
            yield Segment(pasted, start, faces)
            start += len(frames)


def _readings(track: EmotionTrack) -> list[dict[str, Any]]:
    """How every keyframe was read."""
    codes = track.at([k.time_s for k in track.keyframes])
    return [
        {"start_s": k.time_s, **reading_values(describe(code, k.text))}
        for k, code in zip(track.keyframes, codes, strict=True)
    ]
