"""Clips as the nets of a base's own see them while they are trained: aligned squares, the sound, and what is true.

A clip's face is followed once; the autoencoder, the SyncNet and the latents of the denoiser are made from the squares.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..errors import BadInput, EADNetError
from ..heads.rig import LIP_CONTROLS
from ..media.sound.audio import fit_length
from ..taxonomy import EMOTION_CODE_SIZE, MOTION
from .base_clips import RawClip, as_track, find_clips, portrait_of, squares_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CutClip:
    """A clip whose face was followed and cut out.

    squares     uint8 [T, size, size, 3]  aligned
    samples     [640 T]                   16 kHz
    code        [T, 27]                   emotion; 0 where has_code is
    motion      [T, 8]                    taxonomy.MOTION; 0 where has_motion is
    has_code    scalar                    1 or 0; has_motion alike
    portrait    uint8 [P, size, size, 3]  other pictures of the same head; P is 0 or 1
    lips        [T, 9]                    `rig.LIP_CONTROLS` of the voice; 0 where has_lips, 1 or 0, is
    """

    squares: Tensor
    samples: Tensor
    code: Tensor
    motion: Tensor
    has_code: Tensor
    has_motion: Tensor
    portrait: Tensor
    lips: Tensor
    has_lips: Tensor

    def save(self, path: Path) -> None:
        """Write the clip; the file appears under its name when it is whole."""
        partial = path.with_name(path.name + ".partial")
        save_file({f.name: getattr(self, f.name).contiguous() for f in fields(self)}, partial)
        partial.replace(path)


def cut(clip: RawClip, size_px: int) -> CutClip:
    """Follow the face of a clip and cut it out. Raises FaceNotFound."""
    n_frames = len(clip.frames)
    return CutClip(
        squares=torch.from_numpy(squares_of(clip, size_px)),
        samples=torch.from_numpy(fit_length(np.asarray(clip.samples, np.float32), n_frames)),
        code=as_track(clip.codes, n_frames, EMOTION_CODE_SIZE),
        motion=as_track(clip.motion, n_frames, len(MOTION)),
        has_code=torch.tensor(float(clip.codes is not None)),
        has_motion=torch.tensor(float(clip.motion is not None)),
        portrait=torch.from_numpy(portrait_of(clip, size_px)),
        lips=as_track(clip.lips, n_frames, len(LIP_CONTROLS)),
        has_lips=torch.tensor(float(clip.lips is not None)),
    )


def cut_folder(source: Path, output: Path, size_px: int, least_frames: int) -> list[Path]:
    """Cut the clips of a folder that are not yet in `output`; returns the files of all, in order of their names.

    A clip without a face, or of less than `least_frames`, is left out with a warning. Raises BadInput where none is
    left.
    """
    output.mkdir(parents=True, exist_ok=True)
    kept = []
    for key, read in find_clips(source):
        path = output / f"{key}.safetensors"
        if not path.is_file():
            try:
                clip = read()
                if len(clip.frames) < least_frames:
                    raise BadInput(f"it has {len(clip.frames)} frames; {least_frames} are needed")
                cut(clip, size_px).save(path)
            except EADNetError as error:
                log.warning("'%s' is left out: %s", key, error)
                continue
        kept.append(path)
    if not kept:
        raise BadInput(
            f"'{source}' has no clip to train on: give shards (.tar) or videos of {least_frames} frames or more."
        )
    return sorted(kept)


@lru_cache(maxsize=256)
def read_cut(path: Path) -> CutClip:
    """What `CutClip.save` wrote; the last ones read stay in memory."""
    return CutClip(**load_file(path))
