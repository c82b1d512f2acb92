"""How good a version in bench/ablation.py is: held-out clips, made by it and read by the experts.

The short clips give the figures of `eadnet evaluate`; one clip of 30 s tells whether a face is lost as time goes by.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from eadnet_core.config import FPS
from eadnet_core.emotion.code import Emotion, describe, label_code
from eadnet_core.emotion.reader import TextReader
from eadnet_core.evaluation.clips import Bench
from eadnet_core.evaluation.heldout import CLIPS_PER_GROUP, Clip, draw_cases, draw_clips, with_length
from eadnet_core.families.family import Model
from eadnet_core.metrics.compare import Measures, measure, summarise
from eadnet_core.metrics.emotion import read_emotion
from eadnet_core.metrics.fidelity import psnr
from eadnet_core.metrics.identity import identity
from eadnet_core.request import GenerateOptions
from eadnet_core.taxonomy import EMOTIONS
from eadnet_core.weights.experts import Experts

LONG_FRAMES = 30 * FPS


@dataclass
class HeldOut:
    """The clips that every model is scored on, drawn once, with how their words are read and what is true of them."""

    experts: Experts
    seed: int
    clips: list[Clip]
    long: Clip
    readings: list[Emotion]
    """Of `clips`, then of `long`."""
    truth: list[Measures] = field(default_factory=list)

    @classmethod
    def draw(cls, n_clips: int, seed: int, reader: TextReader, experts: Experts, size_px: int) -> HeldOut:
        """`n_clips` clips of 3 s and one of 30 s, of a head and a voice of its own."""
        *groups, last = [[case for case in group if case.is_main]
                         for group in draw_cases(n_clips + CLIPS_PER_GROUP, seed)]  # fmt: skip
        long = with_length([last[:1]], LONG_FRAMES)
        *drawn, (far,) = draw_clips([*groups, *long], seed, size_px)
        clips = [clip for group in drawn for clip in group]
        readings = reader.read([clip.prompt for clip in [*clips, far]])
        held = cls(experts, seed, clips, far, list(readings))
        held.truth = [measure(clip.truth.frames, clip.truth, experts) for clip in clips]
        return held

    def summary(self, versions: Sequence[np.ndarray]) -> dict[str, float]:
        """The table's figures of one version of the short clips, given as frames."""
        measures = [
            measure(frames, clip.truth, self.experts) for frames, clip in zip(versions, self.clips, strict=True)
        ]
        summary = summarise(measures, self.truth)
        errors = [abs(a.intensity - b.intensity) for a, b in zip(measures, self.truth, strict=True)]
        seen = [
            read_emotion(frames, self.experts.emotion).probabilities[EMOTIONS.index(clip.truth.emotion)]
            for frames, clip in zip(versions, self.clips, strict=True)
        ]
        return summary | {
            "mouth_amplitude": summary["mouth_band_ratio"] ** 0.5,
            "emotion_probability": float(np.mean(seen)),
            "intensity_error": float(np.mean(errors)),
        }

    def drift(self, frames: np.ndarray) -> dict[str, float]:
        """What the last second of the long clip has lost against the first, beyond what the truth itself loses."""
        true, reference = self.long.truth.frames, self.long.truth.reference
        first, last = slice(0, FPS), slice(-FPS, None)
        lost = [identity(v[first], reference).mean() - identity(v[last], reference).mean() for v in (frames, true)]
        return {
            "identity_drift": float(lost[0] - lost[1]),
            "psnr_drift": psnr(frames[first], true[first]) - psnr(frames[last], true[last]),
        }


def score(model: Model, held: HeldOut, sync_guidance: float, *, is_given_labels: bool) -> dict[str, float]:
    """The table's figures of one model; its emotions are given as labels, or as words that are read."""
    options = GenerateOptions(sync_guidance=sync_guidance)
    bench = Bench(model, held.experts, held.seed)
    made, seconds = [], 0.0
    for clip, reading in zip([*held.clips, held.long], held.readings, strict=True):
        told = describe(label_code(clip.truth.emotion)) if is_given_labels else reading
        began = time.process_time()
        made.append(bench.generate(clip, told, options))
        seconds += time.process_time() - began
    figures = held.summary(made[:-1]) | held.drift(made[-1])
    return figures | {"sampling_s": seconds * FPS / sum(len(frames) for frames in made)}


def ceilings(model: Model, held: HeldOut) -> dict[str, dict[str, float]]:
    """The same rulers on the truth, on the truth through the autoencoder, and on the portrait standing still."""
    bench = Bench(model, held.experts, held.seed)
    versions = {
        "truth": [clip.truth.frames for clip in held.clips],
        "truth through the VAE": [bench.reconstruct(clip) for clip in held.clips],
        "still portrait": [np.repeat(c.truth.reference[None], len(c.truth.frames), 0) for c in held.clips],
    }
    found = {name: held.summary(made) for name, made in versions.items()}
    del found["truth"]["psnr"]  # of the truth against itself
    return found
