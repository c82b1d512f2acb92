"""Pictures that show what was found: the face on a portrait, the speech gate over a waveform."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..config import EYE_HALF_DISTANCE, EYE_LINE_Y
from .face.crop import FaceCrop

FOUND, HEARD, QUIET, PAPER, INK = (38, 166, 154), (47, 110, 186), (176, 184, 194), (250, 250, 250), (60, 64, 70)
WAVE_SIZE = (640, 180)


def draw_face(picture: np.ndarray, where: FaceCrop | None, label: str = "") -> np.ndarray:
    """The training frame drawn on a picture, uint8 [H, W, 3]; a copy."""
    image = Image.fromarray(picture)
    pen = ImageDraw.Draw(image)
    thick = max(2, round(min(image.size) / 200))
    if where is not None:
        corners = [where.point(x, y) for x, y in ((0, 0), (1, 0), (1, 1), (0, 1), (0, 0))]
        pen.line(corners, fill=FOUND, width=thick, joint="curve")
        for x in (0.5 - EYE_HALF_DISTANCE, 0.5 + EYE_HALF_DISTANCE):
            eye_x, eye_y = where.point(x, EYE_LINE_Y)
            pen.ellipse([eye_x - thick, eye_y - thick, eye_x + thick, eye_y + thick], fill=FOUND)
    if label:
        size = max(12, round(min(image.size) / 24))
        pen.text((size / 2, size / 2), label, FOUND, ImageFont.load_default(size), stroke_width=1, stroke_fill=PAPER)
    return np.array(image)


def draw_speech(samples: np.ndarray, voice: np.ndarray, duration_s: float) -> np.ndarray:
    """The waveform, coloured where the speech gate is open, with the gate above it; uint8 [180, 640, 3].

    samples  [N]  16 kHz mono
    voice    [T]  0 .. 1
    """
    width, height = WAVE_SIZE
    image = Image.new("RGB", WAVE_SIZE, PAPER)
    pen = ImageDraw.Draw(image)
    loud = levels(samples, width)
    gate = np.interp(
        np.linspace(0, 1, width), np.linspace(0, 1, max(2, len(voice))), np.resize(voice, max(2, len(voice)))
    )
    middle = height * 0.56
    for x in range(width):
        half = max(0.5, loud[x] * height * 0.36)
        pen.line([(x, middle - half), (x, middle + half)], fill=HEARD if gate[x] > 0.5 else QUIET)
    pen.line([(x, 26 - 14 * gate[x]) for x in range(width)], fill=FOUND, width=2)
    spoken = float((voice > 0.5).mean())
    font = ImageFont.load_default(13)
    pen.text((6, height - 6), f"{duration_s:.2f} s, speech in {spoken:.0%} of it", INK, font, "lb")
    return np.array(image)


def levels(samples: np.ndarray, n: int) -> Sequence[float]:
    """The greatest absolute sample of each of `n` stretches of a sound [N], relative to the loudest, 0 .. 1.

    >>> levels(np.array([0.0, 0.5, -1.0, 0.25]), 2)
    [0.5, 1.0]
    """
    if not len(samples):
        return [0.0] * n
    peaks = np.abs(samples)
    edges = np.linspace(0, len(samples), n + 1).astype(int)
    found = np.maximum.reduceat(peaks, np.minimum(edges[:-1], len(samples) - 1))
    return [round(float(v), 4) for v in found / max(float(found.max()), 1e-6)]
