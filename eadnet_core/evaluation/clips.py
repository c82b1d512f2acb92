"""How good a model is on clips it has never seen: `eadnet evaluate`.

A held-out clip is generated from its portrait, its sound, a prompt as an artist would type it, and its true track of
head pose, blinks and gaze: the voice alone does not determine those, and without them no clip could be compared with
the truth frame by frame. Every figure stands beside what the same ruler reads on the truth, on the truth passed through
the VAE, and on the portrait standing still. Lip sync is read by a net trained apart from all that supervises or guides.
Emotion is read as generation reads portraits, so that it compares models and is no independent judgement
(`metrics.emotion`).
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..config import FPS, SAMPLE_RATE_HZ
from ..emotion.code import Emotion
from ..emotion.track import EmotionTrack, Keyframe
from ..errors import BadInput
from ..families.family import Model, sampler_options, with_model_defaults
from ..families.load import family_of, load_model
from ..families.mini import Head, MiniModel
from ..families.performance import Performance
from ..generation.animation import animate
from ..generation.output import write_video
from ..generation.pipeline import prepare
from ..generation.plan import plan
from ..media.face.subject import training_frame
from ..media.image import read_image
from ..media.sound.audio import Audio
from ..media.sound.speech import hear
from ..metrics.compare import Measures, measure, summarise
from ..metrics.emotion import accuracy, confusion, intensity_order, read_emotion
from ..metrics.motion import difference
from ..metrics.report import json_values
from ..metrics.table import HEADLINES, format_table, missed
from ..request import GenerateOptions
from ..sampling import windows
from ..taxonomy import EMOTIONS, LEVELS
from ..weights.experts import Experts, load_experts
from ..weights.folders import ASSETS, find_model
from .command_cost import measure_command
from .heldout import CLIPS_PER_GROUP, Case, Clip, draw_cases, with_emotional_references, with_length
from .shipped import check_shipped, has_anatomy, open_clips

SECTIONS = ("sync_guidance", "emotional_references", "long_clips")
"""Further comparisons that can be asked for."""
CEILINGS = ("ground_truth", "vae_reconstruction", "static_reference")
LONG_FRAMES = 250
SYNC_GUIDANCE = 0.2
"""Strength that is compared with none, where the options have it off."""
BLOCK_FRAMES = 32
COST_THREADS = 2
COST_PROMPT = "she has just won and cannot stop smiling"

OnProgress = Callable[[int, int], None]
"""(clips done, clips in all)"""


@dataclass
class Tally:
    """What the clips of one run said. Lists run over the main clips; the key is a version, generated or a ceiling."""

    measures: dict[str, list[Measures]] = field(default_factory=dict)
    levels: list[int] = field(default_factory=list)
    prompts: list[tuple[str, str]] = field(default_factory=list)
    """(asked label, label read from the prompt)"""
    intensities: dict[str, dict[int, dict[int, float]]] = field(default_factory=dict)
    """By version, clip seed and level."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time of generation by version."""
    jitter: dict[str, np.ndarray] = field(default_factory=dict)
    """By version: second difference of every inner frame, summed over clips."""
    n_frames: int = 0

    def add(self, version: str, clip: Clip, frames: np.ndarray, experts: Experts) -> None:
        """Measure one version of a clip; of one that is not main, only how intense it looks."""
        case = clip.case
        if case.is_main:
            measures = measure(frames, clip.truth, experts)
            self.measures.setdefault(version, []).append(measures)
            self.jitter[version] = self.jitter.get(version, 0.0) + difference(frames)
            intensity = measures.intensity
        else:
            intensity = read_emotion(frames, experts.reader).intensity
        self.intensities.setdefault(version, {}).setdefault(case.seed, {})[case.level] = intensity

    def summary(self, version: str) -> dict[str, float]:
        """Means over the main clips; with the order of intensities where all levels were made."""
        summary = summarise(self.measures[version], self.measures["ground_truth"])
        rows = [by_level for by_level in self.intensities[version].values() if len(by_level) == len(LEVELS)]
        summary["intensity_order"] = intensity_order([[row[i] for i in range(len(LEVELS))] for row in rows])
        return summary


