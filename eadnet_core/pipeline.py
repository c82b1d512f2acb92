"""A portrait or a video, a voice and words in, finished segments of the full picture out: where everything meets.

`prepare` reads and checks all inputs and knows the exact number of frames; the Generation it returns is iterated for
segments. `generate` is both in one call, `output.write_video` makes a file of a Generation.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from .animate import Animation, Performance, sampler_options, scene_of, settled
from .checkpoints import Model, load_bank, load_model, load_reader
from .config import FPS, PRESETS
from .emotion.code import INTENSITY, Emotion, describe, emotion_code, scaled
from .emotion.face_words import caption
from .emotion.motion import generate_motion
from .emotion.prosody import is_auto, mixed, read_voice, voice_codes, with_voice
from .emotion.reference import Reference
from .emotion.script import Script
from .emotion.track import EmotionTrack
from .forecast import OUTPUT_BYTES, Forecast, forecast
from .head import DECODE_FRAMES
from .media.audio import Audio, frame_energy, read_audio, speech_gate
from .media.crop import FaceCrop
from .media.framing import FRAME
from .media.image import read_image
from .media.segments import check_segments
from .media.subject import Subject, find_subject
from .media.video import VideoReader, check_writable
from .reference import look_by
from .request import Cancel, GenerateOptions, GenerationReport, OnProgress, Segment
from .sampling.guidance import sync_steps
from .sampling.schedule import time_grid

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
    Raises BadInput, FaceNotFound or CheckpointError, each with what to do.
    """
    options = options or GenerateOptions()
    clock = Clock()
    if output is not None:
        check_segments(output, resume)
        check_writable(output, overwrite or resume)
    asked = emotion if isinstance(emotion, (EmotionTrack, Script)) else EmotionTrack.parse(emotion)
    source = portrait if isinstance(portrait, VideoReader) else np.array(read_image(portrait))[None]  # never read-only
    sound = audio if isinstance(audio, Audio) else read_audio(audio, sample_rate)
    clock.stop("read")
    subject = _find(source, sound, options, on_search)
    n_frames = len(subject.crops) if options.length != "audio" and not subject.is_still else sound.n_frames()
    clock.stop("face")
    model = _opened(model, device)
    clock.stop("load")
    track = read_by(model, in_time(asked, sound).borrowing(reference))
    options = fitted(model, subject, track, options)
    code = felt(track, sound, n_frames, options)
    clock.stop("emotion")
    report = GenerationReport(
        model=model.name,
        device=str(model.device),
        n_frames=n_frames,
        fps=FPS,
        width_px=subject.size[0],
        height_px=subject.size[1],
        face_crop=asdict(subject.nearest(0)),
        options=options,
        emotions=_readings(track),
        faces=[] if subject.is_still else subject.face_states(n_frames),
        notes=[*notes_of(model, options, track), *sound.notes, *_video_notes(subject, sound, n_frames)],
        seconds=clock.seconds,
    )
    performance = _perform(sound, code, options, report, subject.is_still)
    clock.stop("plan")
    return Generation(model, subject, sound, performance, options, report)


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
        on_missing=options.on_missing,
        on_picture=on_search,
        face_index=options.face_index,
        n_frames=n_frames,
    )


def _video_notes(subject: Subject, sound: Audio, n_frames: int) -> list[str]:
    """What a video had to be changed in, where it and its sound differ in length, and faces that were not found."""
    if subject.is_still:
        return []
    n_sound, n_video, notes = sound.n_frames(), len(subject.crops), [*subject.notes]
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


def _perform(
    sound: Audio, code: np.ndarray, options: GenerateOptions, report: GenerationReport, is_still: bool
) -> Performance:
    """Speech gate and motion of a sound; in a video the head keeps the motion that the pictures have."""
    n_frames = len(code)
    voice = speech_gate(sound.samples, n_frames) if options.has_speech_gate else np.ones(n_frames, np.float32)
    if not voice.any():
        report.notes.append(
            "No speech was found in the sound, so the mouth stays at rest; has_speech_gate=False lets it."
        )
    made = perform(sound, voice, code, options)
    return made if is_still else replace(made, motion=np.zeros_like(made.motion))


