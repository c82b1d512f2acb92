"""The style of a speaker, read off a clip: size and rate of gestures, brows, smiles, blinks, lips (ADR 53)."""

from __future__ import annotations

import os
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
from ..motion.style import Style, together
from ..taxonomy import MOTION
from .driving import ANYWHERE, OnPicture, Pictures, Where, read_face

if TYPE_CHECKING:
    from ..nets.style import StyleEncoder
    from ..weights.experts import ReferenceReader


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
    style = style_of(whole[:, : controls.shape[1]], whole[:, controls.shape[1] :], energy, encoder, source)
    return style, notes


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