@dataclass(frozen=True)
class Bench:
    """A model, what reads its clips, and where the clips come from."""

    model: Model
    experts: Experts
    seed: int
    heads: Path | None = None

    def run(
        self, groups: Sequence[Sequence[Case]], variants: Mapping[str, GenerateOptions], on_clip: Callable[[], None]
    ) -> Tally:
        """Draw, generate and measure the clips of all groups; main ones once for each variant, others for the first."""
        tally = Tally()
        for clips in open_clips(groups, self.seed, self.model.config.size_px, self.heads):
            for clip, reading in zip(clips, self.model.reader.read([clip.prompt for clip in clips]), strict=True):
                self._judge(tally, clip, reading, variants)
                on_clip()
        return tally

    def _judge(self, tally: Tally, clip: Clip, reading: Emotion, variants: Mapping[str, GenerateOptions]) -> None:
        truth, is_main = clip.truth, clip.case.is_main
        for name, options in variants.items() if is_main else list(variants.items())[:1]:
            began = time.perf_counter()
            frames = self.generate(clip, reading, options)
            tally.seconds[name] = tally.seconds.get(name, 0.0) + (time.perf_counter() - began) * is_main
            tally.add(name, clip, frames, self.experts)
        ceilings = (truth.frames, self.reconstruct(clip), np.repeat(truth.reference[None], len(truth.frames), 0))
        for name, frames in zip(CEILINGS, ceilings, strict=True):
            tally.add(name, clip, frames, self.experts)
        if is_main:
            tally.n_frames += len(truth.frames)
            tally.levels.append(clip.case.level)
            tally.prompts.append((truth.emotion, reading.label))

    def generate(self, clip: Clip, reading: Emotion, options: GenerateOptions) -> np.ndarray:
        """The clip as the model makes it, uint8 [T, H, W, 3], each with noise of its own."""
        performance, own = self.performance(clip, reading, options)
        return np.concatenate([frames for _, frames in animate(self.model, clip.truth.reference, performance, own)])

    def performance(
        self, clip: Clip, reading: Emotion, options: GenerateOptions
    ) -> tuple[Performance, GenerateOptions]:
        """What the model is asked for in a clip, and the options that it is made with."""
        truth, own = clip.truth, replace(options, seed=(options.seed + clip.case.seed) % 2**63)
        sound = Audio(truth.samples, len(truth.samples), SAMPLE_RATE_HZ)
        speech = hear(sound, has_speech_gate=options.has_speech_gate)
        track = EmotionTrack((Keyframe(0.0, reading.text, code=tuple(reading.code)),))
        subject, n_frames = training_frame(truth.reference), len(truth.frames)
        planned = plan(self.model, subject, speech, track, own, n_frames=n_frames, motion=clip.motion)
        return planned.performance, own

    def reconstruct(self, clip: Clip) -> np.ndarray:
        """The reference picture moved by the true controls: the best that any denoiser could do."""
        assert isinstance(self.model, MiniModel)
        head, blocks, device = Head(self.model, clip.truth.reference[None]), [], self.model.device
        with torch.inference_mode():
            for start in range(0, len(clip.truth.frames), BLOCK_FRAMES):
                part = slice(start, start + BLOCK_FRAMES)
                controls, motion = (torch.from_numpy(np.asarray(x[part])) for x in (clip.controls, clip.motion))
                blocks.append(head.decode(controls.to(device), motion.to(device)))
        return np.concatenate(blocks)


