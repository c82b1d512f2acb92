"""Training of the experts that read pictures, to score.

They are trained apart from everything they judge: other clips (the corpus split "expert") and another seed. They
see blurred, noisy and recoloured pictures too, so that they read the face and not the sharpness of the renderer.

A net that only names emotions learns the training faces by heart (99 % of them, 42 % of unseen ones). So it also reads
the action units, which mean the same on every face, and sees moved and recoloured faces.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import ClassifierConfig, ModelConfig
from ..metrics.emotion import split_outputs
from ..nets.classifier import Classifier
from ..taxonomy import ACTION_UNITS, EMOTIONS
from ..weights.files import save_part
from .batch import Batch
from .data import Cache
from .loop import Losses, Recipe, TrainOptions, fit, metadata_of
from .losses import correlation

BATCH = 64
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 0.05
FACE_OUTPUTS = ("mouth_opening", "mouth_width", "yaw", "pitch", "roll", "blink")
"""What the face expert reads, in its outputs' order: lip gap over `rig.FULL_GAP`, half width in frame widths, radians,
and the closure of the eyelids 0 .. 1."""
FACE_OUTPUT_SCALE = (0.2, 0.015, 0.08, 0.05, 0.04, 0.3)
"""Typical spread of each: errors are measured in it."""
EMOTION_OUTPUTS = len(EMOTIONS) + 1 + len(ACTION_UNITS)
"""Logits of the emotions, logit of the intensity, action units 0 .. 1 (the last only to learn from)."""
ACTION_UNIT_SPREAD = 0.25
_SMOOTHING = 0.05
_LATENT_NOISE = 0.3
_LATENT_SHIFT = 0.3
"""Spread of the random offset of each latent channel, in standard deviations of the latents."""
_MONITOR_FRAMES = 512


@dataclass(frozen=True)
class FrameBatch(Batch):
    """Single frames, with what is true of them.

    frames        [B, 3, H, W]  -1 .. 1
    emotion       [B]           int64, index of EMOTIONS
    intensity     [B]           0 .. 1
    action_units  [B, 16]       0 .. 1
    face          [B, 6]        in the order and units of `FACE_OUTPUTS`
    """

    frames: Tensor
    emotion: Tensor
    intensity: Tensor
    action_units: Tensor
    face: Tensor


class EmotionObjective(nn.Module):
    """Name the emotion of a frame, its intensity and its action units."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, batch: FrameBatch) -> Losses:
        """Cross-entropy of emotion and intensity, squared error of the action units in units of their spread."""
        outputs = self.classifier(disturb(move(batch.frames))).float()
        n = len(EMOTIONS)
        emotion = F.cross_entropy(outputs[:, :n], batch.emotion, label_smoothing=_SMOOTHING)
        strength = F.binary_cross_entropy_with_logits(outputs[:, n], batch.intensity)
        moved = ((outputs[:, n + 1 :] - batch.action_units) / ACTION_UNIT_SPREAD).square().mean()
        accuracy = (outputs[:, :n].argmax(1) == batch.emotion).float().mean()
        loss = emotion + strength + moved
        return {"loss": loss, "emotion": emotion, "intensity": strength, "action_units": moved, "accuracy": accuracy}


