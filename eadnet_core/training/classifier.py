"""Training of the frame readers: the latent emotion classifier that supervises, and the pixel experts that score.

The experts are trained apart from everything they judge: other clips (the corpus split "expert"), another seed, pixels
instead of latents. They see blurred, noisy and recoloured pictures too, so that they read the face and not the
sharpness of the renderer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checkpoints import save_part
from ..config import ClassifierConfig, ModelConfig
from ..emotion.taxonomy import EMOTIONS
from ..metrics.emotion import split_outputs
from ..nets.classifier import Classifier
from .data import Cache
from .loop import Batch, Losses, Recipe, TrainOptions, fit, metadata_of

LATENT_BATCH = 192
PIXEL_BATCH = 64
LEARNING_RATE = 2e-3
FACE_OUTPUTS = ("mouth_opening", "mouth_width", "yaw", "pitch", "roll", "blink")
"""What the face expert reads, in its outputs' order: lip gap over `rig.FULL_GAP`, half width in frame widths, radians,
and the closure of the eyelids 0 .. 1."""
FACE_OUTPUT_SCALE = (0.2, 0.015, 0.08, 0.05, 0.04, 0.3)
"""Typical spread of each: errors are measured in it."""
EXPERT_CONFIG = ClassifierConfig(space="pixels", in_channels=3)
_SMOOTHING = 0.05
_LATENT_NOISE = 0.15
_MONITOR_FRAMES = 512


class EmotionObjective(nn.Module):
    """Name the emotion of a frame, and where the net has a ninth output, the logit of its intensity."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, batch: Batch) -> Losses:
        """batch: frames [B, C, h, w], emotion [B] indices of EMOTIONS, intensity [B] 0 .. 1."""
        frames = disturb(batch["frames"])
        outputs = self.classifier(frames).float()
        logits = outputs[:, : len(EMOTIONS)]
        loss = F.cross_entropy(logits, batch["emotion"], label_smoothing=_SMOOTHING)
        losses = {"loss": loss, "accuracy": (logits.argmax(1) == batch["emotion"]).float().mean()}
        if outputs.shape[1] > len(EMOTIONS):
            intensity = F.binary_cross_entropy_with_logits(outputs[:, len(EMOTIONS)], batch["intensity"])
            losses |= {"loss": loss + intensity, "intensity": intensity}
        return losses


