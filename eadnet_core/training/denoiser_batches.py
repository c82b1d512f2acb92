"""Batches for the denoiser: clips of a cache with the choices of a `Mix` made."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..config import DenoiserConfig
from ..emotion.code import label_code
from ..taxonomy import EMOTIONS
from .batch import Batch
from .data import Cache
from .latents import MASKED_BOXES, MASKED_EVERY, box_mask, masked_box_of
from .lip_reader import lips_of

CLOSED_EYES = 8.0
"""A frame whose eyes are closed is looked at 1 + this times as often as others: of the corpus it is one in 24."""


@dataclass(frozen=True)
class ClipBatch(Batch):
    """Clips in latents, with all that the denoiser is given.

    latents       [B, T, C, h, w]  what is to be generated
    reference     [B, T, C, h, w]  the reference picture, its head turned as in each frame
    masked        [B, T, C, h, w]  latents with a box greyed out; 0 where the whole frame is generated
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
class SeenFrames(Batch):
    """Some frames of a `ClipBatch` as they truly are.

    clip       [n]           int64, place in the batch
    frame      [n]           int64, place in the clip
    picture    [n, 3, H, W]  -1 .. 1
    reference  [n, 3, H, W]  the clip's reference picture, not turned
    """

    clip: Tensor
    frame: Tensor
    picture: Tensor
    reference: Tensor


@dataclass(frozen=True)
class DenoiserBatch(Batch):
    """Clips to denoise, frames of them to look at, and sound to read visemes from.

    heard_mel   [n, steps, 80]  of other whole clips
    heard_lips  [n, T, 10]      see `lip_reader.lips_of`
    """

    clips: ClipBatch
    seen: SeenFrames
    heard_mel: Tensor
    heard_lips: Tensor


@dataclass(frozen=True)
class Mix:
    """What a training batch is made of, and how often the costly losses are computed."""

    drop_audio: float = 0.06
    drop_emotion: float = 0.06
    drop_both: float = 0.03
    drop_motion: float = 0.08
    """Share of clips whose motion is not told, and whose reference is not turned."""
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
    """SyncNet, TREPA and the decoded pictures judge one step in so many, with so much more weight."""
    supervise_below: float = 1.01
    """SyncNet and TREPA judge samples with less noise than this. At 1.01 they judge all: below half noise the estimate
    is already as much in sync as real clips (measured: cosine .70 after 150 steps, real .67), so they teach nothing."""
    sync_windows: int = 4
    picture_frames: int = 6
    """Frames that are decoded and looked at."""
    heard_clips: int = 16
    """Clips more whose lips are to be read from their sound alone."""


def draw_clips(cache: Cache, config: DenoiserConfig, mix: Mix, rng: np.random.Generator, n: int) -> DenoiserBatch:
    """One batch of `n` random clips, or of more and shorter ones, with the choices of `mix` made."""
    parts, shares = zip(*mix.lengths, strict=True)
    part = int(rng.choice(parts, p=shares))
    n, config = part * n, replace(config, window_frames=max(1, config.window_frames // part))
    clips = cache.draw_clips(rng, n, encoded=True)
    is_masked = rng.random(n) < mix.masked
    clips[is_masked] -= clips[is_masked] % MASKED_EVERY
    is_masked &= clips >= cache.n_monitor
    clips = np.maximum(clips, cache.n_monitor)
    start = rng.integers(0, cache.info.n_frames - min(config.window_frames, cache.info.n_frames) + 1)
    batch = clips_batch(cache, config, clips, int(start), is_masked)
    code = _draw_code(cache, batch, clips, mix, rng)
    u = rng.random(n)
    no_audio = (u < mix.drop_audio) | (u >= 1 - mix.drop_both)
    no_emotion = (u >= mix.drop_audio) & (u < mix.drop_audio + mix.drop_emotion) | (u >= 1 - mix.drop_both)
    keep_motion = torch.from_numpy(rng.random(n) >= mix.drop_motion)
    still = cache.tensor("reference_latents", clips)[:, None]
    batch = replace(
        batch,
        code=code,
        keep_audio=torch.from_numpy(~no_audio).float(),
        keep_emotion=torch.from_numpy(~no_emotion).float(),
        keep_motion=keep_motion.float(),
        reference=torch.where(keep_motion[:, None, None, None, None], batch.reference, still),
    )
    heard = cache.draw_clips(rng, mix.heard_clips)
    return DenoiserBatch(
        clips=batch,
        seen=look_at(cache, clips, int(start), batch.latents.shape[1], mix.picture_frames, rng),
        heard_mel=cache.tensor("mel", (heard,)),
        heard_lips=lips_of(cache, (heard,)),
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


def look_at(
    cache: Cache, clips: np.ndarray, start: int, n_frames: int, n_looks: int, rng: np.random.Generator
) -> SeenFrames:
    """`n_looks` random frames of the clips [B], those with closed eyes more often."""
    shares = 1 + CLOSED_EYES * np.asarray(cache.array("blink")[clips, start : start + n_frames], np.float64)
    drawn = rng.choice(shares.size, n_looks, p=(shares / shares.sum()).ravel())
    which, when = np.unravel_index(drawn, shares.shape)
    return SeenFrames(
        clip=torch.from_numpy(which),
        frame=torch.from_numpy(when),
        picture=cache.images("frames", (clips[which], start + when)),
        reference=cache.images("references", (clips[which],)),
    )


def clips_batch(
    cache: Cache, config: DenoiserConfig, clips: np.ndarray, start: int = 0, is_masked: np.ndarray | None = None
) -> ClipBatch:
    """Clips [B] from frame `start` on, with the sound of the whole clips, all conditions kept and true emotion codes.

    Where `is_masked` (clips that are multiples of `MASKED_EVERY`) only the greyed-out box is to be generated.
    """
    n = len(clips)
    is_masked = np.zeros(n, dtype=bool) if is_masked is None else is_masked
    frames = slice(start, start + config.window_frames)
    latents = cache.tensor("latents", (clips, frames))
    masked, masks = torch.zeros_like(latents), np.ones((n, config.cells, config.cells), dtype=np.float32)
    for i in np.flatnonzero(is_masked):
        masked[i] = cache.tensor("masked_latents", (int(clips[i]) // MASKED_EVERY, frames))
        masks[i] = box_mask(MASKED_BOXES[int(masked_box_of(clips[i]))], config.cells)
    ones = torch.ones(n)
    return ClipBatch(
        latents=latents,
        reference=cache.tensor("turned_latents", (clips, frames)),
        masked=masked,
        has_masked=torch.from_numpy(is_masked).float(),
        mask=torch.from_numpy(masks),
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
