"""The minis' image autoencoder: a plain encoder, and a decoder that sees the reference picture.

Our design. A talking head is, but for its expression, the reference picture moved about. So the decoder predicts from
the two latents where each point of the frame lies in the reference (a flow), fetches the picture and its features from
there, and paints what cannot be fetched. The face itself is veiled: what a decoder can fetch it does not paint, and it
would leave the reference's expression where it was. The latents at 16 x 16 cells then have to carry a face, and hair
and walls stay as sharp as the user's own pixels.

With 16 pixels to a cell the same latents become a picture of twice the side: a last stage doubles what the others make,
with the reference's own detail where that agrees (ADR 18).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config import VAEConfig
from .layers import GroupNorm

MAX_FLOW = 0.5
"""Furthest the decoder reaches into the reference, in half frame widths."""
FLOW_GAIN = 0.05
"""Keeps one optimiser step from moving the flow by more than a pixel: at gain 1 training diverges within 60 steps."""
INITIAL_LOG_VARIANCE = -5.0
"""Nearly noiseless latents at first, or the decoder learns to do without them."""
VEIL = (0.5, 0.57), (0.29, 0.33)
"""Middle and reach of the ellipse that `veil` blurs, in frame widths."""
VEIL_EDGE = 0.2
VEIL_CELLS = 10
"""Width of its soft edge, in radii, and cells a side of the colours that are left."""

BRANCH_INIT = 0.3
"""Scale of the last weights of a branch beside a skip, so that depth does not disturb early training."""


class ResBlock(nn.Module):
    """Two 3 x 3 convolutions and a skip."""

    def __init__(self, width: int, groups: int = 8) -> None:
        super().__init__()
        self.norm = GroupNorm(groups, width) if groups else nn.Identity()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]"""
        return x + self.conv2(F.silu(self.conv1(F.silu(self.norm(x)))))


class Encoder(nn.Module):
    """Picture [B, 3, H, W] -> mean and log-variance of the latents, each [B, C, h, w]."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        fine, middle, coarse = config.encoder_widths
        self.unshuffle = nn.PixelUnshuffle(2)
        self.conv_in = nn.Conv2d(12, fine, 3, padding=1)
        self.fine = nn.Conv2d(fine, fine, 3, padding=1)
        self.refine = ResBlock(fine, groups=0)
        self.down1 = nn.Conv2d(fine, middle, 3, stride=2, padding=1)
        self.middle = ResBlock(middle)
        self.down2 = nn.Conv2d(middle, coarse, 3, stride=2, padding=1)
        self.coarse = nn.Sequential(ResBlock(coarse), ResBlock(coarse))
        self.conv_out = nn.Conv2d(coarse, 2 * config.latent_channels, 3, padding=1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See `VAE.encode`."""
        x = self.conv_in(self.unshuffle(images))
        x = self.refine(x + self.fine(F.silu(x)))
        x = self.middle(self.down1(F.silu(x)))
        x = self.coarse(self.down2(F.silu(x)))
        mean, log_variance = self.conv_out(F.silu(x)).chunk(2, dim=1)
        return mean, log_variance.clamp(-12, 4)


@dataclass(frozen=True)
class Reference:
    """What the decoder keeps of a reference picture: itself under the veil, its latents, features at a half and a
    quarter, and for the last stage the picture of twice the side, without a veil."""

    image: Tensor  # [B, 3, H, W]
    latents: Tensor  # [B, C, h, w]
    half: Tensor  # [B, C', H / 2, W / 2]
    quarter: Tensor  # [B, C'', H / 4, W / 4]
    double: Tensor | None = None  # [B, 3, 2 H, 2 W]

    def repeat(self, times: int) -> Reference:
        """Each reference `times` in a row, for that many frames of it."""
        if times == 1:
            return self
        kept = (self.image, self.latents, self.half, self.quarter, self.double)
        return Reference(*(None if x is None else x.repeat_interleave(times, 0) for x in kept))  # type: ignore[arg-type]


