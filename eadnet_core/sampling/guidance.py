"""Guidance: combining predictions with and without audio and emotion, and pulling x0 towards what a SyncNet hears.

Classifier-free guidance is nested, reference -> audio -> emotion (InstructPix2Pix, eq. 3, with audio first):
v = v0 + s_a (v_a - v0) + s_e (v_ae - v_a). Strong audio guidance under the emotion term is what contains the loss of
sync. It is linear, so it is done on what the net predicts: x0, or the noise, as LatentSync does it. SyncNet guidance on
x0 is our own addition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import torch
from torch import Tensor

from ..config import DenoiserConfig
from .schedule import to_x0

Net = Callable[..., Tensor]
"""The denoiser: (sample, time, audio, emotion, motion, motion_known) -> raw output; with `SamplerOptions.tells_place`
also given place=Place."""

SYNC_NOISE_RANGE = (0.30, 1.0)
SYNC_EVERY = 2
SYNC_LEAST_VOICE = 0.5
"""Least mean of the speech gate over a SyncNet window for it to guide."""
LEAST_COSINE = 0.05


@dataclass(frozen=True)
class Conditions:
    """Everything a clip of T frames is generated from, per frame.

    context       [2C + 1, T, h, w]  mask | masked-image | reference of each frame, ready for the net
    audio         [T, S, D_a]
    emotion       [T, E, D_e]
    null_emotion  [E, D_e]           the learned tokens of "no emotion given"
    motion        [T, 8]
    motion_known  [T]                1 where the motion is given
    sync_audio    [T, D] or None     SyncNet embedding of the sound that belongs to the frames from t on
    voice         [T] or None        speech gate, 0 silence .. 1 speech
    """

    context: Tensor
    audio: Tensor
    emotion: Tensor
    null_emotion: Tensor
    motion: Tensor
    motion_known: Tensor
    sync_audio: Tensor | None = None
    voice: Tensor | None = None

    @property
    def n_frames(self) -> int:
        return self.audio.shape[0]

    def frames(self, start: int, stop: int) -> Conditions:
        """The conditions of frames start .. stop - 1."""
        cut: dict[str, Tensor] = {"context": self.context[:, start:stop]}
        for name in ("audio", "emotion", "motion", "motion_known", "sync_audio", "voice"):
            value = getattr(self, name)
            if value is not None:
                cut[name] = value[start:stop]
        return replace(self, **cut)

    def after(self, other: Conditions | None) -> Conditions:
        """`other` followed by self."""
        if other is None:
            return self
        joined: dict[str, Tensor] = {"context": torch.cat([other.context, self.context], dim=1)}
        for f in fields(self):
            mine, theirs = getattr(self, f.name), getattr(other, f.name)
            if f.name not in ("context", "null_emotion") and mine is not None and theirs is not None:
                joined[f.name] = torch.cat([theirs, mine])
        return replace(self, **joined)

    def held(self, before: int, after: int) -> Conditions:
        """The same with its first frame repeated `before` times in front of it, and its last one behind."""
        longer: dict[str, Tensor] = {"context": hold_ends(self.context, before, after, dim=1)}
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name not in ("context", "null_emotion") and value is not None:
                longer[f.name] = hold_ends(value, before, after, dim=0)
        return replace(self, **longer)


def hold_ends(x: Tensor, before: int, after: int, dim: int) -> Tensor:
    """The first slice along `dim` repeated in front of x, and the last one behind it.

    >>> hold_ends(torch.tensor([1, 2, 3]), 2, 1, 0).tolist()
    [1, 1, 1, 2, 3, 3]
    """
    last = x.shape[dim] - 1
    places = torch.cat([torch.zeros(before), torch.arange(last + 1), torch.full((after,), last)])
    return x.index_select(dim, places.to(x.device, torch.long))


class Branch(NamedTuple):
    """One prediction of nested guidance: which conditions it sees, and its weight in the sum."""

    has_audio: bool
    has_emotion: bool
    weight: float


def branches(guidance_audio: float, guidance_emotion: float) -> list[Branch]:
    """The predictions needed, without those of zero weight; the most conditioned one comes last.

    >>> branches(1.0, 1.0)
    [Branch(has_audio=True, has_emotion=True, weight=1.0)]
    >>> [b.weight for b in branches(1.0, 1.5)], [b.weight for b in branches(2.0, 1.5)]
    ([-0.5, 1.5], [-1.0, 0.5, 1.5])
    """
    every = [
        Branch(False, False, 1.0 - guidance_audio),
        Branch(True, False, guidance_audio - guidance_emotion),
        Branch(True, True, guidance_emotion),
    ]
    return [b for b in every if b.weight != 0.0]


class Place(NamedTuple):
    """Where a call of the net is in the sampling, for a net that keeps something from call to call.

    frames    of each window; a window that was filled up names its last or first frame again and again
    branches  of the batch, which holds all windows of the first, then all of the second, ...
    """

    step: int
    n_steps: int
    frames: tuple[tuple[int, ...], ...]
    branches: tuple[Branch, ...]


class Prediction(NamedTuple):
    """x0 [B, C, T, h, w] after guidance, how far guidance moved it (None with a single branch), and the noise that the
    net predicted, guided (None of a net that does not)."""

    x0: Tensor
    correction: Tensor | None
    noise: Tensor | None = None


def predict_x0(
    net: Net,
    config: DenoiserConfig,
    x_t: Tensor,
    time: float,
    conditions: list[Conditions],
    needed: list[Branch],
    place: Place | None = None,
) -> Prediction:
    """Guided x0 of B windows of equal length, all branches of all windows in one forward pass.

    x_t         [B, C, T, h, w]
    time        what the net is given: 0 .. 1 (residual) or 0 .. 999 (epsilon)
    conditions  one per window
    place       handed to the net, where it is one that asks for it
    """
    told = {} if place is None else {"place": place}
    n = len(conditions)
    audio = torch.stack([c.audio for c in conditions])
    emotion = torch.stack([c.emotion for c in conditions])
    silent = torch.zeros_like(audio)
    null = torch.stack([c.null_emotion.expand_as(c.emotion) for c in conditions])
    context = torch.stack([c.context for c in conditions])
    sample = torch.cat([x_t, context], dim=1)
    times = torch.full((n * len(needed),), time, dtype=x_t.dtype, device=x_t.device)
    output = net(
        _repeat(sample, len(needed)),
        times,
        torch.cat([audio if b.has_audio else silent for b in needed]),
        torch.cat([emotion if b.has_emotion else null for b in needed]),
        _repeat(torch.stack([c.motion for c in conditions]), len(needed)),
        _repeat(torch.stack([c.motion_known for c in conditions]), len(needed)),
        **told,
    )
    if config.prediction == "epsilon":
        return _from_noise(output.split(n), x_t, times[:n], config, needed)
    predicted = to_x0(output, _repeat(x_t, len(needed)), times, config).split(n)
    if len(needed) == 1:
        return Prediction(predicted[0] * needed[0].weight, None)
    x0 = torch.zeros_like(x_t)
    for branch, value in zip(needed, predicted, strict=True):
        x0 = x0 + branch.weight * value
    return Prediction(x0, x0 - predicted[-1])


def _from_noise(
    outputs: Sequence[Tensor], x_t: Tensor, times: Tensor, config: DenoiserConfig, needed: list[Branch]
) -> Prediction:
    """Guidance on predicted noise, each branch against the one before it: equal to the bit to LatentSync's."""
    noise = outputs[0]
    for i in range(1, len(needed)):
        noise = noise + sum(branch.weight for branch in needed[i:]) * (outputs[i] - outputs[i - 1])
    x0 = to_x0(noise, x_t, times, config)
    moved = None if len(needed) == 1 else x0 - to_x0(outputs[-1], x_t, times, config)
    return Prediction(x0, moved, noise)


