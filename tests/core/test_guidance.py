"""Nested guidance against its equation, and SyncNet guidance against what it promises."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from eadnet_core.sampling.conditions import FrameConditions
from eadnet_core.sampling.guidance import SyncGuide, branches, guide_sync, predict_x0, sync_steps
from eadnet_core.sampling.prediction import Epsilon, Flow

FLOW = Flow(residual_std=1.0)
N_FRAMES = 12


class CountingNet:
    """0 + 1 with audio + 10 with emotion; remembers how many clips each call held."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, sample: Tensor, time: Tensor, conditions: FrameConditions, place: object = None) -> Tensor:
        self.batches.append(len(sample))
        assert conditions.emotion is not None
        value = conditions.audio[:, 0, 0, 0] + 10 * conditions.emotion[:, 0, 0, 0]
        return value[:, None, None, None, None].expand(-1, 2, *sample.shape[2:])


def conditions(n_frames: int = N_FRAMES, width: int = 16) -> FrameConditions:
    generator = torch.Generator().manual_seed(0)
    return FrameConditions(
        context=torch.zeros(5, n_frames, 4, 4),
        audio=torch.ones(n_frames, 3, 4),
        emotion=torch.ones(n_frames, 2, 4),
        null_emotion=torch.zeros(2, 4),
        motion=torch.zeros(n_frames, 8),
        motion_known=torch.ones(n_frames),
        sync_audio=F.normalize(torch.randn(n_frames, width, generator=generator), dim=-1),
        voice=torch.ones(n_frames),
    )


@pytest.mark.parametrize(
    ("scales", "n_passes"),
    [((1.0, 1.0), 1), ((1.0, 1.5), 2), ((2.0, 2.0), 2), ((2.0, 1.5), 3), ((1.0, 0.0), 1), ((0.0, 0.0), 1)],
)
def test_nested_guidance_is_the_equation_at_the_least_cost(scales: tuple[float, float], n_passes: int) -> None:
    s_a, s_e = scales
    v0, v_a, v_ae = 0.0, 1.0, 11.0
    net = CountingNet()
    x_t = torch.zeros(2, 2, N_FRAMES, 4, 4)
    given = [conditions(), conditions()]
    x0, correction, _ = predict_x0(net, FLOW, x_t, 1.0, given, branches(s_a, s_e))
    assert torch.allclose(x0, torch.full_like(x0, v0 + s_a * (v_a - v0) + s_e * (v_ae - v_a)), atol=1e-5)
    assert net.batches == [2 * n_passes]
    assert (correction is None) == (n_passes == 1)


def test_the_correction_is_the_distance_from_the_conditional() -> None:
    x_t = torch.zeros(1, 2, N_FRAMES, 4, 4)
    _, correction, _ = predict_x0(CountingNet(), FLOW, x_t, 1.0, [conditions()], branches(1.0, 1.5))
    assert correction is not None
    assert torch.allclose(correction, torch.full_like(correction, 16.0 - 11.0))


def test_guidance_on_noise_gives_the_same_x0_and_the_noise_that_belongs_to_it() -> None:
    epsilon = Epsilon()
    x_t = torch.randn(1, 2, N_FRAMES, 4, 4, generator=torch.Generator().manual_seed(0))
    found = predict_x0(CountingNet(), epsilon, x_t, 601.0, [conditions()], branches(1.5, 2.0))
    assert found.noise is not None and found.correction is not None
    torch.testing.assert_close(found.noise, torch.full_like(x_t, 0.0 + 1.5 * 1.0 + 2.0 * 10.0))
    torch.testing.assert_close(epsilon.add_noise(found.x0, found.noise, torch.tensor([601.0])), x_t)
    last = epsilon.to_x0(torch.full_like(x_t, 11.0), x_t, torch.tensor([601.0]))
    torch.testing.assert_close(found.correction, found.x0 - last)


