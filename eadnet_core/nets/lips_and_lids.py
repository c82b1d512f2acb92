"""Lips and lids as layers: what lies above a mouth or an eye, what lies below, and what shows where they part.

One smooth flow cannot part lips: what lies between two lips that move apart would be stretched, and lids that meet
would still show half an eye. So each point of the face belongs to the side of its line that it lies on in the
reference picture. Both sides move by a field of their own, the eyeballs by a third, and an open mouth shows its own
teeth where the reference shows them, else those of a mean mouth. All is linear in the controls and fitted by least
squares, as `MotionBasis` is; the lines are the portrait's own landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..taxonomy import CONTROLS
from .canonical import MAP_PX, places, sampled
from .motion_basis import N_TERMS, absolute_terms, backwards, colour, terms

LIPS_ABOVE = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LIPS_BELOW = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
LIDS_ABOVE = (33, 246, 161, 160, 159, 158, 157, 173, 133, 362, 398, 384, 385, 386, 387, 388, 466, 263)
LIDS_BELOW = (33, 7, 163, 144, 145, 153, 154, 155, 133, 362, 382, 381, 380, 374, 373, 390, 249, 263)
"""MediaPipe's landmarks of inner lips and of lids, from the picture's left to its right."""
LAYERS = ("skin_above", "skin_below", "balls")
N_COLUMNS = 128
TEETH_PX = 128
NOSE = 0.25
"""y of the canonical frame that divides eyes from mouth."""
LIPS_BOX, LIDS_BOX, FEATHER = (-0.46, 0.34, 0.46, 0.96), (-0.62, -0.36, 0.62, 0.02), 0.1
"""x0, y0, x1, y1 in the canonical frame where layers are used, and how softly that ends."""
BOXES = (LIPS_BOX, LIDS_BOX)
FACE_MIDDLE, FACE_RADII, FACE_EDGE = (0.0, 0.15), (0.7, 0.9), 5.0
"""An ellipse in the canonical frame: only there faces fold."""
CHIN = (0.44, 0.78, 0.56, 0.9)
"""Of the canonical frame: what goes where the jaw goes."""
NEAR = 0.12
"""How far around a line the face is moved with it onto the mean face, in half frame widths."""
JOINED = 0.06
"""How far inside its corners a mouth or an eye opens freely, in half frame widths."""
HALF_TOOTH = (0.35, 0.25)
"""How often a place of an open mouth shows an upper or a lower tooth where half of it is one: heads differ."""
INCISORS_SHOW, SMILE_ARC = 0.03, 0.15
"""How far upper teeth reach below lips that have just parted, and how much higher they end towards the corners, by x
squared, in half frame widths. The sets of rendered heads end where lips meet. People's reach 1.9 (men) to 3.4 mm
(women) further (Vig and Brundo 1978); eyes 63 mm apart are .68 apart here (ADR 52)."""
MEAN_FACE = (0.652, 0.485, 0.390)
"""Colour of the middle of a rendered face, 0 .. 1, mean of 60 heads."""
TEETH_FOLLOW, TEETH_TINT = 0.5, 0.3
"""Powers with which teeth follow the brightness and the colour of the face. On the same heads, whose pictures are
exposed alike, .28 and .3; a photograph that is dark as a whole would have 1 for its brightness."""
TEETH_GAIN = (1.4, 1.3, 1.2)
"""Of red, green and blue. Rendered teeth have .96, .85 and .79 of `light_in_mouth`. Those of a woman who speaks have
1.26, .92 and .79, those of two smiles 1.43, 1.27 and 1.16: halfway between."""
BEHIND_GAIN, DEEP_GAIN, TONGUE_GAIN, TONGUE_FROM = (1.3, 0.9, 0.75), (1.05, 0.6, 0.45), (1.9, 1.6, 1.6), 0.35
"""Of the mean lining, .40, .25 and .23 of the same, behind in a mouth that speaks, in one that is wide open, and above
the lower lip: what comes nearest to a woman's (ADR 46, 52). Her widest mouths have .42, .15 and .10, and .75, .40 and
.37."""
DEEP = (0.12, 0.24)
"""Gap of the lips, in half frame widths, from which on a mouth counts as wide open, and where it wholly does."""
LEAST_SHOWN = 0.04
"""Gap of a portrait's lips, in half frame widths, from which on its own teeth begin to be seen. Of 13 portraits three
that show teeth have .065 to .074, the others up to .037."""
LIP_SHADE, LIP_SHADE_REACH = 0.5, 0.02
CORNER_SHADE, CORNER_REACH = 0.5, 0.12
"""How dark a mouth is right below the upper lip and at its corners, and how far that reaches, in half frame widths."""
LEAST_BRIGHT = 0.05
GAZE_REACH = 2.0
"""A gaze of 1 moves the iris of a rendered head by an eighth of the eye's width. People look further aside."""
LID_EDGE, MOST_SCALE = 0.003, 2.5
"""Added to gaps of lids, in half frame widths, so that a column beside the eyes moves as on the mean face; and how much
further than there a column moves at most."""
OVERLAP = 1.2
"""Of the gap that a blink goes: landmarks of lids lie a little inside the edges that are seen."""
MOST_SHUT = 0.8
"""A portrait whose eyes are further shut than this blinks as if they were not."""
_BLINK, _GAZE = CONTROLS.index("blink"), [CONTROLS.index("gaze_x"), CONTROLS.index("gaze_y")]
_CHIN_SKIN = [CONTROLS.index(name) for name in ("AU17", "AU23", "round", "press", "tuck", "upper", "wide")]


