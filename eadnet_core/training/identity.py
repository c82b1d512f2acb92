"""Training of a base's identity adapter: first an encoder of faces, then attention to what it sees.

The encoder learns which latents show the same head: all of a portrait, and of another picture the lower half alone.
So it knows whose mouth it is. Then it stays, and the resampler and the attention learn beside the base, as fixed.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ..errors import BadInput
from ..media.face.aligned_crop import latent_mask
from ..nets.adapters import is_adapter_key
from ..nets.identity import FaceEncoder
from ..nets.latentsync.denoiser import LatentSyncDenoiser
from ..sampling.conditions import FrameConditions
from ..sampling.prediction import prediction_of
from ..weights.device import find_device
from ..weights.files import write_weights
from .adapters import (
    BATCH,
    LEARNING_RATE,
    AdapterBatch,
    AdapterMix,
    draw_windows,
    forecast_memory,
    named_weights,
    trained_modules,
)
from .base_clips import encode_folder, open_base, read_clip, weights_hash
from .base_picture import HELDOUT_EVERY
from .batch import Batch
from .denoiser_step import draw_noise
from .loop import Losses, Recipe, TrainOptions, fit, metadata_of

log = logging.getLogger(__name__)

FACES = 16
"""Heads per step of the encoder."""
FACE_LEARNING_RATE = 2e-3
FACE_SHARE = 0.2
"""Share of the budget that the encoder gets."""
SHARPNESS = 10.0
"""Cosines times this are the logits of the contrast (a temperature of .1)."""
NOISE = 0.2
"""Standard deviation of noise on the latents that the encoder sees: made ones are never quite clean."""


@dataclass(frozen=True)
class FaceBatch(Batch):
    """Two pictures of each of some heads, no two alike.

    portraits  [B, C, h, w]  latents
    others     [B, C, h, w]  of other pictures, zero but in the lower half
    """

    portraits: Tensor
    others: Tensor


@dataclass(frozen=True)
class IdentityMix:
    """What the adapter learns from."""

    windows: AdapterMix = field(default_factory=lambda: AdapterMix(full_mask=0.0, portrait=1.0, drop_audio=0.0))
    """Every reference is another picture of the head."""
    identity: float = 0.1
    """Weight of 1 - cosine of what the lower half shows, made, and the reference."""


class FaceObjective(nn.Module):
    """Find the head that a lower half belongs to, among those of the batch."""

    def __init__(self, face: FaceEncoder) -> None:
        super().__init__()
        self.face = face

    def forward(self, batch: FaceBatch) -> Losses:
        """Symmetric InfoNCE, and the share found."""
        views = (batch.portraits, batch.others)
        seen = [self.face.embed(view + NOISE * torch.randn_like(view) * (view != 0)).float() for view in views]
        logits = SHARPNESS * seen[0] @ seen[1].T
        target = torch.arange(len(logits), device=logits.device)
        loss = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
        return {"loss": loss, "accuracy": (logits.argmax(0) == target).float().mean()}


def draw_faces(clips: list[Path], rng: np.random.Generator, n: int) -> FaceBatch:
    """Two pictures of each of `n` clips, or of all where there are less; a portrait where the clip has one."""
    pairs = []
    for index in rng.permutation(len(clips))[:n]:
        clip = read_clip(clips[index])
        one, other = rng.integers(len(clip.latents), size=2)
        pairs.append((clip.portrait[0] if len(clip.portrait) else clip.latents[one], lower(clip.latents[other])))
    return FaceBatch(*(torch.stack(side) for side in zip(*pairs, strict=True)))


def lower(latents: Tensor) -> Tensor:
    """Latents [..., h, w] with zeros where a base in dubbing keeps the picture."""
    return latents * (latent_mask(8 * latents.shape[-1]) < 0.5).to(latents)


@torch.no_grad()
def score_faces(face: nn.Module, clips: list[Path], device: torch.device) -> dict[str, float]:
    """`face_found`: share of clips whose head is found among all, from a lower half."""
    batch = draw_faces(clips, np.random.default_rng(0), len(clips)).to(device)
    both = [face.embed(view) for view in (batch.portraits, batch.others)]  # type: ignore[operator]
    found = (both[1] @ both[0].T).argmax(1).cpu()
    return {"face_found": float((found == torch.arange(len(found))).float().mean())}


class IdentityObjective(nn.Module):
    """The noise's error and who is seen in what is made; the resampler and the attention alone get gradients."""

    def __init__(self, denoiser: LatentSyncDenoiser, mix: IdentityMix) -> None:
        super().__init__()
        assert denoiser.identity is not None
        self.denoiser, self.mix, self.face = denoiser, mix, denoiser.identity.face
        for name, weight in denoiser.named_parameters():
            weight.requires_grad_(is_adapter_key(name, "identity") and not name.startswith("identity.face."))

    def forward(self, batch: AdapterBatch) -> Losses:
        """`noise`, `identity` and their weighted sum."""
        latents = rearrange(batch.latents, "b t c h w -> b c t h w")
        prediction = prediction_of(self.denoiser.config)
        t = prediction.draw_times(len(latents), device=latents.device)
        noise = draw_noise(latents, self.mix.windows.shared_noise)
        x_t = prediction.add_noise(latents, noise, t)
        tokens = batch.tokens * batch.keep_audio[:, None, None, None]
        found = self.denoiser(x_t, t, FrameConditions(batch.context, tokens), recompute=True).float()
        losses: Losses = {"noise": prediction.training_error(found, latents, noise, x_t, t).square().mean()}
        total, clear = losses["noise"], prediction.fraction(t) < prediction.judged_below
        if self.mix.identity and bool(clear.any()):
            losses["identity"] = self.unlike(prediction.to_x0(found, x_t, t)[clear], batch.context[clear])
            total = total + self.mix.identity * losses["identity"]
        return {"loss": total, **losses}

    def unlike(self, x0: Tensor, context: Tensor) -> Tensor:
        """1 - cosine of the lower halves of clean latents [B, C, T, h, w] and the reference of a context: a scalar."""
        n_channels, n_frames = x0.shape[1], x0.shape[2]
        with torch.no_grad():
            who = self.face.embed(context[:, -n_channels:, 0]).repeat_interleave(n_frames, 0)
        shown = self.face.embed(lower(rearrange(x0, "b c t h w -> (b t) c h w")))
        return (1 - (shown * who).sum(-1)).mean()


