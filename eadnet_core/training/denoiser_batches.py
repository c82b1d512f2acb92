"""Batches for the denoiser: clips of a cache with the choices of a `Mix` made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ..config import MASK_BOXES, DenoiserConfig
from ..emotion.code import label_code
from ..nets.motion_latents import MotionLatents
from ..taxonomy import EMOTIONS
from .batch import Batch
from .data import Cache

MASKED_BOXES = ("face", "mouth")
"""What is generated of a clip of which only a part is."""
REFERENCE_NOISE = 0.1
"""Standard deviation of the error of what is read off a reference picture, by control."""


@dataclass(frozen=True)
class ClipBatch(Batch):
    """Clips in latents, with all that the denoiser is given.

    latents       [B, T, C, h, w]  what is to be generated
    reference     [B, T, C, h, w]  of the reference picture, as it was read off
    masked        [B, T, C, h, w]  latents with a box left out; 0 where the whole frame is generated
    has_masked    [B]              1 where only the box is generated
    mask          [B, h, w]        1 where cells are generated
    mel           [B, steps, 80]   of the whole clips
    start         first of the T frames in the whole clips; the same for all
    energy        [B, T]           of the sound, by frame
    motion        [B, T, 8]        taxonomy.MOTION
    code          [B, T, 27]       emotion
    emotion       [B]              int64, index of EMOTIONS
    keep_audio    [B]              1 where the sound is given, 0 where it is dropped; keep_emotion and keep_motion alike
    """

    latents: Tensor
    reference: Tensor
    masked: Tensor
    has_masked: Tensor
    mask: Tensor
    mel: Tensor
    start: int
    energy: Tensor
    motion: Tensor
    code: Tensor
    emotion: Tensor
    keep_audio: Tensor
    keep_emotion: Tensor
    keep_motion: Tensor


@dataclass(frozen=True)
class DenoiserBatch(Batch):
    """Clips to denoise, and sound to read visemes from.

    heard_mel   [n, steps, 80]  of other whole clips
    heard_lips  [n, T, 9]       taxonomy.VISEME_PARAMETERS
    """

    clips: ClipBatch
    heard_mel: Tensor
    heard_lips: Tensor


@dataclass(frozen=True)
class Mix:
    """What a training batch is made of, and how often the costly losses are computed."""

    drop_audio: float = 0.06
    drop_emotion: float = 0.06
    drop_both: float = 0.03
    drop_motion: float = 0.08
    """Share of clips whose motion is not told."""
    masked: float = 0.15
    """Share of clips of which only the face or only the mouth is generated (half each)."""
    true_code: float = 0.35
    """Share of clips given the corpus's own emotion code; the others get what the text reader made of their words."""
    label_share: float = 0.0
    """Share of clips given the code of their label at full strength, and nothing of what words or corpus say beside."""
    lengths: tuple[tuple[int, float], ...] = ((1, 0.15), (2, 0.2), (4, 0.15), (16, 0.5))
    """Shares of steps on n times as many clips of 1/n of the length: most of the residual is the expression that a clip
    has from end to end, and that is one draw, however long the clip."""
    shared_noise: float = 0.5
    """Share of the noise's variance that all frames have in common."""
    supervise_every: int = 2
    """SyncNet and TREPA judge one step in so many, with so much more weight."""
    supervise_below: float = 1.01
    """SyncNet and TREPA judge samples with less noise than this. At 1.01 they judge all: below half noise the estimate
    is already as much in sync as real clips (measured: cosine .70 after 150 steps, real .67), so they teach nothing."""
    sync_windows: int = 4
    heard_clips: int = 16
    """Clips more whose lips are to be read from their sound alone."""