def evaluate(
    model_name: str = "mini",
    clips: int = 48,
    seed: int = 0,
    options: GenerateOptions | None = None,
    progress: OnProgress | None = None,
    sections: Collection[str] = (),
    device: str = "auto",
    heads: Path | None = None,
) -> dict[str, Any]:
    """Generate held-out clips of 3 s and score them. Returns JSON values with the keys of `table.HEADLINES` on top.

    clips      a multiple of 4; half as many again are generated to compare levels of intensity
    options    default: those of `eadnet generate`
    sections   any of SECTIONS
    heads      folder of the anatomy that clips are drawn with; without any, the clips that ship are read
    Raises BadInput for a wrong number of clips, an unknown section, clips that do not ship where none can be drawn, or
    without espeak-ng; CheckpointError without the model or what reads its clips.
    """
    if clips < CLIPS_PER_GROUP or clips % CLIPS_PER_GROUP:
        raise BadInput(f"clips is {clips}; give a multiple of {CLIPS_PER_GROUP}, at least {CLIPS_PER_GROUP}.")
    if unknown := sorted(set(sections) - set(SECTIONS)):
        raise BadInput(f"Unknown section '{unknown[0]}'; give any of {', '.join(SECTIONS)}.")
    if not family_of(find_model(model_name)).is_evaluated:
        raise BadInput(
            f"'{model_name}' is a base: it changes lips in pictures of people, and what is held out here are rendered "
            "heads whose whole face is made. Score its videos with eadnet score."
        )
    groups = draw_cases(clips, seed)
    emotional = with_emotional_references(groups, seed)[: -(-len(groups) // 2)] if SECTIONS[1] in sections else []
    long = with_length(groups, LONG_FRAMES)[: -(-len(groups) // 6)] if SECTIONS[2] in sections else []
    if not has_anatomy(heads):
        check_shipped([*groups, *emotional, *long], seed)
    bench = Bench(load_model(model_name, device, "auto"), load_experts(device, model_name), seed, heads)
    options = with_model_defaults(bench.model, options or GenerateOptions())
    total = sum(len(group) for run in (groups, emotional, long) for group in run)
    on_clip = counter(total, progress)
    variants = {"generated": options}
    if "sync_guidance" in sections:
        variants["other"] = replace(options, sync_guidance=0.0 if options.sync_guidance > 0 else SYNC_GUIDANCE)
    tally = bench.run(groups, variants, on_clip)
    results = {"model": model_name, "seed": seed, "clips": clips, "options": asdict(options), **_main(tally)}
    results["clips_are"] = "drawn" if has_anatomy(heads) else "shipped"
    results |= cost(bench.model, options)
    if "sync_guidance" in sections:
        results["sync_guidance"] = _sync_guidance(tally, variants)
    if emotional:
        results["emotional_references"] = _versions(bench.run(emotional, {"generated": options}, on_clip))
    if long:
        results["long_clips"] = _long(bench.run(long, {"generated": options}, on_clip), bench.model, options)
    return json_values(results)


def cost(model: Model, options: GenerateOptions) -> dict[str, float]:
    """Seconds per second of video and peak memory, on the shipped sample and two threads.

    The seconds are those of all stages but loading, from reading the files to the finished one, of a portrait of the
    model's own size, in a process that has made a clip before; the memory is that of a fresh `eadnet generate` of the
    sample as it is, with everything it starts.
    """
    sample = ASSETS / "sample"
    size, threads = model.config.size_px, torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        portrait, output = Path(folder) / "portrait.png", Path(folder) / "clip.mp4"
        Image.fromarray(read_image(sample / "portrait.png")).resize((size, size)).save(portrait)
        torch.set_num_threads(COST_THREADS)
        try:
            for _ in range(2):
                generation = prepare(portrait, sample / "speech.wav", COST_PROMPT, options, model=model)
                write_video(generation, output, overwrite=True)
        finally:
            torch.set_num_threads(threads)
        command = [sys.executable, "-m", "eadnet_core", "generate", "--output", str(Path(folder) / "again.mp4")]
        command += ["--portrait", str(sample / "portrait.png"), "--audio", str(sample / "speech.wav")]
        command += ["--emotion", COST_PROMPT, "--model", str(model.folder), "--device", str(model.device)]
        fresh = measure_command(command, COST_THREADS)
    return {"seconds_per_second": generation.report.seconds_per_second, "peak_memory_gb": fresh.peak_memory_gb}


def counter(total: int, progress: OnProgress | None) -> Callable[[], None]:
    """What is called after each of `total` clips, and tells `progress` how many are done."""
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    return count


def _versions(tally: Tally) -> dict[str, Any]:
    """The summary of the generated clips and of every ceiling, by version."""
    return {version: tally.summary(version) for version in ("generated", *CEILINGS)}


def _main(tally: Tally) -> dict[str, Any]:
    versions = _versions(tally)
    generated, static = versions["generated"], versions["static_reference"]
    for summary in versions.values():
        summary["psnr_gain_over_static"] = summary["psnr"] - static["psnr"]
    flat = {key: generated[key] for key in HEADLINES if key in generated}
    flat["emotion_accuracy_ground_truth"] = versions["ground_truth"]["emotion_accuracy"]
    asked, read = zip(*[(m.asked_emotion, m.emotion) for m in tally.measures["generated"]], strict=True)
    return {
        **flat,
        "prompt_accuracy": accuracy(*zip(*tally.prompts, strict=True)),
        "versions": versions,
        "accuracy_by_emotion": {name: _accuracies(tally, _where(asked, name)) for name in EMOTIONS},
        "accuracy_by_level": {
            name: _accuracies(tally, [i for i in _where(tally.levels, level) if asked[i] != "neutral"])
            for level, name in enumerate(LEVELS)
        },
        "confusion": confusion(asked, read),
        "animate_seconds_per_second": tally.seconds["generated"] * FPS / tally.n_frames,
    }


def _where(values: Sequence[Any], wanted: Any) -> list[int]:
    return [i for i, value in enumerate(values) if value == wanted]


def _accuracies(tally: Tally, clips: Sequence[int]) -> dict[str, float]:
    """Emotion accuracy over some of the clips, by version."""
    chosen = {version: [measures[i] for i in clips] for version, measures in tally.measures.items()}
    return {
        version: accuracy([m.asked_emotion for m in measures], [m.emotion for m in measures])
        for version, measures in chosen.items()
        if version in ("generated", "ground_truth")
    }


def _sync_guidance(tally: Tally, variants: Mapping[str, GenerateOptions]) -> dict[str, Any]:
    """The same clips with and without SyncNet guidance: quality and cost."""
    compared = {}
    for version, options in variants.items():
        name = "on" if options.sync_guidance > 0 else "off"
        compared[name] = {
            "strength": options.sync_guidance,
            **tally.summary(version),
            "animate_seconds_per_second": tally.seconds[version] * FPS / tally.n_frames,
        }
    return compared


def _long(tally: Tally, model: Model, options: GenerateOptions) -> dict[str, Any]:
    """Clips longer than a window, and whether the borders of the last step's windows show in the jitter."""
    generated, true = (tally.jitter[version] for version in ("generated", "ground_truth"))
    by_frame = generated / np.maximum(true.mean(), 1e-9)
    last = windows.plan(LONG_FRAMES, model.config.denoiser.window_frames, sampler_options(model, options).steps - 1)
    borders = np.zeros(LONG_FRAMES, bool)
    for window in last[1:]:
        borders[window.start - 1 : window.start + 1] = True
    inner = borders[1:-1]
    return {
        "versions": _versions(tally),
        "jitter_by_frame": np.round(by_frame, 4),
        "jitter_at_window_borders": float(by_frame[inner].mean() / by_frame[~inner].mean()),
        "true_jitter_at_window_borders": float(true[inner].mean() / true[~inner].mean()),
    }


__all__ = ["SECTIONS", "Bench", "Tally", "cost", "evaluate", "format_table", "missed"]
