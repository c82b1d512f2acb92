"""Draws procedural heads: soft-edged layers composited back to front, vectorised over frames, on CPU or CUDA.

Our design. Every shape is a signed distance turned into coverage by a sigmoid about half a pixel wide, so that edges
are anti-aliased at any size. Parts hang on points in depth, which gives parallax when the head turns. What a clip never
changes (skin, hair, dress, place) is drawn once as a texture in head coordinates; layers are drawn where they can be.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from . import rig
from .canvas import Canvas
from .face_layers import draw_brow, draw_eye, draw_glasses, draw_mouth, draw_nose, fold_relief
from .hair import hair_textures
from .identity import HAIR_KINDS
from .rig import Columns
from .scene import background, body_texture, developed, lens_gain
from .skin import Lamps, lamps, lit, skin_texture, warped
from .texture import FACE_DENSITY, FACE_REACH, FRAME_DENSITY, FRAME_REACH, bump, sample, sheet

BATCH_PIXELS = 1 << 18
"""Pixels drawn at once: keeps a layer's temporaries in cache."""


@dataclass(frozen=True)
class Still:
    """What stays the same in every frame of a clip."""

    background: Tensor  # [1, 3, H, W]
    gain: Tensor  # [1, 3, H, W]
    skin: Tensor  # textures
    back_hair: Tensor
    front_hair: Tensor
    body: Tensor


