"""What adapters of a base learn beside the noise: lips in sync, motion like a real clip's, emotions told apart.

The judges lie in the base's folder: its autoencoder and SyncNet, which see pictures, and a video encoder of latents.
All stay as they are. They see the one-step estimate of the clean latents, at noise levels where that means something.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..config import ModelConfig
from ..errors import BadInput
from ..nets.latentsync.sd_vae import SDVAE
from ..nets.latentsync.stable_syncnet import StableSyncNet
from ..nets.video_features import VideoFeatures
from ..taxonomy import EMOTIONS
from ..weights.files import load_part
from .base_sync import reduced
from .losses import sync_loss, trepa_loss

DECODED_AT_ONCE = 4
"""Frames whose decoding is computed again together in the backward pass."""


@dataclass(frozen=True)
class AdapterLossWeights:
    """Terms beside the base's own; 0 leaves a term and its judge out."""

    sync: float = 0.0
    """-log cosine of the base's SyncNet on decoded pictures (LatentSync: .05)."""
    trepa: float = 0.0
    """Distance of video features, made and real (LatentSync: 10, of its own features)."""
    emotion: float = 0.0
    """Cross-entropy of a linear reader of emotions on the pooled middle of the net."""
    is_projected: bool = False
    """Whether the gradient of `emotion` loses what would undo that of the lips (Yu et al. 2020, on two tasks)."""
    judged_below: float | None = None
    """Place in the noise range, 0 clean .. 1, below which the judges look; None: as `sampling.prediction` says."""


class Judges(nn.Module):
    """Frozen nets of a base's folder, as far as the weights ask for them."""

    def __init__(self, vae: SDVAE | None, syncnet: StableSyncNet | None, features: VideoFeatures | None) -> None:
        super().__init__()
        self.vae, self.syncnet, self.features = vae, syncnet, features
        self.eval().requires_grad_(False)

    def lips(self, x0: Tensor, mel: Tensor) -> Tensor:
        """Cosine [B] of the lips of clean latents [B, C, T, h, w] and the sound [B, 1, 80, 52] that begins with them.

        T is at least the frames of the SyncNet, whose first ones are judged.
        """
        assert self.vae is not None and self.syncnet is not None
        config = self.syncnet.config
        latents = x0[:, :, : config.frames].transpose(1, 2).flatten(0, 1)
        pictures = [checkpoint(self.vae.decode, part, use_reentrant=False) for part in latents.split(DECODED_AT_ONCE)]
        seen = reduced(torch.cat(pictures), config.size_px).unflatten(0, (len(x0), config.frames))
        return self.syncnet.similarity(seen, mel)

    def sync(self, x0: Tensor, mel: Tensor) -> Tensor:
        """The loss of `lips`: a scalar."""
        return sync_loss(self.lips(x0, mel))

    def trepa(self, x0: Tensor, target: Tensor) -> Tensor:
        """Distance of the features of two clips of latents [B, C, T, h, w]: a scalar."""
        assert self.features is not None
        n_frames = self.features.config.frames
        with torch.no_grad():
            real = self.features.features(target[:, :, :n_frames])
        return trepa_loss(self.features.features(x0[:, :, :n_frames]), real)


def load_judges(folder: Path, config: ModelConfig, weights: AdapterLossWeights) -> Judges:
    """The judges that the weights ask for. Raises BadInput for one that is missing or that needs longer windows."""
    wanted = (("vae", "sd_vae", weights.sync), ("syncnet", "stable_syncnet", weights.sync))
    found: dict[str, Any] = {}
    for name, part, weight in (*wanted, ("video_features", "video_features", weights.trepa)):
        if not weight:
            continue
        path = folder / f"{name}.safetensors"
        if not path.is_file():
            option = "--sync-loss" if part == "stable_syncnet" else "--trepa-loss"
            raise BadInput(f"'{path}' is missing, and {option} {weight:g} needs it: set that to 0, or get the file.")
        found[name] = load_part(path, part)[0]
        frames = getattr(found[name].config, "frames", 0)
        if frames > config.denoiser.window_frames:
            raise BadInput(
                f"'{path}' judges {frames} frames, and '{config.name}' is trained on windows of "
                f"{config.denoiser.window_frames}: take one made for this base, or set the loss to 0."
            )
    return Judges(found.get("vae"), found.get("syncnet"), found.get("video_features"))


def emotion_labels(code: Tensor, has_code: Tensor) -> Tensor:
    """Number of the emotion that a code [B, T, 27] is most of, [B]; -100 where nobody said what is felt.

    >>> emotion_labels(torch.eye(27)[None, 2:3], torch.ones(1)).tolist()
    [2]
    """
    strongest = code[..., : len(EMOTIONS)].mean(1).argmax(1)
    return torch.where(has_code > 0, strongest, -100)


def emotion_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of logits [B, E] with labels [B], those of -100 left out; 0 where there is none."""
    return F.cross_entropy(logits, labels, reduction="sum") / (labels >= 0).sum().clamp(min=1)


def projected(emotion: Tensor, lips: Tensor, weights: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """A term that, added to `emotion`, takes out of its gradient what points against that of `lips`.

    emotion, lips  scalars of the same graph, which stays
    weights        that get gradients
    returns        a scalar that is 0 in value, and the cosine of the two gradients before

    With gradients e and l, and e . l < 0, what is left is e - (e . l / l . l) l: it does not make the lips worse to
    first order. Otherwise nothing changes.
    """
    grads = []
    for loss in (emotion, lips):
        each = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
        grads.append([torch.zeros_like(w) if g is None else g for w, g in zip(weights, each, strict=True)])
    dot, size_e, size_l = (
        sum((a * b).sum() for a, b in zip(one, other, strict=True))
        for one, other in ((grads[0], grads[1]), (grads[0], grads[0]), (grads[1], grads[1]))
    )
    assert isinstance(dot, Tensor) and isinstance(size_e, Tensor) and isinstance(size_l, Tensor)
    share = torch.clamp(dot, max=0.0) / size_l.clamp(min=1e-20)
    change = sum(((w - w.detach()) * (-share * g)).sum() for w, g in zip(weights, grads[1], strict=True))
    assert isinstance(change, Tensor)
    return change, dot / (size_e * size_l).sqrt().clamp(min=1e-20)
