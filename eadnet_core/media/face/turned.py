"""A portrait as a video whose head moves: what a model is given that changes only the lower face of what it sees."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ...motion.turn import POSE, turn_head, turned_points
from .alignment import BROW_HALF_DISTANCE, BROW_Y, NOSE_Y
from .crop import FaceCrop, crop
from .paste import Paster

MOST_PX = 1024
"""Side of the training frame in which a picture's head is turned at most."""
POINTS = ((0.5 - BROW_HALF_DISTANCE, BROW_Y), (0.5 + BROW_HALF_DISTANCE, BROW_Y), (0.5, NOSE_Y))
"""Brows and nose in frame widths: what the aligned square follows."""


class TurnedPortrait:
    """The frames of such a video, drawn when they are asked for; a head that does not move leaves the picture alone.

    shape   (frames, height, width, 3)
    """

    def __init__(self, picture: np.ndarray, face: FaceCrop, motion: np.ndarray, most_px: int = MOST_PX) -> None:
        """`picture` is uint8 [H, W, 3], `face` where its face lies, and `motion` [T, 8] of taxonomy.MOTION.

        most_px  side of the training frame in which the head is turned; a larger face is reduced and enlarged again
        """
        self.picture, self.face = picture, face
        self.motion = torch.from_numpy(np.asarray(motion, np.float32))
        self.shape = (len(motion), *picture.shape)
        size_px = min(max(16, round(face.side_px)), most_px)
        self._frame = torch.from_numpy(crop(picture, face, size_px)).permute(2, 0, 1)[None].float()
        self._paster = Paster(picture, face, size_px, "full")

    def __len__(self) -> int:
        return len(self.motion)

    def __getitem__(self, frame: int) -> np.ndarray:
        """uint8 [H, W, 3]"""
        motion = self.motion[frame : frame + 1]
        if not motion[:, list(POSE)].any():
            return self.picture
        turned = turn_head(self._frame, motion)[0]
        return self._paster.paste(turned.permute(1, 2, 0).numpy())

    def reader(self) -> Callable[[int], np.ndarray]:
        """What draws pictures, for frames in order."""
        return self.__getitem__

    def faces(self) -> tuple[FaceCrop, ...]:
        """Where the face lies in each frame."""
        return faces_by_points(self.face, turned_points(torch.tensor(POINTS), self.motion))


def faces_by_points(face: FaceCrop, after: Tensor) -> tuple[FaceCrop, ...]:
    """Where a face lies when its brows and nose have moved, as nearly as a similarity can say.

    after  [T, 3, 2]  where POINTS have gone, in widths of the face's own frame
    """
    z = torch.view_as_complex(torch.tensor(POINTS).double())
    moved = torch.view_as_complex(after.double().contiguous())
    centred = z - z.mean()
    scale = (centred.conj() * moved).sum(1) / (centred.abs() ** 2).sum()
    middle = moved.mean(1) + scale * (0.5 + 0.5j - z.mean())
    found = []
    for s, m in zip(scale.tolist(), middle.tolist(), strict=True):
        x, y = face.point(m.real, m.imag)
        turn = float(np.angle(s))
        found.append(FaceCrop(x, y, face.side_px * abs(s), face.angle + turn))
    return tuple(found)
