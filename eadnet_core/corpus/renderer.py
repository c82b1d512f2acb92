"""Draws procedural heads: soft-edged layers composited back to front, vectorised over frames, on CPU or CUDA.

Our design. Every shape is a signed distance turned into coverage by a sigmoid about half a pixel wide, so that edges
are anti-aliased at any size. Parts hang on points in depth, which gives parallax when the head turns. Layers of eyes
and mouth are drawn on the rows where they can be, which saves two thirds of the work.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from . import rig
from .face_layers import draw_brow, draw_eye, draw_glasses, draw_mouth, draw_nose, draw_wrinkles
from .rig import Columns

BATCH_FRAMES = 64
"""Frames drawn at once: keeps a layer's temporaries in cache."""


@dataclass
class Canvas:
    """A picture under construction and the head coordinates of its pixels."""

    image: Tensor  # [B, 3, H, W] in 0 .. 1
    u: Tensor  # [B, H, W] head coordinates
    v: Tensor
    edge: float  # softness of an edge in head coordinates

    def inside(self, distance: Tensor, softness: float = 1.0) -> Tensor:
        """Coverage 0 .. 1 of a shape given its signed distance (negative inside)."""
        return torch.sigmoid(distance * (-1.0 / (self.edge * softness)))

    def paint(self, colour: Tensor, coverage: Tensor) -> None:
        """Lay a colour [B, 3, 1, 1] or [B, 3, H, W] over the picture, in place."""
        self.image.lerp_(colour.expand_as(self.image), coverage.unsqueeze(1))

    def shade(self, factor: Tensor) -> None:
        """Multiply the picture by a factor [B, H, W], in place."""
        self.image.mul_(factor.unsqueeze(1))

    def rows(self, top: float, bottom: float) -> Canvas:
        """The part between two heights (0 .. 1 of the picture) as a view: painting on it paints the whole."""
        height = self.image.shape[-2]
        part = slice(int(top * height), math.ceil(bottom * height))
        return Canvas(self.image[:, :, part], self.u[:, part], self.v[:, part], self.edge)


@torch.no_grad()
def render_frames(identity: Tensor, states: Tensor, size_px: int = 128) -> Tensor:
    """Frames of heads.

    identity  [B, P]     columns named by `identity.IDENTITY`
    states    [B, T, R]  columns named by `rig.STATE`
    returns   [B, T, 3, size_px, size_px] uint8
    """
    n_clips, n_frames = states.shape[:2]
    frames = torch.empty(n_clips, n_frames, 3, size_px, size_px, dtype=torch.uint8, device=states.device)
    for clip in range(n_clips):
        one = identity[clip : clip + 1]
        background = _background(Columns(one, rig.INDEX), size_px)
        for start in range(0, n_frames, BATCH_FRAMES):
            part = states[clip, start : start + BATCH_FRAMES]
            image = _render(one, part, background, size_px)
            frames[clip, start : start + BATCH_FRAMES] = (image * 255 + 0.5).to(torch.uint8)
    return frames


def _render(identity: Tensor, states: Tensor, background: Tensor, size_px: int) -> Tensor:
    i, s = rig.columns(identity, states)
    canvas = _canvas(i, s, background.expand(len(states), -1, -1, -1).clone(), size_px)
    mouth = rig.mouth(i, s)
    outline = _face_distance(canvas, i, s)
    hair_x = rig.turned_x(torch.zeros_like(s.yaw), -0.06, s)
    hair = i.rgb("hair") * _strands(canvas, i, hair_x).unsqueeze(1)
    _back_hair(canvas, i, hair_x, hair)
    _body(canvas, i, s, size_px)
    _ears(canvas, i, s)
    _skin(canvas, i, s, outline)
    draw_wrinkles(canvas.rows(0.14, 0.98), i, s, mouth)
    _beard(canvas.rows(0.4, 1.0), i, outline[:, int(0.4 * size_px) :], mouth)
    draw_nose(canvas.rows(0.28, 0.82), i, s)
    eyes = [rig.eye(i, s, side) for side in (-1.0, 1.0)]
    for eye in eyes:
        draw_eye(canvas.rows(0.28, 0.64), i, eye)
    draw_mouth(canvas.rows(0.52, 1.0), i, mouth)
    for eye in eyes:
        draw_brow(canvas.rows(0.2, 0.6), i, eye)
    draw_glasses(canvas.rows(0.25, 0.68), i, s, eyes)
    _front_hair(canvas.rows(0.0, 0.75), i, s, hair_x, hair[:, :, : math.ceil(0.75 * size_px)])
    return _finish(canvas.image, i, size_px)


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
    jaw = 0.034 * s.jaw + 0.028 * s.AU26 + 0.008 * s.AU25 - 0.006 * s.AU17
    height = torch.where(v > 0, i.face_height + i.chin + jaw, i.face_height)
    p = i.squareness
    radius = ((u / width).abs().clamp(min=1e-3) ** p + (v / height).abs().clamp(min=1e-3) ** p) ** (1 / p)
    return (radius - 1) * 0.30


