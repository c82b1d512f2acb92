"""What photographs of faces have that rendered heads, which all was learned from, have not (ADR 46)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..taxonomy import CONTROLS
from .motion_basis import colour

_SMILE, SMILE_GAIN, LEAST_SMILE = CONTROLS.index("AU12"), 1.6, 0.1
"""The reader learned from rendered smiles, and reads those of photographs too small (ADR 46). What it reads off a mouth
that does not smile is .03 on average; the gain begins above the least smile and is whole at twice that."""
SKIN_IN_SHADE, SKIN_IN_LIGHT, MOST_SKIN = 1.5, 0.95, 0.35
"""How much further than grey the darker and the brighter parts of cheeks go, by the logarithm of a face's own colour:
medians of 9 real people, 1.05 .. 2.04 and .59 .. 1.53. And the most of that logarithm, for paintings in one colour."""
_LEAST = 0.05
"""Of a colour, so that black says nothing of the skin."""


def with_smile(controls: Tensor) -> Tensor:
    """What portraits do [B, 28], as the reader says, with their smiles as large as photographs have them."""
    is_smile = torch.arange(controls.shape[1], device=controls.device) == _SMILE
    gain = 1 + (SMILE_GAIN - 1) * (controls / LEAST_SMILE - 1).clamp(0, 1)
    return torch.where(is_smile, (gain * controls).clamp(max=1).maximum(controls), controls)


def on_skin(light: Tensor, image: Tensor) -> Tensor:
    """Light [B, 3, N, N] as skin throws it back, of faces whose pictures [B, 3, S, S] are laid out.

    In a fold light goes from skin to skin and takes its colour once more: what is dark is redder than what is bright.
    """
    face = colour(image).clamp(min=_LEAST).log()
    own = (face - face.mean(1, keepdim=True)).clamp(-MOST_SKIN, MOST_SKIN)
    red, green, blue = light.split(1, 1)
    shade = F.leaky_relu((red + green).add_(blue).div_(3), SKIN_IN_SHADE / SKIN_IN_LIGHT)
    return torch.addcmul(light, own, shade, value=-SKIN_IN_LIGHT)
