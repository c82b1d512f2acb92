"""Model folders to nets and back to what they say about themselves.

The folder of a model of ours holds MODEL_PARTS, and where it has its own emotion_bank and EXPERT_PARTS, which score.
That of a base holds other parts under the same names: denoiser (LatentSync's weights), vae (Stable Diffusion's),
whisper, and where somebody made them syncnet (StableSyncNet), adapters and text_reader.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from ..config import ModelConfig, from_dict
from ..emotion.reader import TextReader
from ..errors import CheckpointError
from .base import _load_base
from .device import find_device, find_dtype, set_attention_backend
from .files import load_part
from .files import save_part as save_part
from .folders import MODEL_PARTS, find_model, find_part, is_base
from .model import Model


def load_model(
    name: str = "mini",
    device: str | torch.device = "auto",
    dtype: torch.dtype | str = torch.float32,
    attention_backend: str | None = None,
) -> Model:
    """A shipped model by name, or your own by the path of its folder.

    dtype              what the nets compute in, or "auto" for what `find_dtype` says of the device
    attention_backend  one of config.ATTENTION_BACKENDS instead of the one in the model's config
    """
    folder, place = find_model(name), find_device(device)
    if isinstance(dtype, str):
        dtype = find_dtype(place, is_base(folder)) if dtype == "auto" else getattr(torch, dtype)
    if is_base(folder):
        return _load_base(folder, place, dtype, attention_backend)
    parts = {part: load_part(find_part(folder, part), part, place) for part in MODEL_PARTS}
    nets: Any = parts["denoiser"][0]
    vae: Any = parts["vae"][0]
    syncnet: Any = parts["syncnet"][0]
    values = {**parts["denoiser"][1]["config"], "vae": parts["vae"][1]["config"]}
    config = from_dict(ModelConfig, {**values, "syncnet": parts["syncnet"][1]["config"]})
    if extended := parts["vae"][1].get("extends"):
        size_px = config.denoiser.cells * config.vae.downscale
        config = replace(config, name=f"{extended}-{size_px}", size_px=size_px)
    if config.vae.latent_channels != config.denoiser.latent_channels:
        raise CheckpointError(
            f"The parts in '{folder}' do not belong together: the VAE has {config.vae.latent_channels} latent "
            f"channels, the denoiser {config.denoiser.latent_channels}."
        )
    if attention_backend is not None:
        set_attention_backend(nets["denoiser"], attention_backend)
    for net in (vae, nets["denoiser"]):
        net.to(memory_format=torch.channels_last)
    for net in (vae, nets):
        net.to(dtype)
    encoder: Any = parts["text_reader"][0]
    return Model(
        name=config.name,
        folder=folder,
        config=config,
        vae=vae,
        denoiser=nets["denoiser"],
        audio_encoder=nets["audio"],
        emotion_encoder=nets["emotion"],
        syncnet=syncnet,
        reader=TextReader(encoder),
        real_cosine=float(parts["syncnet"][1].get("real_cosine", 1.0)),
        device=place,
        dtype=dtype,
    )
