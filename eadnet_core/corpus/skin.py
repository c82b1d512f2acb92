"""The skin of a procedural head: its relief and colour as a texture, and the lamps that light it.

Our design. The relief is a height field whose slopes tilt the normals of an ellipsoid; two lamps, a sky and a rim
light fall on it, red light reaching a little further into the shadow than blue, as it does under skin.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from . import rig
from .rig import Columns
from .texture import Sheet, bump, layered_noise, noise


@dataclass(frozen=True)
class Lamps:
    """Where light comes from in the turned head's own coordinates; vectors [B, 3, 1, 1], colours [1, 3, 1, 1]."""

    key: Tensor
    fill: Tensor
    half: Tensor
    key_colour: Tensor
    fill_colour: Tensor
    sky_colour: Tensor


def skin_texture(i: Columns, sheet: Sheet) -> Tensor:
    """Colour [3], slopes along u and v, and shine of a face at rest, [6, h, w]."""
    slope_u, slope_v = sheet.slopes(_relief(i, sheet))
    colour = _colour(i, sheet)
    colour, bristle = _beard(i, sheet, colour)
    # a pore is smaller than a pixel of small pictures, where it fades
    u, v = sheet.u, sheet.v
    pores = sheet.shows(0.011) * noise(u * 190, v * 190) + 0.7 * sheet.shows(0.024) * noise(u * 85 + 7, v * 85)
    pores = pores * i.pores[0, 0, 0] * (1 + 0.5 * _spot(u.abs(), v, 0.075, 0.06, 0.06, 0.05))
    slope_u, slope_v = slope_u + 0.09 * pores + 0.35 * bristle, slope_v + 0.07 * pores.roll(3, 1) + 0.2 * bristle
    shine = 0.55 + 0.5 * _spot(u, v, 0.0, 0.045, 0.045, 0.09) + 0.35 * _spot(u, v, 0.0, -0.24, 0.12, 0.07)
    shine = shine + 0.3 * _spot(u.abs(), v, 0.14, 0.0, 0.05, 0.04) + 0.25 * _spot(u, v, 0.0, 0.31, 0.05, 0.04)
    shine = shine * (1 + 0.5 * pores) * i.shine[0, 0, 0] * (1 - 0.8 * bristle.abs().clamp(max=1))
    return torch.cat([colour, slope_u.unsqueeze(0), slope_v.unsqueeze(0), shine.unsqueeze(0)])


def _spot(u: Tensor, v: Tensor, x: Tensor | float, y: Tensor | float, a: float, b: float) -> Tensor:
    return bump(u - x, a) * bump(v - y, b)


