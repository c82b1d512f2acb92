"""Motion latents: what a face does can be laid into the frame and read back."""

from __future__ import annotations

import torch

from eadnet_core.nets.motion_latents import CELLS, CHANNELS, PLACES, MotionLatents
from eadnet_core.taxonomy import CONTROLS


def test_every_control_has_a_place() -> None:
    assert set(PLACES) == set(CONTROLS)
    assert {channel for channel, _ in PLACES.values()} <= set(range(CHANNELS))


def test_controls_are_read_back_through_noise() -> None:
    torch.manual_seed(0)
    latents, controls = MotionLatents(), torch.rand(64, len(CONTROLS))
    laid = latents(controls)
    assert laid.shape == (64, CHANNELS, CELLS, CELLS)
    assert torch.allclose(latents.read(laid), controls, atol=1e-4)
    noisy = latents.read(laid + 0.2 * torch.randn_like(laid))
    assert (noisy - controls).std() < 0.12  # a spot covers several cells, over which noise averages out


def test_a_face_at_rest_is_nothing_and_sides_are_the_pictures() -> None:
    latents = MotionLatents()
    assert not latents(torch.zeros(len(CONTROLS))).any()
    one_sided = latents(torch.eye(len(CONTROLS))[CONTROLS.index("AU14")])
    assert one_sided[..., CELLS // 2 :].sum() > 10 * one_sided[..., : CELLS // 2].sum()
    both = latents(torch.eye(len(CONTROLS))[CONTROLS.index("AU12")])
    assert torch.allclose(both, both.flip(-1), atol=1e-6)
