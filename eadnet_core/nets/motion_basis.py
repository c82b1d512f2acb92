"""How a mean face moves: for every control and turn, where each of its points goes and how much lighter it gets.

A linear model in the canonical frame, fitted by least squares (training/motion_basis.py) and not changed afterwards.
The decoder begins with it and learns what a face does otherwise. Points are moved forwards, as muscles do, and the
flow backwards is found by iteration: backwards, what comes to a pixel is no linear function of a jaw.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..taxonomy import CONTROLS
from .canonical import MAP_PX, places, sample, sample_at, sampled

N_POSE = 5
PRODUCTS = (
    ("jaw", "open"),
    ("jaw", "round"),
    ("jaw", "wide"),
    ("AU25", "AU26"),
    ("AU20", "AU25"),
    ("AU12", "AU25"),
    ("AU10", "AU25"),
    ("AU6", "AU12"),
    ("AU1", "AU4"),
    ("AU5", "blink"),
)
"""Controls that do together what neither does alone."""
TURNS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
"""Products of yaw, pitch and roll."""
N_TERMS = len(CONTROLS) + N_POSE + len(PRODUCTS) + len(TURNS)
FOLD_PX = 128
FACE = (0.3, 0.7)
"""Of the canonical frame: from brows to mouth and from cheek to cheek."""
_STEPS, _LEAST_SLOPE, _MOST_SLOPE = 7, 0.8, 6.0


class MotionBasis(nn.Module):
    """What each term of `terms` does to the mean face.

    flow   [K, 2, 64, 64]  where each point goes, in half frame widths
    light  [K, 1, 64, 64]  logarithm of the factor on its brightness
    folds  [K, 1, 128, 128]  what `light` is too coarse for: frown lines and the folds of a smile
    mouth  [K + 1, 3, 64, 64]  what an open mouth shows at each place, in brightnesses of the face; K + 1 for a constant
    """

    flow: Tensor
    light: Tensor
    folds: Tensor
    mouth: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("flow", torch.zeros(N_TERMS, 2, MAP_PX, MAP_PX))
        self.register_buffer("light", torch.zeros(N_TERMS, 1, MAP_PX, MAP_PX))
        self.register_buffer("folds", torch.zeros(N_TERMS, 1, FOLD_PX, FOLD_PX))
        self.register_buffer("mouth", torch.zeros(N_TERMS + 1, 3, MAP_PX, MAP_PX))

    def forward(self, controls: Tensor, pose: Tensor, still: Tensor) -> tuple[Tensor, Tensor]:
        """Flow back to the reference [B, 2, 64, 64] and light [B, 1, 64, 64], float32.

        controls  [B, 28]  of frames; `still` those of their references
        pose      [B, 5]   relative to the reference
        """
        change = terms(controls.float(), pose.float()) - terms(still.float(), torch.zeros_like(pose).float())
        moved = torch.einsum("bk,kchw->bchw", change, self.flow.float())
        flow = backwards(moved)
        light = torch.einsum("bk,kchw->bchw", change, self.light.float())
        return flow, sample(light, places(flow) + flow)

    def turned(self, points: Tensor, pose: Tensor, still: Tensor) -> Tensor:
        """Where points of faces go that turn and do nothing else.

        points   [1, n, 2]  in half frame widths of the canonical frame
        pose     [B, 5]     relative to the reference
        still    [1, 28]    what the face does in its reference
        returns  [B, n, 2]
        """
        still, pose = still.float().expand(len(pose), -1), pose.float()
        change = terms(still, pose) - terms(still, torch.zeros_like(pose))
        steps = sample_at(self.flow.float(), points.float().expand(N_TERMS, -1, -1))
        return points + torch.einsum("bk,knc->bnc", change, steps)

    def creases(self, controls: Tensor, pose: Tensor, still: Tensor, flow: Tensor) -> Tensor:
        """Light of folds [B, 1, N, N] in frames that a flow [B, 2, N, N] makes; the rest as of `forward`."""
        change = terms(controls.float(), pose.float()) - terms(still.float(), torch.zeros_like(pose).float())
        return sample(torch.einsum("bk,kchw->bchw", change, self.folds.float()), places(flow) + flow)

    def paint(self, controls: Tensor, pose: Tensor, image: Tensor) -> Tensor:
        """What mouths show, -1 .. 1 float32 [B, 3, 64, 64], of faces whose pictures [B, 3, S, S] are laid out."""
        asked = absolute_terms(controls.float(), pose.float())
        return brightness(image) * torch.einsum("bk,kchw->bchw", asked, self.mouth.float()) * 2 - 1


def absolute_terms(controls: Tensor, pose: Tensor) -> Tensor:
    """`terms` and a constant: [B, K + 1]."""
    return torch.cat([terms(controls, pose), torch.ones_like(pose[:, :1])], 1)


def brightness(image: Tensor) -> Tensor:
    """Mean of the face in the middle of pictures [B, 3, S, S] that are laid out, 0 .. 1: [B, 1, 1, 1]."""
    return colour(image).mean(1, keepdim=True)


def colour(image: Tensor) -> Tensor:
    """Colour of the same, 0 .. 1: [B, 3, 1, 1]."""
    low, high = (round(edge * image.shape[-1]) for edge in FACE)
    return (image[..., low:high, low:high].float().mean((2, 3), keepdim=True) + 1) / 2


def terms(controls: Tensor, pose: Tensor) -> Tensor:
    """What the basis is linear in: controls [B, 28], pose [B, 5], and products of both -> [B, K]."""
    number = {name: i for i, name in enumerate(CONTROLS)}
    products = [controls[:, number[a]] * controls[:, number[b]] for a, b in PRODUCTS]
    turns = [pose[:, a] * pose[:, b] for a, b in TURNS]
    return torch.cat([controls, pose, torch.stack([*products, *turns], 1)], 1)


def backwards(moved: Tensor, rows: slice = slice(None), columns: slice = slice(None)) -> Tensor:
    """Where what is seen at each place came from, relative, of how far each point goes [B, 2, N, N], in a window.

    Newton's steps, each axis alone: where a lid is stretched, a fixed step does not come to rest.
    """
    here = places(moved)[..., rows, columns]
    across, down = (torch.gradient(moved[:, i], dim=d)[0] * (moved.shape[-1] / 2) for i, d in ((0, -1), (1, -2)))
    known = torch.cat([moved, torch.stack([across, down], 1)], 1)
    flow = -moved[..., rows, columns]
    for _ in range(_STEPS):
        there, slope = sampled(known, here + flow).split(2, 1)
        flow = flow - (flow + there) / (1 + slope).clamp(_LEAST_SLOPE, _MOST_SLOPE)
    return flow