def _background(i: Columns, size_px: int) -> Tensor:
    """The wall behind the head, [1, 3, H, W]: a gradient with soft lights, stripes or brush strokes."""
    axis = (torch.arange(size_px, device=i.bg_angle.device) + 0.5) / size_px - 0.5
    x, y = axis[None, None, :], axis[None, :, None]
    along = x * torch.cos(i.bg_angle) + y * torch.sin(i.bg_angle)
    weight = torch.sigmoid(along * 5)
    kind = int(i.background_kind)
    if kind == 1:  # soft lights out of focus
        for n in range(6):
            cx, cy = torch.sin(i.phase0 * (n + 1.7)) * 0.5, torch.cos(i.phase1 * (n + 2.3)) * 0.5
            radius = 0.05 + 0.1 * torch.sin(i.phase2 * (n + 1)).abs()
            spot = torch.sigmoid((radius - ((x - cx) ** 2 + (y - cy) ** 2).sqrt()) * 60)
            weight = weight + spot * 0.5 * torch.cos(i.phase3 * (n + 1))
    elif kind == 2:  # a panelled or striped room
        weight = weight * 0.5 + 0.5 * torch.sigmoid(torch.sin(along * 22 + i.phase4) * 7)
    elif kind == 3:  # brush strokes
        across = y * torch.cos(i.bg_angle) - x * torch.sin(i.bg_angle)
        for n in range(1, 5):
            weight = weight + 0.16 * torch.sin(
                along * 9 * n + i.phase5 * n + 2.2 * torch.sin(across * 7 * n + i.phase6 * n)
            )
    weight = weight.clamp(0, 1).unsqueeze(1)
    return i.rgb("bg") + (i.rgb("bg2") - i.rgb("bg")) * weight


def _strands(canvas: Canvas, i: Columns, around_x: Tensor) -> Tensor:
    """Light and dark along strands of hair, about 1; [B, H, W]."""
    angle = torch.atan2(canvas.u - around_x - 0.1 * i.hair_part, canvas.v + 0.62)
    wave = torch.sin(canvas.v * 38 + i.phase0) * i.hair_wave * 9
    fine = torch.sin(angle * 52 + wave + i.phase1) + 0.6 * torch.sin(angle * 97 + 2 * wave + i.phase2)
    gloss = torch.exp(-(((canvas.v + 0.34 + 0.05 * torch.cos(angle * 3)) / 0.05) ** 2))
    return 1 + 0.085 * fine + i.hair_shine * gloss


def _back_hair(canvas: Canvas, i: Columns, x: Tensor, hair: Tensor) -> None:
    u, v = canvas.u - x, canvas.v
    width = i.face_width + i.hair_volume + i.hair_wave * torch.sin(v * 33 + i.phase3)
    cap = ((u / width) ** 2 + ((v + 0.06) / (i.face_height + i.hair_volume)) ** 2).clamp(min=1e-6).sqrt() - 1
    bottom = -0.09 + i.hair_length
    side_width = width * (1 + 0.1 * ((v + 0.05) / 0.4).clamp(0, 1.5))
    sides = torch.maximum((u.abs() - side_width) / 0.30, torch.maximum(v - bottom, -0.06 - v) / 0.3)
    shape = torch.minimum(cap, sides) * 0.3 + i.hair_bald
    canvas.paint(hair * 0.72, canvas.inside(shape, 1.4))


