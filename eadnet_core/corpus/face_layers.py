"""The expressive layers of a procedural head: eyes, brows, nose, mouth, folds and glasses.

Each function paints on a canvas (`renderer.Canvas`) from the geometry that `rig` computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from . import rig
from .rig import Columns, Eye, Mouth
from .skin import Lamps
from .texture import bump

if TYPE_CHECKING:
    from .canvas import Canvas


def _rgb(like: Tensor, red: float, green: float, blue: float) -> Tensor:
    return torch.tensor([red, green, blue], device=like.device).view(1, 3, 1, 1)


def draw_eye(canvas: Canvas, i: Columns, e: Eye, lights: Lamps) -> None:
    """Ball, iris, pupil and lamps in it, then lids, lashes and the fold above them."""
    dx, dy = canvas.u - e.x, canvas.v - e.y
    dy = dy + i.eye_tilt * e.side * dx
    s = dx / e.half_width
    bow = (1 - s * s).clamp(min=0.0)
    lower_lid = e.lower * bow
    open_lid = -e.upper * (bow + 1e-5).sqrt() * (0.35 + 0.65 * bow)
    upper_lid = open_lid + (lower_lid * 0.75 - open_lid) * e.blink
    within = torch.sigmoid((1.06 - s.abs()) * 26)
    # the upper lid is a thick fold of skin: lit where it bulges, dark in its crease, shading the socket's edge
    crease_y = open_lid - 0.0155 * (1 - 0.45 * e.blink) * (0.6 + 0.4 * bow)
    lid = bump(dy - 0.5 * (upper_lid + crease_y), 0.0075) * within
    crease = bump(dy - crease_y, canvas.blunt(0.0042)) * within * (0.45 + 0.55 * bow)
    bag = bump(dy - lower_lid - 0.008, 0.0055) * within
    rim_light = bump(dy - lower_lid - 0.0035, 0.003) * within
    canvas.shade(1 + 0.10 * lid - (0.16 + 0.26 * i.lid_fold) * crease - (0.06 + 0.16 * i.age) * bag + 0.08 * rim_light)
    hole = canvas.inside(torch.maximum(torch.maximum(upper_lid - dy, dy - lower_lid), (s.abs() - 1) * e.half_width))
    _ball(canvas, i, e, dx, dy, s, upper_lid, hole)
    wet = bump(dy - lower_lid + 0.0012, canvas.blunt(0.0018)) * hole
    canvas.paint(i.rgb("skin") * 0.35 + _rgb(dx, 0.62, 0.50, 0.48), wet * 0.55)
    lash = 0.0032 + 0.0034 * i.lashes * (0.55 + 0.45 * (s * e.side).clamp(-0.5, 1))
    flick = ((s * e.side - 0.8).clamp(min=0)) * 0.02 * i.lashes
    lashes = canvas.inside((dy - upper_lid + 0.0014 + flick).abs() - lash) * within
    canvas.paint(i.rgb("skin") * 0.13, lashes * (0.78 + 0.2 * i.lashes))
    under = bump(dy - lower_lid - 0.0008, canvas.blunt(0.0022)) * within
    canvas.shade(1 - (0.22 + 0.2 * i.lashes) * under)


def _ball(canvas: Canvas, i: Columns, e: Eye, dx: Tensor, dy: Tensor, s: Tensor, lid: Tensor, hole: Tensor) -> None:
    shadow = 0.52 + 0.48 * ((dy - lid) / 0.014).clamp(0, 1)  # of lid and lashes
    bright = 0.58 + 0.32 * i.rgb("skin").mean(1, keepdim=True) + 0.12 * i.light_strength.unsqueeze(1)
    globe = shadow * (1 - 0.30 * s * s)
    white = bright * _rgb(dx, 1.0, 0.965, 0.94)
    canvas.paint(white * globe.unsqueeze(1), hole)
    caruncle = torch.sigmoid((-s * e.side - 0.80) * 22)
    canvas.paint(i.rgb("skin") * _rgb(dx, 0.85, 0.55, 0.52), hole * caruncle * 0.75)
    ix, iy = dx - e.gaze_x, dy - e.gaze_y + 0.003
    radius = (ix * ix + iy * iy + 1e-9).sqrt()
    size = 0.0222 * i.eye_size
    r = radius / size
    angle = torch.atan2(iy, ix)
    fibres = torch.sin(angle * 19 + i.phase1 + 3 * r) + 0.7 * torch.sin(angle * 31 + i.phase2 - 4 * r)
    tone = 0.80 + 0.11 * fibres * (1.1 - r).clamp(0, 1)
    tone = tone + 0.65 * torch.sigmoid((iy - 0.003) * 260) * (1 - r).clamp(0, 1) * 1.3  # light that has crossed it
    collar = bump(r - 0.52, 0.11) * 0.4
    limbus = torch.sigmoid((r - 0.86) * 20)
    colour = i.rgb("iris") * ((tone * (1 - 0.72 * limbus) * shadow).unsqueeze(1)) * 1.15
    colour = colour + _rgb(dx, 0.16, 0.09, 0.03) * collar.unsqueeze(1)
    canvas.paint(colour, hole * canvas.inside((r - 1) * 0.022, 1.4))
    canvas.paint(_rgb(dx, 0.02, 0.018, 0.02), hole * canvas.inside(radius - size * 0.44))
    # the lamp as a small window, its opposite as a dim one, both fixed to the ball's bulge
    aim = torch.sign(torch.cos(i.light_angle))
    lx, ly = ix - 0.0072 * aim + 0.3 * e.gaze_x, iy + 0.0078
    window = torch.maximum(lx.abs() - 0.0046, ly.abs() - 0.0048)
    canvas.paint(_rgb(dx, 1.0, 0.99, 0.97), hole * canvas.inside(window, 1.2) * 0.94)
    dim = (((ix + 0.008 * aim) ** 2 + (iy - 0.009) ** 2) + 1e-9).sqrt() - 0.004
    canvas.paint(_rgb(dx, 0.85, 0.9, 1.0), hole * canvas.inside(dim, 1.6) * 0.35)


def draw_brow(canvas: Canvas, i: Columns, e: Eye) -> None:
    """One eyebrow of single hairs: inner end moved by AU1 and AU4, outer end by AU2."""
    s = (canvas.u - e.brow_x) / e.brow_half_width * e.side  # -1 inner end .. 1 outer end
    inner, outer = ((1 - s) * 0.5).clamp(0, 1.1), ((1 + s) * 0.5).clamp(0, 1.1)
    arch = 0.014 * i.brow_arch * e.brow_bend * (1 - (s - 0.25) ** 2).clamp(min=-0.6)
    height = arch + e.brow_inner * inner + e.brow_outer * outer - 0.06 * i.brow_tilt * s
    across = canvas.v - e.brow_y + height  # 0 in the middle, negative above
    thickness = i.brow_thickness * (0.95 - 0.62 * outer * outer) * (1 - 0.25 * torch.sigmoid((-0.8 - s) * 12))
    # hairs rise at the inner end and lie flat at the outer
    lean = across * (0.6 + 2.4 * outer) * 60 / 1.6
    hairs = torch.sin(s * 34 + lean + i.phase2) + 0.6 * torch.sin(s * 61 + 1.7 * lean + i.phase3)
    fine = min(1.0, max(0.0, 0.011 / canvas.edge - 1.6))
    ragged = 0.0022 * hairs * fine
    distance = across.abs() - thickness + ragged
    ends = (s.abs() - 1) * 0.06
    density = (0.62 + 0.36 * i.brow_darkness) * (1 + 0.13 * fine * hairs) * (0.72 + 0.28 * torch.sigmoid((s + 0.7) * 6))
    colour = i.rgb("hair") * 0.55 * (1 - 0.3 * i.brow_darkness).unsqueeze(1) + i.rgb("skin") * 0.06
    coverage = canvas.inside(torch.maximum(distance, ends), 1.9) * density
    canvas.shade(1 - 0.10 * bump(across - 0.016, 0.012) * torch.sigmoid((1 - s.abs()) * 9))
    canvas.paint(colour, coverage.clamp(0, 0.96))


def draw_nose(canvas: Canvas, i: Columns, s: Columns) -> None:
    """Nostrils and the shadow under the tip; the relief of the skin shapes the rest."""
    base = -0.055 + i.nose_length
    x = rig.turned_x(torch.zeros_like(s.yaw), rig.DEPTH_NOSE - 0.02, s)
    y = rig.turned_y(base - 0.009 * s.AU9 - 0.004 * s.AU10, rig.DEPTH_NOSE - 0.02, s)
    du, dv = canvas.u - x, canvas.v - y
    flare = i.nose_width * (0.54 + 0.12 * s.AU9 + 0.06 * s.AU10)
    for side in (-1.0, 1.0):
        out = (du - side * flare) * side
        hole = (out / 0.0135) ** 2 + ((dv - 0.003 + 0.30 * out) / 0.0062) ** 2
        soft = bump(hole, 1.2)
        canvas.paint(i.rgb("skin") * _rgb(du, 0.22, 0.14, 0.13), soft * 0.82)
        wing = bump((du - side * (i.nose_width + 0.007)), 0.007) * bump(dv + 0.006, 0.016)
        canvas.shade(1 - (0.12 + 0.20 * s.AU9) * wing)


def draw_mouth(canvas: Canvas, i: Columns, m: Mouth, lights: Lamps) -> None:
    """Inside of the mouth with teeth and tongue, then the lips around it."""
    s = (canvas.u - m.x) / m.half_width
    v = canvas.v
    bow = (1 - s * s).clamp(min=0.0)
    corner = m.corner_left + (m.corner_right - m.corner_left) * torch.sigmoid(s * 6)
    edge = s.abs().clamp(max=1.25)
    edge = edge * (0.3 + 0.7 * edge)
    middle = m.y - corner * (edge - 0.28) - m.chin_push * bow
    arc = (bow + 1e-5).sqrt() * (0.6 + 0.4 * bow)
    inner_top = middle - (0.30 * m.gap + m.raise_upper) * arc
    inner_bottom = middle + 0.70 * m.gap * arc
    cupid = 1 - 0.30 * bump(s, 0.12) + 0.12 * bump(s.abs() - 0.28, 0.16)
    outer_top = inner_top - m.upper * arc * cupid
    outer_bottom = inner_bottom + m.lower * arc * (1 - 0.06 * bump(s, 0.10))
    ends = (s.abs() - 1) * m.half_width
    # the upper lip throws a shadow on the lower, the lower on the chin; corners sink in
    sunk = bump(s.abs() - 1.03, 0.10) * bump(v - middle, 0.010)
    below = bump(v - outer_bottom - 0.010, 0.009) * bump(s, 0.75)
    border = bump(v - outer_top + 0.0035, canvas.blunt(0.003)) * torch.sigmoid((0.9 - s.abs()) * 14)
    canvas.shade(1 - 0.22 * sunk - 0.20 * below + 0.09 * border)
    lips = canvas.inside(torch.maximum(torch.maximum(outer_top - v, v - outer_bottom), ends), 1.3)
    _lips(canvas, i, m, s, v, (outer_top, inner_top, inner_bottom, outer_bottom), lips)
    hole = canvas.inside(torch.maximum(torch.maximum(inner_top - v, v - inner_bottom), ends))
    hole = hole * torch.sigmoid((inner_bottom - inner_top - 0.004) * 900)
    _inside(canvas, i, m, s, v, (inner_top, inner_bottom, arc), hole)
    line = bump(v - 0.5 * (inner_top + inner_bottom), canvas.blunt(0.0034)) * torch.sigmoid((1.04 - s.abs()) * 40)
    canvas.paint(
        i.rgb("lip") * _rgb(s, 0.34, 0.22, 0.22), line * (1 - (m.gap + m.raise_upper) / 0.012).clamp(0, 1) * 0.8
    )


def _lips(
    canvas: Canvas, i: Columns, m: Mouth, s: Tensor, v: Tensor, at: tuple[Tensor, Tensor, Tensor, Tensor], lips: Tensor
) -> None:
    outer_top, inner_top, inner_bottom, outer_bottom = at
    high = ((v - outer_top) / (inner_top - outer_top + 0.002)).clamp(0, 1)  # 0 border .. 1 the upper lip's inner edge
    low = ((v - inner_bottom) / (outer_bottom - inner_bottom + 0.002)).clamp(0, 1)
    is_upper = torch.sigmoid((inner_top + inner_bottom - 2 * v) * 160)
    lean = 0.22 * torch.cos(i.light_angle) * s
    upper_tone = 0.92 - 0.28 * high
    lower_tone = 0.84 + 0.34 * bump(low - 0.38, 0.30) - 0.30 * low * low
    fine = min(1.0, max(0.0, 0.008 / canvas.edge - 1.2))
    lines = fine * (torch.sin(s * 47 + 2 * torch.sin(s * 9)) + 0.7 * torch.sin(s * 83 + i.phase4)) * 0.035
    tone = (lower_tone + (upper_tone - lower_tone) * is_upper + lean + lines) * (1 - 0.18 * s * s)
    lip = i.rgb("lip")
    red = 1 + _rgb(s, 0.02, -0.10, -0.08) * is_upper.unsqueeze(1)
    # colour fades into the skin at the border
    border = torch.minimum(v - outer_top, outer_bottom - v) / 0.006
    canvas.paint(lip * red * tone.unsqueeze(1) * 1.02, lips * (0.62 + 0.38 * border.clamp(0, 1)))
    spread = bump(s - 0.12 * torch.cos(i.light_angle), 0.42)
    gloss = bump(low - 0.36, 0.16) * spread * (1 - is_upper) * (0.75 + 0.25 * torch.sin(s * 47 + 1.0) * fine)
    canvas.paint(0.35 * lip + 0.62, lips * gloss * (0.10 + 0.34 * i.shine))


def _inside(
    canvas: Canvas, i: Columns, m: Mouth, s: Tensor, v: Tensor, at: tuple[Tensor, Tensor, Tensor], hole: Tensor
) -> None:
    """Dark cavity, tongue, gums and two rows of teeth that fall into shadow at the corners."""
    inner_top, inner_bottom, arc = at
    depth = ((v - inner_top) / (inner_bottom - inner_top + 0.004)).clamp(0, 1)
    cavity = _rgb(s, 0.16, 0.035, 0.04) * (0.45 + 0.75 * depth).unsqueeze(1)
    canvas.paint(cavity, hole)
    tongue_top = inner_bottom - (0.010 + 0.32 * m.gap + 0.35 * m.gap * m.tongue) * arc
    swell = bump((v - tongue_top) / (0.5 * m.gap + 0.012) - 0.35, 0.5) * (0.72 + 0.28 * (s / 0.10).abs().clamp(0, 1))
    tongue = _rgb(s, 0.64, 0.27, 0.28) * ((0.52 + 0.48 * swell) * (0.8 + 0.2 * m.tongue)).unsqueeze(1)
    canvas.paint(tongue, hole * canvas.inside(tongue_top - v, 2.0) * (1 - 0.5 * s.abs().clamp(0, 1)))
    height = (0.011 + 0.024 * m.teeth) * arc * (m.teeth > 0.05)
    # teeth grow narrower towards the corners, as on an arch
    place = torch.asin(s.clamp(-0.97, 0.97)) * 4.6
    within = (torch.remainder(place, 1.0) - 0.5).abs() * 2  # 0 in a tooth's middle .. 1 between two
    length = 1 + 0.10 * torch.cos(place.floor() * 2.1 + 1.05) - 0.16 * within**4
    bottom = inner_top + height * length
    seam = 1 - 0.30 * (within**8)
    curve = (1 - 0.62 * s * s) * (0.80 + 0.20 * ((v - inner_top) / 0.012).clamp(0, 1))
    white = _rgb(s, 0.97, 0.945, 0.89) * i.teeth_white.unsqueeze(1)
    visible = hole * canvas.inside(torch.maximum(v - bottom, (s.abs() - 0.88) * m.half_width))
    tooth = white * (seam * curve).unsqueeze(1)
    canvas.paint(tooth, visible * (0.35 + 0.62 * m.teeth))
    gum = visible * torch.sigmoid((inner_top + (0.004 + 0.6 * m.raise_upper) * (0.6 + 0.4 * within) - v) * 700)
    canvas.paint(_rgb(s, 0.72, 0.36, 0.36) * curve.unsqueeze(1), gum * (m.raise_upper / 0.012).clamp(0, 1))
    shine = visible * bump(v - inner_top - 0.45 * height, 0.004) * bump(within, 0.35) * (1 - s * s).clamp(min=0)
    canvas.paint(_rgb(s, 1.0, 1.0, 1.0), shine * 0.30)
    small = (torch.remainder(place * 1.25 + 0.5, 1.0) - 0.5).abs() * 2
    low = hole * canvas.inside(torch.maximum(inner_bottom - v - 0.3 * height, (s.abs() - 0.7) * m.half_width))
    canvas.paint(white * (0.78 * (1 - 0.3 * small**6) * curve).unsqueeze(1), low * (0.6 * m.teeth).clamp(0, 1))


def fold_relief(canvas: Canvas, i: Columns, s: Columns, m: Mouth) -> tuple[Tensor, Tensor, Tensor]:
    """How the action units fold the skin: relief in frame widths, flush 0 .. 1 and creases 0 .. 1; each [B, H, W].

    Folds are furrows in the relief, so that the lamps give each a light and a dark side; age deepens them.
    """
    u, v = canvas.u, canvas.v
    deep = 0.75 + 0.75 * i.age
    up = 0.2 * torch.sin(s.pitch)
    relief, crease = torch.zeros_like(u), torch.zeros_like(u)
    brow = canvas.part(0.06, 0.50)
    rows = slice(0, brow.u.shape[-2])
    furrow = _forehead(brow, i, s, up)
    relief[:, rows] -= 0.0034 * deep * furrow
    crease[:, rows] += 0.14 * deep * furrow
    flush = torch.zeros_like(u)
    half = u.shape[-1] // 2 + int(0.1 * u.shape[-1])
    for side, columns in ((-1.0, slice(0, half)), (1.0, slice(u.shape[-1] - half, u.shape[-1]))):
        bulge, fold, line, red = _side_folds(canvas, columns, i, s, m, side, up)
        relief[..., columns] += bulge - 0.0036 * deep * (fold + line)
        crease[..., columns] += deep * (0.11 * fold + 0.24 * line)
        flush[..., columns] += red
    chin = bump(u - m.x, 0.045) * bump(v - m.y - 0.098, 0.020)
    dimples = torch.sin(u * 150) * torch.sin(v * 165 + u * 40)
    relief += s.AU17 * chin * (0.010 + 0.0028 * dimples)
    crease += 0.16 * s.AU17 * bump(u - m.x, 0.05) * bump(v - m.y - 0.066, 0.009)
    return relief, flush, crease.clamp(0, 0.6)


def _forehead(canvas: Canvas, i: Columns, s: Columns, up: Tensor) -> Tensor:
    """Furrows of the forehead, between the brows and across the bridge of the nose."""
    u, v = canvas.u, canvas.v
    width = canvas.blunt(0.0062)
    face = bump(u, 0.175)
    raised = (0.75 * s.AU1 + 0.75 * s.AU2 + 0.10 * i.age).clamp(0, 1.3)
    furrow = torch.zeros_like(u)
    wave = 0.010 * torch.cos(u * 17) * (1 - 1.6 * s.AU1 * (1 - s.AU2)) + 0.003 * torch.sin(u * 37 + i.phase5)
    for n in range(3):
        y = -0.213 - 0.031 * n + wave - 0.02 * s.AU2 + up
        furrow = furrow + (0.85 - 0.15 * n) * raised * bump(v - y, width) * face
    for side in (-1.0, 1.0):
        x = rig.turned_x(side * (0.022 - 0.006 * s.AU4), 0.23, s) + side * 0.12 * (v + 0.15 - up)
        furrow = furrow + 1.1 * s.AU4 * bump(u - x, 1.5 * width) * bump(v + 0.152 - up, 0.030)
    nose_x = rig.turned_x(torch.zeros_like(s.yaw), 0.27, s)
    for n in range(3):
        y = -0.088 + 0.024 * n + up + 0.6 * (u - nose_x).abs() * (n - 1)
        furrow = furrow + 1.1 * s.AU9 * bump(v - y, width) * bump(u - nose_x, 0.034)
    return furrow


def _side_folds(
    canvas: Canvas, columns: slice, i: Columns, s: Columns, m: Mouth, side: float, up: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Relief of the cheek, its soft folds, its sharp lines and its flush on one side, each [B, H, columns]."""
    u, v = canvas.u[..., columns], canvas.v[..., columns]
    width = canvas.blunt(0.0055)
    lift = m.corner_left if side < 0 else m.corner_right
    # from the wing of the nose around the corner of the mouth
    start_y = 0.078 - 0.012 * s.AU9 + up
    t = ((v - start_y) / 0.125).clamp(0, 1)
    x = m.x + side * (0.058 + (m.half_width + 0.020 - 0.058 + 0.25 * lift.abs()) * t * (1.2 - 0.2 * t))
    fade = torch.sigmoid((v - start_y) * 90) * torch.sigmoid((start_y + 0.100 - 0.6 * lift.clamp(min=0) - v) * 80)
    amount = 0.7 * s.AU12 + 0.8 * s.AU10 + 0.5 * s.AU9 + 0.3 * s.AU6 + 5.0 * lift.clamp(min=0)
    fold = amount.clamp(0, 1.5) * bump(u - x, 0.014) * fade
    # the cheek bunches up above the fold
    cheek_x = rig.turned_x(side * (i.eye_spacing + 0.014), 0.2, s)
    cheek_y = 0.048 - 0.022 * s.AU6 + up
    cheek = bump(u - cheek_x, 0.058) * bump(v - cheek_y, 0.042)
    bulge = (0.010 * s.AU6 + 0.007 * s.AU12 + 0.005 * s.AU9) * cheek
    puff = bump(u - x - side * 0.020, 0.016) * fade
    bulge = bulge + 0.0040 * amount.clamp(0, 1.5) * puff
    # corner of the mouth: dimple when pulled up or in, line when pulled down
    cx, cy = m.x + side * (m.half_width + 0.013), m.y - lift * 0.8
    right = (i.smirk_side * side > 0).float()
    dimple = bump(u - cx, 0.009) * bump(v - cy, 0.019)
    line = (1.5 * s.AU14 * right + 0.3 * s.AU12) * dimple
    droop = bump(u - cx - side * 0.10 * (v - cy), 0.0065) * bump(v - cy - 0.026, 0.022)
    line = line + 0.9 * s.AU15 * droop
    stretch = bump(u - cx - side * 0.012, 0.0075) * bump(v - cy - 0.01, 0.035)
    line = line + 0.5 * s.AU20 * stretch
    # outer corner of the eye, and the pouch under it
    ex = rig.turned_x(side * (i.eye_spacing + 0.060), 0.16, s)
    dx = (u - ex) * side
    for n in (-1.0, 0.0, 1.0):
        y = -0.085 + up + n * (0.008 + 0.32 * dx)
        line = line + (0.62 * s.AU6 + 0.12 * i.age) * bump(v - y, width) * bump(dx - 0.017, 0.015)
    pouch = bump(dx + 0.052, 0.048) * bump(v + 0.052 - up, 0.0075)
    fold = fold + (0.85 * s.AU6 + 0.55 * s.AU7) * pouch
    flush = (0.20 * s.AU6 + 0.1 * s.AU12) * cheek
    return bulge, fold, line, flush


