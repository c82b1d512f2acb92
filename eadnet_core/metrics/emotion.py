"""Which emotion a clip shows, and how strongly, read from pixels by the emotion expert."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..taxonomy import EMOTIONS
from .frames import read_batches


@dataclass(frozen=True)
class EmotionReading:
    """The emotion of a clip.

    log_probabilities  [T, 8]  of every frame, in the order of `EMOTIONS`
    intensities        [T]     0 .. 1 of every frame
    """

    log_probabilities: np.ndarray
    intensities: np.ndarray

    @property
    def probabilities(self) -> np.ndarray:
        """[8] of the whole clip: the frames' mean log-probability, normalised."""
        mean = self.log_probabilities.mean(0)
        odds = np.exp(mean - mean.max())
        return odds / odds.sum()

    @property
    def label(self) -> str:
        """The likeliest emotion of the whole clip."""
        return EMOTIONS[int(self.log_probabilities.mean(0).argmax())]

    @property
    def intensity(self) -> float:
        """Mean over the frames, 0 .. 1."""
        return float(self.intensities.mean())


def split_outputs(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """The expert's raw outputs as log-probabilities [B, 8] and intensity [B] in 0 .. 1.

    outputs   [B, 9 or more]  eight logits in the order of `EMOTIONS`, the logit of the intensity, and whatever else
                              the expert learned to read on the way (action units)
    """
    return outputs[:, : len(EMOTIONS)].log_softmax(1), outputs[:, len(EMOTIONS)].sigmoid()


def read_emotion(frames: np.ndarray, expert: nn.Module) -> EmotionReading:
    """The emotion in every frame.

    frames   [T, H, W, 3]  uint8 in the training frame
    expert                 [B, 3, H, W] in -1 .. 1 -> [B, 9 or more], see `split_outputs`
    """
    log_probabilities, intensities = split_outputs(torch.cat(list(read_batches(expert, frames))))
    return EmotionReading(log_probabilities.numpy(), intensities.numpy())


def accuracy(asked: Sequence[str], read: Sequence[str]) -> float:
    """Share of clips whose label is the asked one; nan without clips.

    >>> accuracy(["sad", "happy"], ["sad", "fear"])
    0.5
    """
    return float(np.mean([a == r for a, r in zip(asked, read, strict=True)])) if asked else float("nan")


def confusion(asked: Sequence[str], read: Sequence[str]) -> list[list[int]]:
    """Counts [8][8]: row = asked emotion, column = read emotion, in the order of `EMOTIONS`."""
    counts = np.zeros((len(EMOTIONS), len(EMOTIONS)), int)
    for a, r in zip(asked, read, strict=True):
        counts[EMOTIONS.index(a), EMOTIONS.index(r)] += 1
    return counts.tolist()


def intensity_order(intensities: Sequence[Sequence[float]]) -> float:
    """Share of pairs of levels that were read in the right order, weak < medium < strong; nan without clips.

    intensities   [n][3]   read from clips that differ in nothing but the level

    >>> intensity_order([(0.2, 0.5, 0.9), (0.2, 0.9, 0.5)])
    0.8333333333333334
    """
    pairs = [low < high for row in intensities for i, low in enumerate(row) for high in row[i + 1 :]]
    return float(np.mean(pairs)) if pairs else float("nan")
