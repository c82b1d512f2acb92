"""A critic of painted mouths: it learns to tell rendered from made ones, and what it sees is a loss (hinge GAN).

L1 alone paints the mean of all teeth that could be there: a grey bar. The critic looks at nothing but the mouth, since
all else in a frame are the portrait's own pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

MOUTH_BOX = (0.24, 0.58, 0.76, 0.95)
"""x0, y0, x1, y1 in the canonical frame."""


class MouthCritic(nn.Module):
    """Pictures -> how real each patch of their mouths looks, and the features that it is seen by."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        widths = (3, width, 2 * width, 3 * width)
        strides = (2, 2, 1)
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(a, b, 4 if s == 2 else 3, stride=s, padding=1))
            for a, b, s in zip(widths, widths[1:], strides, strict=False)
        )
        self.out = spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(self, mouths: Tensor) -> list[Tensor]:
        """[B, 3, h, w] -> features of each layer, the verdict [B, 1, h', w'] last"""
        found, x = [], mouths
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            found.append(x)
        return [*found, self.out(x)]


def critic_losses(critic: MouthCritic, made: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
    """What the maker shall make small, and what the critic shall make small, of pictures [B, 3, H, W].

    The first has no gradient for the critic, the second none for the maker, so that one optimiser serves both. The
    first is the hinge of the verdict and the distance of the features (pix2pixHD, Wang et al. 2018).
    """
    made, true = mouths(made), mouths(true)
    fixed = {name: value.detach() for name, value in critic.named_parameters()}
    seen = functional_call(critic, fixed, (made,))
    with torch.no_grad():
        wanted = critic(true)
    matched = torch.stack([(a - b).abs().mean() / b.abs().mean() for a, b in zip(seen[:-1], wanted[:-1], strict=True)])
    maker = matched.mean() - 0.1 * seen[-1].mean()
    verdicts = critic(torch.cat([made.detach(), true]))[-1]
    false, real = verdicts.chunk(2)
    return maker, F.relu(1 + false).mean() + F.relu(1 - real).mean()


def mouths(images: Tensor) -> Tensor:
    """The mouth's box of pictures [B, 3, H, W]."""
    x0, y0, x1, y1 = (round(edge * images.shape[-1]) for edge in MOUTH_BOX)
    return images[..., y0:y1, x0:x1]
