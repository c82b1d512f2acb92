"""How good a model is for whom: held-out heads by skin tone and sex, as many of each, `eadnet evaluate --people N`.

Heads are drawn until each of six kinds (a tone and a sex) has its number. Each speaks in one clip, by a voice of its
own. Within a kind emotions follow one another, so that every kind shows every emotion about as often.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BadInput
from ..families.family import with_model_defaults
from ..families.load import load_model
from ..heads.anatomy import Anatomy
from ..media.face.controls import read_controls
from ..metrics.compare import SHARP_EVERY, sharp_regions
from ..metrics.face import correlation, face_track, lid_closure
from ..metrics.fidelity import psnr
from ..metrics.followed import follow_face
from ..metrics.motion import ratio
from ..metrics.report import json_values
from ..request import GenerateOptions
from ..taxonomy import EMOTIONS, LEVELS
from ..weights.experts import load_experts
from .clips import Bench, OnProgress, counter
from .heldout import CLIP_FRAMES, Case, Clip
from .shipped import open_clips

SEXES = ("female", "male")
FIGURES = ("psnr_gain", "mouth_correlation", "blink_correlation", "sharp_mouth", "sharp_eyes")
"""What is compared; see `judge`."""
MOST_BELOW = 0.1
"""Share of the mean by which a group's figure may fall short."""
_MOST_DRAWN = 200
"""Heads that are looked at for each that is wanted; dark tones are the rarest, a tenth for each sex."""


@dataclass(frozen=True)
class Group:
    """Heads that share a tone or a sex.

    mean, spread  of each of `FIGURES` over heads: mean and standard deviation
    """

    n_heads: int
    mean: dict[str, float]
    spread: dict[str, float]


def evaluate_people(
    model_name: str = "mini",
    n_heads: int = 8,
    seed: int = 0,
    device: str = "auto",
    heads: Path | None = None,
    progress: OnProgress | None = None,
    n_frames: int = CLIP_FRAMES,
) -> dict[str, Any]:
    """Generate a clip for `n_heads` held-out heads of each tone and sex; JSON values of `compare_groups`.

    heads  folder of the anatomy that they are drawn with
    Raises BadInput for less than one head, without the anatomy or espeak-ng, or for a model that is not evaluated;
    CheckpointError without the model or what reads its clips.
    """
    if n_heads < 1:
        raise BadInput(f"people is {n_heads}; give the number of heads of each skin tone and sex, at least 1.")
    anatomy = Anatomy.open(heads)
    model = load_model(model_name, device, "auto")
    if not model.family.is_evaluated:
        raise BadInput(f"'{model_name}' is a base, and what is held out here are rendered heads. Give a mini.")
    bench = Bench(model, load_experts(device, model_name), seed, heads)
    drawn = list(draw_people(n_heads, seed, model.config.size_px, anatomy))
    cases = people_cases(drawn, seed, n_frames)
    options = with_model_defaults(model, GenerateOptions())
    on_clip, figures = counter(len(cases), progress), []
    for (clip,) in open_clips([[case] for case in cases], seed, model.config.size_px, heads):
        figures.append(judge(bench, clip, options))
        on_clip()
    people = [(tone, sex) for tone, sex, _ in drawn]
    return json_values({"model": model_name, "seed": seed, "heads": len(cases), **compare_groups(people, figures)})


def judge(bench: Bench, clip: Clip, options: GenerateOptions) -> dict[str, float]:
    """`FIGURES` of one clip that is generated.

    psnr_gain          PSNR of the whole frame above that of the still portrait, dB
    mouth_correlation  of the gap of the lips, by landmarks, with the true one
    blink_correlation  of the lids, by the reader of controls, with the true ones; nan where nobody blinks
    sharp_mouth, sharp_eyes  variance of the Laplacian there, of the truth's
    """
    (reading,) = bench.model.reader.read([clip.prompt])
    frames, truth = bench.generate(clip, reading, options), clip.truth
    points = list(follow_face(frames))
    made = sharp_regions(frames[::SHARP_EVERY], points[::SHARP_EVERY])
    few = truth.frames[::SHARP_EVERY]
    true = sharp_regions(few, list(follow_face(few)))
    still = np.broadcast_to(truth.reference, truth.frames.shape)
    lids = lid_closure(read_controls(frames, bench.experts.reader.vae).numpy())
    return {
        "psnr_gain": psnr(frames, truth.frames) - psnr(still, truth.frames),
        "mouth_correlation": correlation(face_track(points).opening, truth.mouth_opening),
        "blink_correlation": correlation(lids, truth.blink),
        **{f"sharp_{region}": ratio(made[region], true[region]) for region in made},
    }


