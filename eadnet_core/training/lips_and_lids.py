"""How lips, lids and eyeballs of a mean face move, and what its mouth shows, by least squares over rendered heads."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..corpus.head_pairs import N_HEADS
from ..heads.features import N_LANDMARKS, landmark_slice
from ..nets.canonical import MAP_PX, Maps, places, sample, sample_at
from ..nets.lips_and_lids import (
    JOINED,
    LAYERS,
    N_COLUMNS,
    NOSE,
    TEETH_PX,
    Lines,
    LipsAndLids,
    aligned,
    heights,
    heights_over,
    light_in_mouth,
    lines_through,
)
from ..nets.motion_basis import N_TERMS, absolute_terms, terms
from ..nets.vae import VAE
from ..taxonomy import CONTROLS
from .critic import MOUTH_BOX
from .faces import FaceBatch, FaceCache
from .losses import region
from .motion_basis import LEAST_BRIGHT, LeastSquares, batches, gathered, heads_of, softened

logger = logging.getLogger(__name__)
_RIDGE, _INSIDE_RIDGE = 0.02, 0.15
_NOSE_BAND = 0.06
"""Around `NOSE`, both fields of skin know the face."""
_IN_EYE = 0.008
"""A point is an eyeball's if it lies so far inside the lids, in half frame widths."""
_AT_REST = 0.1
_BLINK = CONTROLS.index("blink")
_HEADS_AT_ONCE = 64
_JAW, _OPEN = CONTROLS.index("jaw"), 0.35
"""Teeth are learned from mouths that are so far open that both rows lie apart."""
EDGE_DEPTH, EDGE_SOFT, INNER = 0.03, 0.03, 0.3
"""How far outside an edge its own motion begins, how softly, and how far inside it ends, in half frame widths."""
_EDGE_RIDGE, _SURELY = 1e-3, 0.8
TOOTH_EDGES = ((0.0, 0.083, 0.146, 0.204, 0.25), (0.0, 0.052, 0.108, 0.165, 0.22))
"""Where upper and lower teeth meet, from the middle, in half frame widths: a mouth of 50 mm is .49 wide, an upper
incisor 8.5 mm, and teeth further back are seen from the side (Wheeler's Dental Anatomy)."""
GAP, GAP_WIDTH = 0.2, 0.008
BITE = 0.55
"""y in the canonical frame between the rows of teeth of a mouth at rest."""
_KNOWN = 0.15
"""Share of the usual weight from which a cell is believed."""


def fit_lips_and_lids(vae: VAE, cache: FaceCache) -> None:
    """Set the layers of a picture side whose template is set."""
    layers, number = vae.lips_and_lids, heads_of(cache)
    logger.info("fitting how lips and lids part, by %d heads", len(number))
    fields = [LeastSquares(N_TERMS) for _ in range(3)]
    inside = LeastSquares(N_TERMS + 1)
    corners = _fit_lines(vae, cache, number)
    for batch, lines in _seen(vae, cache, number):
        still = batch.reference_controls.repeat_interleave(cache.pairs.n_states, 0)
        change = terms(batch.controls, batch.pose) - terms(still, torch.zeros_like(batch.pose))
        for field, of_layer, where in zip(
            fields, layer_weights(batch, lines), _aligned(layers, batch, lines), strict=True
        ):
            field.add(change, *gathered(batch, where, of_layer))
        inside.add(absolute_terms(batch.controls, batch.pose), *_insides(batch))
    edges = _edge_motion(vae, cache, number)
    for i, field in enumerate(fields):
        maps = softened(spread(field.solve(_RIDGE, is_even=True)[:, :2], field.known(_KNOWN)))
        if i < 2:
            line = (layers.above, layers.below)[i]
            maps = _with_edges(maps, line, edges[i], edges[2 + i], corners, (1, -1)[i])
        getattr(layers, LAYERS[i]).copy_(maps)
    layers.inside.copy_(softened(inside.solve(_INSIDE_RIDGE)))
    layers.teeth.copy_(_teeth(vae, cache, number))


