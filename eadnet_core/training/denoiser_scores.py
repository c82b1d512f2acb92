"""What a denoiser in training can do: does it listen (alarms), is it right (scores)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..config import DenoiserConfig
from ..media.sound.audio import MEL_STEPS_PER_FRAME
from ..sampling.prediction import prediction_of
from ..taxonomy import ACTION_UNITS, EMOTION_RECORDS, LEVEL_INTENSITY, VISEME_PARAMETERS
from .data import Cache
from .denoiser_batches import ClipBatch, clips_batch, motion_latents
from .denoiser_step import draw_noise, predict, scaled, unscaled
from .losses import correlation
from .syncnet import SILENCE, best_offset, window_starts

ALARM_TIMES = (1.0, 0.7, 0.4)
"""Noise levels, 0 clean .. 1 pure noise, at which a wrong condition must hurt."""
ALARM_CLIPS = 6
SCORE_CLIPS = 16
SCORE_STEPS = 8


def alarms(nets: Any, cache: Cache, config: DenoiserConfig, device: torch.device) -> dict[str, float]:
    """Error with the right condition minus error with another clip's, by noise level, relative to the right one.

    Below 0 is good: the net listens. Around 0 while the loss falls means that the condition is ignored.
    """
    batch = clips_batch(cache, config, _varied(cache, ALARM_CLIPS)).to(device)
    target = scaled(batch.latents, nets["denoiser"])
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        noise = draw_noise(target, 0.5)
    wrong = {name: replace(batch, **{name: getattr(batch, name).roll(1, 0)}) for name in ("code", "mel", "motion")}
    found, prediction = {}, prediction_of(config)
    for fraction in ALARM_TIMES:
        t = prediction.time_at(torch.full((len(target),), fraction, device=device))
        x_t = prediction.add_noise(target, noise, t)

        def error(conditions: ClipBatch, x_t: Tensor = x_t, t: Tensor = t) -> float:
            return float((predict(nets, conditions, x_t, t, config)[0] - target).square().mean())

        right = error(batch)
        found[f"error_t{fraction:g}"] = right
        for name, label in (("code", "emotion"), ("mel", "audio"), ("motion", "motion")):
            found[f"right_minus_wrong_{label}_t{fraction:g}"] = (right - error(wrong[name])) / right
    return found


@torch.no_grad()
def generate(nets: Any, batch: ClipBatch, config: DenoiserConfig, n_steps: int = SCORE_STEPS) -> Tensor:
    """Latents [B, T, C, h, w] sampled in `n_steps` steps without guidance, the noise shared by all frames."""
    reference = batch.reference
    n, n_frames = reference.shape[:2]
    noise = torch.randn(reference[:, 0].shape, generator=torch.Generator().manual_seed(0)).to(reference.device)
    grid = prediction_of(config).grid(n_steps)
    x_t = grid.start(noise[:, :, None].expand(-1, -1, n_frames, -1, -1))
    for i, time in enumerate(grid.times):
        t = torch.full((n,), time, device=reference.device)
        x_t = grid.step(x_t, predict(nets, batch, x_t, t, config)[0], i)
    return unscaled(x_t, nets["denoiser"])


def score_generation(
    nets: Any, cache: Cache, config: DenoiserConfig, judges: Any, device: torch.device
) -> dict[str, float]:
    """Scores of clips generated for unseen voices.

    generated_error     squared error of the latents relative to their own size
    motion_ratio        size of the latents' frame-to-frame differences, generated over true
    viseme_correlation  mean over the viseme parameters, with the truth
    emotion_accuracy    share of frames whose action units are nearest to those of the clip's emotion, and of true ones
    sync_cosine         mean cosine of audible windows, and on real latents; offset_exact as in `score_syncnet`
    """
    clips = _varied(cache, SCORE_CLIPS)
    batch = clips_batch(cache, config, clips).to(device)
    real, made = batch.latents, generate(nets, batch, config)
    read = motion_latents().to(device).read
    lips = [read(x)[..., : len(VISEME_PARAMETERS)].flatten(0, 1).T.cpu() for x in (made, real)]
    scores = {
        "generated_error": float((made - real).square().mean() / real.square().mean()),
        "motion_ratio": float(made.diff(dim=1).square().mean().sqrt() / real.diff(dim=1).square().mean().sqrt()),
        "viseme_correlation": float(np.mean([correlation(*pair) for pair in zip(*lips, strict=True)])),
        "emotion_accuracy": _emotion_accuracy(read(made), batch),
        "emotion_accuracy_real": _emotion_accuracy(read(real), batch),
    }
    if "syncnet" in judges.nets:
        scores |= _sync_scores(judges["syncnet"], batch, made)
        scores |= {"sync_cosine_real": _sync_scores(judges["syncnet"], batch, real).get("sync_cosine", 0.0)}
    return scores


def _emotion_accuracy(controls: Tensor, batch: ClipBatch) -> float:
    """Share of frames with controls [B, T, 28] whose action units lie nearest to those of the clip's emotion."""
    return float((nearest_emotion(controls) == batch.emotion[:, None]).float().mean())


def nearest_emotion(controls: Tensor) -> Tensor:
    """The emotion, as an index of EMOTIONS, whose action units at some level lie nearest to controls [..., 28].

    >>> nearest_emotion(torch.zeros(len(VISEME_PARAMETERS) + len(ACTION_UNITS))).item()
    0
    """
    first = len(VISEME_PARAMETERS)
    units = controls[..., first : first + len(ACTION_UNITS)]
    shown = torch.tensor([[r.action_units.get(u, 0.0) for u in ACTION_UNITS] for r in EMOTION_RECORDS]).to(units)
    intensity = units.new_tensor([0.0, *LEVEL_INTENSITY])[:, None, None]
    return (units[..., None, None, :] - shown * intensity).square().sum(-1).amin(-2).argmin(-1)


def _sync_scores(syncnet: Any, batch: ClipBatch, latents: Tensor) -> dict[str, float]:
    config = syncnet.config
    starts = window_starts(config, latents.shape[1])
    n_steps = MEL_STEPS_PER_FRAME * config.frames + 2 * config.mel_context
    cosines, exact = [], []
    for clip in range(len(latents)):
        loud = np.array([float(batch.energy[clip, s : s + config.frames].mean()) > SILENCE for s in starts])
        if loud.sum() < 3:
            continue
        frames = torch.stack([latents[clip, s : s + config.frames] for s in starts])
        first = [s * MEL_STEPS_PER_FRAME - config.mel_context for s in starts]
        mel = torch.stack([batch.mel[clip, f : f + n_steps] for f in first])
        similarity = (syncnet.embed_frames(frames) @ syncnet.embed_audio(mel).T).float().cpu().numpy()
        cosines.append(np.diag(similarity)[loud])
        exact.append(best_offset(similarity, loud) == 0)
    if not cosines:
        return {}
    return {
        "sync_cosine": float(np.concatenate(cosines).mean()),
        "offset_exact": float(np.mean(exact)),
    }


def _varied(cache: Cache, n: int) -> np.ndarray:
    """Indices of up to `n` clips kept out of training, neighbours differing in emotion, sorted by emotion in turn."""
    clips = cache.monitor_clips()
    clips = clips[clips < cache.n_ready]
    emotions = cache.array("emotion")[clips]
    turn = np.array([int((emotions[:i] == emotions[i]).sum()) for i in range(len(clips))])
    return clips[np.lexsort((emotions, turn))][:n]