def _repeat(x: Tensor, n: int) -> Tensor:
    return x if n == 1 else torch.cat([x] * n)


@dataclass(frozen=True)
class SyncGuide:
    """What SyncNet guidance needs to know.

    embed_frames  [B, F, C, h, w] latents -> [B, D] unit norm; gradients flow through it and nothing else
    to_latents    (x0 [C, T, h, w], context [2C + 1, T, h, w]) -> latents [C, T, h, w] as the SyncNet was trained on
    mouth         [h, w]  1 in the cells that may move: inner mouth and jaw, not the lip corners
    strength      rho, the step in units of the guidance's own correction
    real_cosine   mean cosine of real clips, where pulling stops
    n_frames      F, frames of one SyncNet window
    """

    embed_frames: Callable[[Tensor], Tensor]
    to_latents: Callable[[Tensor, Tensor], Tensor]
    mouth: Tensor
    strength: float
    real_cosine: float
    n_frames: int


def sync_steps(
    noise_fraction: tuple[float, ...], noise_range: tuple[float, float] = SYNC_NOISE_RANGE
) -> frozenset[int]:
    """The steps at which SyncNet guidance acts: every second one within a part of the noise range.

    >>> sorted(sync_steps((1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125)))
    [0, 2, 4]
    """
    low, high = noise_range
    inside = [i for i, fraction in enumerate(noise_fraction) if low <= fraction <= high]
    return frozenset(inside[::SYNC_EVERY])


