"""From controls to geometry: how visemes, action units, pose and blinks move the parts of a procedural head.

All lengths are frame widths at scale 1, in head coordinates: u to the picture's right, v down, origin at the middle of
the face. The renderer only draws what this file computes, and the mouth opening that scores use is computed here too.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..taxonomy import ACTION_UNITS
from .identity import INDEX
from .visemes import VISEME_PARAMETERS

POSE = ("yaw", "pitch", "roll", "shift_x", "shift_y")
STATE = (*VISEME_PARAMETERS, *ACTION_UNITS, *POSE, "blink", "gaze_x", "gaze_y", "breath")
"""Names of a frame's controls; pose is absolute here (radians, frame widths), and breath is -1 out .. 1 in."""

STATE_INDEX = {name: i for i, name in enumerate(STATE)}
FULL_GAP = 0.11
"""Lip gap, in frame widths, that counts as mouth opening 1."""

DEPTH_EYES, DEPTH_NOSE, DEPTH_MOUTH, DEPTH_OUTLINE = 0.20, 0.31, 0.25, 0.05


class Columns:
    """Named columns of a [B, n] tensor as [B, 1, 1], ready to broadcast over pixels."""

    def __init__(self, values: Tensor, index: dict[str, int]) -> None:
        self._values, self._index = values, index

    def __getattr__(self, name: str) -> Tensor:
        return self._values[:, self._index[name], None, None]

    def rgb(self, name: str) -> Tensor:
        """Three columns NAME_r, NAME_g, NAME_b as [B, 3, 1, 1]."""
        first = self._index[f"{name}_r"]
        return self._values[:, first : first + 3, None, None]


@dataclass(frozen=True)
class Mouth:
    """Lip geometry; every field [B, 1, 1]."""

    x: Tensor
    y: Tensor
    half_width: Tensor
    gap: Tensor
    upper: Tensor
    lower: Tensor
    corner_left: Tensor
    corner_right: Tensor
    raise_upper: Tensor
    chin_push: Tensor
    teeth: Tensor
    tongue: Tensor
    press: Tensor


@dataclass(frozen=True)
class Eye:
    """One eye and its brow; `side` is -1 for the picture's left. Fields [B, 1, 1] but for `side`."""

    side: float
    x: Tensor
    y: Tensor
    half_width: Tensor
    upper: Tensor
    lower: Tensor
    blink: Tensor
    gaze_x: Tensor
    gaze_y: Tensor
    brow_x: Tensor
    brow_y: Tensor
    brow_half_width: Tensor
    brow_inner: Tensor
    brow_outer: Tensor
    brow_bend: Tensor


def columns(identity: Tensor, states: Tensor) -> tuple[Columns, Columns]:
    """Identity [B, P] and states [B, R] with their columns by name."""
    return Columns(identity, INDEX), Columns(states, STATE_INDEX)


def mouth(i: Columns, s: Columns) -> Mouth:
    """Lips of each frame."""
    smile = s.AU12 * 0.050 - s.AU15 * 0.038 - s.AU20 * 0.014
    smirk = s.AU14 * 0.050
    right = (i.smirk_side > 0).float()
    half_width = i.mouth_width * (
        1 + 0.16 * s.wide - 0.34 * s.round + 0.32 * s.AU12 + 0.25 * s.AU20 - 0.12 * s.AU23 - 0.1 * s.AU17
        - 0.30 * s.AU26 + 0.02 * s.AU14
    )  # fmt: skip
    thin = 1 - 0.5 * s.press - 0.55 * s.AU23 - 0.12 * s.wide - 0.18 * s.AU12 - 0.1 * s.AU20
    thin = thin.clamp(min=0.22)
    return Mouth(
        x=turned_x(torch.zeros_like(half_width), DEPTH_MOUTH, s) + i.smirk_side * s.AU14 * 0.014,
        y=turned_y(i.mouth_y + 0.006 * s.jaw - 0.006 * s.AU17, DEPTH_MOUTH, s),
        half_width=half_width * torch.cos(s.yaw),
        gap=lip_gap(s),
        upper=1.2 * i.upper_lip * thin * (1 + 0.5 * s.round - 0.25 * s.AU10 + 0.2 * s.AU26),
        lower=1.15 * i.lower_lip * thin * (1 + 0.4 * s.round - 0.6 * s.tuck + 0.15 * s.AU17),
        corner_left=smile + smirk * (1 - right),
        corner_right=smile + smirk * right,
        raise_upper=0.021 * s.AU10 + 0.009 * s.AU9 + 0.010 * s.upper + 0.024 * s.AU12 * s.AU25,
        chin_push=0.013 * s.AU17,
        teeth=(
            0.55 + 0.45 * s.teeth + 0.45 * s.AU12 + 0.5 * s.AU10 + 0.3 * s.AU20 - 0.35 * s.round - 0.4 * s.AU26
        ).clamp(0, 1),
        tongue=s.tongue,
        press=s.press,
    )


