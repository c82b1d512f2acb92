"""How it feels: words, a point or keyframes in, an emotion over time out."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

from ..eadnet_core.errors import BadInput
from ..eadnet_core.taxonomy import EMOTIONS
from . import bridge
from .motion_lanes import motion_edited
from .sockets import EADEmotion, EADMotion

if TYPE_CHECKING:
    import numpy as np

    from ..eadnet_core.emotion.reader import TextReader

FROM_TEXT = "from text"
PEAKS_PER_S = 200
MOST_PEAKS = 20_000
"""Of a waveform that a run hands to the page; of a file the page hears more by itself."""


class EmotionPrompt(io.ComfyNode):
    """One emotion for the whole clip."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return bridge.schema(
            node_id="EADNet_EmotionPrompt",
            display_name="EAD-Net Emotion Prompt",
            description="How the face should feel: in your own words, as one of eight emotions, or as a point on the "
            "valence/arousal pad. Changing it computes nothing before the Sampler again.",
            inputs=[
                io.String.Input(
                    "text",
                    multiline=True,
                    default="she has just won and cannot stop smiling",
                    tooltip="How the face should feel, in your own words: a feeling, a scene, or what brows "
                    "and mouth do. Used when preset is 'from text'. Empty is neutral. No cost. Default: an example.",
                ),
                io.Combo.Input(
                    "preset",
                    options=[FROM_TEXT, *EMOTIONS],
                    default=FROM_TEXT,
                    tooltip="'from text' reads the words; one of the eight emotions is taken instead of them, at full "
                    "strength. No cost. Default: from text.",
                ),
                io.Float.Input(
                    "intensity",
                    default=1.0,
                    min=0.0,
                    max=1.5,
                    step=0.05,
                    tooltip="Strength: 0 neutral, 1 as the words say, above 1 exaggerated beyond what was trained. "
                    "No cost. Default: 1.",
                ),
                io.Float.Input(
                    "valence",
                    default=0.0,
                    min=-1.0,
                    max=1.0,
                    step=0.01,
                    tooltip="How pleasant it feels, -1 to 1. Used when use_pad is on. No cost. Default: 0.",
                ),
                io.Float.Input(
                    "arousal",
                    default=0.0,
                    min=-1.0,
                    max=1.0,
                    step=0.01,
                    tooltip="How excited it is, -1 to 1. Used when use_pad is on. No cost. Default: 0.",
                ),
                io.Boolean.Input(
                    "use_pad",
                    default=False,
                    tooltip="Take the point of valence and arousal instead of text and preset. No cost. Default: off.",
                ),
            ],
            outputs=[
                EADEmotion.Output("emotion", tooltip="The emotion, for the Sampler or an Emotion Track."),
                io.String.Output("caption", tooltip="What the face will show, in words."),
            ],
        )

    @classmethod
    def execute(
        cls, text: str, preset: str, intensity: float, valence: float, arousal: float, use_pad: bool
    ) -> io.NodeOutput:
        code = asked_code(text, preset, intensity, (valence, arousal) if use_pad else None)
        return _emotion_output(code, text, asked_note(text, preset, use_pad))


