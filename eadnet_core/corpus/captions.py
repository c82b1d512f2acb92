"""Words for a clip: a description of the face as a vision-language model would write it, and an artist's prompts.

The caption follows the action units that are really there, so a blend of two emotions is described by its features;
the wording is drawn at random from `wording`, in one of two splits that share no phrase.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..taxonomy import ACTION_UNITS, EMOTIONS, LEVELS
from . import wording

VISIBLE = 0.12
"""Action units below this are not mentioned."""
DEGREE_BOUNDS = (0.45, 0.75)
"""Strengths from which a feature is called medium and strong."""
CHANGE = 0.15
"""Relative change of total activity between first and last third from which a clip "grows" or "fades"."""
SCENE_SHARE_OF_LEVEL = (0.25, 1.0, 0.6)
"""How often a prompt of the level may be a scene: scenes tell little of a weak feeling."""


def write_caption(rng: np.random.Generator, emotion: str, level: int, action_units: ArrayLike, split: str) -> str:
    """One to three sentences on brows, eyes, cheeks, mouth and head, and on how they change.

    level         0 .. 2, or -1 for neutral
    action_units  [16] or [T, 16]  0 .. 1 in the order of taxonomy.ACTION_UNITS
    split         "train" or "heldout": the two share no phrase

    >>> write_caption(np.random.default_rng(2), "happy", 2, np.eye(16)[8], "train").partition(". ")[0]
    'This is somebody overjoyed'
    """
    _check(emotion, level, split)
    units = np.atleast_2d(np.asarray(action_units, dtype=np.float64))
    clauses = [_clause(rng, name, strength, split) for name, strength in _features(units.mean(axis=0))]
    clauses = [clauses[i] for i in sorted(rng.permutation(len(clauses))[: rng.integers(2, 6)])]
    if rng.random() < 0.4:
        clauses.append(_pick(rng, wording.HEADS[emotion][split]))
    if len(units) > 1 and rng.random() < 0.4:
        clauses.append(_pick(rng, wording.CHANGES[split][_change(units)]))
    sentences = []
    if rng.random() < 0.75:
        impression = _pick(rng, wording.IMPRESSIONS[split])
        subject, mood = _pick(rng, wording.SUBJECTS[split]), _pick(rng, _moods(emotion, level, split))
        sentences.append(_sentence(impression.format(subject=subject, mood=mood) + "."))
    for group in _groups(clauses, 2 if sentences else 3):
        sentences.append(_join(rng, group, split))
    return " ".join(sentences)


def write_prompts(
    rng: np.random.Generator, emotion: str, level: int, split: str, n_prompts: int = 2
) -> tuple[str, ...]:
    """Short prompts of the kind an artist would type, e.g. "slightly amused" or "furious, shouting at the referee".

    level  0 .. 2, or -1 for neutral;  split  "train" or "heldout"

    >>> write_prompts(np.random.default_rng(0), "sad", 2, "train")
    ('very sad, crying over a lost love', 'in despair')
    """
    _check(emotion, level, split)
    return tuple(_prompt(rng, emotion, level, split) for _ in range(n_prompts))


def _check(emotion: str, level: int, split: str) -> None:
    if emotion not in EMOTIONS or split not in wording.SPLITS or not -1 <= level < len(LEVELS):
        raise ValueError(f"no wording for emotion {emotion!r} at level {level} in split {split!r}")


def _prompt(rng: np.random.Generator, emotion: str, level: int, split: str) -> str:
    template = _pick(rng, wording.PROMPTS[split])
    if "{scene}" in template and rng.random() > (1.0 if emotion == "neutral" else SCENE_SHARE_OF_LEVEL[level]):
        template = wording.PROMPTS[split][0]
    mood = _pick(rng, _moods(emotion, level, split))
    if emotion != "neutral" and rng.random() < 0.4:
        adverb = _pick(rng, wording.ADVERBS[split][level])
        mood = f"{adverb} {_pick(rng, _moods(emotion, 1, split))}".strip()
    return template.format(mood=mood, scene=_pick(rng, wording.SCENES[emotion][split]))


def _moods(emotion: str, level: int, split: str) -> tuple[str, ...]:
    moods = wording.MOODS[emotion][split]
    return moods[0] if emotion == "neutral" else moods[level]


def _features(units: NDArray[np.float64]) -> list[tuple[str, float]]:
    """The features that a viewer would name, from brows to chin, with their strengths 0 .. 1."""
    au = {name: float(value) for name, value in zip(ACTION_UNITS, units, strict=True)}
    eyes = (
        "eyes_glare" if min(au["AU5"], au["AU7"]) > VISIBLE else "eyes_wide" if au["AU5"] > au["AU7"] else "eyes_narrow"
    )
    opening = max(au["AU25"], au["AU26"])
    found = [
        _brows(au),
        (eyes, max(au["AU5"], au["AU7"])),
        ("cheeks", au["AU6"]),
        ("nose", au["AU9"]),
        ("lip_up", au["AU10"]),
        ("smile_open" if opening > VISIBLE else "smile", au["AU12"]),
        ("smirk", au["AU14"]),
        ("corners_down", au["AU15"]),
        ("stretched", au["AU20"]),
        ("tight", au["AU23"]),
        ("chin", au["AU17"]),
    ]
    if au["AU12"] <= VISIBLE:
        found.append(("jaw_drop" if au["AU26"] > VISIBLE else "parted", opening))
    seen = [(name, strength) for name, strength in found if strength > VISIBLE]
    for part, at_rest in (("brows", "brows_rest"), ("eyes", "eyes_rest")):
        if not any(name.startswith(part) for name, _ in seen):
            seen.append((at_rest, 0.0))
    if not any(name in _MOUTH for name, _ in seen):
        seen.append(("mouth_rest", 0.0))
    return seen


_MOUTH = ("lip_up", "smile", "smile_open", "smirk", "corners_down", "stretched", "tight", "jaw_drop", "parted")


def _brows(au: dict[str, float]) -> tuple[str, float]:
    if au["AU4"] > max(au["AU1"], au["AU2"]):
        return "brows_down", au["AU4"]
    if au["AU4"] > VISIBLE and au["AU1"] > au["AU2"]:
        return "brows_worried", au["AU1"]
    return "brows_up", max(au["AU1"], au["AU2"])


def _change(units: NDArray[np.float64]) -> str:
    third = max(1, len(units) // 3)
    first, last = units[:third].sum(axis=1).mean(), units[-third:].sum(axis=1).mean()
    relative = (last - first) / max(first, last, 0.5)
    return "grows" if relative > CHANGE else "fades" if relative < -CHANGE else "steady"


def _clause(rng: np.random.Generator, name: str, strength: float, split: str) -> str:
    degree = _pick(rng, wording.DEGREES[split][sum(strength >= bound for bound in DEGREE_BOUNDS)])
    text = _pick(rng, wording.CLAUSES[name][split])
    return " ".join(text.format(d=degree).split())


def _groups(clauses: list[str], most: int) -> list[list[str]]:
    """The clauses dealt in order over at most `most` sentences."""
    n_sentences = min(most, (len(clauses) + 1) // 2)
    return [[str(clause) for clause in group] for group in np.array_split(np.array(clauses, dtype=object), n_sentences)]


def _join(rng: np.random.Generator, clauses: list[str], split: str) -> str:
    if len(clauses) == 1:
        return _sentence(clauses[0] + ".")
    joiner = _pick(rng, wording.JOINERS[split])
    return _sentence(joiner.format(a=", ".join(clauses[:-1]), b=clauses[-1]))


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]
