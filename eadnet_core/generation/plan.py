"""What a generation will do, decided before any net runs: options, emotion codes, performance and notes.

Files, graphs and evaluation plan in this one way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from ..config import FPS, MASK_BOXES
from ..emotion.code import INTENSITY, emotion_code
from ..emotion.prosody import is_auto, mixed, read_voice, voice_codes, with_voice
from ..emotion.script import Script
from ..emotion.track import EmotionTrack
from ..errors import BadInput
from ..families.family import Model, sampler_options, with_model_defaults
from ..families.performance import Painted, Performance, Reference, Source
from ..media.face.backdrop import Backdrop
from ..media.face.framing import FRAME
from ..media.face.subject import Finish, Subject
from ..media.sound.audio import frame_energy
from ..media.sound.speech import Speech
from ..motion.driving import Driving, driven, driven_codes, driving_notes
from ..motion.generate import generate_motion
from ..motion.style import AVERAGE, EVERYBODY, Style, Traits
from ..perception.faces import look_by
from ..request import GenerateOptions
from ..sampling.guidance import sync_steps
from ..sampling.prediction import prediction_of
from ..weights.experts import load_reference_reader
from .acting import Acting, acted_subject, acting_options, asks_performance


@dataclass(frozen=True)
class Plan:
    """Everything that is decided before sampling.

    model    what makes the clip: the model that was asked for, or its performer where that makes the mouth too
    options  nothing left open to the model
    track    the emotions over time, read
    notes    values that had to change, and settings and words that cannot have the effect they were given for
    acting   what a performer performs by, before the model makes the mouth; None where nobody does
    style    whom it is like, `described`; empty for nobody in particular
    """

    model: Model
    performance: Performance
    options: GenerateOptions
    track: EmotionTrack
    notes: tuple[str, ...]
    acting: GenerateOptions | None = None
    style: dict[str, Any] = field(default_factory=dict)

    @property
    def performer(self) -> Model | None:
        """Who performs before the model makes the mouth."""
        return None if self.acting is None else self.model.family.performer(self.model)


def plan(
    model: Model,
    subject: Subject,
    speech: Speech,
    track: EmotionTrack | Script,
    options: GenerateOptions,
    *,
    n_frames: int | None = None,
    motion: np.ndarray | None = None,
    driving: Driving | None = None,
    style: Style | None = None,
) -> Plan:
    """Plan a clip.

    speech    the sound and where somebody speaks in it; a script is laid over this speech, and "auto" follows it
    n_frames  of the clip; default: those of the speech
    motion    [T, 8]  taxonomy.MOTION, where it is known; else a portrait's follows from voice and emotion, and in a
              video the head keeps the motion that the pictures have
    driving   a performance that is mixed with the generated motion, and with the emotion if it is taken for that
    style     of who speaks
    Raises BadInput for what the model cannot do.
    """
    n_frames = len(speech.voice) if n_frames is None else n_frames
    placed = timed(track, speech)
    if placed.speakers:
        raise BadInput(
            f"The emotion track names who speaks ({', '.join(placed.speakers)[:80]}), but the clip has one face. Give "
            "the faces of all speakers (--speaker), or take 'speaker' out of its keyframes."
        )
    read = read_track(model, placed)
    driving = None if driving is None else drivable(driving, subject)
    is_expressive = driving is not None and "expression" in driving.taken
    performer, acting = model.family.performer(model), None
    traits = traits_of(style, options)
    is_acted = performer is not None and asks_performance(read, options, driving, traits)
    asks = asks_emotion(read) or is_expressive or is_acted
    resolved = resolve_options(model, subject, asks, options)
    if performer is not None and is_acted:
        acting = with_model_defaults(performer, acting_options(subject, options))
        if options.mouth_by == "mini":
            model, resolved, acting = performer, replace(acting, background=options.background), None
    code = emotion_codes(read, speech, n_frames, resolved)
    code = code if driving is None else driven_codes(code, driving)
    voice = speech.over(n_frames)
    if motion is None:
        loudness = frame_energy(speech.sound.samples, n_frames) * voice
        made = moved(loudness, code, resolved, traits, driving)
        motion = made if subject.is_still else np.zeros_like(made)
    notes = [*placed.unread(), *option_notes(model, resolved, asks), *speech.sound.notes]
    notes += [*video_notes(subject, speech, n_frames), *late_notes(placed, n_frames)]
    if driving is not None:
        notes += driving_notes(driving, n_frames) + _unshown(model, driving, acting)
    maker = performer if performer is not None and is_acted else model
    if traits is not None and not maker.has_style:
        notes.append(unstyled(maker))
    if not voice.any():
        off = "has_speech_gate off (--no-speech-gate)"
        notes.append(f"No speech was found in the sound, so the mouth stays at rest; with {off} it moves.")
    performance = Performance(speech.sound.samples, voice, code, motion, None if traits is None else traits.vector)
    return Plan(model, performance, resolved, read, tuple(notes), acting, described(style, traits))


def moved(
    energy: np.ndarray,
    code: np.ndarray,
    options: GenerateOptions,
    traits: Traits | None = None,
    driving: Driving | None = None,
) -> np.ndarray:
    """How a portrait moves with the loudness of a voice [T] and emotion codes [T, 27]: taxonomy.MOTION, [T, 8]."""
    draw = np.random.default_rng(options.seed)
    made = generate_motion(energy, code, draw, options.head, options.blink, options.gaze, moving_by(traits, options))
    return made if driving is None else driven(made, driving)


def moving_by(traits: Traits | None, options: GenerateOptions) -> Traits:
    """The traits that head, lids and eyes move by."""
    return AVERAGE if traits is None else Traits.of(options.style_strength * traits.vector)


def unstyled(model: Model) -> str:
    """What is said of a style where a model's net cannot be told of one."""
    return f"'{model.name}' has no style adapter: the style moves head, lids and eyes alone."


