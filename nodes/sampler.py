"""The sampling loop, with ComfyUI's progress, previews and cancel."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from . import bridge
from .options import given_options, option_input
from .own_words import in_own_words
from .sockets import EADAudio, EADEmotion, EADFace, EADLatents, EADModel, EADMotion, EADStyle, HostedModel, SampledClip

GUIDANCE = ("guidance_audio", "guidance_emotion", "sync_guidance", "sync_low", "sync_high")
SETTINGS = ("steps", "seed", *GUIDANCE)
NAMES = {"has_speech_gate=False": "speech_gate off (EAD-Net Audio Encoder)"}
"""What the core's notes call widgets of other nodes, and what these are called there."""


class Sampler(io.ComfyNode):
    """Samples a whole clip, window by window."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return bridge.schema(
            node_id="EADNet_Sampler",
            display_name="EAD-Net Sampler (SyncNet-guided)",
            description="Makes the clip: every frame is denoised once per step, in windows whose cuts move from step "
            "to step. Shows a preview while it runs; Cancel takes effect within a step.",
            inputs=[
                EADModel.Input("model", tooltip="The model, from the Loader or the Denoiser."),
                EADFace.Input("face", tooltip="Who speaks, from the Face node."),
                EADAudio.Input("speech", tooltip="What is said, from the Audio Encoder; it sets the length."),
                EADEmotion.Input("emotion", tooltip="How it feels, from Emotion Prompt, Track or Caption."),
                option_input("steps"),
                option_input("seed", control_after_generate=True),
                *(option_input(name) for name in GUIDANCE),
                EADMotion.Input(
                    "motion",
                    optional=True,
                    tooltip="How somebody moves in a clip, from Motion From Video or Load Motion: it drives head, gaze "
                    "and blinks of a portrait. Without: they are generated.",
                ),
                EADStyle.Input(
                    "style",
                    optional=True,
                    tooltip="How somebody speaks, from Style From Video, Style or Load Style. Without: nobody in "
                    "particular.",
                ),
            ],
            outputs=[EADLatents.Output("latents", tooltip="The clip before it has pictures, for Decode or Render.")],
        )

    @classmethod
    def execute(
        cls,
        model: HostedModel,
        face: Any,
        speech: Any,
        emotion: Any,
        motion: Any = None,
        style: Any = None,
        **settings: Any,
    ) -> io.NodeOutput:
        from ..eadnet_core.families.family import sampler_options
        from ..eadnet_core.generation.stages import sample_clip

        hosted = model.with_options(**given_options(settings))
        ready = bridge.resident(hosted)
        bar = bridge.Bar(len(speech.voice) * sampler_options(ready, hosted.options).steps)
        clip = sample_clip(ready, face, speech, emotion, hosted.options, bar.follow, bridge.check_cancel, motion, style)
        notes = [in_own_words(note, NAMES) for note in clip.notes]
        ui = {"text": notes} if notes else None
        return io.NodeOutput(SampledClip(hosted, clip), ui=ui)
