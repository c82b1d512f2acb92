"""Which emotion a clip shows, how strongly and by which muscles: the reader of controls, and the emotion bank.

Both also serve generation: a portrait and a reference clip are read so. What they say of a model's own clips is
therefore no judgement from outside, see media.face.controls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..emotion.code import INTENSITY
from ..media.face.controls import read_controls
from ..nets.emotion_bank import EmotionBank, typical
from ..taxonomy import ACTION_UNITS, CONTROLS, EMOTIONS
from ..weights.experts import ReferenceReader

LEAST_PROBABILITY = 1e-30
_UNITS = [CONTROLS.index(name) for name in ACTION_UNITS]


@dataclass(frozen=True)
class EmotionReading:
    """The emotion of a clip.

    code            [27]     of the clip as a whole, by the median of each control
    codes           [T, 27]  of every frame by itself
    action_units    [16]     medians over the clip, about 0 .. 1, in the order of taxonomy.ACTION_UNITS
    """

    code: np.ndarray
    codes: np.ndarray
    action_units: np.ndarray

    @property
    def probabilities(self) -> np.ndarray:
        """[8] of the whole clip, in the order of `EMOTIONS`."""
        return self.code[: len(EMOTIONS)]

    @property
    def log_probabilities(self) -> np.ndarray:
        """Logarithm of `probabilities`, which are at least LEAST_PROBABILITY there."""
        return np.log(np.maximum(self.probabilities, LEAST_PROBABILITY))

    @property
    def label(self) -> str:
        """The likeliest emotion of the whole clip."""
        return EMOTIONS[int(self.probabilities.argmax())]

    @property
    def intensity(self) -> float:
        """Of the whole clip, 0 .. 1."""
        return float(self.code[INTENSITY])

    @property
    def frame_probabilities(self) -> np.ndarray:
        """[T, 8] of every frame by itself."""
        return self.codes[:, : len(EMOTIONS)]

    @property
    def intensities(self) -> np.ndarray:
        """[T] of every frame by itself, 0 .. 1."""
        return self.codes[:, INTENSITY]


def read_emotion(frames: np.ndarray, reader: ReferenceReader) -> EmotionReading:
    """The emotion of uint8 frames [T, H, W, 3] in the training frame."""
    return emotion_of(read_controls(frames, reader.vae).numpy(), reader.bank)


@torch.inference_mode()
def emotion_of(controls: np.ndarray, bank: EmotionBank) -> EmotionReading:
    """The emotion of controls [T, 28] that were read off a clip."""
    read = torch.from_numpy(controls).to(bank.keys.device)
    code, codes = (found.float().cpu().numpy() for found in (bank.read(read), bank.code(bank(read))))
    return EmotionReading(code, codes, typical(read).cpu().numpy()[_UNITS])


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