class EmotionTrack(io.ComfyNode):
    """Emotions over time."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return bridge.schema(
            node_id="EADNet_EmotionTrack",
            display_name="EAD-Net Emotion Track",
            description="Emotions over time: keyframes of words and intensity, faded from one to the next. Connect the "
            "audio to see its waveform behind the keyframes.",
            inputs=[
                io.String.Input(
                    "keyframes",
                    multiline=True,
                    default='[{"time": 0.0, "text": "calm"}, {"time": 1.5, "text": "delighted"}]',
                    tooltip="Keyframes as JSON, a list of time in seconds, text and intensity 0 to 1. Without an "
                    "intensity a keyframe is as strong as its words ask. The editor writes this. No cost. "
                    "Default: an example.",
                ),
                io.Float.Input(
                    "cross_fade",
                    default=0.5,
                    min=0.0,
                    max=60.0,
                    step=0.05,
                    tooltip="Seconds before a keyframe in which the face changes to it; until then it holds the one "
                    "before. 0 changes at once. Default: 0.5 s.",
                ),
                io.Audio.Input(
                    "audio",
                    optional=True,
                    tooltip="The voice, to be drawn behind the keyframes; a keyframe whose text is 'auto' follows it.",
                ),
                EADEmotion.Input(
                    "emotion",
                    optional=True,
                    tooltip="What the face shows before the first keyframe. Without: that keyframe.",
                ),
                io.String.Input(
                    "transcript",
                    optional=True,
                    force_input=True,
                    tooltip="The words with their times, as SubRip, WebVTT, or the JSON of Whisper: the editor shows "
                    "them, and keyframes snap to them. No cost. Default: none, they snap to where the voice sets in.",
                ),
                EADMotion.Input(
                    "motion",
                    optional=True,
                    tooltip="How somebody moves in a clip, from Motion From Video or Load Motion, to be edited in the "
                    "lanes below the emotions.",
                ),
                io.String.Input(
                    "motion_edits",
                    default="",
                    optional=True,
                    multiline=True,
                    tooltip="What is changed of the motion, as JSON: points, smoothing and blinks. Without a motion "
                    "they make one. The editor writes this. No cost. Default: empty, nothing.",
                ),
            ],
            outputs=[
                EADEmotion.Output("track", display_name="emotion", tooltip="The emotions over time, for the Sampler."),
                EADMotion.Output(
                    "motion_out",
                    display_name="motion",
                    tooltip="The motion with what was edited, for Speak and the Sampler; nothing where there is none.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        keyframes: str,
        cross_fade: float,
        audio: Any = None,
        emotion: Any = None,
        transcript: str = "",
        motion: Any = None,
        motion_edits: str = "",
    ) -> io.NodeOutput:
        from ..eadnet_core.emotion.track import EmotionTrack as Track

        given = parse_keyframes(keyframes)
        if emotion is not None and (not given or given[0]["time_s"] > 0):
            code = emotion.at([0.0])[0].tolist()
            given.insert(0, {"time_s": 0.0, "text": emotion.keyframes[0].text, "code": code})
        heard = _heard(Track.parse(given), audio)
        notes = _shown(heard.unread())
        ui: dict[str, Any] = {"eadnet_keyframes": [keyframes], "eadnet_words": transcript_words(transcript)}
        ui = {**ui, **(waveform(audio) or {}), **({"text": notes} if notes else {})}
        duration_s = ui["eadnet_duration"][0] if audio is not None else 0.0
        edited, ui["eadnet_motion"] = motion_edited(motion, motion_edits, duration_s)
        return io.NodeOutput(heard.read(reader().codes).held(cross_fade), edited, ui=ui)


def transcript_words(transcript: str) -> list[list[Any]]:
    """[text, start_s, end_s] of each word of a transcript, as the track editor takes them; none of an empty one."""
    from ..eadnet_core.emotion.transcript import parse_transcript

    words = parse_transcript(transcript) if transcript.strip() else ()
    return [[w.text, round(w.start_s, 3), round(w.end_s, 3)] for w in words]


def _heard(track: Any, audio: Any) -> Any:
    """The track with what the voice tells where a keyframe says "auto"."""
    from ..eadnet_core.emotion.prosody import is_auto, read_voice, with_voice
    from ..eadnet_core.media.sound.speech import hear

    if not any(map(is_auto, track.keyframes)):
        return track
    if audio is None:
        raise BadInput("A keyframe says 'auto', which follows the voice: connect the voice to audio.")
    speech = hear(bridge.to_sound(audio))
    return with_voice(track, read_voice(speech.sound.samples, speech.voice))


def parse_keyframes(text: str) -> list[dict[str, Any]]:
    """What the track editor writes, as the core's keyframes in the order of time. Raises BadInput."""
    try:
        values = json.loads(text or "[]")
        given = [{("time_s" if key == "time" else key): value for key, value in item.items()} for item in values]
        given = sorted(given, key=lambda item: float(item["time_s"]))
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError, RecursionError) as error:
        raise BadInput(
            f"keyframes cannot be read ({type(error).__name__}: {error}); give JSON such as "
            '[{"time": 0, "text": "calm"}, {"time": 1.5, "text": "delighted", "intensity": 0.8}].'
        ) from error
    if any("reference" in item for item in given):
        raise BadInput("A keyframe of this node opens no files: mix in a face with Emotion From Reference.")
    return given


@lru_cache(maxsize=1)
def reader() -> TextReader:
    """The shipped reader of words: 17 MB on the CPU."""
    from ..eadnet_core.weights.experts import load_reader

    return load_reader(bridge.SHIPPED)


def asked_code(
    text: str, preset: str = FROM_TEXT, intensity: float = 1.0, point: tuple[float, float] | None = None
) -> np.ndarray:
    """The emotion code [27] that the widgets of an Emotion Prompt ask for."""
    from ..eadnet_core.emotion.code import emotion_at, emotion_code, scaled

    if point is not None:
        code = emotion_at(*point)
    elif preset != FROM_TEXT:
        code = emotion_code(preset, float(preset != "neutral"))
    else:
        code = reader().codes([text])[0]
    return scaled(code, intensity)


def asked_note(text: str, preset: str, use_pad: bool) -> str:
    """What the report says of words that were asked for and not understood; else empty."""
    from ..eadnet_core.emotion.reader import note_of

    return "" if use_pad or preset != FROM_TEXT else note_of(text)


def _emotion_output(code: np.ndarray, text: str, note: str) -> io.NodeOutput:
    """The emotion and its caption, which the node also shows."""
    from ..eadnet_core.emotion.face_words import caption
    from ..eadnet_core.emotion.track import EmotionTrack as Track
    from ..eadnet_core.emotion.track import Keyframe

    track = Track((Keyframe(0.0, text, None, tuple(map(float, code))),))
    return io.NodeOutput(track, caption(code), ui={"text": [emotion_text(code), *_shown([note])]})


def _shown(notes: Iterable[str]) -> list[str]:
    """Notes as a node shows them."""
    return [f"Note: {note}" for note in notes if note]


def emotion_text(code: np.ndarray) -> str:
    """What a node shows of an emotion code [27]: its numbers, and the face in words."""
    from ..eadnet_core.emotion.code import describe
    from ..eadnet_core.emotion.face_words import caption

    reading = describe(code)
    return (
        f"{reading.label}, intensity {reading.intensity:.2f}, valence {reading.valence:+.2f}, "
        f"arousal {reading.arousal:+.2f}\n{caption(code)}"
    )


def waveform(audio: Any) -> dict[str, Any] | None:
    """What the track editor draws behind its keyframes."""
    if audio is None:
        return None
    from ..eadnet_core.media.annotate import levels

    sound = bridge.to_sound(audio)
    n = min(math.ceil(sound.duration_s * PEAKS_PER_S), MOST_PEAKS, len(sound.samples))
    peaks = levels(sound.samples, n)
    return {"eadnet_waveform": list(peaks), "eadnet_duration": [sound.duration_s]}