def perform(sound: Audio, voice: np.ndarray, code: np.ndarray, options: GenerateOptions) -> Performance:
    """What a head does to a sound whose speech gate [T] and emotion codes [T, 27] are known."""
    energy = frame_energy(sound.samples, len(code)) * voice
    draw = np.random.default_rng(options.seed)
    motion = generate_motion(energy, code, draw, options.head, options.blink, options.gaze)
    return Performance(sound.samples, voice, code, motion)


def has_emotion(track: EmotionTrack) -> bool:
    """Whether a track that has been read asks for any emotion, in words or as a code."""
    return any(
        k.text not in ("", "auto") or (not k.text and bool(k.code and k.code[INTENSITY])) for k in track.keyframes
    )


def fitted(model: Model, subject: Subject, track: EmotionTrack, options: GenerateOptions) -> GenerateOptions:
    """Options with nothing left open: the model's own numbers, and the mask that the mode needs.

    A base without adapters was trained to make the mouth alone. Raises BadInput for what the model cannot do.
    """
    options = settled(model, options)
    if options.mask != "auto":
        return options
    is_whole = subject.is_still and scene_of(model).framing is FRAME
    mask = "full" if is_whole else "face" if has_emotion(track) and model.emotion_encoder is not None else "mouth"
    return replace(options, mask=mask)