def _body(canvas: Canvas, i: Columns, s: Columns, size_px: int) -> None:
    """Neck and shoulders; they stay where they are when the head turns."""
    axis = (torch.arange(size_px, device=canvas.u.device, dtype=torch.float32) + 0.5) / size_px
    x = (axis[None, None, :] - i.center_x - 0.3 * s.shift_x) / i.scale
    y = (axis[None, :, None] - i.center_y - 0.3 * s.shift_y) / i.scale
    neck_x = x - 0.4 * (1 - y / 0.5).clamp(0, 1) * 0.25 * torch.sin(s.roll)
    neck = neck_x.abs() - i.neck_width * (1 + 0.35 * ((y - 0.36) / 0.14).clamp(0, 1.5).square())
    under_chin = 0.62 + 0.3 * ((y - 0.36) / 0.16).clamp(0, 1)
    skin = (
        i.rgb("skin") * under_chin.unsqueeze(1) * (1 - 0.22 * (neck_x / i.neck_width).square().clamp(0, 1)).unsqueeze(1)
    )
    canvas.paint(skin, canvas.inside(torch.maximum(neck, 0.1 - y)))
    shoulder = y - 0.40 - 0.16 * (x / 0.5) ** 2 - 0.05 * i.collar * torch.exp(-((x / 0.16) ** 2))
    collar_line = y - 0.40 - 0.09 * torch.exp(-((x / (0.13 + 0.05 * i.collar)) ** 2)) - 0.16 * (x / 0.5) ** 2
    fold = 1 + 0.07 * torch.sin(x * 31 + i.phase7 + 4 * y) - 0.12 * (x.abs() - 0.2).clamp(0)
    cloth = canvas.inside(-torch.maximum(collar_line, shoulder))
    canvas.paint(i.rgb("cloth") * fold.unsqueeze(1), cloth)
    trim = canvas.inside((collar_line - 0.012).abs() - 0.012) * cloth
    canvas.paint(i.rgb("cloth2") * fold.unsqueeze(1), trim)


def _ears(canvas: Canvas, i: Columns, s: Columns) -> None:
    covered = ((i.hair_length - 0.1) / 0.06).clamp(0, 1) * (1 - i.hair_bald)
    part = canvas.rows(0.3, 0.75)
    for side in (-1.0, 1.0):
        x = rig.turned_x(side * (i.face_width - 0.004), -0.03, s)
        y = rig.turned_y(torch.full_like(x, -0.02), -0.03, s)
        a, b = 0.03 * i.ear_size, 0.064 * i.ear_size
        radius = (((part.u - x) / a) ** 2 + ((part.v - y) / b) ** 2).sqrt()
        ear = part.inside((radius - 1) * 0.03) * (1 - covered)
        inner = torch.sigmoid((0.62 - radius) * 9)
        part.paint(i.rgb("skin") * (0.9 - 0.28 * inner).unsqueeze(1), ear)


def _skin(canvas: Canvas, i: Columns, s: Columns, outline: Tensor) -> None:
    u, v = canvas.u, canvas.v
    x = (u - rig.turned_x(torch.zeros_like(s.yaw), 0.12, s)) / i.face_width
    y = (v - rig.turned_y(torch.full_like(s.pitch, 0.0), 0.12, s)) / i.face_height
    light = x * torch.cos(i.light_angle) + y * torch.sin(i.light_angle)
    round_off = (x * x + 0.75 * y * y).clamp(0, 1.6)
    tone = 1.03 + i.light_strength * light - 0.17 * round_off * round_off
    # planes of the face: brow ridge and eye sockets darker, forehead, cheeks and chin lighter
    cheek_y = 0.085 - 0.02 * s.AU6
    for side in (-1.0, 1.0):
        cx = rig.turned_x(side * (i.eye_spacing + 0.012), 0.2, s)
        socket = torch.exp(-(((u - cx) / 0.075) ** 2 + ((v + 0.105 - 0.2 * s.pitch) / 0.036) ** 2))
        cheek = torch.exp(-(((u - cx) / 0.062) ** 2 + ((v - cheek_y - 0.2 * s.pitch) / 0.045) ** 2))
        tone = tone - (0.10 + 0.05 * s.AU4) * socket + (0.05 + 0.07 * s.AU6) * cheek
    mottle = torch.sin(u * 31 + i.phase1 + 2 * v) * torch.sin(v * 37 + i.phase3 - 3 * u)
    tone = tone + 0.012 * mottle
    colour = i.rgb("skin") * tone.unsqueeze(1)
    canvas.paint(colour, canvas.inside(outline))
    _blush(canvas, i, s, outline)


def _blush(canvas: Canvas, i: Columns, s: Columns, outline: Tensor) -> None:
    part = canvas.rows(0.4, 0.85)
    red = i.rgb("skin") * torch.tensor([1.06, 0.72, 0.72], device=part.u.device).view(1, 3, 1, 1)
    for side in (-1.0, 1.0):
        x = rig.turned_x(side * (i.eye_spacing + 0.022), 0.2, s)
        y = 0.088 - 0.018 * s.AU6 + 0.2 * torch.sin(s.pitch)
        spot = torch.exp(-(((part.u - x) / 0.058) ** 2 + ((part.v - y) / 0.042) ** 2))
        part.paint(red, spot * (i.blush + 0.28 * s.AU6).clamp(0, 0.6))
    if float(i.freckles.max()) == 0.0:
        return
    dots = torch.sin(part.u * 260 + 5 * torch.sin(part.v * 90 + i.phase4)) * torch.sin(
        part.v * 240 + 4 * torch.sin(part.u * 80)
    )
    region = torch.exp(-(((part.v - 0.05) / 0.07) ** 2 + (part.u / 0.2).square().square()))
    part.shade(1 - 0.22 * i.freckles * region * torch.sigmoid((dots - 0.72) * 22))


