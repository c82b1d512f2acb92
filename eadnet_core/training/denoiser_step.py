"""One step of the denoiser's training: noise, prediction, and the scale of latents."""

from __future__ import annotations

from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from ..config import DenoiserConfig
from ..sampling.conditions import FrameConditions
from ..sampling.prediction import prediction_of
from .denoiser_batches import ClipBatch


def scaled(latents: Tensor, denoiser: Any) -> Tensor:
    """What the denoiser works on: latents [B, T, C, h, w] -> [B, C, T, h, w], each channel of about unit variance."""
    return rearrange(latents / denoiser.latent_scale[:, None, None], "b t c h w -> b c t h w")


def unscaled(x0: Tensor, denoiser: Any) -> Tensor:
    """The inverse of `scaled`: x0 [B, C, T, h, w] -> latents [B, T, C, h, w]."""
    return rearrange(x0, "b c t h w -> b t c h w") * denoiser.latent_scale[:, None, None]


def draw_noise(like: Tensor, shared: float) -> Tensor:
    """Unit noise [B, C, T, h, w], of whose variance the share `shared` is common to all frames."""
    common = torch.randn_like(like[:, :, :1])
    return shared**0.5 * common + (1 - shared) ** 0.5 * torch.randn_like(like)


def predict(
    nets: Any,
    clips: ClipBatch,
    x_t: Tensor,
    t: Tensor,
    config: DenoiserConfig,
    *,
    aux: bool = False,
    guidance: Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """x0 [B, C, T, h, w] that the nets see in x_t at times t [B], and the denoiser's aux (empty unless asked for).

    guidance  [B, 2]  `FrameConditions.guidance`
    """
    n_frames = x_t.shape[2]
    audio = nets["audio"](clips.mel)[:, clips.start : clips.start + n_frames] * clips.keep_audio[:, None, None, None]
    emotion = nets["emotion"](clips.code)
    null = nets["emotion"].null(len(x_t), n_frames, device=x_t.device)
    emotion = torch.where(clips.keep_emotion[:, None, None, None] > 0, emotion, null)
    known = clips.keep_motion[:, None].expand(-1, n_frames)
    denoiser = nets["denoiser"]
    context = torch.cat(
        [
            clips.mask[:, None, None].expand(-1, 1, n_frames, -1, -1),
            scaled(clips.masked, denoiser) * clips.has_masked[:, None, None, None, None],
            scaled(clips.reference, denoiser),
        ],
        1,
    )
    motion = clips.motion * known[:, :, None]
    given = FrameConditions(context, audio, emotion, motion, known, guidance=guidance)
    output = denoiser(x_t, t, given, return_aux=aux)
    raw, extra = output if aux else (output, {})
    return prediction_of(config).to_x0(raw.float(), x_t, t), extra