@dataclass(frozen=True)
class Lines:
    """Where lids and lips of faces part, in the canonical frame, in half frame widths.

    above    [B, 2, 128]  y of the upper edge in each column: of the lids, of the lips
    below    [B, 2, 128]  y of the lower edge; the same as above beside the corners
    corners  [B, 6]       x of both corners of the left eye, of the right one, and of the mouth
    """

    above: Tensor
    below: Tensor
    corners: Tensor

    def repeat(self, times: int) -> Lines:
        """Those of each face `times` in a row."""
        return Lines(*(x.repeat_interleave(times, 0) for x in (self.above, self.below, self.corners)))

    def beyond(self, where: Tensor, is_mouth: Tensor | bool) -> tuple[Tensor, Tensor]:
        """How far places [B, 2, N, N] lie above the upper edge, and below the lower one: [B, 1, N, N] each.

        is_mouth  [..., N, N], or of all  which line counts
        """
        above, below = (heights(line, where[:, :1], is_mouth) for line in (self.above, self.below))
        return above - where[:, 1:], where[:, 1:] - below

    def inside(self, x: Tensor, is_mouth: Tensor | bool) -> Tensor:
        """How far x [B, 1, N, N] lies between the corners of the mouth or of the nearer eye; below 0 beside them."""
        if is_mouth is True:
            return self._between(x, 4)
        eyes = torch.maximum(self._between(x, 0), self._between(x, 2))
        return eyes if is_mouth is False else torch.where(is_mouth, self._between(x, 4), eyes)

    def shown(self, x: Tensor) -> Tensor:
        """1 at x [B, 1, N, N] where a mouth is open so far that its upper teeth are seen, else 0, softly."""
        return (2 * (self.gap(x) - LEAST_SHOWN) / LEAST_SHOWN).clamp(0, 1)

    def gap(self, x: Tensor) -> Tensor:
        """How far a mouth is open at x [B, 1, N, N]."""
        return heights(self.below, x, True) - heights(self.above, x, True)

    def _between(self, x: Tensor, corner: int) -> Tensor:
        left, right = self.corners[:, corner : corner + 2, None, None, None].unbind(1)
        return torch.minimum(x - left, right - x)


def heights(line: Tensor, x: Tensor, is_mouth: Tensor | bool) -> Tensor:
    """y of lines [B, 2, 128] at x [B, 1, N, N]: of the lips where `is_mouth`, else of the lids."""
    column = ((x + 1) * (N_COLUMNS / 2) - 0.5).clamp(0, N_COLUMNS - 1.001)
    left = column.floor()
    share, left = (column - left).flatten(1), left.long().flatten(1)
    lids, lips = (
        None if is_mouth is skipped else _height(line[:, i], left, share).view_as(x)
        for i, skipped in ((0, True), (1, False))
    )
    if lids is None or lips is None:
        found = lips if lids is None else lids
        assert found is not None
        return found
    return torch.where(torch.as_tensor(is_mouth), lips, lids)


def _height(line: Tensor, left: Tensor, share: Tensor) -> Tensor:
    """y [B, n] of lines [B, 128], `share` of the way from columns `left` [B, n] to the next."""
    return torch.lerp(line.gather(1, left), line.gather(1, left + 1), share)


