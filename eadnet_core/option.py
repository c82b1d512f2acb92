"""What is said of one option of a generation: its range, its default, and the words of helps and tooltips."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from .config import SAMPLING
from .errors import BadInput


@dataclass(frozen=True)
class Option:
    """What is said of an option, once: command line, node inputs, tooltips and docs/options.md are made from it."""

    text: str
    """What it does and what it costs, in sentences: the tooltip, without the default."""
    line: str
    """The same for a terminal, by default the first sentence of `text`. Of a switch that is on: what its --no- does."""
    name: str = ""
    default: Any = None
    within: tuple[float, float] | None = None
    """The range of a number, both ends included."""
    is_whole: bool = False
    step: float | None = None
    """By which a node's input goes up and down."""
    unit: str = ""
    choices: tuple[str, ...] = ()
    is_own: bool = False
    """Whether None stands for the model's own value (`config.SAMPLING`)."""
    default_means: str = ""
    """What a default does that its name does not say."""

    @property
    def own(self) -> dict[str, float]:
        """The models' own values by family; empty where the default is a number.

        >>> Option("", "", name="steps", is_own=True).own
        {'mini': 1, 'base': 20}
        """
        return {family: getattr(sampling, self.name) for family, sampling in SAMPLING.items()} if self.is_own else {}

    def check(self, value: Any) -> None:
        """Raise BadInput for a value out of the range or choices."""
        if self.choices and value not in self.choices:
            raise BadInput(f"{self.name} is {value!r}; give one of {', '.join(self.choices)}.")
        if self.within is None or (value is None and self.is_own):
            return
        low, high = self.within
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if not is_number or not low <= value <= high or (self.is_whole and int(value) != value):
            kind = "a whole number" if self.is_whole else "a number"
            raise BadInput(f"{self.name} is {value!r}; give {kind} in {low} .. {high}.")


def option(default: Any, text: str, line: str = "", **more: Any) -> Any:
    """A field of GenerateOptions: its default, and what else an `Option` holds."""
    first = text.split(". ")[0].removesuffix(".")
    said = Option(text, line or first[0].lower() + first[1:], default=default, **more)
    return field(default=default, metadata={"option": said})


def shown(value: Any) -> str:
    """How help and tooltips write a value.

    >>> shown(True), shown(1.0), shown("hold")
    ('on', '1', 'hold')
    """
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)
