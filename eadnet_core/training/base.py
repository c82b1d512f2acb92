"""A base from nothing, small enough for a CPU: every net that a base's folder holds, in LatentSync's shapes.

Public weights are better in all but size. This one is for what cannot be done without weights: the chain and the
adapters are measured on it, on faces that mean something. Nothing of it is shipped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from ..config import SMALL_SYNCNET, SMALL_VAE, SMALL_WHISPER, ModelConfig
from ..errors import BadInput
from ..media.face.aligned_crop import MOUTH_BOX
from ..nets.latentsync.denoiser import LatentSyncDenoiser
from ..nets.video_features import VideoFeatures
from ..sampling.conditions import FrameConditions
from ..sampling.prediction import prediction_of
from ..weights.device import find_device
from ..weights.files import save_part, write_weights
from .adapters import AdapterBatch, AdapterMix, draw_windows
from .base_clips import BaseEncoder, check_encoded_with, read_clip
from .base_picture import HELDOUT_EVERY, train_sd_vae
from .base_sound import train_whisper
from .base_squares import cut_folder, read_cut
from .base_sync import train_stable_syncnet
from .denoiser_step import draw_noise
from .loop import Losses, Recipe, TrainOptions, fit, metadata_of
from .losses import region
from .video_features import ExpressionBatch, MaskedObjective

log = logging.getLogger(__name__)

BATCH = 4
"""Windows per step."""
LEARNING_RATE = 1e-3
LEAST_FRAMES = 16
MINUTES = {"whisper": 5.0, "vae": 10.0, "syncnet": 8.0, "video_features": 2.0, "denoiser": 25.0}
"""Of each net on a core of its own, in the order of training."""


@dataclass(frozen=True)
class DubbingMix:
    """What a batch is made of, and what the loss weighs."""

    windows: AdapterMix = field(default_factory=lambda: AdapterMix(drop_audio=0.1))
    mouth: float = 5.0
    kept: float = 0.1
    """Weight of the mouth's cells, and of those that are not generated, against 1 of the others."""
    change: float = 1.0
    """Weight of the error's change from frame to frame: what the sound decides moves, the rest hardly does."""


class DubbingObjective(nn.Module):
    """What is generated, from sound, mask and reference; every weight is trained."""

    def __init__(self, denoiser: LatentSyncDenoiser, mix: DubbingMix) -> None:
        super().__init__()
        self.denoiser, self.mix, self.prediction = denoiser, mix, prediction_of(denoiser.config)

    def forward(self, batch: AdapterBatch) -> Losses:
        """The weighted error, that of its changes, and their sum."""
        t = self.prediction.draw_times(len(batch.latents), device=batch.latents.device)
        noise = draw_noise(rearrange(batch.latents, "b t c h w -> b c t h w"), self.mix.windows.shared_noise)
        error, area = self.error(batch, t, noise), self.area(batch)
        losses = {"noise": _mean(error.square(), area), "change": _mean(error.diff(dim=2).square(), area[:, :, 1:])}
        return {"loss": losses["noise"] + self.mix.change * losses["change"], **losses}

    def error(self, batch: AdapterBatch, t: Tensor, noise: Tensor) -> Tensor:
        """What is squared, [B, C, T, h, w], with noise of that shape at times t [B]."""
        latents = rearrange(batch.latents, "b t c h w -> b c t h w")
        tokens = batch.tokens * batch.keep_audio[:, None, None, None]
        x_t = self.prediction.add_noise(latents, noise, t)
        found = self.denoiser(x_t, t, FrameConditions(batch.context, tokens))
        return self.prediction.training_error(found.float(), latents, noise, x_t, t)

    def area(self, batch: AdapterBatch) -> Tensor:
        """How much each cell counts, [B, 1, T, h, w]."""
        generated = 1 - batch.context[:, :1]
        area = self.mix.kept + (1 - self.mix.kept) * generated
        return area * (1 + (self.mix.mouth - 1) * region(MOUTH_BOX, area.shape[-1]).to(area))


def _mean(values: Tensor, area: Tensor) -> Tensor:
    """Mean of values [B, C, T, h, w] where the area [B, 1, T, h, w] weighs the cells: a scalar."""
    return (area * values).mean() / area.mean()


@torch.no_grad()
def score_dubbing(denoiser: nn.Module, batch: AdapterBatch, device: torch.device) -> dict[str, float]:
    """On fixed windows from pure noise, in the cells of the mouth: `moves`, the share of the variance over time that is
    explained, and `moves_unheard`, the same without the sound. A net that does not hear has little of either."""
    objective = DubbingObjective(denoiser, DubbingMix())  # type: ignore[arg-type]
    batch = batch.to(device)
    silent = replace(batch, keep_audio=torch.zeros_like(batch.keep_audio))
    latents = rearrange(batch.latents, "b t c h w -> b c t h w")
    noise = torch.randn(latents[:, :, :1].shape, generator=torch.Generator().manual_seed(0)).to(device)
    t = objective.prediction.time_at(torch.ones(len(latents), device=device))
    area = region(MOUTH_BOX, latents.shape[-1]).to(latents) * (1 - batch.context[:, :1])
    scale = objective.prediction.error_weight(t).sqrt()[:, None, None, None, None]

    def varying(values: Tensor) -> Tensor:
        return _mean((values - values.mean(2, keepdim=True)).square(), area)

    def explained(given: AdapterBatch) -> float:
        return float(1 - varying(objective.error(given, t, noise.expand_as(latents)) / scale) / varying(latents))

    return {"moves": explained(batch), "moves_unheard": explained(silent)}


