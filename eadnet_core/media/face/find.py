"""Find a face, and say where it lies: the one place that maps pictures to the training frame.

Finders (`candidates`) propose places. Landmarks (`landmarks`) say exactly where a face lies there, and whether it is
one: those of a person's face stay where they are when they are looked for a second time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ...config import BOX_BOTTOM_Y, BOX_TOP_Y
from ...errors import BadInput, FaceNotFound
from ...request import OPTIONS
from .candidates import Candidate, overlap, search, search_square
from .crop import FaceCrop
from .landmarks import Landmarks, frame_by_eyes, read_landmarks

FACE_THRESHOLD: float = OPTIONS["face_threshold"].default
MIN_FACE_PX = 64
"""Faces from this width on are looked for in pictures up to 4K: half of what the smallest model makes."""
_MIN_PICTURE_PX = 24
_MIN_BOX_PX = 8
_CONVINCING = 0.7
"""A face of such a score ends the search."""
_MOST_FACES = 48
"""Places of a crowd that are looked at closely, the largest first."""
_BOX_SIDES = 0.63
"""Side of a finder's box in sides of the training frame."""
_STEADY = 0.12
"""Distances of the eyes by which landmarks move on average, from one look to the next, where the score is 1/e. People's
faces have 0.08 at most, most animals more."""
_NEARBY = 4.0
"""Side of the square in which a face is looked for near a place, in face widths."""


