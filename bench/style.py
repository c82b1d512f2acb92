"""Styles of speakers, measured: how they are recovered, what the knobs do, and what they cost the lips.

    python bench/style.py [--model mini] [--clips 12] [--people 24]
    python bench/style.py --pictures [--split train]    only how styles are read off drawn clips; needs the anatomy

Held-out clips that ship are made anew in styles; for the recovery espeak-ng speaks. Nothing is rendered but for
`--pictures`.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace

import numpy as np
import torch

from eadnet_core.config import FPS, SAMPLE_RATE_HZ
from eadnet_core.corpus.clips import film
from eadnet_core.corpus.styles import draw_traits, in_style
from eadnet_core.evaluation.clips import Bench
from eadnet_core.evaluation.controls import judge_controls
from eadnet_core.evaluation.heldout import Clip, draw_cases
from eadnet_core.evaluation.shipped import SEED, read_shipped
from eadnet_core.evaluation.style import draw_scripts, found_among, recover, spearman
from eadnet_core.families.family import with_model_defaults
from eadnet_core.families.load import load_model
from eadnet_core.families.mini import MiniScene
from eadnet_core.generation.animation import Animation
from eadnet_core.media.sound.audio import Audio, frame_energy
from eadnet_core.media.sound.speech import hear
from eadnet_core.motion.generate import generate_motion
from eadnet_core.motion.style import EVERYBODY, Style, Traits
from eadnet_core.perception.style import as_seen, misread_style_of, style_of
from eadnet_core.request import GenerateOptions
from eadnet_core.taxonomy import CONTROLS, TRAITS
from eadnet_core.weights.experts import load_experts, load_reference_reader, load_style_reader

VIVIDNESS = (0.0, 0.5, 1.0, 2.0)
ASKED = (-2.0, 0.0, 2.0)
SEEDS = range(64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--people", type=int, default=24)
    parser.add_argument("--pictures", action="store_true")
    parser.add_argument("--split", default="heldout", help="of the clips of --pictures (default: heldout)")
    args = parser.parse_args()
    if args.pictures:
        off_pictures(args)
        return
    scripts = draw_scripts(96, 7, 96)
    for seed in range(3):
        print(f"recovered, seed {seed}: {asdict(recover(load_style_reader(args.model), scripts, seed, args.people))}")
    heads(np.stack([script.codes for script in scripts]), [script.samples for script in scripts])
    bench = Bench(load_model(args.model, "cpu", "auto"), load_experts("cpu", args.model), SEED)
    groups = [[case for case in group if case.is_main] for group in draw_cases(args.clips, SEED)]
    clips = [clip for group in read_shipped(groups, bench.model.config.size_px) for clip in group]
    traits(bench, clips[:4])
    knob(bench, clips)


def off_pictures(args: argparse.Namespace) -> None:
    """How styles are read off drawn clips of 5 s, beside the same clips' true controls; two of each person.

    Each clip shows another head: nothing but manner tells who somebody is. The lines that lead from what was read to
    the truth are fitted on these very clips: those of the training heads are the ones in `perception/style.py`.
    """
    rng, encoder, reader = np.random.default_rng(5), load_style_reader(args.model), load_reference_reader(args.model)
    scripts = draw_scripts(2 * args.people, 11, split=args.split)
    people = [draw_traits(rng) for _ in range(args.people)]
    truth = np.repeat([who.vector for who in people], 2, 0)
    found = dict[str, list[Style]]({"true controls": [], "pictures": [], "pictures, by the lines": []})
    for number, script in enumerate(scripts):
        styled = in_style(script, people[number // 2], rng)
        sound, frames = Audio(styled.samples, len(styled.samples), SAMPLE_RATE_HZ), film(styled).frames
        energy = frame_energy(styled.samples, len(frames)) * hear(sound).over(len(frames))
        read = misread_style_of(frames.__iter__, FPS, sound, encoder, reader)[0]
        made = style_of(styled.controls, styled.motion, energy, encoder), read, as_seen(read)
        for styles, style in zip(found.values(), made, strict=True):
            styles.append(style)
        print(f"{number + 1} of {len(scripts)}", flush=True)
    for name, styles in found.items():
        mean, sd = (np.stack([getattr(one, key) for one in styles]) for key in ("mean", "sd"))
        right, surprise = found_among(styles[1::2], styles[::2]), float(np.square((mean - truth) / sd).mean())
        print(f"{name}: the right one of {args.people} {right:.2f}, square error in units of the spread {surprise:.2f}")
        for i, trait in enumerate(TRAITS):
            error, line = np.square(mean[:, i] - truth[:, i]).mean(), "always the same"
            if np.ptp(mean[:, i]):
                slope, offset = np.polyfit(mean[:, i], truth[:, i], 1)
                spread = np.std(truth[:, i] - offset - slope * mean[:, i])
                rank = spearman(mean[:, i], truth[:, i])
                line = f"Spearman {rank:.2f}, line ({offset:.2f}, {slope:.2f}, {spread:.2f})"
            print(f"  {trait}: square error {error:.2f}, {line}")


def heads(codes: np.ndarray, samples: list[np.ndarray]) -> None:
    """Variance of head and eyes by vividness: mean over seeds, and in how many of them it rises all the way."""
    energy = [frame_energy(one, codes.shape[1]) for one in samples]
    table = np.zeros((len(SEEDS), len(VIVIDNESS), 2))
    for seed in SEEDS:
        for i, vividness in enumerate(VIVIDNESS):
            made = generate_motion(
                energy[seed], codes[seed], np.random.default_rng(seed), traits=EVERYBODY.drawn(vividness, seed)
            )
            table[seed, i] = made[:, :3].var(0).sum(), made[:, 6:].var(0).sum()
    rises = (np.diff(table, axis=1) >= 0).all(1).mean(0)
    print(
        f"vividness {VIVIDNESS}: head variance {table[..., 0].mean(0) / table[:, 0, 0].mean()}, rises in {rises[0]:.2f}"
    )
    print(f"                 gaze variance {table[..., 1].mean(0) / table[:, 0, 1].mean()}, rises in {rises[1]:.2f}")


def controls_of(bench: Bench, clip: Clip, style: Traits | None) -> np.ndarray:
    """What a clip's face does in a style, [T, 28]."""
    options = with_model_defaults(bench.model, GenerateOptions())
    performance, own = bench.performance(clip, *bench.model.reader.read([clip.prompt]), options)
    performance = replace(performance, style=None if style is None else style.vector)
    run = Animation(bench.model, clip.truth.reference, performance, own, is_decoded=False)
    scene = run.stage.scene
    assert isinstance(scene, MiniScene)
    with torch.inference_mode():
        return torch.cat([scene.controls(part.x0, part.view) for part in run]).numpy()


def traits(bench: Bench, clips: list[Clip]) -> None:
    """What each trait of the face does to it: brows where they are most stressed, smile, spread of the jaw."""
    shown = {"brows": ("AU2", "AU4"), "smile": ("AU12", "AU15"), "lips": ("jaw",)}
    measures = {"brows": lambda x: np.quantile(x, 0.95), "smile": np.mean, "lips": np.std}
    print(f"| trait | control | {' | '.join(f'{value:+g}' for value in ASKED)} |")
    for name, controls in shown.items():
        made = [[controls_of(bench, clip, Traits(**{name: value})) for clip in clips] for value in ASKED]
        for control in controls:
            column = CONTROLS.index(control)
            row = [np.mean([measures[name](one[:, column]) for one in each]) for each in made]
            print(f"| {name} | {control} | {' | '.join(f'{value:.3f}' for value in row)} |")


def knob(bench: Bench, clips: list[Clip]) -> None:
    """What vividness costs the lips: figures of the same clips."""
    options = with_model_defaults(bench.model, GenerateOptions())
    for vividness in VIVIDNESS:
        figures = asdict(judge_controls(bench, clips, replace(options, style_vividness=vividness)))
        print(f"vividness {vividness}: " + ", ".join(f"{name} {value:.3f}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