def draw_glasses(canvas: Canvas, i: Columns, s: Columns, eyes: list[Eye]) -> None:
    """A rim of some thickness around each eye, its shadow on the skin, the bridge, and a room's reflection."""
    if float(i.glasses.max()) == 0.0:
        return
    dark = i.rgb("cloth2") * 0.22
    p = i.glasses_square
    shift = 0.035 * torch.sin(s.yaw)
    glint = torch.sign(torch.cos(i.light_angle))
    for e in eyes:
        x = (canvas.u - e.x - shift) / i.glasses_size
        y = (canvas.v - e.y - 0.006) / (i.glasses_size * 0.8)
        radius = (x.abs().clamp(min=1e-3) ** p + y.abs().clamp(min=1e-3) ** p) ** (1 / p)
        lens = torch.sigmoid((1 - radius) * 30)
        below = ((x.abs().clamp(min=1e-3)) ** p + (y - 0.14).abs().clamp(min=1e-3) ** p) ** (1 / p)
        canvas.shade(1 - 0.22 * bump((below - 1) * 0.066, 0.008))
        stripe = torch.sigmoid(((x * glint * 0.8 - y) - 0.55) * 14) * torch.sigmoid((1.15 - (x * glint * 0.8 - y)) * 14)
        canvas.paint(_rgb(x, 0.93, 0.96, 1.0), lens * (0.035 + 0.16 * stripe))
        rim = (radius - 1) * 0.066
        lit_edge = 1 + 1.6 * bump(rim + 0.0015, canvas.blunt(0.002)) * torch.sigmoid(-y * 5)
        canvas.paint(dark * lit_edge.unsqueeze(1) + 0.05 * lit_edge.unsqueeze(1), canvas.inside(rim.abs() - 0.0050))
        arm = torch.maximum(i.glasses_size - (canvas.u - e.x - shift) * e.side, (canvas.v - e.y + 0.012).abs() - 0.005)
        canvas.paint(dark, canvas.inside(torch.maximum(arm, (canvas.u * e.side) - i.face_width)))
    middle = 0.5 * (eyes[0].x + eyes[1].x) + shift
    half = 0.5 * (eyes[1].x - eyes[0].x) - i.glasses_size
    sag = 3.0 * (canvas.u - middle) ** 2
    bridge = torch.maximum((canvas.v - eyes[0].y + 0.014 - sag).abs() - 0.0045, (canvas.u - middle).abs() - half)
    canvas.paint(dark + 0.06, canvas.inside(bridge))