@dataclass(frozen=True)
class Face:
    """A face box in pixels, from the middle of the forehead to the chin, and how sure we are, 0 .. 1."""

    x0: float
    y0: float
    x1: float
    y1: float
    score: float
    angle: float = 0.0
    """Roll in radians, clockwise; the box is that of the upright face, turned about its middle."""
    landmarks: Landmarks | None = field(default=None, compare=False, repr=False)
    """None where it is no person's face, accepted all the same."""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(x0, y0, x1, y1)."""
        return self.x0, self.y0, self.x1, self.y1


def find_faces(image: np.ndarray, threshold: float = FACE_THRESHOLD, accept_any_face: bool = False) -> list[Face]:
    """All faces of a picture, the most prominent (score times size) first; those from MIN_FACE_PX on in a large one.

    image            uint8 [H, W, 3]
    threshold        0 .. 1
    accept_any_face  take animals' faces, masks and cartoons too, by the finder's score alone
    """
    return [face for face in _faces(image, accept_any_face) if face.score >= threshold]


def find_near(image: np.ndarray, place: FaceCrop, accept_any_face: bool = False) -> list[Face]:
    """Faces of any score and about that size around a place."""
    if min(image.shape[:2]) < _MIN_PICTURE_PX:
        return []
    side = _NEARBY * (BOX_BOTTOM_Y - BOX_TOP_Y) * place.side_px
    return _distinct(_examined(image, search_square(image, *place.center, side), accept_any_face))


def locate(
    image: np.ndarray,
    face_box: Sequence[float] | None = None,
    threshold: float = FACE_THRESHOLD,
    what: str = "portrait",
    index: int = 0,
    accept_any_face: bool = False,
) -> FaceCrop:
    """Where the most prominent face of a picture lies, or another one by its `index`, 1 the next, ...

    image            uint8 [H, W, 3]
    face_box         x0, y0, x1, y1 in pixels, drawn by hand from the middle of the forehead to the chin; it wins over
                     any search and is not corrected: its height sets the scale, its middle the position
    what             how the picture is called in an error
    accept_any_face  as in `find_faces`
    Raises FaceNotFound, or BadInput for a box that cannot be used.
    """
    height, width = image.shape[:2]
    if face_box is not None:
        return crop_geometry(face_box, (width, height))
    if min(height, width) < _MIN_PICTURE_PX:
        raise FaceNotFound(
            f"No face in '{what}': it is {width} x {height} pixels, and at least {_MIN_PICTURE_PX} x {_MIN_PICTURE_PX} "
            "are needed. Give a larger picture."
        )
    faces = _faces(image, accept_any_face)
    accepted = [face for face in faces if face.score >= threshold]
    if not accepted:
        raise FaceNotFound(_why_not(image, faces, threshold, what, accept_any_face))
    return geometry_of(accepted[min(index, len(accepted) - 1)])


def _why_not(image: np.ndarray, faces: list[Face], threshold: float, what: str, accept_any_face: bool) -> str:
    best = max((face.score for face in faces), default=0.0)
    said = f"No face in '{what}': best score {best:.2f} is below face_threshold {threshold:.2f}. "
    others = [] if accept_any_face else [face for face in _faces(image, True) if face.score >= threshold]
    if others:
        box = ",".join(f"{v:.0f}" for v in others[0].box)
        said += (
            f"What lies at {box} looks like an animal, a mask or a cartoon: set accept_any_face to take it all the "
            "same. Else give"
        )
    else:
        said += "Give"
    return (
        f"{said} a frontal picture whose face is at least {MIN_FACE_PX} pixels wide, a face_box (x0,y0,x1,y1 in "
        "pixels, from the middle of the forehead to the chin), or lower face_threshold."
    )


def crop_geometry(face_box: Sequence[float], image_size: tuple[int, int], angle: float = 0.0) -> FaceCrop:
    """The training frame of a face box.

    face_box    x0, y0, x1, y1 in pixels; top: the middle of the forehead, bottom: the chin
    image_size  (width, height)
    Raises BadInput for a box that is empty, too small, or has its middle outside the picture.
    """
    values = [float(v) for v in face_box]
    text = ",".join(f"{v:g}" for v in values)
    if len(values) != 4 or not all(math.isfinite(v) for v in values):
        raise BadInput(f"face_box is '{text}'; give four numbers x0,y0,x1,y1 in pixels.")
    x0, y0, x1, y1 = values
    if x1 - x0 < _MIN_BOX_PX or y1 - y0 < _MIN_BOX_PX:
        raise BadInput(
            f"face_box {text} is {x1 - x0:g} x {y1 - y0:g} pixels; give x0,y0,x1,y1 at least {_MIN_BOX_PX} apart."
        )
    width, height = image_size
    if not (0 <= (x0 + x1) / 2 <= width and 0 <= (y0 + y1) / 2 <= height):
        raise BadInput(f"face_box {text} has its middle outside the picture of {width} x {height} pixels.")
    return _geometry((x0, y0, x1, y1), angle)


def geometry_of(face: Face) -> FaceCrop:
    """The training frame of a face that was found."""
    return _geometry(face.box, face.angle)


def _geometry(box: tuple[float, float, float, float], angle: float) -> FaceCrop:
    x0, y0, x1, y1 = box
    side = (y1 - y0) / (BOX_BOTTOM_Y - BOX_TOP_Y)
    down = side * (0.5 - (BOX_TOP_Y + BOX_BOTTOM_Y) / 2)
    return FaceCrop((x0 + x1) / 2 - down * math.sin(angle), (y0 + y1) / 2 + down * math.cos(angle), side, angle)


def _face(geometry: FaceCrop) -> Face:
    """The inverse of `_geometry`, without a score."""
    half = geometry.side_px * (BOX_BOTTOM_Y - BOX_TOP_Y) / 2
    down = geometry.side_px * (0.5 - (BOX_TOP_Y + BOX_BOTTOM_Y) / 2)
    x = geometry.center_x + down * math.sin(geometry.angle)
    y = geometry.center_y - down * math.cos(geometry.angle)
    return Face(x - half, y - half, x + half, y + half, 0.0, geometry.angle)


def _faces(image: np.ndarray, accept_any_face: bool) -> list[Face]:
    """Everything that may be a face, the most prominent first."""
    if min(image.shape[:2]) < _MIN_PICTURE_PX:
        return []
    found: list[Face] = []
    for candidates in search(image):
        found += _examined(image, candidates, accept_any_face)
        if any(face.score >= _CONVINCING for face in found):
            break
    return _distinct(found)


def _distinct(faces: list[Face]) -> list[Face]:
    """Each face once, the most prominent first."""
    left, found = sorted(faces, key=lambda face: -face.score), []
    while left:
        found.append(left[0])
        shared = overlap(np.array(left[0].box), np.array([face.box for face in left]))
        left = [face for face, share in zip(left, shared, strict=True) if share < 0.3]
    return sorted(found, key=lambda face: -face.score * math.sqrt(face.x1 - face.x0))


def _examined(image: np.ndarray, candidates: list[Candidate], accept_any_face: bool) -> list[Face]:
    """Candidates as faces, each with its landmarks and a score."""
    candidates = sorted(candidates, key=lambda c: -c.score * math.sqrt(c.size_px))[:_MOST_FACES]
    guesses = [_guess(candidate) for candidate in candidates]
    first = read_landmarks(image, guesses)
    second = read_landmarks(image, [landmarks.frame() for landmarks in first])
    faces = []
    for candidate, guess, one, two in zip(candidates, guesses, first, second, strict=True):
        score = _score(candidate, one, two)
        if score < FACE_THRESHOLD <= min(one.presence, two.presence) and not candidate.near:
            score = _score(_closer(image, candidate), one, two)
        if score < FACE_THRESHOLD and accept_any_face:
            faces.append(replace(_face(guess), score=candidate.score))
        else:
            faces.append(replace(_face(two.frame()), score=score, landmarks=two))
    return faces


def _closer(image: np.ndarray, candidate: Candidate) -> Candidate:
    """A small face that the far finder alone has seen, as both see it in a square about it."""
    middle = (candidate.box[:2] + candidate.box[2:]) / 2
    x, y = middle.tolist()
    seen = search_square(image, x, y, _NEARBY * candidate.size_px)
    same = [one for one in seen if overlap(candidate.box, one.box[None])[0] > 0.3]
    return max([candidate, *same], key=lambda one: one.score)


def _guess(candidate: Candidate) -> FaceCrop:
    """The training frame by a finder's points and box."""
    return frame_by_eyes(candidate.points[0], candidate.points[1], candidate.size_px / _BOX_SIDES)


def _score(candidate: Candidate, one: Landmarks, two: Landmarks) -> float:
    """How sure it is that a person's face is there, 0 .. 1, by two looks, the second where the first ended.

    The finder's own score, the landmarks' presence, and how little they moved: on an animal they find no hold.
    """
    apart = float(np.linalg.norm(np.diff(two.eyes, axis=0))) + 1e-6
    moved = float(np.linalg.norm(one.xy - two.xy, axis=1).mean()) / apart
    return candidate.score * min(one.presence, two.presence) * math.exp(-((moved / _STEADY) ** 2))
