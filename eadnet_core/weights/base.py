"""A base from its folder: public weights, and adapters where somebody trained them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..config import ModelConfig
from ..errors import CheckpointError
from .device import set_attention_backend
from .files import build_for, read_config, read_metadata, read_state
from .files import save_part as save_part
from .folders import BASE_PARTS
from .model import Model, load_reader
from .parts import PARTS


def _load_base(folder: Path, device: torch.device, dtype: torch.dtype, attention_backend: str | None) -> Model:
    for file in ("vae", "whisper"):
        if not (folder / f"{file}.safetensors").is_file():
            raise CheckpointError(
                f"'{folder}' has the denoiser of a base but no {file}.safetensors. Make it from the public weights: "
                f"eadnet convert --{file} FILE --output '{folder}' (eadnet download gets them; see README)."
            )
    config, denoiser, emotion_encoder = _base_denoiser(folder, device, dtype)
    if attention_backend is not None:
        set_attention_backend(denoiser, attention_backend)
    nets = {}
    for file in ("vae", "whisper", "syncnet"):
        path, part = folder / f"{file}.safetensors", BASE_PARTS[file]
        if path.is_file():
            net = build_for(path, part, read_config(path, PARTS[part].config, read_metadata(path, part)))
            nets[file] = _filled(net, read_state(path, part, net.state_dict()), device, dtype)
    return Model(
        name=config.name,
        folder=folder,
        config=config,
        vae=nets["vae"],
        denoiser=denoiser,
        audio_encoder=nets["whisper"],
        emotion_encoder=emotion_encoder,
        syncnet=nets.get("syncnet"),
        reader=load_reader(str(folder)),
        real_cosine=1.0,
        device=device,
        dtype=dtype,
    )


def _base_denoiser(folder: Path, device: torch.device, dtype: torch.dtype) -> tuple[ModelConfig, Any, Any]:
    """(config, denoiser, emotion encoder): with adapters and the encoder where adapters.safetensors is there."""
    from ..nets.adapters import is_adapter_key
    from ..nets.emotion_encoder import EmotionEncoder

    path, beside = folder / "denoiser.safetensors", folder / "adapters.safetensors"
    config = base = read_config(path, ModelConfig, read_metadata(path, "denoiser"))
    if beside.is_file():
        config = read_config(beside, ModelConfig, read_metadata(beside, "adapters"))
        if replace(config.denoiser, has_adapters=False) != base.denoiser:
            raise CheckpointError(
                f"'{beside}' was trained on another base ({config.name}) than the denoiser beside it ({base.name}): "
                "use the two that belong together, or remove the adapters."
            )
    denoiser = build_for(path, "denoiser", config)
    weights = denoiser.state_dict()
    state = read_state(path, "denoiser", {key: value for key, value in weights.items() if not is_adapter_key(key)})
    if not beside.is_file():
        return config, _filled(denoiser, state, device, dtype), None
    encoder = EmotionEncoder(config.emotion)
    wanted = {f"denoiser.{key}": value for key, value in weights.items() if is_adapter_key(key)}
    wanted |= {f"emotion.{key}": value for key, value in encoder.state_dict().items()}
    trained: dict[str, dict[str, Tensor]] = {"denoiser": state, "emotion": {}}
    for key, value in read_state(beside, "adapters", wanted).items():
        net, _, inner = key.partition(".")
        trained[net][inner] = value
    return config, _filled(denoiser, state, device, dtype), _filled(encoder, trained["emotion"], device, dtype)


def _filled(net: nn.Module, state: dict[str, Tensor], device: torch.device, dtype: torch.dtype) -> nn.Module:
    """A net of `parts.build_empty` with its weights on the device, in the dtype; no weight is in memory twice for long.

    Weights are copied even where device and dtype fit: in a mapped file they are not aligned as kernels like it.
    """
    for key in list(state):
        state[key] = state[key].to(device, dtype, copy=True)
    net.load_state_dict(state, assign=True)
    return net.eval().requires_grad_(False).to(device, dtype)
