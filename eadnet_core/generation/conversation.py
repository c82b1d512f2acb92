"""Several faces in one picture or video, each with its own voice and words: planned together, painted in one pass.

Every face is a Generation of its own on the same pictures. Their segments are sampled one face after the other. Their
frames are pasted into the same picture before the next one is read, so that nothing is encoded in between.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np

from ..config import FPS
from ..emotion.script import Script
from ..emotion.track import EmotionTrack
from ..errors import BadInput
from ..families.family import Model
from ..media.face.crop import FaceCrop
from ..media.face.several import People, find_people
from ..media.face.subject import Subject
from ..media.face.territories import Share, painted, shares
from ..media.image import read_image
from ..media.sound.audio import Audio, read_audio
from ..media.sound.speech import hear
from ..media.video.files import VideoReader, check_writable
from ..media.video.segments import check_segments
from ..motion.attention import attention, turned_to
from ..motion.driving import Driving
from ..request import GenerateOptions, GenerationReport, OnProgress, Progress, Segment
from .after_voice import after_voice
from .clock import Clock
from .forecast import Forecast, together
from .pipeline import Generation, Source, Words, opened, report_of
from .plan import Plan, plan
from .speakers import Speaker
from .voices import ConversationOptions as ConversationOptions
from .voices import Voices

_SPEAKS = 0.5
_NO_SPEECH = "No speech was found"

Draw = Callable[[Sequence[np.ndarray], int], np.ndarray]
"""(the generated squares of every face, number of the first frame) -> full pictures."""


@dataclass
class ConversationReport:
    """What was made of several faces, and how; filled while it runs."""

    n_frames: int
    fps: int
    width_px: int
    height_px: int
    options: GenerateOptions
    conversation: ConversationOptions
    names: tuple[str, ...]
    speakers: tuple[GenerationReport, ...]
    """Each face's own report."""
    speaks_s: tuple[list[tuple[float, float]], ...]
    """When each of them speaks: start and end in seconds."""
    bystanders: list[dict[str, float]] = field(default_factory=list)
    """Faces close by that nobody speaks for, where the first picture has them; they are left as they are."""
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time of what is done once for all faces; the rest stands in the reports of the speakers."""

    @property
    def seconds_per_second(self) -> float:
        """Wall time of all faces, but for the loading of the model, per second of video."""
        each = [self.seconds, *(speaker.seconds for speaker in self.speakers)]
        return sum(s for one in each for stage, s in one.items() if stage != "load") * self.fps / self.n_frames

    def settings(self) -> dict[str, Any]:
        """What made the clip, as plain JSON values: without timings and what is said of every frame."""
        values = self._whole()
        of_all = ("n_frames", "fps", "width_px", "height_px")
        own = [{name: v for name, v in speaker.settings().items() if name not in of_all} for speaker in self.speakers]
        named = [{"name": name, **values} for name, values in zip(self.names, own, strict=True)]
        return {**{name: v for name, v in values.items() if name != "seconds"}, "speakers": named}

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values: that of each face under "speakers"."""
        each = zip(self.names, self.speaks_s, self.speakers, strict=True)
        speakers = [{"name": name, "speaks_s": [list(s) for s in spans], **own.to_dict()} for name, spans, own in each]
        return {**self._whole(), "speakers": speakers, "seconds_per_second": self.seconds_per_second}

    def _whole(self) -> dict[str, Any]:
        left_out = ("names", "speakers", "speaks_s")
        return {
            name: asdict(value) if name in ("options", "conversation") else value
            for name, value in vars(self).items()
            if name not in left_out
        }