class Decoder(nn.Module):
    """Latents of a frame and its reference -> picture, by fetching from the reference and painting over."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        coarse, middle, fine = config.decoder_widths
        half, quarter = config.reference_widths
        self.unshuffle = nn.PixelUnshuffle(2)
        self.reference_half = nn.Conv2d(12, half, 3, padding=1)
        self.reference_quarter = nn.Conv2d(half, quarter, 3, stride=2, padding=1)
        self.conv_in = nn.Conv2d(2 * config.latent_channels, coarse, 3, padding=1)
        self.coarse = nn.Sequential(ResBlock(coarse), ResBlock(coarse))
        self.up1 = nn.Sequential(nn.Conv2d(coarse, 4 * middle, 1), nn.PixelShuffle(2))
        self.middle1 = ResBlock(middle)
        self.flow = nn.Conv2d(middle, 2, 3, padding=1)
        self.merge_quarter = nn.Conv2d(middle + quarter, middle, 3, padding=1)
        self.middle2 = ResBlock(middle)
        self.up2 = nn.Sequential(nn.Conv2d(middle, 4 * fine, 1), nn.PixelShuffle(2))
        self.merge_half = nn.Conv2d(fine + half + 12, fine, 3, padding=1)
        self.fine = nn.Conv2d(fine, fine, 3, padding=1)
        self.refine = ResBlock(fine, groups=0)
        self.conv_out = nn.Sequential(nn.Conv2d(fine, 16, 3, padding=1), nn.PixelShuffle(2))
        self.doubling = Doubling(fine, config.doubling_width) if config.downscale == 16 else None

    def read(self, image: Tensor, latents: Tensor) -> Reference:
        """Features of reference pictures [B, 3, H, W] with latents [B, C, h, w]."""
        small = image if self.doubling is None else halved(image)
        veiled = veil(small)
        half = self.reference_half(self.unshuffle(veiled))
        quarter = self.reference_quarter(F.silu(half))
        return Reference(veiled, latents, half, quarter, None if self.doubling is None else image)

    def forward(self, latents: Tensor, reference: Reference) -> Tensor:
        """latents [B, C, h, w], one reference for each -> [B, 3, H, W]"""
        x = self.conv_in(torch.cat([latents, reference.latents], 1))
        x = self.middle1(self.up1(F.silu(self.coarse(x))))
        flow = MAX_FLOW * torch.tanh(FLOW_GAIN * self.flow(F.silu(x)))
        x = self.merge_quarter(torch.cat([x, fetch(reference.quarter, flow)], 1))
        x = self.up2(F.silu(self.middle2(x)))
        fetched = fetch(reference.image, flow)
        x = torch.cat([x, fetch(reference.half, flow), self.unshuffle(fetched)], 1)
        x = self.merge_half(F.silu(x))
        x = F.silu(self.refine(x + self.fine(F.silu(x))))
        painted = self.conv_out(x)
        image = torch.sigmoid(painted[:, 3:] + 3) * fetched + painted[:, :3]
        if self.doubling is None or reference.double is None:
            return image
        return self.doubling(x, image, fetch(reference.double, flow))


class Doubling(nn.Module):
    """The last stage at 16 pixels to a cell: a picture of twice the side, with detail of its own and of the reference.

    It sees the reference's face, which the stages before must not (`veil`): the expression is settled by then, and what
    is finer than the smaller picture is all that it adds.
    """

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.unshuffle = nn.PixelUnshuffle(2)
        self.up = nn.Sequential(nn.Conv2d(features, 4 * width, 1), nn.PixelShuffle(2))
        self.merge = nn.Conv2d(width + 3 + 12, width, 3, padding=1)
        self.refine = nn.Sequential(ResBlock(width, groups=0), ResBlock(width, groups=0))
        self.conv_out = nn.Conv2d(width, 16, 3, padding=1)
        self.larger: Tensor
        self.detail: Tensor
        for name, kernel in zip(("larger", "detail"), doubling_kernels(), strict=True):
            self.register_buffer(name, kernel, persistent=False)

    def forward(self, features: Tensor, image: Tensor, fetched: Tensor) -> Tensor:
        """Picture of twice the side, [B, 3, 2 H, 2 W].

        features  [B, C, H / 2, W / 2]
        image     [B, 3, H, W]          what the stages before made
        fetched   [B, 3, 2 H, 2 W]      the reference, moved
        """
        apart = self.unshuffle(fetched)
        x = self.merge(torch.cat([self.up(features), image, apart], 1))
        colours, share = self.conv_out(F.silu(self.refine(x))).split([12, 4], dim=1)
        detail = sifted(apart, self.detail)
        painted = colours + torch.sigmoid(share).repeat(1, 3, 1, 1) * detail
        return F.pixel_shuffle(sifted(image, self.larger) + painted, 2)


def doubling_kernels() -> tuple[Tensor, Tensor]:
    """Two 3 x 3 kernels whose results are the four pixels apart that each pixel becomes, as PixelUnshuffle orders them.

    The first, [12, 3, 3, 3], doubles a picture, bilinear. The second, [12, 12, 3, 3], leaves of a picture given apart
    what is lost when it is halved and doubled.
    """
    before, after = torch.tensor([0.25, 0.75, 0.0]), torch.tensor([0.0, 0.75, 0.25])
    taps = torch.stack([torch.outer(y, x) for y in (before, after) for x in (before, after)])
    larger = torch.einsum("cd,pyx->cpdyx", torch.eye(3), taps).reshape(12, 3, 3, 3)
    detail = -larger.repeat_interleave(4, dim=1) / 4
    detail[:, :, 1, 1] += torch.eye(12)
    return larger, detail


def sifted(images: Tensor, kernel: Tensor) -> Tensor:
    """A picture [B, C, H, W] under a 3 x 3 kernel; beyond the border lie the border's own pixels."""
    return F.conv2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), kernel.to(images.dtype))


