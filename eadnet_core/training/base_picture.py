"""Training of a small base's autoencoder, in the shape of Stable Diffusion's, on aligned squares of faces.

The mouth counts more than the rest: it is what a base is there for. Some squares have the part greyed out that a base
generates, as it sees them so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

from ..config import SDVAEConfig
from ..media.face.aligned_crop import MASKS, MOUTH_BOX, keep_mask
from ..media.pixels import to_unit
from ..nets.latentsync.sd_vae import SDVAE
from ..weights.files import save_part
from .base_squares import read_cut
from .batch import Batch
from .loop import Losses, Recipe, TrainOptions, fit, metadata_of
from .losses import psnr, region
from .sheets import save_sheet

BATCH = 8
LEARNING_RATE = 3e-3
MASKED_SHARE = 0.2
HELDOUT_EVERY = 12
"""One clip of so many is kept for the scores."""
_MONITOR = 24


@dataclass(frozen=True)
class PictureLossWeights:
    """Terms of the autoencoder."""

    picture: float = 1.0
    """L1 of the pictures."""
    mouth: float = 3.0
    """What the mouth's pixels count in that, against 1 of the others."""
    gradient: float = 1.0
    """L1 of the differences between neighbouring pixels."""
    kl: float = 1e-3
    """Mean over the latents of the distance of their distribution from a unit normal one."""


@dataclass(frozen=True)
class PictureBatch(Batch):
    """Squares.

    pictures  [B, 3, H, W]  -1 .. 1
    """

    pictures: Tensor


class PictureObjective(nn.Module):
    """Make a picture of its latents."""

    def __init__(self, vae: SDVAE, weights: PictureLossWeights) -> None:
        super().__init__()
        self.vae, self.weights = vae, weights

    def forward(self, batch: PictureBatch) -> Losses:
        """The picture's error, that of its gradients, the distance of the latents from a unit normal."""
        mean, log_variance = self.vae.encode(batch.pictures)
        log_variance = log_variance.clamp(-20, 10)
        made = self.vae.decode(mean + (log_variance / 2).exp() * torch.randn_like(mean))
        error = made - batch.pictures
        area = 1 + (self.weights.mouth - 1) * region(MOUTH_BOX, error.shape[-1]).to(error)
        losses = {
            "picture": (area * error.abs()).mean() / area.mean(),
            "gradient": error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean(),
            "kl": 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean(),
        }
        total = sum(getattr(self.weights, name) * value for name, value in losses.items())
        return {"loss": total, **losses}  # type: ignore[dict-item]


def begin_plain(vae: SDVAE) -> None:
    """Let every block of a fresh autoencoder add nothing at first: what is left is a short net, and learns at once."""
    for block in vae.modules():
        if isinstance(block, ResnetBlock2D):
            last: nn.Module = block.conv2
        elif isinstance(block, Attention):
            last = block.to_out[0]
        else:
            continue
        for weight in last.parameters():
            nn.init.zeros_(weight)


def draw_squares(clips: list[Path], rng: np.random.Generator, n: int) -> PictureBatch:
    """`n` squares of random clips."""
    found = []
    for _ in range(n):
        squares = read_cut(clips[rng.integers(len(clips))]).squares
        picture = to_unit(squares[int(rng.integers(len(squares)))][None].numpy())[0]
        if rng.random() < MASKED_SHARE:
            picture = picture * keep_mask(squares.shape[1], MASKS[int(rng.integers(len(MASKS)))]).float()
        found.append(picture.flip(-1) if rng.random() < 0.5 else picture)
    return PictureBatch(torch.stack(found))


def _monitor(clips: list[Path]) -> Tensor:
    """Squares [N, 3, H, W] of clips, a few of each."""
    squares = torch.cat([read_cut(path).squares[:: max(1, _MONITOR // 4)] for path in clips])
    return to_unit(squares[:_MONITOR].numpy())


def train_sd_vae(config: SDVAEConfig, clips: list[Path], output: Path, options: TrainOptions) -> dict[str, float]:
    """Train the autoencoder on squares (`base_squares`) and write it to `output`; returns its scores.

    The file's config has the scale that brings the latents of the training squares to unit variance.
    """
    torch.manual_seed(options.seed)
    kept, trained = clips[::HELDOUT_EVERY], [path for i, path in enumerate(clips) if i % HELDOUT_EVERY]
    trained = trained or clips
    vae = SDVAE(config)
    begin_plain(vae)

    def evaluate(net: nn.Module, device: torch.device) -> dict[str, float]:
        seen = _monitor(kept).to(device)
        return {"psnr_db": float(psnr(net.decode(net.encode(seen)[0]), seen))}  # type: ignore[operator]

    def sheet(net: nn.Module, device: torch.device, path: Path) -> None:
        seen = _monitor(kept)[::3].to(device)
        save_sheet(torch.stack([seen, net.decode(net.encode(seen)[0])]), path)  # type: ignore[operator]

    recipe = Recipe(
        part="vae",
        trained=vae,
        objective=PictureObjective(vae, PictureLossWeights()),
        draw=lambda rng, n: draw_squares(trained, rng, n),
        batch=BATCH,
        learning_rate=LEARNING_RATE,
        evaluate=evaluate,
        sheet=sheet,
    )
    averaged, at = fit(recipe, options)
    with torch.inference_mode():
        spread = float(averaged.encode(_monitor(trained))[0].std())  # type: ignore[operator]
    config = replace(config, scale=config.scale / spread)
    save_part(output, "sd_vae", averaged, config, {**metadata_of(options.seed, at), "licence": "Apache-2.0"})
    return at.scores
