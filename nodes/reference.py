"""Emotions borrowed from a face, and two emotions mixed."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

from . import bridge
from .emotion import emotion_text
from .sockets import EADEmotion

if TYPE_CHECKING:
    from ..eadnet_core.weights.experts import ReferenceReader


class EmotionFromReference(io.ComfyNode):
    """The emotion that pictures of any face show."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return bridge.schema(
            node_id="EADNet_EmotionFromReference",
            display_name="EAD-Net Emotion From Reference",
            description="Reads the emotion off a photo, or the pictures of a clip, of any face, and mixes it with "
            "another emotion where one is connected. The feeling is taken, not the face.",
            inputs=[
                io.Image.Input(
                    "images",
                    tooltip="A photo, or the pictures of a clip in the order of time; at most 24 of them, spread over "
                    "the batch, are looked at, about 0.1 s each. A frontal face that fills a tenth of the picture.",
                ),
                io.Float.Input(
                    "vividness",
                    default=1.0,
                    min=0.0,
                    max=2.0,
                    step=0.05,
                    tooltip="Strength of what is seen: 0 neutral, 1 as the face shows it, 2 twice as strong, beyond "
                    "what was trained. No cost. Default: 1.",
                ),
                io.Float.Input(
                    "weight",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="Share of the face beside the connected emotion: 0 that emotion alone, 1 the face alone. "
                    "Without effect where none is connected. No cost. Default: 1.",
                ),
                EADEmotion.Input(
                    "emotion",
                    optional=True,
                    tooltip="An emotion to mix with, from words, a track or another face. Without: the face alone.",
                ),
            ],
            outputs=[
                EADEmotion.Output("emotion_out", display_name="emotion", tooltip="The emotion, for the Sampler."),
                io.String.Output("caption", tooltip="What was read off the face, in words."),
            ],
        )

    @classmethod
    def execute(cls, images: Any, vividness: float, weight: float, emotion: Any = None) -> io.NodeOutput:
        from ..eadnet_core.emotion.code import scaled
        from ..eadnet_core.emotion.face_words import caption
        from ..eadnet_core.emotion.track import EmotionTrack, Keyframe
        from ..eadnet_core.perception.faces import faces_in, read_faces

        code = scaled(read_faces(faces_in(bridge.to_pictures(images), "images"), reference_reader()), vividness)
        track = EmotionTrack((Keyframe(0.0, "as in the reference", code=tuple(map(float, code))),))
        mixed = track if emotion is None else emotion.blended(track, weight)
        return io.NodeOutput(mixed, caption(code), ui={"text": [emotion_text(code)]})


def share_input() -> io.Float.Input:
    """How much the second of two counts, of a Blend node."""
    return io.Float.Input(
        "weight",
        default=0.5,
        min=0.0,
        max=1.0,
        step=0.05,
        tooltip="Share of the second: 0 the first alone, 1 the second alone. No cost. Default: 0.5.",
    )


class EmotionBlend(io.ComfyNode):
    """Two emotions as one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return bridge.schema(
            node_id="EADNet_EmotionBlend",
            display_name="EAD-Net Emotion Blend",
            description="Mixes two emotions by a weight, such as a smile with some sorrow in it. Tracks are mixed at "
            "every moment.",
            inputs=[
                EADEmotion.Input("first", tooltip="An emotion, from Prompt, Track, Caption, Director or Reference."),
                EADEmotion.Input("second", tooltip="The emotion that is mixed in."),
                share_input(),
            ],
            outputs=[
                EADEmotion.Output("emotion", tooltip="The mixture, for the Sampler or another Blend."),
                io.String.Output("caption", tooltip="What the face will show at the start, in words."),
            ],
        )

    @classmethod
    def execute(cls, first: Any, second: Any, weight: float) -> io.NodeOutput:
        from ..eadnet_core.emotion.face_words import caption

        mixed = first.blended(second, weight)
        code = mixed.at([0.0])[0]
        return io.NodeOutput(mixed, caption(code), ui={"text": [emotion_text(code)]})


@lru_cache(maxsize=1)
def reference_reader() -> ReferenceReader:
    """What reads references for the shipped model: 13 MB on the CPU."""
    from ..eadnet_core.weights.experts import load_reference_reader

    return load_reference_reader(bridge.SHIPPED)