def halved(images: Tensor) -> Tensor:
    """Pictures [B, C, H, W] at half the side, each pixel the mean of four: as a convolution, since torch's pooling on a
    CPU takes seven times as long in bfloat16."""
    channels = images.shape[1]
    return F.conv2d(images, images.new_full((channels, 1, 2, 2), 0.25), stride=2, groups=channels)


def veil(images: Tensor) -> Tensor:
    """Pictures [B, 3, H, W] with everything inside the face, brows to chin, blurred to its colours."""
    height, width = images.shape[-2:]
    y = (torch.arange(height, device=images.device, dtype=images.dtype) + 0.5) / height
    x = (torch.arange(width, device=images.device, dtype=images.dtype) + 0.5) / width
    (middle_x, middle_y), (reach_x, reach_y) = VEIL
    radius = (((x - middle_x) / reach_x)[None].square() + ((y - middle_y) / reach_y)[:, None].square()).sqrt()
    amount = ((1 - radius) / VEIL_EDGE).clamp(0, 1)
    colours = F.interpolate(F.adaptive_avg_pool2d(images, VEIL_CELLS), size=(height, width), mode="bilinear")
    return torch.lerp(images, colours, amount)


def fetch(source: Tensor, flow: Tensor) -> Tensor:
    """Sample a source [B, C, H, W] where a flow [B, 2, h, w] (in half frame widths, x then y) points.

    In float32: half precision cannot tell pixels apart, and torch's bfloat16 kernel for CPUs returns garbage.
    """
    height, width = source.shape[-2:]
    flow = F.interpolate(flow.float(), size=(height, width), mode="bilinear", align_corners=False)
    y, x = torch.meshgrid(
        (torch.arange(height, device=flow.device) * 2 + 1) / height - 1,
        (torch.arange(width, device=flow.device) * 2 + 1) / width - 1,
        indexing="ij",
    )
    grid = torch.stack([x, y], -1) + flow.permute(0, 2, 3, 1)
    fetched = F.grid_sample(source.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return fetched.to(source.dtype)


class VAE(nn.Module):
    """Pictures to latents and back, 8 pixels to a cell, or 16 with the same latents of the picture at half its side."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self._initialise()

    @torch.no_grad()
    def _initialise(self) -> None:
        """He initialisation, as the fine levels have no norms; branches beside a skip start small, the flow at zero."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        for module in self.modules():
            if isinstance(module, ResBlock):
                module.conv2.weight.mul_(BRANCH_INIT)
        self.encoder.fine.weight.mul_(BRANCH_INIT)
        self.decoder.fine.weight.mul_(BRANCH_INIT)
        self.decoder.conv_out[0].get_parameter("weight").mul_(0.1)
        if self.decoder.doubling is not None:
            self.decoder.doubling.conv_out.weight.mul_(0.1)
        self.decoder.flow.weight.zero_()
        channels = self.config.latent_channels
        self.encoder.conv_out.weight[channels:].mul_(0.1)
        self.encoder.conv_out.bias[channels:] = INITIAL_LOG_VARIANCE  # type: ignore[index]

    def seen(self, images: Tensor) -> Tensor:
        """Pictures [B, 3, H, W] as the encoder sees them: at half the side where a last stage doubles."""
        return images if self.decoder.doubling is None else halved(images)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the latents.

        images   [B, 3, H, W]  -1 .. 1; H and W multiples of `downscale`
        returns  two of [B, C, H / downscale, W / downscale]
        """
        return self.encoder(self.seen(images))

    def decode(self, latents: Tensor, reference: Tensor, reference_latents: Tensor) -> Tensor:
        """Pictures from latents and the reference picture they belong to, of which the decoder sees no face (`veil`).

        latents            [B, C, h, w]
        reference          [B', 3, H, W]  -1 .. 1; B a multiple of B': each reference serves B / B' frames in a row
        reference_latents  [B', C, h, w]
        returns            [B, 3, H, W]   about -1 .. 1, not clamped
        """
        read = self.decoder.read(reference, reference_latents)
        return self.decoder(latents, read.repeat(len(latents) // len(reference)))