def guide(strength: float = 0.2, real_cosine: float = 0.9) -> SyncGuide:
    projection = torch.randn(5 * 2 * 16, 16, generator=torch.Generator().manual_seed(1))
    mouth = torch.zeros(4, 4)
    mouth[2:, 1:3] = 1
    return SyncGuide(
        embed_frames=lambda frames: F.normalize(frames.flatten(1) @ projection, dim=-1),
        to_latents=lambda x0, context: 2 * x0 + context[-2:],
        mouth=mouth,
        strength=strength,
        real_cosine=real_cosine,
        n_frames=5,
    )


def mean_cosine(x0: Tensor, given: FrameConditions, guide: SyncGuide) -> float:
    windows = guide.to_latents(x0, given.context).unfold(1, 5, 1).permute(1, 4, 0, 2, 3)
    assert given.sync_audio is not None
    return float((guide.embed_frames(windows) * given.sync_audio[: len(windows)]).sum(-1).mean())


@pytest.fixture
def x0() -> Tensor:
    return torch.randn(2, N_FRAMES, 4, 4, generator=torch.Generator().manual_seed(2))


def test_sync_guidance_raises_the_cosine_and_moves_only_the_mouth(x0: Tensor) -> None:
    given, sync = conditions(), guide()
    with torch.inference_mode():
        inner = given.frames(0, N_FRAMES)
        moved = guide_sync(x0 + 0, None, inner, sync)
    assert mean_cosine(moved, given, sync) > mean_cosine(x0, given, sync) + 0.05
    assert torch.equal(moved[..., :2, :], x0[..., :2, :])
    assert torch.equal(moved[..., 2:, 0], x0[..., 2:, 0])


def test_the_sync_step_is_strength_times_rms_in_the_mouth(x0: Tensor) -> None:
    correction = 3 * torch.randn_like(x0)
    for scale in (None, correction):
        moved = guide_sync(x0, scale, conditions(), guide(strength=0.3))
        step = (moved - x0)[..., 2:, 1:3].square().mean().sqrt()
        size = (x0 if scale is None else scale)[..., 2:, 1:3].square().mean().sqrt()
        assert step.item() == pytest.approx(0.3 * size.item(), rel=1e-3)


def test_sync_guidance_leaves_silence_and_good_windows_alone(x0: Tensor) -> None:
    given = conditions()
    silent = replace(given, voice=torch.zeros(N_FRAMES))
    assert torch.equal(guide_sync(x0, None, silent, guide()), x0)
    assert torch.equal(guide_sync(x0, None, given, guide(real_cosine=-1.0)), x0)
    half = replace(given, voice=(torch.arange(N_FRAMES) < 5).float())
    moved = guide_sync(x0, None, half, guide())
    assert torch.equal(moved[:, 7:], x0[:, 7:])
    assert not torch.equal(moved[:, :5], x0[:, :5])


def test_sync_guidance_needs_a_whole_window(x0: Tensor) -> None:
    assert torch.equal(guide_sync(x0[:, :4], None, conditions(4), guide()), x0[:, :4])


def test_a_negative_cosine_still_pulls(x0: Tensor) -> None:
    given, sync = conditions(), guide(strength=0.05)
    windows = sync.to_latents(x0, given.context).unfold(1, 5, 1).permute(1, 4, 0, 2, 3)
    opposed = -sync.embed_frames(windows)
    given = replace(given, sync_audio=F.pad(opposed, (0, 0, 0, 4)) + 0.1 * given.sync_audio)
    assert mean_cosine(guide_sync(x0, None, given, sync), given, sync) > mean_cosine(x0, given, sync)


def test_sync_steps_are_every_second_one_above_the_last_noise() -> None:
    assert sync_steps((1.0, 0.75, 0.5, 0.25)) == {0, 2}
    assert sync_steps((1.0,)) == {0}
    assert sync_steps((1.0,), (0.3, 0.75)) == frozenset()
