"""Stable Diffusion's image autoencoder, which LatentSync's latents live in: a thin class over the one of diffusers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor, nn

from ...config import SDVAEConfig

TILE_PX = 256
"""Side of a tile: what needs most memory then is one picture of this size."""


class SDVAE(nn.Module):
    """Pictures to latents of about unit variance and back, each picture by itself."""

    def __init__(self, config: SDVAEConfig) -> None:
        super().__init__()
        self.config = config
        levels = len(config.widths)
        self.autoencoder = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            block_out_channels=config.widths,
            layers_per_block=config.layers,
            latent_channels=config.latent_channels,
            norm_num_groups=config.norm_groups,
            sample_size=TILE_PX,
            scaling_factor=config.scale,
        )

    @contextmanager
    def _saving(self, is_tiled: bool) -> Iterator[None]:
        before = self.autoencoder.use_tiling, self.autoencoder.use_slicing
        self.autoencoder.use_tiling = self.autoencoder.use_slicing = is_tiled
        try:
            yield
        finally:
            self.autoencoder.use_tiling, self.autoencoder.use_slicing = before

    def encode(self, images: Tensor, is_tiled: bool = False) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the latents.

        images    [B, 3, H, W]  -1 .. 1; H and W multiples of 8
        is_tiled  time for memory: one picture after the other, and those larger than TILE_PX in overlapping tiles that
                  are blended, which is not the same, as the attention in the middle sees a tile at a time
        returns   two of [B, C, H / 8, W / 8]
        """
        with self._saving(is_tiled):
            found = self.autoencoder.encode(images).latent_dist
        return found.mean * self.config.scale, found.logvar + 2 * math.log(self.config.scale)

    def sample(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Latents drawn from their distribution, as LatentSync draws them: [B, 3, H, W] -> [B, C, H / 8, W / 8]."""
        return self.autoencoder.encode(images).latent_dist.sample(generator) * self.config.scale

    def decode(
        self,
        latents: Tensor,
        reference: Tensor | None = None,
        reference_latents: Tensor | None = None,
        is_tiled: bool = False,
    ) -> Tensor:
        """Pictures [B, 3, H, W], about -1 .. 1 and not clamped, of latents [B, C, h, w]; tiled as in `encode`.

        reference, reference_latents  what the mini's decoder looks at (see `nets.vae.VAE.decode`); this one does not
        """
        with self._saving(is_tiled):
            return self.autoencoder.decode(latents / self.config.scale).sample


_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_SINGLE_FILE_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}


def from_diffusers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our weights from those of a diffusers folder, in the attention names of any version of it."""
    named = {}
    for key, value in state.items():
        match = re.fullmatch(r"(.+\.attentions\.0)\.(query|key|value|proj_attn)\.(weight|bias)", key)
        named["autoencoder." + (f"{match[1]}.{_OLD_ATTENTION[match[2]]}.{match[3]}" if match else key)] = value
    return named


def from_single_file(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our weights from the single file that CompVis' code writes, alone or inside a whole checkpoint.

    What is neither encoder, decoder nor one of the two 1 x 1 convolutions between (a loss, a U-Net) is left out.
    """
    prefix = "first_stage_model."
    is_whole = any(key.startswith(prefix) for key in state)
    parts = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")
    inner = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix) or not is_whole}
    inner = {key: value for key, value in inner.items() if key.startswith(parts)}
    n_levels = 1 + max((int(m[1]) for key in inner if (m := re.match(r"encoder\.down\.(\d+)\.", key))), default=0)
    named = {}
    for key, value in inner.items():
        ours = _from_single_file(key, n_levels)
        is_linear = ".attentions.0.to_" in ours and ours.endswith("weight")
        named["autoencoder." + ours] = value[:, :, 0, 0] if is_linear and value.dim() == 4 else value
    return named


def _from_single_file(key: str, n_levels: int) -> str:
    if match := re.fullmatch(r"(encoder|decoder)\.mid\.attn_1\.(norm|q|k|v|proj_out)\.(weight|bias)", key):
        return f"{match[1]}.mid_block.attentions.0.{_SINGLE_FILE_ATTENTION[match[2]]}.{match[3]}"
    key = re.sub(r"\.mid\.block_([12])\.", lambda m: f".mid_block.resnets.{int(m[1]) - 1}.", key)
    key = re.sub(r"\.down\.(\d+)\.block\.", r".down_blocks.\1.resnets.", key)
    key = re.sub(r"\.down\.(\d+)\.downsample\.", r".down_blocks.\1.downsamplers.0.", key)
    key = re.sub(r"\.up\.(\d+)\.block\.", lambda m: f".up_blocks.{n_levels - 1 - int(m[1])}.resnets.", key)
    key = re.sub(r"\.up\.(\d+)\.upsample\.", lambda m: f".up_blocks.{n_levels - 1 - int(m[1])}.upsamplers.0.", key)
    return key.replace(".nin_shortcut.", ".conv_shortcut.").replace(".norm_out.", ".conv_norm_out.")
