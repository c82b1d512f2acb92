"""Who a head is: the shape of the skull and the face, drawn from MakeHuman's targets and ICT-FaceKit's modes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .anatomy import Anatomy
from .features import Features

ETHNICITIES = ("caucasian", "african", "asian")
"""MakeHuman's names of its three macro targets; a person is a mixture of them."""
_SPREAD = {
    "head": 0.05,
    "nose": 0.07,
    "mouth": 0.06,
    "eyes": 0.08,
    "cheek": 0.06,
    "chin": 0.06,
    "forehead": 0.06,
    "ears": 0.30,
    "eyebrows": 0.10,
    "neck": 0.12,
}
"""Standard deviation of the weight of each group of local targets."""
_MODE_SPREAD, _MODE_LIMIT = 0.80, 1.9
_LIPS_TOUCH = -0.005
"""Gap of closed lips in eye distances."""
_LOPSIDED = 0.025
"""Standard deviation of the difference between left and right."""


@dataclass(frozen=True)
class Person:
    """What a shape and looks are drawn for.

    ethnicity  [3] shares of ETHNICITIES, their sum 1
    male       0 female .. 1 male
    age        0 young .. 1 old
    """

    ethnicity: np.ndarray
    male: float
    age: float

    @property
    def is_male(self) -> bool:
        return self.male > 0.5

    @property
    def nearest(self) -> str:
        """The ethnicity of the largest share."""
        return ETHNICITIES[int(np.argmax(self.ethnicity))]


def draw_person(rng: np.random.Generator) -> Person:
    """A person; women and men, young and old, and the three ethnicities are equally frequent, and mixed in part."""
    ethnicity = rng.dirichlet((0.35, 0.35, 0.35))
    male = float(np.clip((rng.random() - 0.5) * 2.4 + 0.5, 0.0, 1.0))
    return Person(ethnicity, male, float(rng.beta(0.9, 1.3)))


def draw_shape(rng: np.random.Generator, anatomy: Anatomy, features: Features, person: Person) -> np.ndarray:
    """Vertices [V, 3] of the base mesh for a person, lips closed, arms lowered a little."""
    vertices = anatomy.base.copy()
    _add_macros(rng, anatomy, person, vertices)
    modes = np.clip(rng.normal(0, _MODE_SPREAD, len(anatomy.identity_modes)), -_MODE_LIMIT, _MODE_LIMIT)
    vertices[anatomy.identity_vertices] += np.tensordot(modes.astype(np.float32), anatomy.identity_modes, 1)
    _add_features(rng, anatomy, vertices)
    close_lips(anatomy, features, vertices)
    _lower_arms(vertices)
    return vertices.astype(np.float32)


def _add_macros(rng: np.random.Generator, anatomy: Anatomy, person: Person, vertices: np.ndarray) -> None:
    fat = float(np.clip(rng.normal(0, 0.45), -1, 1))
    weights = {"averageweight": 1 - abs(fat), "maxweight" if fat > 0 else "minweight": abs(fat)}
    for sex, of_sex in (("male", person.male), ("female", 1 - person.male)):
        for age, of_age in (("young", 1 - person.age), ("old", person.age)):
            for ethnicity, share in zip(ETHNICITIES, person.ethnicity, strict=True):
                _add(anatomy, vertices, f"macrodetails/{ethnicity}-{sex}-{age}", of_sex * of_age * float(share))
            for weight, share in weights.items():
                name = f"macrodetails/universal-{sex}-{age}-averagemuscle-{weight}"
                _add(anatomy, vertices, name, of_sex * of_age * share)


def _add(anatomy: Anatomy, vertices: np.ndarray, name: str, weight: float) -> None:
    if abs(weight) > 1e-3 and name in anatomy.targets:
        anatomy.targets.add(vertices, name, weight)


def _add_features(rng: np.random.Generator, anatomy: Anatomy, vertices: np.ndarray) -> None:
    """Local targets in pairs (less, more), the same on both sides but for a little."""
    pairs: dict[str, list[str]] = {}
    for name in anatomy.targets:
        if name.split("/")[0] in _SPREAD:
            pairs.setdefault(name.rsplit("-", 1)[0], []).append(name)
    drawn: dict[str, float] = {}
    for stem, names in pairs.items():
        is_shift = any(word in stem for word in ("trans", "double", "age"))
        spread = 0.03 if is_shift else _SPREAD[stem.split("/")[0]]
        both = stem.replace("/r-", "/").replace("/l-", "/")
        if both not in drawn:
            drawn[both] = rng.normal(0, spread)
        weight = drawn[both] + (rng.normal(0, _LOPSIDED) if both != stem else 0.0)
        _add(anatomy, vertices, names[0] if weight < 0 or len(names) == 1 else names[1], min(abs(weight), 0.8))


def close_lips(anatomy: Anatomy, features: Features, vertices: np.ndarray) -> None:
    """Close the lips in place, by the shape that closes them; they stand a little apart on most heads."""
    if "ict/mouthClose" in anatomy.expressions:
        closed = vertices.copy()
        anatomy.expressions.add(closed, "ict/mouthClose", 0.1)
        gap = features.lip_opening(vertices) - _LIPS_TOUCH * features.eye_distance
        per_weight = (features.lip_opening(vertices) - features.lip_opening(closed)) / 0.1
        if per_weight > 1e-3:
            anatomy.expressions.add(vertices, "ict/mouthClose", float(np.clip(gap / per_weight, -0.1, 0.3)))


def _lower_arms(vertices: np.ndarray) -> None:
    """The base mesh stands with its arms held out; bend the shoulders down."""
    out = np.maximum(0, np.abs(vertices[:, 0]) - 0.95)
    vertices[:, 1] -= 0.55 * out**1.15 * np.clip((6.3 - vertices[:, 1]) / 0.6, 0, 1)
