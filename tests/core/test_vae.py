"""The minis' picture side: reading a reference, and moving its own pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from eadnet_core.errors import BadInput
from eadnet_core.nets.vae import VAE, Change, halved, warp
from eadnet_core.training.critic import FaceCritic, critic_losses

if TYPE_CHECKING:
    from tests.conftest import Tiny


@pytest.mark.parametrize("size_px", [128, 256])
def test_a_frame_is_made_at_the_size_of_any_picture(tiny: Tiny, size_px: int) -> None:
    config = replace(tiny.config.vae, size_px=size_px)
    vae = VAE(config)
    reference = vae.read(torch.rand(2, 3, size_px, size_px), torch.rand(2, 468, 2))
    change = vae.decode(torch.rand(6, 16, 16, 16), torch.zeros(6, 5), reference)
    assert change.flow.shape == (6, 2, size_px, size_px)
    frames = change.in_picture(reference, 300).apply(torch.rand(6, 3, 300, 300))
    assert frames.shape == (6, 3, 300, 300) and torch.isfinite(frames).all()


@pytest.mark.parametrize("size_px", [128, 256])
def test_between_frames_that_the_net_is_asked_of_what_it_adds_goes_straight(tiny: Tiny, size_px: int) -> None:
    torch.manual_seed(0)
    vae = VAE(replace(tiny.config.vae, size_px=size_px))
    reference = vae.read(torch.rand(1, 3, size_px, size_px), torch.rand(1, 468, 2))
    latents, pose = vae.motion_latents(torch.rand(10, 28)), 0.1 * torch.randn(10, 5)
    with torch.inference_mode():
        every = vae.decode(latents, pose, reference, size_px)
        same, _ = vae.decode_between(latents, pose, reference, size_px, 1, None)
        first, last = vae.decode_between(latents[:5], pose[:5], reference, size_px, 3, None)
        after, _ = vae.decode_between(latents[5:], pose[5:], reference, size_px, 3, last)
        frozen = vae.decode_between(latents[5:], pose[5:], reference, size_px, 3, None)[0]
    for name in ("flow", "light", "alpha", "paint"):
        truth = getattr(every, name)
        assert torch.allclose(getattr(same, name), truth, atol=1e-5), name
        made = torch.cat([getattr(first, name), getattr(after, name)])
        error = (made - truth).abs().mean((1, 2, 3))
        if name in ("alpha", "paint"):
            assert error.max() < 1e-5, "mouths are those of each frame"
            continue
        assert error[[0, 2, 4, 7, 9]].max() < 1e-5, name
        assert not torch.allclose(getattr(after, name)[:2], getattr(frozen, name)[:2], atol=1e-5), (
            "from the last chunk on"
        )


def test_another_size_is_refused(tiny: Tiny) -> None:
    with pytest.raises(BadInput, match="size_px is 64"):
        replace(tiny.config.vae, size_px=64)


def test_nothing_changes_where_nothing_is_asked() -> None:
    picture = torch.rand(1, 3, 96, 96) * 2 - 1
    nothing = Change(*(torch.zeros(1, n, 96, 96) for n in (2, 3, 1, 3)))
    assert torch.allclose(nothing.apply(picture), picture, atol=1e-5)


def test_flow_says_where_pixels_come_from() -> None:
    picture = torch.zeros(1, 1, 32, 32)
    picture[..., 10, 20] = 1
    flow = torch.zeros(1, 2, 32, 32)
    flow[:, 0] = 2 * 4 / 32  # from four pixels further to the right
    assert int(warp(picture, flow)[0, 0, 10].argmax()) == 16


def test_pictures_are_halved_by_means() -> None:
    images = torch.randn(2, 3, 12, 20)
    assert torch.allclose(halved(images), torch.nn.functional.avg_pool2d(images, 2), atol=1e-6)


def test_the_critic_learns_apart_from_the_maker() -> None:
    torch.manual_seed(0)
    critic, controls = FaceCritic(8), torch.rand(2, 28)
    made, true = (torch.rand(2, 3, 128, 128).requires_grad_() for _ in range(2))
    maker, verdict = critic_losses(critic, made, true, controls)
    maker.backward(retain_graph=True)
    assert made.grad is not None and made.grad.abs().sum() > 0
    assert all(p.grad is None for p in critic.parameters())
    made.grad = None
    verdict.backward()
    assert made.grad is None and all(p.grad is not None for p in critic.parameters())
