"""A clip that is watched while it is sampled, and whose words may be changed meanwhile.

New words take effect from the first frame on that the sampler has not looked at. They become a keyframe there. Motion
and emotion of a frame depend on no later keyframe, so the track at the end makes the same clip again: to the bit in
segments of the same length. In others the windows that are computed together differ, and with them the last digits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np
import torch

from ..config import FPS
from ..emotion.track import FADE_FRAMES, EmotionTrack, Keyframe
from ..families.family import Model
from ..media.face.subject import Subject
from ..media.sound.speech import Speech
from ..motion.driving import Driving
from ..motion.style import Style
from ..request import Cancel, GenerateOptions, OnProgress
from .animation import Animation, Latents
from .forecast import OUTPUT_BYTES
from .plan import decoded_reference, is_painted, paster, plan, shown_reference
from .stages import Clip, begun, maker_of, shown_of

SEGMENT_FRAMES = 25
"""Sampled, shown and steered together: a second."""
Show = Callable[[np.ndarray, int], None]
"""Takes finished pictures, uint8 [t, H, W, 3], in order, and the number of the first."""


@dataclass(frozen=True)
class Steer:
    """What a clip heeds while it is sampled.

    words  asked before each segment: what to feel from then on, read; None where nothing new was said
    """

    words: Callable[[], Keyframe | None]
    show: Show
    on_progress: OnProgress | None = None
    cancel: Cancel | None = None


def sample_live(
    model: Model,
    subject: Subject,
    speech: Speech,
    track: EmotionTrack,
    options: GenerateOptions,
    steer: Steer,
    driving: Driving | None = None,
    style: Style | None = None,
) -> Clip:
    """As `stages.sample_clip` in segments of SEGMENT_FRAMES, watched and steered.

    A model that has a performer cannot be steered, which a note says: it has performed before the first segment.
    """
    ready = partial(plan, model, subject, speech, options=options, driving=driving, style=style)
    planned = ready(track)
    clip, on_progress = begun(model, subject, planned, steer.on_progress, steer.cancel)
    made_by, can_turn, said = planned.model, model.family.performer(model) is None, list[str]()
    reference = shown_reference(made_by, shown_of(model, clip, subject))
    short = replace(planned.options, segment_frames=SEGMENT_FRAMES)
    animation = Animation(made_by, reference, planned.performance, short, on_progress, steer.cancel, is_decoded=False)
    grown, parts = _Growing(model, subject, clip), list[torch.Tensor]()
    for latents in animation:
        parts.append(latents.x0)
        grown.show(latents, animation.performance.motion, steer.show)
        words, frame = steer.words(), animation.n_read
        if words is None:
            continue
        if frame >= animation.performance.n_frames:
            said.append(f"'{words.text}' came too late: the clip had been sampled to its end.")
        elif not can_turn:
            said.append(f"'{words.text}' came too late: a mini had performed the clip for '{model.name}' already.")
        else:
            turned = turn(clip.track or track, words, frame)
            animation.follow(ready(turned).performance)
            clip = replace(clip, track=turned, motion=animation.performance.motion)
            said.append(f"From {turned.keyframes[-1].time_s:.2f} s on: '{words.text or 'neutral'}'.")
    return replace(clip, x0=torch.cat(parts, dim=1), notes=(*clip.notes, *said))


def turn(track: EmotionTrack, words: Keyframe, frame: int) -> EmotionTrack:
    """A track that turns to new words at a frame, in FADE_FRAMES; nothing before it changes.

    A fade that is under way there ends first; keyframes after it are left out.

    >>> track = EmotionTrack.parse([(0, "calm"), {"time_s": 3, "text": "sad", "fade_s": 0.5}, (9, "angry")])
    >>> [(k.time_s, k.text) for k in turn(track, Keyframe(0.0, "glad"), 50).keyframes]
    [(0.0, 'calm'), (2.4, 'glad')]
    >>> [(k.time_s, k.text) for k in turn(track, Keyframe(0.0, "glad"), 70).keyframes]
    [(0.0, 'calm'), (3.0, 'sad'), (3.4, 'glad')]
    """
    start_s, kept = frame / FPS, [track.keyframes[0]]
    for before, k in pairwise(track.keyframes):
        gap = k.time_s - before.time_s
        if k.time_s - (gap if k.fade_s is None else min(k.fade_s, gap)) >= start_s:
            break
        kept.append(k)
    fade_s = FADE_FRAMES / FPS
    time_s = max(start_s, kept[-1].time_s) + fade_s
    return EmotionTrack((*kept, replace(words, time_s=time_s, fade_s=fade_s, ease="linear")))


class _Growing:
    """Pictures of a clip that is still being sampled; of a painted portrait every second one, which costs half."""

    def __init__(self, model: Model, subject: Subject, clip: Clip) -> None:
        made_by, shown = maker_of(model, clip), shown_of(model, clip, subject)
        options = replace(clip.options, background="moving")
        self._model, self._every = made_by, 2 if is_painted(made_by, shown) else 1
        self._paste = paster(made_by, shown, subject, clip.motion, options)
        self._at_once = max(1, OUTPUT_BYTES // (3 * subject.size[0] * subject.size[1]))
        with torch.inference_mode():
            self._scene = made_by.family.scene(made_by, decoded_reference(made_by, shown, options), options)

    def show(self, latents: Latents, motion: np.ndarray, show: Show) -> None:
        """Hand the pictures of a segment on; motion [T, 8] is the whole clip's."""
        numbers = range(0, latents.n_frames, self._every)
        for first in range(0, len(numbers), self._at_once):
            part = list(numbers[first : first + self._at_once])
            start = latents.start + part[0]
            with torch.inference_mode():
                moved = torch.from_numpy(motion[latents.start : latents.start + latents.n_frames][part])
                view = self._scene.look(start, moved.to(self._model.device))
                frames = self._scene.decode(latents.x0[:, part].to(self._model.device), view)
            n_frames = min(len(part) * self._every, latents.n_frames - part[0])
            show(np.repeat(self._paste(frames, start), self._every, 0)[:n_frames], start)
