"""The minis' picture side: a reference picture read once, and motion latents decoded as a change to its own pixels.

Our design (ADR 23, 25). A frame is the reference picture moved by a flow, shaded by a soft light, and painted over
where an open mouth shows what the reference does not have. On rendered heads flow and visibility are known, so they
are taught. They are smooth and grow to any size; only what is painted has a
size. What the reference already does is read off it, so that a smile can be taken back.

All nets see faces in the canonical frame, and begin with how a mean face would move.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config import VAEConfig
from ..taxonomy import CONTROLS
from .between import Added, frames_between, weights_between
from .canonical import N_POINTS, CanonicalFrame, Maps, places, resized, sample, sample_at
from .layers import GroupNorm
from .lips_and_lids import Lines, LipsAndLids, face_share, lines_of
from .motion_basis import N_POSE, MotionBasis
from .motion_latents import MotionLatents
from .photographs import on_skin

POSE_SIZE = (0.3, 0.25, 0.2, 0.06, 0.06)
"""Usual size of yaw, pitch, roll (radians) and shifts (frame widths); divided by it, all are about 1."""
CONTROL_SIZE, LATENT_SIZE = 0.2, 0.25
"""Usual sizes of a control and of latents where there are any; what is given to the decoder is divided by them, or it
learns to turn heads and nothing else (measured over 1000 steps)."""
MAX_FLOW, MAX_FINE_FLOW = 0.25, 0.1
"""What an output of 1 of the coarse and of the fine flow stands for, in half frame widths."""
MAX_LIGHT = 0.8
"""Furthest that light changes the logarithm of a pixel's brightness."""
MOST_LIGHT = 2 * MAX_LIGHT
"""The same with folds."""
ALPHA_BIAS = -2.0
"""At first little is painted."""
BRANCH_INIT = 0.3
"""Scale of the last weights of a branch beside a skip, so that depth does not disturb early training."""
READER_DROPOUT = 0.15
PLACE_SIZE, SHIFT_SIZE, POINT_SIZE = 0.3, 6.0, 15.0
"""What places (-1 .. 1) and shifts (about .1, .07) are multiplied by, so that neither outweighs the picture."""
LAID_PX = 256
"""Side of a change at which lips and lids are cut, and at which it is brought back to the picture."""
HALF_PX = 64
"""Side of the finest features."""
ATLAS, ATLAS_SIZE = 16, 3.0
"""Channels of what the decoder knows of each place by heart, and their scale."""
_CONDITION_WIDTH = 256
_N_SEEN = 16
_N_PRIOR = 6
"""Channels of the flow, the light and the mouth of the mean face."""
_MOST_PRIOR = 0.95


@dataclass(frozen=True)
class Features:
    """What is kept of a reference picture.

    image         [B, 3, S, S]    -1 .. 1 in the canonical frame, S the size of the net's pictures
    half          [B, C, 64, 64]  and so on, finest first
    controls      [B, 28]         what the face does in it, as it was read
    to_picture    [B, 2, 64, 64]  where each place of the canonical frame lies in the training frame
    to_canonical  [B, 2, 64, 64]  and back
    above, below, corners         see `Lines`
    """

    image: Tensor
    half: Tensor
    quarter: Tensor
    eighth: Tensor
    controls: Tensor
    to_picture: Tensor
    to_canonical: Tensor
    above: Tensor
    below: Tensor
    corners: Tensor

    @property
    def lines(self) -> Lines:
        """Where its lids and lips part."""
        return Lines(self.above, self.below, self.corners)

    @property
    def maps(self) -> Maps:
        """How the pictures were laid out."""
        return Maps(self.to_picture, self.to_canonical)

    def repeat(self, times: int) -> Features:
        """Each reference `times` in a row, for that many frames of it."""
        if times == 1:
            return self
        return Features(*(getattr(self, f.name).repeat_interleave(times, 0) for f in fields(self)))