@dataclass
class Conversation:
    """Several faces of one clip, ready to run; `report` is filled while it runs.

    faces       who speaks, each as a Generation on the same pictures, of the same length
    bystanders  who stands near them and stays as they are
    sound       of the whole clip
    """

    faces: tuple[Generation, ...]
    bystanders: tuple[Subject, ...]
    sound: Audio
    report: ConversationReport

    @property
    def options(self) -> GenerateOptions:
        """What is the same for all faces."""
        return self.report.options

    @property
    def subject(self) -> Subject:
        """The pictures, and the first face in them."""
        return self.faces[0].subject

    def segments(
        self, on_progress: OnProgress | None = None, cancel: Callable[[], bool] | None = None
    ) -> Iterator[Segment]:
        """Yield finished segments in order, as `Generation.segments` does. Raises Cancelled."""
        shared = SharedProgress(self.faces, on_progress)
        clips = [face.animation(shared.of(i), cancel) for i, face in enumerate(self.faces)]
        draw = self.painter()
        for latents in zip(*clips, strict=True):
            parts = [clip.frames(one, self.at_once) for clip, one in zip(clips, latents, strict=True)]
            yield from self.finished(parts, latents[0].start, draw)
            del latents, parts  # their views would be held while the next segment is sampled

    @property
    def at_once(self) -> int:
        """Full pictures that are held at a time."""
        return self.faces[0].at_once

    def with_faces(self, faces: Sequence[Generation]) -> Conversation:
        """The same with other faces in place of these, such as ones that move otherwise."""
        return replace(self, faces=tuple(faces))

    def painter(self) -> Draw:
        """What pastes the squares of all faces into each picture, for frames in order."""
        read = _once(self.subject.reader())
        pasters = [face.paster(read) for face in self.faces]
        has_alpha = self.options.background == "transparent"

        @lru_cache(maxsize=2)
        def split(speakers: tuple[FaceCrop, ...], others: tuple[FaceCrop, ...]) -> list[Share]:
            return shares(self.subject.size, speakers, others, has_alpha)

        def one(squares: Sequence[np.ndarray], number: int) -> np.ndarray:
            original = read(number)
            if has_alpha:
                original = np.concatenate([original, np.zeros((*original.shape[:2], 1), np.uint8)], 2)
            pictures = [paste(square[None], number)[0] for paste, square in zip(pasters, squares, strict=True)]
            where = tuple(face.subject.nearest(face.subject.index(number)) for face in self.faces)
            others = tuple(other.nearest(other.index(number)) for other in self.bystanders)
            return painted(original, pictures, split(where, others))

        def draw(squares: Sequence[np.ndarray], start: int) -> np.ndarray:
            return np.stack([one(each, start + i) for i, each in enumerate(zip(*squares, strict=True))])

        return draw

    def finished(self, parts: Sequence[Iterable[np.ndarray]], start: int, draw: Draw) -> Iterator[Segment]:
        """Segments of the generated squares of every face, which come in parts of equal length, from `start` on."""
        clock = Clock(self.report.seconds)
        for squares in zip(*parts, strict=True):
            clock.start()
            pictures = draw(squares, start)
            clock.stop("paste")
            seen = (face.seen(own, pictures, start) for face, own in zip(self.faces, squares, strict=True))
            yield Segment(pictures, start, tuple(seen))
            start += len(pictures)

    def forecast(self) -> Forecast:
        """Time, memory and disk this will take; measured by making a few frames of each face."""
        return together([face.forecast() for face in self.faces], self.options.segment_frames)


def prepare_conversation(
    portrait: Source | VideoReader,
    speakers: Sequence[Speaker],
    audio: Source | Audio | None = None,
    emotion: Words = "",
    options: GenerateOptions | None = None,
    conversation: ConversationOptions | None = None,
    *,
    model: str | Model | Callable[[], Model] = "mini",
    device: str = "auto",
    sample_rate: int | None = None,
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    resume: bool = False,
    on_search: Callable[[int, int], None] | None = None,
) -> Conversation:
    """Read and check everything that a clip of several faces needs, cheapest checks first.

    speakers  the faces; those without a voice or channel speak in their turns of `emotion`, else they listen
    audio     one sound in which several speak, by channels or by turns; None where each has a voice
    emotion   the words of speakers who have none of their own; a track whose keyframes name speakers also says who
              speaks when
    options   of all faces; a speaker's own win
    Other arguments are those of `pipeline.prepare`. Raises BadInput, FaceNotFound or CheckpointError, each with what to
    do.
    """
    options, clock = options or GenerateOptions(), Clock()
    conversation = conversation or ConversationOptions()
    if output is not None:
        check_segments(output, resume)
        check_writable(output, overwrite or resume, options.background == "transparent")
    if not speakers:
        raise BadInput("There are no speakers. Give one for each face that speaks or listens.")
    if options.face_box is not None or options.face_index:
        raise BadInput("face_box and face_index say which one face speaks. With speakers, give the face of each.")
    settings = [speaker.settings(options, number) for number, speaker in enumerate(speakers)]
    asked = emotion if isinstance(emotion, (EmotionTrack, Script)) else EmotionTrack.parse(emotion)
    source = portrait if isinstance(portrait, VideoReader) else np.array(read_image(portrait))[None]
    common = None if audio is None else audio if isinstance(audio, Audio) else read_audio(audio, sample_rate)
    is_still = isinstance(source, np.ndarray)
    voices = Voices(speakers, common, asked, conversation if is_still else conversation.of_video())
    clock.stop("read")
    people = _find(source, speakers, voices, options, on_search)
    n_frames = voices.n_frames if is_still or options.length == "audio" else len(people.speakers[0].crops)
    clock.stop("face")
    model = opened(model, device)
    clock.stop("load")
    plans = [_planned(model, people, voices, number, own, n_frames) for number, own in enumerate(settings)]
    if conversation.look and is_still:
        plans = _looking(plans, people, conversation.look)
    faces = tuple(
        _face(planned, subject, voices.speaks(number), n_frames)
        for number, (planned, subject) in enumerate(zip(plans, people.speakers, strict=True))
    )
    clock.stop("emotion")
    report = _report(faces, people, voices, options, conversation, clock)
    return Conversation(faces, people.bystanders, voices.sound, report)