def train_dubbing(config: ModelConfig, clips: list[Path], output: Path, options: TrainOptions) -> dict[str, float]:
    """Train a base's denoiser, without adapters, on encoded clips and write it to `output`; returns its scores."""
    torch.manual_seed(options.seed)
    config = replace(config, denoiser=replace(config.denoiser, has_adapters=False))
    denoiser, mix = LatentSyncDenoiser(config.denoiser), DubbingMix()
    kept, trained = clips[::HELDOUT_EVERY], [path for i, path in enumerate(clips) if i % HELDOUT_EVERY]
    calm = replace(mix.windows, drop_audio=0.0, full_mask=0.0, portrait=1.0)
    monitor = draw_windows(kept, config.denoiser, calm, np.random.default_rng(0), 16)
    recipe = Recipe(
        part="denoiser",
        trained=denoiser,
        objective=DubbingObjective(denoiser, mix),
        draw=lambda rng, n: draw_windows(trained or clips, config.denoiser, mix.windows, rng, n),
        batch=BATCH,
        learning_rate=LEARNING_RATE,
        evaluate=lambda net, device: score_dubbing(net, monitor, device),
    )
    averaged, at = fit(recipe, options)
    state = {key: value.contiguous() for key, value in averaged.state_dict().items()}
    write_weights(output, "denoiser", state, config, {**metadata_of(options.seed, at), "licence": "Apache-2.0"})
    return at.scores


def train_latent_features(
    config: ModelConfig, clips: list[Path], output: Path, options: TrainOptions
) -> dict[str, float]:
    """Train the video autoencoder that TREPA compares with, on the latents of encoded clips; returns its error."""
    torch.manual_seed(options.seed)
    sizes, net = config.video_features, VideoFeatures(config.video_features)

    def clip(path: Path, rng: np.random.Generator) -> Tensor:
        latents = read_clip(path).latents
        start = int(rng.integers(len(latents) - sizes.frames + 1))
        return latents[start : start + sizes.frames].movedim(1, 0)

    def draw(rng: np.random.Generator, n: int) -> ExpressionBatch:
        return ExpressionBatch(torch.stack([clip(clips[rng.integers(len(clips))], rng) for _ in range(n)]))

    recipe = Recipe("video_features", net, MaskedObjective(net), draw, batch=8, learning_rate=LEARNING_RATE)
    averaged, at = fit(recipe, options)
    save_part(output, "video_features", averaged, sizes, metadata_of(options.seed, at))
    return at.scores


def encode_squares(squares: list[Path], output: Path, base: Path, size_px: int, device: torch.device) -> list[Path]:
    """Encode cut clips that are not yet in `output` with the nets of a base's folder; returns the files of all."""
    output.mkdir(parents=True, exist_ok=True)
    check_encoded_with(output, base)
    encoder: BaseEncoder | None = None
    found = []
    for path in squares:
        target = output / path.name
        if not target.is_file():
            encoder = encoder or BaseEncoder(base, size_px, device)
            clip = read_cut(path)
            known = {name: getattr(clip, name) for name in ("code", "motion", "has_code", "has_motion")}
            partial = target.with_name(target.name + ".partial")
            seen = (clip.squares.numpy(), clip.samples.numpy(), clip.portrait.numpy())
            encoder.encode_squares(*seen, **known).save(partial)
            partial.replace(target)
        found.append(target)
    return found


def train_base(
    config: ModelConfig,
    data: Path,
    folder: Path,
    options: TrainOptions,
    minutes_scale: float = 1.0,
    nets: tuple[str, ...] = tuple(MINUTES),
) -> dict[str, dict[str, float]]:
    """Train the nets of a base into `folder`/<its name>; returns their scores. Where a net's file exists, it stays.

    data           folder of shards (eadnet corpus render) or videos
    options        its minutes are not used
    minutes_scale  1: the minutes of `MINUTES`, for a core of its own
    nets           of MINUTES; the denoiser needs the file of the autoencoder and of the sound encoder
    Stopped at any point, the next call goes on from there. Raises BadInput without clips.
    """
    if unknown := [name for name in nets if name not in MINUTES]:
        raise BadInput(f"No net {unknown} of a base is trained here; give some of {', '.join(MINUTES)}.")
    model, runs = folder / config.name, folder / "runs" / config.name
    device = find_device(options.device)
    scores: dict[str, dict[str, float]] = {}

    def squares() -> list[Path]:
        return cut_folder(data, runs / "squares", config.size_px, max(LEAST_FRAMES, config.denoiser.window_frames))

    def encoded() -> list[Path]:
        return encode_squares(squares(), runs / "encoded", model, config.size_px, device)

    train: dict[str, Callable[[Path, TrainOptions], dict[str, float]]] = {
        "whisper": lambda path, given: train_whisper(SMALL_WHISPER, path, given),
        "vae": lambda path, given: train_sd_vae(SMALL_VAE, squares(), path, given),
        "syncnet": lambda path, given: train_stable_syncnet(SMALL_SYNCNET, squares(), path, given),
        "video_features": lambda path, given: train_latent_features(config, encoded(), path, given),
        "denoiser": lambda path, given: train_dubbing(config, encoded(), path, given),
    }
    for name, minutes in MINUTES.items():
        path = model / f"{name}.safetensors"
        if name not in nets or path.is_file():
            continue
        given = replace(options, run_folder=runs, max_minutes=minutes * minutes_scale)
        log.info("%s: %.1f minutes", name, minutes * minutes_scale)
        scores[name] = train[name](path, given)
    return scores