def draw_clips(cache: Cache, config: DenoiserConfig, mix: Mix, rng: np.random.Generator, n: int) -> DenoiserBatch:
    """One batch of `n` random clips, or of more and shorter ones, with the choices of `mix` made."""
    parts, shares = zip(*mix.lengths, strict=True)
    part = int(rng.choice(parts, p=shares))
    n, config = part * n, replace(config, window_frames=max(1, config.window_frames // part))
    clips = cache.draw_clips(rng, n)
    boxes = [str(rng.choice(MASKED_BOXES)) if rng.random() < mix.masked else None for _ in clips]
    start = rng.integers(0, cache.info.n_frames - min(config.window_frames, cache.info.n_frames) + 1)
    batch = clips_batch(cache, config, clips, int(start), boxes, rng)
    code = _draw_code(cache, batch, clips, mix, rng)
    u = rng.random(n)
    no_audio = (u < mix.drop_audio) | (u >= 1 - mix.drop_both)
    no_emotion = (u >= mix.drop_audio) & (u < mix.drop_audio + mix.drop_emotion) | (u >= 1 - mix.drop_both)
    batch = replace(
        batch,
        code=code,
        keep_audio=torch.from_numpy(~no_audio).float(),
        keep_emotion=torch.from_numpy(~no_emotion).float(),
        keep_motion=torch.from_numpy(rng.random(n) >= mix.drop_motion).float(),
    )
    heard = cache.draw_clips(rng, mix.heard_clips)
    return DenoiserBatch(
        clips=batch,
        heard_mel=cache.tensor("mel", (heard,)),
        heard_lips=cache.tensor("visemes", (heard,)),
    )


def _draw_code(cache: Cache, batch: ClipBatch, clips: np.ndarray, mix: Mix, rng: np.random.Generator) -> Tensor:
    """Emotion codes [B, T, 27]: true ones, those read from a text, and those of a label."""
    n = len(clips)
    use_text = (rng.random(n) >= mix.true_code) & (cache.array("is_pure")[clips] > 0)
    texts = cache.tensor("text_codes", (clips, rng.integers(0, cache.info.n_texts, n)))
    code = torch.where(torch.from_numpy(use_text)[:, None, None], texts[:, None], batch.code)
    if mix.label_share:
        labels = torch.from_numpy(np.stack([label_code(EMOTIONS[emotion]) for emotion in batch.emotion.tolist()]))
        is_labelled = torch.from_numpy(rng.random(n) < mix.label_share)
        code = torch.where(is_labelled[:, None, None], labels[:, None], code)
    return code


def clips_batch(
    cache: Cache,
    config: DenoiserConfig,
    clips: np.ndarray,
    start: int = 0,
    boxes: Sequence[str | None] = (),
    rng: np.random.Generator | None = None,
) -> ClipBatch:
    """Clips [B] from frame `start` on, with the sound of the whole clips, all conditions kept and true emotion codes.

    boxes  for each clip a key of MASK_BOXES of which alone is generated, or None; none given: whole frames
    rng    draws the errors with which the references are read off; without it they are exact
    """
    n, frames = len(clips), slice(start, start + config.window_frames)
    to_latents = motion_latents()
    latents = to_latents(cache.tensor("controls", (clips, frames)))
    reference = cache.tensor("reference_controls", (clips,))
    if rng is not None:
        reference = reference + REFERENCE_NOISE * torch.from_numpy(rng.standard_normal(reference.shape)).float()
    mask = torch.stack([_cells(box, config.cells) for box in boxes or [None] * n])
    has_masked = torch.tensor([box is not None for box in boxes or [None] * n]).float()
    ones = torch.ones(n)
    return ClipBatch(
        latents=latents,
        reference=to_latents(reference)[:, None].expand_as(latents),
        masked=latents * (1 - mask)[:, None, None],
        has_masked=has_masked,
        mask=mask,
        mel=cache.tensor("mel", (clips,)),
        start=start,
        energy=cache.tensor("energy", (clips, frames)),
        motion=cache.tensor("motion", (clips, frames)),
        code=cache.tensor("codes", (clips, frames)),
        emotion=torch.from_numpy(cache.array("emotion")[clips].astype(np.int64)),
        keep_audio=ones,
        keep_emotion=ones.clone(),
        keep_motion=ones.clone(),
    )


@lru_cache(maxsize=1)
def motion_latents() -> MotionLatents:
    """What lays controls into the frame."""
    return MotionLatents()


def _cells(box: str | None, cells: int) -> Tensor:
    """Float [cells, cells]: 1 inside a box of MASK_BOXES, 0 outside; all 1 without one."""
    x0, y0, x1, y1 = (round(edge * cells) for edge in MASK_BOXES[box or "full"])
    mask = torch.zeros(cells, cells)
    mask[y0:y1, x0:x1] = 1
    return mask
