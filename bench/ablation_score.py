"""How good a denoiser in bench/ablation.py is: held-out scripts performed by it, and compared by what the face does.

Every control of a script is known. So a clip is compared with the ground truth itself, without a picture and without a
net that judges.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from eadnet_core.config import FPS, SAMPLE_RATE_HZ
from eadnet_core.corpus.clips import ClipScript, write_script
from eadnet_core.corpus.speech import SpeechBank
from eadnet_core.emotion.code import label_code
from eadnet_core.emotion.reader import TextReader
from eadnet_core.evaluation.heldout import LEAST_SPEECH, N_UTTERANCES, Case, draw_cases, with_emotional_references
from eadnet_core.families.family import with_model_defaults
from eadnet_core.families.mini import MiniModel, MiniScene
from eadnet_core.families.performance import Performance, View
from eadnet_core.generation.animation import Stage
from eadnet_core.media.sound.audio import Audio
from eadnet_core.media.sound.speech import hear
from eadnet_core.metrics.lip_sync import speech_windows
from eadnet_core.request import GenerateOptions
from eadnet_core.taxonomy import ACTION_UNITS, EMOTION, EMOTIONS, VISEME_PARAMETERS
from eadnet_core.training.denoiser_scores import nearest_emotion
from eadnet_core.training.losses import CONTROL_SPREAD, correlation

LIPS = slice(0, len(VISEME_PARAMETERS))
UNITS = slice(LIPS.stop, LIPS.stop + len(ACTION_UNITS))
FACE = slice(0, UNITS.stop)
"""Columns of taxonomy.CONTROLS that are sampled; lids and gaze are set."""
OPENING = VISEME_PARAMETERS.index("open")
MAX_OFFSET = 5
STILL = 1e-5
"""Less movement than this is none."""
WINDOW = 5
"""Frames of a window of speech."""


@dataclass(frozen=True)
class HeldOut:
    """Scripts that every model performs, drawn once, and how their words are read.

    read  [n, 27]  emotion code of each script's words
    """

    scripts: list[ClipScript]
    read: np.ndarray

    @classmethod
    def draw(cls, n_clips: int, seed: int, reader: TextReader) -> HeldOut:
        """`n_clips` scripts of 3 s; every other group of four has portraits that show another emotion already."""
        groups = draw_cases(n_clips, seed)
        emotional = with_emotional_references(groups, seed)
        speech = SpeechBank(seed, N_UTTERANCES, "heldout")
        scripts = []
        for number, group in enumerate(groups):
            cases = emotional[number] if number % 2 else [case for case in group if case.is_main]
            scripts += write_group(cases, speech)
        return cls(scripts, reader.codes([script.prompts[0] for script in scripts]))

    def codes(self, *, is_given_labels: bool) -> list[np.ndarray]:
        """The emotion code [27] that each script is performed with."""
        if is_given_labels:
            return [label_code(script.emotion) for script in self.scripts]
        return list(self.read)


def write_group(cases: Sequence[Case], speech: SpeechBank) -> list[ClipScript]:
    """Scripts of one voice: another one where it hardly speaks."""
    voice_seed = cases[0].voice_seed
    while True:
        scripts = [
            write_script(
                case.seed,
                n_frames=case.n_frames,
                split="heldout",
                speech=speech,
                emotion=case.emotion,
                level=case.level,
                identity_seed=case.identity_seed,
                voice_seed=voice_seed,
                reference_emotion=case.reference_emotion,
            )
            for case in cases
        ]
        n_frames = cases[0].n_frames
        n_heard = np.count_nonzero(speech_windows(scripts[0].samples, n_frames, WINDOW))
        if n_heard >= min(LEAST_SPEECH, n_frames // 2):
            return scripts
        voice_seed += 1


class ScriptScene(MiniScene):
    """A script as the mini sees it: what the reference picture does is known, and no picture is looked at."""

    def __init__(self, model: MiniModel, reference: np.ndarray, options: GenerateOptions) -> None:
        """`reference` is [28]: what the face does in the reference picture."""
        super().__init__(model, _no_pictures, options)
        self.reference = torch.from_numpy(reference).float()

    def look(self, start: int, motion: Tensor, kept: View | None = None) -> View:
        """See MiniScene."""
        return {"motion": motion, "reference": self.reference.expand(len(motion), -1)}


def _no_pictures(start: int, stop: int) -> np.ndarray:
    raise AssertionError("a script has no pictures")


@torch.inference_mode()
def perform(model: MiniModel, script: ClipScript, code: np.ndarray, options: GenerateOptions) -> np.ndarray:
    """What the face does, [T, 28], as the model samples it for a script's voice, head motion and an emotion [27]."""
    n_frames = len(script.controls)
    sound = Audio(script.samples, len(script.samples), SAMPLE_RATE_HZ)
    codes = np.repeat(code[None], n_frames, 0)
    performance = Performance(script.samples, hear(sound).over(n_frames), codes, script.motion)
    scene = ScriptScene(model, script.reference_controls, options)
    wave = Stage(model, scene, performance, options).wavefront(scene.denoiser())
    x0, conditions = wave.advance(n_frames)
    controls: np.ndarray = scene.controls(x0, conditions.view).numpy()
    return controls


