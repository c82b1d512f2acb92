"""How much of who somebody is can be told from what is said of their emotion."""

from __future__ import annotations

import numpy as np

RIDGE = 0.1
"""Added to the spread within heads, relative to its mean: few examples must not look certain."""


def identity_accuracy(embeddings: np.ndarray) -> float:
    """Share of clips whose head a linear probe names from an embedding; 1 / H is chance.

    The probe is Fisher's: distance to the means of the heads, in units of the spread within them. It knows the other
    emotions of every head and is asked for one that it has not seen. What all heads do with an emotion is taken away
    first, so that nothing but the person is left to find.

    embeddings  [H, E, D]  of H heads with the same E emotions, E of 2 or more

    >>> rng = np.random.default_rng(0)
    >>> heads = np.repeat(rng.normal(size=(10, 1, 4)), 8, axis=1)
    >>> identity_accuracy(heads + 0.01 * rng.normal(size=heads.shape))
    1.0
    >>> identity_accuracy(rng.normal(size=(10, 8, 4))) < 0.3
    True
    """
    n_heads, n_emotions, width = embeddings.shape
    left = embeddings - embeddings.mean(0, keepdims=True)
    right = 0
    for held in range(n_emotions):
        known = np.delete(left, held, axis=1)
        means = known.mean(1)
        inner = (known - means[:, None]).reshape(-1, width)
        spread = inner.T @ inner / len(inner)
        spread += (RIDGE * np.trace(spread) / width + 1e-12) * np.eye(width)
        apart = left[:, held, None] - means[None]
        distance = np.einsum("ijd,de,ije->ij", apart, np.linalg.inv(spread), apart)
        right += int((distance.argmin(1) == np.arange(n_heads)).sum())
    return right / (n_heads * n_emotions)
