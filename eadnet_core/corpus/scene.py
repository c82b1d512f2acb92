"""What surrounds a procedural head: the place behind it, the shoulders under it, and the lens in front of it."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from .identity import BACKGROUND_KINDS, CLOTH_KINDS
from .rig import Columns
from .texture import Sheet, bump, layered_noise, noise

_PLACE_PX = 128
"""Size at which the place is drawn; it is out of focus, so larger pictures lose nothing."""
_GRAIN_PX = 256
"""Size of the picture that sensor noise is drawn for; other sizes show it resized."""


def background(i: Columns, size_px: int) -> Tensor:
    """The place behind the head, out of focus, [1, 3, H, W]."""
    axis = (torch.arange(_PLACE_PX, device=i.bg_angle.device) + 0.5) / _PLACE_PX - 0.5
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    kind = BACKGROUND_KINDS[int(i.background_kind)]
    angle = i.bg_angle[0, 0, 0]
    along = x * torch.cos(angle) + y * torch.sin(angle)
    weight, light = _PLACES[kind](i, x, y, along)
    bg, bg2 = i.rgb("bg"), i.rgb("bg2")
    colour = bg + (bg2 - bg) * weight.clamp(0, 1)
    lamp = torch.tensor([1.0, 0.93, 0.82], device=x.device).view(1, 3, 1, 1)
    colour = (colour + (lamp - colour) * light.clamp(0, 0.95)).clamp(0, 1)
    colour = _blur(colour, {"lights": 1.1, "foliage": 4.0}.get(kind, 2.2))
    return F.interpolate(colour, (size_px, size_px), mode="bilinear", antialias=True)


def _plain(i: Columns, x: Tensor, y: Tensor, along: Tensor) -> tuple[Tensor, Tensor]:
    """A studio wall with the light of a lamp on it."""
    glow = torch.exp(-((x - 0.25 * torch.cos(i.light_angle)) ** 2 + (y + 0.1) ** 2) / 0.12)
    return torch.sigmoid(along * 4)[0], 0.25 * glow[0]


def _lights(i: Columns, x: Tensor, y: Tensor, along: Tensor) -> tuple[Tensor, Tensor]:
    """Lamps far out of focus, brighter at their rims."""
    light = torch.zeros_like(x)
    for n in range(9):
        cx, cy = torch.sin(i.phase0 * (n + 1.7)) * 0.55, torch.cos(i.phase1 * (n + 2.3)) * 0.5
        radius = 0.03 + 0.07 * torch.sin(i.phase2 * (n + 1)).abs()
        distance = ((x - cx) ** 2 + (y - cy) ** 2).sqrt()[0]
        disc = torch.sigmoid((radius[0] - distance) * 110)
        ring = bump(distance - radius[0], 0.008)
        light = light + (disc * 0.22 + 0.10 * ring) * (0.4 + 0.6 * torch.cos(i.phase3[0] * (n + 1)).abs())
    return 0.5 * torch.sigmoid(along * 4), light


def _panels(i: Columns, x: Tensor, y: Tensor, along: Tensor) -> tuple[Tensor, Tensor]:
    wall = 0.5 * torch.sigmoid(along * 5) + 0.4 * torch.sigmoid(torch.sin(x * 20 + i.phase4[0]) * 9)
    groove = torch.exp(-((torch.sin(x * 20 + i.phase4[0]) / 0.16) ** 2))
    return wall - 0.3 * groove, 0.06 * torch.exp(-((y + 0.3) ** 2) / 0.05)


def _brushed(i: Columns, x: Tensor, y: Tensor, along: Tensor) -> tuple[Tensor, Tensor]:
    """A painted backdrop: soft mottled cloth."""
    cloud = layered_noise(x * 5 + i.phase5[0], y * 5 + i.phase6[0], 3)
    return 0.5 + 0.6 * cloud + 0.3 * torch.exp(-(x * x + y * y) / 0.15), torch.zeros_like(x)


def _window(i: Columns, x: Tensor, y: Tensor, along: Tensor) -> tuple[Tensor, Tensor]:
    """A bright window with its cross, on one side."""
    side = torch.sign(torch.cos(i.bg_angle))[0]
    wx, wy = x * side - 0.32, y + 0.12
    pane = torch.sigmoid((0.17 - wx.abs()) * 55) * torch.sigmoid((0.3 - wy.abs()) * 55)
    bars = bump(wx, 0.013) + bump(wy + 0.02, 0.013)
    sky = (0.85 - 0.7 * wy + 0.16 * layered_noise(x * 8 + i.phase4[0], y * 8, 2)) * pane * (1 - 0.75 * bars.clamp(0, 1))
    return 0.2 + 0.5 * torch.sigmoid(-along * 5), sky + 0.12 * torch.exp(-((wx.clamp(max=0) / 0.25) ** 2))


def _shelves(i: Columns, x: Tensor, y: Tensor, along: Tensor) -> tuple[Tensor, Tensor]:
    """Shelves of books, blurred."""
    rows = y * 3.6 + 0.3 * torch.sin(i.phase4[0])
    row, within = rows.floor(), rows - rows.floor()
    books = noise(x * 26 + row * 7.3 + i.phase5[0], row * 3.7)
    tops = 0.22 + 0.14 * noise(x * 26 + row * 5.1, row * 1.9)
    board = torch.sigmoid((within - 0.9) * 60) + torch.sigmoid((tops - within) * 40)
    return (0.55 + 0.6 * books) * (1 - 0.8 * board.clamp(0, 1)), 0.10 * torch.sigmoid((0.9 - within) * -40)


def _foliage(i: Columns, x: Tensor, y: Tensor, along: Tensor) -> tuple[Tensor, Tensor]:
    """Leaves out of focus with the sky between them."""
    leaves = layered_noise(x * 8 + i.phase5[0], y * 8 + i.phase6[0], 2)
    spots = layered_noise(x * 11 + i.phase4[0], y * 11, 2)
    gaps = torch.sigmoid((spots - 0.2) * 9) * torch.sigmoid((0.25 - y) * 6)
    return 0.45 + 0.7 * leaves, 0.42 * gaps


def _room(i: Columns, x: Tensor, y: Tensor, along: Tensor) -> tuple[Tensor, Tensor]:
    """A wall with a picture and a standing lamp."""
    side = torch.sign(torch.sin(i.bg_angle))[0]
    px, py = x * side - 0.33, y + 0.2
    frame = torch.sigmoid((0.13 - px.abs()) * 70) * torch.sigmoid((0.16 - py.abs()) * 70)
    inner = torch.sigmoid((0.105 - px.abs()) * 70) * torch.sigmoid((0.135 - py.abs()) * 70)
    picture = 0.5 + 0.5 * layered_noise(x * 9 + i.phase4[0], y * 9, 2)
    lamp_x, lamp_y = -x * side - 0.36, y + 0.08
    shade = torch.sigmoid((0.075 + 0.25 * lamp_y - lamp_x.abs()) * 70) * torch.sigmoid((0.09 - lamp_y.abs()) * 70)
    glow = torch.exp(-(lamp_x**2 + lamp_y**2) / 0.05)
    wall = 0.15 + 0.2 * torch.sigmoid(along * 4)
    wall = wall + (1.0 - wall) * frame + (picture - 1.0) * inner
    return wall, 0.72 * shade + 0.34 * glow


_PLACES = {
    "plain": _plain, "lights": _lights, "panels": _panels, "brushed": _brushed, "window": _window,
    "shelves": _shelves, "foliage": _foliage, "room": _room,
}  # fmt: skip


def body_texture(i: Columns, sheet: Sheet) -> Tensor:
    """Neck and dressed shoulders, colour [3] and coverage, [4, h, w]; v = 0.25 is the middle of the picture."""
    x, y = sheet.u, sheet.v - 0.25
    neck_width = i.neck_width[0, 0, 0]
    spread = neck_width * (1 + 0.45 * ((y - 0.14) / 0.14).clamp(0, 2.2) ** 2)
    neck = x.abs() - spread
    shade = 0.84 - 0.35 * (x / spread).square().clamp(0, 1)
    shade = shade + 0.22 * torch.cos(i.light_angle[0, 0, 0]) * (x / spread).clamp(-1, 1)
    cord = torch.exp(-(((x.abs() - 0.075 + 0.22 * (y - 0.06).clamp(min=0)) / 0.012) ** 2))
    notch = bump(x, 0.022) * bump(y - 0.165, 0.016)
    bone = bump(y - 0.178 - 0.10 * x.abs(), 0.010) * torch.sigmoid((x.abs() - 0.04) * 90)
    shade = shade + 0.07 * cord - 0.16 * notch + 0.07 * bone
    colour = i.rgb("skin")[0] * shade * (1 + 0.02 * layered_noise(x * 20, y * 20, 2))
    cover = sheet.edge(torch.maximum(neck, -0.16 - y))
    shoulder = 0.085 + 0.17 * (x / 0.42).abs() ** 2.4 + 0.05 * (x.abs() - 0.1).clamp(min=0)
    chest = sheet.edge(shoulder + 0.03 - y)
    colour = colour + (i.rgb("skin")[0] * (shade + 0.05) - colour) * chest
    dressed, dress = _dress(i, sheet, x, y, shoulder)
    colour = colour + (dress - colour) * dressed
    return torch.cat([colour, torch.maximum(cover, dressed).unsqueeze(0)])


def _dress(i: Columns, sheet: Sheet, x: Tensor, y: Tensor, shoulder: Tensor) -> tuple[Tensor, Tensor]:
    """Coverage [h, w] and colour [3, h, w] of what the head wears."""
    kind = CLOTH_KINDS[int(i.cloth_kind)]
    side, reach = x.abs(), 0.135 + 0.04 * i.collar[0, 0, 0]
    deep = {"v-neck": 0.17, "jacket": 0.24, "shirt": 0.12}.get(kind)
    if kind == "turtleneck":
        opening = 0.045 + 0.012 * torch.cos(x * 12) - y
    elif deep is None:
        opening = 0.085 + 0.085 * (1 - (x / reach) ** 2).clamp(min=0).sqrt() - y
    else:
        opening = 0.075 + deep * (1 - side / reach).clamp(min=0) - y
    body = torch.maximum(shoulder - y, opening)
    if kind == "turtleneck":
        body = torch.minimum(body, torch.maximum(side - i.neck_width[0, 0, 0] * 1.12, opening))
    folds = layered_noise(x * 11 + i.phase7[0, 0, 0] + 3 * y, y * 5, 3)
    weave = sheet.shows(0.012) * noise(x * 160, y * 160)
    knit = sheet.shows(0.020) * torch.sin(x * 310) if kind == "turtleneck" else 0.0
    shade = 0.86 + 0.16 * folds + 0.05 * weave + 0.06 * knit - 0.55 * (side - 0.16).clamp(min=0)
    shade = shade + 0.25 * torch.cos(i.light_angle[0, 0, 0]) * (x / 0.4).clamp(-1, 1)
    shade = shade - 0.35 * bump(y - shoulder, 0.02) * 0.5
    cloth, second = i.rgb("cloth")[0], i.rgb("cloth2")[0]
    colour = cloth * shade
    if kind in ("crew neck", "v-neck"):
        band = sheet.edge((opening + 0.017).abs() - 0.015)
        rib = 1 + 0.10 * sheet.shows(0.014) * torch.sin(x * 400)
        colour = colour + (second * shade * rib - colour) * band
        colour = colour * (1 - 0.3 * bump(opening + 0.036, 0.006))
    elif kind in ("shirt", "jacket"):
        colour, body = _collar(kind, i, sheet, x, y, shade, colour, body)
    return sheet.edge(body), colour


def _collar(
    kind: str, i: Columns, sheet: Sheet, x: Tensor, y: Tensor, shade: Tensor, colour: Tensor, body: Tensor
) -> tuple[Tensor, Tensor]:
    """A shirt's collar, and a jacket's lapels over it."""
    side, second = x.abs(), i.rgb("cloth2")[0]
    linen = 0.25 * second + 0.75 * torch.tensor([0.92, 0.92, 0.90], device=x.device).view(3, 1, 1)
    shirt = linen * shade if kind == "jacket" else colour
    flap = torch.maximum(side - 0.175 + 0.30 * (y - 0.10).abs(), 0.052 + 0.55 * (y - 0.075) - side)
    flap = torch.maximum(torch.maximum(flap, 0.045 + 0.2 * (0.14 - side).clamp(min=0) - y), y - 0.235 + 0.5 * side)
    if kind == "jacket":
        v_shape = side - 0.17 + 0.62 * (y - 0.08)
        inner = torch.maximum(v_shape, 0.09 + 0.10 * (1 - side / 0.15).clamp(min=0) - y)
        body = torch.minimum(body, inner)
        inside = sheet.edge(v_shape)
        colour = colour + (shirt - colour) * inside
        colour = colour * (1 - 0.4 * bump(v_shape - 0.008, 0.010))
        lapel = bump(side - 0.25 + 0.45 * (y - 0.1), 0.006) * torch.sigmoid((y - 0.12) * 80)
        colour = colour * (1 - 0.3 * lapel)
    button = bump(x, 0.006) * torch.sigmoid((y - 0.17) * 90)
    colour = colour * (1 - 0.18 * button)
    on = sheet.edge(flap)
    tone = shirt * 1.12 * (1 - 0.25 * bump(flap, 0.007))
    colour = colour * (1 - 0.35 * bump(flap - 0.010, 0.010))
    colour = colour + (tone - colour) * on
    return colour, torch.minimum(body, flap)


def lens_gain(i: Columns, size_px: int) -> Tensor:
    """What lamp colour, lens and film do to each pixel, as a factor; the same in each frame, [1, 3, H, W]."""
    axis = (torch.arange(size_px, device=i.texture.device) + 0.5) / size_px
    x, y = axis[None, None, :], axis[None, :, None]
    k = i.texture_scale
    weave = torch.sin(x * k * 6.1 + i.phase0 + 3 * torch.sin(y * k * 2.3 + i.phase1)) * torch.sin(
        y * k * 5.3 + i.phase2 + 3 * torch.sin(x * k * 1.9 + i.phase3)
    )
    corner = (x - 0.5) ** 2 + (y - 0.5) ** 2
    gain = (1 + i.texture * weave) * (1 - i.vignette * 1.6 * corner * corner * 4)
    generator = torch.Generator().manual_seed(int(float(i.phase0) * 1e6))
    grain = torch.randn(1, 3, _GRAIN_PX, _GRAIN_PX, generator=generator).to(x.device)
    if size_px != _GRAIN_PX:
        grain = F.interpolate(grain, (size_px, size_px), mode="bilinear", antialias=True)
    warm = torch.cat([1 + i.light_warmth, torch.ones_like(i.light_warmth), 1 - i.light_warmth], 1).unsqueeze(-1)
    return warm * gain.unsqueeze(1) * (1 + 1.5 * i.noise.unsqueeze(1) * grain)


def developed(image: Tensor, i: Columns, gain: Tensor, size_px: int) -> Tensor:
    """The finished picture: lens, saturation, contrast and focus; changes `image` [B, 3, H, W] in place."""
    image *= gain
    saturation, contrast = float(i.saturation), float(i.contrast)
    grey = image.mean(1, keepdim=True) * ((1 - saturation) * contrast) + (0.5 - 0.5 * contrast)
    image *= saturation * contrast
    image += grey
    sigma = float(i.blur) * size_px / 128
    if sigma > 0.15:
        image = _blur(image, sigma)
    return image.clamp_(0, 1)


def _blur(image: Tensor, sigma_px: float) -> Tensor:
    radius = max(1, math.ceil(2 * sigma_px))
    weights = [math.exp(-0.5 * (n / sigma_px) ** 2) for n in range(-radius, radius + 1)]
    for pads, dim in (((radius, radius, 0, 0), 3), ((0, 0, radius, radius), 2)):
        size = image.shape[dim]
        wide = F.pad(image, pads, mode="replicate")
        total = wide.narrow(dim, 0, size) * (weights[0] / sum(weights))
        for n, weight in enumerate(weights[1:], 1):
            total.add_(wide.narrow(dim, n, size), alpha=weight / sum(weights))
        image = total
    return image