def score(model: MiniModel, held: HeldOut, sync_guidance: float, *, is_given_labels: bool) -> dict[str, float]:
    """The table's figures of one model; its emotions are given as labels, or as words that are read."""
    options = with_model_defaults(model, GenerateOptions(sync_guidance=sync_guidance, mask="full"))
    began = time.process_time()
    made = [
        perform(model, script, code, options)
        for script, code in zip(held.scripts, held.codes(is_given_labels=is_given_labels), strict=True)
    ]
    seconds = (time.process_time() - began) * FPS / sum(map(len, made))
    return figures(made, held.scripts) | {"sampling_s": seconds}


def rulers(held: HeldOut) -> dict[str, dict[str, float]]:
    """The same figures of the ground truth, and of a portrait that stands still."""
    versions = {
        "ground truth": [script.controls for script in held.scripts],
        "still portrait": [np.repeat(s.reference_controls[None], len(s.controls), 0) for s in held.scripts],
    }
    return {name: figures(made, held.scripts) for name, made in versions.items()}


def figures(made: Sequence[np.ndarray], scripts: Sequence[ClipScript]) -> dict[str, float]:
    """Figures of what faces do, [T, 28] for each script.

    viseme_correlation    mean over the nine lip parameters, all clips in a row; one that never moves has none: 0
    opening_correlation   of the lips' parting alone, mean over clips
    lip_amplitude         spread of the lip parameters over time, made over true
    offset_error          frames by which the lips are early or late, mean over clips
    emotion_accuracy      share of frames whose action units lie nearest to those of the requested emotion
    units_error           root mean squared error of the action units, in units of a control's spread
    intensity_error       how far clips are from the true strength of the requested emotion, 0 .. 1, mean
    motion_ratio          size of frame-to-frame differences, made over true
    jitter_ratio          the same of second differences
    """
    true = [script.controls for script in scripts]
    pairs = list(zip(made, true, strict=True))
    lips = [np.concatenate([x[:, LIPS] for x in side]).T for side in (made, true)]
    nearest = [nearest_emotion(torch.from_numpy(np.asarray(x))).numpy() for x in made]
    hits = [found == EMOTIONS.index(script.emotion) for found, script in zip(nearest, scripts, strict=True)]
    return {
        "viseme_correlation": _fit(list(zip(*lips, strict=True))),
        "opening_correlation": _fit([(a[:, OPENING], b[:, OPENING]) for a, b in pairs]),
        "lip_amplitude": _ratio(pairs, lambda x: x[:, LIPS] - x[:, LIPS].mean(0)),
        "offset_error": float(np.mean([abs(offset(*pair)) for pair in pairs])),
        "emotion_accuracy": float(np.concatenate(hits).mean()),
        "units_error": _rms([(a - b)[:, UNITS] for a, b in pairs]) / CONTROL_SPREAD,
        "intensity_error": _intensity_error(made, scripts),
        "motion_ratio": _ratio(pairs, lambda x: np.diff(x[:, FACE], axis=0)),
        "jitter_ratio": _ratio(pairs, lambda x: np.diff(x[:, FACE], n=2, axis=0)),
    }


def offset(made: np.ndarray, true: np.ndarray) -> int:
    """The shift within +-5 frames at which the lips of controls [T, 28] fit best; positive where they are late.

    Lips that stand still fit nowhere: 5.

    >>> rng = np.random.default_rng(0)
    >>> true = rng.normal(size=(60, 28))
    >>> offset(np.roll(true, 2, axis=0), true)
    2
    """
    lips = [x[:, LIPS] - x[:, LIPS].mean(0) for x in (made, true)]
    n = len(made)
    if np.abs(lips[0]).max() < STILL:
        return MAX_OFFSET

    def fit(shift: int) -> float:
        a, b = lips[0][max(0, shift) : n + min(0, shift)], lips[1][max(0, -shift) : n + min(0, -shift)]
        size = float(np.sqrt(np.square(a).sum() * np.square(b).sum()))
        return float((a * b).sum()) / max(size, STILL)

    shifts = sorted(range(-MAX_OFFSET, MAX_OFFSET + 1), key=abs)
    return max(shifts, key=fit)


def _fit(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """Mean correlation of tracks [T] with those of the ground truth that move; 0 for one that stands still."""
    found = []
    for made, true in pairs:
        if np.ptp(true) > STILL:
            pair = (torch.from_numpy(np.ascontiguousarray(x)) for x in (made, true))
            found.append(correlation(*pair) if np.ptp(made) > STILL else 0.0)
    return float(np.mean(found))


def _intensity_error(made: Sequence[np.ndarray], scripts: Sequence[ClipScript]) -> float:
    """Strength is how much of an emotion's full action units a clip shows in the mean; neutral has none."""
    errors = []
    for x, script in zip(made, scripts, strict=True):
        shown = np.array([EMOTION[script.emotion].action_units.get(unit, 0.0) for unit in ACTION_UNITS])
        if shown.any():
            a, b = (values[:, UNITS].mean(0) @ shown / (shown @ shown) for values in (x, script.controls))
            errors.append(abs(a - b))
    return float(np.mean(errors))


def _rms(parts: Sequence[np.ndarray]) -> float:
    return float(np.sqrt(np.mean(np.square(np.concatenate(parts)))))


def _ratio(pairs: Sequence[tuple[np.ndarray, np.ndarray]], seen: Callable[[np.ndarray], np.ndarray]) -> float:
    return _rms([seen(a) for a, _ in pairs]) / _rms([seen(b) for _, b in pairs])
