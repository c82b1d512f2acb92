"""Noise levels, preconditioning and time grids against their equations and against diffusers."""

from __future__ import annotations

import math

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

from eadnet_core.config import DenoiserConfig
from eadnet_core.sampling import schedule
from eadnet_core.sampling.prediction import Epsilon, Flow, Prediction, prediction_of

FLOW, EPSILON = Flow(residual_std=0.82), Epsilon()


def velocity(x_t: torch.Tensor, x0: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Flow velocity d x_t / d t = noise - x0 that a clean estimate implies; t [B] above 0."""
    return (x_t - x0) / t.reshape(-1, 1)


def test_residual_preconditioning_is_the_written_formula() -> None:
    t, s = 0.3, 0.82
    x_t, net = torch.tensor([[1.5]]), torch.tensor([[-0.4]])
    r2 = (1 - t) ** 2 * s**2 + t**2
    expected = (1 - t) * s**2 / r2 * 1.5 + t * s / math.sqrt(r2) * -0.4
    x0 = FLOW.to_x0(net, x_t, torch.tensor([t]))
    assert x0.item() == pytest.approx(expected, rel=1e-6)


def test_residual_preconditioning_at_the_ends() -> None:
    x_t, net = torch.randn(3, 4), torch.randn(3, 4)
    assert torch.allclose(FLOW.to_x0(net, x_t, torch.zeros(3)), x_t)
    assert torch.allclose(FLOW.to_x0(net, x_t, torch.ones(3)), 0.82 * net)


def test_preconditioned_target_has_unit_variance() -> None:
    """The net is asked for (x0 - c_skip x_t) / c_out; with the right s that is white at every time."""
    generator = torch.Generator().manual_seed(0)
    x0 = 0.82 * torch.randn(200_000, generator=generator)[None]
    noise = torch.randn(200_000, generator=generator)[None]
    for t in (0.05, 0.4, 0.8, 1.0):
        time = torch.tensor([t])
        x_t = FLOW.add_noise(x0, noise, time)
        skip = FLOW.to_x0(torch.zeros_like(x_t), x_t, time)
        out = FLOW.to_x0(torch.ones_like(x_t), torch.zeros_like(x_t), time)
        assert ((x0 - skip) / out).std().item() == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("prediction", [FLOW, EPSILON])
def test_to_x0_undoes_add_noise_for_a_perfect_net(prediction: Prediction) -> None:
    x0, noise = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    t = torch.tensor([0.2, 0.9]) if prediction is FLOW else torch.tensor([50, 600])
    x_t = prediction.add_noise(x0, noise, t)
    if prediction is EPSILON:
        perfect = noise
    else:
        skip = prediction.to_x0(torch.zeros_like(x_t), x_t, t)
        perfect = (x0 - skip) / prediction.to_x0(torch.ones_like(x_t), torch.zeros_like(x_t), t)
    assert torch.allclose(prediction.to_x0(perfect, x_t, t), x0, atol=1e-5)


def test_velocity_is_noise_minus_x0() -> None:
    x0, noise, t = torch.randn(2, 5), torch.randn(2, 5), torch.tensor([0.3, 1.0])
    assert torch.allclose(velocity(FLOW.add_noise(x0, noise, t), x0, t), noise - x0, atol=1e-5)


def test_training_times_follow_the_mixture() -> None:
    times = FLOW.draw_times(60_000, torch.Generator().manual_seed(1))
    assert times.min() > 0
    assert times.max() == 1
    assert (times == 1).float().mean().item() == pytest.approx(0.45, abs=0.01)
    below = (times < 0.5).float().mean().item()  # half of the logit-normal share, and 4u / (1 + 3u) < 1/2 for u < 1/5
    assert below == pytest.approx(0.25 * 0.5 + 0.30 * 0.2, abs=0.01)


def test_training_times_repeat_with_the_generator() -> None:
    draws = [FLOW.draw_times(16, torch.Generator().manual_seed(7)) for _ in range(2)]
    assert torch.equal(*draws)


@pytest.mark.parametrize("shift", [1.0, 4.0])
def test_flow_step_equals_the_schedulers_euler_step(shift: float) -> None:
    grid = FLOW.grid(5, shift)
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(sigmas=[1.0, 0.8, 0.6, 0.4, 0.2])
    x = torch.randn(1, 4)
    theirs = x.clone()
    for k, timestep in enumerate(scheduler.timesteps):
        x0 = torch.sin(x)
        v = velocity(theirs, torch.sin(theirs), torch.tensor([grid.times[k]]))
        theirs = scheduler.step(v, timestep, theirs).prev_sample
        x = grid.step(x, x0, k)
        assert torch.allclose(x, theirs, atol=1e-5)


def ddim_scheduler(spacing: str = "leading") -> DDIMScheduler:
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        timestep_spacing=spacing,
    )


@pytest.mark.parametrize("shift", [1.0, 1.5, 4.0])
def test_flow_times_equal_the_schedulers_to_the_bit(shift: float) -> None:
    for n_steps in range(1, 51):
        scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
        scheduler.set_timesteps(sigmas=[1 - k / n_steps for k in range(n_steps)])
        assert schedule.flow_grid(n_steps, shift).sigmas == tuple(scheduler.sigmas.tolist())


@pytest.mark.parametrize("spacing", schedule.SPACINGS)
def test_ddim_levels_equal_the_schedulers_to_the_bit(spacing: str) -> None:
    scheduler = ddim_scheduler(spacing)
    assert torch.equal(schedule.ddim_alphas(), scheduler.alphas_cumprod)
    for n_steps in (1, 2, 3, 7, 20, 50, 333, 999):
        scheduler.set_timesteps(n_steps)
        grid = schedule.ddim_grid(n_steps, spacing)
        assert grid.times == tuple(scheduler.timesteps.tolist())
        assert grid.alphas[:-1] == tuple(scheduler.alphas_cumprod[scheduler.timesteps].sqrt().tolist())


def test_ddim_step_equals_the_schedulers() -> None:
    grid = EPSILON.grid(20)
    scheduler = ddim_scheduler()
    scheduler.set_timesteps(20)
    assert [int(t) for t in scheduler.timesteps] == [int(t) for t in grid.times]
    x = torch.randn(1, 4)
    theirs = x.clone()
    for k, timestep in enumerate(scheduler.timesteps):
        theirs = scheduler.step(torch.tanh(theirs), timestep, theirs, eta=0.0).prev_sample
        x = grid.step(x, EPSILON.to_x0(torch.tanh(x), x, timestep[None]), k)
        assert torch.allclose(x, theirs, atol=1e-4)


@pytest.mark.parametrize("spacing", schedule.SPACINGS)
def test_ddim_step_from_the_noise_equals_the_schedulers_to_the_bit(spacing: str) -> None:
    for n_steps in (2, 20, 50):
        grid = EPSILON.grid(n_steps, spacing=spacing)
        scheduler = ddim_scheduler(spacing)
        scheduler.set_timesteps(n_steps)
        x = theirs = torch.randn(1, 400, generator=torch.Generator().manual_seed(n_steps))
        for k, timestep in enumerate(scheduler.timesteps):
            noise = torch.sin(3 * x)
            theirs = scheduler.step(noise, timestep, theirs, eta=0.0).prev_sample
            x = grid.step(x, EPSILON.to_x0(noise, x, timestep[None]), k, noise)
            assert torch.equal(x, theirs)


def test_sampling_a_gaussian_converges_to_its_known_solution() -> None:
    """For x0 ~ N(0, s^2) the ideal x0 estimate is c_skip x_t, and the flow maps noise to s * noise exactly."""
    errors = []
    for n_steps in (8, 64):
        grid = FLOW.grid(n_steps)
        x = noise = torch.linspace(-2, 2, 9)[None]
        for k, t in enumerate(grid.times):
            x0 = FLOW.to_x0(torch.zeros_like(x), x, torch.tensor([t]))
            x = grid.step(x, x0, k)
        errors.append((x - 0.82 * noise).abs().max().item())
    assert errors[1] < 0.05
    assert errors[1] < errors[0] / 4


def test_few_trailing_steps_begin_at_pure_noise_and_end_in_the_clean() -> None:
    for n_steps in (1, 2, 4, 8):
        trailing, leading = (EPSILON.grid(n_steps, spacing=spacing) for spacing in ("trailing", "leading"))
        assert trailing.noise_fraction[0] == 1 > leading.noise_fraction[0]
        assert trailing.sigmas[-1] == leading.sigmas[-1] < 0.03


def test_an_unknown_prediction_is_named() -> None:
    with pytest.raises(ValueError, match="'middle'"):
        EPSILON.grid(4, spacing="middle")
    with pytest.raises(ValueError, match="'x'"):
        prediction_of(DenoiserConfig(prediction="x"))


def test_a_config_names_what_its_net_predicts() -> None:
    assert prediction_of(DenoiserConfig(residual_std=0.5)) == Flow(0.5)
    assert prediction_of(DenoiserConfig(prediction="epsilon")) == Epsilon()


@pytest.mark.parametrize("prediction", [FLOW, EPSILON])
def test_times_and_places_in_the_noise_range_belong_together(prediction: Prediction) -> None:
    fraction = torch.tensor([0.1, 0.5, 1.0])
    assert torch.allclose(prediction.fraction(prediction.time_at(fraction)), fraction, atol=2e-3)
    drawn = prediction.fraction(prediction.draw_times(500, torch.Generator().manual_seed(0)))
    assert 0 <= drawn.min() < 0.1 and 0.9 < drawn.max() <= 1
