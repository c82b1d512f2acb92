"""The style of a speaker: how somebody moves whatever they say and feel, and how sure that is (ADR 53).

A style is a Gaussian over `taxonomy.TRAITS`. People on average are its zero, and their spread its unit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput
from ..taxonomy import TRAITS

MOST = 3.0
"""Standard deviations from the average person, to each side, beyond which nobody's traits lie."""
SPREAD = {"gestures": 0.4, "nods": 0.5, "blinks": 0.5, "gaze": 0.3, "lips": 0.2}
"""Logarithm of the factor that a trait of 1 is."""
MORE_TEMPO, MORE_NODS = 0.2, 0.12
"""What a trait of 1 adds to the share of quick sway and to that of accents that the head follows."""
LIVELY = ("gestures", "nods", "blinks", "gaze", "brows")
"""Traits that vividness raises and never lowers."""
_LEAST_SD = 0.02


@dataclass(frozen=True)
class Traits:
    """What a speaker is like; see `taxonomy.TRAITS`."""

    gestures: float = 0.0
    tempo: float = 0.0
    nods: float = 0.0
    blinks: float = 0.0
    gaze: float = 0.0
    brows: float = 0.0
    smile: float = 0.0
    lips: float = 0.0

    @classmethod
    def of(cls, values: Sequence[float] | np.ndarray) -> Traits:
        """Traits from numbers in the order of TRAITS, held within what people are like.

        >>> Traits.of([0, 0, 0, 9, 0, 0, 0, 0]).blinks
        3.0
        """
        return cls(*(float(value) for value in np.clip(values, -MOST, MOST)))

    @property
    def vector(self) -> NDArray[np.float32]:
        """[8], in the order of TRAITS."""
        return np.array(astuple(self), np.float32)

    def factor(self, name: str) -> float:
        """By how much a trait of SPREAD enlarges what it is of.

        >>> AVERAGE.factor("lips")
        1.0
        """
        return float(np.exp(SPREAD[name] * getattr(self, name)))

    @property
    def more_tempo(self) -> float:
        """Added to the share of quick sway."""
        return MORE_TEMPO * self.tempo

    @property
    def more_nods(self) -> float:
        """Added to the share of accents that the head follows."""
        return MORE_NODS * self.nods


AVERAGE = Traits()


@dataclass(frozen=True, eq=False)
class Style:
    """A Gaussian over traits.

    mean, sd  [8]  in the order of TRAITS
    source    what it was read from, for people
    Raises BadInput for values that cannot be.
    """

    mean: NDArray[np.float32]
    sd: NDArray[np.float32]
    source: str = ""

    def __post_init__(self) -> None:
        for name, low, high in (("mean", -MOST, MOST), ("sd", 0.0, MOST)):
            values = np.asarray(getattr(self, name), np.float32)
            if values.shape != (len(TRAITS),):
                raise BadInput(
                    f"The {name} of a style has the shape {values.shape}; give {len(TRAITS)} numbers in a row."
                )
            wrong = np.flatnonzero(~((values >= low) & (values <= high)))
            if len(wrong):
                raise BadInput(
                    f"The {name} of '{TRAITS[wrong[0]]}' of a style is {values[wrong[0]]:g}; give {low:g} .. {high:g}."
                )
            object.__setattr__(self, name, values)

    @classmethod
    def of(cls, traits: Mapping[str, float], source: str = "") -> Style:
        """A style that is known: traits by name, the others average. Raises BadInput."""
        unknown = [name for name in traits if name not in TRAITS]
        if unknown:
            raise BadInput(f"No trait is called {unknown[0]!r:.40}. There are {', '.join(TRAITS)}.")
        mean = np.array([traits.get(name, 0.0) for name in TRAITS], np.float32)
        return cls(mean, np.zeros_like(mean), source)

    def drawn(self, vividness: float, seed: int) -> Traits:
        """The traits of one clip: the mean, and `vividness` times the spread beside it.

        What makes motion livelier is drawn upwards alone, so that a higher vividness never makes a calmer clip.

        >>> bool(np.allclose(EVERYBODY.drawn(0.0, 5).vector, 0))
        True
        >>> EVERYBODY.drawn(0.5, 5).gestures <= EVERYBODY.drawn(1.0, 5).gestures
        True
        """
        noise = np.random.default_rng([seed, 53]).normal(size=len(TRAITS)).clip(-2.0, 2.0)
        lively = np.array([name in LIVELY for name in TRAITS])
        return Traits.of(self.mean + vividness * self.sd * np.where(lively, np.abs(noise), noise))

    def digest(self) -> str:
        """SHA-256 of its numbers."""
        return hashlib.sha256(self.mean.tobytes() + self.sd.tobytes()).hexdigest()

    def summary(self) -> str:
        """Its traits in a line.

        >>> Style.of({"smile": 1.25, "tempo": -0.04}).summary()
        'gestures +0.0, tempo +0.0, nods +0.0, blinks +0.0, gaze +0.0, brows +0.0, smile +1.2, lips +0.0'
        """
        rounded = np.round(self.mean, 1) + 0.0  # no -0.0
        return ", ".join(f"{name} {value:+.1f}" for name, value in zip(TRAITS, rounded, strict=True))


EVERYBODY = Style(np.zeros(len(TRAITS), np.float32), np.ones(len(TRAITS), np.float32), "everybody")
"""Of whom nothing is known: the prior."""


def mixed(styles: Sequence[Style], weights: Sequence[float] | None = None) -> Style:
    """The weighted mean of styles; without weights each counts as much. Raises BadInput.

    >>> one, other = Style.of({"smile": 2.0}), Style.of({"nods": 1.0})
    >>> mixed([one, other], [3, 1]).mean[[2, 6]].tolist()
    [0.25, 1.5]
    """
    share = np.ones(len(styles)) if weights is None else np.asarray(weights, float)
    if not len(styles) or len(share) != len(styles) or not (share >= 0).all() or not 0 < share.sum() < np.inf:
        raise BadInput(f"{len(styles)} styles cannot be mixed by the weights {share.tolist()}; give one above 0 each.")
    share = share / share.sum()
    mean = sum(w * one.mean for w, one in zip(share, styles, strict=True))
    variance = sum(w**2 * one.sd**2 for w, one in zip(share, styles, strict=True))
    return Style(np.asarray(mean), np.sqrt(variance), " + ".join(one.source for one in styles if one.source)[:400])


def together(parts: Sequence[tuple[np.ndarray, np.ndarray]], source: str = "") -> Style:
    """One style of what was read off parts of a clip, each a mean and an sd [8]: the surer a part, the more it counts.

    Each part knows how people are, which is counted once.

    >>> part = (np.full(8, 0.5), np.full(8, 0.7))
    >>> bool(together([part]).sd[0] > together([part, part]).sd[0])
    True
    """
    sure = [1 / np.clip(sd, _LEAST_SD, 1.0) ** 2 for _, sd in parts]
    precision = 1 + sum(one - 1 for one in sure)
    mean = sum(one * mean for one, (mean, _) in zip(sure, parts, strict=True)) / precision
    return Style(np.clip(mean, -MOST, MOST), 1 / np.sqrt(precision), source)


def likeness(one: Style, other: Style) -> float:
    """How likely two styles are of the same person, as a logarithm but for a constant."""
    variance = np.maximum(one.sd**2 + other.sd**2, _LEAST_SD**2)
    return float(-0.5 * ((one.mean - other.mean) ** 2 / variance + np.log(variance)).sum())