def aligned(where: Tensor, own: Tensor, mean: Tensor) -> Tensor:
    """Places [B, 2, N, N] of faces whose lines are `own` as places of the mean face: a line [B, 2, 128] each.

    So that what a field says of an edge is said of each face's own edge.
    """
    is_mouth = where[:, 1:] > NOSE
    line = heights(own, where[:, :1], is_mouth)
    shift = heights(mean.expand_as(own), where[:, :1], is_mouth) - line
    near = torch.exp(-(((where[:, 1:] - line) / NEAR).square()))
    return torch.cat([where[:, :1], where[:, 1:] + shift * near], 1)


def lines_of(points: Tensor) -> Lines:
    """Lines of faces by their landmarks [B, 468, 2] in the canonical frame, in half frame widths."""
    return lines_through(*(points[:, list(ids)] for ids in (LIDS_ABOVE, LIDS_BELOW, LIPS_ABOVE, LIPS_BELOW)))


def lines_through(lids_above: Tensor, lids_below: Tensor, lips_above: Tensor, lips_below: Tensor) -> Lines:
    """Lines through points [B, n, 2] from left to right; those of the left eye and of the right one are as many."""
    columns = torch.arange(N_COLUMNS, device=lids_above.device, dtype=lids_above.dtype)
    columns = (columns * 2 + 1) / N_COLUMNS - 1
    above = torch.stack([heights_over(columns, points) for points in (lids_above, lips_above)], 1)
    below = torch.stack([heights_over(columns, points) for points in (lids_below, lips_below)], 1)
    middle = (above + below) / 2
    n = lids_above.shape[1] // 2
    corners = torch.cat([lids_above[:, [0, n - 1, n, -1], 0], lips_above[:, [0, -1], 0]], 1)
    return Lines(torch.minimum(above, middle), torch.maximum(below, middle), corners)


def heights_over(columns: Tensor, points: Tensor) -> Tensor:
    """y [B, N] over columns [N] of lines through points [B, n, 2] from left to right; level beyond their ends."""
    x = points[..., 0].cummax(1).values + 1e-5 * torch.arange(points.shape[1], device=points.device)
    at = columns.expand(len(points), -1).contiguous()
    after = torch.searchsorted(x.contiguous(), at).clamp(1, x.shape[1] - 1)
    x0, x1 = x.gather(1, after - 1), x.gather(1, after)
    y0, y1 = points[..., 1].gather(1, after - 1), points[..., 1].gather(1, after)
    return torch.lerp(y0, y1, ((at - x0) / (x1 - x0)).clamp(0, 1))


@dataclass(frozen=True)
class Layers:
    """What layers make of the parts of a frame that they know, all in the canonical frame.

    share  [B, 1, N, N]  1 where layers are used
    flow   [B, 2, N, N]  where each pixel comes from, relative to its place, in half frame widths
    alpha  [B, 1, N, N]  1 where a mouth's inside is painted
    paint  [B, 3, N, N]  -1 .. 1, of a mouth
    inner  [B, 1, N, N]  1 where an eyeball or a mouth's inside shows, which has no folds
    lips, lids           rows and columns of both parts: beyond them all is 0
    """

    share: Tensor
    flow: Tensor
    alpha: Tensor
    paint: Tensor
    inner: Tensor
    lips: tuple[slice, slice]
    lids: tuple[slice, slice]


