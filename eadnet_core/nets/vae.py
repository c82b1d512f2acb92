"""The minis' picture side: a reference picture read once, and motion latents decoded as a change to its own pixels.

Our design (ADR 23). A frame is the reference picture moved by a flow, shaded by a soft light, and painted over where
something shows that the reference does not have: teeth, lids, what a turning head uncovers. On rendered heads flow and
visibility are known, so they are taught. They are smooth and grow to any size; only what is painted has a size. What
the reference already does is read off it, so that a smile can be taken back.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config import VAEConfig
from ..taxonomy import CONTROLS
from .layers import GroupNorm
from .motion_latents import MotionLatents

POSE_SIZE = (0.3, 0.25, 0.2, 0.06, 0.06)
"""Usual size of yaw, pitch, roll (radians) and shifts (frame widths); divided by it, all are about 1."""
N_POSE = len(POSE_SIZE)
CONTROL_SIZE, LATENT_SIZE = 0.2, 0.25
"""Usual sizes of a control and of latents where there are any; what is given to the decoder is divided by them, or it
learns to turn heads and nothing else (measured over 1000 steps)."""
MAX_FLOW, MAX_FINE_FLOW = 0.25, 0.1
"""What an output of 1 of the coarse and of the fine flow stands for, in half frame widths."""
MAX_LIGHT = 0.8
"""Furthest that light changes the logarithm of a pixel's brightness."""
ALPHA_BIAS = -2.0
"""At first little is painted."""
BRANCH_INIT = 0.3
"""Scale of the last weights of a branch beside a skip, so that depth does not disturb early training."""
PLACE_SIZE, LINE_SIZE = 0.3, 3.0
"""What places (-1 .. 1) and lines (thin) are multiplied by, so that neither outweighs the picture."""
HALF_PX = 64
"""Side of the finest features."""
_CONDITION_WIDTH = 256


@dataclass(frozen=True)
class Features:
    """What is kept of a reference picture.

    image     [B, 3, S, S]    -1 .. 1, S the size of the net's pictures
    half      [B, C, 64, 64]  and so on, finest first
    controls  [B, 28]               what the face does in it, as it was read
    """

    image: Tensor
    half: Tensor
    quarter: Tensor
    eighth: Tensor
    controls: Tensor

    def repeat(self, times: int) -> Features:
        """Each reference `times` in a row, for that many frames of it."""
        if times == 1:
            return self
        return Features(*(getattr(self, f.name).repeat_interleave(times, 0) for f in fields(self)))


@dataclass(frozen=True)
class Change:
    """How a frame differs from its reference picture; all at the training size, to be resized as needed.

    flow   [B, 2, H, W]  where each pixel comes from, relative to its place: x, y in half frame widths
    light  [B, 3, H, W]  logarithm of the factor on what is moved
    alpha  [B, 1, H, W]  0 moved .. 1 painted
    paint  [B, 3, H, W]  -1 .. 1
    """

    flow: Tensor
    light: Tensor
    alpha: Tensor
    paint: Tensor

    def resized(self, size_px: int) -> Change:
        """The same for frames of another size."""
        if self.flow.shape[-1] == size_px:
            return self
        joined = torch.cat([getattr(self, f.name) for f in fields(self)], 1)
        grown = F.interpolate(joined, size=size_px, mode="bicubic", align_corners=False)
        flow, light, alpha, paint = grown.split((2, 3, 1, 3), 1)
        return Change(flow, light, alpha.clamp(0, 1), paint.clamp(-1, 1))

    def apply(self, pictures: Tensor) -> Tensor:
        """The frames that come of pictures [B, 3, S, S] in -1 .. 1 of any size S."""
        change = self.resized(pictures.shape[-1])
        moved = warp(pictures, change.flow)
        lit = (moved + 1) * change.light.exp() - 1
        return torch.lerp(lit, change.paint, change.alpha)


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
    """Reference picture and its landmark lines -> features at three resolutions."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        fine, middle, coarse = config.reference_widths
        self.has_lines = config.line_channels > 0
        self.conv_in = nn.Conv2d(12 + config.line_channels + 2, fine, 3, padding=1)
        self.norm1, self.norm2 = GroupNorm(8, fine), GroupNorm(8, middle)
        self.down1 = nn.Conv2d(fine, middle, 3, stride=2, padding=1)
        self.middle = FilmBlock(middle)
        self.down2 = nn.Conv2d(middle, coarse, 3, stride=2, padding=1)
        self.coarse = nn.Sequential(FilmBlock(coarse), FilmBlock(coarse), GroupNorm(8, coarse), nn.SiLU())

    def forward(self, image: Tensor, lines: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """image [B, 3, S, S], lines [B, L, 64, 64] -> features at a half, a quarter and an eighth of 128 pixels"""
        half = F.silu(self.norm1(self.conv_in(_seen(image, lines, self.has_lines))))
        quarter = F.silu(self.norm2(self.middle(self.down1(half))))
        return half, quarter, self.coarse(self.down2(quarter))


class ControlReader(nn.Module):
    """Reads off a picture what its face does. It shares no layer with `Reader`: beside the flow's gradients it does not
    learn (measured: correlation .05 with the truth after 600 steps)."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.has_lines = config.line_channels > 0
        self.net = nn.Sequential(
            nn.Conv2d(12 + config.line_channels + 2, 24, 3, padding=1),
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
            nn.Linear(48 * 16, 128),
            nn.SiLU(),
            nn.Linear(128, len(CONTROLS)),
        )

    def forward(self, image: Tensor, lines: Tensor) -> Tensor:
        """image [B, 3, S, S], lines [B, L, 64, 64] -> controls [B, 28]"""
        return self.net(_seen(image, lines, self.has_lines))


