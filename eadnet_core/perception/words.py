"""How words and references are read, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..emotion.code import Emotion, describe, scaled
from ..emotion.face_words import caption
from ..emotion.reader import note_of
from ..emotion.reference import Reference
from ..emotion.track import EmotionTrack
from ..taxonomy import EMOTIONS
from ..weights.experts import load_reader, load_reference_reader
from .faces import look_by

LEAST_SHARE = 0.1
"""Of a feeling in a mixture that is told."""


def reading_values(reading: Emotion) -> dict[str, Any]:
    """How a text was read, as JSON values; with a note where it was not understood."""
    values = {name: round(float(getattr(reading, name)), 4) for name in ("intensity", "valence", "arousal")}
    note = {"note": reading.note} if reading.note else {}
    return {"text": reading.text, "label": reading.label, **values, **note}


def track_values(track: EmotionTrack) -> list[dict[str, Any]]:
    """What the keyframes of a track that has been read ask for, as `reading_values`, and which feelings are mixed.

    An intensity of the keyframe's own is not in it.

    >>> from ..emotion.code import emotion_code
    >>> from ..emotion.track import Keyframe
    >>> sad = Keyframe(0.0, "sad", code=tuple(map(float, emotion_code("sad", 0.5))))
    >>> track_values(EmotionTrack((sad,)))[0]["shares"]
    {'sad': 1.0}
    """
    values = []
    for keyframe in track.keyframes:
        code = np.asarray(keyframe.code, np.float32)
        shares = {name: round(float(v), 3) for name, v in zip(EMOTIONS, code, strict=False) if v >= LEAST_SHARE}
        read = replace(describe(code, keyframe.text), note=note_of(keyframe.text))
        values.append({**reading_values(read), "shares": shares})
    return values


def read_emotions(texts: Sequence[str], model: str = "mini") -> list[dict[str, Any]]:
    """How texts are read, in their order: text, label, intensity, valence, arousal."""
    return [reading_values(reading) for reading in load_reader(model).read(texts)]


def read_reference(reference: Reference, model: str = "mini") -> dict[str, Any]:
    """What the face in a photo or clip shows, described in words: text, label, intensity, valence, arousal.

    Raises BadInput or FaceNotFound.
    """
    code = scaled(look_by(lambda: load_reference_reader(model))(reference), reference.vividness)
    return reading_values(describe(code, caption(code)))