def _relief(i: Columns, sheet: Sheet) -> Tensor:
    """Height above the face plane in frame widths, [h, w]."""
    u, v, side = sheet.u, sheet.v, sheet.u.abs()
    eye_x, mouth_y = i.eye_spacing[0, 0, 0], i.mouth_y[0, 0, 0]
    radius = (u / (1.04 * i.face_width[0, 0, 0])) ** 2 + ((v - 0.01) / (1.1 * i.face_height[0, 0, 0])) ** 2
    height = 0.185 * (1 - radius).clamp(min=0.02).sqrt()
    height = height + 0.011 * i.brow_ridge[0, 0, 0] * _spot(side, v, 0.09, -0.145, 0.075, 0.032)
    height = height - 0.023 * _spot(side, v, eye_x - 0.002, -0.093, 0.062, 0.040)
    height = height + 0.010 * _spot(side, v, eye_x, -0.09, 0.036, 0.026)  # the ball under the lids
    cheek = i.cheekbone[0, 0, 0]
    height = height + 0.021 * cheek * _spot(side, v, 0.15, 0.015, 0.07, 0.05)
    height = height - 0.010 * cheek * _spot(side, v, 0.175, 0.14, 0.05, 0.07)
    base = -0.055 + i.nose_length[0, 0, 0]
    width = i.nose_width[0, 0, 0]
    along = ((v + 0.11) / (base + 0.11)).clamp(0, 1)
    bridge = bump(u, 0.027 + 0.55 * width * along)
    ends = torch.sigmoid((base + 0.010 - v) * 80) * torch.sigmoid((v + 0.11) * 20)
    height = height + (0.011 + 0.024 * along * along) * i.nose_bridge[0, 0, 0] * bridge * ends
    tip = i.nose_tip[0, 0, 0]
    height = height + 0.020 * tip * _spot(u, v, 0.0, base - 0.012, 0.030, 0.024)
    height = height + 0.012 * _spot(side, v, 0.82 * width, base - 0.006, 0.015, 0.017)
    height = height + 0.018 * _spot(u, v, 0.0, mouth_y + 0.005, 0.085, 0.045)
    height = height - 0.004 * bump(u, 0.009) * bump(v - (base + mouth_y) / 2, 0.02)
    height = height - 0.010 * _spot(u, v, 0.0, mouth_y + 0.062, 0.06, 0.015)
    height = height + 0.018 * _spot(u, v, 0.0, mouth_y + 0.125, 0.055, 0.038)
    fold_x = 0.056 + 0.42 * (v - base + 0.02).clamp(0, 0.12)
    fold = bump(side - fold_x, 0.011) * torch.sigmoid((v - base + 0.015) * 90)
    fold = fold * torch.sigmoid((base + 0.10 - v) * 60)
    height = height - (0.0012 + 0.0045 * i.age[0, 0, 0]) * fold
    bag = bump(side - eye_x + 0.005, 0.036) * bump(v + 0.052 + 3.5 * (side - eye_x) ** 2, 0.009)
    height = height - (0.0008 + 0.0025 * i.age[0, 0, 0]) * bag
    return height + 0.0016 * layered_noise(u * 14 + i.phase4[0, 0, 0], v * 14)


def _colour(i: Columns, sheet: Sheet) -> Tensor:
    """Colour of the skin before any light falls on it, [3, h, w]."""
    u, v, side = sheet.u, sheet.v, sheet.u.abs()
    skin = i.rgb("skin")[0]
    base = -0.055 + i.nose_length[0, 0, 0]
    red = 0.30 * layered_noise(u * 9 + i.phase1[0, 0, 0], v * 9) + 0.14 * noise(u * 42, v * 42)
    red = red + (0.5 + 1.6 * i.blush[0, 0, 0]) * _spot(side, v, 0.155, 0.075, 0.06, 0.05)
    red = red + 0.7 * _spot(u, v, 0.0, base - 0.005, 0.035, 0.026) + 0.35 * _spot(u, v, 0.0, 0.30, 0.06, 0.04)
    red = red + 0.35 * _spot(side, v, i.eye_spacing[0, 0, 0], -0.09, 0.07, 0.03)
    tint = torch.tensor([0.05, -0.065, -0.06], device=u.device).view(3, 1, 1)
    colour = skin * (1 + tint * red)
    # what little light reaches: sockets, under the nose, beside it, under the lip
    hollow = 0.22 * _spot(side, v, i.eye_spacing[0, 0, 0] - 0.030, -0.108, 0.042, 0.034)
    hollow = hollow + 0.10 * _spot(side, v, i.eye_spacing[0, 0, 0] - 0.01, -0.058, 0.045, 0.014)
    hollow = hollow + 0.36 * _spot(u, v, 0.0, base + 0.013, 0.040, 0.011)
    hollow = hollow + 0.16 * _spot(side, v, i.nose_width[0, 0, 0] + 0.008, base - 0.004, 0.008, 0.016)
    hollow = hollow + 0.18 * _spot(u, v, 0.0, i.mouth_y[0, 0, 0] + 0.058, 0.055, 0.012)
    dark = torch.tensor([0.8, 1.05, 1.1], device=u.device).view(3, 1, 1)
    colour = colour * (1 - hollow * dark)
    blotch = 0.02 * layered_noise(u * 23 + 5, v * 23 + i.phase3[0, 0, 0])
    blotch = blotch + 0.02 * sheet.shows(0.016) * noise(u * 130, v * 130)
    colour = colour * (1 + blotch)
    if float(i.freckles.max()) > 0:
        dots = torch.sigmoid((noise(u * 62 + i.phase4[0, 0, 0], v * 62) - 0.42) * 14)
        dots = dots * (0.4 + 0.6 * noise(u * 20, v * 20).abs()) * sheet.shows(0.022)
        region = bump(v - 0.02, 0.09) * bump(u, 0.21)
        spots = torch.tensor([0.3, 0.48, 0.6], device=u.device).view(3, 1, 1)
        colour = colour * (1 - spots * dots * region * i.freckles[0, 0, 0])
    return colour


