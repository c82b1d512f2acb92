"""Several faces in one picture or video: who is where, counted from left to right, and who is only standing by."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from torch import Tensor

from ...config import BOX_BOTTOM_Y, BOX_TOP_Y, FPS
from ...errors import BadInput, FaceNotFound
from ...request import Box
from ..image import read_image
from ..video.files import VideoReader
from .crop import FaceCrop
from .find import FACE_THRESHOLD, Face, crop_geometry, find_faces, geometry_of
from .follow import SEARCH_EVERY, Choice, Track, follow_all
from .subject import Subject

LEFT, RIGHT = "left", "right"
Place = int | str | Box
"""Which face: its number from left to right, from 0; LEFT or RIGHT; or a box as of `find.locate`."""
_SAME = 0.5
"""Two places are one face where their middles are closer than this, in sides of the smaller frame."""
_NEAR = 0.75
"""Somebody stands by a speaker whose frame they touch: middles within so many of both sides together."""
_MOST_BYSTANDERS = 12


@dataclass(frozen=True)
class People:
    """Who speaks, in the order that was asked for, and who stands close enough to be touched by what is pasted."""

    speakers: tuple[Subject, ...]
    bystanders: tuple[Subject, ...]


def parse_place(text: str) -> Place:
    """A place from text. Raises BadInput.

    >>> parse_place("left"), parse_place("2"), parse_place("10, 20, 110, 150")
    ('left', 2, (10.0, 20.0, 110.0, 150.0))
    """
    said = text.strip().lower()
    if said in (LEFT, RIGHT):
        return said
    try:
        numbers = [float(part) for part in said.replace(",", " ").split()]
    except ValueError:
        numbers = []
    if len(numbers) == 1 and numbers[0] >= 0 and numbers[0].is_integer():
        return int(numbers[0])
    if len(numbers) == 4 and all(map(math.isfinite, numbers)):
        return numbers[0], numbers[1], numbers[2], numbers[3]
    raise BadInput(
        f"face is {text!r:.80}; give left, right, a number from 0 counted from left to right, or a box x0,y0,x1,y1."
    )


def find_people(
    pictures: np.ndarray | Tensor | VideoReader,
    places: Sequence[Place],
    names: Sequence[str],
    *,
    index: int = 0,
    threshold: float = FACE_THRESHOLD,
    on_missing: str = "hold",
    fps: float = FPS,
    on_picture: Callable[[int, int], None] | None = None,
    n_frames: int | None = None,
    accept_any_face: bool = False,
) -> People:
    """Find everybody who speaks in one picture of a batch, or in all frames of a video, which are read once.

    places  which face each of the speakers is; of a video, in the first frame that shows as many faces as they need
    names   what the speakers are called in an error
    Other arguments and errors are those of `subject.find_subject`. Raises BadInput where two speakers have one face.
    """
    if isinstance(pictures, VideoReader) or (index < 0 and len(pictures) > 1):
        return _people_of_video(
            pictures, places, names, threshold, on_missing, fps, on_picture, n_frames, accept_any_face
        )
    if index >= len(pictures):
        raise BadInput(f"index is {index}, but there are {len(pictures)} pictures: give 0 .. {len(pictures) - 1}.")
    portrait = pictures[max(index, 0)][None]
    picture = read_image(portrait)
    chosen, others = _chosen(picture, places, names, threshold, accept_any_face)
    batch = (max(index, 0), len(pictures))
    speakers = tuple(Subject(portrait, (where.in_whole_pixels(),), batch=batch) for where in chosen)
    return People(speakers, tuple(Subject(portrait, (where,), batch=batch) for where in others))


def _people_of_video(
    pictures: np.ndarray | Tensor | VideoReader,
    places: Sequence[Place],
    names: Sequence[str],
    threshold: float,
    on_missing: str,
    fps: float,
    on_picture: Callable[[int, int], None] | None,
    n_frames: int | None,
    accept_any_face: bool,
) -> People:
    if isinstance(pictures, VideoReader):
        total, fps = n_frames or 0, pictures.fps
    else:
        total = len(pictures) if n_frames is None else min(n_frames, len(pictures))

    def looked_at() -> Iterator[np.ndarray]:
        if isinstance(pictures, VideoReader):
            return islice(iter(pictures), n_frames)
        return (read_image(picture) for picture in pictures[:n_frames])

    first = _first_with(looked_at(), _needed(places), threshold, accept_any_face)
    chosen, others = _chosen(first, places, names, threshold, accept_any_face)
    choices = [
        *(Choice(_box(where), 0, on_missing, accept_any_face) for where in chosen),
        *(Choice(_box(where), 0, "hold", accept_any_face) for where in others),
    ]
    tell = None if on_picture is None else lambda done: on_picture(done, total)
    tracks = follow_all(looked_at(), choices, threshold, tell)

    def subject(track: Track) -> Subject:
        return Subject(pictures, track.crops, fps, track.missed)

    found = [subject(track) for track in tracks]
    return People(tuple(found[: len(places)]), tuple(found[len(places) :]))


def _needed(places: Sequence[Place]) -> int:
    """How many faces there must be for places that count from left to right; a box needs none."""
    counted = [place + 1 for place in places if isinstance(place, int)]
    return max([0, *counted, len([place for place in places if isinstance(place, str)])])


def _first_with(pictures: Iterator[np.ndarray], n_faces: int, threshold: float, accept_any_face: bool) -> np.ndarray:
    """The first picture that shows so many faces, among every SEARCH_EVERY-th; else the first that shows the most."""
    best: np.ndarray | None = None
    most = -1
    for number, picture in enumerate(pictures):
        if number % SEARCH_EVERY:
            continue
        n_found = len(find_faces(picture, threshold, accept_any_face)) if n_faces else 0
        if n_found > most:
            best, most = picture, n_found
        if most >= n_faces:
            break
    if best is None:
        raise FaceNotFound("The video has no frames, so that nobody is seen in it. Give another one.")
    return best


def _chosen(
    picture: np.ndarray, places: Sequence[Place], names: Sequence[str], threshold: float, accept_any_face: bool
) -> tuple[list[FaceCrop], list[FaceCrop]]:
    """Where the speakers' faces lie in a picture, and where those of bystanders."""
    faces = sorted(find_faces(picture, threshold, accept_any_face), key=lambda face: face.x0 + face.x1)
    needed = _needed(places)
    if len(faces) < needed:
        raise FaceNotFound(
            f"{needed} faces are needed, and {len(faces)} are seen{_where(faces)}. Lower face_threshold, or say by a "
            "box where each face is (x0,y0,x1,y1 in pixels, from the middle of the forehead to the chin)."
        )
    size = (picture.shape[1], picture.shape[0])
    chosen = [_place(place, faces, size) for place in places]
    for i, where in enumerate(chosen):
        for j in range(i):
            if _is_same(where, chosen[j]):
                raise BadInput(
                    f"'{names[j]}' and '{names[i]}' are the same face{_where(faces)}. Give each speaker a face of "
                    "their own, by its number from left to right or by a box."
                )
    seen = [geometry_of(face) for face in faces]
    others = [where for where in seen if not any(_is_same(where, one) for one in chosen)]
    near = [where for where in others if any(_is_near(where, one) for one in chosen)]
    return chosen, near[:_MOST_BYSTANDERS]