@dataclass(frozen=True)
class Change:
    """How a frame differs from its reference picture; all in the canonical frame, at the training size.

    flow   [B, 2, H, W]  where each pixel comes from, relative to its place: x, y in half frame widths
    light  [B, 3, H, W]  logarithm of the factor on what is moved
    alpha  [B, 1, H, W]  0 moved .. 1 painted
    paint  [B, 3, H, W]  -1 .. 1
    """

    flow: Tensor
    light: Tensor
    alpha: Tensor
    paint: Tensor

    def in_picture(self, reference: Features, size_px: int) -> Change:
        """The same for the reference's own picture in the training frame, size_px wide.

        It is laid there at `LAID_PX` at most, and enlarged from there.
        """
        if size_px > LAID_PX:
            return self.in_picture(reference, LAID_PX).resized(size_px)
        if self.flow.shape[-1] > size_px:
            return self.resized(size_px).in_picture(reference, size_px)
        maps = reference.maps.repeat(len(self.flow) // len(reference.image))
        where = resized(maps.to_canonical, size_px)
        everything = torch.cat([self.flow, self.light, self.alpha, self.paint], 1)
        flow, light, alpha, paint = sample(everything, where).split((2, 3, 1, 3), 1)
        flow = sample(maps.to_picture, where + flow) - sample(maps.to_picture, where)
        return Change(flow, light, alpha, paint)

    def resized(self, size_px: int) -> Change:
        """The same for frames of another size."""
        if size_px == self.flow.shape[-1]:
            return self
        everything = torch.cat([self.flow, self.light, self.alpha, self.paint], 1)
        larger = F.interpolate(everything, size=size_px, mode="bilinear", align_corners=False)
        return Change(*larger.split((2, 3, 1, 3), 1))

    def apply(self, pictures: Tensor, is_sharp: bool = False) -> Tensor:
        """The frames that come of pictures [B, 3, S, S] in -1 .. 1, in the frame and of the size that this is in.

        is_sharp  moves pixels by cubic splines, which keep more of a picture's detail than straight lines between them
        """
        mode = "bicubic" if is_sharp else "bilinear"
        lit = (warp(pictures, self.flow, mode) + 1) * self.light.exp() - 1
        return torch.lerp(lit, self.paint, self.alpha)


@dataclass(frozen=True)
class Prior:
    """What a mean face would do, float32, [B, n, 64, 64] each; see MotionBasis."""

    flow: Tensor
    light: Tensor
    paint: Tensor


class FilmBlock(nn.Module):
    """Two 3 x 3 convolutions and a skip; the conditions, where there are any, scale and shift between them."""

    def __init__(self, width: int, condition: int = 0) -> None:
        super().__init__()
        self.norm = GroupNorm(8, width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.film = nn.Linear(condition, 2 * width) if condition else None
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """[B, C, H, W], [B, D] -> [B, C, H, W]"""
        y = self.conv1(F.silu(self.norm(x)))
        if self.film is not None and condition is not None:
            scale, shift = self.film(condition)[:, :, None, None].chunk(2, 1)
            y = torch.addcmul(shift, y, 1 + scale)
        return x + self.conv2(F.silu(y))


class Reader(nn.Module):
    """Reference picture -> features at three resolutions."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        fine, middle, coarse = config.reference_widths
        self.conv_in = nn.Conv2d(_N_SEEN, fine, 3, padding=1)
        self.norm1, self.norm2 = GroupNorm(8, fine), GroupNorm(8, middle)
        self.down1 = nn.Conv2d(fine, middle, 3, stride=2, padding=1)
        self.middle = FilmBlock(middle)
        self.down2 = nn.Conv2d(middle, coarse, 3, stride=2, padding=1)
        self.coarse = nn.Sequential(FilmBlock(coarse), FilmBlock(coarse), GroupNorm(8, coarse), nn.SiLU())

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`_seen` -> features at a half, a quarter and an eighth of 128 pixels"""
        half = F.silu(self.norm1(self.conv_in(seen)))
        quarter = F.silu(self.norm2(self.middle(self.down1(half))))
        return half, quarter, self.coarse(self.down2(quarter))


class ControlReader(nn.Module):
    """Reads off a picture and its landmarks what its face does.

    It shares no layer with `Reader`: beside the flow's gradients it does not learn (measured: correlation .05 with the
    truth after 600 steps).
    """

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(_N_SEEN, 24, 3, padding=1),
            GroupNorm(8, 24),
            nn.SiLU(),
            nn.Conv2d(24, 48, 3, stride=2, padding=1),
            FilmBlock(48),
            GroupNorm(8, 48),
            nn.SiLU(),
            nn.Conv2d(48, 96, 3, stride=2, padding=1),
            FilmBlock(96),
            GroupNorm(8, 96),
            nn.SiLU(),
            nn.Conv2d(96, 96, 3, stride=2, padding=1),
            GroupNorm(8, 96),
            nn.SiLU(),
            nn.Conv2d(96, 48, 3, stride=2, padding=1),
            GroupNorm(8, 48),
            nn.SiLU(),
            nn.Flatten(),
            nn.Dropout(READER_DROPOUT),
            nn.Linear(48 * 16, 128),
        )
        self.shape = nn.Sequential(
            nn.Linear(2 * N_POINTS, 256), nn.SiLU(), nn.Dropout(READER_DROPOUT), nn.Linear(256, 128)
        )
        self.out = nn.Sequential(nn.SiLU(), nn.Dropout(READER_DROPOUT), nn.Linear(256, len(CONTROLS)))

    def forward(self, seen: Tensor, points: Tensor) -> Tensor:
        """`_seen` and landmarks [B, 468, 2] relative to the template, in half frame widths -> controls [B, 28]"""
        shape = self.shape((POINT_SIZE * points).flatten(1).to(seen.dtype))
        return self.out(torch.cat([self.net(seen), shape], 1))


def _seen(image: Tensor, maps: Maps) -> Tensor:
    """What both readers look at, [B, 16, 64, 64]: picture, how far it was laid from its own frame, places of cells."""
    small = halved(image) if image.shape[-1] == 4 * HALF_PX else image
    here = places(maps.to_picture)
    shift = SHIFT_SIZE * (maps.to_picture - here).to(image.dtype)
    where = (PLACE_SIZE * here).to(image.dtype).expand(len(image), -1, -1, -1)
    return torch.cat([F.pixel_unshuffle(small, 2), shift, where], 1)


class Decoder(nn.Module):
    """Motion latents, pose and a reference that was read -> flow, light, alpha and paint.

    Since faces lie alike, teeth and frown lines have places of their own: `atlas` holds what is known of each place.
    Without it convolutions painted open mouths evenly grey (measured over 1500 steps).
    """

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        fine, middle, coarse = config.decoder_widths
        half, quarter, eighth = config.reference_widths
        n_conditions = 2 * len(CONTROLS) + N_POSE
        width = _CONDITION_WIDTH
        self.condition = nn.Sequential(nn.Linear(n_conditions, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.atlas = nn.Parameter(torch.randn(1, ATLAS, HALF_PX, HALF_PX) / ATLAS_SIZE)
        self.conv_in = nn.Conv2d(2 * config.latent_channels + eighth + _N_PRIOR, coarse, 3, padding=1)
        self.coarse = nn.ModuleList(FilmBlock(coarse, width) for _ in range(2))
        self.up1 = nn.Conv2d(coarse, middle, 1)
        self.merge1 = nn.Conv2d(middle + quarter, middle, 3, padding=1)
        self.middle = nn.ModuleList(FilmBlock(middle, width) for _ in range(2))
        self.up2 = nn.Conv2d(middle, fine, 1)
        self.merge2 = nn.Conv2d(fine + half + _N_PRIOR, fine, 3, padding=1)
        self.fine = nn.ModuleList(FilmBlock(fine, width) for _ in range(1))
        self.flow = nn.Conv2d(fine, 2, 3, padding=1)
        self.times = config.size_px // HALF_PX
        self.merge3 = nn.Conv2d(fine + half + ATLAS + 3 * self.times**2, fine, 3, padding=1)
        self.finest = nn.ModuleList(FilmBlock(fine, width) for _ in range(2))
        n_light, n_paint = 3 * config.has_light, 3 * config.has_paint
        self.sizes = (2, n_light, n_paint // 3, n_paint)
        self.conv_out = nn.Conv2d(fine, self.times**2 * sum(self.sizes), 3, padding=1)

    def forward(self, latents: Tensor, still: Tensor, conditions: Tensor, reference: Features, prior: Prior) -> Change:
        """latents and those of the reference, [B, C, h, w] each; conditions [B, n]"""
        c = self.condition(conditions)
        first, shade = prior.flow, prior.light
        mean = torch.cat([SHIFT_SIZE * first, shade, prior.paint], 1)
        small = F.avg_pool2d(mean, mean.shape[-1] // latents.shape[-1]).to(latents.dtype)
        mean = mean.to(latents.dtype)
        asked = torch.cat([latents, latents - still], 1) / LATENT_SIZE
        x = self.conv_in(torch.cat([asked, warp(reference.eighth, first), small], 1))
        x = _through(self.coarse, x, c)
        x = F.interpolate(self.up1(x), scale_factor=2.0, mode="nearest")
        x = _through(self.middle, self.merge1(torch.cat([x, warp(reference.quarter, first)], 1)), c)
        x = F.interpolate(self.up2(x), scale_factor=2.0, mode="nearest")
        x = _through(self.fine, self.merge2(torch.cat([x, warp(reference.half, first), mean], 1)), c)
        flow = first + MAX_FLOW * self.flow(F.silu(x)).float()
        moved = F.pixel_unshuffle(warp(reference.image, flow), self.times)
        known = (ATLAS_SIZE * self.atlas).to(x.dtype).expand(len(x), -1, -1, -1)
        x = self.merge3(F.silu(torch.cat([x, warp(reference.half, flow), known, moved], 1)))
        x = _through(self.finest, x, c)
        out = F.pixel_shuffle(self.conv_out(F.silu(x)), self.times).float()
        fine, light, alpha, paint = out.split(self.sizes, 1)
        flow, shade, mouth = (
            F.interpolate(m.float(), scale_factor=float(self.times), mode="bilinear", align_corners=False)
            for m in (flow, shade, torch.atanh(prior.paint.clamp(-_MOST_PRIOR, _MOST_PRIOR)))
        )
        none = out.new_zeros(len(out), 3, *out.shape[2:])
        return Change(
            flow + MAX_FINE_FLOW * fine,
            MAX_LIGHT * torch.tanh(light + shade / MAX_LIGHT) if light.shape[1] else none,
            torch.sigmoid(alpha + ALPHA_BIAS) if alpha.shape[1] else none[:, :1],
            torch.tanh(paint + mouth) if paint.shape[1] else none,
        )


class VAE(nn.Module):
    """Reads reference pictures and decodes motion latents with them."""

    pose_size: Tensor

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.config = config
        self.reader = Reader(config)
        self.control_reader = ControlReader()
        self.decoder = Decoder(config)
        self.canonical = CanonicalFrame()
        self.motion_basis = MotionBasis()
        self.lips_and_lids = LipsAndLids()
        self.motion_latents = MotionLatents()
        self.register_buffer("pose_size", torch.tensor(POSE_SIZE), persistent=False)
        self._initialise()

    @torch.no_grad()
    def _initialise(self) -> None:
        """He initialisation: with torch's own, pictures fade from level to level and places and biases take over.

        Branches beside a skip start small, the flow at zero, the other maps faint.
        """
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        for module in self.modules():
            if isinstance(module, FilmBlock):
                module.conv2.weight.mul_(BRANCH_INIT)
                if module.film is not None:
                    module.film.weight.mul_(BRANCH_INIT)
        self.control_reader.out[-1].weight.mul_(0.1)  # type: ignore[union-attr, operator]
        self.decoder.flow.weight.zero_()
        self.decoder.conv_out.weight.mul_(0.05)

    def lay(self, points: Tensor) -> Maps:
        """How faces are laid into the canonical frame, by their landmarks [B, 468, 2] in frame widths."""
        if not self.config.is_aligned:
            points = ((self.canonical.template + 1) / 2).expand(len(points), -1, -1)
        return self.canonical(points)

    def lines(self, points: Tensor, maps: Maps) -> Lines:
        """Where lips and lids of faces part, by their landmarks [B, 468, 2] in frame widths and how they are laid."""
        return lines_of(sample_at(maps.to_canonical, points.float() * 2 - 1))

    def reader_inputs(self, image: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """What the reader of controls is given of pictures; arguments as of `read`."""
        maps = self.lay(points)
        return _seen(maps.lay(image), maps), self._shape(points)

    def _shape(self, points: Tensor) -> Tensor:
        """Landmarks relative to the template; as if all had its shape where faces are not aligned."""
        shape = points.float() * 2 - 1 - self.canonical.template.float()
        return shape if self.config.is_aligned else torch.zeros_like(shape)

    def read(self, image: Tensor, points: Tensor) -> Features:
        """Features of reference pictures.

        image   [B, 3, S, S]   -1 .. 1 in the training frame, S = `VAEConfig.size_px`
        points  [B, 468, 2]    landmarks in frame widths
        """
        maps = self.lay(points)
        laid = maps.lay(image)
        seen = _seen(laid, maps)
        half, quarter, eighth = self.reader(seen)
        controls = self.control_reader(seen, self._shape(points))
        lines = self.lines(points, maps)
        where = (maps.to_picture, maps.to_canonical, lines.above, lines.below, lines.corners)
        return Features(laid, half, quarter, eighth, controls, *where)

    def read_controls(self, image: Tensor, points: Tensor) -> Tensor:
        """Only what faces do, [B, 28]; arguments as of `read`."""
        return self.control_reader(*self.reader_inputs(image, points))

    def predict(self, latents: Tensor, pose: Tensor, reference: Features) -> Change:
        """What the net says of frames, before lips, lids and folds are laid over it; arguments as of `decode`."""
        reference = reference.repeat(len(latents) // len(reference.image))
        controls = self.motion_latents.read(latents)
        flow, light = self.motion_basis(controls, pose, reference.controls)
        prior = Prior(flow, light, self.motion_basis.paint(controls, pose, reference.image))
        still = self.motion_latents(reference.controls)
        asked = torch.cat([controls, controls - reference.controls], 1) / CONTROL_SIZE
        conditions = torch.cat([asked, pose / self.pose_size.to(pose.dtype)], 1)
        return self.decoder(latents, still, conditions.to(latents.dtype), reference, prior)

    def decode(self, latents: Tensor, pose: Tensor, reference: Features, size_px: int | None = None) -> Change:
        """How frames differ from their references.

        latents    [B, C, h, w]
        pose       [B, 5]        relative to the reference: the first five of taxonomy.MOTION
        reference  of B' pictures, B a multiple of B': each serves B / B' frames in a row
        size_px    side of the change. Default: that of the net's pictures
        """
        reference = reference.repeat(len(latents) // len(reference.image))
        made = self.predict(latents, pose, reference)
        return self._layered(made.flow, made.light, latents, pose, reference, size_px)

    def decode_between(
        self, latents: Tensor, pose: Tensor, reference: Features, size_px: int, most: int, before: Added | None
    ) -> tuple[Change, Added]:
        """`decode` for frames of one reference that follow one another, with the net asked of a few of them alone.

        What the net adds to a mean face goes straight from one of these frames to the next. The mean face itself, lips,
        lids and folds are those of each frame.

        most     frames from one that the net is asked of to the next, at most
        before   what it added to the frame before the first; None where there is none
        returns  the change, and what was added to the last frame: the next call's `before`
        """
        asked = frames_between(len(latents), most, before is not None)
        controls = self.motion_latents.read(latents)
        usual = self._usual(controls, pose, reference.repeat(len(latents)))
        some = self.predict(latents[asked], pose[asked], reference)
        added = Added(some.flow - usual[0][asked], some.light - usual[1][asked])
        last = added.last()
        numbers = [-1, *asked] if before is not None else asked
        weights = weights_between(len(latents), numbers).to(latents.device)
        if before is not None:
            added = added.after(before)
        flow, light = (
            (weights @ asked_of.flatten(1)).unflatten(1, asked_of.shape[1:]).add_(mean)
            for asked_of, mean in zip((added.flow, added.light), usual, strict=True)
        )
        return self._layered(flow, light, latents, pose, reference.repeat(len(latents)), size_px), last

    def _usual(self, controls: Tensor, pose: Tensor, reference: Features) -> tuple[Tensor, Tensor]:
        """Flow and light of a mean face at the size of the net's pictures."""
        found = self.motion_basis(controls, pose, reference.controls)
        size = self.config.size_px
        flow, light = (F.interpolate(x, size=size, mode="bilinear", align_corners=False) for x in found)
        return flow, light

    def _layered(
        self, flow: Tensor, light: Tensor, latents: Tensor, pose: Tensor, reference: Features, size_px: int | None
    ) -> Change:
        """What the net says, with lips, lids and folds over it; a reference for each frame.

        Its own paint stands for what a reference does not show while it learns. In finished frames mouths alone are
        painted, and what a turning head uncovers is stretched (ADR 57).
        """
        controls, still = self.motion_latents.read(latents), reference.controls
        size = size_px or flow.shape[-1]
        layers = self.lips_and_lids(controls, pose, still, reference.lines, reference.image, size)
        if size != flow.shape[-1]:
            flow, light = F.interpolate(torch.cat([flow, light], 1), size=size, mode="bilinear").split((2, 3), 1)
        flow, alpha = flow.clone(), torch.zeros_like(layers.alpha)
        for rows, columns in (layers.lips, layers.lids):
            share = layers.share[..., rows, columns]
            flow[..., rows, columns].lerp_(layers.flow[..., rows, columns].to(flow), share.to(flow))
        rows, columns = layers.lips
        alpha[..., rows, columns] = layers.share[..., rows, columns] * layers.alpha[..., rows, columns]
        folds = self.motion_basis.creases(controls, pose, still, flow)
        light = light + folds * face_share(size, flow.device) * (1 - layers.share * layers.inner)
        light = on_skin(light, reference.image)
        return Change(flow, light.clamp(-MOST_LIGHT, MOST_LIGHT), alpha, layers.paint)


def halved(images: Tensor) -> Tensor:
    """Pictures [B, C, H, W] at half the side, each pixel the mean of four: as a convolution, since torch's pooling on a
    CPU takes seven times as long in bfloat16."""
    channels = images.shape[1]
    return F.conv2d(images, images.new_full((channels, 1, 2, 2), 0.25), stride=2, groups=channels)


def _through(blocks: nn.ModuleList, x: Tensor, condition: Tensor) -> Tensor:
    for block in blocks:
        x = block(x, condition)
    return x


def warp(source: Tensor, flow: Tensor, mode: str = "bilinear") -> Tensor:
    """Sample a source [B, C, H, W] where a flow [B, 2, h, w] (in half frame widths, x then y) points: [B, C, H, W]."""
    return sample(source, resized(places(flow) + flow.float(), source.shape[-1]), mode)
