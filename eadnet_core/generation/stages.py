"""A generation cut into stages that can run on their own: hear, sample, decode, render, score.

`pipeline` runs them in one go for files; a graph of nodes runs them one at a time and keeps what did not change.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..config import FPS
from ..emotion.track import EmotionTrack
from ..errors import BadInput, Cancelled
from ..families.family import Model, sampler_options
from ..families.performance import Performance
from ..media.face.crop import crop
from ..media.face.find import locate
from ..media.face.subject import Subject
from ..media.sound.audio import SAMPLES_PER_FRAME, Audio, n_frames_of
from ..media.sound.speech import Speech
from ..media.video.files import VideoWriter
from ..motion.driving import Driving
from ..motion.generate import generate_motion
from ..motion.style import Style
from ..request import Cancel, GenerateOptions, OnProgress
from ..weights.experts import Experts
from .acting import (
    Acting,
    mouth_style,
    performer_reference,
    progress_after,
    progress_of_acting,
    sample_controls,
)
from .animation import animate, decode_latents, sample_latents
from .forecast import OUTPUT_BYTES
from .plan import Plan, decoded_reference, paster, plan, shown_reference, shown_subject
from .scoring import LEAST_SCORED_FRAMES

if TYPE_CHECKING:
    from ..metrics.report import Scores

SCORED_BLOCK = 64


@dataclass(frozen=True)
class Clip:
    """What was sampled: everything about a clip but its pictures.

    x0        [C, T, h, w]  scaled motion latents of a mini, latents of a base; on the CPU
    motion    [T, 8]        taxonomy.MOTION
    options   what it was sampled with, nothing left to the model
    notes     settings and words that had no effect, and what had to change in the sound
    acting    what the model's performer performed by, where it did
    controls  [T, 28]       what it did in each frame
    is_performers  whether the performer made the mouth too: x0 is its own
    track     the emotions that it was sampled with, read
    """

    x0: Tensor
    motion: np.ndarray
    options: GenerateOptions
    notes: tuple[str, ...] = ()
    acting: GenerateOptions | None = None
    controls: np.ndarray | None = None
    is_performers: bool = False
    track: EmotionTrack | None = None

    @property
    def n_frames(self) -> int:
        return len(self.motion)


def sample_clip(
    model: Model,
    subject: Subject,
    speech: Speech,
    track: EmotionTrack,
    options: GenerateOptions,
    on_progress: OnProgress | None = None,
    cancel: Cancel | None = None,
    driving: Driving | None = None,
    style: Style | None = None,
) -> Clip:
    """Sample the latents of a whole clip. In a video the head keeps the motion that the pictures have."""
    planned = plan(model, subject, speech, track, options, driving=driving, style=style)
    clip, on_progress = begun(model, subject, planned, on_progress, cancel)
    reference = shown_reference(planned.model, shown_of(model, clip, subject))
    x0 = sample_latents(planned.model, reference, planned.performance, planned.options, on_progress, cancel)
    return replace(clip, x0=x0)


def begun(
    model: Model, subject: Subject, planned: Plan, on_progress: OnProgress | None, cancel: Cancel | None
) -> tuple[Clip, OnProgress | None]:
    """A planned clip without latents, after its performer has performed, and what follows the rest of the progress."""
    made_by, performance, performer = planned.model, planned.performance, planned.performer
    controls = None
    if performer is not None and planned.acting is not None:
        n_frames = performance.n_frames
        more = progress_of_acting(on_progress, n_frames * sampler_options(made_by, planned.options).steps)
        reference = performer_reference(performer, subject)
        controls = sample_controls(performer, reference, performance, planned.acting, more, cancel)
        on_progress = progress_after(on_progress, n_frames * sampler_options(performer, planned.acting).steps)
    clip = Clip(
        torch.zeros(0),
        performance.motion,
        planned.options,
        planned.notes,
        planned.acting,
        controls,
        made_by is not model,
        planned.track,
    )
    return clip, on_progress


def decode_clip(
    model: Model, subject: Subject, clip: Clip, pictures: np.ndarray | Tensor | None = None
) -> Iterator[np.ndarray]:
    """Yield finished full pictures, uint8 [t, H, W, 3], in order.

    pictures  what to paste into where not the pictures that the face was found in: see `Subject.on`
    """
    target = subject if pictures is None else subject.on(pictures)
    made_by, shown = maker_of(model, clip), shown_of(model, clip, subject, target)
    paste = paster(made_by, shown, target, clip.motion, clip.options)
    reference = decoded_reference(made_by, shown_of(model, clip, subject), clip.options, target)
    per_segment = max(1, min(50, OUTPUT_BYTES // (3 * target.size[0] * target.size[1])))
    for start, frames in decode_latents(made_by, reference, clip.x0, clip.motion, clip.options, per_segment):
        yield paste(frames, start)


def maker_of(model: Model, clip: Clip) -> Model:
    """Which model the latents of a clip are of: the one it was asked of, or its performer."""
    performer = model.family.performer(model)
    return performer if clip.is_performers and performer is not None else model


def shown_of(model: Model, clip: Clip, subject: Subject, target: Subject | None = None) -> Subject:
    """The subject as the model of a clip is shown it; see `plan.shown_subject`."""
    performer, acting = model.family.performer(model), None
    if clip.acting is not None and clip.controls is not None and performer is not None:
        acting = Acting(performer, clip.acting, mouth_style(clip.options), clip.motion, clip.controls)
    return shown_subject(maker_of(model, clip), subject, clip.motion, acting, target)


def render(
    path: str | os.PathLike[str],
    segments: Iterable[np.ndarray],
    size: tuple[int, int],
    sound: Audio,
    fps: float = FPS,
    settings: dict[str, Any] | None = None,
    has_alpha: bool = False,
) -> int:
    """Stream pictures at 25 per second into a video file at `fps`, with their sound; returns the number of frames.

    At other rates frames are repeated or left out, so that the picture stays with the sound. With `has_alpha` pictures
    are RGBA, and the file a .mov.
    """
    rate = Fraction(fps).limit_denominator(1001)
    n_frames = n_frames_of(sound.n_original, sound.rate_hz, rate)
    with VideoWriter(path, size, rate, sound, settings, has_alpha=has_alpha) as writer:
        for frames in at_rate(segments, n_frames, rate):
            writer.write(frames)
    return n_frames


def at_rate(segments: Iterable[np.ndarray], n_frames: int, fps: int | Fraction) -> Iterator[np.ndarray]:
    """Frames at 25 per second brought to `fps`: frame j shows what frame (j + 1/2) 25 / fps shows; the last one stays.

    >>> frames = np.arange(5)[:, None]
    >>> np.concatenate(list(at_rate([frames[:3], frames[3:]], 10, 50))).ravel().tolist()
    [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    """
    done = start = 0
    last: np.ndarray | None = None
    for frames in segments:
        stop, picked = start + len(frames), []
        while done < n_frames and (2 * done + 1) * FPS // (2 * fps) < stop:
            picked.append(int((2 * done + 1) * FPS // (2 * fps)) - start)
            done += 1
        if picked:
            yield frames[picked]
        start, last = stop, frames[-1:]
    if last is not None and done < n_frames:
        yield np.repeat(last, n_frames - done, axis=0)


def score_pictures(
    pictures: Iterable[np.ndarray],
    sound: Audio,
    experts: Experts,
    face_box: tuple[float, float, float, float] | None = None,
    asked_emotion: str | None = None,
    cancel: Cancel | None = None,
) -> Scores:
    """Score pictures, uint8 [H, W, 3] at 25 per second, against a sound; the face stays where the first one has it.

    Raises BadInput for less than 5 pictures, FaceNotFound.
    """
    from ..metrics.followed import FaceFollower
    from ..metrics.frames import SIZE_PX
    from ..metrics.report import Scorer

    scorer, where, block, seen = Scorer(experts), None, [], []
    follower = FaceFollower()
    for number, picture in enumerate(pictures):
        if where is None:
            where = locate(picture, face_box, what=f"frame {number}")
            follower = FaceFollower(where)
        block.append(crop(picture, where, SIZE_PX))
        seen.append(follower.look(picture))
        if cancel is not None and cancel():
            raise Cancelled(f"Stopped at picture {number}.")
        if len(block) == SCORED_BLOCK:
            scorer.add(np.stack(block), seen)
            block, seen = [], []
    if block:
        scorer.add(np.stack(block), seen)
    if scorer.n_frames < LEAST_SCORED_FRAMES:
        raise BadInput(f"{scorer.n_frames} pictures are too few to score; give at least {LEAST_SCORED_FRAMES}.")
    return scorer.finish(sound.samples, "", asked_emotion)


def preview(
    model: Model, reference: np.ndarray, code: np.ndarray, n_frames: int = 1, cancel: Cancel | None = None
) -> np.ndarray:
    """What a portrait looks like with an emotion, without a voice: uint8 [n_frames, size, size, 3].

    reference  uint8 [size, size, 3], in the training frame
    code       [27]
    One frame is seen from the front; more sway and blink as they would in a clip.
    """
    codes, quiet = np.repeat(code[None], n_frames, 0), np.zeros(n_frames, np.float32)
    motion = generate_motion(quiet, codes, np.random.default_rng(0))
    motion = motion if n_frames > 1 else np.zeros_like(motion)
    silence = np.zeros(n_frames * SAMPLES_PER_FRAME, np.float32)
    performance = Performance(silence, quiet, codes, motion)
    made = animate(model, reference, performance, GenerateOptions(), cancel=cancel)
    return np.concatenate([frames for _, frames in made])
