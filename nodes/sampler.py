"""The sampling loop, with ComfyUI's progress, previews and cancel."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from . import bridge
from .live_run import RUNS, sample_watched
from .options import given_options, option_input
from .own_words import in_own_words
from .sockets import EADAudio, EADEmotion, EADFace, EADLatents, EADModel, EADMotion, EADStyle, HostedModel, SampledClip

GUIDANCE = ("guidance_audio", "guidance_emotion", "sync_guidance", "sync_low", "sync_high")
SETTINGS = ("steps", "seed", *GUIDANCE)
NAMES = {"has_speech_gate=False": "speech_gate off (EAD-Net Audio Encoder)"}
"""What the core's notes call widgets of other nodes, and what these are called there."""


def live_input(where: str) -> io.Boolean.Input:
    """The switch of a run that is watched and steered."""
    return io.Boolean.Input(
        "live",
        default=False,
        optional=True,
        tooltip=f"{where} while it is made, with its sound. Change the words meanwhile: they take effect from the next "
        "second or so on, and the report says from when. Costs time: frames are decoded twice, of a portrait every "
        "second one. Default: off.",
    )


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
                live_input("The video grows in this node"),
            ],
            outputs=[EADLatents.Output("latents", tooltip="The clip before it has pictures, for Decode or Render.")],
        )

    @classmethod
    def fingerprint_inputs(cls, live: bool = False, **_: Any) -> int:
        return RUNS.n_turns if live else 0

    @classmethod
    def execute(
        cls,
        model: HostedModel,
        face: Any,
        speech: Any,
        emotion: Any,
        motion: Any = None,
        style: Any = None,
        live: bool = False,
        **settings: Any,
    ) -> io.NodeOutput:
        from ..eadnet_core.families.family import sampler_options
        from ..eadnet_core.generation.stages import sample_clip

        hosted = model.with_options(**given_options(settings))
        ready = bridge.resident(hosted)
        bar = bridge.Bar(len(speech.voice) * sampler_options(ready, hosted.options).steps)
        if live:
            made_with = bridge.kept_settings({"model": ready.name, "live": True})
            clip = sample_watched(ready, (face, speech, emotion, motion, style), hosted.options, bar, made_with)
        else:
            heed = (bar.follow, bridge.check_cancel)
            clip = sample_clip(ready, face, speech, emotion, hosted.options, *heed, motion, style)
        notes = [in_own_words(note, NAMES) for note in clip.notes]
        ui = {"text": notes} if notes else None
        return io.NodeOutput(SampledClip(hosted, clip), ui=ui)
