"""The losses against their formulas, and that each pulls in the right direction."""

from __future__ import annotations

import math

import pytest
import torch

from eadnet_core.sampling.prediction import Epsilon
from eadnet_core.training import losses
from eadnet_core.training.syncnet import info_nce


def test_region_weights_have_mean_one() -> None:
    assert losses.region_weights(16, 3.0, 2.0).mean().item() == pytest.approx(1)


def test_the_boxes_hold_eyes_and_mouth() -> None:
    from eadnet_core.config import EYE_HALF_DISTANCE, EYE_LINE_Y, MOUTH_Y

    for box, x, y in (
        (losses.MOUTH_BOX, 0.5, MOUTH_Y),
        (losses.EYES_BOX, 0.5 - EYE_HALF_DISTANCE, EYE_LINE_Y),
        (losses.EYES_BOX, 0.5 + EYE_HALF_DISTANCE, EYE_LINE_Y),
    ):
        assert losses.region(box, 128)[round(y * 128), round(x * 128)] == 1


def test_psnr_in_a_mask_ignores_the_rest() -> None:
    images = torch.zeros(1, 3, 8, 8)
    target = images.clone()
    target[..., :4] = 0.2
    mask = torch.zeros(8, 8)
    mask[:, :4] = 1
    assert losses.psnr(images, target, mask).item() == pytest.approx(20, abs=1e-3)
    assert losses.psnr(images, target).item() == pytest.approx(20 + 10 * math.log10(2), abs=1e-3)


def test_epsilon_weights_make_the_x0_error_an_epsilon_error() -> None:
    epsilon, t = Epsilon(), torch.tensor([200, 800])
    x0, noise, wrong_noise = torch.randn(3, 2, 4, 2, 3, 3)
    guess = epsilon.to_x0(wrong_noise, epsilon.add_noise(x0, noise, t), t)
    loss = losses.diffusion_loss(guess, x0, epsilon.error_weight(t), torch.ones(3, 3))
    assert loss.item() == pytest.approx((wrong_noise - noise).square().mean().item(), rel=1e-3)


def test_temporal_difference_ignores_what_is_constant() -> None:
    target = torch.randn(2, 4, 5, 3, 3)
    weight, area = torch.ones(2), torch.ones(3, 3)
    assert losses.temporal_difference_loss(target + 1, target, weight, area).item() == pytest.approx(0, abs=1e-6)
    assert losses.temporal_difference_loss(target[:, :, :1], target[:, :, 1:2], weight, area) == 0
    assert losses.diffusion_loss(target + 1, target, weight, area).item() == pytest.approx(1, rel=1e-5)


def test_sync_loss_falls_with_the_cosine_and_never_loses_its_gradient() -> None:
    cosine = torch.linspace(-1, 1, 41, requires_grad=True)
    loss = torch.stack([losses.sync_loss(c[None]) for c in cosine])
    assert (loss.diff() < 0).all()
    (gradient,) = torch.autograd.grad(loss.sum(), cosine)
    assert (gradient < 0).all()


def test_trepa_compares_directions_only() -> None:
    features = torch.randn(3, 8)
    assert losses.trepa_loss(5 * features, features).item() == pytest.approx(0, abs=1e-6)
    assert losses.trepa_loss(-features, features).item() == pytest.approx(4)


def test_info_nce_leaves_silent_windows_out() -> None:
    seen = torch.eye(4)
    heard = torch.eye(4)
    audible = torch.tensor([True, True, False, True])
    scale = torch.tensor(3.0)
    right = info_nce(seen, heard, scale, audible)
    assert right["accuracy"] == 1
    heard[2] = heard[0]
    assert info_nce(seen, heard, scale, audible)["loss"] == right["loss"]
    assert info_nce(seen, heard.roll(1, 0), scale, torch.ones(4, dtype=torch.bool))["loss"] > 3
    assert info_nce(seen, heard, scale, torch.zeros(4, dtype=torch.bool))["loss"] == 0
