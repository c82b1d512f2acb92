"""Weight files in, a model that ComfyUI keeps out."""

from __future__ import annotations

import logging

from comfy_api.latest import io

from . import bridge
from .sockets import EADModel, HostedModel

log = logging.getLogger(__name__)


class Loader(io.ComfyNode):
    """Loads a model once; everything after it shares the weights."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return bridge.schema(
            node_id="EADNet_Loader",
            display_name="EAD-Net Loader",
            description="Loads a talking-head model and says under which licence it stands. Two minis ship with the "
            "pack.",
            inputs=[
                io.Combo.Input(
                    "model",
                    options=bridge.list_models(),
                    default=bridge.SHIPPED,
                    tooltip="Which model speaks. 'mini' (128 px) and 'mini-256' (256 px, slower) ship with this pack, "
                    "trained on rendered heads; others are folders in models/eadnet, and cost their files' memory. "
                    "Default: mini.",
                ),
                io.Combo.Input(
                    "precision",
                    options=["auto", *bridge.PRECISIONS],
                    default="auto",
                    tooltip="Numbers the nets compute in. auto follows ComfyUI's flags and your card, and on a CPU "
                    "takes bf16 for the mini where the CPU has AMX, else fp32; fp32 is the reference; bf16 and fp16 "
                    "halve the memory. Default: auto.",
                ),
                io.Combo.Input(
                    "attention",
                    options=["auto", "sdpa", "xformers"],
                    default="auto",
                    tooltip="Kernels of the attention. auto takes what ComfyUI takes; sdpa is torch's own; xformers "
                    "needs that package. Changes speed and memory, hardly the picture. Default: auto.",
                ),
            ],
            outputs=[
                EADModel.Output("model_out", display_name="model", tooltip="The model, for Denoiser and Sampler.")
            ],
        )

    @classmethod
    def validate_inputs(cls, model: str) -> bool | str:
        try:
            bridge.model_folder(model)
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, model: str, precision: str, attention: str) -> str:
        from ..eadnet_core.weights.folders import find_model, weight_files

        files = weight_files(find_model(bridge.model_folder(model)))
        return repr([(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files])

    @classmethod
    def execute(cls, model: str, precision: str, attention: str) -> io.NodeOutput:
        hosted = load(model, precision, attention)
        # Within Speak the page folds it away.
        return io.NodeOutput(hosted, ui={"eadnet_about" if bridge.is_expanded() else "text": [about(hosted)]})


def load(name: str, precision: str = "auto", attention: str = "auto") -> HostedModel:
    """A model of `bridge.list_models`, given to ComfyUI."""
    import torch

    from ..eadnet_core.families.load import family_of, load_model
    from ..eadnet_core.weights.folders import find_model, info

    folder = bridge.model_folder(name)
    dtype = bridge.precision_of(precision, sum(part.n_weights for part in info(folder)), family_of(find_model(folder)))
    with torch.inference_mode(False):
        model = load_model(folder, "cpu", dtype, bridge.attention_of(attention))
        hosted = bridge.host(model)
    log.info("EAD-Net: %s", about(hosted).replace("\n", "; "))
    return hosted


def about(hosted: HostedModel) -> str:
    """What was loaded, and under which licence."""
    from ..eadnet_core.weights.folders import info, licence

    model = hosted.model
    n_weights = sum(part.n_weights for part in info(str(model.folder)))
    performer = model.family.performer(model)
    performed = (
        f"\nNo emotion adapters: '{performer.name}' performs the words, it paints the mouth." if performer else ""
    )
    return (
        f"{model.name}: {model.config.size_px} px, {n_weights / 1e6:.1f} M weights, {str(model.dtype).split('.')[-1]}\n"
        f"Licence: {licence(model.folder)}{performed}"
    )