def _beard(i: Columns, sheet: Sheet, colour: Tensor) -> tuple[Tensor, Tensor]:
    """The colour with beard, moustache or stubble on it [3, h, w], and the bristles' relief [h, w]."""
    beard, moustache, stubble = (float(getattr(i, name)) for name in ("beard", "moustache", "stubble"))
    u, v, side = sheet.u, sheet.v, sheet.u.abs()
    if beard == 0.0 and moustache == 0.0 and stubble == 0.0:
        return colour, torch.zeros_like(u)
    mouth_y, half = i.mouth_y[0, 0, 0], i.mouth_width[0, 0, 0]
    ragged = 0.012 * noise(u * 60, v * 60)
    cheek = v - 0.135 + 0.55 * (side - 0.10).clamp(min=0) + ragged
    cheek = cheek - 0.9 * (0.10 - side).clamp(min=0) * 0.55
    lips = ((u / (half * 1.02)) ** 2 + ((v - mouth_y) / 0.034) ** 2).sqrt() - 1
    jaw = torch.sigmoid(cheek * 60) * torch.sigmoid(lips * 12)
    bare = _spot(side, v, half * 0.62, mouth_y + 0.045, 0.022, 0.014)
    jaw = jaw * (1 - 0.6 * bare)
    lip_top = mouth_y - 0.022 - 0.028 * (1 - (u / half) ** 2).clamp(min=0)
    above = torch.sigmoid((v - lip_top + 0.008 + ragged * 0.5) * 160) * torch.sigmoid((mouth_y - 0.012 - v) * 140)
    above = above * torch.sigmoid((half * 1.06 - side) * 90) * (1 - 0.35 * bump(u, 0.008))
    # hairs grow down and outwards
    across, along = u - 0.35 * (v - mouth_y) * torch.sign(u), v
    strokes = sheet.shows(0.010) * noise(across * 210, along * 40) + 0.8 * sheet.shows(0.022) * noise(
        across * 95 + 4, along * 20
    )
    strokes = strokes + 0.3 * noise(across * 40, along * 12)
    cover = torch.maximum(jaw * beard, above * moustache)
    cover = (cover * (1.05 + 0.55 * strokes)).clamp(0, 0.96)
    shade = stubble * torch.maximum(jaw, 0.8 * above) * (0.30 + 0.2 * sheet.shows(0.012) * noise(u * 170, v * 170))
    hair = i.rgb("hair")[0]
    colour = colour + (0.55 * colour * torch.tensor([0.86, 0.95, 1.05], device=u.device).view(3, 1, 1) - colour) * shade
    tone = hair * (0.72 + 0.28 * strokes)
    return colour + (tone - colour) * cover, strokes * cover


def lamps(i: Columns, s: Columns) -> Lamps:
    """The lamps as a head turned by yaw, pitch and roll sees them."""
    key_x, key_y = 0.8 * torch.cos(i.light_angle), -i.light_height + 0.25 * torch.sin(i.light_angle)
    key = _turned(key_x, key_y, torch.full_like(key_x, 0.75), s)
    fill = _turned(-0.9 * torch.sign(key_x), torch.full_like(key_x, -0.05), torch.full_like(key_x, 0.55), s)
    half = _unit(key + torch.tensor([0.0, 0.0, 1.0], device=key.device).view(1, 3, 1, 1))
    warm = i.light_warmth.unsqueeze(1) * torch.tensor([1.0, 0.1, -1.2], device=key.device).view(1, 3, 1, 1)
    cool = i.fill_warmth.unsqueeze(1) * torch.tensor([1.0, 0.0, -1.0], device=key.device).view(1, 3, 1, 1)
    contrast = (0.45 + 1.3 * i.light_strength).unsqueeze(1)
    level = 0.50 + 0.50 * contrast
    return Lamps(
        key=key,
        fill=fill,
        half=half,
        key_colour=level * (1 + warm),
        fill_colour=(0.34 * i.fill.unsqueeze(1)) * (1 + cool),
        sky_colour=(0.42 - 0.34 * contrast).clamp(min=0.10) * (1 + 0.6 * cool),
    )


