"""How words and references are read, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..emotion.code import Emotion, describe, scaled
from ..emotion.face_words import caption
from ..emotion.reference import Reference
from ..weights.experts import load_reader, load_reference_reader
from .faces import look_by


def reading_values(reading: Emotion) -> dict[str, Any]:
    """How a text was read, as JSON values; with a note where it was not understood."""
    values = {name: round(float(getattr(reading, name)), 4) for name in ("intensity", "valence", "arousal")}
    note = {"note": reading.note} if reading.note else {}
    return {"text": reading.text, "label": reading.label, **values, **note}


def read_emotions(texts: Sequence[str], model: str = "mini") -> list[dict[str, Any]]:
    """How texts are read, in their order: text, label, intensity, valence, arousal."""
    return [reading_values(reading) for reading in load_reader(model).read(texts)]


def read_reference(reference: Reference, model: str = "mini") -> dict[str, Any]:
    """What the face in a photo or clip shows, described in words: text, label, intensity, valence, arousal.

    Raises BadInput or FaceNotFound.
    """
    code = scaled(look_by(lambda: load_reference_reader(model))(reference), reference.vividness)
    return reading_values(describe(code, caption(code)))