def _beard(canvas: Canvas, i: Columns, outline: Tensor, mouth: rig.Mouth) -> None:
    if float(i.beard.max()) == 0.0 and float(i.moustache.max()) == 0.0:
        return
    u, v = canvas.u - mouth.x, canvas.v
    jaw_line = v - 0.11 - 0.12 * torch.exp(-((u / 0.13) ** 2)) + 0.35 * (u.abs() - 0.14).clamp(0)
    around_lips = ((u / (mouth.half_width + 0.012)) ** 2 + ((v - mouth.y) / (0.035 + mouth.gap * 0.6)) ** 2).sqrt() - 1
    grain = 0.8 + 0.2 * torch.sin(u * 240 + 3 * torch.sin(v * 60 + i.phase5)) * torch.sin(
        v * 210 + 2 * torch.sin(u * 70)
    )
    beard = torch.sigmoid(jaw_line * 55) * canvas.inside(outline, 2.0) * torch.sigmoid(around_lips * 14)
    above = v - mouth.y + 0.032 + mouth.gap * 0.35 + mouth.raise_upper
    moustache = torch.exp(-((above / 0.013) ** 2)) * torch.sigmoid((mouth.half_width * 1.05 - u.abs()) * 60)
    coverage = (beard * i.beard).maximum(moustache * i.moustache) * grain
    canvas.paint(i.rgb("hair") * 0.85, coverage.clamp(0, 0.95))


def _front_hair(canvas: Canvas, i: Columns, s: Columns, x: Tensor, hair: Tensor) -> None:
    u, v = canvas.u - rig.turned_x(torch.zeros_like(x), 0.1, s), canvas.v
    width = i.face_width + i.hair_volume
    cap = (((canvas.u - x) / width) ** 2 + ((v + 0.06) / (i.face_height + i.hair_volume)) ** 2).clamp(
        min=1e-6
    ).sqrt() - 1
    temple = ((u.abs() - 0.12) / 0.16).clamp(0, 1.2)
    part = torch.exp(-(((u - 0.12 * i.hair_part) / 0.085) ** 2))
    wave = i.hair_wave * torch.sin(u * 41 + i.phase6)
    line = -i.hair_line + 0.24 * temple * temple * (1 + 0.6 * (i.hair_length > 0.1)) - 0.035 * part + wave
    line = line + 0.1 * torch.sin(s.pitch)
    shape = torch.maximum(cap * 0.3, v - line) + i.hair_bald
    canvas.shade(
        1 - 0.25 * torch.exp(-(((v - line - 0.012) / 0.018) ** 2)) * torch.sigmoid(-cap * 30) * (1 - i.hair_bald)
    )
    canvas.paint(hair, canvas.inside(shape, 1.3))


def _finish(image: Tensor, i: Columns, size_px: int) -> Tensor:
    """Light, texture, focus and colour of the whole picture; the same in each frame of a clip."""
    axis = (torch.arange(size_px, device=image.device) + 0.5) / size_px
    x, y = axis[None, None, :], axis[None, :, None]
    k = i.texture_scale
    grain = torch.sin(x * k * 6.1 + i.phase0 + 3 * torch.sin(y * k * 2.3 + i.phase1)) * torch.sin(
        y * k * 5.3 + i.phase2 + 3 * torch.sin(x * k * 1.9 + i.phase3)
    )
    warm = torch.cat([1 + i.light_warmth, torch.ones_like(i.light_warmth), 1 - i.light_warmth], 1).unsqueeze(-1)
    image = image * warm * (1 + i.texture * grain).unsqueeze(1)
    grey = image.mean(1, keepdim=True)
    image = grey + (image - grey) * i.saturation.unsqueeze(1)
    image = (image - 0.5) * i.contrast.unsqueeze(1) + 0.5
    sigma = float(i.blur) * size_px / 128
    if sigma > 0.15:
        image = _blur(image, sigma)
    return image.clamp(0, 1)


def _blur(image: Tensor, sigma_px: float) -> Tensor:
    radius = max(1, math.ceil(2 * sigma_px))
    offsets = torch.arange(-radius, radius + 1, device=image.device, dtype=image.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma_px) ** 2)
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    flat = image.reshape(-1, 1, *image.shape[-2:])
    flat = F.conv2d(F.pad(flat, (radius, radius, 0, 0), mode="replicate"), kernel)
    flat = F.conv2d(F.pad(flat, (0, 0, radius, radius), mode="replicate"), kernel.transpose(2, 3))
    return flat.view_as(image)
