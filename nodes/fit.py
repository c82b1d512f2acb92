"""A model fitted to one person."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from comfy_api.latest import io

from ..eadnet_core.errors import BadInput
from . import bridge
from .sockets import EADModel
from .video_source import picture_input, to_source

SECONDS = 60.0


class FitFace(io.ComfyNode):
    """Fits a mini to one portrait, by a video of the same person."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return bridge.schema(
            node_id="EADNet_FitFace",
            display_name="EAD-Net Fit This Face",
            description="Fits a mini to one portrait: it then paints the teeth that a video of the same person shows, "
            "instead of mean ones. Connect its model in place of the Loader's. Runs on the CPU.",
            inputs=[
                EADModel.Input("model", tooltip="mini or mini-256, from the Loader; it stays as it was."),
                io.Image.Input(
                    "portrait", tooltip="The person, as the clips will be made of; the first of a batch is taken."
                ),
                picture_input(
                    "video",
                    "The same person speaking for some seconds, in similar light: a VIDEO or its frames. Frames with "
                    "an open mouth are learned from; each is looked at three times, about 0.1 s in all.",
                ),
                io.Float.Input(
                    "seconds",
                    default=SECONDS,
                    min=1.0,
                    max=3600.0,
                    step=1.0,
                    tooltip="How long to fit, after the video was looked at: so much time it costs, once for a "
                    f"portrait. Default: {SECONDS:g}.",
                ),
            ],
            outputs=[
                EADModel.Output(
                    "model_out", display_name="model", tooltip="The fitted model, for Denoiser and Sampler."
                )
            ],
        )

    @classmethod
    def execute(cls, model: Any, portrait: Any, video: Any, seconds: float) -> io.NodeOutput:
        import torch

        from ..eadnet_core.families.load import load_model
        from ..eadnet_core.families.mini import MiniModel
        from ..eadnet_core.generation.fitting import fit_face
        from ..eadnet_core.media.image import read_image

        if not isinstance(model.model, MiniModel):
            raise BadInput(f"'{model.model.name}' is a base and paints no mouth of its own. Connect a mini.")
        source, bar = to_source(video)[0], bridge.Bar(100)

        def pictures() -> Iterable[np.ndarray]:
            return map(read_image, source) if isinstance(source, torch.Tensor) else source.frames()

        with torch.inference_mode(False):
            own = load_model(str(model.model.folder), "cpu", model.model.dtype)
            assert isinstance(own, MiniModel)
            fitted, fitting = fit_face(
                read_image(bridge.to_pictures(portrait)[0]), pictures, own, seconds, lambda s: bar(round(100 * s))
            )
            hosted = bridge.host(fitted)
        found = f"{fitting.before:.3f} -> {fitting.after:.3f} off, in {fitting.n_checked} frames not learned from"
        if not fitting.is_better:
            raise BadInput(f"The fit is no better ({found}). Give a longer video, in the light of the portrait.")
        hosted = hosted.with_options(**vars(model.options))
        return io.NodeOutput(hosted, ui={"text": [found]})