def _seen(image: Tensor, lines: Tensor, has_lines: bool) -> Tensor:
    """What both readers look at, [B, n, 64, 64]: the picture, its lines, and the places of its cells."""
    small = halved(image) if image.shape[-1] == 4 * HALF_PX else image
    places = PLACE_SIZE * _places(HALF_PX, image).expand(len(image), -1, -1, -1)
    parts = [F.pixel_unshuffle(small, 2), LINE_SIZE * lines, places]
    return torch.cat(parts if has_lines else [parts[0], places], 1)


class Decoder(nn.Module):
    """Motion latents, pose and a reference that was read -> flow, light, alpha and paint."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        fine, middle, coarse = config.decoder_widths
        half, quarter, eighth = config.reference_widths
        n_conditions = 2 * len(CONTROLS) + N_POSE
        width = _CONDITION_WIDTH
        self.condition = nn.Sequential(nn.Linear(n_conditions, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.conv_in = nn.Conv2d(2 * config.latent_channels + eighth, coarse, 3, padding=1)
        self.coarse = nn.ModuleList(FilmBlock(coarse, width) for _ in range(2))
        self.up1 = nn.Conv2d(coarse, middle, 1)
        self.merge1 = nn.Conv2d(middle + quarter, middle, 3, padding=1)
        self.middle = nn.ModuleList(FilmBlock(middle, width) for _ in range(2))
        self.up2 = nn.Conv2d(middle, fine, 1)
        self.merge2 = nn.Conv2d(fine + half, fine, 3, padding=1)
        self.fine = nn.ModuleList(FilmBlock(fine, width) for _ in range(1))
        self.flow = nn.Conv2d(fine, 2, 3, padding=1)
        self.times = config.size_px // HALF_PX
        self.merge3 = nn.Conv2d(fine + half + 3 * self.times**2, fine, 3, padding=1)
        self.finest = nn.ModuleList(FilmBlock(fine, width) for _ in range(2))
        n_light, n_paint = 3 * config.has_light, 3 * config.has_paint
        self.sizes = (2, n_light, n_paint // 3, n_paint)
        self.conv_out = nn.Conv2d(fine, self.times**2 * sum(self.sizes), 3, padding=1)

    def forward(self, latents: Tensor, still: Tensor, conditions: Tensor, reference: Features) -> Change:
        """latents and those of the reference, [B, C, h, w] each; conditions [B, n]"""
        c = self.condition(conditions)
        asked = torch.cat([latents, latents - still], 1) / LATENT_SIZE
        x = self.conv_in(torch.cat([asked, reference.eighth], 1))
        x = _through(self.coarse, x, c)
        x = F.interpolate(self.up1(x), scale_factor=2.0, mode="nearest")
        x = _through(self.middle, self.merge1(torch.cat([x, reference.quarter], 1)), c)
        x = F.interpolate(self.up2(x), scale_factor=2.0, mode="nearest")
        x = _through(self.fine, self.merge2(torch.cat([x, reference.half], 1)), c)
        flow = MAX_FLOW * self.flow(F.silu(x))
        moved = F.pixel_unshuffle(warp(reference.image, flow), self.times)
        x = self.merge3(F.silu(torch.cat([x, warp(reference.half, flow), moved], 1)))
        x = _through(self.finest, x, c)
        out = F.pixel_shuffle(self.conv_out(F.silu(x)), self.times).float()
        fine, light, alpha, paint = out.split(self.sizes, 1)
        flow = F.interpolate(flow.float(), scale_factor=float(self.times), mode="bilinear", align_corners=False)
        none = out.new_zeros(len(out), 3, *out.shape[2:])
        return Change(
            flow + MAX_FINE_FLOW * fine,
            MAX_LIGHT * torch.tanh(light) if light.shape[1] else none,
            torch.sigmoid(alpha + ALPHA_BIAS) if alpha.shape[1] else none[:, :1],
            torch.tanh(paint) if paint.shape[1] else none,
        )


class VAE(nn.Module):
    """Reads reference pictures and decodes motion latents with them."""

    pose_size: Tensor

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.config = config
        self.reader = Reader(config)
        self.control_reader = ControlReader(config)
        self.decoder = Decoder(config)
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
        self.control_reader.net[-1].weight.mul_(0.1)  # type: ignore[union-attr, operator]
        self.decoder.flow.weight.zero_()
        self.decoder.conv_out.weight.mul_(0.05)

    def read(self, image: Tensor, lines: Tensor) -> Features:
        """Features of reference pictures.

        image  [B, 3, S, S]    -1 .. 1, S = `VAEConfig.size_px`
        lines  [B, L, 64, 64]  landmark lines, 0 .. 1
        """
        half, quarter, eighth = self.reader(image, lines)
        return Features(image, half, quarter, eighth, self.control_reader(image, lines))

    def decode(self, latents: Tensor, pose: Tensor, reference: Features) -> Change:
        """How frames differ from their references.

        latents    [B, C, h, w]
        pose       [B, 5]        relative to the reference: the first five of taxonomy.MOTION
        reference  of B' pictures, B a multiple of B': each serves B / B' frames in a row
        """
        reference = reference.repeat(len(latents) // len(reference.image))
        controls = self.motion_latents.read(latents)
        still = self.motion_latents(reference.controls)
        asked = torch.cat([controls, controls - reference.controls], 1) / CONTROL_SIZE
        conditions = torch.cat([asked, pose / self.pose_size.to(pose.dtype)], 1)
        return self.decoder(latents, still, conditions.to(latents.dtype), reference)


def halved(images: Tensor) -> Tensor:
    """Pictures [B, C, H, W] at half the side, each pixel the mean of four: as a convolution, since torch's pooling on a
    CPU takes seven times as long in bfloat16."""
    channels = images.shape[1]
    return F.conv2d(images, images.new_full((channels, 1, 2, 2), 0.25), stride=2, groups=channels)


def _through(blocks: nn.ModuleList, x: Tensor, condition: Tensor) -> Tensor:
    for block in blocks:
        x = block(x, condition)
    return x


def _places(size: int, like: Tensor) -> Tensor:
    """x and y of every cell, -1 .. 1: [1, 2, size, size]."""
    axis = (torch.arange(size, device=like.device, dtype=like.dtype) * 2 + 1) / size - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x, y])[None]


def warp(source: Tensor, flow: Tensor) -> Tensor:
    """Sample a source [B, C, H, W] where a flow [B, 2, h, w] (in half frame widths, x then y) points.

    In float32: half precision cannot tell pixels apart, and torch's bfloat16 kernel for CPUs returns garbage.
    """
    size = source.shape[-1]
    flow = flow.float()
    if flow.shape[-1] != size:
        flow = F.interpolate(flow, size=size, mode="bilinear", align_corners=False)
    grid = (_places(size, flow) + flow).permute(0, 2, 3, 1)
    moved = F.grid_sample(source.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return moved.to(source.dtype)