def _unshown(model: Model, driving: Driving, acting: GenerateOptions | None) -> list[str]:
    """What a model shows nothing of in a performance."""
    if model.family.framing is FRAME or acting is not None or not {"gaze", "blinks"} & set(driving.taken):
        return []
    return [f"'{model.name}' turns the head alone: it shows no gaze and no blinks of a performance."]


def traits_of(style: Style | None, options: GenerateOptions) -> Traits | None:
    """What a speaker is like in one clip; None for nobody in particular, which costs nothing."""
    if not options.style_strength or (style is None and not options.style_vividness):
        return None
    return (style or EVERYBODY).drawn(options.style_vividness, options.seed)


def described(style: Style | None, traits: Traits | None) -> dict[str, Any]:
    """A style for reports."""
    if traits is None:
        return {}
    known = style or EVERYBODY
    rounded = {name: round(value, 3) for name, value in asdict(traits).items()}
    return {"source": known.source, "sha256": known.digest(), "traits": rounded}


def timed(track: EmotionTrack | Script, speech: Speech) -> EmotionTrack:
    """The track of a script over its speech; keyframes that say "auto" hold what the voice tells."""
    if isinstance(track, EmotionTrack) and not any(map(is_auto, track.keyframes)):
        return track
    placed = track.track(speech.voice) if isinstance(track, Script) else track
    return with_voice(placed, read_voice(speech.sound.samples, speech.voice))


def read_track(model: Model, track: EmotionTrack) -> EmotionTrack:
    """A track with its words read and its references looked at; only these load what reads faces."""
    return track.read(model.reader.codes).seen(look_by(lambda: load_reference_reader(str(model.folder))))


def asks_emotion(track: EmotionTrack) -> bool:
    """Whether a track that has been read asks for any emotion, in words or as a code."""
    return any(
        k.text not in ("", "auto") or (not k.text and bool(k.code and k.code[INTENSITY])) for k in track.keyframes
    )


