"""Who speaks: one portrait, or the frames of a video, and where the face lies in each picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from ..config import FPS
from ..errors import BadInput, FaceNotFound
from .crop import FaceCrop, Paster, crop
from .face import FACE_THRESHOLD, locate
from .image import read_image

MISS_POLICIES = ("hold", "pass_through", "stop")
"""A frame without a face: keep the face where it was, leave the frame as it is, or raise FaceNotFound."""
FOUND_EVERY = 5
"""Frames between two searches in a video; the face moves evenly in between, which is steadier than frame by frame."""


@dataclass(frozen=True)
class Subject:
    """Pictures and the face in each.

    pictures   [B, H, W, 3]  uint8, or float 0 .. 1
    crops      one for each picture; None where the picture passes through as it is
    fps        of the pictures; ignored for a single one
    """

    pictures: np.ndarray | Tensor
    crops: tuple[FaceCrop | None, ...]
    fps: float = FPS
    missed: tuple[int, ...] = field(default=())
    """Pictures that were searched and held no face."""

    @property
    def is_still(self) -> bool:
        return len(self.crops) == 1

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return int(self.pictures.shape[2]), int(self.pictures.shape[1])

    def index(self, frame: int) -> int:
        """The picture that belongs to a frame of the clip; the last one stays where the clip is longer."""
        return min(round(frame * self.fps / FPS), len(self.crops) - 1)

    def picture(self, frame: int) -> np.ndarray:
        """uint8 [H, W, 3] of a frame of the clip."""
        return read_image(self.pictures[self.index(frame)])

    def references(self, n_frames: int, size_px: int) -> np.ndarray:
        """The training frames that a clip is made from: [1, size, size, 3] of a portrait, [n_frames, ..] of a video."""
        frames = range(1 if self.is_still else n_frames)
        return np.stack([crop(self.picture(i), self._nearest(self.index(i)), size_px) for i in frames])

    def _nearest(self, index: int) -> FaceCrop:
        """The crop of a picture, or of the nearest that has one."""
        known = [i for i, found in enumerate(self.crops) if found is not None]
        found = self.crops[min(known, key=lambda i: abs(i - index))]
        assert found is not None
        return found

    def on(self, pictures: np.ndarray | Tensor) -> Subject:
        """The same faces on other pictures of the scene, such as enlarged ones; raises BadInput if they cannot be."""
        if len(pictures) not in (1, len(self.crops)) or (len(pictures) == 1 and not self.is_still):
            raise BadInput(
                f"'portrait' holds {len(pictures)} pictures, but the face was looked for in {len(self.crops)}. "
                "Connect the same pictures to both nodes."
            )
        scale = pictures.shape[2] / self.size[0]
        if abs(pictures.shape[1] - self.size[1] * scale) > 1.5:
            was, now = self.size, (int(pictures.shape[2]), int(pictures.shape[1]))
            raise BadInput(
                f"'portrait' is {now[0]} x {now[1]} pixels, but the face was looked for in {was[0]} x {was[1]}: the "
                "shapes differ. Connect the picture that the face was found in, or the same picture enlarged."
            )
        crops = tuple(
            c and FaceCrop(c.center_x * scale, c.center_y * scale, c.side_px * scale, c.angle) for c in self.crops
        )
        return replace(self, pictures=pictures, crops=crops)

    def paster(self) -> Callable[[np.ndarray, int], np.ndarray]:
        """(face frames uint8 [T, size, size, 3], number of the first) -> full pictures uint8 [T, H, W, 3]."""
        still: list[Paster] = []

        def paste(frames: np.ndarray, start: int) -> np.ndarray:
            if not self.is_still:
                return np.stack([self._paste(frame, start + i) for i, frame in enumerate(frames)])
            if not still:
                still.append(Paster(self.picture(0), self._nearest(0), frames.shape[1]))
            return np.stack([still[0].paste(frame) for frame in frames])

        return paste

    def _paste(self, frame: np.ndarray, number: int) -> np.ndarray:
        where, picture = self.crops[self.index(number)], self.picture(number)
        return picture if where is None else Paster(picture, where, frame.shape[0], "face").paste(frame)


def find_subject(
    pictures: np.ndarray | Tensor,
    index: int = 0,
    face_box: tuple[float, float, float, float] | None = None,
    threshold: float = FACE_THRESHOLD,
    on_missing: str = "hold",
    fps: float = FPS,
    on_picture: Callable[[int, int], None] | None = None,
) -> Subject:
    """Look for the face in one picture of a batch, or in all.

    pictures    [B, H, W, 3]  uint8, or float 0 .. 1
    index       the portrait's number in the batch, from 0; -1 takes every picture, the frames of a video
    face_box    x0, y0, x1, y1 in pixels, as in `locate`; for a video the same in every frame
    on_missing  one of MISS_POLICIES, for videos
    on_picture  called with (pictures searched, pictures to search); may raise to stop
    Raises BadInput, or FaceNotFound for a portrait without a face, a video without any, or by the policy.
    """
    if not -1 <= index < len(pictures):
        raise BadInput(
            f"index is {index}, but there are {len(pictures)} pictures: give 0 .. {len(pictures) - 1}, or -1."
        )
    if on_missing not in MISS_POLICIES:
        raise BadInput(f"on_missing is '{on_missing}'; give one of {', '.join(MISS_POLICIES)}.")
    if index >= 0 or len(pictures) == 1:
        portrait = pictures[max(index, 0)][None]
        return Subject(portrait, (locate(read_image(portrait), face_box, threshold),))
    if face_box is not None:
        return Subject(pictures, (locate(read_image(pictures[0]), face_box),) * len(pictures), fps)
    searched = sorted({*range(0, len(pictures), FOUND_EVERY), len(pictures) - 1})
    found: dict[int, FaceCrop] = {}
    for done, number in enumerate(searched):
        try:
            found[number] = locate(read_image(pictures[number]), None, threshold, f"frame {number}")
        except FaceNotFound as error:
            if on_missing == "stop":
                raise FaceNotFound(f"{error} Or set on_missing to 'hold' or 'pass_through'.") from error
        if on_picture is not None:
            on_picture(done + 1, len(searched))
    if not found:
        raise FaceNotFound(
            f"No face in any of {len(searched)} frames that were searched. Lower face_threshold, or give a face_box "
            "(x0,y0,x1,y1 in pixels, from the middle of the forehead to the chin)."
        )
    missed = tuple(number for number in searched if number not in found)
    crops: list[FaceCrop | None] = list(_between(found, len(pictures)))
    if on_missing == "pass_through":
        for number in missed:
            last = min(number + FOUND_EVERY, len(pictures))
            crops[max(0, number - FOUND_EVERY + 1) : last] = [None] * (last - max(0, number - FOUND_EVERY + 1))
    return Subject(pictures, tuple(crops), fps, missed)


def _between(found: dict[int, FaceCrop], n: int) -> list[FaceCrop]:
    """Crops of all `n` pictures from those of some, smoothed over their neighbours, linear in between."""
    at = sorted(found)
    values = np.array([[c.center_x, c.center_y, c.side_px, c.angle] for c in (found[i] for i in at)])
    padded = np.pad(values, ((1, 1), (0, 0)), mode="edge")
    smooth = 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]
    columns = [np.interp(np.arange(n), at, column) for column in smooth.T]
    return [FaceCrop(*(float(v) for v in row)) for row in zip(*columns, strict=True)]
