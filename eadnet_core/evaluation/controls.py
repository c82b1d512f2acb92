"""What generated faces do against what they should have done: no net judges, and no picture is looked at.

Nets that read pictures err by themselves. Of held-out clips the controls are known, and those of a generation are read
off its latents, so that they can be compared directly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from ..corpus.mouth import mouth_opening
from ..errors import BadInput
from ..families.family import with_model_defaults
from ..families.load import load_model
from ..families.mini import MiniModel, MiniScene
from ..generation.animation import Animation
from ..heads.rig import STATE, STATE_INDEX
from ..metrics.emotion import intensity_order
from ..request import GenerateOptions
from ..taxonomy import (
    ACTION_UNITS,
    CONTROLS,
    EMOTION,
    EMOTION_RECORDS,
    EMOTIONS,
    LEVEL_INTENSITY,
    LEVELS,
    VISEME_PARAMETERS,
)
from ..weights.experts import load_experts
from .clips import Bench
from .heldout import CLIPS_PER_GROUP, Clip, draw_cases
from .shipped import open_clips

_UNITS = slice(len(VISEME_PARAMETERS), len(VISEME_PARAMETERS) + len(ACTION_UNITS))
_IN_STATE = [STATE_INDEX[name] for name in CONTROLS]
MAX_OFFSET = 5
"""Frames by which lips are shifted to find where they fit best."""


@dataclass(frozen=True)
class ControlFigures:
    """Figures of clips.

    mouth_correlation   of the mouth opening, mean over clips
    lip_amplitude       95th less 5th percentile of the opening, generated over true, median over clips
    offset_exact        share of clips whose openings fit best at no shift
    emotion_accuracy    share of clips whose mean action units lie nearest to those of the requested emotion
    viseme_correlation  mean over the lip parameters, all clips in a row
    jitter_ratio        size of second differences of all controls, generated over true
    intensity_order     share of pairs of levels, weak, medium and strong, whose `strength` is in that order
    """

    mouth_correlation: float
    lip_amplitude: float
    offset_exact: float
    emotion_accuracy: float
    viseme_correlation: float
    jitter_ratio: float
    intensity_order: float


def evaluate_controls(
    model_name: str = "mini", n_clips: int = 48, seed: int = 0, device: str = "auto", heads: Path | None = None
) -> dict[str, float]:
    """`ControlFigures` of held-out clips by name; drawn where the anatomy is at hand, else those that ship.

    Raises BadInput for a wrong number of clips or a model without motion latents, CheckpointError without the model.
    """
    if n_clips < CLIPS_PER_GROUP or n_clips % CLIPS_PER_GROUP:
        raise BadInput(f"clips is {n_clips}; give a multiple of {CLIPS_PER_GROUP}, at least {CLIPS_PER_GROUP}.")
    model = load_model(model_name, device, "auto")
    if not isinstance(model, MiniModel):
        raise BadInput(f"'{model_name}' is a base and has no motion latents to read controls off. Give a mini.")
    clips = [
        clip for drawn in open_clips(draw_cases(n_clips, seed), seed, model.config.size_px, heads) for clip in drawn
    ]
    bench = Bench(model, load_experts(device, model_name), seed)
    return asdict(judge_controls(bench, clips, with_model_defaults(model, GenerateOptions())))


def judge_controls(bench: Bench, clips: Iterable[Clip], options: GenerateOptions) -> ControlFigures:
    """Generate clips and compare what the faces do; of those that are not main, only how strongly they show it."""
    clips = list(clips)
    made = [generated_controls(bench, clip, options) for clip in clips]
    main = [i for i, clip in enumerate(clips) if clip.case.is_main]
    return compare([made[i] for i in main], [clips[i] for i in main], levels_in_order(made, clips))


def generated_controls(bench: Bench, clip: Clip, options: GenerateOptions) -> np.ndarray:
    """What the face does in a generation of a clip, [T, 28]."""
    assert isinstance(bench.model, MiniModel)
    (reading,) = bench.model.reader.read([clip.prompt])
    performance, own = bench.performance(clip, reading, options)
    animation = Animation(bench.model, clip.truth.reference, performance, own, is_decoded=False)
    scene = animation.stage.scene
    assert isinstance(scene, MiniScene)
    with torch.inference_mode():
        parts = [scene.controls(part.x0.to(bench.model.device), part.view) for part in animation]
    return torch.cat(parts).cpu().numpy()


def levels_in_order(made: Sequence[np.ndarray], clips: Sequence[Clip]) -> float:
    """`ControlFigures.intensity_order` of controls [T, 28] made for clips; nan without all levels of one."""
    found: dict[int, dict[int, float]] = {}
    for controls, clip in zip(made, clips, strict=True):
        found.setdefault(clip.case.seed, {})[clip.case.level] = strength(controls, clip.case.emotion)
    whole = [levels for levels in found.values() if len(levels) == len(LEVELS)]
    return intensity_order([[levels[i] for i in range(len(LEVELS))] for levels in whole])


def strength(controls: np.ndarray, emotion: str) -> float:
    """How far the mean action units of controls [T, 28] reach along those of an emotion at full strength.

    >>> strength(np.zeros((3, len(CONTROLS))), "happy")
    0.0
    """
    shown = np.array([EMOTION[emotion].action_units.get(unit, 0.0) for unit in ACTION_UNITS])
    return float(controls[:, _UNITS].mean(0) @ shown / max(float(shown @ shown), 1e-9))


def compare(made: Sequence[np.ndarray], clips: Sequence[Clip], in_order: float = float("nan")) -> ControlFigures:
    """The figures of controls [T, 28] made for each clip; `in_order` is their `intensity_order`."""
    true = [np.asarray(clip.controls, np.float32) for clip in clips]
    openings = [(_opening(a), _opening(b)) for a, b in zip(made, true, strict=True)]
    n_lips = len(VISEME_PARAMETERS)
    lips = [np.concatenate([x[:, :n_lips] for x in side]).T for side in (made, true)]
    jitter = [sum(np.square(np.diff(x[:, : _UNITS.stop], n=2, axis=0)).sum() for x in side) for side in (made, true)]
    return ControlFigures(
        mouth_correlation=float(np.mean([_correlation(*pair) for pair in openings])),
        lip_amplitude=float(np.median([_spread(a) / max(_spread(b), 1e-3) for a, b in openings])),
        offset_exact=float(np.mean([best_shift(*pair) == 0 for pair in openings])),
        emotion_accuracy=float(np.mean([nearest(x) == c.truth.emotion for x, c in zip(made, clips, strict=True)])),
        viseme_correlation=float(np.mean([_correlation(*pair) for pair in zip(*lips, strict=True)])),
        jitter_ratio=float(np.sqrt(jitter[0] / jitter[1])),
        intensity_order=in_order,
    )


def nearest(controls: np.ndarray) -> str:
    """The emotion whose action units, at some level, lie nearest to the mean ones of controls [T, 28].

    >>> nearest(np.zeros((3, len(CONTROLS))))
    'neutral'
    """
    units = controls[:, _UNITS].mean(0)
    best = {}
    for record in EMOTION_RECORDS:
        shown = np.array([record.action_units.get(unit, 0.0) for unit in ACTION_UNITS])
        best[record.name] = min(float(np.square(units - level * shown).sum()) for level in (0.0, *LEVEL_INTENSITY))
    return min(EMOTIONS, key=lambda name: (best[name], EMOTIONS.index(name)))


def best_shift(made: np.ndarray, true: np.ndarray) -> int:
    """The shift within +-`MAX_OFFSET` frames at which a track [T] fits another best; positive where it is late.

    >>> true = np.sin(np.arange(60) ** 1.3)
    >>> best_shift(np.roll(true, 2), true)
    2
    """
    n = len(true)

    def fit(shift: int) -> float:
        return _correlation(made[max(0, shift) : n + min(0, shift)], true[max(0, -shift) : n + min(0, -shift)])

    return max(sorted(range(-MAX_OFFSET, MAX_OFFSET + 1), key=abs), key=fit)


def _opening(controls: np.ndarray) -> np.ndarray:
    states = np.zeros((len(controls), len(STATE)), np.float32)
    states[:, _IN_STATE] = controls
    return mouth_opening(states)


def _spread(track: np.ndarray) -> float:
    return float(np.percentile(track, 95) - np.percentile(track, 5))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """0 where one of them stands still."""
    return float(np.corrcoef(a, b)[0, 1]) if a.std() > 1e-6 and b.std() > 1e-6 else 0.0
