"""Noise levels and preconditioning: what a time means, how noise is added, what the net's output says about x0.

Two kinds of net, named by `DenoiserConfig.prediction`:

- "residual": flow matching, x_t = (1 - t) x0 + t noise with t in 0 .. 1, and EDM-like preconditioning (Karras et al.
  2022, eq. 7, written for flow times) so that a net at pure noise predicts x0, not a difference of large terms;
- "epsilon": the DDIM table of LatentSync (Song et al. 2021), t in 0 .. 999, the net predicts the noise.

Both are one `TimeGrid` to a sampler: x_t = alpha x0 + sigma noise, stepped from an x0 prediction.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from ..config import DenoiserConfig

DDIM_TIMES = 1000
SPACINGS = ("leading", "trailing")
TRAINING_SHIFT = 4.0
"""Time shift of the share of training times that leans towards pure noise, where a condition decides the result."""


def add_noise(x0: Tensor, noise: Tensor, t: Tensor, prediction: str = "residual") -> Tensor:
    """x_t of clean latents.

    x0, noise  [B, ...]
    t          [B]  0 .. 1 for "residual", 0 .. 999 for "epsilon"

    >>> add_noise(torch.zeros(1, 2), torch.ones(1, 2), torch.tensor([0.25])).tolist()
    [[0.25, 0.25]]
    """
    alpha, sigma = noise_levels(t, prediction)
    return _per_item(alpha, x0) * x0 + _per_item(sigma, x0) * noise


def to_x0(net_output: Tensor, x_t: Tensor, t: Tensor, config: DenoiserConfig) -> Tensor:
    """The clean estimate that a raw net output stands for.

    net_output, x_t  [B, ...]
    t                [B]

    With s = residual_std and r = sqrt((1 - t)^2 s^2 + t^2): x0 = (1 - t) s^2 / r^2 x_t + t s / r net_output.
    """
    if config.prediction == "residual":
        s = config.residual_std
        variance = (1 - t) ** 2 * s**2 + t**2
        skip, out = (1 - t) * s**2 / variance, t * s / variance.sqrt()
        return _per_item(skip, x_t) * x_t + _per_item(out, x_t) * net_output
    alpha, sigma = noise_levels(t, config.prediction)
    return (x_t - _per_item(sigma, x_t) * net_output) / _per_item(alpha, x_t)


def velocity(x_t: Tensor, x0: Tensor, t: Tensor) -> Tensor:
    """Flow velocity d x_t / d t = noise - x0 that a clean estimate implies; t [B] above 0."""
    return (x_t - x0) / _per_item(t, x_t)


def noise_levels(t: Tensor, prediction: str) -> tuple[Tensor, Tensor]:
    """(alpha, sigma) of x_t = alpha x0 + sigma noise, each shaped like t."""
    if prediction == "residual":
        return 1 - t, t
    if prediction == "epsilon":
        alpha_bar = _alphas_cumprod().to(t.device)[t.long()]
        return alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    raise ValueError(f"Unknown prediction {prediction!r}: expected 'residual' or 'epsilon'.")


def draw_times(n: int, generator: torch.Generator | None = None) -> Tensor:
    """Flow times [n] for training: 30 % uniform with shift 4, 25 % logit-normal(0, 1), 45 % exactly 1.

    Sampling starts at t = 1 and decides the emotion there; a logit-normal draw alone hardly trains it (we measured).
    What is left unknown by the conditions is little, so the first estimate is also most of the picture.
    """
    kind = torch.rand(n, generator=generator)
    u = torch.rand(n, generator=generator)
    shifted = TRAINING_SHIFT * u / (1 + (TRAINING_SHIFT - 1) * u)
    logit_normal = torch.randn(n, generator=generator).sigmoid()
    return torch.where(kind < 0.30, shifted, torch.where(kind < 0.55, logit_normal, torch.ones(n)))


@dataclass(frozen=True)
class TimeGrid:
    """The times of one sampling run, noisiest first."""

    times: tuple[float, ...]
    """What the net is given at each step."""
    alphas: tuple[float, ...]
    sigmas: tuple[float, ...]
    """Levels at each step and, last, after the final step: one more than times."""
    noise_fraction: tuple[float, ...]
    """Place of each step in the noise range, 0 clean .. 1 pure noise."""

    def __len__(self) -> int:
        return len(self.times)

    def start(self, noise: Tensor) -> Tensor:
        """x_t of the first step: both kinds of net start from pure noise of unit variance."""
        return noise.clone()

    def step(self, x_t: Tensor, x0: Tensor, index: int, noise: Tensor | None = None) -> Tensor:
        """x at the next level: keep the noise that x_t and x0 imply (the Euler step of the flow, DDIM with eta 0).

        noise  the noise itself, where the net predicted it and x0 was not changed since: the same step, and equal to
               the bit to diffusers' DDIMScheduler, which the detour over x0 is not
        """
        if noise is not None:
            return self.alphas[index + 1] * x0 + self.sigmas[index + 1] * noise
        ratio = self.sigmas[index + 1] / self.sigmas[index]
        return ratio * x_t + (self.alphas[index + 1] - ratio * self.alphas[index]) * x0


def time_grid(prediction: str, n_steps: int, shift: float = 1.0, spacing: str = "leading") -> TimeGrid:
    """The grid of `n_steps` steps.

    shift    above 1 spends more of them near pure noise ("residual" only)
    spacing  of "epsilon": "leading", as LatentSync, or "trailing", which begins at the noisiest time (Lin et al. 2024):
             with few steps the first leads far below it, 751 of 999 with four, though the clip starts as pure noise

    >>> time_grid("residual", 4).times
    (1.0, 0.75, 0.5, 0.25)
    >>> time_grid("epsilon", 4).times, time_grid("epsilon", 4, spacing="trailing").times
    ((751.0, 501.0, 251.0, 1.0), (999.0, 749.0, 499.0, 249.0))
    """
    if prediction == "epsilon":
        return _ddim_grid(n_steps, spacing)
    if prediction != "residual":
        raise ValueError(f"Unknown prediction {prediction!r}: expected 'residual' or 'epsilon'.")
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(sigmas=np.linspace(1.0, 1.0 / n_steps, n_steps).tolist())
    sigmas = tuple(float(s) for s in scheduler.sigmas)
    return TimeGrid(sigmas[:-1], tuple(1 - s for s in sigmas), sigmas, sigmas[:-1])


def _ddim_grid(n_steps: int, spacing: str) -> TimeGrid:
    if spacing not in SPACINGS:
        raise ValueError(f"Unknown spacing {spacing!r}: expected one of {', '.join(SPACINGS)}.")
    scheduler = _ddim_scheduler(spacing)
    scheduler.set_timesteps(n_steps)
    steps = [int(t) for t in scheduler.timesteps]
    stride = DDIM_TIMES // n_steps
    after = [*steps, steps[-1] - stride]
    table = scheduler.alphas_cumprod
    # float32 throughout, as the scheduler computes
    alpha_bar = torch.stack([table[t] if t >= 0 else scheduler.final_alpha_cumprod for t in after])
    return TimeGrid(
        times=tuple(float(t) for t in steps),
        alphas=tuple(alpha_bar.sqrt().tolist()),
        sigmas=tuple((1 - alpha_bar).sqrt().tolist()),
        noise_fraction=tuple((t + 1) / DDIM_TIMES for t in steps),
    )


def _ddim_scheduler(spacing: str = "leading") -> DDIMScheduler:
    return DDIMScheduler(
        num_train_timesteps=DDIM_TIMES,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        timestep_spacing=spacing,
    )


@lru_cache(maxsize=1)
def _alphas_cumprod() -> Tensor:
    return _ddim_scheduler().alphas_cumprod


def _per_item(values: Tensor, like: Tensor) -> Tensor:
    return values.to(like.dtype).reshape(-1, *(1,) * (like.dim() - 1))
