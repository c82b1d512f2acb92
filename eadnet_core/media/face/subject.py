"""Who speaks: one portrait, or the frames of a video, and where the face lies in each picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from ...config import FPS
from ...errors import BadInput
from ..image import read_image
from ..video.files import FrameCursor, VideoReader
from .crop import FaceCrop, crop
from .find import FACE_THRESHOLD, locate
from .follow import follow
from .framing import FRAME, Framing, Paste
from .turned import TurnedPortrait

Finish = Callable[[np.ndarray, np.ndarray, int], np.ndarray]
"""(full picture uint8 [H, W, 3], the picture it was pasted into, number of the frame) -> [H, W, 3 or 4]"""


class Drawn(Protocol):
    """Pictures that are drawn when they are asked for.

    shape   (frames, height, width, 3)
    """

    shape: tuple[int, int, int, int]

    def __len__(self) -> int: ...

    def __getitem__(self, frame: int) -> np.ndarray: ...

    def reader(self) -> Callable[[int], np.ndarray]:
        """What draws uint8 [H, W, 3] of a frame, for frames in order."""


@dataclass(frozen=True)
class Subject:
    """Pictures and the face in each.

    pictures   [B, H, W, 3]  uint8, or float 0 .. 1; or a video, read as it is needed, or pictures that are drawn then
    crops      one for each picture; None where the picture passes through as it is
    fps        of the pictures; ignored for a single one
    framing    how the face is cut out and put back
    batch      of a portrait: its number among the pictures it was chosen from, and how many they are
    """

    pictures: np.ndarray | Tensor | VideoReader | Drawn
    crops: tuple[FaceCrop | None, ...]
    fps: float = FPS
    missed: tuple[int, ...] = field(default=())
    """Pictures that hold no face."""
    framing: Framing = FRAME
    batch: tuple[int, int] = (0, 1)

    @property
    def is_still(self) -> bool:
        return len(self.crops) == 1 and not isinstance(self.pictures, VideoReader)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        if isinstance(self.pictures, VideoReader):
            return self.pictures.size
        return int(self.pictures.shape[2]), int(self.pictures.shape[1])

    @property
    def notes(self) -> tuple[str, ...]:
        """What had to be said about the video that was read."""
        return self.pictures.notes if isinstance(self.pictures, VideoReader) else ()

    def index(self, frame: int) -> int:
        """The picture that belongs to a frame of the clip; the last one stays where the clip is longer."""
        return min(round(frame * self.fps / FPS), len(self.crops) - 1)

    def picture(self, frame: int) -> np.ndarray:
        """uint8 [H, W, 3] of a frame of the clip; for many frames of a video see `reader`."""
        return self.reader()(frame)

    def reader(self, n_places: int = 1) -> Callable[[int], np.ndarray]:
        """What `picture` does, for frames in order: a video is read on, not opened again for each.

        n_places  how many such orders there are at once in a video, one behind the other
        """
        pictures: Any = self.pictures
        if isinstance(pictures, VideoReader):
            pictures = FrameCursor(pictures, n_places)
        elif not isinstance(pictures, (np.ndarray, Tensor)):
            read = pictures.reader()
            return lambda frame: read(self.index(frame))
        return lambda frame: read_image(pictures[self.index(frame)])

    def reference(self, size_px: int) -> np.ndarray | Callable[[int, int], np.ndarray]:
        """What a clip is made from: a portrait's square, or (start, stop) -> those of a video's frames."""
        if self.is_still:
            return self._crop(self.picture(0), 0, size_px)
        read = self.reader(n_places=2)  # frames are looked at when they are sampled, and again when they are decoded
        return lambda start, stop: np.stack([self._crop(read(i), i, size_px) for i in range(start, stop)])

    def _crop(self, picture: np.ndarray, frame: int, size_px: int) -> np.ndarray:
        return self.framing.cut(picture, self.nearest(self.index(frame)), size_px)

    def turned(self, motion: np.ndarray, framing: Framing) -> Subject:
        """A portrait as a video whose head moves by motion [T, 8], in that framing; a video as it is."""
        if not self.is_still:
            return replace(self, framing=framing)
        frames = TurnedPortrait(self.picture(0), self.nearest(0), motion)
        return Subject(frames, frames.faces(), FPS, framing=framing)

    def faces(self, squares: np.ndarray | None, pictures: np.ndarray, start: int, size_px: int) -> np.ndarray:
        """The training frames [T, size, size, 3] of finished pictures [T, H, W, 3]: the squares, if they are that."""
        if self.framing is FRAME and squares is not None:
            whole = FaceCrop(squares.shape[1] / 2, squares.shape[1] / 2, squares.shape[1])
            return squares if squares.shape[1] == size_px else np.stack([crop(s, whole, size_px) for s in squares])
        where = [self.nearest(self.index(start + i)) for i in range(len(pictures))]
        return np.stack([crop(picture, face, size_px) for picture, face in zip(pictures, where, strict=True)])

    def nearest(self, index: int) -> FaceCrop:
        """The crop of a picture, or of the nearest that has one."""
        for distance in range(len(self.crops)):
            for near in (index - distance, index + distance):
                if 0 <= near < len(self.crops) and (found := self.crops[near]) is not None:
                    return found
        raise ValueError("no picture of this subject has a face")

    def face_states(self, n_frames: int) -> list[dict[str, Any]]:
        """What became of the face in every frame of a clip of a video: found, held or passed, and where it lies."""
        missed, rows = set(self.missed), []
        for frame in range(n_frames):
            where = self.crops[self.index(frame)]
            state = "passed" if where is None else "held" if self.index(frame) in missed else "found"
            rows.append({"frame": frame, "face": state, **({} if where is None else asdict(where))})
        return rows

    def on(self, pictures: np.ndarray | Tensor) -> Subject:
        """The same faces on other pictures of the scene, such as enlarged ones; raises BadInput if they cannot be."""
        if isinstance(self.pictures, VideoReader):
            raise BadInput("The face was looked for in a video file; its own frames are what is pasted into.")
        chosen, n_searched = self.batch if self.is_still else (0, len(self.crops))
        if self.is_still and len(pictures) == n_searched:
            pictures = pictures[chosen : chosen + 1]
        elif len(pictures) != (1 if self.is_still else n_searched):
            raise BadInput(
                f"'portrait' holds {len(pictures)} pictures, but the face was looked for in {n_searched}. "
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

    def paster(
        self,
        mask: str | None = None,
        finish: Finish | None = None,
        read: Callable[[int], np.ndarray] | None = None,
    ) -> Callable[[np.ndarray, int], np.ndarray]:
        """(face frames uint8 [T, size, size, 3], number of the first) -> full pictures uint8 [T, H, W, 3].

        mask    a key of MASK_BOXES: what part of the frame is pasted; by default "full" in a portrait, "face" in a
                video
        finish  what is done to every full picture; it may give it an alpha
        read    what gives the pictures, where several faces share one; by default a `reader` of their own
        """
        read = read or self.reader()
        portrait = read(0) if self.is_still else None
        still: list[Paste] = []

        def paste_one(frame: np.ndarray, number: int) -> np.ndarray:
            picture = read(number) if portrait is None else portrait
            if portrait is None:
                pasted = self._paste(frame, picture, number, mask)
            else:
                if not still:
                    still.append(self.framing.paster(portrait, self.nearest(0), len(frame), mask or "full"))
                pasted = still[0](frame)
            return pasted if finish is None else finish(pasted, picture, number)

        return lambda frames, start: np.stack([paste_one(frame, start + i) for i, frame in enumerate(frames)])

    def _paste(self, frame: np.ndarray, picture: np.ndarray, number: int, mask: str | None) -> np.ndarray:
        where = self.crops[self.index(number)]
        if where is None:
            return picture
        return self.framing.paster(picture, where, len(frame), mask or "face")(frame)


def training_frame(picture: np.ndarray) -> Subject:
    """A portrait, uint8 [size, size, 3], that is cut to the training frame already."""
    size = float(picture.shape[0])
    return Subject(picture[None], (FaceCrop(size / 2, size / 2, size),))


def find_subject(
    pictures: np.ndarray | Tensor | VideoReader,
    index: int = 0,
    face_box: tuple[float, float, float, float] | None = None,
    threshold: float = FACE_THRESHOLD,
    on_missing: str = "hold",
    fps: float = FPS,
    on_picture: Callable[[int, int], None] | None = None,
    face_index: int = 0,
    n_frames: int | None = None,
    accept_any_face: bool = False,
    what: str = "portrait",
) -> Subject:
    """Look for the face in one picture of a batch, or in all.

    pictures    [B, H, W, 3]  uint8, or float 0 .. 1; or a video, which is read one frame at a time
    index       the portrait's number in the batch, from 0; -1 takes every picture, the frames of a video
    face_box    x0, y0, x1, y1 in pixels, as in `locate`; in a video it says which face is followed, as in `follow`
    on_missing  one of MISS_POLICIES, for videos
    on_picture  called with (pictures searched, pictures to search or 0 where unknown); may raise to stop
    face_index  which face, where there are several: 0 the most prominent
    n_frames    of a video: as many are looked at, and no more
    accept_any_face  as in `find.find_faces`
    what        how a portrait is called in an error
    Raises BadInput, or FaceNotFound for a portrait without a face, a video without any, or by the policy.
    """
    if isinstance(pictures, VideoReader):
        total, fps, looked_at = n_frames or 0, pictures.fps, iter(pictures)
    else:
        if not -1 <= index < len(pictures):
            raise BadInput(
                f"index is {index}, but there are {len(pictures)} pictures: give 0 .. {len(pictures) - 1}, or -1."
            )
        if index >= 0 or len(pictures) == 1:
            portrait = pictures[max(index, 0)][None]
            found = locate(read_image(portrait), face_box, threshold, what, face_index, accept_any_face)
            return Subject(portrait, (found.in_whole_pixels(),), batch=(max(index, 0), len(pictures)))
        total, looked_at = len(pictures), (read_image(picture) for picture in pictures)
    searched = islice(looked_at, n_frames)
    tell = None if on_picture is None else lambda done: on_picture(done, total)
    track = follow(searched, face_box, face_index, threshold, on_missing, tell, accept_any_face)
    return Subject(pictures, track.crops, fps, track.missed)
