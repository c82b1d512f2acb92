"""What a head looks like beside its shape: skin, hair, eyes, make-up, beard, glasses, hat and clothes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .anatomy import Anatomy
from .identity import Person

HAIR_COLOURS: dict[str, tuple[float, float, float]] = {
    "black": (0.018, 0.015, 0.014),
    "dark": (0.038, 0.024, 0.017),
    "brown": (0.085, 0.047, 0.026),
    "light": (0.17, 0.105, 0.058),
    "blond": (0.36, 0.25, 0.13),
    "red": (0.17, 0.055, 0.02),
    "grey": (0.25, 0.245, 0.24),
    "white": (0.42, 0.41, 0.39),
}
"""Linear colours."""
_DYES = ((0.30, 0.02, 0.03), (0.02, 0.06, 0.25), (0.35, 0.08, 0.22), (0.03, 0.16, 0.10), (0.15, 0.04, 0.22))
_TONES = np.array(
    [
        (0.00, 0.85, 0.430, 0.320),
        (0.15, 0.76, 0.330, 0.235),
        (0.35, 0.60, 0.245, 0.155),
        (0.55, 0.38, 0.135, 0.075),
        (0.75, 0.20, 0.062, 0.031),
        (1.00, 0.08, 0.026, 0.012),
    ]
)
"""Darkness of a skin 0 .. 1, and its mean linear colour."""
_LONG_HAIR = ("bob02", "braid01", "long01", "ponytail01")
_SHORT_HAIR = ("short01", "short02", "short03", "short04")
_FRINGED = ("bob02", "braid01", "short03", "short04")
"""Their fringe hides an eye, which is rare."""
BALD = "none"


@dataclass(frozen=True)
class Looks:
    """One head's looks; colours are linear RGB.

    skin, second_skin  names of textures; second_share 0 .. 1 of the second is mixed in
    tone               [3] mean colour that the skin is brought to
    hair               name of a style, or BALD
    lipstick, shadow, blush  colour and strength, [4]
    freckles           0 .. 1
    beard, moustache, stubble  density 0 .. 1
    rims               [3] colour of the glasses, or None; tinted 0 .. 1 how dark the lenses are
    hat                [3] colour of the hat, or None
    """

    skin: str
    second_skin: str
    second_share: float
    tone: np.ndarray
    eye: str
    hair: str
    hair_colour: np.ndarray
    brow: str
    brow_strength: float
    lash: str
    teeth: str
    tooth_tint: np.ndarray
    cloth: str
    cloth_tint: np.ndarray
    gloss: float
    lipstick: np.ndarray
    shadow: np.ndarray
    blush: np.ndarray
    freckles: float
    beard: float
    moustache: float
    stubble: float
    rims: np.ndarray | None
    tinted: float
    hat: np.ndarray | None


def draw_looks(rng: np.random.Generator, anatomy: Anatomy, person: Person) -> Looks:
    """Looks that go with a person; every skin tone comes with every sex and age."""
    skin, second, share = _draw_skin(rng, anatomy, person)
    darkness = _draw_darkness(rng, person)
    lipstick, shadow, blush = _draw_make_up(rng, person)
    beard, moustache, stubble = _draw_beard(rng, person)
    has_hat = rng.random() < 0.06
    sex = "male" if person.is_male else "female"
    clothes = [name for name in anatomy.part_names("cloth_") if f"_{sex}_" in name] or anatomy.part_names("cloth_")
    tone = _tone(darkness) * np.exp(rng.normal(0, (0.04, 0.05, 0.08)))
    return Looks(
        skin=skin,
        second_skin=second,
        second_share=share,
        tone=tone,
        eye=_draw_eye(rng, anatomy, darkness, person),
        hair=_draw_hair(rng, anatomy, person),
        hair_colour=_draw_hair_colour(rng, person, darkness),
        brow=_choose(rng, anatomy.part_names("brow_")),
        brow_strength=float(rng.uniform(0.6, 1.0)),
        lash=_choose(rng, anatomy.part_names("lash_")),
        teeth=_choose(rng, anatomy.part_names("teeth_shape") or anatomy.part_names("teeth_")),
        tooth_tint=np.array((0.95, 0.90, 0.82)) * rng.uniform(0.72, 1.0) * (1, 1, rng.uniform(0.9, 1.05)),
        cloth=_choose(rng, clothes),
        cloth_tint=rng.uniform(0.35, 1.2, 3) * rng.uniform(0.5, 1.2),
        gloss=float(np.exp(rng.normal(-0.15, 0.45))),
        lipstick=lipstick,
        shadow=shadow,
        blush=blush,
        freckles=float(rng.uniform(0.2, 0.8)) if rng.random() < (0.2 if darkness < 0.35 else 0.03) else 0.0,
        beard=beard,
        moustache=moustache,
        stubble=stubble,
        rims=rng.uniform(0.01, 0.12) * rng.uniform(0.5, 1.5, 3) if rng.random() < 0.16 else None,
        tinted=float(rng.uniform(0.2, 0.6)) if rng.random() < 0.08 else 0.0,
        hat=rng.uniform(0.02, 0.5) * rng.uniform(0.4, 1.6, 3) if has_hat else None,
    )


def _choose(rng: np.random.Generator, names: list[str] | tuple[str, ...]) -> str:
    return names[int(rng.integers(len(names)))] if names else ""


def _tone(darkness: float) -> np.ndarray:
    return np.exp([np.interp(darkness, _TONES[:, 0], np.log(_TONES[:, k])) for k in (1, 2, 3)])


def _draw_darkness(rng: np.random.Generator, person: Person) -> float:
    centre = float(person.ethnicity @ (0.12, 0.76, 0.22))
    return float(np.clip(centre + rng.normal(0, 0.11), 0.0, 1.0))


def _draw_skin(rng: np.random.Generator, anatomy: Anatomy, person: Person) -> tuple[str, str, float]:
    """A texture of the same sex and age where there is one, mixed with another; the tone is set apart from it."""
    names = anatomy.texture_names("skin_")
    sex = "_male" if person.is_male else "_female"
    of_sex = [name for name in names if sex in name] or names
    near = [name for name in of_sex if person.nearest in name] or of_sex
    is_old = [name for name in near if "young" not in name]
    is_young = [name for name in near if "young" in name]
    first = _choose(rng, (is_old if person.age > 0.5 else is_young) or near)
    wrinkled = [name for name in names if ("old" in name or "middleage" in name) and "african" not in name]
    others = wrinkled if person.age > 0.55 and "young" in first and wrinkled else of_sex
    share = float(rng.uniform(0.35, 0.7)) if others is wrinkled else float(rng.uniform(0, 0.5)) * (rng.random() < 0.5)
    return first, _choose(rng, others), share


def _draw_eye(rng: np.random.Generator, anatomy: Anatomy, darkness: float, person: Person) -> str:
    names = anatomy.texture_names("eye_")
    brown = [name for name in names if "brown" in name] or names
    is_brown = rng.random() < 0.15 + 2.2 * darkness + 0.6 * (person.nearest != "caucasian")
    return _choose(rng, brown if is_brown else names)


def _draw_hair(rng: np.random.Generator, anatomy: Anatomy, person: Person) -> str:
    if rng.random() < (0.16 if person.is_male else 0.05):
        return BALD
    usual, other = (_SHORT_HAIR, _LONG_HAIR) if person.is_male else (_LONG_HAIR, _SHORT_HAIR)
    styles = usual if rng.random() < (0.92 if person.is_male else 0.66) else other
    there = [style for style in styles if f"hair_{style}" in anatomy.part_names("hair_")]
    style = _choose(rng, there) or BALD
    if style in _FRINGED and rng.random() < 0.93:
        style = _choose(rng, [name for name in there if name not in _FRINGED] or there)
    return style


def _draw_hair_colour(rng: np.random.Generator, person: Person, darkness: float) -> np.ndarray:
    if rng.random() < 0.06:
        return np.array(_DYES[int(rng.integers(len(_DYES)))]) * np.exp(rng.normal(0, 0.2))
    is_grey = rng.random() < np.clip((person.age - 0.5) * 1.6, 0, 0.85)
    names: tuple[str, ...]
    if is_grey:
        names = ("grey", "white", "grey", "dark")
    elif darkness > 0.4 or person.nearest != "caucasian":
        names = ("black", "black", "dark", "brown")
    else:
        names = ("dark", "brown", "brown", "light", "blond", "red", "black")
    return np.array(HAIR_COLOURS[_choose(rng, names)]) * np.exp(rng.normal(0, 0.15))


def _draw_make_up(rng: np.random.Generator, person: Person) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    wears = rng.random() < (0.03 if person.is_male else 0.55)
    reds = np.array(
        [(0.35, 0.02, 0.04), (0.30, 0.06, 0.07), (0.22, 0.02, 0.06), (0.38, 0.10, 0.12), (0.12, 0.02, 0.03)]
    )
    lipstick = np.append(reds[rng.integers(5)] * np.exp(rng.normal(0, 0.2)), wears * rng.uniform(0.15, 0.8))
    shades = np.array(
        [(0.05, 0.03, 0.03), (0.10, 0.05, 0.04), (0.05, 0.06, 0.12), (0.12, 0.05, 0.10), (0.02, 0.02, 0.02)]
    )
    shadow = np.append(shades[rng.integers(5)], wears * (rng.random() < 0.6) * rng.uniform(0.15, 0.6))
    blush = np.append((0.55, 0.12, 0.12), wears * (rng.random() < 0.5) * rng.uniform(0.08, 0.25))
    return lipstick, shadow, blush


def _draw_beard(rng: np.random.Generator, person: Person) -> tuple[float, float, float]:
    if not person.is_male or person.male < 0.65:
        return 0.0, 0.0, 0.0
    kind = rng.random()
    if kind < 0.14:
        return float(rng.uniform(0.5, 1.0)), float(rng.uniform(0.5, 1.0)), 0.2
    if kind < 0.22:
        return 0.0, float(rng.uniform(0.5, 1.0)), float(rng.uniform(0, 0.3))
    return 0.0, 0.0, float(rng.uniform(0.1, 0.6)) * (rng.random() < 0.5)