def draw_people(n_heads: int, seed: int, size_px: int, anatomy: Anatomy) -> Iterator[tuple[str, str, int]]:
    """(tone, sex, identity seed) of `n_heads` held-out heads of each kind, in the order in which they are found."""
    from ..corpus.clips import draw_head_seed
    from ..corpus.stage import TONES, People
    from ..heads.head import Head
    from ..heads.stock import Stock

    stock, rng = Stock(anatomy, size_px), np.random.default_rng([seed, 4])
    left = {(tone, sex): n_heads for tone in TONES for sex in SEXES}
    for _ in range(_MOST_DRAWN * n_heads):
        identity_seed = int(rng.integers(2**31))
        person = People.of(Head(stock, draw_head_seed(np.random.default_rng([1, 1, identity_seed]), "heldout")))
        if left[person.tone, person.sex]:
            left[person.tone, person.sex] -= 1
            yield person.tone, person.sex, identity_seed
        if not any(left.values()):
            return
    missing = ", ".join(f"{n} {tone} {sex}" for (tone, sex), n in left.items() if n)
    raise BadInput(f"The anatomy has too few heads of some kinds ({missing} missing); ask for less than {n_heads}.")


def people_cases(drawn: Sequence[tuple[str, str, int]], seed: int, n_frames: int = CLIP_FRAMES) -> list[Case]:
    """A case for each head; within a kind, emotions follow one another, each kind from another one on."""
    rng, counts = np.random.default_rng([seed, 5]), dict[tuple[str, str], int]()
    cases = []
    for tone, sex, identity_seed in drawn:
        first = list(counts).index((tone, sex)) if (tone, sex) in counts else len(counts)
        number = first + counts.get((tone, sex), 0)
        counts[tone, sex] = counts.get((tone, sex), 0) + 1
        clip_seed, voice_seed = (int(value) for value in rng.integers(2**31, size=2))
        emotion, level = EMOTIONS[number % len(EMOTIONS)], (number + number // len(EMOTIONS)) % len(LEVELS)
        cases.append(Case(clip_seed, identity_seed, voice_seed, emotion, level, n_frames=n_frames))
    return cases


def compare_groups(people: Sequence[tuple[str, str]], figures: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Groups by tone and by sex, all heads together, and by each figure the group that has least of it.

    people   (tone, sex) of each head; `figures` what `judge` says of it
    returns  {"all": Group, "groups": {name: Group}, "least": {figure: {"group", "of_mean"}}} as plain values
    """
    names = sorted({name for who in people for name in who})
    groups = {name: _group([f for who, f in zip(people, figures, strict=True) if name in who]) for name in names}
    everyone = _group(figures)
    least = {}
    for figure in FIGURES:
        lowest = min(groups, key=lambda name: groups[name].mean[figure])
        least[figure] = {"group": lowest, "of_mean": groups[lowest].mean[figure] / everyone.mean[figure]}
    return {"all": asdict(everyone), "groups": {k: asdict(v) for k, v in groups.items()}, "least": least}


def _group(figures: Sequence[Mapping[str, float]]) -> Group:
    of = {name: np.array([one[name] for one in figures], float) for name in FIGURES}
    known = {name: values[np.isfinite(values)] for name, values in of.items()}
    means, spreads = (
        {name: float(how(values)) if len(values) else float("nan") for name, values in known.items()}
        for how in (np.mean, np.std)
    )
    return Group(len(figures), means, spreads)


def format_people(results: Mapping[str, Any]) -> str:
    """The results of `evaluate_people` as lines of text."""
    rows = {"all": results["all"], **results["groups"]}
    lines = [
        f"{results['model']}: {results['heads']} held-out heads, seed {results['seed']}; mean and spread over heads.",
        "",
        f"{'':10s}{'heads':>6s}" + "".join(f"{figure:>20s}" for figure in FIGURES),
    ]
    for name, group in rows.items():
        values = (f"{group['mean'][f]:.3f} +- {group['spread'][f]:.3f}" for f in FIGURES)
        lines.append(f"{name:10s}{group['n_heads']:6d}" + "".join(f"{value:>20s}" for value in values))
    lines.append("")
    for figure, found in results["least"].items():
        is_missed = " (asked for at least .9)" if found["of_mean"] < 1 - MOST_BELOW else ""
        lines.append(f"least {figure}: {found['group']}, {found['of_mean']:.2f} of the mean{is_missed}")
    return "\n".join(lines)
