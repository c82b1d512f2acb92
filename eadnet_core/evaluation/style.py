"""Whether styles of unseen speakers are recovered: of each trait how much, and who is found among many.

People, voices, sentences and emotions are held out; a style is drawn independently of all of them, so that nothing but
manner tells who somebody is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..corpus.clips import ClipScript, write_script
from ..corpus.speech import SpeechBank
from ..corpus.styles import draw_traits, in_style
from ..media.sound.audio import frame_energy
from ..motion.observed import PART_FRAMES
from ..motion.style import Style, likeness, together
from ..nets.style import StyleEncoder
from ..perception.style import style_of
from ..taxonomy import TRAITS

PEOPLE = 24
KNOWN_CLIPS = 8
"""Clips of 5 s from which each is known; one more is asked of."""


@dataclass(frozen=True)
class Recovered:
    """How well styles are read off 5 s.

    found         share of clips that are given to the right one of `n_people`, each known from KNOWN_CLIPS clips
    found_by_one  the same where each is known from a single clip
    correlation   by trait: Spearman's with the truth, of single clips
    surprise      mean square of the error in standard deviations; 1: as sure as it should be
    """

    n_people: int
    n_clips: int
    found: float
    found_by_one: float
    correlation: dict[str, float]
    surprise: float


def draw_scripts(
    n: int, seed: int, n_utterances: int = 48, n_frames: int = PART_FRAMES, split: str = "heldout"
) -> list[ClipScript]:
    """Clips of 5 s in which somebody speaks, as the average person says them."""
    speech = SpeechBank(seed, n_utterances, split)
    found: list[ClipScript] = []
    number = 0
    while len(found) < n:
        script = write_script(1_000_000 * (seed + 1) + number, n_frames=n_frames, split=split, speech=speech)
        found += [script] if script.phonemes else []
        number += 1
    return found


def recover(encoder: StyleEncoder, scripts: Sequence[ClipScript], seed: int, n_people: int = PEOPLE) -> Recovered:
    """Read the styles of people who perform some of the scripts each."""
    rng = np.random.default_rng([seed, 41])
    people = [draw_traits(rng) for _ in range(n_people)]
    styles: list[list[Style]] = []
    for who in people:
        chosen = rng.choice(len(scripts), KNOWN_CLIPS + 1, replace=False)
        styles.append([_read(in_style(scripts[i], who, rng), encoder) for i in chosen])
    known = [together([(one.mean, one.sd) for one in each[:-1]]) for each in styles]
    asked = [each[-1] for each in styles]
    truth = np.repeat([who.vector for who in people], KNOWN_CLIPS + 1, 0)
    every = [one for each in styles for one in each]
    mean, sd = np.stack([one.mean for one in every]), np.stack([one.sd for one in every])
    return Recovered(
        n_people,
        len(every),
        found_among(asked, known),
        float(np.mean([found_among(asked, [each[i] for each in styles]) for i in range(KNOWN_CLIPS)])),
        {name: spearman(mean[:, i], truth[:, i]) for i, name in enumerate(TRAITS)},
        float(np.square((mean - truth) / sd).mean()),
    )


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of ranks.

    >>> spearman(np.array([1.0, 2.0, 9.0]), np.array([0.1, 0.2, 0.3]))
    1.0
    """
    one, other = (np.argsort(np.argsort(values)).astype(float) for values in (a, b))
    return round(float(np.corrcoef(one, other)[0, 1]), 12)


def _read(script: ClipScript, encoder: StyleEncoder) -> Style:
    energy = frame_energy(script.samples, len(script.states))
    return style_of(script.controls, script.motion, energy, encoder)


def found_among(asked: Sequence[Style], known: Sequence[Style]) -> float:
    """Share of the asked that are most like the known one of the same number."""
    nearest = [int(np.argmax([likeness(one, other) for other in known])) for one in asked]
    return float(np.mean(np.array(nearest) == np.arange(len(asked))))
