"""Guidance: combining predictions with and without audio and emotion, and pulling x0 towards what a SyncNet hears.

Classifier-free guidance is nested, reference -> audio -> emotion (InstructPix2Pix, eq. 3, with audio first):
v = v0 + s_a (v_a - v0) + s_e (v_ae - v_a). Strong audio guidance under the emotion term is what contains the loss of
sync. It is linear, so it is done on what the net predicts: x0, or the noise, as LatentSync does it. SyncNet guidance on
x0 is our own addition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ..config import DenoiserConfig
from .conditions import FrameConditions
from .prediction import Guided, Prediction

SYNC_NOISE_RANGE = (0.30, 1.0)
SYNC_EVERY = 2
SYNC_LEAST_VOICE = 0.5
"""Least mean of the speech gate over a SyncNet window for it to guide."""
LEAST_COSINE = 0.05


class Branch(NamedTuple):
    """One prediction of nested guidance: which conditions it sees, and its weight in the sum.

    guidance  weights of sound and emotion that the net is told, to apply them by itself; None: it applies none
    """

    has_audio: bool
    has_emotion: bool
    weight: float
    guidance: tuple[float, float] | None = None


def branches(guidance_audio: float, guidance_emotion: float) -> list[Branch]:
    """The predictions needed, without those of zero weight; the most conditioned one comes last.

    >>> branches(1.0, 1.0)
    [Branch(has_audio=True, has_emotion=True, weight=1.0, guidance=None)]
    >>> [b.weight for b in branches(1.0, 1.5)], [b.weight for b in branches(2.0, 1.5)]
    ([-0.5, 1.5], [-1.0, 0.5, 1.5])
    """
    every = [
        Branch(False, False, 1.0 - guidance_audio),
        Branch(True, False, guidance_audio - guidance_emotion),
        Branch(True, True, guidance_emotion),
    ]
    return [b for b in every if b.weight != 0.0]


def passes(
    config: DenoiserConfig, guidance_audio: float, guidance_emotion: float, *, needs_correction: bool = False
) -> list[Branch]:
    """The predictions that a net of that config makes: one where it guides by itself (ADR 34), else `branches`.

    needs_correction  whether something asks how far guidance moved x0, which a single prediction does not tell

    >>> len(passes(DenoiserConfig(), 1.3, 1.15)), len(passes(DenoiserConfig(guides_itself=True), 1.3, 1.15))
    (3, 1)
    """
    if needs_correction or not config.guides_itself or guidance_audio == guidance_emotion == 1.0:
        return branches(guidance_audio, guidance_emotion)
    return [Branch(True, True, 1.0, (guidance_audio, guidance_emotion))]


class Place(NamedTuple):
    """Where a call of the net is in the sampling, for a net that keeps something from call to call.

    frames    of each window; a window that was filled up names its last or first frame again and again
    branches  of the batch, which holds all windows of the first, then all of the second, ...
    """

    step: int
    n_steps: int
    frames: tuple[tuple[int, ...], ...]
    branches: tuple[Branch, ...]


class Net(Protocol):
    """What is sampled: a denoiser, or a function around one."""

    def __call__(self, sample: Tensor, time: Tensor, conditions: FrameConditions, place: Place | None = None) -> Tensor:
        """The raw output [B, C, T, h, w].

        sample      [B, C, T, h, w]  noisy latents
        time        [B]              0 .. 1 (`Flow`) or 0 .. 999 (`Epsilon`)
        conditions  of a batch
        place       where the call is in the sampling
        """


def predict_x0(
    net: Net,
    prediction: Prediction,
    x_t: Tensor,
    time: float,
    conditions: Sequence[FrameConditions],
    needed: Sequence[Branch],
    place: Place | None = None,
) -> Guided:
    """Guided x0 of B windows of equal length, all branches of all windows in one forward pass.

    x_t         [B, C, T, h, w]
    time        what the net is given: 0 .. 1 (`Flow`) or 0 .. 999 (`Epsilon`)
    conditions  one per window
    """
    times = torch.full((len(x_t),), time, dtype=x_t.dtype, device=x_t.device)
    given = in_branches(FrameConditions.stack(conditions), needed)
    output = net(_repeat(x_t, len(needed)), _repeat(times, len(needed)), given, place)
    return prediction.guide(output.split(len(x_t)), x_t, times, [branch.weight for branch in needed])


def in_branches(given: FrameConditions, needed: Sequence[Branch]) -> FrameConditions:
    """A batch for every branch, one after the other, each without what it does not see, and told its guidance."""
    silent, null = torch.zeros_like(given.audio), None
    if given.emotion is not None and not all(branch.has_emotion for branch in needed):
        assert given.null_emotion is not None
        null = given.null_emotion.unsqueeze(1).expand_as(given.emotion)
    return FrameConditions.concatenate(
        [
            replace(
                given,
                audio=given.audio if branch.has_audio else silent,
                emotion=given.emotion if branch.has_emotion else null,
                null_emotion=None,
                guidance=None if branch.guidance is None else _told(given, branch.guidance),
            )
            for branch in needed
        ]
    )


def _told(given: FrameConditions, guidance: tuple[float, float]) -> Tensor:
    """What the clips of a batch [B] tell the net of these weights: [B, 2], 0 where nothing is guided."""
    return given.audio.new_tensor([weight - 1.0 for weight in guidance]).expand(len(given.audio), 2)


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


def guide_sync(x0: Tensor, correction: Tensor | None, conditions: FrameConditions, guide: SyncGuide) -> Tensor:
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
