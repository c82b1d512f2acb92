"""Training of a small base's sound encoder, in the shape of Whisper's: it learns to hear lip shapes in speech.

Whisper itself learned to write down speech, on 680,000 hours. This one hears an hour of synthetic voices and says what
the lips do, at Whisper's 50 steps a second. A base reads the levels before that, as it reads Whisper's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..config import WhisperConfig
from ..corpus.speech import SpeechBank
from ..corpus.visemes import viseme_track
from ..heads.rig import LIP_CONTROLS
from ..media.sound.whisper_mel import whisper_mel
from ..nets.latentsync.whisper import WhisperEncoder
from ..weights.files import save_part
from .batch import Batch
from .loop import Losses, Recipe, TrainOptions, fit, metadata_of
from .losses import correlation

BATCH = 16
LEARNING_RATE = 2e-3
FRAMES = (24, 100)
"""Least and most video frames of a window of speech."""
STEPS_HZ = 50
UTTERANCES, HELDOUT_UTTERANCES = 200, 24
_MONITOR = 12


@dataclass(frozen=True)
class SpeechBatch(Batch):
    """Windows of speech, padded to the encoder's segment.

    mel      [B, 80, N]  Whisper's log-mel
    visemes  [B, n, 9]   what the lips do, 50 times a second
    """

    mel: Tensor
    visemes: Tensor


class HearingObjective(nn.Module):
    """Say what the lips do from the last level; the head that says it is not kept."""

    def __init__(self, encoder: WhisperEncoder) -> None:
        super().__init__()
        self.nets = nn.ModuleDict({"encoder": encoder, "head": nn.Linear(encoder.config.width, len(LIP_CONTROLS))})

    def forward(self, batch: SpeechBatch) -> Losses:
        """Squared error of the lip shapes."""
        return {"loss": (self.lips(batch) - batch.visemes).square().mean()}

    def lips(self, batch: SpeechBatch) -> Tensor:
        """[B, n, 9]"""
        levels = self.nets["encoder"](batch.mel)[:, : batch.visemes.shape[1]]
        return self.nets["head"](levels[:, :, -1])


def draw_speech(bank: SpeechBank, rng: np.random.Generator, n: int) -> SpeechBatch:
    """`n` windows of speech of one random length."""
    n_frames = int(rng.integers(FRAMES[0], FRAMES[1] + 1))
    mels, visemes = [], []
    for _ in range(n):
        samples, phonemes, _text = bank.window(rng, n_frames)
        mels.append(whisper_mel(samples))
        visemes.append(torch.from_numpy(viseme_track(phonemes, STEPS_HZ * n_frames // 25, STEPS_HZ)))
    return SpeechBatch(torch.stack(mels), torch.stack(visemes))


def score_hearing(nets: nn.ModuleDict, bank: SpeechBank, device: torch.device) -> dict[str, float]:
    """Mean correlation of the lip shapes with the truth, over held-out voices and sentences."""
    objective = HearingObjective(nets["encoder"])  # type: ignore[arg-type]
    objective.nets = nets
    batch = draw_speech(bank, np.random.default_rng(0), _MONITOR).to(device)
    said, true = objective.lips(batch).flatten(0, 1).cpu(), batch.visemes.flatten(0, 1).cpu()
    found = [correlation(said[:, i], true[:, i]) for i in range(true.shape[1])]
    return {"viseme_correlation": float(np.nanmean(found))}


def train_whisper(config: WhisperConfig, output: Path, options: TrainOptions) -> dict[str, float]:
    """Train the encoder on synthetic speech and write it to `output`; returns its scores. Needs espeak-ng."""
    torch.manual_seed(options.seed)
    objective = HearingObjective(WhisperEncoder(config))
    bank = SpeechBank(options.seed, UTTERANCES)
    heldout = SpeechBank(options.seed, HELDOUT_UTTERANCES, "heldout")
    recipe = Recipe(
        part="whisper",
        trained=objective.nets,
        objective=objective,
        draw=lambda rng, n: draw_speech(bank, rng, n),
        batch=BATCH,
        learning_rate=LEARNING_RATE,
        evaluate=lambda nets, device: score_hearing(nets, heldout, device),  # type: ignore[arg-type]
    )
    averaged, at = fit(recipe, options)
    encoder: nn.Module = averaged["encoder"]  # type: ignore[index]
    save_part(output, "whisper", encoder, config, {**metadata_of(options.seed, at), "licence": "Apache-2.0"})
    return at.scores
