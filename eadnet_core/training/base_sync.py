"""Training of a small base's SyncNet, in the shape of LatentSync's, on the lower halves of aligned squares.

Contrastive, as the mini's is (`training.syncnet`): every window must find its own sound among those of the batch, many
of them of the same clip. Alone, that stays at chance for long: the first thing that tells sounds apart is who speaks,
which is soon known by heart and of no use within a clip. So both encoders also say what the lips do, by one linear
layer: what it reads lies in the same place of both embeddings. It is not kept.

The net supervises and reports; it never scores what it has supervised.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import FPS, StableSyncNetConfig
from ..errors import BadInput
from ..heads.rig import LIP_CONTROLS
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
WINDOWS = 6
APART = 3
"""Frames between windows of a clip, at least: nearer ones cannot be told apart."""
LIPS_WEIGHT = 1.0
LIPS_SIZE = 0.25
"""Usual size of a lip control."""
LEARNING_RATE = 1e-3
SILENCE = -2.5
"""Mean log-mel (-4 .. 4) of a window under which it counts as silent."""


@dataclass(frozen=True)
class SquareSyncBatch(Batch):
    """Windows of F squares with their sound.

    frames   [B, F, 3, H, W]  -1 .. 1
    mel      [B, 1, 80, 52]
    audible  [B]              bool; silent windows are left out
    lips     [B, F, 9]        what the lips do
    has_lips [B]              1 or 0
    """

    frames: Tensor
    mel: Tensor
    audible: Tensor
    lips: Tensor
    has_lips: Tensor


class SquareSyncObjective(nn.Module):
    """Symmetric InfoNCE between windows of squares and of sound, and what the lips do, read off both."""

    def __init__(self, syncnet: StableSyncNet) -> None:
        super().__init__()
        self.nets = nn.ModuleDict({"syncnet": syncnet})
        self.log_scale = nn.Parameter(torch.tensor(2.5))
        self.nets.register_parameter("log_scale", self.log_scale)
        self.nets["lips"] = nn.Linear(syncnet.config.visual_widths[-1], syncnet.config.frames * len(LIP_CONTROLS))

    def forward(self, batch: SquareSyncBatch) -> Losses:
        """`contrast`, see `training.syncnet.info_nce`; `lips`, 1 for knowing nothing; their weighted sum."""
        syncnet: StableSyncNet = self.nets["syncnet"]  # type: ignore[assignment]
        n_frames = batch.frames.shape[1]
        frames = disturb(batch.frames.flatten(0, 1), together=n_frames).unflatten(0, (-1, n_frames))
        seen, heard = syncnet.embed_frames(frames).float(), syncnet.embed_audio(batch.mel).float()
        losses = info_nce(seen, heard, self.log_scale, batch.audible)
        contrast, known = losses.pop("loss"), batch.has_lips > 0
        total = contrast
        if bool(known.any()):
            true = batch.lips[known].flatten(1) / LIPS_SIZE
            errors = [(self.lips(side[known]) - true).square().mean() for side in (seen, heard)]
            losses |= {"lips_seen": errors[0], "lips_heard": errors[1]}
            total = total + LIPS_WEIGHT * (errors[0] + errors[1])
        return {"loss": total, "contrast": contrast, **losses}

    def lips(self, embedding: Tensor) -> Tensor:
        """Unit vectors [B, D] to what the lips do in every frame, [B, F 9], in units of `LIPS_SIZE`."""
        return self.nets["lips"](embedding * embedding.shape[1] ** 0.5)  # type: ignore[operator]


def window_starts(clip: CutClip, n_frames: int) -> np.ndarray:
    """First frames of the windows of a clip whose frames and whose sound lie inside it."""
    steps = len(clip.samples) // SYNCNET_HOP + 1
    last = min(len(clip.squares) - n_frames, (steps - SYNCNET_MEL_STEPS) * FPS // SYNCNET_MEL_RATE_HZ)
    return np.arange(max(0, last + 1))


def spaced(starts: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """At most `n` of the starts, in random places, each `APART` frames or more from the next.

    >>> spaced(np.arange(9), 8, np.random.default_rng(0)).tolist()
    [2, 5, 8]
    """
    found = starts[int(rng.integers(min(APART, len(starts)))) :: APART]
    return np.sort(rng.choice(found, min(n, len(found)), replace=False))


def windows_of(path: Path, starts: np.ndarray, config: StableSyncNetConfig) -> SquareSyncBatch:
    """Some windows of a clip."""
    clip = read_cut(path)
    squares, mel = _shown_and_heard(path, config.size_px)
    chosen = torch.from_numpy(np.asarray(starts)[:, None] + np.arange(config.frames))
    windows = syncnet_mel_windows(mel, [int(i) for i in starts])
    known = clip.has_lips.expand(len(windows))
    return SquareSyncBatch(squares[chosen] / 127.5 - 1, windows, _is_audible(windows), clip.lips[chosen], known)


def reduced(squares: Tensor, size_px: int) -> Tensor:
    """Squares [N, 3, H, W] at the size that a SyncNet looks at: [N, 3, size_px, size_px]."""
    if squares.shape[-1] == size_px:
        return squares
    return F.interpolate(squares, size=(size_px, size_px), mode="bilinear", antialias=True, align_corners=False)


def _is_audible(mel: Tensor) -> Tensor:
    return mel.mean((1, 2, 3)) > SILENCE


@lru_cache(maxsize=256)
def _shown_and_heard(path: Path, size_px: int) -> tuple[Tensor, Tensor]:
    """A clip's squares uint8 [T, 3, size_px, size_px], and the log-mel of its sound."""
    clip = read_cut(path)
    squares = reduced(to_unit(clip.squares.numpy()), size_px)
    return ((squares + 1) * 127.5).round().clamp(0, 255).to(torch.uint8), syncnet_mel(clip.samples.numpy())


def draw_windows(clips: list[Path], config: StableSyncNetConfig, rng: np.random.Generator, n: int) -> SquareSyncBatch:
    """Up to `WINDOWS` random windows of each of `n` clips."""
    found = []
    for index in rng.choice(len(clips), n, replace=n > len(clips)):
        starts = spaced(window_starts(read_cut(clips[index]), config.frames), WINDOWS, rng)
        found.append(windows_of(clips[index], starts, config))
    return SquareSyncBatch(*(torch.cat([getattr(one, f.name) for one in found]) for f in fields(SquareSyncBatch)))


@torch.no_grad()
def score_sync(syncnet: StableSyncNet, clips: list[Path], device: torch.device) -> dict[str, float]:
    """Scores on clips: `pairwise`, share of pairs of windows of a clip, `APART` frames apart or more, where the true
    sound wins; `cosine`, the median similarity of windows in sync."""
    wins, cosines = [], []
    for path in clips:
        starts = window_starts(read_cut(path), syncnet.config.frames)[::2]
        batch = windows_of(path, starts, syncnet.config)
        similarity = syncnet.embed_frames(batch.frames.to(device)) @ syncnet.embed_audio(batch.mel.to(device)).T
        apart, audible = torch.from_numpy(np.abs(starts[:, None] - starts) >= APART), batch.audible
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
