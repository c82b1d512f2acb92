"""The expressive layers of a procedural head: eyes, brows, nose, mouth, wrinkles and glasses.

Each function paints on a canvas (`renderer.Canvas`) from the geometry that `rig` computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from . import rig
from .rig import Columns, Eye, Mouth

if TYPE_CHECKING:
    from .renderer import Canvas


def draw_eye(canvas: Canvas, i: Columns, e: Eye) -> None:
    """White, iris, pupil, light, lids and lashes."""
    dx, dy = canvas.u - e.x, canvas.v - e.y
    tilt = i.eye_tilt * e.side
    dy = dy + tilt * dx
    s = dx / e.half_width
    bow = (1 - s * s).clamp(min=0.0)
    lower_lid = e.lower * bow
    open_lid = -e.upper * (bow + 1e-5).sqrt() * (0.35 + 0.65 * bow)
    closed_lid = lower_lid * 0.75
    upper_lid = open_lid + (closed_lid - open_lid) * e.blink
    hole = canvas.inside(torch.maximum(torch.maximum(upper_lid - dy, dy - lower_lid), (s.abs() - 1) * e.half_width))
    shadow = 0.80 + 0.20 * ((dy - upper_lid) / 0.016).clamp(0, 1)
    white = i.rgb("skin").mean(1, keepdim=True) * 0.18 + torch.tensor([0.80, 0.80, 0.79], device=dx.device).view(
        1, 3, 1, 1
    )
    canvas.paint(white.clamp(max=0.96) * shadow.unsqueeze(1), hole)
    ix, iy = dx - e.gaze_x, dy - e.gaze_y + 0.003
    radius = (ix * ix + iy * iy + 1e-9).sqrt()
    size = 0.0225 * i.eye_size
    rim = 1 - 0.55 * torch.sigmoid((radius - size * 0.82) * 700) + 0.35 * torch.sigmoid((iy - 0.004) * 300)
    canvas.paint(i.rgb("iris") * (rim * shadow).unsqueeze(1), hole * canvas.inside(radius - size))
    dark = torch.full_like(e.blink, 0.03).unsqueeze(1)
    canvas.paint(dark, hole * canvas.inside(radius - size * 0.46))
    spark = (((ix + 0.007) ** 2 + (iy + 0.007) ** 2) + 1e-9).sqrt() - 0.0058
    canvas.paint(torch.full_like(dark, 0.98), hole * canvas.inside(spark))
    within = torch.sigmoid((1.06 - s.abs()) * 26)
    lash = canvas.inside((dy - upper_lid).abs() - 0.0030 - 0.0030 * i.lashes) * within
    canvas.paint(i.rgb("skin") * 0.16, lash * (0.75 + 0.25 * i.lashes))
    crease = torch.exp(-(((dy - open_lid + 0.014 * (1 - 0.4 * e.blink)) / 0.0045) ** 2)) * within
    bag = torch.exp(-(((dy - lower_lid - 0.007) / 0.006) ** 2)) * within
    canvas.shade(1 - 0.24 * crease - (0.10 + 0.16 * i.age) * bag)


def draw_brow(canvas: Canvas, i: Columns, e: Eye) -> None:
    """One eyebrow: inner end moved by AU1 and AU4, outer end by AU2."""
    s = (canvas.u - e.brow_x) / e.brow_half_width * e.side  # -1 inner end .. 1 outer end
    inner, outer = ((1 - s) * 0.5).clamp(0, 1.1), ((1 + s) * 0.5).clamp(0, 1.1)
    arch = 0.014 * i.brow_arch * (1 - (s - 0.25) ** 2).clamp(min=-0.6)
    height = arch + e.brow_inner * inner + e.brow_outer * outer - 0.06 * i.brow_tilt * s
    distance = (canvas.v - e.brow_y + height).abs() - i.brow_thickness * (1.05 - 0.55 * outer)
    ends = (s.abs() - 1) * 0.06
    hairs = 0.95 + 0.05 * torch.sin(canvas.u * 330 + canvas.v * 190 * e.side)
    colour = i.rgb("hair") * 0.6 * (1 - 0.3 * i.brow_darkness).unsqueeze(1)
    coverage = canvas.inside(torch.maximum(distance, ends), 1.25) * (0.62 + 0.36 * i.brow_darkness) * hairs
    canvas.paint(colour, coverage.clamp(0, 0.97))


def draw_nose(canvas: Canvas, i: Columns, s: Columns) -> None:
    """Bridge, tip, wings and nostrils."""
    base = -0.055 + i.nose_length
    tip_x = rig.turned_x(torch.zeros_like(s.yaw), rig.DEPTH_NOSE, s)
    tip_y = rig.turned_y(base - 0.008 * s.AU9 - 0.004 * s.AU10, rig.DEPTH_NOSE, s)
    top_x = rig.turned_x(torch.zeros_like(s.yaw), rig.DEPTH_EYES + 0.03, s)
    along = ((canvas.v + 0.10) / (tip_y + 0.10)).clamp(0, 1)
    axis = top_x + (tip_x - top_x) * along
    width = (0.014 + (i.nose_width - 0.014) * along * along) * (1 + 0.12 * s.AU9)
    du = canvas.u - axis
    fade = torch.sigmoid((tip_y + 0.012 - canvas.v) * 90) * torch.sigmoid((canvas.v + 0.10) * 40)
    lit = torch.cos(i.light_angle)
    left = torch.exp(-(((du + width) / 0.011) ** 2)) * (0.05 + 0.09 * (lit > 0))
    right = torch.exp(-(((du - width) / 0.011) ** 2)) * (0.05 + 0.09 * (lit <= 0))
    ridge = torch.exp(-((du / (0.35 * width + 0.004)) ** 2)) * 0.07 * (0.4 + 0.6 * along)
    canvas.shade(1 - (left + right) * fade * (0.35 + 0.65 * along) + ridge * fade)
    dv = canvas.v - tip_y
    under = torch.exp(-(((dv - 0.012) / 0.010) ** 2 + (du / (i.nose_width * 1.1)).square().square()))
    canvas.shade(1 - 0.22 * under)
    flare = i.nose_width * (0.56 + 0.10 * s.AU9 + 0.06 * s.AU10)
    for side in (-1.0, 1.0):
        hole = ((du - side * flare) / 0.0125) ** 2 + ((dv - 0.002 + 0.25 * (du - side * flare) * side) / 0.0062) ** 2
        canvas.paint(i.rgb("skin") * 0.26, canvas.inside((hole.sqrt() - 1) * 0.008) * 0.85)
        wing = torch.exp(-(((du - side * (i.nose_width + 0.006)) / 0.006) ** 2 + ((dv + 0.008) / 0.017) ** 2))
        canvas.shade(1 - (0.20 + 0.15 * s.AU9) * wing)


def draw_mouth(canvas: Canvas, i: Columns, m: Mouth) -> None:
    """Inside of the mouth with teeth and tongue, then the lips around it."""
    s = (canvas.u - m.x) / m.half_width
    bow = (1 - s * s).clamp(min=0.0)
    right = torch.sigmoid(s * 6)
    corner = m.corner_left + (m.corner_right - m.corner_left) * right
    edge = s.abs().clamp(max=1.25)
    edge = edge * (0.3 + 0.7 * edge)
    middle = m.y - corner * (edge - 0.28) - m.chin_push * bow
    arc = (bow + 1e-5).sqrt() * (0.6 + 0.4 * bow)
    inner_top = middle - (0.30 * m.gap + m.raise_upper) * arc
    inner_bottom = middle + 0.70 * m.gap * arc
    cupid = 1 - 0.28 * torch.exp(-((s / 0.13) ** 2)) + 0.10 * torch.exp(-(((s.abs() - 0.3) / 0.16) ** 2))
    outer_top = inner_top - m.upper * arc * cupid
    outer_bottom = inner_bottom + m.lower * arc
    v = canvas.v
    ends = (s.abs() - 1) * m.half_width
    lips = canvas.inside(torch.maximum(torch.maximum(outer_top - v, v - outer_bottom), ends))
    lip = i.rgb("lip")
    upper_side = torch.sigmoid((inner_top + inner_bottom - 2 * v) * 160)
    gloss = torch.exp(-(((v - inner_bottom - 0.45 * m.lower) / 0.006) ** 2 + (s / 0.5) ** 2))
    tone = 1.06 - 0.2 * upper_side + 0.22 * gloss - 0.12 * s * s
    canvas.paint(lip * tone.unsqueeze(1), lips)
    hole = canvas.inside(torch.maximum(torch.maximum(inner_top - v, v - inner_bottom), ends))
    hole = hole * torch.sigmoid((inner_bottom - inner_top - 0.004) * 900)
    cavity = torch.tensor([0.20, 0.05, 0.06], device=v.device).view(1, 3, 1, 1)
    canvas.paint(cavity.expand(len(v), -1, 1, 1), hole)
    tongue_top = inner_bottom - (0.010 + 0.32 * m.gap + 0.35 * m.gap * m.tongue) * arc
    tongue = torch.tensor([0.70, 0.32, 0.34], device=v.device).view(1, 3, 1, 1)
    canvas.paint(tongue * (0.8 + 0.2 * m.tongue).unsqueeze(1), hole * canvas.inside((tongue_top - v), 2.0))
    teeth_height = (0.011 + 0.024 * m.teeth) * arc * (m.teeth > 0.05)
    gaps = 1 - 0.10 * torch.exp(-(((torch.remainder(s * 5.5 + 0.5, 1.0) - 0.5) / 0.07) ** 2))
    teeth = hole * canvas.inside(torch.maximum(v - inner_top - teeth_height, (s.abs() - 0.86) * m.half_width))
    canvas.paint(torch.full_like(lip, 0.93) * gaps.unsqueeze(1), teeth * (0.35 + 0.6 * m.teeth))
    low = hole * canvas.inside(torch.maximum(inner_bottom - v - 0.3 * teeth_height, (s.abs() - 0.7) * m.half_width))
    canvas.paint(torch.full_like(lip, 0.86), low * (0.6 * m.teeth).clamp(0, 1))
    line = torch.exp(-(((v - 0.5 * (inner_top + inner_bottom)) / 0.0032) ** 2)) * torch.sigmoid((1.04 - s.abs()) * 40)
    canvas.paint(lip * 0.32, line * (1 - (m.gap + m.raise_upper) / 0.012).clamp(0, 1) * 0.6)
    below = torch.exp(-(((v - outer_bottom - 0.012) / 0.010) ** 2 + (s / 0.75).square().square()))
    canvas.shade(1 - 0.16 * below)


def draw_wrinkles(canvas: Canvas, i: Columns, s: Columns, m: Mouth) -> None:
    """Folds that follow the action units; age deepens them."""
    u, v = canvas.u, canvas.v
    deep = 0.55 + 0.75 * i.age
    dark = torch.zeros_like(u)
    up = 0.2 * torch.sin(s.pitch)
    # forehead, raised brows
    face = torch.exp(-((u / 0.17) ** 2).square())
    raise_ = (0.75 * s.AU1 + 0.75 * s.AU2 + 0.12 * i.age).clamp(0, 1.3)
    for n in range(3):
        y = -0.215 - 0.030 * n + 0.010 * torch.cos(u * 17) * (1 - 1.6 * s.AU1 * (1 - s.AU2)) - 0.02 * s.AU2 + up
        dark = dark + 0.17 * raise_ * torch.exp(-(((v - y) / 0.0050) ** 2)) * face
    # between the brows
    for side in (-1.0, 1.0):
        x = rig.turned_x(side * (0.020 - 0.004 * s.AU4), 0.23, s) + side * 0.10 * (v + 0.15 - up)
        line = torch.exp(-(((u - x) / 0.0050) ** 2 + ((v + 0.155 - up) / 0.030) ** 2))
        dark = dark + 0.36 * s.AU4 * line
    # bridge of the nose
    nose_x = rig.turned_x(torch.zeros_like(s.yaw), 0.27, s)
    for n in range(3):
        y = -0.085 + 0.024 * n + up + 0.6 * (u - nose_x).abs() * (n - 1)
        dark = dark + 0.30 * s.AU9 * torch.exp(-(((v - y) / 0.0048) ** 2 + ((u - nose_x) / 0.034) ** 2))
    for side in (-1.0, 1.0):
        dark = dark + _side_folds(u, v, i, s, m, side, up)
    # chin
    chin = ((u - m.x) / 0.05) ** 2 + ((v - m.y - 0.095) / 0.022) ** 2
    dark = dark + 0.22 * s.AU17 * torch.exp(-chin) * (0.7 + 0.3 * torch.sin(u * 240) * torch.sin(v * 260))
    canvas.shade(1 - (dark * deep).clamp(0, 0.62))


def _side_folds(u: Tensor, v: Tensor, i: Columns, s: Columns, m: Mouth, side: float, up: Tensor) -> Tensor:
    lift = m.corner_left if side < 0 else m.corner_right
    # from the wing of the nose around the corner of the mouth
    start_y = 0.075 - 0.012 * s.AU9 + up
    t = ((v - start_y) / 0.125).clamp(0, 1)
    x = m.x + side * (0.058 + (m.half_width + 0.020 - 0.058 + 0.25 * lift.abs()) * t * (1.2 - 0.2 * t))
    fold = (
        torch.exp(-(((u - x) / 0.0095) ** 2))
        * torch.sigmoid((v - start_y) * 160)
        * torch.sigmoid((start_y + 0.125 - v) * 90)
    )
    depth = (
        0.07 * i.age + 0.15 * s.AU12 + 0.17 * s.AU10 + 0.12 * s.AU9 + 0.08 * s.AU6 + 1.2 * lift.clamp(min=0)
    ).clamp(0, 0.34)
    dark = depth * fold
    # corner of the mouth: dimple when pulled up or in, line when pulled down
    cx, cy = m.x + side * (m.half_width + 0.014), m.y - lift * 0.8
    dimple = torch.exp(-(((u - cx) / 0.0075) ** 2 + ((v - cy) / 0.018) ** 2))
    right = (i.smirk_side * side > 0).float()
    dark = dark + (0.55 * s.AU14 * right + 0.14 * s.AU12) * dimple
    line = torch.exp(-(((u - cx - side * 0.10 * (v - cy)) / 0.0055) ** 2 + ((v - cy - 0.026) / 0.022) ** 2))
    dark = dark + 0.34 * s.AU15 * line
    # outer corner of the eye
    ex = rig.turned_x(side * (i.eye_spacing + 0.058), 0.16, s)
    for n in (-1.0, 0.0, 1.0):
        dx = (u - ex) * side
        y = -0.085 + up + n * (0.008 + 0.32 * dx)
        crow = torch.exp(-(((v - y) / 0.0040) ** 2 + ((dx - 0.017) / 0.015) ** 2))
        dark = dark + (0.26 * s.AU6 + 0.07 * i.age) * crow
    # under the eye
    under = torch.exp(-(((u - ex + side * 0.05) / 0.045) ** 2 + ((v + 0.050 - up) / 0.0060) ** 2))
    return dark + (0.20 * s.AU6 + 0.14 * s.AU7) * under


def draw_glasses(canvas: Canvas, i: Columns, s: Columns, eyes: list[Eye]) -> None:
    """A frame around both eyes, its bridge and a faint reflection."""
    if float(i.glasses.max()) == 0.0:
        return
    dark = i.rgb("cloth2") * 0.25
    p = i.glasses_square
    shift = 0.035 * torch.sin(s.yaw)
    for e in eyes:
        x = (canvas.u - e.x - shift) / i.glasses_size
        y = (canvas.v - e.y - 0.006) / (i.glasses_size * 0.8)
        radius = (x.abs().clamp(min=1e-3) ** p + y.abs().clamp(min=1e-3) ** p) ** (1 / p)
        canvas.paint(torch.ones_like(dark), torch.sigmoid((1 - radius) * 20) * 0.05 * i.glasses)
        canvas.paint(dark, canvas.inside((radius - 1).abs() * 0.066 - 0.0045) * i.glasses)
        arm = torch.maximum(i.glasses_size - (canvas.u - e.x - shift) * e.side, (canvas.v - e.y + 0.012).abs() - 0.005)
        beyond = torch.maximum(arm, (canvas.u * e.side) - i.face_width)
        canvas.paint(dark, canvas.inside(beyond) * i.glasses)
    middle = 0.5 * (eyes[0].x + eyes[1].x) + shift
    half = 0.5 * (eyes[1].x - eyes[0].x) - i.glasses_size
    bridge = torch.maximum((canvas.v - eyes[0].y + 0.012).abs() - 0.0045, (canvas.u - middle).abs() - half)
    canvas.paint(dark, canvas.inside(bridge) * i.glasses)
