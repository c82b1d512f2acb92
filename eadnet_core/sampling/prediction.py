"""What a net predicts, as an object: how noise is added, what its output says about x0, how predictions are combined.

Two kinds, named by `DenoiserConfig.prediction` in weight files; `prediction_of` alone reads that name:

- `Flow` ("residual"): flow matching, x_t = (1 - t) x0 + t noise with t in 0 .. 1, and EDM-like preconditioning (Karras
  et al. 2022, eq. 7, written for flow times) so that a net at pure noise predicts x0, not a difference of large terms;
- `Epsilon` ("epsilon"): the DDIM table of LatentSync (Song et al. 2021), t in 0 .. 999, the net predicts the noise.

Both know the same methods and have no common base: every one of them is another formula.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ..config import DenoiserConfig
from .schedule import DDIM_TIMES, TimeGrid, ddim_alphas, ddim_grid, flow_grid

TRAINING_SHIFT = 4.0
"""Time shift of the share of training times that leans towards pure noise, where a condition decides the result."""
LEAST_WEIGHTED_TIME = 0.6
"""Flow time below which the weight of an error grows no more."""


class Guided(NamedTuple):
    """x0 [B, C, T, h, w] after guidance, how far guidance moved it (None with a single prediction), and the noise that
    the net predicted, guided (None of a net that does not)."""

    x0: Tensor
    correction: Tensor | None
    noise: Tensor | None = None


@dataclass(frozen=True)
class Flow:
    """x0 itself, by flow matching: times 0 clean .. 1 pure noise."""

    residual_std: float = DenoiserConfig.residual_std
    """Standard deviation s of x0."""
    time_scale: ClassVar[float] = 1000.0
    """Brings a time to the 0 .. 1000 that time embeddings read."""
    judged_below: ClassVar[float] = math.inf
    """Place in the noise range below which x0 of one step can be judged: everywhere, since it is what is predicted."""

    def noise_levels(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """(alpha, sigma) of x_t = alpha x0 + sigma noise, each shaped like t."""
        return 1 - t, t

    def add_noise(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """x_t [B, ...] of clean latents x0 and noise [B, ...] at times t [B].

        >>> Flow().add_noise(torch.zeros(1, 2), torch.ones(1, 2), torch.tensor([0.25])).tolist()
        [[0.25, 0.25]]
        """
        return _noised(x0, noise, *self.noise_levels(t))

    def to_x0(self, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """The clean estimate that a raw output of the net stands for.

        output, x_t  [B, ...]
        t            [B]

        With r = sqrt((1 - t)^2 s^2 + t^2): x0 = (1 - t) s^2 / r^2 x_t + t s / r output.
        """
        s = self.residual_std
        variance = (1 - t) ** 2 * s**2 + t**2
        skip, out = (1 - t) * s**2 / variance, t * s / variance.sqrt()
        return _per_item(skip, x_t) * x_t + _per_item(out, x_t) * output

    def guide(self, outputs: Sequence[Tensor], x_t: Tensor, t: Tensor, weights: Sequence[float]) -> Guided:
        """The weighted sum of what several predictions say about x0.

        outputs  each [B, C, T, h, w], the most conditioned one last
        x_t      [B, C, T, h, w]
        t        [B]
        weights  one per output; they sum to 1
        """
        predicted = [self.to_x0(output, x_t, t) for output in outputs]
        if len(predicted) == 1:
            return Guided(predicted[0] * weights[0], None)
        x0 = torch.zeros_like(x_t)
        for weight, value in zip(weights, predicted, strict=True):
            x0 = x0 + weight * value
        return Guided(x0, x0 - predicted[-1])

    def grid(self, n_steps: int, shift: float = 1.0, spacing: str = "leading") -> TimeGrid:
        """The times of a run of `n_steps`; `shift` above 1 spends more of them near pure noise.

        spacing  is for `Epsilon`; nothing here depends on it

        >>> Flow().grid(4).times
        (1.0, 0.75, 0.5, 0.25)
        """
        return flow_grid(n_steps, shift)

    def fraction(self, t: Tensor) -> Tensor:
        """Place of times [B] in the noise range, 0 clean .. 1 pure noise."""
        return t

    def time_at(self, fraction: Tensor) -> Tensor:
        """The times [B] at these places in the noise range."""
        return fraction

    def draw_times(
        self, n: int, generator: torch.Generator | None = None, device: torch.device | str = "cpu"
    ) -> Tensor:
        """Times [n] for training: 30 % uniform with shift 4, 25 % logit-normal(0, 1), 45 % exactly 1.

        Sampling starts at t = 1 and decides the emotion there; a logit-normal draw alone hardly trains it (we
        measured). What is left unknown by the conditions is little, so the first estimate is also most of the picture.
        """
        kind = torch.rand(n, generator=generator, device=device)
        u = torch.rand(n, generator=generator, device=device)
        shifted = TRAINING_SHIFT * u / (1 + (TRAINING_SHIFT - 1) * u)
        logit_normal = torch.randn(n, generator=generator, device=device).sigmoid()
        pure = torch.ones(n, device=device)
        return torch.where(kind < 0.30, shifted, torch.where(kind < 0.55, logit_normal, pure))

    def error_weight(self, t: Tensor) -> Tensor:
        """Weight of the squared error of x0 at times [B] in training: 1 / max(t, .6)^2.

        >>> [round(weight, 2) for weight in Flow().error_weight(torch.tensor([1.0, 0.625, 0.5])).tolist()]
        [1.0, 2.56, 2.78]
        """
        return t.clamp(min=LEAST_WEIGHTED_TIME) ** -2

    def training_error(self, output: Tensor, x0: Tensor, noise: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """What training squares, for a raw output of the net: the error of x0, by the root of `error_weight`.

        output, x0, noise, x_t, returns  [B, ...]
        t                                [B]
        """
        return _per_item(self.error_weight(t).sqrt(), x_t) * (self.to_x0(output, x_t, t) - x0)


@dataclass(frozen=True)
class Epsilon:
    """The noise, at LatentSync's DDIM levels: times 0 nearly clean .. 999 nearly pure noise."""

    time_scale: ClassVar[float] = 1.0
    """Brings a time to the 0 .. 1000 that time embeddings read."""
    judged_below: ClassVar[float] = 0.6
    """As of `Flow`; above, a small error of the noise is a large one of x0."""

    def noise_levels(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """(alpha, sigma) of x_t = alpha x0 + sigma noise, each shaped like t."""
        alpha_bar = ddim_alphas().to(t.device)[t.long()]
        return alpha_bar.sqrt(), (1 - alpha_bar).sqrt()

    def add_noise(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """x_t [B, ...] of clean latents x0 and noise [B, ...] at times t [B]."""
        return _noised(x0, noise, *self.noise_levels(t))

    def to_x0(self, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """The clean estimate that predicted noise stands for: (x_t - sigma output) / alpha.

        output, x_t  [B, ...]
        t            [B]
        """
        alpha, sigma = self.noise_levels(t)
        return (x_t - _per_item(sigma, x_t) * output) / _per_item(alpha, x_t)

    def guide(self, outputs: Sequence[Tensor], x_t: Tensor, t: Tensor, weights: Sequence[float]) -> Guided:
        """Guidance on the noise, each prediction against the one before it: equal to the bit to LatentSync's.

        Arguments as in `Flow.guide`.
        """
        noise = outputs[0]
        for i in range(1, len(outputs)):
            noise = noise + sum(weights[i:]) * (outputs[i] - outputs[i - 1])
        x0 = self.to_x0(noise, x_t, t)
        moved = None if len(outputs) == 1 else x0 - self.to_x0(outputs[-1], x_t, t)
        return Guided(x0, moved, noise)

    def grid(self, n_steps: int, shift: float = 1.0, spacing: str = "leading") -> TimeGrid:
        """The times of a run of `n_steps`.

        shift    is for `Flow`; nothing here depends on it
        spacing  "leading", as LatentSync, or "trailing", which begins at the noisiest time (Lin et al. 2024): with few
                 steps the first leads far below it, 751 of 999 with four, though the clip starts as pure noise

        >>> Epsilon().grid(4).times, Epsilon().grid(4, spacing="trailing").times
        ((751.0, 501.0, 251.0, 1.0), (999.0, 749.0, 499.0, 249.0))
        """
        return ddim_grid(n_steps, spacing)

    def fraction(self, t: Tensor) -> Tensor:
        """Place of times [B] in the noise range, 0 clean .. 1 pure noise."""
        return t.float() / DDIM_TIMES

    def time_at(self, fraction: Tensor) -> Tensor:
        """The times [B] nearest to these places in the noise range."""
        return (fraction * (DDIM_TIMES - 1)).round()

    def draw_times(
        self, n: int, generator: torch.Generator | None = None, device: torch.device | str = "cpu"
    ) -> Tensor:
        """Times [n] for training: whole numbers, each as likely as the others."""
        return torch.randint(0, DDIM_TIMES, (n,), generator=generator, device=device)

    def error_weight(self, t: Tensor) -> Tensor:
        """Weight of the squared error of x0 at times [B] in training: what makes it the error of the noise."""
        alpha, sigma = self.noise_levels(t)
        return (alpha / sigma) ** 2

    def training_error(self, output: Tensor, x0: Tensor, noise: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """As `Flow.training_error`; without the detour over x0 it is the error of the noise."""
        return output - noise


Prediction = Flow | Epsilon


def prediction_of(config: DenoiserConfig) -> Prediction:
    """What a net of that config predicts. Raises ValueError for a name that no kind has."""
    if config.prediction == "residual":
        return Flow(config.residual_std)
    if config.prediction == "epsilon":
        return Epsilon()
    raise ValueError(f"Unknown prediction {config.prediction!r}: expected 'residual' or 'epsilon'.")


def _noised(x0: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return _per_item(alpha, x0) * x0 + _per_item(sigma, x0) * noise


def _per_item(values: Tensor, like: Tensor) -> Tensor:
    return values.to(like.dtype).reshape(-1, *(1,) * (like.dim() - 1))