def jaw_drop(s: Columns) -> Tensor:
    """How far the chin lies below its place at rest, [B, 1, 1] in frame widths."""
    return 0.034 * s.jaw + 0.036 * s.AU26 + 0.008 * s.AU25 - 0.006 * s.AU17


def lip_gap(s: Columns) -> Tensor:
    """Distance between the inner edges of the lips at their middle, [B, 1, 1] in frame widths."""
    gap = (
        0.072 * s.jaw
        + 0.026 * s.open
        + 0.006 * s.upper
        + 0.008 * s.teeth
        + 0.022 * s.AU25
        + 0.036 * s.AU26
        + 0.016 * s.AU10
    )
    gap = gap - 0.012 * s.AU23 - 0.008 * s.AU17 - 0.004 * s.AU15
    return (gap.clamp(min=0.0)) * (1 - s.press) * (1 - 0.75 * s.tuck)


def mouth_opening(states: Tensor) -> Tensor:
    """How far the lips are apart, [B] of states [B, R]; 0 closed, 1 a gap of `FULL_GAP` frame widths."""
    return lip_gap(Columns(states, STATE_INDEX))[:, 0, 0] / FULL_GAP


def mouth_half_width(identity: Tensor, states: Tensor) -> Tensor:
    """Half the lips' width in frame widths at scale 1, [B] of identity [B, P] and states [B, R]."""
    return mouth(*columns(identity, states)).half_width[:, 0, 0]


def eye(i: Columns, s: Columns, side: float) -> Eye:
    """The eye at the picture's left (side -1) or right (+1), with its brow."""
    x = turned_x(side * i.eye_spacing, DEPTH_EYES, s)
    y = turned_y(torch.full_like(x, -0.09), DEPTH_EYES, s)
    narrow = torch.cos(s.yaw + side * 0.5) / 0.8776
    half_width = 0.054 * i.eye_size * narrow.clamp(0.6, 1.12)
    open_height = 0.027 * i.eye_size * i.eye_height
    brow_y = turned_y(-0.09 - i.brow_height, DEPTH_EYES + 0.015, s)
    return Eye(
        side=side,
        x=x,
        y=y,
        half_width=half_width,
        upper=open_height
        * (1 + 0.62 * s.AU5 - 0.30 * s.AU7 - 0.24 * s.AU6 - 0.14 * s.AU4 - 0.1 * s.AU9).clamp(min=0.3),
        lower=0.018 * i.eye_size * (1 - 0.62 * s.AU6 - 0.40 * s.AU7 - 0.2 * s.AU9 + 0.15 * s.AU5).clamp(min=0.2),
        blink=s.blink.clamp(0, 1),
        gaze_x=s.gaze_x * 0.016,
        gaze_y=s.gaze_y * 0.010,
        brow_x=turned_x(side * (i.eye_spacing + 0.006 - 0.021 * s.AU4), DEPTH_EYES + 0.015, s),
        brow_y=brow_y + 0.012 * s.AU9 + 0.004 * s.AU7,
        brow_half_width=0.064 * narrow.clamp(0.6, 1.12) * (1 - 0.06 * s.AU4),
        brow_inner=0.036 * s.AU1 - 0.034 * s.AU4 * (1 - 0.75 * s.AU1) - 0.008 * s.AU9,
        brow_outer=0.040 * s.AU2 - 0.012 * s.AU4 * (1 - 2 * s.AU2) - 0.012 * s.AU1 * (1 - 1.4 * s.AU2),
        brow_bend=1 + 0.9 * s.AU2 * (1 - s.AU4) - 0.9 * s.AU4 * (0.4 + 0.6 * s.AU1),
    )


def turned_x(x: Tensor, depth: float, s: Columns) -> Tensor:
    """Where a point at (x, depth) appears after the head's yaw."""
    return x * torch.cos(s.yaw) + depth * torch.sin(s.yaw)


def turned_y(y: Tensor, depth: float, s: Columns) -> Tensor:
    """Where a point at (y, depth) appears after the head's pitch (positive: down)."""
    return y * torch.cos(s.pitch) + depth * torch.sin(s.pitch)
