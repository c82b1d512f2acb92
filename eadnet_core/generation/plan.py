"""What a generation will do, decided before any net runs: options, emotion codes, performance and notes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..config import FPS
from ..emotion.code import INTENSITY, emotion_code
from ..emotion.prosody import is_auto, mixed, read_voice, voice_codes, with_voice
from ..emotion.script import Script
from ..emotion.track import EmotionTrack
from ..families.family import sampler_options, scene_of, settled
from ..families.performance import Performance
from ..media.face.framing import FRAME
from ..media.face.subject import Subject
from ..media.sound.audio import Audio, frame_energy, speech_gate
from ..motion.generate import generate_motion
from ..perception.faces import look_by
from ..request import GenerateOptions, GenerationReport
from ..sampling.guidance import sync_steps
from ..sampling.schedule import time_grid
from ..weights.model import Model, load_bank


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
