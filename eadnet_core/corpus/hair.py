"""The hair of a procedural head, as textures: masses cut from the skull's outline, and strands that follow them.

Our design. Each style gives two things: the outline of the hair, and for every point how far along a strand it lies
and across which strand. Light and dark, gloss and frayed edges are all functions of these two.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .identity import HAIR_KINDS
from .rig import Columns
from .texture import Sheet, bump, layered_noise, noise


@dataclass(frozen=True)
class Flow:
    """Strands of a style: distance across them and along them in frame widths, [h, w]."""

    across: Tensor
    along: Tensor


def hair_textures(i: Columns, sheet: Sheet) -> tuple[Tensor, Tensor]:
    """Hair behind the head, colour [3] and coverage; and before it, colour [3], coverage and shadow on the skin.

    returns  [4, h, w] and [5, h, w]
    """
    kind = HAIR_KINDS[int(i.hair_kind)]
    if float(i.hair_bald) > 0:
        empty = torch.zeros_like(sheet.u).expand(5, -1, -1)
        return empty[:4], empty
    flow = _flow(kind, i, sheet)
    cap, width = _cap(kind, i, sheet)
    back = torch.minimum(cap, _lengths(i, sheet, width)) if kind != "bun" else cap
    front = torch.maximum(cap, sheet.v - _hairline(kind, i, sheet))
    if kind != "bun":
        front = torch.minimum(front, _locks(kind, i, sheet, width))
    else:
        knot = ((sheet.u - 0.02 * i.hair_part[0, 0, 0]) ** 2 + (1.25 * (sheet.v + 0.47)) ** 2).sqrt() - 0.105
        back = torch.minimum(back, knot)
    tone, gloss = _strands(kind, i, sheet, flow)
    fray = 0.005 * sheet.shows(0.016) * noise(flow.across * 130, flow.along * 5)
    fray = fray + 0.004 * sheet.shows(0.008) * noise(flow.across * 260, flow.along * 9)
    fray = fray + 0.004 * noise(flow.across * 60, flow.along * 9)
    if kind == "curly":
        fray = fray + 0.030 * noise(sheet.u * 24 + i.phase3[0, 0, 0], sheet.v * 24)
    front, back = front + fray, back + fray
    hair = i.rgb("hair")[0]
    rim = 1 - 0.45 * torch.exp(back.clamp(-0.4, 0) / 0.035)  # a mass turns away from the light at its edge
    side = 1 + 0.22 * torch.cos(i.light_angle[0, 0, 0]) * (sheet.u / 0.3).clamp(-1, 1)
    tone = tone * side * rim
    warm = 0.35 * hair + 0.65 * torch.tensor([1.0, 0.93, 0.84], device=hair.device).view(3, 1, 1)
    sheen = gloss * i.hair_shine[0, 0, 0]
    colour = hair * tone + 0.85 * sheen * warm * (0.16 + 0.25 * hair.mean() + 0.9 * hair)
    colour = colour * (1 - 0.16 * torch.exp(front.clamp(-0.15, 0) / 0.012)) if kind != "cropped" else colour
    strength = 0.86 if kind == "cropped" else 1.0
    soft = 2.0 if kind == "cropped" else 1.5
    cover = sheet.edge(front, soft) * strength
    behind = torch.cat([colour * 0.62, sheet.edge(back, 1.8).unsqueeze(0)])
    return behind, torch.cat([colour, cover.unsqueeze(0), _shadow(cover, i, sheet).unsqueeze(0)])


def _cap(kind: str, i: Columns, sheet: Sheet) -> tuple[Tensor, Tensor]:
    """Signed distance to the skull with its hair [h, w], and half the width of the mass."""
    u, v = sheet.u, sheet.v
    volume = i.hair_volume[0, 0, 0] * {"curly": 1.7, "bun": 0.45, "cropped": 0.25}.get(kind, 1.0)
    width = i.face_width[0, 0, 0] + volume
    lift = 0.05 * u * i.hair_sweep[0, 0, 0] if kind == "swept" else torch.zeros_like(u)
    height = i.face_height[0, 0, 0] + volume * 1.1
    across, up = (u / width).abs().clamp(min=1e-4), ((v + 0.055 + lift) / height).abs().clamp(min=1e-4)
    radius = (across**2.2 + up**2.2) ** (1 / 2.2)
    low = torch.maximum((radius - 1) * 0.3, v - (0.06 if kind == "curly" else 0.02))
    return low, width + i.hair_wave[0, 0, 0] * torch.sin(v * 33 + i.phase3[0, 0, 0])


def _lengths(i: Columns, sheet: Sheet, width: Tensor) -> Tensor:
    """Hair that hangs behind the neck."""
    u, v = sheet.u, sheet.v
    bottom = -0.09 + i.hair_length[0, 0, 0]
    wide = width * (1 + 0.12 * ((v + 0.05) / 0.4).clamp(0, 1.5) - 0.10 * bump(v - bottom, 0.05))
    tips = 0.035 * noise(u * 26 + i.phase2[0, 0, 0], v * 2)
    return torch.maximum(u.abs() - wide, torch.maximum(v - bottom + tips, -0.06 - v))


def _locks(kind: str, i: Columns, sheet: Sheet, width: Tensor) -> Tensor:
    """Hair that falls before the ears and the shoulders."""
    u, v = sheet.u, sheet.v
    length = float(i.hair_length)
    if length < 0.1:
        inner = 0.93 * i.face_width[0, 0, 0] + 0.25 * (v + 0.03).clamp(0)
        side = torch.maximum(u.abs() - width * 0.99, inner - u.abs())
        return torch.maximum(side, torch.maximum(v - (0.0 if kind == "curly" else -0.03), -0.2 - v))
    bottom = -0.10 + length
    part = 0.10 * i.hair_part[0, 0, 0]
    inner = i.face_width[0, 0, 0] * (0.86 - 0.16 * (v / 0.35).clamp(0, 1.2)) + 0.15 * torch.sign(u) * part
    inner = inner + 0.35 * i.hair_wave[0, 0, 0] * torch.sin(v * 33 + i.phase5[0, 0, 0]) + 0.012 * noise(v * 11, u * 3)
    wide = width * (1 + 0.12 * ((v + 0.05) / 0.4).clamp(0, 1.5))
    tips = 0.035 * noise(u * 26 + i.phase2[0, 0, 0], v * 2)
    side = torch.maximum(u.abs() - wide, inner - u.abs())
    return torch.maximum(side, torch.maximum(v - bottom + tips, -0.16 - v))


def _hairline(kind: str, i: Columns, sheet: Sheet) -> Tensor:
    """Height of the lowest hair on the forehead at each column, [h, w]."""
    u = sheet.u
    temple = ((u.abs() - 0.11) / 0.16).clamp(0, 1.3)
    high = -i.hair_line[0, 0, 0]
    long = float(i.hair_length) > 0.1
    if kind == "fringe":
        return -0.205 + 0.012 * noise(u * 16 + i.phase2[0, 0, 0], u * 0) + 0.55 * (u.abs() - 0.17).clamp(min=0)
    if kind == "parted":
        x = u - 0.10 * i.hair_part[0, 0, 0]
        return high - 0.045 + (0.85 if long else 0.45) * x.abs() ** 1.25 + 0.2 * temple**2
    if kind == "swept":
        x = u * torch.sign(i.hair_sweep[0, 0, 0])
        return high - 0.01 + 0.10 * torch.sin((x * 7 - 0.5).clamp(-1.6, 1.6)) * 0.45 + 0.24 * temple * temple
    if kind == "bun":
        return high - 0.03 + 0.21 * temple**2 - 0.012 * bump(u, 0.05)
    return high + 0.01 * noise(u * 30, u * 0) + 0.24 * temple * temple * (1.4 if long else 1.0)


def _flow(kind: str, i: Columns, sheet: Sheet) -> Flow:
    u, v = sheet.u, sheet.v
    if kind in ("parted", "curly"):
        x = u - 0.10 * i.hair_part[0, 0, 0]
        hanging = (v / 0.12 + 0.4).clamp(0, 1)
        arc = (x * x + (v - 0.02) ** 2).sqrt()
        across = arc + (x.abs() - arc) * hanging
        along = torch.where(v < 0.02, torch.atan2(x.abs(), 0.02 - v) * 0.3, v - 0.02 + 0.47)
    elif kind == "swept":
        x = u * torch.sign(i.hair_sweep[0, 0, 0])
        across = ((x - 0.12) ** 2 + (v + 0.12) ** 2).sqrt()
        along = torch.atan2(x - 0.12, -0.12 - v) * 0.25 + 0.3
    else:
        crown = -0.80 if kind == "fringe" else -0.52
        angle = torch.atan2(u - 0.03 * i.hair_part[0, 0, 0], v - crown)
        low = ((v + 0.1) / 0.2).clamp(0, 1)
        across = angle * (0.55 if kind == "fringe" else 0.33) * (1 - low) + u * low
        along = v + 0.5
    bends = along * 27 + i.phase0[0, 0, 0] + 2.5 * noise(across * 9 + 40 * (u > 0), along * 3)
    wave = 0.55 * i.hair_wave[0, 0, 0] * torch.sin(bends)
    return Flow(across + wave + 0.006 * noise(across * 30, along * 9), along)


def _strands(kind: str, i: Columns, sheet: Sheet, flow: Flow) -> tuple[Tensor, Tensor]:
    """Light and dark of the hair, about 1, and its gloss 0 .. 1; [h, w]."""
    a, l = flow.across, flow.along  # noqa: E741
    locks = 0.45 * noise(a * 24 + i.phase1[0, 0, 0], l * 3) + 0.4 * noise(a * 52, l * 4)
    locks = locks + 0.2 * noise(sheet.u * 9, l * 4)
    strands = sheet.shows(0.022) * noise(a * 95, l * 5)
    strands = strands + 0.8 * sheet.shows(0.010) * noise(a * 210 + 9, l * 7)
    if kind == "curly":
        size = 17 + 14 * float(i.hair_curl)
        twist = layered_noise(sheet.u * size * 0.5 + 3, sheet.v * size * 0.5, 2)
        ring = noise(sheet.u * size + 2.2 * twist + i.phase2[0, 0, 0], sheet.v * size + 2.2 * twist)
        locks = 0.75 - 2.1 * ring.abs() + 0.35 * twist
        turn = sheet.shows(0.014) * noise(ring * 9 + 3 * twist, sheet.u * 60 + sheet.v * 60)
        strands = 0.3 * strands + 0.9 * turn
    if kind == "cropped":
        dots = noise(sheet.u * 150, sheet.v * 150) * sheet.shows(0.014)
        return 0.85 + 0.18 * dots + 0.1 * locks, 0.12 * bump(l - 0.12, 0.07)
    tone = 0.80 + 0.26 * locks + 0.22 * strands
    # a bright band lies where strands turn through the direction between lamp and eye
    centre = 0.14 + 0.03 * locks
    band = bump(l - centre, 0.06) + 0.45 * bump(l - centre - 0.32, 0.09)
    gloss = band * (0.55 + 0.5 * strands + 0.35 * locks).clamp(0, 1.4)
    return tone.clamp(0.25, 1.5), gloss * (0.45 if kind == "curly" else 1.0)


def _shadow(cover: Tensor, i: Columns, sheet: Sheet) -> Tensor:
    """What the hair takes from the light of the skin under it, 0 .. 1, [h, w]."""
    per_unit = (cover.shape[-1] - 1) / (2 * sheet.reach)
    k = 2 * round(0.016 * per_unit) + 1
    soft = cover.view(1, 1, *cover.shape)
    for _ in range(2):
        soft = F.avg_pool2d(soft, k, 1, k // 2, count_include_pad=False)
    down, across = round(0.024 * per_unit), round(-0.016 * per_unit * float(torch.cos(i.light_angle).reshape(())))
    return soft[0, 0].roll((down, across), (0, 1)) * 0.5
