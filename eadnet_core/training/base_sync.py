"""Training of a small base's SyncNet, in the shape of LatentSync's, on the lower halves of aligned squares.

Contrastive, as the mini's is (`training.syncnet`): every window must find its own sound among those of the batch, some
of them of the same clip a few frames away. It supervises and reports; it never scores what it has supervised.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import FPS, StableSyncNetConfig
from ..errors import BadInput
from ..media.pixels import to_unit
from ..media.sound.sync_features import (
    SYNCNET_HOP,
    SYNCNET_MEL_RATE_HZ,
    SYNCNET_MEL_STEPS,
    syncnet_mel,
    syncnet_mel_windows,
)
from ..nets.latentsync.stable_syncnet import StableSyncNet
from ..weights.files import save_part
from .base_picture import HELDOUT_EVERY
from .base_squares import CutClip, read_cut
from .batch import Batch
from .loop import Losses, Recipe, TrainOptions, fit, metadata_of
from .syncnet import disturb, info_nce

BATCH = 8
"""Clips per step; each gives `WINDOWS` windows."""
WINDOWS = 4
LEARNING_RATE = 1e-3
SILENCE = -2.5
"""Mean log-mel (-4 .. 4) of a window under which it counts as silent."""


@dataclass(frozen=True)
class SquareSyncBatch(Batch):
    """Windows of F squares with their sound.

    frames   [B, F, 3, H, W]  -1 .. 1
    mel      [B, 1, 80, 52]
    audible  [B]              bool; silent windows are left out
    """

    frames: Tensor
    mel: Tensor
    audible: Tensor


class SquareSyncObjective(nn.Module):
    """Symmetric InfoNCE between windows of squares and of sound."""

    def __init__(self, syncnet: StableSyncNet) -> None:
        super().__init__()
        self.nets = nn.ModuleDict({"syncnet": syncnet})
        self.log_scale = nn.Parameter(torch.tensor(2.5))
        self.nets.register_parameter("log_scale", self.log_scale)

    def forward(self, batch: SquareSyncBatch) -> Losses:
        """See `training.syncnet.info_nce`."""
        syncnet: StableSyncNet = self.nets["syncnet"]  # type: ignore[assignment]
        n_frames = batch.frames.shape[1]
        frames = disturb(batch.frames.flatten(0, 1), together=n_frames).unflatten(0, (-1, n_frames))
        seen, heard = syncnet.embed_frames(frames).float(), syncnet.embed_audio(batch.mel).float()
        return info_nce(seen, heard, self.log_scale, batch.audible)


def window_starts(clip: CutClip, n_frames: int) -> np.ndarray:
    """First frames of the windows of a clip whose frames and whose sound lie inside it."""
    steps = len(clip.samples) // SYNCNET_HOP + 1
    last = min(len(clip.squares) - n_frames, (steps - SYNCNET_MEL_STEPS) * FPS // SYNCNET_MEL_RATE_HZ)
    return np.arange(max(0, last + 1))


def windows_of(
    clip: CutClip, starts: np.ndarray, config: StableSyncNetConfig, mel: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Frames, mel and audibility of some windows of a clip; see `SquareSyncBatch`. `mel` is that of the whole clip."""
    chosen = torch.from_numpy(np.asarray(starts)[:, None] + np.arange(config.frames))
    frames = reduced(to_unit(clip.squares[chosen.flatten()].numpy()), config.size_px).unflatten(0, chosen.shape)
    mel = syncnet_mel_windows(syncnet_mel(clip.samples.numpy()) if mel is None else mel, [int(i) for i in starts])
    return frames, mel, _is_audible(mel)


def reduced(squares: Tensor, size_px: int) -> Tensor:
    """Squares [N, 3, H, W] at the size that a SyncNet looks at: [N, 3, size_px, size_px]."""
    if squares.shape[-1] == size_px:
        return squares
    return F.interpolate(squares, size=(size_px, size_px), mode="bilinear", antialias=True, align_corners=False)


def _is_audible(mel: Tensor) -> Tensor:
    return mel.mean((1, 2, 3)) > SILENCE


@lru_cache(maxsize=256)
def _mel(path: Path) -> Tensor:
    return syncnet_mel(read_cut(path).samples.numpy())


def draw_windows(clips: list[Path], config: StableSyncNetConfig, rng: np.random.Generator, n: int) -> SquareSyncBatch:
    """`WINDOWS` random windows of each of `n` clips."""
    found = []
    for index in rng.choice(len(clips), n, replace=n > len(clips)):
        clip = read_cut(clips[index])
        starts = window_starts(clip, config.frames)
        chosen = rng.choice(starts, WINDOWS, replace=len(starts) < WINDOWS)
        found.append(windows_of(clip, chosen, config, _mel(clips[index])))
    return SquareSyncBatch(*(torch.cat(parts) for parts in zip(*found, strict=True)))


@torch.no_grad()
def score_sync(syncnet: StableSyncNet, clips: list[Path], device: torch.device) -> dict[str, float]:
    """Scores on clips: `pairwise`, share of pairs of windows of a clip, three frames apart or more, where the true
    sound wins; `cosine`, the median similarity of windows in sync."""
    wins, cosines = [], []
    for path in clips:
        clip = read_cut(path)
        starts = window_starts(clip, syncnet.config.frames)[::2]
        frames, mel, audible = windows_of(clip, starts, syncnet.config)
        similarity = syncnet.embed_frames(frames.to(device)) @ syncnet.embed_audio(mel.to(device)).T
        apart = torch.from_numpy(np.abs(starts[:, None] - starts) >= 3)
        pairs = apart & audible[:, None] & audible
        wins.append((similarity.diag()[:, None] > similarity).cpu()[pairs].float())
        cosines.append(similarity.diag().cpu()[audible])
    both = [torch.cat(values) for values in (wins, cosines)]
    return {"pairwise": float(both[0].mean()), "cosine": float(both[1].median())} if len(both[1]) else {}


def train_stable_syncnet(
    config: StableSyncNetConfig, clips: list[Path], output: Path, options: TrainOptions
) -> dict[str, float]:
    """Train the SyncNet on squares (`base_squares`) and write it to `output`; returns its scores.

    Clips that are shorter than a window of its sound are left out. Raises BadInput where none is left.
    """
    torch.manual_seed(options.seed)
    clips = [path for path in clips if len(window_starts(read_cut(path), config.frames))]
    if not clips:
        raise BadInput("No clip is long enough for the SyncNet, which hears .65 s at once: give clips of a second.")
    kept, trained = clips[::HELDOUT_EVERY], [path for i, path in enumerate(clips) if i % HELDOUT_EVERY]
    objective = SquareSyncObjective(StableSyncNet(config))
    recipe = Recipe(
        part="syncnet",
        trained=objective.nets,
        objective=objective,
        draw=lambda rng, n: draw_windows(trained or clips, config, rng, n),
        batch=BATCH,
        learning_rate=LEARNING_RATE,
        evaluate=lambda nets, device: score_sync(nets["syncnet"], kept, device),  # type: ignore[index]
    )
    averaged, at = fit(recipe, options)
    syncnet: nn.Module = averaged["syncnet"]  # type: ignore[index]
    save_part(output, "stable_syncnet", syncnet, config, {**metadata_of(options.seed, at), "licence": "Apache-2.0"})
    return at.scores
