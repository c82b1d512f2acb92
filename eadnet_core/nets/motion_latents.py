"""Motion latents: what a face does, laid into the frame, without whose face it is.

Our design (ADR 23). A latent space learned from pictures mixes who somebody is into what they do, and a denoiser that
learned it from drawn heads meets real faces as strangers. Here every control of the face (a viseme parameter, an action
unit, the lids, the gaze) has a channel and a place in the frame, and its latents are a soft spot there as high as the
control. So latents are exact for a clip whose controls are known, the same for every head, and can be read back.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..taxonomy import CONTROLS

CHANNELS = 16
CELLS = 16
SPOT = 0.06
"""Standard deviation of a spot, in frame widths."""

# fmt: off
PLACES: dict[str, tuple[int, tuple[tuple[float, float], ...]]] = {
    # upper face: brows, lids, cheeks, nose
    "AU1":    (0, ((0.44, 0.33), (0.56, 0.33))),
    "AU2":    (1, ((0.31, 0.33), (0.69, 0.33))),
    "AU4":    (2, ((0.41, 0.36), (0.59, 0.36))),
    "AU5":    (3, ((0.37, 0.42), (0.63, 0.42))),
    "AU6":    (4, ((0.33, 0.54), (0.67, 0.54))),
    "AU7":    (5, ((0.37, 0.46), (0.63, 0.46))),
    "AU9":    (6, ((0.50, 0.50),)),
    "blink":  (7, ((0.37, 0.44), (0.63, 0.44))),
    "gaze_x": (8, ((0.37, 0.44), (0.63, 0.44))),
    "gaze_y": (9, ((0.37, 0.44), (0.63, 0.44))),
    # lower face: lips, jaw, chin; channels that the upper face has, too, are far from their places there
    "jaw":    (0, ((0.50, 0.80),)),
    "wide":   (1, ((0.40, 0.71), (0.60, 0.71))),
    "round":  (2, ((0.50, 0.71),)),
    "press":  (3, ((0.50, 0.71),)),
    "tuck":   (4, ((0.50, 0.75),)),
    "upper":  (5, ((0.50, 0.67),)),
    "teeth":  (6, ((0.50, 0.71),)),
    "tongue": (7, ((0.50, 0.73),)),
    "open":   (8, ((0.50, 0.71),)),
    "AU26":   (9, ((0.50, 0.82),)),
    "AU10":   (10, ((0.45, 0.66), (0.55, 0.66))),
    "AU12":   (11, ((0.39, 0.70), (0.61, 0.70))),
    "AU14":   (12, ((0.61, 0.71),)),
    "AU15":   (13, ((0.40, 0.75), (0.60, 0.75))),
    "AU17":   (14, ((0.50, 0.86),)),
    "AU23":   (14, ((0.50, 0.70),)),
    "AU20":   (15, ((0.35, 0.73), (0.65, 0.73))),
    "AU25":   (15, ((0.50, 0.71),)),
}
# fmt: on
"""Channel of each control, and the middles of its spots in frame widths. AU14 is shown on the picture's right."""


class MotionLatents(nn.Module):
    """Controls to latents and back; both are linear, and nothing of it is trained."""

    spots: Tensor
    readout: Tensor

    def __init__(self) -> None:
        super().__init__()
        spots = torch.stack([_spots(*PLACES[name]) for name in CONTROLS])
        self.register_buffer("spots", spots, persistent=False)
        readout = torch.linalg.pinv(spots.flatten(1).double()).float()
        self.register_buffer("readout", readout, persistent=False)

    def forward(self, controls: Tensor) -> Tensor:
        """Lay controls into the frame.

        controls  [..., 28]  taxonomy.CONTROLS
        returns   [..., C, h, w]

        >>> latents = MotionLatents()
        >>> controls = torch.rand(5, len(CONTROLS))
        >>> bool(torch.allclose(latents.read(latents(controls)), controls, atol=1e-4))
        True
        """
        return torch.tensordot(controls, self.spots.to(controls.dtype), dims=1)

    def read(self, latents: Tensor) -> Tensor:
        """The controls [..., 28] whose latents are nearest to [..., C, h, w], by least squares."""
        return latents.flatten(-3) @ self.readout.to(latents.dtype)


def _spots(channel: int, places: tuple[tuple[float, float], ...]) -> Tensor:
    """Latents [C, h, w] of one control at 1."""
    axis = (torch.arange(CELLS) + 0.5) / CELLS
    found = axis.new_zeros(CHANNELS, CELLS, CELLS)
    for x, y in places:
        distance = (axis[None] - x).square() + (axis[:, None] - y).square()
        found[channel] += torch.exp(-0.5 * distance / SPOT**2)
    return found
