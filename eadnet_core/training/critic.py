"""A critic of faces: it learns to tell rendered from made ones, and what it sees is a loss (hinge GAN).

L1 alone paints the mean of all teeth that could be there, a grey bar, and the mean of all frown lines, which is none.
The critic looks at faces in the canonical frame and knows what they shall do, so that it misses a frown without lines.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from ..taxonomy import CONTROLS

MOUTH_BOX = (0.24, 0.58, 0.76, 0.95)
FACE_BOX = (0.16, 0.22, 0.84, 0.95)
"""x0, y0, x1, y1 in the canonical frame."""
VERDICT = 0.2
"""Weight of what the critic says against what it sees."""


class FaceCritic(nn.Module):
    """Faces and what they shall do -> how real each patch looks, and the features that it is seen by."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        widths = (5, width, 2 * width, 3 * width)
        strides = (2, 2, 1)
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(a, b, 4 if s == 2 else 3, stride=s, padding=1))
            for a, b, s in zip(widths, widths[1:], strides, strict=False)
        )
        self.asked = nn.ModuleList(spectral_norm(nn.Linear(len(CONTROLS), b)) for b in widths[1:])
        self.out = spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(self, faces: Tensor, controls: Tensor) -> list[Tensor]:
        """[B, 3, h, w] cut to FACE_BOX, [B, 28] -> features of each layer, the verdict [B, 1, h', w'] last"""
        y, x = (torch.linspace(-1, 1, n, device=faces.device, dtype=faces.dtype) for n in faces.shape[-2:])
        where = torch.stack(torch.meshgrid(y, x, indexing="ij")).expand(len(faces), -1, -1, -1)
        found, seen = [], torch.cat([faces, where], 1)
        for layer, asked in zip(self.layers, self.asked, strict=True):
            seen = F.leaky_relu(layer(seen) + asked(controls)[:, :, None, None], 0.2)
            found.append(seen)
        return [*found, self.out(seen)]


def critic_losses(critic: FaceCritic, made: Tensor, true: Tensor, controls: Tensor) -> tuple[Tensor, Tensor]:
    """What the maker shall make small, and what the critic shall make small, of pictures [B, 3, H, W].

    The first has no gradient for the critic, the second none for the maker, so that one optimiser serves both. The
    first is the hinge of the verdict and the distance of the features (pix2pixHD, Wang et al. 2018).
    """
    made, true = cut(made), cut(true)
    fixed = {name: value.detach() for name, value in critic.named_parameters()}
    seen = functional_call(critic, fixed, (made, controls))
    with torch.no_grad():
        wanted = critic(true, controls)
    matched = torch.stack([(a - b).abs().mean() / b.abs().mean() for a, b in zip(seen[:-1], wanted[:-1], strict=True)])
    maker = matched.mean() - VERDICT * seen[-1].mean()
    verdicts = critic(torch.cat([made.detach(), true]), controls.repeat(2, 1))[-1]
    false, real = verdicts.chunk(2)
    return maker, F.relu(1 + false).mean() + F.relu(1 - real).mean()


def cut(images: Tensor) -> Tensor:
    """The face's box of pictures [B, 3, H, W]."""
    x0, y0, x1, y1 = (round(edge * images.shape[-1]) for edge in FACE_BOX)
    return images[..., y0:y1, x0:x1]