@dataclass(frozen=True)
class Opening:
    """Where places lie in an open mouth, in half frame widths: [B, 1, h, w] each.

    below   below the upper lip
    above   above the lower lip
    beside  from the nearer corner, inwards
    own     1 where the portrait shows its own teeth, so that no others are painted below them
    """

    below: Tensor
    above: Tensor
    beside: Tensor
    own: Tensor

    def chosen(self, which: Tensor) -> Opening:
        """Some of the mouths."""
        return Opening(*(getattr(self, f.name)[which] for f in fields(self)))

    def grown(self, gap: Tensor) -> Tensor:
        """1 where a mouth that showed no teeth, its lips `gap` apart, is open so much further that the line between
        them would hang below the upper lip; else 0, softly."""
        return (1 - self.own) * ((self.below + self.above - gap) / LEAST_SHOWN).clamp(0, 1)

    def lined(self, lining: Tensor) -> Tensor:
        """A lining [B, 3, h, w] with the depth of a mouth: dark and red behind, and a tongue above the lower lip."""
        gap = self.below + self.above
        tongue = ((self.below / gap.clamp(min=1e-4) - TONGUE_FROM) / (1 - TONGUE_FROM)).clamp(0, 1)
        tongue = tongue * tongue * (3 - 2 * tongue)
        deep = ((gap - DEEP[0]) / (DEEP[1] - DEEP[0])).clamp(0, 1)
        gains = (lining.new_tensor(gain).view(3, 1, 1) for gain in (BEHIND_GAIN, DEEP_GAIN, TONGUE_GAIN))
        behind, far, front = gains
        return lining * torch.lerp(torch.lerp(behind, far, deep), front, tongue)

    def with_teeth(self, inside: Tensor, teeth: Tensor, is_upper: bool) -> Tensor:
        """The inside of a mouth [B, 3, h, w] with a row of `LipsAndLids.teeth` [B, 4, h, w] over it."""
        gain = teeth.new_tensor(TEETH_GAIN).view(3, 1, 1)
        share = edge(teeth[:, :1], is_upper)
        return torch.lerp(inside, gain * teeth[:, 1:], share * (1 - self.own) if is_upper else share)

    def shaded(self, inside: Tensor) -> Tensor:
        """What is in a mouth [B, 3, h, w] in the shade of its lips, 0 .. 2."""
        lip = 1 - LIP_SHADE * torch.exp(-self.below.clamp(min=0) / LIP_SHADE_REACH)
        corner = 1 - CORNER_SHADE * (1 - (self.beside / CORNER_REACH).clamp(0, 1))
        return (inside * lip * corner).clamp(0, 2)


