"""The style of a speaker, read off a clip: size and rate of gestures, brows, smiles, blinks, lips (ADR 53)."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..config import FPS
from ..errors import BadInput
from ..media.sound.audio import Audio, frame_energy, read_audio
from ..media.sound.speech import hear
from ..media.video.files import read_video
from ..motion.observed import LEAST_FRAMES, observed, parts_of
from ..motion.record import HEAD
from ..motion.style import MOST, Style, together
from ..taxonomy import MOTION, TRAITS
from .driving import ANYWHERE, OnPicture, Pictures, Where, read_face

if TYPE_CHECKING:
    from ..nets.style import StyleEncoder
    from ..weights.experts import ReferenceReader

SEEN = {
    "gestures": (-0.14, 0.92, 0.45),
    "tempo": (0.0, 0.0, 1.0),
    "nods": (0.0, 0.0, 1.0),
    "blinks": (-0.41, 0.38, 0.76),
    "gaze": (-0.36, 0.83, 0.77),
    "brows": (0.26, 3.04, 0.50),
    "smile": (-0.18, 1.12, 0.87),
    "lips": (0.58, 1.10, 0.66),
}
"""Least squares of the true trait on the one read, over 48 drawn clips of 5 s of training heads (ADR 53).

Offset, slope, and how far off the line the truth lies. Brows that are seen hardly move; of tempo and nods nothing is
seen."""


def read_style(
    path: str | os.PathLike[str],
    encoder: StyleEncoder,
    reader: ReferenceReader,
    where: Where = ANYWHERE,
    on_picture: OnPicture | None = None,
) -> tuple[Style, tuple[str, ...]]:
    """The style of who speaks in a video, and what has to be said of it. Raises BadInput, FaceNotFound."""
    video, notes = read_video(path, FPS), []
    try:
        sound: Audio | None = read_audio(path)
    except BadInput:
        sound = None
        notes.append("The clip has no sound: stressed words are not heard, and the style is less sure.")
    style, more = read_style_of(video.frames, FPS, sound, encoder, reader, Path(path).name, where, on_picture)
    return style, (*video.notes, *notes, *more)


def read_style_of(
    pictures: Pictures,
    fps: float,
    sound: Audio | None,
    encoder: StyleEncoder,
    reader: ReferenceReader,
    source: str = "pictures",
    where: Where = ANYWHERE,
    on_picture: OnPicture | None = None,
) -> tuple[Style, tuple[str, ...]]:
    """The style of who speaks in pictures, and notes. Raises BadInput for less than 2 s, FaceNotFound."""
    style, notes = misread_style_of(pictures, fps, sound, encoder, reader, source, where, on_picture)
    return as_seen(style), notes


def misread_style_of(
    pictures: Pictures,
    fps: float,
    sound: Audio | None,
    encoder: StyleEncoder,
    reader: ReferenceReader,
    source: str = "pictures",
    where: Where = ANYWHERE,
    on_picture: OnPicture | None = None,
) -> tuple[Style, tuple[str, ...]]:
    """As `read_style_of`, of an encoder that takes what is read off pictures for true controls; see `as_seen`."""
    tracks, controls, notes = read_face(pictures, reader, source, where, on_picture)
    n_frames = round(len(controls) * FPS / fps)
    if n_frames < LEAST_FRAMES:
        raise BadInput(
            f"'{source}' lasts {n_frames / FPS:.1f} s, which shows no style. Give {LEAST_FRAMES / FPS:g} s of somebody "
            "who speaks, better 20."
        )
    motion = np.zeros((len(controls), len(MOTION)))
    for name, values in tracks.items():
        motion[:, MOTION.index(name)] = np.radians(values) if name in HEAD else values
    whole = _at_rate(np.concatenate([controls, motion], 1), n_frames)
    energy = np.zeros(n_frames, np.float32)
    if sound is not None:
        energy = frame_energy(sound.samples, n_frames) * hear(sound).over(n_frames)
    return style_of(whole[:, : controls.shape[1]], whole[:, controls.shape[1] :], energy, encoder, source), notes


def as_seen(style: Style) -> Style:
    """What a style that was read off pictures says of the true one.

    How far that is off belongs to the head, and longer clips were not tried. So the spread is that of 5 s.
    """
    offset, slope, spread = np.array([SEEN[name] for name in TRAITS], np.float32).T
    return replace(style, mean=np.clip(offset + slope * style.mean, -MOST, MOST), sd=spread)


@torch.inference_mode()
def style_of(
    controls: np.ndarray, motion: np.ndarray, energy: np.ndarray, encoder: StyleEncoder, source: str = ""
) -> Style:
    """The style that shows in what a face and a head do, at 25 frames per second; arrays as of `observed`."""
    found = []
    for part in parts_of(len(controls)):
        seen = observed(controls[part], motion[part], energy[part])
        mean, sd = encoder(torch.from_numpy(seen)[None])
        found.append((mean[0].numpy().astype(float), sd[0].numpy().astype(float)))
    return together(found, source)


def _at_rate(values: np.ndarray, n_frames: int) -> np.ndarray:
    """Values [n, k] over the same time as [n_frames, k], in straight lines between the middles of frames."""
    if len(values) == n_frames:
        return values
    here, there = (np.arange(len(values)) + 0.5) / len(values), (np.arange(n_frames) + 0.5) / n_frames
    return np.stack([np.interp(there, here, column) for column in values.T], 1)
