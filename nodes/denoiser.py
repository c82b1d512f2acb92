"""The settings of the net itself."""

from __future__ import annotations

from comfy_api.latest import io

from . import bridge
from .sockets import EADModel, HostedModel


class Denoiser(io.ComfyNode):
    """A clone of the model with other strengths and amplitudes."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return bridge.schema(
            node_id="EADNet_Denoiser",
            display_name="EAD-Net Denoiser (STDA/TFRM)",
            description="Sets how the net works: attention along rows, columns and time (STDA), the graph over frames "
            "(TFRM), and how much head, eyes, lids, lips and emotion move. The model that comes in stays as it was.",
            inputs=[
                EADModel.Input("model", tooltip="The model; it is cloned, its weights are shared."),
                io.Float.Input(
                    "stda_strength",
                    default=1.0,
                    min=0.0,
                    max=2.0,
                    step=0.05,
                    tooltip="How much the strips of attention along rows, columns and time add. 0 leaves them out "
                    "and is a little faster, 1 as trained, 2 twice as much. Default: 1.",
                ),
                io.Float.Input(
                    "tfrm_strength",
                    default=1.0,
                    min=0.0,
                    max=2.0,
                    step=0.05,
                    tooltip="How much the learned graph over frames adds, which steadies a clip. 0 leaves it out "
                    "and is a little faster, 1 as trained. Default: 1.",
                ),
                io.Int.Input(
                    "window_frames",
                    default=0,
                    min=0,
                    max=128,
                    tooltip="Frames that are denoised together, 25 to the second. 0 as trained (mini: 16). Longer "
                    "windows see more at once and take more memory. Default: 0.",
                ),
                io.Float.Input(
                    "head",
                    default=1.0,
                    min=0.0,
                    max=2.0,
                    step=0.05,
                    tooltip="Amplitude of head motion: 0 still, 1 natural, 2 twice as much. No cost. Default: 1.",
                ),
                io.Float.Input(
                    "blink",
                    default=1.0,
                    min=0.0,
                    max=3.0,
                    step=0.05,
                    tooltip="Rate of blinks: 0 none, 1 natural (about 20 a minute), 3 nervous. No cost. Default: 1.",
                ),
                io.Float.Input(
                    "lips",
                    default=1.0,
                    min=0.0,
                    max=2.0,
                    step=0.05,
                    tooltip="Amplitude of speech: 0 mouth at rest, 1 as trained. Above 1 adds to the guidance by the"
                    " sound, which costs one more pass per step. Default: 1.",
                ),
                io.Float.Input(
                    "gaze",
                    default=1.0,
                    min=0.0,
                    max=1.5,
                    step=0.05,
                    optional=True,
                    tooltip="Amplitude of the eyes' jumps: 0 they look where the portrait's do, 1 natural, 1.5 half as "
                    "far again. No cost. Default: 1.",
                ),
                io.Float.Input(
                    "emotion_scale",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    optional=True,
                    tooltip="Amplitude of every emotion that the Sampler is given: 0 neutral, 1 as asked. No cost. "
                    "Default: 1.",
                ),
            ],
            outputs=[EADModel.Output("model_out", display_name="model", tooltip="The clone, for the Sampler.")],
        )

    @classmethod
    def execute(
        cls,
        model: HostedModel,
        stda_strength: float,
        tfrm_strength: float,
        window_frames: int,
        head: float,
        blink: float,
        lips: float,
        gaze: float = 1.0,
        emotion_scale: float = 1.0,
    ) -> io.NodeOutput:
        return io.NodeOutput(
            model.with_options(
                stda_strength=stda_strength,
                tfrm_strength=tfrm_strength,
                window_frames=window_frames,
                head=head,
                blink=blink,
                lips=lips,
                gaze=gaze,
                emotion_scale=emotion_scale,
            )
        )
