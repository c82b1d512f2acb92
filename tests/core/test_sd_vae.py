"""Stable Diffusion's autoencoder: scale, sampling, tiles, and the public files in all their names."""

from __future__ import annotations

import math
import re

import pytest
import torch
from torch import Tensor

from eadnet_core.config import SDVAEConfig
from eadnet_core.nets.latentsync.sd_vae import SDVAE, TILE_PX, from_diffusers, from_single_file

TINY = SDVAEConfig(widths=(8, 8, 16, 16), layers=1, norm_groups=4)


@pytest.fixture
def vae() -> SDVAE:
    torch.manual_seed(0)
    return SDVAE(TINY).eval().requires_grad_(False)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_latents_are_scaled_on_the_way_in_and_out(vae: SDVAE, images: Tensor) -> None:
    inner = vae.autoencoder.encode(images).latent_dist
    mean, log_variance = vae.encode(images)
    assert mean.shape == log_variance.shape == (2, 4, 4, 6)
    assert torch.equal(mean, inner.mean * 0.18215)
    torch.testing.assert_close((log_variance / 2).exp(), inner.std * 0.18215)
    assert torch.equal(vae.decode(mean), vae.autoencoder.decode(mean / 0.18215).sample)
    assert vae.decode(mean, images, mean).shape == images.shape


def test_samples_follow_the_distribution_and_the_seed(vae: SDVAE, images: Tensor) -> None:
    mean, log_variance = vae.encode(images)
    one, again, other = (vae.sample(images, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6))
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(one, mean + (log_variance / 2).exp() * noise)
    assert torch.equal(one, again) and not torch.equal(one, other)


def test_tiles_change_large_pictures_alone_and_pictures_go_one_by_one(vae: SDVAE, images: Tensor) -> None:
    plain = vae.encode(images)[0]
    large = torch.nn.functional.interpolate(images[:1], size=(64, TILE_PX + 64), mode="bilinear")
    whole = vae.encode(large)[0]
    rows: list[int] = []
    hook = vae.autoencoder.encoder.register_forward_hook(lambda _, inputs, __: rows.append(len(inputs[0])))
    torch.testing.assert_close(vae.encode(images, is_tiled=True)[0], plain)
    hook.remove()
    assert rows == [1, 1]
    tiled = vae.encode(large, is_tiled=True)[0]
    assert tiled.shape == whole.shape and not torch.equal(tiled, whole)
    torch.testing.assert_close(tiled, whole, atol=0.1 * float(whole.std()) + 0.05, rtol=0)
    assert torch.equal(vae.encode(large)[0], whole)
    made = vae.decode(whole)
    off = (vae.decode(whole, is_tiled=True) - made).square().mean().sqrt() / made.std()
    assert 0 < off < 0.4, "norms and attention see a tile at a time"


def test_the_full_size_is_that_of_the_public_weights() -> None:
    with torch.device("meta"):
        vae = SDVAE(SDVAEConfig())
    assert sum(p.numel() for p in vae.parameters()) == 83_653_863
    assert len(vae.state_dict()) == 248


def test_weights_of_a_diffusers_folder_fit_in_old_and_new_names(vae: SDVAE) -> None:
    new = vae.autoencoder.state_dict()
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    old = {re.sub("|".join(names), lambda m: names[m[0]], key): value for key, value in new.items()}
    assert "encoder.mid_block.attentions.0.query.weight" in old
    for state in (new, old):
        SDVAE(TINY).load_state_dict(from_diffusers(state))


def single_file(vae: SDVAE) -> dict[str, Tensor]:
    """The same weights in the names of CompVis' code, written from its side."""
    state, theirs = vae.autoencoder.state_dict(), {}
    for side, levels, per_level in (("encoder", "down", 1), ("decoder", "up", 2)):
        for level in range(4):
            block = level if side == "encoder" else 3 - level
            for i in range(per_level):
                for part in ("norm1", "conv1", "norm2", "conv2", "nin_shortcut"):
                    ours = f"{side}.{levels}_blocks.{block}.resnets.{i}.{part.replace('nin', 'conv')}"
                    theirs |= copied(state, ours, f"{side}.{levels}.{level}.block.{i}.{part}")
            sampler = "downsample" if side == "encoder" else "upsample"
            ours = f"{side}.{levels}_blocks.{block}.{sampler}rs.0.conv"
            theirs |= copied(state, ours, f"{side}.{levels}.{level}.{sampler}.conv")
        for i in (0, 1):
            for part in ("norm1", "conv1", "norm2", "conv2"):
                theirs |= copied(state, f"{side}.mid_block.resnets.{i}.{part}", f"{side}.mid.block_{i + 1}.{part}")
        for ours, part in (
            ("group_norm", "norm"),
            ("to_q", "q"),
            ("to_k", "k"),
            ("to_v", "v"),
            ("to_out.0", "proj_out"),
        ):
            found = copied(state, f"{side}.mid_block.attentions.0.{ours}", f"{side}.mid.attn_1.{part}")
            theirs |= {k: v[:, :, None, None] if v.dim() == 2 else v for k, v in found.items()}
        for ours, part in (("conv_norm_out", "norm_out"), ("conv_in", "conv_in"), ("conv_out", "conv_out")):
            theirs |= copied(state, f"{side}.{ours}", f"{side}.{part}")
    return theirs | {key: value for key, value in state.items() if "quant_conv" in key}


def copied(state: dict[str, Tensor], ours: str, theirs: str) -> dict[str, Tensor]:
    return {f"{theirs}.{kind}": state[f"{ours}.{kind}"] for kind in ("weight", "bias") if f"{ours}.{kind}" in state}


@pytest.mark.parametrize("prefix", ["", "first_stage_model."])
def test_weights_of_a_single_file_fit_and_mean_the_same(vae: SDVAE, images: Tensor, prefix: str) -> None:
    theirs = {prefix + key: value for key, value in single_file(vae).items()}
    assert len(theirs) == len(vae.state_dict())
    other = {"loss.logvar": torch.zeros(()), "model.diffusion_model.out.0.weight": torch.zeros(3)}
    again = SDVAE(TINY).eval().requires_grad_(False)
    again.load_state_dict(from_single_file({**theirs, **(other if prefix else {"loss.logvar": torch.zeros(())})}))
    assert torch.equal(again.encode(images)[0], vae.encode(images)[0])
    assert math.isfinite(float(again.decode(again.encode(images)[0]).std()))