def _place(place: Place, faces: Sequence[Face], size: tuple[int, int]) -> FaceCrop:
    if isinstance(place, str):
        return geometry_of(faces[0 if place == LEFT else -1])
    return geometry_of(faces[place]) if isinstance(place, int) else crop_geometry(place, size)


def _where(faces: Sequence[Face]) -> str:
    """The boxes of faces in words."""
    boxes = ["{:.0f},{:.0f},{:.0f},{:.0f}".format(*face.box) for face in faces[:8]]
    return f" (from left to right: {'; '.join(boxes)})" if boxes else ""


def _box(where: FaceCrop) -> Box:
    """The box of a frame, as `crop_geometry` takes it."""
    half = where.side_px * (BOX_BOTTOM_Y - BOX_TOP_Y) / 2
    upright = replace(where, angle=0.0)
    x, y = upright.point(0.5, (BOX_TOP_Y + BOX_BOTTOM_Y) / 2)
    return x - half, y - half, x + half, y + half


def _is_same(one: FaceCrop, other: FaceCrop) -> bool:
    return math.dist(one.center, other.center) < _SAME * min(one.side_px, other.side_px)


def _is_near(one: FaceCrop, other: FaceCrop) -> bool:
    return math.dist(one.center, other.center) < _NEAR * (one.side_px + other.side_px)