def _turned(x: Tensor, y: Tensor, z: Tensor, s: Columns) -> Tensor:
    """A direction of the room in the head's coordinates, [B, 3, 1, 1] of [1, 1, 1] parts."""
    cos, sin = torch.cos(s.roll), torch.sin(s.roll)
    x, y = x * cos + y * sin, y * cos - x * sin
    x, z = x * torch.cos(s.yaw) - z * torch.sin(s.yaw), z * torch.cos(s.yaw) + x * torch.sin(s.yaw)
    y, z = y * torch.cos(s.pitch) - z * torch.sin(s.pitch), z * torch.cos(s.pitch) + y * torch.sin(s.pitch)
    return _unit(torch.stack([x, y, z], 1))


def _unit(vector: Tensor) -> Tensor:
    return vector / vector.square().sum(1, keepdim=True).sqrt()


def lit(i: Columns, colour: Tensor, slope_u: Tensor, slope_v: Tensor, shine: Tensor, lights: Lamps) -> Tensor:
    """Skin as the camera sees it.

    colour            [B, 3, H, W]  the skin's own
    slope_u, slope_v  [B, H, W]     slopes of the relief
    shine             [B, H, W]     0 matt .. 1 wet
    """
    inverse = torch.rsqrt(slope_u * slope_u + slope_v * slope_v + 1)

    def facing(light: Tensor) -> Tensor:
        x, y, z = light[:, 0], light[:, 1], light[:, 2]
        return (z - slope_u * x - slope_v * y) * inverse

    toward_key = facing(lights.key)
    # hard lamps cut the shadow's edge; soft ones wrap around; red wraps furthest
    wrap = 0.16 + 0.3 * (1 - i.light_hardness.unsqueeze(1))
    wrap = wrap + torch.tensor([0.13, 0.03, 0.0], device=colour.device).view(1, 3, 1, 1)
    diffuse = ((toward_key.unsqueeze(1) + wrap) * (1 / (1 + wrap))).clamp_(min=0)
    light = diffuse * lights.key_colour
    light += (facing(lights.fill).clamp_(min=0)).unsqueeze(1) * lights.fill_colour
    light += (1 - 0.35 * slope_v.clamp(-1, 1) * inverse).unsqueeze(1) * lights.sky_colour
    away = 1 - inverse
    # (1 - x / 8)^8 in place of exp(-x), for what lies near the mirror direction
    off = 1 - facing(lights.half)
    broad = (1 - off * 3.2).clamp_(min=0).square_().square_().square_()
    sharp = (1 - off * 16).clamp_(min=0).square_().square_().square_()
    sheen = (0.16 * broad + 0.10 * sharp) * shine
    back = torch.sign(torch.cos(i.light_angle))
    rim = (away * away) * (0.9 * i.rim) * torch.sigmoid(slope_u * back * -6)
    out = colour * light
    out += (sheen + rim * 0.5).unsqueeze(1) * (0.6 + 0.4 * lights.key_colour)
    return out * (1.16 - 0.16 * out)


def warped(u: Tensor, v: Tensor, i: Columns, s: Columns) -> tuple[Tensor, Tensor]:
    """Where on the face at rest the pixels of a turned face with a dropped jaw lie."""
    sin_yaw, sin_pitch = torch.sin(s.yaw), torch.sin(s.pitch)
    x, y = u - 0.18 * sin_yaw, v - 0.18 * sin_pitch
    radius = (x / i.face_width) ** 2 + (y / i.face_height) ** 2
    nose = bump(x, 0.05) * bump(y - 0.06, 0.07)
    depth = 0.05 + 0.2 * (1 - radius).clamp(min=0).sqrt() + 0.075 * nose
    x = (u - depth * sin_yaw) / torch.cos(s.yaw)
    y = (v - depth * sin_pitch) / torch.cos(s.pitch)
    low = ((y - i.mouth_y) * 7).clamp(0, 1)
    return x, y - rig.jaw_drop(s) * low
