"""What the corpus draws how often, as the tables of `docs/corpus.md`: people and looks of heads, and what clips hold.

    python bench/corpus_counts.py [--heads FOLDER] [--n-heads 4000] [--n-clips 400]

Nothing is rendered. Needs the anatomy, and espeak-ng for the clips.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from eadnet_core.corpus.clips import draw_head_seed, write_script
from eadnet_core.corpus.mouth import lip_gap
from eadnet_core.corpus.speech import SpeechBank
from eadnet_core.corpus.stage import tone_of
from eadnet_core.heads.anatomy import Anatomy
from eadnet_core.heads.identity import Person, draw_person
from eadnet_core.heads.looks import BALD, Looks, draw_looks
from eadnet_core.taxonomy import LEVELS

AGES = ("young", "middle", "old")
N_FRAMES = 75


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--heads", type=Path)
    parser.add_argument("--n-heads", type=int, default=4000)
    parser.add_argument("--n-clips", type=int, default=400)
    args = parser.parse_args()
    anatomy = Anatomy.open(args.heads)
    print_people([draw_head(anatomy, number) for number in range(args.n_heads)])
    print_clips(args.n_clips)


def draw_head(anatomy: Anatomy, number: int) -> tuple[Person, Looks]:
    """Who a training head is, as `heads.head.Head` draws it."""
    seed = draw_head_seed(np.random.default_rng([0, number]), "train")
    person = draw_person(np.random.default_rng([seed, 0]))
    return person, draw_looks(np.random.default_rng([seed, 1]), anatomy, person)


def print_people(heads: list[tuple[Person, Looks]]) -> None:
    print(f"Of {len(heads)} heads, per cent:\n\n| what | share |\n|---|---|")
    row("sex", ("male" if person.is_male else "female" for person, _ in heads))
    row("age, thirds of the scale", (AGES[min(2, int(3 * person.age))] for person, _ in heads))
    row("largest share of ancestry", (person.nearest for person, _ in heads))
    row("skin tone", (tone_of(looks.tone) for _, looks in heads))
    for sex in (False, True):
        of_sex = (tone_of(looks.tone) for person, looks in heads if person.is_male is sex)
        row(f"skin tone of {'men' if sex else 'women'}", of_sex)
    row("hair", ("bald" if looks.hair == BALD else looks.hair for _, looks in heads))
    row("glasses", (("glasses" if looks.rims is not None else "none") for _, looks in heads))
    row("hat", (("hat" if looks.hat is not None else "none") for _, looks in heads))
    row("beard", (hair_on(looks) for person, looks in heads if person.is_male))
    row("make-up of women", ("some" if looks.lipstick[3] > 0 else "none" for p, looks in heads if not p.is_male))
    row("freckles", ("some" if looks.freckles > 0 else "none" for _, looks in heads))


def hair_on(looks: Looks) -> str:
    """What grows in a man's face."""
    if looks.beard > 0:
        return "beard"
    return "moustache" if looks.moustache > 0 else "stubble" if looks.stubble > 0 else "shaven"


def print_clips(n_clips: int) -> None:
    speech = SpeechBank(0, max(8, n_clips // 4), "train")
    scripts = [write_script(seed, n_frames=N_FRAMES, split="train", speech=speech) for seed in range(n_clips)]
    print(f"\nOf {n_clips} clips of 3 s, per cent:\n\n| what | share |\n|---|---|")
    row("emotion", (script.emotion for script in scripts))
    row("level, without neutral", (LEVELS[script.level] for script in scripts if script.level >= 0))
    row("one emotion throughout", ("yes" if script.is_pure else "blended or changing" for script in scripts))
    row("sound", ("speech" if script.phonemes else "silence" for script in scripts))
    gaps = [np.percentile(lip_gap(script.states), (5, 95)) for script in scripts if script.phonemes]
    amplitude = np.array([high - low for low, high in gaps])
    low, middle, high = np.percentile(amplitude, (10, 50, 90))
    print(f"| lip amplitude, eye distances: 10th, 50th, 90th percentile | {low:.2f}, {middle:.2f}, {high:.2f} |")
    states = np.concatenate([np.degrees(script.motion[:, :3]) for script in scripts])
    print("| yaw, pitch, roll against the reference, standard deviation | " + spread(states) + " |")


def spread(angles: np.ndarray) -> str:
    return ", ".join(f"{value:.1f}°" for value in angles.std(0))


def row(name: str, values: Iterable[str]) -> None:
    counts = Counter(values)
    total = sum(counts.values())
    print(f"| {name} | " + ", ".join(f"{key} {100 * n / total:.0f}" for key, n in counts.most_common()) + " |")


if __name__ == "__main__":
    main()
