"""What the reader of controls gets wrong, measured on heads that it never saw, so that it can be imitated.

A reading is a linear function of what the face does, an error of the person, the same in all of their pictures, and one
of the picture. So what learns to live with readings needs scripts, and no pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..corpus.head_pairs import N_HEADS
from ..heads.rig import STATE
from ..media.pixels import to_unit
from ..nets.vae import VAE
from ..taxonomy import CONTROLS
from .faces import FaceCache

RIDGE = 1.0
"""Added to the sum of squares of each control over the pictures."""
PERSON_FACTOR = 2.0
"""Errors of a person are drawn so many times larger than on rendered heads. Measured: what is read off photographs of
neutral faces spreads 2.0 times as far as what is read off rendered ones, in the median of the controls."""
_COLUMNS = [STATE.index(name) for name in CONTROLS]


@dataclass(frozen=True)
class ReaderErrors:
    """reading = controls @ gain + bias + error of the person + error of the picture.

    gain     [28, 28]
    bias     [28]
    person   [28, 28]  makes errors of normal noise: noise @ person
    picture  [28, 28]
    """

    gain: Tensor
    bias: Tensor
    person: Tensor
    picture: Tensor

    def readings(self, controls: Tensor, rng: np.random.Generator) -> Tensor:
        """What might be read off the pictures of people, each with true controls [T, 28]: [B, T, 28]."""
        of_person, of_picture = (
            torch.from_numpy(rng.standard_normal((len(controls), n, controls.shape[-1]), dtype=np.float32))
            for n in (1, controls.shape[1])
        )
        errors = PERSON_FACTOR * of_person @ self.person + of_picture @ self.picture
        return controls @ self.gain + self.bias + errors


def fit_errors(read: Tensor, true: Tensor) -> ReaderErrors:
    """The errors of what was read off T pictures of each of N people: [N, T, 28], and what was true of them."""
    n, t, k = read.shape
    known = torch.cat([true, torch.ones_like(true[..., :1])], -1).flatten(0, 1)
    squares = known.T @ known
    squares.diagonal()[:-1] += RIDGE
    linear = torch.linalg.solve(squares, known.T @ read.flatten(0, 1))
    errors = read - (known @ linear).unflatten(0, (n, t))
    of_person = errors.mean(1, keepdim=True)
    rest = (errors - of_person).flatten(0, 1)
    picture = rest.T @ rest / (n * (t - 1))
    person = of_person[:, 0].T @ of_person[:, 0] / n - picture / t
    return ReaderErrors(linear[:k], linear[k], _root(person), _root(picture))


@torch.no_grad()
def measure_errors(vae: VAE, cache: FaceCache) -> ReaderErrors:
    """The errors of a picture side's reader on every picture of the heads that are not trained on."""
    read, true = [], []
    every = np.arange(cache.pairs.n_states + 1)
    for pair in range(cache.n_monitor):
        for head in range(N_HEADS):
            points = cache.points_of(np.full_like(every, pair), np.full_like(every, head), every)
            read.append(vae.read_controls(to_unit(cache.pairs.frames[pair, head]), points).float())
            true.append(torch.from_numpy(cache.pairs.states[pair][:, _COLUMNS]))
    return fit_errors(torch.stack(read), torch.stack(true))


def _root(covariance: Tensor) -> Tensor:
    """What makes noise with this covariance of normal noise; where it is negative, none."""
    values, vectors = torch.linalg.eigh(covariance)
    return values.clamp(min=0).sqrt()[:, None] * vectors.T