def drivable(driving: Driving, subject: Subject) -> Driving:
    """What of a performance can drive a subject: in a video the head, lids and eyes stay those of the pictures.

    Raises BadInput where nothing is left, or where the motion holds nothing of what is taken.
    """
    if not subject.is_still:
        if "expression" not in driving.options.take:
            raise BadInput(
                "A video keeps its own head, gaze and blinks, so that a performance can give it the expression alone. "
                "Take 'expression', or give a portrait."
            )
        driving = replace(driving, options=replace(driving.options, take=("expression",)))
    if not driving.taken:
        held, asked = ", ".join(driving.motion.parts), ", ".join(driving.options.take)
        raise BadInput(
            f"The performance holds {held}, but {asked} is to be taken of it. Read the clip again with its expression, "
            "or take what is there."
        )
    return driving


def resolve_options(model: Model, subject: Subject, asks: bool, options: GenerateOptions) -> GenerateOptions:
    """Options with nothing left open: the model's own numbers, and the mask that the mode needs.

    asks  whether any emotion is asked for
    Raises BadInput for what the model cannot do.
    """
    options = with_model_defaults(model, options)
    if options.mask != "auto":
        return options
    return replace(options, mask=model.family.mask(model, subject.is_still, asks))


def emotion_codes(track: EmotionTrack, speech: Speech, n_frames: int, options: GenerateOptions) -> np.ndarray:
    """Emotion codes [T, 27] of a track that has been read, the voice's own mixed in, at the amplitude asked for."""
    code = track_codes(track, n_frames)
    if options.prosody_weight > 0:
        readings = read_voice(speech.sound.samples, speech.voice)
        if readings:
            times_s = (np.arange(n_frames) + 0.5) / FPS
            code = mixed(code, voice_codes(readings, times_s), options.prosody_weight)
    neutral = emotion_code("neutral", 0.0)
    return neutral + np.float32(options.emotion_scale) * (code - neutral)


def track_codes(track: EmotionTrack, n_frames: int, scale: float = 1.0) -> np.ndarray:
    """Emotion code [T, 27] in the middle of every frame of a track that has been read; scale 0 neutral .. 1 as read."""
    neutral = emotion_code("neutral", 0.0)
    return neutral + np.float32(scale) * (track.at((np.arange(n_frames) + 0.5) / FPS) - neutral)


def option_notes(model: Model, options: GenerateOptions, asks: bool) -> list[str]:
    """Settings and words that cannot have the effect they were given for."""
    n_steps = sampler_options(model, options).steps
    steps = prediction_of(model.config.denoiser).grid(n_steps, options.shift).noise_fraction
    notes = model.family.notes(model, options, asks)
    if options.sync_guidance > 0 and not sync_steps(steps, (options.sync_low, options.sync_high)):
        notes.insert(0, f"sync_guidance has no effect with {n_steps} steps: none lies in its noise range.")
    return notes


def video_notes(subject: Subject, speech: Speech, n_frames: int) -> list[str]:
    """What had to change in a video, where it and its sound differ in length, and faces that were not found."""
    if subject.is_still:
        return []
    n_sound, n_video, notes = speech.sound.n_frames(), len(subject.crops), [*subject.notes]
    if n_video < n_sound and n_frames == n_video:
        notes.append(f"The video ends after {n_video / FPS:.2f} s and the clip with it; length 'audio' goes on.")
    elif n_video < n_sound:
        notes.append(f"The video ends after {n_video / FPS:.2f} s; its last frame stays to the end of the sound.")
    elif n_frames > n_sound:
        notes.append(f"The sound ends after {n_sound / FPS:.2f} s; the mouth rests from there on.")
    if subject.missed:
        fate = "passed through" if None in subject.crops else "held"
        notes.append(f"{len(subject.missed)} of {n_video} frames show no face that was found; they were {fate}.")
    return notes