def _fit_lines(vae: VAE, cache: FaceCache, number: np.ndarray) -> Tensor:
    """Set the mean lines, alike on both sides, by faces at rest; their corners [6]."""
    above, below, corners = [], [], []
    for start in range(0, len(number), _HEADS_AT_ONCE):
        pair, head = number[start : start + _HEADS_AT_ONCE] // N_HEADS, number[start : start + _HEADS_AT_ONCE] % N_HEADS
        lines = exact_lines(cache.outlines(pair, head), vae.lay(cache.points(pair, head)))
        rested = torch.from_numpy(cache.controls(pair)).abs()[:, _BLINK] < _AT_REST
        rested = rested if rested.any() else ~rested
        above.append(lines.above[rested])
        below.append(lines.below[rested])
        corners.append(lines.corners)
    for name, found in (("above", above), ("below", below)):
        line = torch.cat(found).median(0).values
        getattr(vae.lips_and_lids, name).copy_((line + line.flip(-1)) / 2)
    return torch.cat(corners).mean(0)


def _aligned(layers: LipsAndLids, batch: FaceBatch, lines: Lines) -> list[Tensor]:
    """Where each pixel of the frames lies in the mean face, for each layer: [B, 2, H, W]."""
    where = places(batch.flow) + batch.flow
    lines = lines.repeat(len(where) // len(lines.above))
    return [aligned(where, lines.above, layers.above), aligned(where, lines.below, layers.below), where]


def _seen(vae: VAE, cache: FaceCache, number: np.ndarray) -> Iterator[tuple[FaceBatch, Lines]]:
    for batch, maps, some in batches(vae, cache, number):
        yield batch, exact_lines(cache.outlines(some // N_HEADS, some % N_HEADS), maps)


def exact_lines(outlines: Tensor, maps: Maps) -> Lines:
    """Lines by the renderer's own landmarks [B, N_LANDMARKS, 2] in frame widths, and how faces are laid."""
    return lines_through(*_edges(sample_at(maps.to_canonical, outlines * 2 - 1)))


def _edges(laid: Tensor) -> list[Tensor]:
    """Of the renderer's landmarks [..., N_LANDMARKS, 2]: lids above, below, lips above, below; each from left to right.

    The landmark in the middle of an upper lid is left out: it lies in the lid's fold.
    """
    lips, right, left = (laid[..., landmark_slice(name), :] for name in ("lips_inner", "lid_right", "lid_left"))
    above, below = [], []
    for group in (right, left, lips):
        half = group.shape[-2] // 2
        over, under = list(range(half + 1)), [0, *range(2 * half - 1, half - 1, -1)]
        kept = [i for i in range(half + 1) if i != half // 2 or group is lips]
        above.append(group[..., [over[i] for i in kept], :])
        below.append(group[..., [under[i] for i in kept], :])
    return [torch.cat(above[:2], -2), torch.cat(below[:2], -2), above[2], below[2]]


def _edge_motion(vae: VAE, cache: FaceCache, number: np.ndarray) -> list[Tensor]:
    """How far lids above and below, lips above and below go, by term and column: [K, 2, 128] each."""
    left, right = torch.zeros(N_TERMS, N_TERMS), torch.zeros(N_TERMS, 2 * N_LANDMARKS)
    rest, n = torch.zeros(N_LANDMARKS, 2), 0
    for start in range(0, len(number), _HEADS_AT_ONCE):
        some = number[start : start + _HEADS_AT_ONCE]
        pair, head = some // N_HEADS, some % N_HEADS
        maps = vae.lay(cache.points(pair, head))
        outlines = cache.outlines_of_all(pair, head) * 2 - 1
        laid = torch.stack([sample_at(maps.to_canonical, outlines[:, i]) for i in range(outlines.shape[1])], 1)
        asked = torch.stack([terms(controls, pose) for controls, pose in zip(*cache.asked(pair), strict=True)])
        change, moved = (asked[:, :-1] - asked[:, -1:]).flatten(0, 1), (laid[:, :-1] - laid[:, -1:]).flatten(0, 1)
        left, right = left + change.T @ change, right + change.T @ moved.flatten(1)
        rest, n = rest + laid[:, -1].sum(0), n + len(laid)
    ridge = _EDGE_RIDGE * left.diagonal().mean() * torch.eye(len(left))
    motion = torch.linalg.solve(left + ridge, right).unflatten(1, (-1, 2))
    columns = (torch.arange(N_COLUMNS) * 2 + 1) / N_COLUMNS - 1
    found = []
    for where, moved in zip(_edges(rest / n), _edges(motion), strict=True):
        x = where[:, 0].expand(len(moved), -1)
        found.append(torch.stack([heights_over(columns, torch.stack([x, moved[..., i]], -1)) for i in (0, 1)], 1))
    return found


def _with_edges(field: Tensor, line: Tensor, lids: Tensor, lips: Tensor, corners: Tensor, side: int) -> Tensor:
    """A field [K, 2, 64, 64] that moves edges, and what lies beyond them, as far as the edges are known to go.

    line  [2, 128]  mean `Lines.above` or `below`; lids and lips [K, 2, 128] their motion; corners [6]
    side  1 where the skin lies above its line, -1 where it lies below
    """
    here = places(field)
    is_mouth = here[:, 1:] > NOSE
    depth = side * (here[:, 1:] - heights(line[None], here[:, :1], is_mouth))
    inside = Lines(line[None], line[None], corners[None]).inside(here[:, :1], is_mouth)
    share = ((depth + EDGE_DEPTH) / EDGE_SOFT).clamp(0, 1) * ((INNER - depth) / INNER).clamp(0, 1).mul(2).clamp(max=1)
    share = share * (inside / JOINED).clamp(0, 1)
    of_lips, of_lids = (F.interpolate(m, MAP_PX, mode="linear")[:, :, None] for m in (lips, lids))
    return torch.lerp(field, torch.where(is_mouth, of_lips, of_lids).expand_as(field), share)


def layer_weights(batch: FaceBatch, lines: Lines) -> list[Tensor]:
    """For each pixel of the frames, whether its place in the reference belongs to what lies above the lines, to what
    lies below, and to eyeballs: 0 or 1, [B, 1, H, W] each."""
    where = places(batch.flow) + batch.flow
    is_mouth = where[:, 1:] > NOSE
    lines = lines.repeat(len(where) // len(lines.above))
    over, under = lines.beyond(where, is_mouth)
    is_beside = lines.inside(where[:, :1], is_mouth) < 0
    is_nose = (where[:, 1:] - NOSE).abs() < _NOSE_BAND
    is_ball = ~is_mouth & (torch.maximum(over, under) < -_IN_EYE)
    return [((over > 0) | is_beside | is_nose).float(), ((under > 0) | is_beside | is_nose).float(), is_ball.float()]


def _insides(batch: FaceBatch) -> tuple[Tensor, Tensor]:
    """Colours in brightnesses of the face [B, 3, 4096], and where a mouth shows its lining, the weight [B, 4096]."""
    size = batch.frames.shape[-1]
    shown = batch.lining * (batch.lining > _SURELY) * region(MOUTH_BOX, size)
    weight = F.avg_pool2d(shown, size // MAP_PX)
    colours = F.avg_pool2d(_relative(batch) * shown, size // MAP_PX) / weight.clamp(min=1e-3)
    return colours.flatten(2), weight.flatten(1)


def _relative(batch: FaceBatch) -> Tensor:
    light = light_in_mouth(batch.references).repeat_interleave(len(batch.frames) // len(batch.references), 0)
    return ((batch.frames + 1) / 2 / light.clamp(min=LEAST_BRIGHT)).clamp(0, 2)


def _teeth(vae: VAE, cache: FaceCache, number: np.ndarray) -> Tensor:
    """[2, 4, 128, 128]: of upper and lower teeth, how often they are seen where a mouth is open, and their colour."""
    n = TEETH_PX * TEETH_PX
    sums = torch.zeros(2, 5, n + 1)
    for batch, _ in _seen(vae, cache, number):
        is_open = (batch.controls[:, _JAW, None] > _OPEN).float()
        shown = ((1 - batch.visible) * region(MOUTH_BOX, batch.frames.shape[-1])).flatten(1) * is_open
        teeth = batch.teeth.flatten(1)
        colours = _relative(batch).flatten(2)
        values = torch.cat([torch.ones_like(teeth)[:, None], teeth[:, None], colours * teeth[:, None]], 1)
        for row, moved in enumerate(vae.lips_and_lids.bones(batch.controls, batch.pose)):
            where = (places(batch.flow) + sample(moved, places(batch.flow))).flatten(2)
            cells = ((where + 1) * (TEETH_PX / 2)).floor().long().clamp(0, TEETH_PX - 1)
            index = (cells[:, 1] * TEETH_PX + cells[:, 0]).flatten()
            sums[row].index_add_(1, index, (values * shown[:, None]).transpose(0, 1).flatten(1))
    sums = sums[..., :-1]
    sums = sums.unflatten(2, (TEETH_PX, TEETH_PX))
    sums = _soft(sums + sums.flip(-1)).flatten(2)
    cover = sums[:, 1] / (sums[:, 0] + 0.02 * sums[:, 0].mean()).clamp(min=1e-6)
    colours = sums[:, 2:] / sums[:, 1:2].clamp(min=1e-3)
    maps = torch.cat([cover[:, None], colours], 1).unflatten(2, (TEETH_PX, TEETH_PX))
    known = (
        (sums[:, 1] / sums[:, 1].amax(1, keepdim=True).clamp(min=1e-6) > 0.02)
        .float()
        .unflatten(1, (TEETH_PX, TEETH_PX))
    )
    rows = ((torch.arange(TEETH_PX) * 2 + 1) / TEETH_PX - 1)[:, None]
    maps[0, :1] *= rows < BITE
    maps[1, :1] *= rows > BITE
    filled = torch.stack([spread(m[1:], k) for m, k in zip(maps, known, strict=True)])
    return torch.cat([maps[:, :1], filled * _gaps()], 1)


def _gaps() -> Tensor:
    """What darkens teeth where they meet, [2, 1, 1, 128]: heads differ by half a tooth, so that their mean is a bar."""
    x = (torch.arange(TEETH_PX) * 2 + 1) / TEETH_PX - 1
    rows = []
    for edges in TOOTH_EDGES:
        away = (x.abs()[:, None] - torch.tensor(edges)).abs().amin(1)
        rows.append(1 - GAP * torch.exp(-((away / GAP_WIDTH) ** 2)))
    return torch.stack(rows)[:, None, None]


def _soft(maps: Tensor) -> Tensor:
    kernel = maps.new_tensor((1, 2, 1)) / 4
    kernel = (kernel[:, None] * kernel).expand(maps.shape[1], 1, 3, 3)
    return F.conv2d(maps, kernel, padding=1, groups=maps.shape[1])


def spread(maps: Tensor, known: Tensor) -> Tensor:
    """Maps [..., N, N] where known [N, N] (0 .. 1), and elsewhere what is known nearby (pull and push pyramids)."""
    if known.shape[-1] <= 1 or bool((known >= 1).all()):
        return maps
    weight = F.avg_pool2d(known[None, None], 2)[0, 0]
    coarse = F.avg_pool2d((maps * known).flatten(0, -3)[None], 2)[0] / weight.clamp(min=1e-6)
    coarse = spread(coarse, (2 * weight).clamp(max=1))
    fine = F.interpolate(coarse[None], scale_factor=2.0, mode="bilinear", align_corners=False)[0]
    return torch.lerp(fine.view_as(maps), maps, known)