class FaceObjective(nn.Module):
    """Read mouth opening and width, head pose and blinks."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, batch: FrameBatch) -> Losses:
        """Smooth L1 of every output in units of its spread."""
        outputs = self.classifier(disturb(batch.frames)).float()
        error = (outputs - batch.face) / outputs.new_tensor(FACE_OUTPUT_SCALE)
        return {"loss": F.smooth_l1_loss(error, torch.zeros_like(error), beta=0.5)}


def disturb(frames: Tensor, together: int = 1) -> Tensor:
    """Blur, noise and recolour pictures [B, 3, H, W], `together` in a row alike; latents get noise and offsets."""
    n = len(frames) // together

    def draw(*shape: int) -> Tensor:
        return torch.rand(n, *shape, device=frames.device).repeat_interleave(together, 0)

    amount = draw(1, 1, 1)
    if frames.shape[1] != 3:
        spread = frames.std((0, 2, 3), keepdim=True)
        offset = _LATENT_SHIFT * 12**0.5 * (draw(frames.shape[1], 1, 1) - 0.5)
        return frames + spread * (offset + _LATENT_NOISE * amount * torch.randn_like(frames))
    soft = F.avg_pool2d(F.pad(frames, (1, 1, 1, 1), mode="replicate"), 3, 1)
    blurred = torch.lerp(frames, soft, (1.5 * amount).clamp(max=1.0))
    grey = blurred.mean(1, keepdim=True)
    faded = torch.lerp(blurred, grey, (2 * draw(1, 1, 1) - 1).clamp(min=0.0))
    gain, offset = 0.75 + 0.5 * draw(3, 1, 1), 0.3 * (draw(3, 1, 1) - 0.5)
    return (faded * gain + offset + 0.04 * draw(1, 1, 1) * torch.randn_like(frames)).clamp(-1, 1)


def move(frames: Tensor) -> Tensor:
    """Mirror, turn, scale and shift pictures [B, 3, H, W] a little."""
    n = len(frames)
    u = torch.rand(n, 5, device=frames.device) * 2 - 1
    angle, scale, shift, side = 0.12 * u[:, 0], 1 + 0.08 * u[:, 1], 0.08 * u[:, 2:4], u[:, 4].sign()
    cos, sin = scale * angle.cos(), scale * angle.sin()
    rows = torch.stack([side * cos, -sin, shift[:, 0], side * sin, cos, shift[:, 1]], 1).view(n, 2, 3)
    grid = F.affine_grid(rows, list(frames.shape), align_corners=False)
    return F.grid_sample(frames, grid, padding_mode="border", align_corners=False)


def draw_frames(cache: Cache, rng: np.random.Generator, n: int) -> FrameBatch:
    """Random frames of training clips whose emotion does not change, with what is true of them."""
    clips = cache.draw_clips(rng, n)
    pure = clips[cache.array("is_pure")[clips] > 0]
    clips = np.where(cache.array("is_pure")[clips] > 0, clips, rng.choice(pure, n)) if len(pure) else clips
    return _frames_batch(cache, clips, rng.integers(0, cache.info.n_frames, n))


def monitor_frames(cache: Cache, n: int) -> FrameBatch:
    """Fixed frames of clips that are not trained on."""
    clips = cache.monitor_clips()
    clips = clips[cache.array("is_pure")[clips] > 0]
    picks = clips[np.arange(n) % len(clips)]
    return _frames_batch(cache, picks, (np.arange(n) * 7 + np.arange(n) // len(clips)) % cache.info.n_frames)


def _frames_batch(cache: Cache, clips: np.ndarray, frames: np.ndarray) -> FrameBatch:
    pose = cache.tensor("pose", (clips, frames))
    face = [cache.tensor(name, (clips, frames))[:, None] for name in ("mouth_opening", "mouth_width", "blink")]
    return FrameBatch(
        frames=cache.images("frames", (clips, frames)),
        emotion=torch.from_numpy(cache.array("emotion")[clips].astype(np.int64)),
        intensity=cache.tensor("codes", (clips, frames))[:, len(EMOTIONS)],
        action_units=cache.tensor("action_units", (clips, frames)),
        face=torch.cat([*face[:2], pose, face[2]], 1),
    )


def train_emotion_expert(config: ModelConfig, cache: Path, output: Path, options: TrainOptions) -> dict[str, float]:
    """Train the pixel expert that reads emotion and intensity; returns its scores."""
    sizes = ClassifierConfig(outputs=EMOTION_OUTPUTS, emotions=EMOTIONS)
    return _train("emotion_expert", sizes, EmotionObjective, _score_emotion, cache, output, options)


def train_face_expert(config: ModelConfig, cache: Path, output: Path, options: TrainOptions) -> dict[str, float]:
    """Train the pixel expert that reads mouth, pose and blinks; returns its scores."""
    sizes = ClassifierConfig(outputs=len(FACE_OUTPUTS))
    return _train("face_expert", sizes, FaceObjective, _score_face, cache, output, options)


def _train(
    part: str,
    sizes: ClassifierConfig,
    objective: Callable[[nn.Module], nn.Module],
    score: Callable[[Tensor, FrameBatch], dict[str, float]],
    cache: Path,
    output: Path,
    options: TrainOptions,
) -> dict[str, float]:
    clips = Cache(cache)
    torch.manual_seed(options.seed)
    classifier = Classifier(sizes)
    sample = monitor_frames(clips, _MONITOR_FRAMES)

    def evaluate(net: nn.Module, device: torch.device) -> dict[str, float]:
        parts = [net(part.to(device)).float().cpu() for part in sample.frames.split(64)]
        return score(torch.cat(parts), sample)

    recipe = Recipe(
        part=part,
        trained=classifier,
        objective=objective(classifier),
        draw=lambda rng, n: draw_frames(clips, rng, n),
        batch=BATCH,
        learning_rate=LEARNING_RATE,
        weight_decay=WEIGHT_DECAY,
        evaluate=evaluate,
    )
    averaged, at = fit(recipe, options)
    save_part(output, part, averaged, sizes, metadata_of(clips.info.seed, at))
    return at.scores


def _score_emotion(outputs: Tensor, sample: FrameBatch) -> dict[str, float]:
    """Accuracy per frame, and how well intensity and action units are read."""
    right = outputs[:, : len(EMOTIONS)].argmax(1) == sample.emotion
    scores = {"accuracy": float(right.float().mean())}
    for i in sample.emotion.unique().tolist():
        scores[f"accuracy_{EMOTIONS[i]}"] = float(right[sample.emotion == i].float().mean())
    units = outputs[:, len(EMOTIONS) + 1 :]
    scores["intensity_correlation"] = correlation(split_outputs(outputs)[1], sample.intensity)
    scores["action_unit_correlation"] = correlation(units.flatten(), sample.action_units.flatten())
    return scores


def _score_face(outputs: Tensor, sample: FrameBatch) -> dict[str, float]:
    """Correlation of every output with the truth."""
    return {f"{name}_correlation": correlation(outputs[:, i], sample.face[:, i]) for i, name in enumerate(FACE_OUTPUTS)}
