"""Which samples a step learns from: each once before any comes again, known from the position alone.

Nothing is kept between steps, so that a run that was stopped, or goes on with another number of processes, takes up
the order where its checkpoint is. Our design.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np


def sample_numbers(n_samples: int, seed: int, first: int, n: int) -> list[int]:
    """Numbers 0 .. n_samples - 1 of the samples at positions first .. first + n of an endless order.

    Every `n_samples` positions hold each number once, in an order of their own.

    >>> sorted(sample_numbers(5, 0, 5, 5)), sample_numbers(5, 0, 3, 4) == sample_numbers(5, 0, 0, 7)[3:]
    ([0, 1, 2, 3, 4], True)
    """
    places = (divmod(position, n_samples) for position in range(first, first + n))
    return [int(_order(n_samples, seed, epoch)[place]) for epoch, place in places]


@lru_cache(maxsize=2)
def _order(n_samples: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch, 0x5A3)).permutation(n_samples)