def train_identity(
    base: Path, data: Path, output: Path, options: TrainOptions, mix: IdentityMix | None = None
) -> dict[str, float]:
    """Train the identity adapter of a base on the clips of a folder and write it to `output`; returns its scores.

    Arguments as of `adapters.train_adapters`; output is identity.safetensors. Raises BadInput for less than two clips.
    """
    mix = mix or IdentityMix()
    config, denoiser = open_base(base, "identity")
    c, device = config.denoiser, find_device(options.device)
    clips = encode_folder(data, Path(options.run_folder) / "encoded", base, config.size_px, device, c.window_frames)
    kept, trained = clips[::HELDOUT_EVERY], [path for i, path in enumerate(clips) if i % HELDOUT_EVERY]
    if len(trained) < 2:
        raise BadInput(f"'{data}' has {len(clips)} clips: to learn who is who, give clips of three heads or more.")
    torch.manual_seed(options.seed)
    objective = IdentityObjective(denoiser, mix)
    log.info("training takes %s", forecast_memory(denoiser, config, options.batch or BATCH))
    face = FaceEncoder(c.latent_channels, c.identity_width)
    averaged, at = fit(
        Recipe(
            part="identity_faces",
            trained=face,
            objective=FaceObjective(face),
            draw=lambda rng, n: draw_faces(trained, rng, n),
            batch=FACES,
            learning_rate=FACE_LEARNING_RATE,
            evaluate=lambda net, where: score_faces(net, kept, where),
        ),
        replace(_shared(options, FACE_SHARE), batch=None, learning_rate=None),
    )
    scores = dict(at.scores)
    objective.face.load_state_dict(averaged.state_dict())
    modules = trained_modules(denoiser, None, "identity")
    made, at = fit(
        Recipe(
            part="identity",
            trained=modules,
            objective=objective,
            draw=lambda rng, n: draw_windows(trained, c, mix.windows, rng, n),
            batch=BATCH,
            learning_rate=LEARNING_RATE,
            base_hash=weights_hash(base, "denoiser"),
        ),
        _shared(options, 1 - FACE_SHARE),
    )
    metadata = {**metadata_of(options.seed, at), "scores": scores, "n_clips": len(clips)}
    write_weights(output, "identity", dict(named_weights(made)), config, metadata)
    return {"steps": at.step, "minutes": round(at.seconds / 60, 1), "clips": len(clips), **scores}


def _shared(options: TrainOptions, share: float) -> TrainOptions:
    """Options with a share of the budget."""
    return replace(
        options,
        max_steps=options.max_steps and max(1, round(share * options.max_steps)),
        max_minutes=options.max_minutes and share * options.max_minutes,
    )
