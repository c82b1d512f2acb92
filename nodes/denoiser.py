"""The settings of the net itself."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from . import bridge
from .options import new_widgets, option_input
from .sockets import EADModel, HostedModel

ADDED = (
    *("gaze", "emotion_scale", "mouth_by", "lip_corners", "mask_edge", "identity_strength"),
    *("style_strength", "style_vividness"),
)
"""Settings that workflows of earlier versions lack."""
SETTINGS = ("stda_strength", "tfrm_strength", "window_frames", "head", "blink", "lips", *ADDED)


class Denoiser(io.ComfyNode):
    """A clone of the model with other strengths and amplitudes."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return bridge.schema(
            node_id="EADNet_Denoiser",
            display_name="EAD-Net Denoiser (STDA/TFRM)",
            description="Sets how the net works: attention along rows, columns and time (STDA), the graph over frames "
            "(TFRM), how much head, eyes, lids, lips, emotion and style move, and who makes the mouth with a base. The "
            "model that comes in stays as it was.",
            inputs=[
                EADModel.Input("model", tooltip="The model; it is cloned, its weights are shared."),
                *(option_input(name, optional=name in ADDED) for name in SETTINGS),
            ],
            outputs=[EADModel.Output("model_out", display_name="model", tooltip="The clone, for the Sampler.")],
        )

    @classmethod
    def execute(cls, model: HostedModel, **settings: Any) -> io.NodeOutput:
        return io.NodeOutput(model.with_options(**{**new_widgets(ADDED), **settings}))
