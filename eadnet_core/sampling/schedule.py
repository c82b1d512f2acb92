"""The noise levels of a sampling run, as one `TimeGrid` to a sampler: x_t = alpha x0 + sigma noise, stepped from x0.

Flow times are for Euler steps of flow matching, the DDIM table is LatentSync's; which of them a net is sampled with is
said by `prediction`. Both equal diffusers' schedulers to the bit; why those are not imported says ADR 51.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

DDIM_TIMES = 1000
BETA_FIRST, BETA_LAST = 0.00085, 0.012
"""Noise that the first and the last of the DDIM times add; their square roots lie on a straight line."""
SPACINGS = ("leading", "trailing")


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


def flow_grid(n_steps: int, shift: float = 1.0) -> TimeGrid:
    """Flow times 0 .. 1; `shift` above 1 spends more of the steps near pure noise."""
    even = np.linspace(1.0, 1.0 / n_steps, n_steps).astype(np.float32)
    sigmas = (*(float(s) for s in shift * even / (1 + (shift - 1) * even)), 0.0)
    return TimeGrid(sigmas[:-1], tuple(1 - s for s in sigmas), sigmas, sigmas[:-1])


def ddim_grid(n_steps: int, spacing: str = "leading") -> TimeGrid:
    """DDIM times 0 .. 999, "leading" as LatentSync's or "trailing". Raises ValueError for another spacing."""
    if spacing not in SPACINGS:
        raise ValueError(f"Unknown spacing {spacing!r}: expected one of {', '.join(SPACINGS)}.")
    steps = _ddim_times(n_steps, spacing)
    table = ddim_alphas()  # in float32 throughout, as diffusers computes
    alpha_bar = table[[*steps, max(0, steps[-1] - DDIM_TIMES // n_steps)]]
    return TimeGrid(
        times=tuple(float(t) for t in steps),
        alphas=tuple(alpha_bar.sqrt().tolist()),
        sigmas=tuple((1 - alpha_bar).sqrt().tolist()),
        noise_fraction=tuple((t + 1) / DDIM_TIMES for t in steps),
    )


def _ddim_times(n_steps: int, spacing: str) -> list[int]:
    """The steps' times, noisiest first."""
    if spacing == "leading":
        return [1 + DDIM_TIMES // n_steps * k for k in reversed(range(n_steps))]
    return [round(t) - 1 for t in np.arange(DDIM_TIMES, 0, -DDIM_TIMES / n_steps)]


@lru_cache(maxsize=1)
def ddim_alphas() -> Tensor:
    """Squares of alpha [1000] at the DDIM times."""
    betas = torch.linspace(BETA_FIRST**0.5, BETA_LAST**0.5, DDIM_TIMES, dtype=torch.float32) ** 2
    return torch.cumprod(1.0 - betas, dim=0)
