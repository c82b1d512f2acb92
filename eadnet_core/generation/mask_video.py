"""Masks of a video's face as a video: white where it is, black elsewhere, a frame at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from ..errors import Cancelled
from ..media.face.masks import masks_of
from ..media.face.steady import Steady
from ..media.face.subject import Subject
from ..media.image import read_image
from ..media.video.files import VideoWriter
from ..request import Cancel


def masks_over_time(subject: Subject, kinds: tuple[str, ...]) -> Iterator[dict[str, np.ndarray]]:
    """Masks of every picture of a subject in order, each uint8 [H, W]; their edges rest where the picture does.

    kinds  some of media.face.masks.MASKS
    """
    pictures: Any = subject.pictures
    over_time = {kind: Steady() for kind in kinds}
    for number, (given, face) in enumerate(zip(pictures, subject.crops, strict=False)):  # the search may stop earlier
        picture = read_image(given)
        masks = masks_of(picture, face, kinds)
        if face is None:
            yield masks
        else:
            yield {kind: over_time[kind].at(number, (picture, masks[kind])) for kind in kinds}


def write_mask_video(
    path: str | os.PathLike[str],
    subject: Subject,
    kind: str,
    *,
    overwrite: bool = False,
    on_frame: Callable[[int, int], None] | None = None,
    cancel: Cancel | None = None,
) -> None:
    """Write one mask of every picture of a video into a video file; the memory it takes does not grow with the length.

    on_frame  called with (frames written, frames in all)
    Raises BadInput for an output that is refused, MediaError, Cancelled.
    """
    n_frames = len(subject.crops)
    with VideoWriter(path, subject.size, Fraction(subject.fps).limit_denominator(1001), overwrite=overwrite) as writer:
        for number, masks in enumerate(masks_over_time(subject, (kind,)), 1):
            if cancel is not None and cancel():
                raise Cancelled(f"Stopped after {number - 1} of {n_frames} frames.")
            writer.write(np.repeat(masks[kind][..., None], 3, 2))
            if on_frame is not None:
                on_frame(number, n_frames)
