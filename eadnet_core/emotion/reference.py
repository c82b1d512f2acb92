"""An emotion borrowed from a face: which photo or clip, how much of it, and how vividly."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BadInput
from .code import blend, scaled

MOST_VIVID = 2.0


@dataclass(frozen=True)
class Reference:
    """A photo or clip of any face, for the emotion that it shows. Raises BadInput for a value out of its range.

    start_s    seconds from the start of a clip from which the face is looked at
    end_s      and until when; None: to its end
    weight     share beside the words: 0 the words alone .. 1 the face alone
    vividness  0 neutral .. 1 as the face shows it .. 2 twice as strong
    """

    path: str
    start_s: float = 0.0
    end_s: float | None = None
    weight: float = 1.0
    vividness: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.path, str) or not self.path:
            raise BadInput(f"The path of a reference is {self.path!r}; give a photo or clip of a face.")
        most = {"start_s": math.inf, "end_s": math.inf, "weight": 1.0, "vividness": MOST_VIVID}
        for name, high in most.items():
            value = getattr(self, name)
            if value is None and name == "end_s":
                continue
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
            if not is_number or not 0 <= value <= high:
                allowed = "0 or more" if math.isinf(high) else f"0 .. {high:g}"
                raise BadInput(f"The {name} of reference '{self.name}' is {value!r}; it must be {allowed}.")
        if self.end_s is not None and self.end_s <= self.start_s:
            raise BadInput(f"Reference '{self.name}' ends at {self.end_s:g} s, before it begins; exchange the times.")

    @classmethod
    def parse(cls, values: Any) -> Reference:
        """A reference from a path, or from a mapping with the names of its fields; raises BadInput."""
        if isinstance(values, cls):
            return values
        if isinstance(values, str):
            return cls(values)
        known = [field.name for field in fields(cls)]
        if not isinstance(values, Mapping) or "path" not in values or set(values) - set(known):
            raise BadInput(f"A reference is {values!r}; give a path, or an object with {', '.join(known)}.")
        return cls(**values)

    @property
    def name(self) -> str:
        """The file without its folders."""
        return Path(self.path).name

    def mixed(self, words: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """The code [27] that comes of what the words ask for and what the face shows.

        >>> from .code import INTENSITY, emotion_code
        >>> mixed = Reference("clip.mp4", weight=0.5).mixed(emotion_code("sad", 1.0), emotion_code("happy", 0.5))
        >>> float(mixed[INTENSITY])
        0.75
        """
        return blend([words, scaled(seen, self.vividness)], [1.0 - self.weight, self.weight])


Look = Callable[[Reference], np.ndarray]
"""What a reference shows, as a code [27] before weight and vividness. Raises BadInput or FaceNotFound."""
