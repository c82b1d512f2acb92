"""The canonical frame lays every face out alike, and the mean face moves as its rig does."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from eadnet_core.nets.canonical import CanonicalFrame, Maps, least_area, places, sample, stretched
from eadnet_core.nets.lips_and_lids import lines_of
from eadnet_core.nets.motion_basis import N_TERMS, MotionBasis, backwards, terms
from eadnet_core.nets.vae import Change, Features
from eadnet_core.taxonomy import CONTROLS
from eadnet_core.training.motion_basis import LeastSquares, mean_face


def ring(scale: float = 1.0) -> Tensor:
    """468 places of a made-up face in half frame widths, alike on both sides."""
    angle = torch.arange(234) * (math.pi / 234) + 0.004
    radius = 0.15 + 0.4 * (torch.arange(234) * 0.618 % 1)
    half = torch.stack([radius * torch.sin(angle), -radius * torch.cos(angle)], 1)
    return scale * torch.cat([half, half * torch.tensor([-1.0, 1.0])])


@pytest.fixture(scope="module")
def frame() -> CanonicalFrame:
    frame = CanonicalFrame()
    frame.template.copy_(ring())
    return frame


def in_widths(points: Tensor) -> Tensor:
    return (points[None] + 1) / 2


def test_landmarks_of_another_face_come_to_the_same_places(frame: CanonicalFrame) -> None:
    other = ring(1.15) + 0.05 * torch.sin(3 * ring())
    maps = frame(in_widths(other))
    found = sample(maps.to_picture, stretched(ring()).T[None, :, :, None].expand(-1, -1, -1, 468))
    assert (found[0, :, :, 0].T - other).abs().max() < 0.03


def test_maps_lead_there_and_back(frame: CanonicalFrame) -> None:
    maps = frame(in_widths(ring(0.9)))
    inner = (slice(None), slice(None), slice(6, -6), slice(6, -6))
    assert (sample(maps.to_canonical, maps.to_picture)[inner] - places(maps.to_picture)[inner]).abs().max() < 0.01
    picture = torch.rand(1, 3, 8, 8).repeat_interleave(16, 2).repeat_interleave(16, 3)
    smooth = torch.nn.functional.avg_pool2d(picture, 15, 1, 7)
    again = sample(maps.lay(smooth), maps.to_canonical)
    assert (again - smooth)[..., 12:-12, 12:-12].abs().mean() < 0.02


def test_no_face_folds(frame: CanonicalFrame) -> None:
    torn = ring().flip(0) * torch.tensor([1.0, -0.7])
    assert least_area(frame(in_widths(torn)).to_picture).min() > 0


def test_a_mirror_exchanges_the_sides(frame: CanonicalFrame) -> None:
    assert frame.mirror().tolist() == [*range(234, 468), *range(234)]


def test_new_weights_are_laid_by_their_own_template(frame: CanonicalFrame) -> None:
    other = CanonicalFrame()
    other.template.copy_(ring(0.5))
    before = other(in_widths(ring())).to_picture
    other.load_state_dict(frame.state_dict())
    assert torch.equal(other(in_widths(ring())).to_picture, frame(in_widths(ring())).to_picture)
    assert not torch.allclose(before, other(in_widths(ring())).to_picture, atol=0.02)


def test_a_portrait_at_rest_stays_itself_to_the_pixel(frame: CanonicalFrame) -> None:
    maps = frame(in_widths(ring(1.1)))
    empty = torch.zeros(1, 1, 64, 64)
    still, image = torch.zeros(1, 28), torch.zeros(1, 3, 128, 128)
    lines = lines_of(ring()[None])
    where = (maps.to_picture, maps.to_canonical, lines.above, lines.below, lines.corners)
    reference = Features(image, empty, empty, empty, still, *where)
    nothing = Change(*(torch.zeros(1, n, 128, 128) for n in (2, 3, 1, 3)))
    picture = torch.rand(1, 3, 200, 200) * 2 - 1
    assert torch.allclose(nothing.in_picture(reference, 200).apply(picture), picture, atol=1e-4)


def test_flow_is_laid_with_the_faces_it_joins(frame: CanonicalFrame) -> None:
    """What a flow does in the training frame and then lies in the canonical one, the laid flow does there."""
    maps: Maps = frame(in_widths(ring(1.2)))
    picture = torch.sin(6 * places(torch.zeros(1, 1, 128, 128)))[:, :1]
    flow = torch.full((1, 2, 128, 128), 0.06)
    moved = sample(picture, places(flow) + flow)
    laid = maps.lay_flow(flow)
    again = sample(maps.lay(picture), places(laid) + laid)
    assert (again - maps.lay(moved))[..., 20:-20, 20:-20].abs().mean() < 0.01


def test_backwards_leads_to_where_points_came_from() -> None:
    here = places(torch.zeros(1, 1, 64, 64))
    moved = 0.1 * torch.sin(2 * here)
    flow = backwards(moved)
    assert (flow + sample(moved, here + flow)).abs().max() < 0.002


def test_the_basis_is_found_again() -> None:
    torch.manual_seed(0)
    controls, pose = torch.rand(900, len(CONTROLS)), 0.2 * torch.randn(900, 5)
    change = terms(controls, pose) - terms(torch.rand(900, len(CONTROLS)), torch.zeros(900, 5))
    true = 0.1 * torch.randn(N_TERMS, 3)
    values = (change @ true)[:, :, None].expand(-1, -1, 64 * 64)
    squares = LeastSquares(N_TERMS)
    squares.add(change, values, torch.ones(900, 64 * 64))
    found = squares.solve(0.02)[:, :, 20, 30]
    assert torch.corrcoef(torch.stack([found.flatten(), true.flatten()]))[0, 1] > 0.95


def test_what_a_reference_does_already_is_not_done_twice() -> None:
    basis = MotionBasis()
    torch.nn.init.normal_(basis.flow, std=0.05)
    controls, pose = torch.rand(2, len(CONTROLS)), torch.zeros(2, 5)
    flow, light = basis(controls, pose, controls)
    assert flow.abs().max() == 0 and light.abs().max() == 0
    assert basis(controls, pose, torch.zeros_like(controls))[0].abs().max() > 0.01


def test_the_mean_face_is_alike_on_both_sides() -> None:
    torch.manual_seed(0)
    faces = in_widths(ring()) + 0.0005 * torch.randn(31, 468, 2)
    mean = mean_face(faces)
    assert torch.allclose(mean[234:], mean[:234] * torch.tensor([-1.0, 1.0]), atol=1e-6)
    assert (mean - ring()).abs().max() < 0.002