class LipsAndLids(nn.Module):
    """Fields of three layers, and what a mouth shows.

    skin_above, skin_below, balls  [K, 2, 64, 64]  where each point of a layer goes by term, in half frame widths
    inside  [K + 1, 3, 64, 64]     what an open mouth shows without teeth, in units of `light_in_mouth`
    teeth   [2, 4, 128, 128]       upper and lower: how surely a place is a tooth, and its colour, mouth shut
    above, below  [2, 128]         mean `Lines`, which the fields belong to
    """

    skin_above: Tensor
    skin_below: Tensor
    balls: Tensor
    inside: Tensor
    teeth: Tensor
    above: Tensor
    below: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in LAYERS:
            self.register_buffer(name, torch.zeros(N_TERMS, 2, MAP_PX, MAP_PX))
        self.register_buffer("inside", torch.zeros(N_TERMS + 1, 3, MAP_PX, MAP_PX))
        self.register_buffer("teeth", torch.zeros(2, 4, TEETH_PX, TEETH_PX))
        self.register_buffer("above", torch.zeros(2, N_COLUMNS))
        self.register_buffer("below", torch.zeros(2, N_COLUMNS))

    def forward(self, controls: Tensor, pose: Tensor, still: Tensor, lines: Lines, image: Tensor, size: int) -> Layers:
        """Layers of frames, `size` pixels wide.

        controls  [B, 28]  of frames; `still` those of their references
        pose      [B, 5]   relative to the reference
        image     [B, 3, S, S]  references, laid out
        """
        fields = self.fields(controls, pose, still, lines)
        here, lips, lids = places(controls, size), window(size, LIPS_BOX), window(size, LIDS_BOX)
        flows, alphas, paints, inner = made = [here.new_zeros(len(controls), n, size, size) for n in (2, 1, 3, 1)]
        for (rows, columns), is_mouth in ((lips, True), (lids, False)):
            place = here[..., rows, columns]
            above, below, ball = (place + sampled(field, place) for field in fields)
            above, below = self._joined(above, below, lines, is_mouth)
            over, within_above = lines.beyond(above, is_mouth)
            _, under = lines.beyond(below, is_mouth)
            gap = -torch.maximum(over, under) * (size / 2)
            skin = torch.where(over >= under, above, below)
            if is_mouth:
                is_own = torch.maximum(over, within_above) <= 0
                x = above[:, :1]
                opening = Opening(-over, -under, lines.inside(x, is_mouth), lines.shown(x))
                kept = is_own * (1 - opening.grown(lines.gap(x)))
                between, alpha = torch.where(is_own, above, skin), (2 * gap - 0.5).clamp(0, 1) * (1 - kept)
                paint = self.mouths(controls, pose, image, place, opening)
            else:
                between, alpha, paint = self._within(ball, lines), gap.new_zeros(()), gap.new_zeros(())
            flow = torch.where(gap > 0, between, skin) - place
            for whole, part in zip(made, (flow, alpha, paint, (2 * gap + 0.5).clamp(0, 1)), strict=True):
                whole[..., rows, columns] = part
        return Layers(layer_share(size, here.device), flows, alphas, paints, inner, lips, lids)

    def fields(self, controls: Tensor, pose: Tensor, still: Tensor, lines: Lines) -> list[Tensor]:
        """Flow back to the reference of the three layers, [B, 2, 128, 128] each."""
        change = terms(controls.float(), pose.float()) - terms(still.float(), torch.zeros_like(pose).float())
        looks = change.clone()
        looks[:, _GAZE] *= GAZE_REACH
        ball = torch.einsum("bk,kchw->bchw", looks, self.balls.float())
        change[:, _BLINK] = 0
        closes = self._closing(change, controls, still, lines)
        above, below = (
            torch.einsum("bk,kchw->bchw", change, field.float()) + closes * field[_BLINK].float()
            for field in (self.skin_above, self.skin_below)
        )
        here = places(above, N_COLUMNS).expand(len(above), -1, -1, -1)
        above = sampled(above, aligned(here, lines.above, self.above.float()))
        below = sampled(below, aligned(here, lines.below, self.below.float()))
        back = tuple(torch.zeros_like(moved) for moved in (above, below))
        for rows, columns in (window(N_COLUMNS, box) for box in BOXES):
            for whole, moved in zip(back, (above, below), strict=True):
                whole[..., rows, columns] = backwards(moved, rows, columns)
        return [*back, backwards(ball)]

    def _closing(self, change: Tensor, controls: Tensor, still: Tensor, lines: Lines) -> Tensor:
        """How much blink moves each column of the lids, [B, 1, 1, 64], so that 1 shuts the eyes of this face.

        change  [B, K]  all that is asked but the blink: eyes that it opens are shut nevertheless
        """
        before = still[:, _BLINK].float().clamp(0, MOST_SHUT)
        closes = (controls[:, _BLINK].float() - before) / (1 - before)
        drops = self._lids_drop(self.skin_above, self.above) - self._lids_drop(self.skin_below, self.below)
        gap = lines.below[:, 0] - lines.above[:, 0] + (-change @ drops).clamp(min=0)
        scale = (OVERLAP * gap + LID_EDGE) / (drops[_BLINK].clamp(min=0) + LID_EDGE)
        scale = F.avg_pool1d(scale[:, None].clamp(max=MOST_SCALE), N_COLUMNS // MAP_PX)
        return closes[:, None, None, None] * scale[:, None]

    @staticmethod
    def _lids_drop(field: Tensor, line: Tensor) -> Tensor:
        """How far each term moves a lid's edge down: [K, 128]. `field` is [K, 2, 64, 64], `line` [2, 128]."""
        x = (torch.arange(N_COLUMNS, device=line.device) * 2 + 1) / N_COLUMNS - 1
        edge = torch.stack([x, line[0].float()])[None, :, None].expand(len(field), -1, -1, -1)
        return sampled(field[:, 1:].float(), edge)[:, 0, 0]

    @staticmethod
    def _joined(above: Tensor, below: Tensor, lines: Lines, is_mouth: bool) -> tuple[Tensor, Tensor]:
        """Places of both skins, which are one skin beside the corners."""
        middle = (above + below) / 2
        apart = (lines.inside(middle[:, :1], is_mouth) / JOINED).clamp(0, 1)
        return torch.lerp(middle, above, apart), torch.lerp(middle, below, apart)

    @staticmethod
    def _within(ball: Tensor, lines: Lines) -> Tensor:
        """Places of eyeballs, kept between the lids of the reference."""
        x0, x1, x2, x3 = (lines.corners[:, i, None, None, None] for i in range(4))
        is_left = ball[:, :1] < 0
        x = torch.maximum(ball[:, :1], torch.where(is_left, x0, x2))
        x = torch.minimum(x, torch.where(is_left, x1, x3))
        kept = torch.cat([x, ball[:, 1:]], 1)
        over, under = lines.beyond(kept, is_mouth=False)
        y = kept[:, 1:] + over.clamp(min=0) - under.clamp(min=0)
        return torch.cat([x, y], 1)

    def mouths(self, controls: Tensor, pose: Tensor, image: Tensor, here: Tensor, opening: Opening) -> Tensor:
        """What open mouths show at places [1, 2, h, w], -1 .. 1 [B, 3, h, w]: lining, lower teeth, then upper teeth."""
        asked = absolute_terms(controls.float(), pose.float())
        inside = opening.lined(sampled(torch.einsum("bk,kchw->bchw", asked, self.inside.float()), here))
        skull, jaw = self.bones(controls, pose)
        for row, moved in ((1, jaw), (0, skull)):
            found = sampled(self.teeth[row].float().expand(len(asked), -1, -1, -1), tooth_places(here, moved, row == 0))
            inside = opening.with_teeth(inside, found, row == 0)
        return (light_in_mouth(image) * opening.shaded(inside) * 2 - 1).clamp(-1, 1)

    def bones(self, controls: Tensor, pose: Tensor) -> tuple[Tensor, Tensor]:
        """Flow back to a face at rest of what is fixed to the skull, and to the jaw: [B, 2, 64, 64] each."""
        nothing, no_pose = torch.zeros_like(controls).float(), torch.zeros_like(pose).float()
        skull = torch.einsum("bk,kchw->bchw", terms(nothing, pose.float()), self.skin_above.float())
        bone = controls.float().clone()
        bone[:, _CHIN_SKIN] = 0
        down = torch.einsum("bk,kchw->bchw", terms(bone, no_pose), self.skin_below.float())
        x0, y0, x1, y1 = (round(e * MAP_PX) for e in CHIN)
        down = down[..., y0:y1, x0:x1].mean((2, 3), keepdim=True)
        return -skull, -(skull + down)


def light_in_mouth(image: Tensor) -> Tensor:
    """What a mouth's inside is multiplied with, [B, 3, 1, 1], of faces whose pictures [B, 3, S, S] are laid out.

    Teeth of a dark skin are as white as those of a light one: of a face's brightness they follow what comes of the
    light alone, and so of its colour.
    """
    face, mean = colour(image), image.new_tensor(MEAN_FACE).view(3, 1, 1).float()
    bright, usual = face.mean(1, keepdim=True), mean.mean()
    tint = ((face / bright.clamp(min=LEAST_BRIGHT)) / (mean / usual)).clamp(min=LEAST_BRIGHT) ** TEETH_TINT
    return usual * (bright / usual) ** TEETH_FOLLOW * tint


def tooth_places(here: Tensor, moved: Tensor, is_upper: bool) -> Tensor:
    """Places [1, 2, h, w] in `LipsAndLids.teeth` of a mouth shut, by the flow back [B, 2, h', w'] of what they hang on:
    [B, 2, h, w]."""
    where = here + sampled(moved, here)
    if not is_upper:
        return where
    x, y = where.split(1, 1)
    return torch.cat([x, y - INCISORS_SHOW + SMILE_ARC * x.square()], 1)


def edge(share: Tensor, is_upper: bool) -> Tensor:
    """How much of a pixel is tooth, of how often it is."""
    return ((share - HALF_TOOTH[0 if is_upper else 1]) * 5 + 0.5).clamp(0, 1)


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def layer_share(size: int, device: torch.device | str = "cpu") -> Tensor:
    """1 in the boxes of lids and lips, 0 elsewhere, of frames of a size: [1, 1, N, N]. Kept; not to be changed."""
    here, shares = places(torch.empty(0, device=device), size), []
    for x0, y0, x1, y1 in BOXES:
        inside = torch.minimum(
            torch.minimum(here[:, :1] - x0, x1 - here[:, :1]), torch.minimum(here[:, 1:] - y0, y1 - here[:, 1:])
        )
        ramp = (inside / FEATHER).clamp(0, 1)
        shares.append(ramp * ramp * (3 - 2 * ramp))
    return torch.maximum(*shares)


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def face_share(size: int, device: torch.device) -> Tensor:
    """1 in the middle of the face, 0 at its outline and beyond: [1, 1, N, N]. Kept; not to be changed."""
    here = places(torch.empty(0, device=device), size)
    (x, y), (width, height) = FACE_MIDDLE, FACE_RADII
    far = (((here[:, :1] - x) / width).square() + ((here[:, 1:] - y) / height).square()).sqrt()
    return ((1 - far) * FACE_EDGE).clamp(0, 1)


def window(size: int, box: tuple[float, float, float, float]) -> tuple[slice, slice]:
    """Rows and columns of a frame that a box of layers is computed in."""
    x0, y0, x1, y1 = ((side + 1) * size / 2 for side in box)
    return slice(max(0, int(y0) - 1), min(size, int(y1) + 2)), slice(max(0, int(x0) - 1), min(size, int(x1) + 2))
