"""How well emotion is understood, shown and steered: `eadnet evaluate --emotion`.

Held-out heads and voices, as in `evaluate`. Emotions come the ways a user gives them: as a label with an intensity, in
free words, off another head's clip, as a blend, by amplitude. What is seen is read by the reader of controls and the
emotion bank, which also read portraits and references for generation: they tell one state of a model from another, and
are no independent judges. Those are `evaluate --portraits`, and `--controls`, where no net reads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..config import FPS, SAMPLE_RATE_HZ
from ..emotion.code import blend, describe, emotion_code, label_code, scaled
from ..emotion.track import EmotionTrack, Keyframe
from ..errors import BadInput
from ..families.family import Model, with_model_defaults
from ..families.load import family_of, load_model
from ..families.performance import Performance
from ..generation.animation import animate
from ..generation.plan import plan
from ..heads.anatomy import Anatomy
from ..media.face.controls import read_controls
from ..media.face.subject import training_frame
from ..media.sound.audio import SAMPLES_PER_FRAME, Audio
from ..media.sound.speech import hear
from ..metrics.curves import Curve, draw_curves
from ..metrics.emotion import accuracy, confusion, read_emotion
from ..metrics.face import correlation, lid_closure, read_faces
from ..metrics.lip_sync import score_lip_sync
from ..metrics.motion import motion_stats
from ..metrics.probe import identity_accuracy
from ..metrics.report import json_values
from ..request import GenerateOptions
from ..taxonomy import EMOTIONS, LEVEL_INTENSITY, LEVELS, MOTION
from ..weights.experts import Experts, load_experts
from ..weights.folders import find_model
from .clips import OnProgress, counter
from .heldout import CLIP_FRAMES, Scene, draw_scenes

PROMPTS = Path(__file__).parents[2] / "tests" / "data" / "free_prompts.tsv"
"""Where a checkout keeps its free prompts; an installed package has none."""
HEADLINES: dict[str, tuple[str, float]] = {
    "emotion_accuracy": ("at least", 0.90),
    "reference_clip_accuracy": ("at least", 0.75),
    "intensity_spearman": ("at least", 0.90),
    "blend_spearman": ("at least", 0.90),
    "lse_c_loss": ("at most", 0.3),
    "mouth_correlation_loss": ("at most", 0.05),
}
"""What the mini is held to; identity_leakage stands beside its chance, prompt_accuracy beside what was read."""
SHORT_FRAMES, REFERENCE_FRAMES, LOOKED_AT_EVERY = 16, 50, 6
STEPS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
PAIRS = tuple((EMOTIONS[i], EMOTIONS[(i + 3) % len(EMOTIONS)]) for i in range(len(EMOTIONS)))
"""Emotions that are blended: every one with two others."""
AMPLITUDES: dict[str, tuple[tuple[float, ...], int, str]] = {
    "emotion_scale": ((0.0, 0.25, 0.5, 0.75, 1.0), 25, "intensity seen, 0 .. 1"),
    "head": ((0.0, 0.5, 1.0, 1.5, 2.0), CLIP_FRAMES, "std of yaw and pitch, radians"),
    "lips": ((0.0, 0.5, 1.0, 1.5, 2.0), CLIP_FRAMES, "std of the lips' gap, eye distances"),
    "blink": ((0.0, 0.5, 1.0, 2.0, 3.0), 200, "closed lids, share of frames"),
    "gaze": ((0.0, 0.5, 1.0, 1.25, 1.5), CLIP_FRAMES, "motion of the eyes, 1/1000 of white"),
}
"""Values that are asked, frames of each clip, and what is seen of it."""
PROBED_HEADS, PROBED_EVERY = 24, 19
OTHER_HEADS = 1000
"""Number of the first scene that only lends its emotions: another head than any portrait."""


@dataclass
class EmotionBench:
    """A model, what reads its clips, and the heads and voices that it is tried on."""

    model: Model
    experts: Experts
    options: GenerateOptions
    scenes: list[Scene]
    seed: int
    on_clip: Callable[[], None]
    heads: Path | None = None

    def make(
        self, scene: Scene, track: EmotionTrack | np.ndarray, n_frames: int, is_silent: bool = False, **changes: Any
    ) -> np.ndarray:
        """A clip, uint8 [T, H, W, 3], of an emotion: a track that was read, or a code [27]."""
        options = replace(self.options, **changes)
        if isinstance(track, np.ndarray):
            track = EmotionTrack((Keyframe(0.0, code=tuple(map(float, track))),))
        samples = np.resize(scene.samples, n_frames * SAMPLES_PER_FRAME) * np.float32(not is_silent)
        sound = Audio(samples, len(samples), SAMPLE_RATE_HZ)
        planned = plan(self.model, training_frame(scene.reference), hear(sound), track, options)
        made = animate(self.model, scene.reference, planned.performance, options)
        frames = np.concatenate([frames for _, frames in made])
        self.on_clip()
        return frames

    def labels(self) -> dict[str, Any]:
        """Eight emotions at three levels on every portrait: are they seen, and what do they cost the lips."""
        asked, seen, true, levels = [], [], [], []
        sync: dict[str, list[tuple[float, float, float]]] = {}
        for scene in self.scenes:
            for label, level in _cells():
                intensity = LEVEL_INTENSITY[level] if label != "neutral" else None
                track = EmotionTrack((Keyframe(0.0, label, intensity),)).read(self.model.reader.codes)
                frames = self.make(scene, track, CLIP_FRAMES)
                asked.append(label)
                levels.append(LEVELS[level] if label != "neutral" else "")
                seen.append(read_emotion(frames, self.experts.reader).label)
                drawn = scene.frames(label, level, LOOKED_AT_EVERY)
                true.append(read_emotion(drawn, self.experts.reader).label)
                opening = scene.mouth_opening(label, level)
                sync.setdefault(label, []).append(
                    (
                        score_lip_sync(self.experts.sync, frames, scene.samples).lse_c,
                        correlation(read_faces(frames).opening, opening),
                        correlation(read_faces(drawn).opening, opening[::LOOKED_AT_EVERY]),
                    )
                )
        return {
            "emotion_accuracy": accuracy(asked, seen),
            "emotion_accuracy_ground_truth": accuracy(asked, true),
            "emotion_accuracy_by_level": {name: _share(levels, seen, name, asked) for name in LEVELS},
            "emotion_accuracy_by_emotion": {name: _share(asked, seen, name) for name in EMOTIONS},
            "confusion": confusion(asked, seen),
            **_lip_losses(sync),
        }

    def prompts(self, rows: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Free words: read as the agreed label, and seen as it."""
        readings = self.model.reader.read([text for text, _ in rows])
        seen = []
        for number, reading in enumerate(readings):
            frames = self.make(self.scenes[number % len(self.scenes)], reading.code, SHORT_FRAMES)
            seen.append(read_emotion(frames, self.experts.reader).label)
        asked = [label for _, label in rows]
        return {
            "prompts": len(rows),
            "prompt_accuracy": accuracy(asked, seen),
            "prompt_accuracy_read": accuracy(asked, [reading.label for reading in readings]),
            "prompt_accuracy_by_emotion": {name: _share(asked, seen, name) for name in EMOTIONS},
        }

    def references(self) -> dict[str, Any]:
        """Clips of other heads: what the bank reads, and what a portrait then shows."""
        others = draw_scenes(
            len(self.scenes) * len(EMOTIONS), self.seed, CLIP_FRAMES, self._size, OTHER_HEADS, self.heads
        )
        asked, read, seen = [], [], []
        for number, other in enumerate(others):
            label, level = EMOTIONS[number % len(EMOTIONS)], number // len(EMOTIONS) % len(LEVELS)
            faces = other.frames(label, level, LOOKED_AT_EVERY)
            code = read_emotion(faces, self.experts.reader).code
            frames = self.make(self.scenes[number // len(EMOTIONS)], code, REFERENCE_FRAMES)
            asked.append(label)
            read.append(describe(code).label)
            seen.append(read_emotion(frames, self.experts.reader).label)
        return {
            "reference_clip_accuracy": accuracy(asked, seen),
            "reference_clip_accuracy_read": accuracy(asked, read),
        }

    def intensity(self) -> dict[str, Curve]:
        """By emotion: how strong it looks against how strong it was asked, mean over the portraits."""

        def seen(label: str, amount: float) -> float:
            code = scaled(emotion_code(label, 1.0), amount)
            clips = [self.make(scene, code, SHORT_FRAMES) for scene in self.scenes]
            return float(np.mean([read_emotion(frames, self.experts.reader).intensity for frames in clips]))

        return {label: Curve(STEPS, tuple(seen(label, amount) for amount in STEPS)) for label in EMOTIONS[1:]}

    def blends(self) -> dict[str, Curve]:
        """By pair: log-odds of the second emotion over the first against its weight, one portrait for each."""

        def seen(scene: Scene, first: str, second: str, weight: float) -> float:
            ends = [label_code(label) for label in (first, second)]
            frames = self.make(scene, blend(ends, [1.0 - weight, weight]), SHORT_FRAMES)
            odds = read_emotion(frames, self.experts.reader).log_probabilities
            return float(odds[EMOTIONS.index(second)] - odds[EMOTIONS.index(first)])

        curves = {}
        for number, (first, second) in enumerate(PAIRS):
            scene = self.scenes[number % len(self.scenes)]
            curves[f"{first} + {second}"] = Curve(STEPS, tuple(seen(scene, first, second, w) for w in STEPS))
        return curves

    def amplitudes(self) -> dict[str, tuple[Curve, str]]:
        """By amplitude: what is seen of it, on the first portrait; blinks, which are few, on all."""
        curves = {}
        for name, (values, n_frames, unit) in AMPLITUDES.items():
            seen = tuple(self._amplitude(name, value, n_frames) for value in values)
            curves[name] = (Curve(values, seen), unit)
        return curves

    def _amplitude(self, name: str, value: float, n_frames: int) -> float:
        feeling = emotion_code("sad", 1.0) if name == "emotion_scale" else emotion_code("neutral", 0.0)
        calm = {"head": 0.0, "blink": 0.0, "gaze": 0.0} | {name: value}
        is_silent = name not in ("lips", "emotion_scale")
        if name == "blink":
            return float(np.mean([self._closed(scene, calm, n_frames, i) for i, scene in enumerate(self.scenes)]))
        frames = self.make(self.scenes[0], feeling, n_frames, is_silent, **calm)
        if name == "emotion_scale":
            return read_emotion(frames, self.experts.reader).intensity
        if name == "gaze":
            return 1000 * motion_stats(frames)["eyes"].amplitude
        face = read_faces(frames)
        if name == "head":
            return float(np.hypot(face.yaw.std(), face.pitch.std()))
        return float(face.opening.std())

    def _closed(self, scene: Scene, calm: dict[str, float], n_frames: int, seed: int) -> float:
        """Share of frames with the lids more than half closed, on the scale of this head's own blinks.

        The reader's units of closure depend on the head, so a closed and an open eye are shown to it.
        """
        motion = np.zeros((2, len(MOTION)), np.float32)
        motion[0, MOTION.index("blink")] = 1.0
        code = np.repeat(emotion_code("neutral", 0.0)[None], 2, axis=0)
        samples, voice = np.zeros(2 * SAMPLES_PER_FRAME, np.float32), np.zeros(2, np.float32)
        ends = animate(self.model, scene.reference, Performance(samples, voice, code, motion), self.options)
        shut, wide = self._closure(np.concatenate([frames for _, frames in ends]))
        frames = self.make(scene, code[0], n_frames, True, **calm, seed=seed)
        return float((self._closure(frames) > (shut + wide) / 2).mean())

    def _closure(self, frames: np.ndarray) -> np.ndarray:
        return lid_closure(read_controls(frames, self.experts.reader.vae).numpy())

    def leakage(self) -> dict[str, float]:
        """What a probe tells of the head from the code that the bank reads, beside what it tells from the controls."""
        codes, features = [], []
        for scene in draw_scenes(PROBED_HEADS, self.seed, CLIP_FRAMES, self._size, 2 * OTHER_HEADS, self.heads):
            looks = [scene.frames(label, 2, PROBED_EVERY) for label in EMOTIONS]
            codes.append([read_emotion(faces, self.experts.reader).code for faces in looks])
            features.append([read_controls(faces, self.experts.reader.vae).mean(0) for faces in looks])
        wide = np.array([[f.numpy() for f in row] for row in features], float)
        return {
            "identity_leakage": identity_accuracy(np.array(codes, float)),
            "identity_leakage_chance": 1 / PROBED_HEADS,
            "identity_in_features": identity_accuracy(wide),
        }

    def wait(self) -> dict[str, float]:
        """Seconds from a changed prompt to one new frame, and from another to a second of them, after other clips."""
        began = time.perf_counter()
        code = self.model.reader.codes(["he has just been told that he may go home"])[0]
        self.make(self.scenes[0], code, 1)
        one = time.perf_counter() - began
        code = self.model.reader.codes(["somebody has eaten her birthday cake"])[0]
        self.make(self.scenes[0], code, FPS)
        return {"seconds_to_new_frame": one, "seconds_to_new_frames": time.perf_counter() - began - one}

    @property
    def _size(self) -> int:
        return self.model.config.size_px


def evaluate_emotion(
    model_name: str = "mini",
    portraits: int = 3,
    seed: int = 0,
    options: GenerateOptions | None = None,
    progress: OnProgress | None = None,
    device: str = "auto",
    prompts: Path | None = None,
    plot: Path | None = None,
    heads: Path | None = None,
) -> dict[str, Any]:
    """Every figure on emotion, as JSON values with the keys of HEADLINES on top.

    portraits  heads and voices that emotions are tried on; time grows with them
    prompts    file of prompts and their labels, tab between; default: PROMPTS where it is there
    plot       picture to draw the curves to (.png)
    heads      folder of the anatomy that heads are drawn with
    Raises BadInput for a base, a count below 1, a bad file, or without the anatomy; CheckpointError without the model
    or what reads its clips.
    """
    if portraits < 1:
        raise BadInput(f"portraits is {portraits}; give 1 or more.")
    if not family_of(find_model(model_name)).is_evaluated:
        raise BadInput(
            f"'{model_name}' is a base; the held-out heads here are rendered. Score its videos: eadnet score."
        )
    Anatomy.open(heads)
    rows = read_prompts(prompts or PROMPTS) if prompts or PROMPTS.is_file() else []
    model = load_model(model_name, device, "auto")
    settings = with_model_defaults(model, options or GenerateOptions())
    scenes = list(draw_scenes(portraits, seed, CLIP_FRAMES, model.config.size_px, heads=heads))
    on_clip = counter(_n_clips(portraits, len(rows)), progress)
    bench = EmotionBench(model, load_experts(device, model_name), settings, scenes, seed, on_clip, heads)
    results: dict[str, Any] = {"model": model_name, "seed": seed, "portraits": portraits, "options": asdict(settings)}
    results |= bench.labels() | bench.wait() | bench.references()
    if rows:
        results |= bench.prompts(rows)
    intensity, blends, amplitudes = bench.intensity(), bench.blends(), bench.amplitudes()
    results |= _curve_figures(intensity, blends, amplitudes) | bench.leakage()
    if plot is not None:
        draw_curves(f"{model_name}: asked and seen, held-out heads, seed {seed}", intensity, blends, amplitudes).save(
            plot
        )
    return json_values(results)


def read_prompts(path: Path) -> list[tuple[str, str]]:
    """(prompt, label) of every line after the first. Raises BadInput that names the faulty line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()[1:]
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"The prompts '{path}' cannot be read ({error}).") from error
    rows = []
    for number, line in enumerate(lines, 2):
        text, _, label = line.partition("\t")
        if label not in EMOTIONS or not text.strip():
            raise BadInput(f"'{path}', line {number}: expected a prompt, a tab and one of {', '.join(EMOTIONS)}.")
        rows.append((text, label))
    return rows


def format_emotion(results: dict[str, Any]) -> str:
    """The figures as lines of text, each with what is asked of it."""
    lines = [f"{results['model']}: emotion on {results['portraits']} held-out heads, seed {results['seed']}"]
    beside = {
        "emotion_accuracy": "emotion_accuracy_ground_truth",
        "prompt_accuracy": "prompt_accuracy_read",
        "reference_clip_accuracy": "reference_clip_accuracy_read",
        "identity_leakage": "identity_leakage_chance",
        "mouth_correlation_loss": "mouth_correlation_loss_ground_truth",
        "intensity_spearman": "intensity_spearman_least",
        "blend_spearman": "blend_spearman_least",
    }
    for key in (*HEADLINES, "prompt_accuracy", "identity_leakage", "seconds_to_new_frame", "seconds_to_new_frames"):
        if results.get(key) is None:
            lines.append(f"{key:26s}  not measured")
            continue
        kind, bound = HEADLINES.get(key, ("", 0.0))
        asked = f"   {kind} {bound:g}" if kind else ""
        other = beside.get(key)
        shown = f"   ({other.removeprefix(key + '_').replace('_', ' ')} {results[other]:.3f})" if other else ""
        lines.append(f"{key:26s}{results[key]:8.3f}{asked}{shown}")
    return "\n".join(lines)


def _n_clips(portraits: int, prompts: int) -> int:
    """Clips that are made."""
    cells, curves = len(list(_cells())), (len(EMOTIONS) - 1) * len(STEPS)
    amplitudes = sum(len(values) * (portraits if k == "blink" else 1) for k, (values, *_) in AMPLITUDES.items())
    return 2 + portraits * (cells + len(EMOTIONS) + curves) + prompts + len(PAIRS) * len(STEPS) + amplitudes


def _cells() -> Iterator[tuple[str, int]]:
    """Every emotion at every level; neutral has none."""
    for label in EMOTIONS:
        yield from ((label, level) for level in (range(len(LEVELS)) if label != "neutral" else (0,)))


def _share(kinds: Sequence[str], seen: Sequence[str], kind: str, asked: Sequence[str] = ()) -> float:
    """Accuracy over the clips of one kind; the kinds are the labels themselves where no others are given."""
    rows = [(a, s) for k, a, s in zip(kinds, asked or kinds, seen, strict=True) if k == kind]
    return accuracy([a for a, _ in rows], [s for _, s in rows])


def _lip_losses(sync: dict[str, list[tuple[float, float, float]]]) -> dict[str, Any]:
    """LSE-C and the mouth's correlation of every emotion below neutral's; on top those of the worst emotion.

    The third value is the same correlation of true frames: what the ruler itself loses with an emotion.
    """
    means = {label: np.nanmean(np.array(values), axis=0) for label, values in sync.items()}
    lost = {label: means["neutral"] - mean for label, mean in means.items() if label != "neutral"}
    return {
        "lse_c_loss": max(float(loss[0]) for loss in lost.values()),
        "mouth_correlation_loss": max(float(loss[1]) for loss in lost.values()),
        "mouth_correlation_loss_ground_truth": max(float(loss[2]) for loss in lost.values()),
        "lse_c_by_emotion": {label: float(mean[0]) for label, mean in means.items()},
        "mouth_correlation_by_emotion": {label: float(mean[1]) for label, mean in means.items()},
        "mouth_correlation_truth_by_emotion": {label: float(mean[2]) for label, mean in means.items()},
    }


def _curve_figures(
    intensity: dict[str, Curve], blends: dict[str, Curve], amplitudes: dict[str, tuple[Curve, str]]
) -> dict[str, Any]:
    results: dict[str, Any] = {}
    for name, curves in (("intensity", intensity), ("blend", blends)):
        ranks = [curve.spearman for curve in curves.values()]
        results |= {f"{name}_spearman": float(np.mean(ranks)), f"{name}_spearman_least": min(ranks)}
        results[f"{name}_curves"] = {key: asdict(curve) for key, curve in curves.items()}
    results["amplitude_spearman"] = {name: curve.spearman for name, (curve, _) in amplitudes.items()}
    results["amplitude_curves"] = {name: {**asdict(c), "unit": unit} for name, (c, unit) in amplitudes.items()}
    return results
