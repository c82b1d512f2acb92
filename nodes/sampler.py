"""The sampling loop, with ComfyUI's progress, previews and cancel."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..eadnet_core.request import GenerateOptions
from . import bridge
from .sockets import EADAudio, EADEmotion, EADFace, EADLatents, EADModel, HostedModel, SampledClip

DEFAULTS = GenerateOptions()


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
                io.Int.Input(
                    "steps",
                    default=DEFAULTS.steps,
                    min=1,
                    max=100,
                    tooltip="Denoising steps. Time grows in proportion; the mini shows feelings best in one. Default: 1.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=2**63 - 1,
                    control_after_generate=True,
                    tooltip="Start of the random numbers: the same seed gives the same clip, another one another "
                    "performance. No cost. Default: 0.",
                ),
                io.Float.Input(
                    "guidance_audio",
                    default=DEFAULTS.guidance_audio,
                    min=0.0,
                    max=10.0,
                    step=0.1,
                    tooltip="Weight of the sound. 1 is the net's own and free; above 1 follows the sound more "
                    "closely and costs one more pass per step. Default: 1.",
                ),
                io.Float.Input(
                    "guidance_emotion",
                    default=DEFAULTS.guidance_emotion,
                    min=0.0,
                    max=10.0,
                    step=0.1,
                    tooltip="Weight of the emotion. 1 is the net's own and free; above 1 exaggerates and costs one "
                    "more pass per step. Default: 2.",
                ),
                io.Float.Input(
                    "sync_guidance",
                    default=DEFAULTS.sync_guidance,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="Pull of the SyncNet on the mouth. 0 off, 0.1 to 0.3 useful; costs a pass through the "
                    "small SyncNet in every second step of its range. Default: 0.",
                ),
                io.Float.Input(
                    "sync_low",
                    default=DEFAULTS.sync_low,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="Where the SyncNet stops pulling, as a share of the noise: 0 clean, 1 pure noise. "
                    "Default: 0.30.",
                ),
                io.Float.Input(
                    "sync_high",
                    default=DEFAULTS.sync_high,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="Where the SyncNet begins to pull, as a share of the noise. Above sync_low. Default: 0.75.",
                ),
            ],
            outputs=[EADLatents.Output("latents", tooltip="The clip before it has pictures, for Decode or Render.")],
        )

    @classmethod
    def execute(cls, model: HostedModel, face: Any, speech: Any, emotion: Any, **settings: Any) -> io.NodeOutput:
        from ..eadnet_core.stages import sample_clip

        hosted = model.with_options(**settings)
        ready = bridge.resident(hosted)
        bar = bridge.Bar(len(speech.voice) * hosted.options.steps)
        clip = sample_clip(ready, face, speech, emotion, hosted.options, bar.follow, bridge.check_cancel)
        return io.NodeOutput(SampledClip(hosted, clip))