@torch.no_grad()
def render_frames(identity: Tensor, states: Tensor, size_px: int = 128) -> Tensor:
    """Frames of heads.

    identity  [B, P]     columns named by `identity.IDENTITY`
    states    [B, T, R]  columns named by `rig.STATE`
    returns   [B, T, 3, size_px, size_px] uint8
    """
    n_clips, n_frames = states.shape[:2]
    frames = torch.empty(n_clips, n_frames, 3, size_px, size_px, dtype=torch.uint8, device=states.device)
    at_once = max(1, BATCH_PIXELS // size_px**2)
    for clip in range(n_clips):
        one = identity[clip : clip + 1]
        if clip == 0 or not torch.equal(one, identity[clip - 1 : clip]):
            still = _still(Columns(one, rig.INDEX), size_px)
        for start in range(0, n_frames, at_once):
            image = _render(one, states[clip, start : start + at_once], still, size_px)
            frames[clip, start : start + at_once] = image.mul_(255).add_(0.5).to(torch.uint8)
    return frames


def _still(i: Columns, size_px: int) -> Still:
    face = sheet(size_px, i.bg_angle.device, FACE_REACH, FACE_DENSITY)
    frame = sheet(size_px, i.bg_angle.device, FRAME_REACH, FRAME_DENSITY)
    back_hair, front_hair = hair_textures(i, frame)
    return Still(
        background(i, size_px),
        lens_gain(i, size_px),
        skin_texture(i, face),
        back_hair,
        front_hair,
        body_texture(i, frame),
    )


def _render(identity: Tensor, states: Tensor, still: Still, size_px: int) -> Tensor:
    i, s = rig.columns(identity, states)
    canvas = _canvas(i, s, still.background.expand(len(states), -1, -1, -1).clone(), size_px)
    mouth = rig.mouth(i, s)
    lights = lamps(i, s)
    has_hair = float(i.hair_bald) == 0.0
    hair_x = rig.turned_x(torch.zeros_like(s.yaw), -0.06, s)
    if has_hair:
        back = sample(still.back_hair, canvas.u - hair_x, canvas.v, FRAME_REACH)
        canvas.paint(back[:, :3], back[:, 3])
    _body(canvas, i, s, still.body, size_px)
    _ears(canvas, i, s)
    _face(canvas.part(0.06, 1.0, 0.06, 0.94), i, s, still.skin, mouth, lights)
    draw_nose(canvas.part(0.42, 0.78, 0.25, 0.75), i, s)
    eyes = [rig.eye(i, s, side) for side in (-1.0, 1.0)]
    sides = ((0.16, 0.58), (0.42, 0.84))
    for eye, (left, right) in zip(eyes, sides, strict=True):
        draw_eye(canvas.part(0.3, 0.62, left, right), i, eye, lights)
    draw_mouth(canvas.part(0.55, 1.0, 0.2, 0.8), i, mouth, lights)
    for eye, (left, right) in zip(eyes, sides, strict=True):
        draw_brow(canvas.part(0.2, 0.58, left, right), i, eye)
    if has_hair:
        _front_hair(canvas, i, s, still.front_hair, hair_x)
    draw_glasses(canvas.part(0.27, 0.66), i, s, eyes)
    return developed(canvas.image, i, still.gain, size_px)


def _canvas(i: Columns, s: Columns, image: Tensor, size_px: int) -> Canvas:
    axis = (torch.arange(size_px, device=image.device, dtype=torch.float32) + 0.5) / size_px
    x = axis[None, None, :] - i.center_x - s.shift_x
    y = axis[None, :, None] - i.center_y - s.shift_y
    # the head rolls about the neck, which lies below its middle
    cos, sin = torch.cos(s.roll) / i.scale, torch.sin(s.roll) / i.scale
    pivot = 0.25 * i.scale
    u = x * cos + (y - pivot) * sin
    v = (y - pivot) * cos - x * sin + 0.25
    return Canvas(image, u, v, 0.58 / size_px)


def _face_distance(canvas: Canvas, i: Columns, s: Columns) -> Tensor:
    """Signed distance to the outline of the face, [B, H, W]."""
    u = canvas.u - rig.turned_x(torch.zeros_like(s.yaw), rig.DEPTH_OUTLINE, s)
    v = canvas.v - rig.turned_y(torch.full_like(s.pitch, -0.02), rig.DEPTH_OUTLINE, s)
    low = (v / (i.face_height + 0.001)).clamp(0, 1.1)
    width = i.face_width * (1 - i.jaw_taper * low * low * (0.55 + 0.45 * low)) * (1 - 0.02 * s.round)
    width = width * (1 + 0.03 * bump(v - 0.03, 0.07) * (i.cheekbone + 0.7 * s.AU6))
    height = torch.where(v > 0, i.face_height + i.chin + rig.jaw_drop(s), i.face_height)
    p = i.squareness
    radius = ((u / width).abs().clamp(min=1e-3) ** p + (v / height).abs().clamp(min=1e-3) ** p) ** (1 / p)
    return (radius - 1) * 0.30


def _body(canvas: Canvas, i: Columns, s: Columns, texture: Tensor, size_px: int) -> None:
    """Neck and shoulders: they stay where they are when the head turns, rise with the breath, and lie in its shadow."""
    part = canvas.part(0.55, 1.0)
    axis = (torch.arange(size_px, device=canvas.u.device, dtype=torch.float32) + 0.5) / size_px
    y = axis[None, canvas.span(0.55, 1.0), None] - i.center_y - 0.3 * s.shift_y
    x = axis[None, None, :] - i.center_x - 0.3 * s.shift_x
    # shoulders rise and widen a little when the chest fills
    lift = 0.006 * s.breath
    x = x / i.scale * (1 - 0.4 * lift) - 0.1 * (1 - y / i.scale / 0.5).clamp(0, 1) * torch.sin(s.roll)
    y = (y + lift) / i.scale
    look = sample(texture, x.expand_as(part.u), y.expand_as(part.u), FRAME_REACH)
    part.paint(look[:, :3], look[:, 3])
    chin = i.face_height + i.chin + rig.jaw_drop(s)
    below = ((part.u - 0.05 * torch.sin(s.yaw)) / (0.92 * i.face_width)) ** 2 + (
        (part.v - 0.05 - 0.06 * s.pitch) / chin
    ) ** 2
    part.shade(1 - 0.58 * look[:, 3] * torch.sigmoid((1.06 - below) * 9))


def _ears(canvas: Canvas, i: Columns, s: Columns) -> None:
    covered = ((i.hair_length - 0.1) / 0.06).clamp(0, 1) * (1 - i.hair_bald)
    if float(covered) == 1.0 and HAIR_KINDS[int(i.hair_kind)] != "bun":
        return
    for side, (left, right) in ((-1.0, (0.06, 0.42)), (1.0, (0.58, 0.94))):
        part = canvas.part(0.34, 0.72, left, right)
        x = rig.turned_x(side * (i.face_width + 0.002), -0.03, s)
        y = rig.turned_y(torch.full_like(x, -0.02), -0.03, s)
        a, b = 0.030 * i.ear_size, 0.066 * i.ear_size
        du, dv = (part.u - x) * side / a, (part.v - y) / b
        du = du - 0.35 * dv  # the upper rim stands out, the lobe lies close
        radius = (du * du + dv * dv + 1e-6).sqrt()
        rim = bump(radius - 0.80, 0.14)
        bowl = bump(du + 0.15, 0.47) * bump(dv - 0.1, 0.47)
        lamp = 0.86 + 0.5 * i.light_strength * torch.cos(i.light_angle) * side
        tone = (lamp + 0.13 * rim - 0.34 * bowl - 0.2 * bump(radius - 0.58, 0.12)).unsqueeze(1)
        red = torch.tensor([1.03, 0.90, 0.88], device=part.u.device).view(1, 3, 1, 1)
        part.paint(i.rgb("skin") * tone * red, part.inside((radius - 1) * 0.03))


def _face(canvas: Canvas, i: Columns, s: Columns, texture: Tensor, mouth: rig.Mouth, lights: Lamps) -> None:
    outline = _face_distance(canvas, i, s)
    u, v = warped(canvas.u, canvas.v, i, s)
    look = sample(texture, u, v, FACE_REACH)
    relief, flush, crease = fold_relief(canvas, i, s, mouth)
    pixel = 1.7 * canvas.edge  # in head coordinates, about
    slope_u, slope_v = look[:, 3], look[:, 4]
    slope_u[:, :, 1:-1] += (relief[:, :, 2:] - relief[:, :, :-2]) * (0.5 / pixel)
    slope_v[:, 1:-1] += (relief[:, 2:] - relief[:, :-2]) * (0.5 / pixel)
    # the outline curves away whatever the texture says there
    turn = (1 + outline.clamp(-0.2, 0) * 5).square().square() * 0.9
    slope_u = slope_u - turn * (canvas.u / i.face_width)
    slope_v = slope_v - turn * (canvas.v / i.face_height).clamp(min=0)
    red = torch.tensor([0.05, -0.20, -0.18], device=u.device).view(1, 3, 1, 1)
    colour = look[:, :3] * (1 + red * flush.unsqueeze(1)) * (1 - crease.unsqueeze(1))
    colour = lit(i, colour, slope_u, slope_v, look[:, 5], lights)
    canvas.paint(colour, canvas.inside(outline))


def _front_hair(canvas: Canvas, i: Columns, s: Columns, texture: Tensor, hair_x: Tensor) -> None:
    """Hair before the face: locks near the middle lie further forward than those at the sides."""
    depth = 0.10 * (1 - (canvas.u / (i.face_width + i.hair_volume)) ** 2).clamp(min=0)
    u = canvas.u - hair_x * (1 - depth * 10) - depth * torch.sin(s.yaw)
    v = canvas.v - depth * torch.sin(s.pitch)
    look = sample(texture, u, v, FRAME_REACH)
    canvas.shade(1 - look[:, 4] * (1 - look[:, 3]))
    canvas.paint(look[:, :3], look[:, 3])
