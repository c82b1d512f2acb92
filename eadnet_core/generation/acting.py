"""Words for a model that hears none: a mini performs them, and the pictures of that are what the other is shown.

The performance is sampled once for the whole clip, as 28 numbers a frame, and drawn a few frames at a time when they
are asked for. So a long clip costs no memory, and what was cut or stopped is drawn again to the bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from ..config import FPS
from ..emotion.code import INTENSITY
from ..emotion.track import EmotionTrack
from ..families.decoding import DECODE_FRAMES
from ..families.family import Model
from ..families.mini import Head, MiniModel, MiniScene, painted
from ..families.painting import Painter
from ..families.performance import Performance, Reference
from ..media.face.crop import FaceCrop
from ..media.face.painted_mouth import MouthStyle
from ..media.face.subject import Subject
from ..media.face.turned import POINTS, faces_by_points
from ..motion.driving import Driving
from ..motion.style import Traits
from ..request import Cancel, GenerateOptions, OnProgress, Progress
from .animation import Animation

HELD_BYTES = 256_000_000
"""Drawn frames that wait to be pasted, at most; what is beyond is drawn a second time."""
OWN = (
    *("head", "blink", "gaze", "lips", "emotion_scale", "prosody_weight", "has_speech_gate", "seed"),
    *("stda_strength", "tfrm_strength", "style_strength", "style_vividness", "guidance_emotion", "segment_frames"),
)
"""Options that count for who performs; steps, windows and the other guidance are those of who speaks."""


def asks_performance(
    track: EmotionTrack, options: GenerateOptions, driving: Driving | None = None, traits: Traits | None = None
) -> bool:
    """Whether more is asked for than lips and a head that turns: words, "auto", a code or a reference's emotion in a
    track that has been read, the voice's emotion, a clip that drives more than the head, or a speaker's style."""
    if options.prosody_weight > 0 or traits is not None or (driving is not None and set(driving.taken) - {"head"}):
        return True
    return any(k.text or (k.code and k.code[INTENSITY]) for k in track.keyframes)


def acting_options(subject: Subject, options: GenerateOptions) -> GenerateOptions:
    """What a mini performs by, of the options of a clip.

    A portrait's whole frame moves. In a video the face does, or the mouth alone where the mask says so.
    """
    mask = "full" if subject.is_still else "mouth" if options.mask == "mouth" else "face"
    return GenerateOptions(**{name: getattr(options, name) for name in OWN}, mask=mask)


@dataclass(frozen=True)
class Acting:
    """A performance that has been sampled.

    performer  draws it
    options    it was sampled with
    style      how the mouth that is painted is laid over it
    motion     [T, 8]   taxonomy.MOTION
    controls   [T, 28]  taxonomy.CONTROLS
    """

    performer: Model
    options: GenerateOptions
    style: MouthStyle
    motion: np.ndarray
    controls: np.ndarray


def performer_reference(performer: Model, subject: Subject) -> Reference:
    """What a mini performs with: the frame of a portrait, or those of a video."""
    return subject.reference(performer.family.picture_px(performer, subject.nearest(0).side_px))


def sample_controls(
    performer: Model,
    reference: Reference,
    performance: Performance,
    options: GenerateOptions,
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
    seconds: dict[str, float] | None = None,
) -> np.ndarray:
    """What the face shall do in each frame of a performance: [T, 28].

    seconds  wall time is added to it as "perform"
    Raises Cancelled.
    """
    taken: dict[str, float] = {}
    run = Animation(performer, reference, performance, options, on_progress, cancel, taken, is_decoded=False)
    scene = run.stage.scene
    assert isinstance(scene, MiniScene)
    found = []
    for latents in run:
        with torch.inference_mode():
            found.append(scene.controls(latents.x0.to(performer.device), latents.view).cpu().numpy())
        del latents  # its view would be held while the next segment is sampled
    if seconds is not None:
        seconds["perform"] = seconds.get("perform", 0.0) + sum(taken.values())
    return np.concatenate(found)


def progress_of_acting(on_progress: OnProgress | None, n_more: int) -> OnProgress | None:
    """Progress of a performance, after which so many ticks follow."""
    if on_progress is None:
        return None
    return lambda p: on_progress(Progress("perform", p.done, p.total + n_more, p.preview))


def progress_after(on_progress: OnProgress | None, n_before: int) -> OnProgress | None:
    """Progress of what follows a performance of so many ticks."""
    if on_progress is None:
        return None
    return lambda p: on_progress(replace(p, done=p.done + n_before, total=p.total + n_before))


def acted_subject(acting: Acting, subject: Subject, target: Subject) -> Subject:
    """A performance as a video to be dubbed.

    subject  who performs
    target   the same faces on the pictures that are pasted into, such as enlarged ones
    """
    pictures = ActedPictures(acting, subject, target)
    return Subject(pictures, pictures.faces(), FPS, framing=acting.style.framing)


def mouth_style(options: GenerateOptions) -> MouthStyle:
    """How the options say that a painted mouth is laid over a performance."""
    return MouthStyle(options.mouth_by, options.lip_corners, options.mask_edge)


class ActedPictures:
    """The pictures of a performance, drawn when they are asked for.

    Each is asked for twice, when the model is shown it and when its mouth is pasted. In between its changes are held.

    shape   (frames, height, width, 3)
    """

    def __init__(self, acting: Acting, subject: Subject, target: Subject) -> None:
        """Arguments as of `acted_subject`."""
        self.acting, self.subject, self.target = acting, subject, target
        width, height = target.size
        self.shape = (len(acting.motion), height, width, 3)
        self.held: dict[int, tuple[object, np.ndarray]] = {}
        """By first frame: who drew parts, and they; whoever asks next takes them away."""

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, frame: int) -> np.ndarray:
        """uint8 [H, W, 3]; for many frames see `reader`."""
        return self.reader()(frame)

    def reader(self) -> Callable[[int], np.ndarray]:
        """What draws pictures, for frames in order: it keeps the last few frames, and its place in a video."""
        parts, painter = _Parts(self, self.reference), self.painter
        if painter is None:
            paste = self.target.paster(self.acting.options.mask)
            return lambda frame: paste(parts.frame(frame)[None], frame)[0]

        def place(frame: int) -> np.ndarray:
            whole = painter.picture.copy()
            whole[painter.box.part] = parts.frame(frame)
            return whole

        return place

    def faces(self) -> tuple[FaceCrop | None, ...]:
        """Where the face lies in each frame; None where it passes through."""
        if self.head is None:
            return tuple(self.target.crops[self.target.index(frame)] for frame in range(len(self)))
        motion = torch.from_numpy(np.asarray(self.acting.motion, np.float32)).to(self.acting.performer.device)
        with torch.inference_mode():
            moved = self.head.turned(torch.tensor(POINTS), motion)
        return faces_by_points(self.target.nearest(0), moved.cpu())

    @property
    def reference(self) -> Reference:
        """What the performer moves, read from the beginning."""
        return performer_reference(self.acting.performer, self.subject)

    @cached_property
    def head(self) -> Head | None:
        """A portrait as the performer knows it, read once."""
        reference, performer = self.reference, self.acting.performer
        assert isinstance(performer, MiniModel)
        return Head(performer, reference[None]) if isinstance(reference, np.ndarray) else None

    @cached_property
    def painter(self) -> Painter | None:
        """What paints into a portrait's own pixels; a video's frames are squares that are pasted."""
        if self.head is None:
            return None
        maps, face = self.head.features.maps, self.target.nearest(0)
        return Painter(maps, self.target.picture(0), face, self.acting.options.mask)


class _Parts:
    """What changes in frames of a performance, as many at once as the performer's own clip would draw.

    Of a portrait that is a painter's box, of a video the square of the training frame.
    """

    def __init__(self, pictures: ActedPictures, reference: Reference) -> None:
        self.pictures, self.reference = pictures, reference
        self.span, self.drawn = range(0), np.zeros((0, 0, 0, 3), np.uint8)

    def frame(self, frame: int) -> np.ndarray:
        """uint8 [h, w, 3]"""
        if frame not in self.span:
            self.span = drawn_together(frame, self.pictures.acting.options.segment_frames, len(self.pictures))
            self.drawn = self._taken(self.span.start)
        return self.drawn[frame - self.span.start]

    def _taken(self, start: int) -> np.ndarray:
        """The parts of the span that is asked for: those that another reader drew, or new ones, for another."""
        held = self.pictures.held
        by, drawn = held.pop(start, (self, np.zeros(0, np.uint8)))
        if by is not self:
            return drawn
        drawn = self._draw(self.span)
        if sum(parts.nbytes for _, parts in held.values()) + drawn.nbytes <= HELD_BYTES:
            held[start] = (self, drawn)
        return drawn

    def _draw(self, span: range) -> np.ndarray:
        acting = self.pictures.acting
        performer, part = acting.performer, slice(span.start, span.stop)
        assert isinstance(performer, MiniModel)
        controls, motion = (
            torch.from_numpy(np.ascontiguousarray(track[part], np.float32)).to(performer.device)
            for track in (acting.controls, acting.motion)
        )
        with torch.inference_mode():
            head, painter = self.pictures.head, self.pictures.painter
            if head is not None and painter is not None:
                return painted(head, painter, controls, motion)
            assert callable(self.reference)
            return Head(performer, self.reference(span.start, span.stop)).decode(controls, motion)


def drawn_together(frame: int, segment_frames: int, n_frames: int) -> range:
    """The frames that are drawn in one pass with a frame: how many they are decides the last bits.

    >>> drawn_together(251, 250, 400), drawn_together(249, 250, 400)
    (range(250, 258), range(248, 250))
    """
    segment = frame // segment_frames * segment_frames
    start = segment + (frame - segment) // DECODE_FRAMES * DECODE_FRAMES
    return range(start, min(start + DECODE_FRAMES, segment + segment_frames, n_frames))
