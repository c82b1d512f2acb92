"""The mean face and how it moves, by least squares over rendered heads, whose flow is known."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..corpus.head_pairs import N_HEADS
from ..nets.canonical import MAP_PX, places
from ..nets.motion_basis import N_TERMS, absolute_terms, brightness, terms
from ..nets.vae import VAE, warp
from .critic import MOUTH_BOX
from .faces import FaceBatch, FaceCache, laid
from .losses import region

logger = logging.getLogger(__name__)
HEADS = 2000
"""Of the cache, at most."""
_HEADS_AT_ONCE = 16
_RIDGE, _MOUTH_RIDGE = 0.02, 0.15
"""Of the mean diagonal, with terms of mean square 1: where a point is seldom seen, it is not said to move."""
MORE_TEETH = 1.5
"""Added to the weight of a place that shows teeth: where they lie differs from head to head."""
_LEAST_BRIGHT = 0.1
_MOST_LIGHT = 0.8


def fit_motion_basis(vae: VAE, cache: FaceCache) -> None:
    """Set the template and the basis of a picture side."""
    fit_template(vae, cache)
    number = _heads(cache)
    logger.info("fitting how a mean face moves, by %d heads", len(number))
    flow, light = solve_basis(_observed(vae, cache, number))
    vae.motion_basis.flow.copy_(flow)
    vae.motion_basis.light.copy_(light)
    vae.motion_basis.mouth.copy_(solve(_mouths(vae, cache, number), N_TERMS + 1, _MOUTH_RIDGE))


def fit_template(vae: VAE, cache: FaceCache) -> None:
    """Set the template alone."""
    number = _heads(cache)
    vae.canonical.template.copy_(mean_face(cache.points(number // N_HEADS, number % N_HEADS)))
    vae.canonical.forget()


def _heads(cache: FaceCache) -> np.ndarray:
    """Numbers of training heads, two of each pair."""
    return cache.n_monitor * N_HEADS + np.arange(min(HEADS, N_HEADS * (cache.n_ready - cache.n_monitor)))


def mean_face(points: Tensor) -> Tensor:
    """Median landmarks [468, 2], in half frame widths, of faces [N, 468, 2] in frame widths; alike on both sides."""
    from scipy.optimize import linear_sum_assignment

    middle = (points * 2 - 1).median(0).values
    turned = middle * middle.new_tensor((-1, 1))
    mirror = torch.from_numpy(linear_sum_assignment(torch.cdist(middle, turned).numpy())[1])
    return (middle + turned[mirror]) / 2


def _observed(vae: VAE, cache: FaceCache, number: np.ndarray) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """(terms [B, K], shifts and light [B, 3, 4096], how often each point was seen [B, 4096])."""
    for batch in _batches(vae, cache, number):
        still = batch.reference_controls.repeat_interleave(cache.pairs.n_states, 0)
        change = terms(batch.controls, batch.pose) - terms(still, torch.zeros_like(batch.pose))
        yield change, *gathered(batch)


def _mouths(vae: VAE, cache: FaceCache, number: np.ndarray) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """(terms [B, K + 1], colours in brightnesses of the face [B, 3, 4096], where an open mouth shows [B, 4096])."""
    for batch in _batches(vae, cache, number):
        size = batch.frames.shape[-1]
        bright = brightness(batch.references).repeat_interleave(len(batch.frames) // len(batch.references), 0)
        colours = F.avg_pool2d((batch.frames + 1) / 2 / bright.clamp(min=_LEAST_BRIGHT), size // MAP_PX)
        shown = (1 - batch.visible) * (1 + MORE_TEETH * batch.teeth) * region(MOUTH_BOX, size)
        shown = F.avg_pool2d(shown, size // MAP_PX)
        yield absolute_terms(batch.controls, batch.pose), colours.clamp(0, 2).flatten(2), shown.flatten(1)


def _batches(vae: VAE, cache: FaceCache, number: np.ndarray) -> Iterator[FaceBatch]:
    """All frames of some heads at a time, laid out."""
    states = np.arange(cache.pairs.n_states)
    for start in range(0, len(number), _HEADS_AT_ONCE):
        some = number[start : start + _HEADS_AT_ONCE]
        batch = cache.batch(some // N_HEADS, some % N_HEADS, np.tile(states, (len(some), 1)))
        yield laid(batch, vae.lay(batch.points))


def gathered(batch: FaceBatch) -> tuple[Tensor, Tensor]:
    """Of each point of the references, how far it went and how much lighter it got [B, 3, 4096], and its weight."""
    size = batch.flow.shape[-1]
    true = warp(batch.references.repeat_interleave(len(batch.frames) // len(batch.references), 0), batch.flow)
    light = torch.log((batch.frames + 1 + _LEAST_BRIGHT) / (true + 1 + _LEAST_BRIGHT)).mean(1, keepdim=True)
    values = torch.cat([-batch.flow, light.clamp(-_MOST_LIGHT, _MOST_LIGHT)], 1).flatten(2)
    from_where = (places(batch.flow, size) + batch.flow).flatten(2)
    cells = ((from_where + 1) * (MAP_PX / 2)).floor().long()
    seen = (batch.visible.flatten(1) > 0.9) & ((cells >= 0) & (cells < MAP_PX)).all(1)
    index = torch.where(seen, cells[:, 1] * MAP_PX + cells[:, 0], MAP_PX * MAP_PX)
    sums = values.new_zeros(len(values), 3, MAP_PX * MAP_PX + 1)
    sums.scatter_add_(2, index[:, None].expand(-1, 3, -1), values)
    count = values.new_zeros(len(values), MAP_PX * MAP_PX + 1).scatter_add_(1, index, torch.ones_like(values[:, 0]))
    sums, count = sums[..., :-1], count[:, :-1]
    return sums / count.clamp(min=1)[:, None], (count / 4).clamp(max=1)


def solve_basis(observed: Iterator[tuple[Tensor, Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Flow [K, 2, 64, 64] and light [K, 1, 64, 64] of the terms."""
    maps = solve(observed, N_TERMS)
    return maps[:, :2], maps[:, 2:]


def solve(observed: Iterator[tuple[Tensor, Tensor, Tensor]], n_terms: int, ridge: float = _RIDGE) -> Tensor:
    """[n_terms, 3, 64, 64]: a weighted least square for each place, of (terms [B, n], values [B, 3, 4096], weights)."""
    left, right = torch.zeros(MAP_PX**2, n_terms, n_terms), torch.zeros(MAP_PX**2, n_terms, 3)
    squares, n = torch.zeros(n_terms), 0
    for change, values, weight in observed:
        pairs = (change[:, :, None] * change[:, None]).flatten(1)
        left += (weight.T @ pairs).unflatten(1, (n_terms, n_terms))
        right += torch.einsum("nc,nk,nvc->ckv", weight, change, values)
        squares += change.square().sum(0)
        n += len(change)
    scale = (squares / max(1, n)).sqrt() + 1e-6
    left = left / scale[:, None] / scale
    left.diagonal(dim1=1, dim2=2).add_(ridge * left.diagonal(dim1=1, dim2=2).mean())
    found = torch.linalg.solve(left, right / scale[:, None]) / scale[:, None]
    maps = found.permute(1, 2, 0).unflatten(2, (MAP_PX, MAP_PX))
    soft = F.avg_pool2d(F.pad(maps, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return (maps + soft) / 2
