"""The sampling loop, with ComfyUI's progress, previews and cancel."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..eadnet_core.request import GenerateOptions
from . import bridge
from .sockets import EADAudio, EADEmotion, EADFace, EADLatents, EADModel, HostedModel, SampledClip

DEFAULTS = GenerateOptions()
MODELS_OWN = {"steps": 0, "guidance_audio": -1.0, "guidance_emotion": -1.0}
"""What stands in these widgets for the model's own value."""


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
                    default=MODELS_OWN["steps"],
                    min=0,
                    max=100,
                    tooltip="Denoising steps; time grows in proportion. 0 takes the model's own: mini 1, a base 20. "
                    "Default: 0.",
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
                    default=MODELS_OWN["guidance_audio"],
                    min=-1.0,
                    max=10.0,
                    step=0.1,
                    tooltip="Weight of the sound. 1 is the net as it was trained and free; above 1 follows the sound "
                    "more closely and costs one more pass per step. -1 takes the model's own: mini 1.3, a base 1.5. "
                    "Default: -1.",
                ),
                io.Float.Input(
                    "guidance_emotion",
                    default=MODELS_OWN["guidance_emotion"],
                    min=-1.0,
                    max=10.0,
                    step=0.1,
                    tooltip="Weight of the emotion. 1 is the net as it was trained and free; above 1 exaggerates and "
                    "costs one more pass per step. -1 takes the model's own: mini and base 1.5. Default: -1.",
                ),
                io.Float.Input(
                    "sync_guidance",
                    default=DEFAULTS.sync_guidance,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="Pull of the SyncNet on the mouth. 0 off, 0.2 helps the mini a little; costs a pass "
                    "through the small SyncNet in every second step of its range. Default: 0.",
                ),
                io.Float.Input(
                    "sync_low",
                    default=DEFAULTS.sync_low,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="Where the SyncNet stops pulling, as a share of the noise: 0 clean, 1 pure noise. "
                    "Lower costs a pass in more steps. Default: 0.30.",
                ),
                io.Float.Input(
                    "sync_high",
                    default=DEFAULTS.sync_high,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="Where the SyncNet begins to pull, as a share of the noise. Above sync_low. Higher "
                    "costs a pass in more steps. Default: 1.",
                ),
            ],
            outputs=[EADLatents.Output("latents", tooltip="The clip before it has pictures, for Decode or Render.")],
        )

    @classmethod
    def execute(cls, model: HostedModel, face: Any, speech: Any, emotion: Any, **settings: Any) -> io.NodeOutput:
        from ..eadnet_core.families.family import sampler_options
        from ..eadnet_core.generation.stages import sample_clip

        own = {name: None for name, unset in MODELS_OWN.items() if settings[name] == unset}
        hosted = model.with_options(**{**settings, **own})
        ready = bridge.resident(hosted)
        bar = bridge.Bar(len(speech.voice) * sampler_options(ready, hosted.options).steps)
        clip = sample_clip(ready, face, speech, emotion, hosted.options, bar.follow, bridge.check_cancel)
        ui = {"text": list(clip.notes)} if clip.notes else None
        return io.NodeOutput(SampledClip(hosted, clip), ui=ui)
