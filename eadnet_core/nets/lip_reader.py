"""A reader of lip shapes in latents, one frame at a time, that judges the denoiser while that learns."""

from __future__ import annotations

from torch import Tensor, nn

from ..config import LipReaderConfig
from .layers import ConvNorm, ResidualConv

HEAD_WIDTH = 128


class LipReader(nn.Module):
    """Latents -> lip parameters and mouth opening."""

    def __init__(self, config: LipReaderConfig) -> None:
        super().__init__()
        self.config = config
        w0, w1, w2 = config.widths
        self.features = nn.Sequential(
            ConvNorm(config.in_channels, w0),
            ConvNorm(w0, w1, stride=2),
            ResidualConv(w1),
            ConvNorm(w1, w2, stride=2),
            nn.Flatten(),
        )
        grid = (config.cells // 8) * (config.cells // 4)
        self.head = nn.Sequential(nn.Linear(grid * w2, HEAD_WIDTH), nn.SiLU(), nn.Linear(HEAD_WIDTH, config.outputs))

    def forward(self, latents: Tensor) -> Tensor:
        """Read the lower half of every frame.

        latents  [B, C, h, w]
        returns  [B, 10]  the nine of `corpus.visemes.VISEME_PARAMETERS` and the mouth opening, 0 .. 1
        """
        return self.head(self.features(latents[..., latents.shape[-2] // 2 :, :]))
