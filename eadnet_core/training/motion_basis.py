"""The mean face and how it moves, by least squares over rendered heads, whose flow is known."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..corpus.head_pairs import N_HEADS
from ..nets.canonical import MAP_PX, Maps, places
from ..nets.motion_basis import FOLD_PX, N_POSE, N_TERMS, PRODUCTS, TURNS, absolute_terms, brightness, terms
from ..nets.vae import MAX_LIGHT, VAE, warp
from ..taxonomy import CONTROLS
from .critic import MOUTH_BOX
from .faces import FaceBatch, FaceCache, laid
from .losses import region

logger = logging.getLogger(__name__)
HEADS = 2000
"""Of the cache, at most."""
_HEADS_AT_ONCE = 16
_RIDGE, _MOUTH_RIDGE = 0.02, 0.15
"""See `LeastSquares`: where a point is seldom seen, it is not said to move."""
FOLD_GAIN = 4.0
"""Folds lie a little elsewhere on each head, so that their mean is fainter than any. See ADR 28."""
FOLD_NOTHING = [
    *(CONTROLS.index(name) for name in ("blink", "gaze_x", "gaze_y")),
    *range(len(CONTROLS), len(CONTROLS) + N_POSE),
    len(CONTROLS) + N_POSE + PRODUCTS.index(("AU5", "blink")),
    *range(N_TERMS - len(TURNS), N_TERMS),
]
"""Terms of eyes and turns. What these do to the light comes out as blotches when it is drawn as folds are."""
MORE_TEETH = 1.5
"""Added to the weight of a place that shows teeth: where they lie differs from head to head."""
LEAST_BRIGHT = 0.1
"""Added to brightness, 0 .. 2, before ratios are taken, so that black says nothing of the light."""


def fit_motion_basis(vae: VAE, cache: FaceCache) -> None:
    """Set the template and the basis of a picture side."""
    fit_template(vae, cache)
    number = heads_of(cache)
    logger.info("fitting how a mean face moves, by %d heads", len(number))
    motion, mouth = LeastSquares(N_TERMS), LeastSquares(N_TERMS + 1)
    folds = LeastSquares(N_TERMS, 1, FOLD_PX)
    for batch, _, _ in batches(vae, cache, number):
        still = batch.reference_controls.repeat_interleave(cache.pairs.n_states, 0)
        change = terms(batch.controls, batch.pose) - terms(still, torch.zeros_like(batch.pose))
        motion.add(change, *gathered(batch))
        values, weight = gathered(batch, map_px=FOLD_PX)
        folds.add(change, values[:, 2:], weight)
        mouth.add(absolute_terms(batch.controls, batch.pose), *_mouths(batch))
    flow, light = softened(motion.solve(_RIDGE)).split((2, 1), 1)
    vae.motion_basis.flow.copy_(flow)
    vae.motion_basis.light.copy_(light)
    smooth = F.interpolate(light, size=FOLD_PX, mode="bilinear", align_corners=False)
    vae.motion_basis.folds.copy_(FOLD_GAIN * (folds.solve(_RIDGE) - smooth))
    vae.motion_basis.folds[FOLD_NOTHING] = 0
    vae.motion_basis.mouth.copy_(softened(mouth.solve(_MOUTH_RIDGE)))


def fit_template(vae: VAE, cache: FaceCache) -> None:
    """Set the template alone."""
    number = heads_of(cache)
    vae.canonical.template.copy_(mean_face(cache.points(number // N_HEADS, number % N_HEADS)))
    vae.canonical.forget()


def heads_of(cache: FaceCache) -> np.ndarray:
    """Numbers of training heads, two of each pair."""
    return cache.n_monitor * N_HEADS + np.arange(min(HEADS, N_HEADS * (cache.n_ready - cache.n_monitor)))


def mean_face(points: Tensor) -> Tensor:
    """Median landmarks [468, 2], in half frame widths, of faces [N, 468, 2] in frame widths; alike on both sides."""
    from scipy.optimize import linear_sum_assignment

    middle = (points * 2 - 1).median(0).values
    turned = middle * middle.new_tensor((-1, 1))
    mirror = torch.from_numpy(linear_sum_assignment(torch.cdist(middle, turned).numpy())[1])
    return (middle + turned[mirror]) / 2


def batches(vae: VAE, cache: FaceCache, number: np.ndarray) -> Iterator[tuple[FaceBatch, Maps, np.ndarray]]:
    """All frames of some heads at a time, laid out, how, and which."""
    states = np.arange(cache.pairs.n_states)
    for start in range(0, len(number), _HEADS_AT_ONCE):
        some = number[start : start + _HEADS_AT_ONCE]
        batch = cache.batch(some // N_HEADS, some % N_HEADS, np.tile(states, (len(some), 1)))
        maps = vae.lay(batch.points)
        yield laid(batch, maps), maps, some


def gathered(
    batch: FaceBatch, where: Tensor | None = None, which: Tensor | None = None, map_px: int = MAP_PX
) -> tuple[Tensor, Tensor]:
    """Of each point of the references, how far it went and how much lighter it got [B, 3, n], and its weight [B, n].

    where   [B, 2, H, W]  the point that each pixel shows. Default: its place in the reference
    which   [B, 1, H, W]  only these pixels, where this is 1
    map_px  side of the map of n points
    """
    size = batch.flow.shape[-1]
    true = warp(batch.references.repeat_interleave(len(batch.frames) // len(batch.references), 0), batch.flow)
    light = light_of(batch.frames, true).mean(1, keepdim=True)
    values = torch.cat([-batch.flow, light], 1).flatten(2)
    if where is None:
        where = places(batch.flow) + batch.flow
    cells = ((where.flatten(2) + 1) * (map_px / 2)).floor().long()
    seen = (batch.visible.flatten(1) > 0.9) & ((cells >= 0) & (cells < map_px)).all(1)
    if which is not None:
        seen &= which.flatten(1) > 0
    n = map_px * map_px
    index = torch.where(seen, cells[:, 1] * map_px + cells[:, 0], n)
    sums = values.new_zeros(len(values), 3, n + 1).scatter_add_(2, index[:, None].expand(-1, 3, -1), values)
    count = values.new_zeros(len(values), n + 1).scatter_add_(1, index, torch.ones_like(values[:, 0]))
    sums, count = sums[..., :-1], count[:, :-1]
    return sums / count.clamp(min=1)[:, None], (count * (map_px / size) ** 2).clamp(max=1)


def _mouths(batch: FaceBatch) -> tuple[Tensor, Tensor]:
    """Colours in brightnesses of the face [B, 3, 4096], and where an open mouth shows, the weight [B, 4096]."""
    size = batch.frames.shape[-1]
    bright = brightness(batch.references).repeat_interleave(len(batch.frames) // len(batch.references), 0)
    colours = F.avg_pool2d((batch.frames + 1) / 2 / bright.clamp(min=LEAST_BRIGHT), size // MAP_PX)
    shown = (1 - batch.visible) * (1 + MORE_TEETH * batch.teeth) * region(MOUTH_BOX, size)
    return colours.clamp(0, 2).flatten(2), F.avg_pool2d(shown, size // MAP_PX).flatten(1)


def light_of(frames: Tensor, moved: Tensor) -> Tensor:
    """Logarithm of the factor from moved references to frames [B, 3, H, W], as far as a decoder can follow."""
    return torch.log((frames + 1 + LEAST_BRIGHT) / (moved + 1 + LEAST_BRIGHT)).clamp(-MAX_LIGHT, MAX_LIGHT)


class LeastSquares:
    """Weighted least squares for each place of a map."""

    def __init__(self, n_terms: int, n_values: int = 3, map_px: int = MAP_PX) -> None:
        self.left = torch.zeros(map_px**2, n_terms, n_terms)
        self.right = torch.zeros(map_px**2, n_terms, n_values)
        self.weights, self.squares, self.n = torch.zeros(map_px**2), torch.zeros(n_terms), 0
        self.map_px = map_px

    def add(self, change: Tensor, values: Tensor, weight: Tensor) -> None:
        """Terms [B, n], what was observed [B, V, N * N], and how surely [B, N * N]."""
        pairs = (change[:, :, None] * change[:, None]).flatten(1)
        self.left += (weight.T @ pairs).unflatten(1, self.left.shape[1:])
        self.right += torch.einsum("nc,nk,nvc->ckv", weight, change, values)
        self.weights += weight.sum(0)
        self.squares += change.square().sum(0)
        self.n += len(change)

    def known(self, share: float) -> Tensor:
        """0 where nothing was observed, 1 from this share of the largest weight on: [N, N]."""
        return (self.weights / (share * self.weights.max()).clamp(min=1e-6)).clamp(max=1).view(self.map_px, self.map_px)

    def solve(self, ridge: float, is_even: bool = False) -> Tensor:
        """[n, V, N, N]; the ridge is of the mean diagonal, with terms of mean square 1.

        is_even  takes the mean diagonal of each place rather than of all, so that what is seldom seen moves as far
        """
        scale = (self.squares / max(1, self.n)).sqrt() + 1e-6
        left = self.left / scale[:, None] / scale
        usual = left.diagonal(dim1=1, dim2=2)
        mean = usual.mean(1, keepdim=True) + 1e-3 * usual.mean() if is_even else usual.mean()
        left.diagonal(dim1=1, dim2=2).add_(ridge * mean + 1e-6)
        found = torch.linalg.solve(left, self.right / scale[:, None]) / scale[:, None]
        return found.permute(1, 2, 0).unflatten(2, (self.map_px, self.map_px))


def softened(maps: Tensor) -> Tensor:
    """Maps [..., C, N, N] halfway to the means of three by three places."""
    soft = F.avg_pool2d(F.pad(maps.flatten(0, -3)[None], (1, 1, 1, 1), mode="replicate"), 3, 1)
    return (maps + soft[0].view_as(maps)) / 2