class FaceObjective(nn.Module):
    """Read mouth opening and width, head pose and blinks."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, batch: Batch) -> Losses:
        """batch: frames [B, 3, H, W], face [B, 6]."""
        outputs = self.classifier(disturb(batch["frames"])).float()
        error = (outputs - batch["face"]) / outputs.new_tensor(FACE_OUTPUT_SCALE)
        return {"loss": F.smooth_l1_loss(error, torch.zeros_like(error), beta=0.5)}


def disturb(frames: Tensor, together: int = 1) -> Tensor:
    """Blur, noise and recolour pictures [B, 3, H, W], `together` in a row alike; latents only get noise."""
    n = len(frames) // together

    def draw(*shape: int) -> Tensor:
        return torch.rand(n, *shape, device=frames.device).repeat_interleave(together, 0)

    amount = draw(1, 1, 1)
    if frames.shape[1] != 3:
        return frames + _LATENT_NOISE * frames.std() * amount * torch.randn_like(frames)
    soft = F.avg_pool2d(F.pad(frames, (1, 1, 1, 1), mode="replicate"), 3, 1)
    blurred = torch.lerp(frames, soft, (1.5 * amount).clamp(max=1.0))
    gain, offset = 0.75 + 0.5 * draw(3, 1, 1), 0.3 * (draw(3, 1, 1) - 0.5)
    return (blurred * gain + offset + 0.04 * draw(1, 1, 1) * torch.randn_like(frames)).clamp(-1, 1)


def draw_frames(cache: Cache, rng: np.random.Generator, n: int, array: str) -> Batch:
    """Random frames of training clips whose emotion does not change, with what is true of them."""
    clips = cache.draw_clips(rng, n, encoded=array == "latents")
    pure = clips[cache.array("is_pure")[clips] > 0]
    clips = np.where(cache.array("is_pure")[clips] > 0, clips, rng.choice(pure, n)) if len(pure) else clips
    return _frames_batch(cache, clips, rng.integers(0, cache.info.n_frames, n), array)


def monitor_frames(cache: Cache, n: int, array: str) -> Batch:
    """Fixed frames of clips that are not trained on."""
    clips = cache.monitor_clips()
    clips = clips[cache.array("is_pure")[clips] > 0]
    picks = clips[np.arange(n) % len(clips)]
    return _frames_batch(cache, picks, (np.arange(n) * 7 + np.arange(n) // len(clips)) % cache.info.n_frames, array)


def _frames_batch(cache: Cache, clips: np.ndarray, frames: np.ndarray, array: str) -> Batch:
    is_latents = array == "latents"
    pose = cache.tensor("pose", (clips, frames))
    face = [cache.tensor(name, (clips, frames))[:, None] for name in ("mouth_opening", "mouth_width", "blink")]
    return {
        "frames": cache.tensor(array, (clips, frames)) if is_latents else cache.images(array, (clips, frames)),
        "emotion": torch.from_numpy(cache.array("emotion")[clips].astype(np.int64)),
        "intensity": cache.tensor("codes", (clips, frames))[:, len(EMOTIONS)],
        "face": torch.cat([*face[:2], pose, face[2]], 1),
    }


def train_latent_classifier(config: ModelConfig, cache: Path, output: Path, options: TrainOptions) -> dict[str, float]:
    """Train the latent emotion classifier on a cache with latents; returns its scores."""
    sizes = replace(config.classifier, in_channels=config.vae.latent_channels)
    return _train("emotion", sizes, EmotionObjective, _score_emotion, "latents", cache, output, options)


def train_emotion_expert(config: ModelConfig, cache: Path, output: Path, options: TrainOptions) -> dict[str, float]:
    """Train the pixel expert of 8 emotion logits and the intensity; returns its scores."""
    sizes = replace(EXPERT_CONFIG, outputs=len(EMOTIONS) + 1)
    return _train("emotion_expert", sizes, EmotionObjective, _score_emotion, "frames", cache, output, options)


def train_face_expert(config: ModelConfig, cache: Path, output: Path, options: TrainOptions) -> dict[str, float]:
    """Train the pixel expert that reads mouth, pose and blinks; returns its scores."""
    sizes = replace(EXPERT_CONFIG, outputs=len(FACE_OUTPUTS))
    return _train("face_expert", sizes, FaceObjective, _score_face, "frames", cache, output, options)


def _train(
    part: str,
    sizes: ClassifierConfig,
    objective: Callable[[nn.Module], nn.Module],
    score: Callable[[Tensor, Batch], dict[str, float]],
    array: str,
    cache: Path,
    output: Path,
    options: TrainOptions,
) -> dict[str, float]:
    clips = Cache(cache)
    torch.manual_seed(options.seed)
    classifier = Classifier(sizes)
    sample = monitor_frames(clips, _MONITOR_FRAMES, array)

    def evaluate(net: nn.Module, device: torch.device) -> dict[str, float]:
        parts = [net(part.to(device)).float().cpu() for part in sample["frames"].split(64)]
        return score(torch.cat(parts), sample)

    recipe = Recipe(
        part=part,
        trained=classifier,
        objective=objective(classifier),
        draw=lambda rng, n: draw_frames(clips, rng, n, array),
        batch=LATENT_BATCH if array == "latents" else PIXEL_BATCH,
        learning_rate=LEARNING_RATE,
        evaluate=evaluate,
    )
    averaged, at = fit(recipe, options)
    save_part(output, part, averaged, sizes, metadata_of(clips.info.seed, at))
    return at.scores


def _score_emotion(outputs: Tensor, sample: Batch) -> dict[str, float]:
    """Accuracy per frame, and how well intensity is read among emotional frames."""
    right = outputs[:, : len(EMOTIONS)].argmax(1) == sample["emotion"]
    scores = {"accuracy": float(right.float().mean())}
    for i in sample["emotion"].unique().tolist():
        scores[f"accuracy_{EMOTIONS[i]}"] = float(right[sample["emotion"] == i].float().mean())
    if outputs.shape[1] > len(EMOTIONS):
        scores["intensity_correlation"] = _correlation(split_outputs(outputs)[1], sample["intensity"])
    return scores


def _score_face(outputs: Tensor, sample: Batch) -> dict[str, float]:
    """Correlation of every output with the truth."""
    return {
        f"{name}_correlation": _correlation(outputs[:, i], sample["face"][:, i]) for i, name in enumerate(FACE_OUTPUTS)
    }


def _correlation(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])