def notes_of(model: Model, options: GenerateOptions, track: EmotionTrack) -> list[str]:
    """Settings and words that cannot have the effect they were given for."""
    config, notes = model.config.denoiser, []
    n_steps = sampler_options(model, options).steps
    steps = time_grid(config.prediction, n_steps, options.shift).noise_fraction
    if options.sync_guidance > 0 and not sync_steps(steps, (options.sync_low, options.sync_high)):
        notes.append(f"sync_guidance has no effect with {n_steps} steps: none lies in its noise range.")
    if config.prediction == "residual":
        if options.hearing != "overlapped":
            notes.append(f"hearing has no effect: '{model.name}' does not hear through Whisper.")
        return notes
    if model.emotion_encoder is None and has_emotion(track):
        notes.append(f"'{model.name}' has no emotion adapters: the words change nothing.")
    if model.emotion_encoder is None and options.mask not in ("auto", "mouth"):
        notes.append(
            f"'{model.name}' was trained to make the mouth alone; mask '{options.mask}' may spoil eyes and brows."
        )
    if options.window_frames not in (0, config.window_frames):
        notes.append(
            f"'{model.name}' was trained with windows of {config.window_frames} frames; others look otherwise."
        )
    return notes


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
    def shot(self) -> Subject:
        """The subject as the model is shown it: a portrait's head may have been turned already."""
        return shot(self.model, self.subject, self.performance.motion)

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
        return forecast(self.model, self.shot, self.performance, self.options)

    def segments(self, on_progress: OnProgress | None = None, cancel: Cancel | None = None) -> Iterator[Segment]:
        """Yield finished segments in order; at most OUTPUT_BYTES of full pictures are held at a time.

        Raises Cancelled when `cancel` returns True; what was yielded before is finished.
        """
        animation, paste = self.animation(on_progress, cancel), self.paster()
        for start, x0 in animation:
            yield from self.finished(animation.frames(x0, self.at_once), start, paste)

    def animation(self, on_progress: OnProgress | None = None, cancel: Cancel | None = None) -> Animation:
        """The clip in the training frame."""
        reference = self.shot.reference(self.model.config.size_px)
        seconds = self.report.seconds
        return Animation(self.model, reference, self.performance, self.options, on_progress, cancel, seconds)

    @property
    def at_once(self) -> int:
        """Full pictures that are held at a time."""
        n_frames = max(1, OUTPUT_BYTES // (3 * self.report.width_px * self.report.height_px))
        return max(n_frames // DECODE_FRAMES * DECODE_FRAMES, min(n_frames, DECODE_FRAMES))

    def paster(self) -> Callable[[np.ndarray, int], np.ndarray]:
        """(generated squares, number of the first) -> full pictures, for frames in order."""
        return self.shot.paster(self.options.mask)

    def finished(
        self, parts: Iterable[np.ndarray], start: int, paste: Callable[[np.ndarray, int], np.ndarray]
    ) -> Iterator[Segment]:
        """Segments of generated squares that come in parts, from frame `start` on."""
        clock, seen = Clock(self.report.seconds), self.shot
        for frames in parts:
            clock.start()
            pasted = paste(frames, start)
            faces = seen.faces(frames, pasted, start, PRESETS["mini"].size_px)
            clock.stop("paste")
            yield Segment(pasted, start, faces)
            start += len(frames)


def shot(model: Model, subject: Subject, motion: np.ndarray) -> Subject:
    """The subject as a model is shown it, for motion [T, 8].

    The mini turns the head itself, and what is pasted turns with it. A base changes the lower face of what it sees, so
    that a portrait becomes a video whose head moves before it is shown to it.
    """
    framing = scene_of(model).framing
    return replace(subject, motion=motion) if framing is FRAME else subject.turned(motion, framing)


def read_by(model: Model, track: EmotionTrack) -> EmotionTrack:
    """A track with its words read and its references looked at; only these load the emotion bank."""
    return track.read(model.reader.codes).seen(look_by(lambda: load_bank(str(model.folder))))


def in_time(asked: EmotionTrack | Script, sound: Audio) -> EmotionTrack:
    """The track of a script over its speech; keyframes that say "auto" hold what the voice tells."""
    if isinstance(asked, EmotionTrack) and not any(map(is_auto, asked.keyframes)):
        return asked
    voice = speech_gate(sound.samples, sound.n_frames())
    track = asked.track(voice) if isinstance(asked, Script) else asked
    return with_voice(track, read_voice(sound.samples, voice))


def felt(track: EmotionTrack, sound: Audio, n_frames: int, options: GenerateOptions) -> np.ndarray:
    """Emotion codes [T, 27] of a track that has been read, the voice's own mixed in, at the amplitude asked for."""
    code = emotion_codes(track, n_frames)
    if options.prosody_weight > 0:
        readings = read_voice(sound.samples, speech_gate(sound.samples, sound.n_frames()))
        if readings:
            times_s = (np.arange(n_frames) + 0.5) / FPS
            code = mixed(code, voice_codes(readings, times_s), options.prosody_weight)
    neutral = emotion_code("neutral", 0.0)
    return neutral + np.float32(options.emotion_scale) * (code - neutral)


def emotion_codes(track: EmotionTrack, n_frames: int, scale: float = 1.0) -> np.ndarray:
    """Emotion code [T, 27] in the middle of every frame of a track that has been read; scale 0 neutral .. 1 as read."""
    neutral = emotion_code("neutral", 0.0)
    return neutral + np.float32(scale) * (track.at((np.arange(n_frames) + 0.5) / FPS) - neutral)


def _readings(track: EmotionTrack) -> list[dict[str, Any]]:
    """How every keyframe was read."""
    codes = track.at([k.time_s for k in track.keyframes])
    return [
        {"start_s": k.time_s, **reading_values(describe(code, k.text))}
        for k, code in zip(track.keyframes, codes, strict=True)
    ]


def reading_values(reading: Emotion) -> dict[str, Any]:
    """How a text was read, as JSON values."""
    values = {name: round(float(getattr(reading, name)), 4) for name in ("intensity", "valence", "arousal")}
    return {"text": reading.text, "label": reading.label, **values}


def read_emotions(texts: Sequence[str], model: str = "mini") -> list[dict[str, Any]]:
    """How texts are read, in their order: text, label, intensity, valence, arousal."""
    return [reading_values(reading) for reading in load_reader(model).read(texts)]


def read_reference(reference: Reference, model: str = "mini") -> dict[str, Any]:
    """What the face in a photo or clip shows, described in words: text, label, intensity, valence, arousal.

    Raises BadInput or FaceNotFound.
    """
    code = scaled(look_by(lambda: load_bank(model))(reference), reference.vividness)
    return reading_values(describe(code, caption(code)))


class Clock:
    """Adds the time since the last call to a stage."""

    def __init__(self, seconds: dict[str, float] | None = None) -> None:
        self.seconds: dict[str, float] = {} if seconds is None else seconds
        self.start()

    def start(self) -> None:
        """Begin a stage."""
        self.last = time.perf_counter()

    def stop(self, stage: str) -> None:
        """End it, and begin the next."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self.last
        self.last = now
