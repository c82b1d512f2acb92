"""The canonical frame: every face laid onto one shape by its landmarks, so that each feature has a fixed place.

A thin plate spline (Bookstein 1989, "Principal warps") leads from the canonical frame to a face's own training frame.
Its knots are fixed, so the spline of a new face is one product of matrices. Inner lips and lids are no knots: what
they do is expression, and a shut mouth would have to be torn open.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

N_POINTS = 468
MAP_PX = 64
"""Side of the maps; they are smooth."""
STRETCH = (0.35, 0.2)
"""How much wider and higher the middle of the frame becomes, where mouth and eyes lie, at the expense of its edge."""
SMOOTHING = 0.1
"""Of the spline. On 180 rendered heads landmarks end .34 pixels of 128 from their places (7.7 before), and one head in
180 would fold."""
LEAST_AREA = 0.12
"""Of a cell that is laid out, in areas of the same cell of the frame. A face that would fold is laid less far."""
_KNOTS_ON_EDGE, _EDGE = 12, 1.12
_INVERSE_STEPS = 12
_TRIES, _LESS = 6, 0.6
_LOOSE = (
    *(78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191),
    *(7, 163, 144, 145, 153, 154, 155, 173, 157, 158, 159, 160, 161, 246),
    *(249, 390, 373, 374, 380, 381, 382, 398, 384, 385, 386, 387, 388, 466),
)
"""Landmarks of inner lips and lids."""


@dataclass(frozen=True)
class Maps:
    """Between a face's own training frame and the canonical one, in half frame widths, -1 .. 1.

    to_picture    [B, 2, 64, 64]  where each place of the canonical frame lies in the training frame
    to_canonical  [B, 2, 64, 64]  and back
    """

    to_picture: Tensor
    to_canonical: Tensor

    def repeat(self, times: int) -> Maps:
        """Those of each face `times` in a row."""
        return Maps(self.to_picture.repeat_interleave(times, 0), self.to_canonical.repeat_interleave(times, 0))

    def lay(self, images: Tensor) -> Tensor:
        """Pictures [B, C, S, S] in the training frame, laid out in the canonical frame at the same size."""
        return sample(images, self.to_picture)

    def lay_flow(self, flow: Tensor) -> Tensor:
        """Flow [B, 2, S, S] between pictures in the training frame as flow in the canonical frame."""
        here = resized(self.to_picture, flow.shape[-1])
        there = here + sample(flow, here)
        return sample(self.to_canonical, there) - sample(self.to_canonical, here)


class CanonicalFrame(nn.Module):
    """Lays faces out by their landmarks.

    template  [468, 2]  the mean face in half frame widths, alike on both sides
    """

    template: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("template", torch.zeros(N_POINTS, 2))
        self._spline: Tensor | None = None
        self.register_load_state_dict_post_hook(lambda *_: self.forget())

    def forget(self) -> None:
        """Called when the template has changed."""
        self._spline = None

    def mirror(self) -> Tensor:
        """Which landmark each becomes in a mirror, [468]."""
        template = self.template.float()
        return torch.cdist(template * template.new_tensor((-1, 1)), template).argmin(1)

    def forward(self, points: Tensor) -> Maps:
        """Maps of faces by their landmarks [B, 468, 2], in frame widths."""
        template = self.template.to(points.device, torch.float32)
        if self._spline is None or self._spline.device != points.device:
            self._spline = _spline(template.double()).float()
        kept = _kept(points.device)
        laid = stretched(template[kept])
        shift = template[kept] - laid
        own = points[:, kept].float() * 2 - 1 - template[kept]
        here = places(points, MAP_PX)
        to_picture = here + _on_map(self._spline @ (own + shift))
        share = torch.ones(len(points), 1, 1, device=points.device)
        for _ in range(_TRIES):
            folds = least_area(to_picture) < LEAST_AREA
            if not folds.any():
                break
            share = torch.where(folds[:, None, None], share * _LESS, share)
            to_picture = here + _on_map(self._spline @ (share * own + shift))
        return Maps(to_picture, inverse(to_picture))


def stretched(points: Tensor) -> Tensor:
    """Places [..., 2] of the training frame where the canonical frame has them; the edge stays.

    >>> stretched(torch.tensor([0.0, 1.0])).round(decimals=3).tolist()
    [0.0, 1.0]
    """
    return points + points.new_tensor(STRETCH) * torch.sin(torch.pi * points) / torch.pi


def inverse(to_picture: Tensor) -> Tensor:
    """The map [B, 2, N, N] that leads back, by fixed-point iteration."""
    here = places(to_picture)
    shift = to_picture - here
    back = here.expand_as(to_picture)
    for _ in range(_INVERSE_STEPS):
        back = 0.5 * back + 0.5 * (here - sample(shift, back))
    return back


def least_area(to_picture: Tensor) -> Tensor:
    """Smallest area of a cell of maps [B, 2, N, N], in those of the frame; below 0 where it folds: [B]."""
    half = to_picture.shape[-1] / 2
    across, down = to_picture.diff(dim=-1)[..., :-1, :] * half, to_picture.diff(dim=-2)[..., :-1] * half
    return (across[:, 0] * down[:, 1] - across[:, 1] * down[:, 0]).flatten(1).amin(1)


def sample(source: Tensor, where: Tensor, mode: str = "bilinear") -> Tensor:
    """source [B, C, H, H] at places [B, 2, h, h] in half frame widths; the edge goes on beyond it.

    Places are brought to the source's size where they are fewer. In float32: half precision cannot tell pixels apart.
    """
    size = max(source.shape[-1], where.shape[-1])
    return sampled(source.float(), resized(where.float(), size), mode).to(source.dtype)


def sampled(source: Tensor, where: Tensor, mode: str = "bilinear") -> Tensor:
    """source [B, C, H, W], float32, at places [B, 2, h, w] in half frame widths: [B, C, h, w]; the edge goes on."""
    where = where.expand(len(source), -1, -1, -1).permute(0, 2, 3, 1)
    return F.grid_sample(source, where, mode=mode, padding_mode="border", align_corners=False)


def sample_at(source: Tensor, points: Tensor) -> Tensor:
    """source [B, C, H, H] at points [B, n, 2] in half frame widths: [B, n, C]."""
    return sampled(source, points.transpose(1, 2)[:, :, None])[:, :, 0].transpose(1, 2)


def resized(where: Tensor, size: int) -> Tensor:
    """Places [B, 2, h, h] for each pixel of a frame of another size; what a place is does not change with the size."""
    if where.shape[-1] == size:
        return where
    shift = F.interpolate(where.float() - places(where), size=size, mode="bilinear", align_corners=False)
    return places(where, size) + shift


def _spline(template: Tensor) -> Tensor:
    """[4096, knots]: from how far each knot moves to how far each place of the map does."""
    laid = stretched(template[_kept(template.device)])
    steps = torch.linspace(-1, 1, _KNOTS_ON_EDGE + 1, dtype=laid.dtype, device=laid.device)[:-1]
    ones = torch.ones_like(steps)
    sides = ((steps, -ones), (ones, steps), (-steps, ones), (-ones, -steps))
    edge = _EDGE * torch.cat([torch.stack(side, 1) for side in sides])
    knots = torch.cat([laid, edge])
    n = len(knots)
    system = knots.new_zeros(n + 3, n + 3)
    system[:n, :n] = _kernel(knots, knots) + SMOOTHING * torch.eye(n, dtype=knots.dtype, device=knots.device)
    system[:n, n:] = _affine(knots)
    system[n:, :n] = system[:n, n:].T
    weights = torch.linalg.inv(system)[:, : len(laid)]
    where = places(knots, MAP_PX)[0].flatten(1).T.to(knots.dtype)
    return torch.cat([_kernel(where, knots), _affine(where)], 1) @ weights


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    squares = (a[:, None] - b[None]).square().sum(-1)
    return 0.5 * squares * torch.log(squares + 1e-12)


def _affine(points: Tensor) -> Tensor:
    return torch.cat([torch.ones_like(points[:, :1]), points], 1)


def _kept(device: torch.device) -> Tensor:
    return torch.tensor([i for i in range(N_POINTS) if i not in _LOOSE], device=device)


def _on_map(shifts: Tensor) -> Tensor:
    """[B, 4096, 2] -> [B, 2, 64, 64]"""
    return shifts.transpose(1, 2).unflatten(2, (MAP_PX, MAP_PX))


def places(like: Tensor, size: int | None = None) -> Tensor:
    """x and y of every cell of maps like these, or of another size, in half frame widths: [1, 2, size, size]."""
    size = size or like.shape[-1]
    axis = (torch.arange(size, device=like.device, dtype=torch.float32) * 2 + 1) / size - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x, y])[None]