def late_notes(track: EmotionTrack, n_frames: int) -> list[str]:
    """Keyframes whose change begins when a clip is over, so that they are not seen."""
    end_s = n_frames / FPS
    begins = (
        (k, before.time_s if k.fade_s is None else k.time_s - k.fade_s) for before, k in pairwise(track.keyframes)
    )
    late = [k for k, start_s in begins if start_s >= end_s]
    if not late:
        return []
    return [
        f"The clip ends after {end_s:.2f} s, so {len(late)} of {len(track.keyframes)} keyframes of the emotion are not "
        f"seen: the first is '{late[0].text or 'neutral'}' at {late[0].time_s:.2f} s."
    ]


def shown_subject(
    model: Model, subject: Subject, motion: np.ndarray, acting: Acting | None = None, target: Subject | None = None
) -> Subject:
    """The subject as a model is shown it, for motion [T, 8].

    The mini turns the head itself. A base changes the lower face of what it sees, so that a portrait becomes a video
    whose head moves before it is shown to it, or one that performs.

    acting  the performance, where there is one
    target  the same faces on the pictures that are pasted into, where those are others
    """
    target = target or subject
    if acting is not None:
        return acted_subject(acting, subject, target)
    return target if model.family.framing is FRAME else target.turned(motion, model.family.framing)


def paster(
    model: Model,
    shown: Subject,
    subject: Subject,
    motion: np.ndarray,
    options: GenerateOptions,
    read: Callable[[int], np.ndarray] | None = None,
) -> Callable[[np.ndarray, int], np.ndarray]:
    """(what the model made, number of the first) -> full pictures, for frames in order, with the background asked for.

    shown    the subject as the model is shown it
    subject  as it was found, on the pictures that are pasted into
    motion   [T, 8]  of the whole clip
    read     what gives the pictures of the subject, where several faces share one
    """
    if is_painted(model, shown):
        backdrop = None if options.background == "moving" else Backdrop(options.background, subject, motion)
        return _placer(subject, options, backdrop)
    own = read if shown.pictures is subject.pictures else None
    if options.background == "moving":
        return shown.paster(options.mask, read=own)
    backdrop = Backdrop(options.background, subject, motion)
    if subject.is_still or shown.pictures is subject.pictures:
        return shown.paster(options.mask, backdrop, own)
    original = read or subject.reader()  # not the performed picture
    return shown.paster(options.mask, lambda finished, _, number: backdrop(finished, original(number), number))


def is_painted(model: Model, shown: Subject) -> bool:
    """Whether a model paints into the pixels of a portrait: it gives what lies in a painter's box, not squares."""
    return shown.is_still and model.family.paints


def _placer(
    subject: Subject, options: GenerateOptions, finish: Finish | None
) -> Callable[[np.ndarray, int], np.ndarray]:
    """Puts painted boxes, uint8 [T, h, w, 3], back where they lie in the portrait."""
    picture = subject.picture(0)
    x0, y0, x1, y1 = subject.nearest(0).bounds(subject.size, MASK_BOXES[options.mask])

    def place(parts: np.ndarray, start: int) -> np.ndarray:
        whole = np.repeat(picture[None], len(parts), 0)
        whole[:, y0:y1, x0:x1] = parts
        if finish is None:
            return whole
        return np.stack([finish(one, picture, start + i) for i, one in enumerate(whole)])

    return place


def shown_reference(model: Model, shown: Subject) -> Reference:
    """What a clip is sampled from: the square, or the squares, of the subject as the model is shown it."""
    return shown.reference(model.family.picture_px(model, shown.nearest(0).side_px))


def decoded_reference(model: Model, shown: Subject, options: GenerateOptions, target: Subject | None = None) -> Source:
    """What a clip is decoded with, for a `paster` of the same; a portrait may be painted itself.

    target  the same face on the picture that is pasted into, where that is another
    """
    reference = shown_reference(model, shown)
    if not is_painted(model, shown) or not isinstance(reference, np.ndarray):
        return reference
    target = target or shown
    return Painted(reference, target.picture(0), target.nearest(0), options.mask)
