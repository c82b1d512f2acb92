"""LatentSync's own code, loaded at small sizes with seeded weights, to compare ours with."""

from __future__ import annotations

import hashlib
import sys
import types
import zlib
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from eadnet_core.config import PRESETS, DenoiserConfig
from eadnet_core.nets.adapters import is_adapter_key
from eadnet_core.nets.latentsync.denoiser import LatentSyncDenoiser
from eadnet_core.sampling.conditions import FrameConditions

WEIGHT_SIZE = 0.05
SMALL = replace(
    PRESETS["base-256"].denoiser, widths=(32, 64, 96, 96), audio_width=48, condition_width=32, tfrm_width=16
)
"""Every block of the full-size net at 7 M weights, adapters included."""
WIDE = replace(SMALL, widths=(320,) * 4, audio_width=384)
"""Rows as long as at full size: kernels add up short and long ones in different ways."""
FULL = PRESETS["base-256"].denoiser
MOTION_MODULES = {
    "num_attention_heads": 8,
    "num_transformer_block": 1,
    "attention_block_types": ("Temporal_Self", "Temporal_Self"),
    "temporal_position_encoding": True,
    "temporal_position_encoding_max_len": 24,
    "temporal_attention_dim_div": 1,
    "zero_initialize": True,
}


class Case(NamedTuple):
    """A net and the shape of its input."""

    n_clips: int
    n_frames: int
    cells: int
    config: DenoiserConfig = SMALL


CASES: dict[str, Case] = {
    "denoiser_1_frame": Case(1, 1, 8),
    "denoiser_2_frames": Case(1, 2, 8),
    "denoiser_5_frames": Case(1, 5, 8),
    "denoiser_16_frames": Case(1, 16, 16),
    "denoiser_24_frames": Case(1, 24, 8),
    "denoiser_two_clips": Case(2, 16, 8),
    "denoiser_wide": Case(1, 2, 8, WIDE),
    "denoiser_full_size": Case(1, 2, 8, FULL),
}
GOLDEN_CASES = ("denoiser_1_frame", "denoiser_2_frames", "denoiser_5_frames", "denoiser_two_clips", "denoiser_wide")


def build(
    state: Mapping[str, Tensor], config: DenoiserConfig = SMALL, has_adapters: bool = False
) -> LatentSyncDenoiser:
    """Our denoiser with the given base weights, frozen as `load_model` gives it; its adapters, if any, are fresh:
    random but for the last projections, which are zero."""
    net = LatentSyncDenoiser(replace(config, has_adapters=has_adapters)).eval().requires_grad_(False)
    missing, unexpected = net.load_state_dict(state, strict=False)
    wrong = [*unexpected, *(key for key in missing if not is_adapter_key(key))]
    if wrong:
        raise SystemExit(f"Keys that do not fit: {', '.join(wrong[:5])}")
    return net


def seeded_reference(reference: Path, seed: int, config: DenoiserConfig) -> tuple[nn.Module, dict[str, Tensor]]:
    """LatentSync's U-Net and its seeded weights, which require gradients, as they do in use."""
    net = load_reference(reference, config).eval()
    state = seeded(net.state_dict(), seed)
    net.load_state_dict(state)
    return net, state


def load_reference(reference: Path, config: DenoiserConfig) -> nn.Module:
    """LatentSync's U-Net class at the sizes of `config`.

    Its module of file helpers, of which the U-Net takes only a logging function, is replaced: it would need OpenCV,
    decord, torchvision and more.
    """
    if str(reference) not in sys.path:
        sys.path.insert(0, str(reference))
    files: Any = types.ModuleType("latentsync.utils.util")
    files.zero_rank_log = lambda *_: None
    with replaced_module("latentsync.utils.util", files):
        from latentsync.models.unet import UNet3DConditionModel

    return UNet3DConditionModel(
        sample_size=64,
        in_channels=3 * config.latent_channels + 1,
        out_channels=config.latent_channels,
        block_out_channels=config.widths,
        layers_per_block=config.blocks[0],
        cross_attention_dim=config.audio_width,
        attention_head_dim=config.heads,
        norm_num_groups=config.norm_groups,
        use_motion_module=True,
        motion_module_resolutions=(1, 2, 4, 8),
        motion_module_type="Vanilla",
        motion_module_kwargs=MOTION_MODULES,
        add_audio_layer=True,
    )


