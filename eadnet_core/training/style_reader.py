"""Training of what reads the style of a speaker off a clip (our design, ADR 53).

No picture is looked at: clips of the corpus are performed anew in drawn styles, as often as they are asked for, so that
nobody comes twice. Two clips of each speaker differ in head, voice, words and emotion. The net learns how sure it may
be of each trait (Gaussian likelihood), and to find who is the same (InfoNCE over the likeness of Gaussians).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import ModelConfig
from ..corpus.styles import draw_traits, styled_controls
from ..motion.generate import generate_motion
from ..motion.observed import PART_FRAMES, observed
from ..motion.style import Traits
from ..nets.style import StyleConfig, StyleEncoder
from ..taxonomy import ACTION_UNITS, MOTION, VISEME_PARAMETERS
from ..weights.files import save_part
from .batch import Batch
from .data import Cache
from .loop import Losses, Recipe, TrainOptions, fit, metadata_of
from .losses import correlation

SPEAKERS = 24
"""In a batch, two clips of each."""
LEARNING_RATE = 2e-3
CONTRAST = 0.5
"""Weight of finding who is the same, beside reading traits."""
SHORTEST = 75
"""Frames; a batch has clips of one length, from this to PART_FRAMES."""
SILENT, READ = 0.15, 0.5
"""Share of clips whose voice is not heard, and of those whose controls are as a reader of pictures finds them."""
GAIN, OF_PERSON, OF_PICTURE = (0.5, 1.1), 0.08, 0.06
"""What such a reader errs in: a gain of each control, an error of the person and one of the picture."""
HEAD = (0.7, 1.3)
"""Amplitude of the head's motion beside the style: portraits are framed and asked differently."""
_N_FACE = len(VISEME_PARAMETERS) + len(ACTION_UNITS)


@dataclass(frozen=True)
class StyleBatch(Batch):
    """Clips of speakers, those of one speaker beside each other.

    observed  [S, 2, T, 32]
    traits    [S, 8]
    """

    observed: Tensor
    traits: Tensor


class StyleReaderObjective(nn.Module):
    """Read traits, and find who is the same."""

    def __init__(self, encoder: StyleEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, batch: StyleBatch) -> Losses:
        """Negative log-likelihood of the traits, and cross-entropy of the other clip of each speaker."""
        mean, sd = self.encoder(batch.observed.flatten(0, 1))
        mean, sd = mean.unflatten(0, (-1, 2)), sd.unflatten(0, (-1, 2))
        off = (batch.traits[:, None] - mean) / sd
        likelihood = (0.5 * off.square() + sd.log()).sum(-1).mean()
        like = likeness(mean[:, 0], sd[:, 0], mean[:, 1], sd[:, 1])
        own = torch.arange(len(like), device=like.device)
        contrast = (F.cross_entropy(like, own) + F.cross_entropy(like.T, own)) / 2
        found = (like.argmax(1) == own).float().mean()
        return {"loss": likelihood + CONTRAST * contrast, "traits": likelihood, "contrast": contrast, "found": found}


def likeness(mean: Tensor, sd: Tensor, other_mean: Tensor, other_sd: Tensor) -> Tensor:
    """How likely Gaussians [A, 8] and [B, 8] are of the same person, as a logarithm but for a constant: [A, B]."""
    variance = sd.square()[:, None] + other_sd.square()[None]
    return -0.5 * ((mean[:, None] - other_mean[None]).square() / variance + variance.log()).sum(-1)


def train_style_reader(config: ModelConfig, cache: Path, output: Path, options: TrainOptions) -> dict[str, float]:
    """Train the reader of styles; returns its scores on clips that it does not learn from."""
    clips, sizes = Cache(cache), StyleConfig()
    torch.manual_seed(options.seed)
    encoder = StyleEncoder(sizes)
    watched = draw(clips, clips.monitor_clips(), np.random.default_rng(0), SPEAKERS, has_errors=False)

    def evaluate(net: nn.Module, device: torch.device) -> dict[str, float]:
        mean, sd = net(watched.observed.flatten(0, 1).to(device))
        wanted = watched.traits.repeat_interleave(2, 0)
        off = ((wanted - mean.cpu()) / sd.cpu()).square().mean()
        each = [correlation(a, b) for a, b in zip(mean.cpu().T, wanted.T, strict=True)]
        return {"correlation": float(np.mean(each)), "surprise": float(off)}

    recipe = Recipe(
        part="style_reader",
        trained=encoder,
        objective=StyleReaderObjective(encoder),
        draw=lambda rng, n: draw(clips, np.arange(clips.n_monitor, clips.n_ready), rng, n),
        batch=SPEAKERS,
        learning_rate=LEARNING_RATE,
        evaluate=evaluate,
    )
    averaged, at = fit(recipe, options)
    save_part(output, "style_reader", averaged, sizes, metadata_of(clips.info.seed, at))
    return at.scores


def draw(clips: Cache, numbers: np.ndarray, rng: np.random.Generator, n: int, has_errors: bool = True) -> StyleBatch:
    """Two of some clips each for `n` speakers.

    has_errors  whether what is seen and heard may lack something, as in videos
    """
    n_frames = int(rng.integers(SHORTEST, PART_FRAMES + 1)) if has_errors else PART_FRAMES
    n_frames = min(n_frames, clips.info.n_frames)
    found, traits = [], [draw_traits(rng) for _ in range(n)]
    for who in traits:
        for clip in rng.choice(numbers, 2, replace=False):
            start = int(rng.integers(clips.info.n_frames - n_frames + 1))
            found.append(_seen(clips, int(clip), slice(start, start + n_frames), who, rng, has_errors))
    told = np.stack([who.vector for who in traits])
    return StyleBatch(torch.from_numpy(np.stack(found)).unflatten(0, (n, 2)), torch.from_numpy(told))


def _seen(
    clips: Cache, clip: int, part: slice, traits: Traits, rng: np.random.Generator, has_errors: bool
) -> np.ndarray:
    energy, codes = (np.array(clips.array(name)[clip, part]) for name in ("energy", "codes"))
    head = float(rng.uniform(*HEAD)) if has_errors else 1.0
    motion = generate_motion(energy, codes, rng, head=head, traits=traits)
    controls = styled_controls(np.array(clips.array("controls")[clip, part]), energy, traits)
    if has_errors and rng.random() < READ:
        controls, motion = misread(controls, motion, rng)
    if has_errors and rng.random() < SILENT:
        energy = np.zeros_like(energy)
    return observed(controls, motion, energy)


def misread(controls: np.ndarray, motion: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Controls [T, 28] and motion [T, 8] about as a reader of pictures finds them."""
    read = controls.copy()
    n_frames = len(read)
    read[:, :_N_FACE] *= rng.uniform(*GAIN, _N_FACE)
    read[:, :_N_FACE] += OF_PERSON * rng.normal(size=_N_FACE) + OF_PICTURE * rng.normal(size=(n_frames, _N_FACE))
    shaken = motion + 0.006 * rng.normal(size=motion.shape)
    shaken[:, MOTION.index("gaze_x")] *= rng.uniform(0.7, 1.3)
    return read.astype(np.float32), shaken.astype(np.float32)
