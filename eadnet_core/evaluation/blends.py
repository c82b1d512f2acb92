"""Emotions that go together: what the emotion bank lends to whom, and whether blends are seen in the order asked for.

After DICE-Talk (2025), whose bank lets related emotions learn from one another. No picture is looked at: a mini's
controls are read off its latents, and the bank reads controls.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from ..corpus.clips import lively
from ..emotion.code import blend, emotion_code, label_code
from ..families.mini import MiniModel, MiniScene
from ..families.performance import Performance
from ..generation.animation import Animation
from ..media.sound.audio import SAMPLES_PER_FRAME
from ..nets.emotion_bank import EmotionBank, typical
from ..request import GenerateOptions
from ..taxonomy import ACTION_UNITS, CONTROLS, EMOTIONS, MOTION, VISEME_PARAMETERS
from .style import spearman

STEPS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Weights of the second emotion of a blend."""
PAIRS = tuple(combinations(EMOTIONS, 2))
FACES = 200
"""Faces of the corpus that a row of `lent` is the mean of."""
FAINT, READ_ERROR = (0.2, 0.6), 0.1
"""Of these faces: how strong they show their emotion, and what the reader errs in of each control. Full and exact ones
are told by their own entries to 99 %."""
FRAMES = 8


@torch.no_grad()
def lent(bank: EmotionBank, seed: int = 0) -> np.ndarray:
    """How much the entries of each emotion lend to a faint face of another: [shown, lender], rows add up to 1."""
    lenders = bank.entries[:, : len(EMOTIONS)].argmax(1)
    shares = np.zeros((len(EMOTIONS), len(EMOTIONS)))
    rng = np.random.default_rng(seed)
    for row, emotion in enumerate(EMOTIONS):
        faces = torch.stack([typical(corpus_face(_faint(emotion, rng), rng)) for _ in range(FACES)])
        errors = torch.from_numpy(READ_ERROR * rng.normal(size=faces.shape)).float()
        weights = bank(faces + errors).softmax(-1).mean(0)
        shares[row] = torch.stack([weights[lenders == i].sum() for i in range(len(EMOTIONS))]).numpy()
    return shares


def _faint(emotion: str, rng: np.random.Generator) -> np.ndarray:
    return emotion_code(emotion, float(rng.uniform(*FAINT)) if emotion != "neutral" else 0.0)


def corpus_face(code: np.ndarray, rng: np.random.Generator, n_frames: int = FRAMES) -> Tensor:
    """Controls [T, 28] of a face of the corpus that shows a code and says nothing."""
    controls = np.zeros((n_frames, len(CONTROLS)), np.float32)
    first = len(VISEME_PARAMETERS)
    units = np.repeat(code[None, -len(ACTION_UNITS) :], n_frames, 0)
    controls[:, first : first + len(ACTION_UNITS)] = lively(rng, units)
    return torch.from_numpy(controls)


@torch.no_grad()
def odds(bank: EmotionBank, controls: Tensor, first: str, second: str) -> float:
    """Log-odds of the second emotion over the first in a face with controls [T, 28]."""
    told = bank.code(bank(typical(controls)))[: len(EMOTIONS)].clamp(min=1e-6).log()
    return float(told[EMOTIONS.index(second)] - told[EMOTIONS.index(first)])


def blend_codes(first: str, second: str) -> list[np.ndarray]:
    """Codes of a blend, from the first emotion alone to the second alone."""
    ends = [label_code(first), label_code(second)]
    return [blend(ends, [1.0 - weight, weight]) for weight in STEPS]


def corpus_order(bank: EmotionBank, seed: int = 0) -> dict[str, float]:
    """By pair: Spearman's correlation of the weight asked and the odds seen, on faces of the corpus."""
    rng, found = np.random.default_rng(seed), {}
    for first, second in PAIRS:
        seen = [odds(bank, corpus_face(code, rng), first, second) for code in blend_codes(first, second)]
        found[f"{first} + {second}"] = spearman(np.array(STEPS), np.array(seen))
    return found


def made_order(
    model: MiniModel, bank: EmotionBank, reference: np.ndarray, options: GenerateOptions, pairs: tuple = PAIRS
) -> dict[str, float]:
    """The same on faces that a mini makes of a reference picture, uint8 [S, S, 3]; they say nothing."""
    found = {}
    for first, second in pairs:
        seen = [
            odds(bank, made_face(model, reference, code, options), first, second) for code in blend_codes(first, second)
        ]
        found[f"{first} + {second}"] = spearman(np.array(STEPS), np.array(seen))
    return found


def made_face(model: MiniModel, reference: np.ndarray, code: np.ndarray, options: GenerateOptions) -> Tensor:
    """Controls [T, 28] of a face that a mini makes with a code, at rest and silent."""
    quiet, still = np.zeros(FRAMES, np.float32), np.zeros((FRAMES, len(MOTION)), np.float32)
    samples = np.zeros(FRAMES * SAMPLES_PER_FRAME, np.float32)
    performance = Performance(samples, quiet, np.repeat(code[None], FRAMES, 0), still)
    run = Animation(model, reference, performance, options, is_decoded=False)
    scene = run.stage.scene
    assert isinstance(scene, MiniScene)
    with torch.inference_mode():
        return torch.cat([scene.controls(part.x0, part.view) for part in run])
