"""The minis' autoencoder: what the last stage does by convolutions is what the usual functions do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from eadnet_core.nets.vae import VAE, doubling_kernels, halved, sifted

if TYPE_CHECKING:
    from tests.conftest import Tiny


def test_kernels_halve_double_and_leave_detail() -> None:
    images = torch.randn(2, 3, 12, 20)
    small, (larger, detail) = F.avg_pool2d(images, 2), doubling_kernels()

    def doubled(values: torch.Tensor) -> torch.Tensor:
        return F.interpolate(values, scale_factor=2.0, mode="bilinear", align_corners=False)

    assert torch.allclose(halved(images), small, atol=1e-6)
    assert torch.allclose(F.pixel_shuffle(sifted(images, larger), 2), doubled(images), atol=1e-6)
    lost = F.pixel_shuffle(sifted(F.pixel_unshuffle(images, 2), detail), 2)
    assert torch.allclose(lost, images - doubled(small), atol=1e-6)


def test_a_last_stage_sees_pictures_at_half_their_side(tiny: Tiny) -> None:
    config = tiny.config.vae
    plain, double = VAE(config), VAE(replace(config, downscale=16))
    double.load_state_dict(plain.state_dict(), strict=False)
    images = torch.randn(1, 3, 64, 64)
    assert plain.seen(images) is images
    assert torch.equal(double.seen(images), halved(images))
    assert torch.equal(double.encode(images)[0], plain.encode(halved(images))[0])