def guide_sync(x0: Tensor, correction: Tensor | None, conditions: Conditions, guide: SyncGuide) -> Tensor:
    """x0 [C, T, h, w], already fused, moved one step down L = sum over windows of -log cos(V(z), A(mel)).

    The gradient is masked to the mouth and scaled to unit rms there; the step is strength * rms(correction in the
    mouth), or of x0 itself where classifier-free guidance is off. Windows without voice, and windows that are as much
    in sync as real ones, do not pull. The backward pass goes through the SyncNet only.
    """
    n_windows = conditions.n_frames - guide.n_frames + 1
    if n_windows < 1 or conditions.sync_audio is None or conditions.voice is None:
        return x0
    voiced = conditions.voice.float().unfold(0, guide.n_frames, 1).mean(-1) >= SYNC_LEAST_VOICE
    if not bool(voiced.any()):
        return x0
    with torch.inference_mode(False), torch.enable_grad():
        leaf = x0.detach().clone().float().requires_grad_(True)
        sound = conditions.sync_audio[:n_windows].clone().float()
        clips = guide.to_latents(leaf, conditions.context.clone()).unfold(1, guide.n_frames, 1)  # [C, windows, h, w, F]
        seen = guide.embed_frames(clips.permute(1, 4, 0, 2, 3)[voiced.clone()])
        cosine = (seen * sound[voiced.clone()]).sum(-1)
        pulling = cosine.detach() < guide.real_cosine
        if not bool(pulling.any()):
            return x0
        near = cosine[pulling]
        # -log below LEAST_COSINE goes on as its tangent: a negative cosine must still pull
        loss = -near.clamp(min=LEAST_COSINE).log() - near.clamp(max=LEAST_COSINE) / LEAST_COSINE
        (gradient,) = torch.autograd.grad(loss.sum(), leaf)
    mouth = guide.mouth.to(x0)
    cells = mouth.sum().clamp(min=1)
    moved = (gradient.abs().amax(dim=(0, 2, 3)) > 0).sum().clamp(min=1)  # frames that belong to a pulling window
    gradient = gradient.detach().clone().to(x0.dtype) * mouth
    rms = (gradient.square().sum() / (cells * x0.shape[0] * moved)).sqrt()
    if float(rms) == 0.0:
        return x0
    scale = (x0 if correction is None else correction) * mouth
    step = guide.strength * (scale.square().sum() / (cells * x0.shape[0] * x0.shape[1])).sqrt()
    return x0 - step * gradient / rms