def _report(
    faces: Sequence[Generation],
    people: People,
    voices: Voices,
    options: GenerateOptions,
    conversation: ConversationOptions,
    clock: Clock,
) -> ConversationReport:
    """What is known of a conversation before it runs."""
    return ConversationReport(
        n_frames=faces[0].report.n_frames,
        fps=FPS,
        width_px=faces[0].subject.size[0],
        height_px=faces[0].subject.size[1],
        options=options,
        conversation=conversation,
        names=tuple(speaker.name for speaker in voices.speakers),
        speakers=tuple(face.report for face in faces),
        speaks_s=tuple(_spans(face.performance.voice) for face in faces),
        bystanders=[asdict(other.nearest(0)) for other in people.bystanders],
        notes=[*voices.sound.notes, *voices.notes],
        seconds=clock.seconds,
    )


def _find(
    source: np.ndarray | VideoReader,
    speakers: Sequence[Speaker],
    voices: Voices,
    options: GenerateOptions,
    on_search: Callable[[int, int], None] | None,
) -> People:
    """The faces in a portrait, or in as many frames of a video as will be needed."""
    is_still = isinstance(source, np.ndarray)
    return find_people(
        source,
        [speaker.face for speaker in speakers],
        [speaker.name for speaker in speakers],
        index=0 if is_still else -1,
        threshold=options.face_threshold,
        on_missing=options.on_missing,
        on_picture=on_search,
        n_frames=None if is_still or options.length == "video" else voices.n_frames,
        accept_any_face=options.accept_any_face,
    )


Planned = tuple[Plan, Audio, Driving | None]
"""What a face does, to which sound, and what drives it."""


def _planned(
    model: Model, people: People, voices: Voices, number: int, options: GenerateOptions, n_frames: int
) -> Planned:
    """What one of the speakers does, without regard to the others."""
    subject, speaker = people.speakers[number], voices.speakers[number]
    sound, speaks = voices.heard(number), voices.speaks(number)
    speech = hear(sound, has_speech_gate=options.has_speech_gate or not speaks)
    driving = speaker.performance() if callable(speaker.performance) else speaker.performance
    words = voices.words(number, speech)
    ways: dict[str, Any] = {"driving": driving, "style": speaker.style}
    planned = plan(model, subject, speech, words, options, n_frames=n_frames, **ways)
    span = voices.span(number)
    if span is not None and subject.is_still and span[1] < n_frames:
        planned = replace(planned, performance=after_voice(planned.performance, *span, voices.shorter))
    return planned, sound, driving


def _face(planned: Planned, subject: Subject, speaks: bool, n_frames: int) -> Generation:
    """A speaker ready to run; that no speech was found is no news of who only listens."""
    made, sound, driving = planned
    report = report_of(subject, made, n_frames, driving, Clock())
    report.notes = [note for note in report.notes if speaks or not note.startswith(_NO_SPEECH)]
    return Generation(made.model, subject, sound, made.performance, made.options, report, made.acting)


def _looking(plans: Sequence[Planned], people: People, look: float) -> list[Planned]:
    """The same, with everybody who listens turned to who speaks; a head or gaze that a performance drives stays."""
    voices = np.stack([planned.performance.voice for planned, _, _ in plans])
    turns = look * attention([subject.nearest(0).center for subject in people.speakers], voices)
    found: list[Planned] = []
    for (planned, sound, driving), turn in zip(plans, turns, strict=True):
        done, taken = planned.performance, () if driving is None else driving.taken
        head = 0.0 if "head" in taken else planned.options.head
        gaze = 0.0 if "gaze" in taken else planned.options.gaze
        motion = turned_to(done.motion, turn, min(1.0, head), min(1.0, gaze))
        found.append((replace(planned, performance=replace(done, motion=motion)), sound, driving))
    return found


def _spans(voice: np.ndarray) -> list[tuple[float, float]]:
    """Where somebody speaks, by the gate [T]: (start, end) in seconds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], voice >= _SPEAKS, [0]]).astype(int)))
    return [(start / FPS, stop / FPS) for start, stop in edges.reshape(-1, 2).tolist()]


def _once(read: Callable[[int], np.ndarray]) -> Callable[[int], np.ndarray]:
    """What reads pictures for several faces: the last one is kept for the next face."""
    return lru_cache(maxsize=1)(read)


class SharedProgress:
    """Lets several faces tell their progress as one."""

    def __init__(self, faces: Sequence[Generation], on_progress: OnProgress | None) -> None:
        self._on_progress = on_progress
        self._done, self._totals = [0] * len(faces), [face.n_ticks for face in faces]

    def of(self, number: int) -> OnProgress | None:
        """What one face tells its progress to."""
        on_progress = self._on_progress
        if on_progress is None:
            return None

        def tell(progress: Progress) -> None:
            self._done[number], self._totals[number] = progress.done, progress.total
            on_progress(replace(progress, done=sum(self._done), total=sum(self._totals)))

        return tell

    def begin(self, number: int, done: int) -> None:
        """So much of a face was done before."""
        self._done[number] = done