@contextmanager
def replaced_module(name: str, module: types.ModuleType) -> Any:
    """Let `import name` find `module`, and forget it afterwards."""
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        yield
    finally:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before


def seeded(state: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """Weights for every key, drawn from the seed and the key alone, so that no order of modules matters.

    Matrices and biases are normal with a deviation of 0.05, weights of norms the same around 1; positions stay.
    """
    return {key: value if key.endswith(".pe") else seeded_like(value, key, seed) for key, value in state.items()}


def seeded_like(value: Tensor, key: str, seed: int) -> Tensor:
    """One tensor in the shape of `value`; see `seeded`."""
    generator = torch.Generator().manual_seed(zlib.crc32(key.encode()) ^ seed)
    drawn = torch.randn(value.shape, generator=generator) * WEIGHT_SIZE
    return 1 + drawn if "norm" in key and key.endswith("weight") else drawn


def inputs(name: str, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """sample [B, 13, T, h, w], time [B] and audio [B, T, 50, D_a] of a case."""
    case = CASES[name]
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()) ^ seed)
    sample = torch.randn(case.n_clips, 13, case.n_frames, case.cells, case.cells, generator=generator)
    audio = torch.randn(case.n_clips, case.n_frames, 50, case.config.audio_width, generator=generator)
    return sample, torch.full((case.n_clips,), 701), audio


def conditions(name: str, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """emotion [B, T, E, D_e], motion [B, T, 8] and motion_known [B, T] of a case."""
    case = CASES[name]
    generator = torch.Generator().manual_seed(seed + 1)
    emotion = torch.randn(case.n_clips, case.n_frames, 4, case.config.emotion_width, generator=generator)
    motion = torch.randn(case.n_clips, case.n_frames, case.config.motion_size, generator=generator)
    return emotion, motion, torch.ones(case.n_clips, case.n_frames)


def for_ours(sample: Tensor, time: Tensor, audio: Tensor, *more: Tensor) -> tuple[Tensor, Tensor, FrameConditions]:
    """What `inputs` gives, as our denoiser takes it; `more` is what `conditions` gives."""
    latents, context = sample.split((4, 9), dim=1)
    return latents, time, FrameConditions(context, audio, *more)


def marker() -> str:
    """What decides the last bit besides the code: torch, the CPU's kind, and what its kernels make of known numbers.

    Convolution, matrix product, attention and norm of integers and of their sines are hashed: where a kernel adds in
    another order, the hash differs.
    """
    x = torch.sin(torch.arange(2 * 64 * 16 * 16, dtype=torch.float32)).view(2, 64, 16, 16)
    weight = torch.cos(torch.arange(96 * 64 * 9, dtype=torch.float32)).view(96, 64, 3, 3)
    y = nn.functional.group_norm(nn.functional.conv2d(x, weight, padding=1), 32)
    tokens = y.flatten(2).transpose(1, 2)
    heads = (tokens @ weight.flatten(1)[:, :96]).view(2, 256, 8, 12).transpose(1, 2)
    attended = nn.functional.scaled_dot_product_attention(heads, heads, heads)
    seen = digest((y, attended, nn.functional.layer_norm(tokens, (96,)), nn.functional.gelu(tokens)))
    return f"torch {torch.__version__.split('+')[0]} {torch.backends.cpu.get_cpu_capability()} {seen[:16]}"


def digest(tensors: Any) -> str:
    """SHA-256 of the bytes of tensors, in their order."""
    total = hashlib.sha256()
    for tensor in tensors:
        total.update(tensor.contiguous().numpy().tobytes())
    return total.hexdigest()
