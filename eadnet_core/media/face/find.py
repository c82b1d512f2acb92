"""Find a face, and say where it lies: the one place that maps pictures to the training frame.

scikit-image's LBP cascade proposes boxes; boxes that agree are one face, and their number is the evidence for it. A
template of eyes, brows, nose and mouth (our design) is then fitted around each face by moving, scaling and turning it,
since the cascade is only good to a tenth of the face.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from PIL import Image, ImageOps

from ...errors import BadInput, FaceNotFound
from .cascade import _cascade_boxes, _clusters, _overlap
from .crop import FaceCrop
from .template import _fit

FACE_THRESHOLD = 0.5
BOX_TOP_Y, BOX_BOTTOM_Y = 0.19, 0.84
"""Heights in the training frame of a face box's top (the middle of the forehead) and bottom (the chin)."""
_SEARCH_PIXELS = 130_000
_MIN_PICTURE_PX = 24
_MIN_BOX_PX = 8
_VIEWS = ("red", "opened", "negative")
"""What the cascade is shown until a face is convincing. The red channel, since skin of any colour is bright in it; that
without small bright spots (the whites of eyes, teeth, glints); the negative of the luminance, in which bright eyes on
dark skin look like dark eyes on bright skin. Each finds faces that the others miss."""
_TURNS = (0.0, -0.45, 0.45)
"""By how many radians the picture is turned for it, anticlockwise."""
_TURNED_SHARE = 0.5
"""Turned pictures show more false faces, so their boxes count less."""
_SPOT = 0.035
"""Size of the bright spots that are removed, in sides of the picture."""
_CONVINCING = 0.7
_MAX_FITTED = 6


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

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(x0, y0, x1, y1)."""
        return self.x0, self.y0, self.x1, self.y1


def find_faces(image: np.ndarray, threshold: float = FACE_THRESHOLD) -> list[Face]:
    """All faces of a picture, the most prominent (score times size) first.

    image      uint8 [H, W, 3]
    threshold  0 .. 1; .5 is about four agreeing boxes whose inside looks like a face
    """
    return [face for face in _candidates(image) if face.score >= threshold]


def locate(
    image: np.ndarray,
    face_box: Sequence[float] | None = None,
    threshold: float = FACE_THRESHOLD,
    what: str = "portrait",
    index: int = 0,
) -> FaceCrop:
    """Where the most prominent face of a picture lies, or another one by its `index`, 1 the next, ...

    image      uint8 [H, W, 3]
    face_box   x0, y0, x1, y1 in pixels, drawn by hand from the middle of the forehead to the chin; it wins over any
               search and is not corrected: its height sets the scale, its middle the position
    what       how the picture is called in an error
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
    candidates = _candidates(image)
    accepted = [face for face in candidates if face.score >= threshold]
    if not accepted:
        best = max((face.score for face in candidates), default=0.0)
        raise FaceNotFound(
            f"No face in '{what}': best score {best:.2f} is below face_threshold {threshold:.2f}. Give a frontal "
            "picture whose face fills at least a tenth of it, a face_box (x0,y0,x1,y1 in pixels, from the middle of "
            "the forehead to the chin), or lower face_threshold."
        )
    return geometry_of(accepted[min(index, len(accepted) - 1)])


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


def _candidates(image: np.ndarray) -> list[Face]:
    """Everything that may be a face, the most prominent first."""
    if min(image.shape[:2]) < _MIN_PICTURE_PX:
        return []
    found: list[tuple[Face, float]] = []
    for turn, view in product(_TURNS, _VIEWS):
        found += _look(image, view, turn)
        if any(_score(evidence) >= _CONVINCING for _, evidence in found):
            break
    found.sort(key=lambda pair: -pair[1])
    faces: list[Face] = []
    while found:
        best = found[0][0]
        overlaps = _overlap(np.array(best.box), np.array([face.box for face, _ in found]))
        same = overlaps > 0.5  # seen in several views: the evidence adds up
        evidence = sum(pair[1] for pair, is_same in zip(found, same, strict=True) if is_same)
        faces.append(replace(best, score=_score(evidence)))
        found = [pair for pair, overlap in zip(found, overlaps, strict=True) if overlap < 0.3]
    return sorted(faces, key=lambda face: -face.score * math.sqrt(face.x1 - face.x0))


def _look(image: np.ndarray, view: str, turn: float) -> list[tuple[Face, float]]:
    """Faces in one view of a picture, turned by `turn` radians, and the evidence for each; scores are not yet set."""
    plain = Image.fromarray(image).convert("L") if view == "negative" else Image.fromarray(image).getchannel(0)
    grey = ImageOps.invert(plain) if view == "negative" else plain
    width, height = grey.size
    scale = min(1.0, math.sqrt(_SEARCH_PIXELS / (width * height)))
    size = max(_MIN_PICTURE_PX, round(width * scale)), max(_MIN_PICTURE_PX, round(height * scale))
    pixels = np.asarray(grey.resize(size, Image.Resampling.BOX))
    if view == "opened":
        pixels = _without_bright_spots(pixels)
    margin = round(0.2 * min(size))
    padded = np.pad(pixels, margin, mode="edge")
    if turn:
        padded = np.asarray(Image.fromarray(padded).rotate(math.degrees(turn), Image.Resampling.BILINEAR))
    middle_x, middle_y = padded.shape[1] / 2, padded.shape[0] / 2
    cos, sin = math.cos(turn), math.sin(turn)
    found = []
    for votes, box in _clusters(_cascade_boxes(padded))[:_MAX_FITTED]:
        x, y, side = (box[0] + box[2]) / 2 - middle_x, (box[1] + box[3]) / 2 - middle_y, box[2] - box[0]
        # back to the unturned picture: what was turned anticlockwise is turned clockwise
        x, y = x * cos - y * sin + middle_x - margin, x * sin + y * cos + middle_y - margin
        x, y, half = x * width / size[0], y * height / size[1], side / scale / 2
        geometry, likeness = _fit(grey, _geometry((x - half, y - half, x + half, y + half), turn))
        if 0 <= geometry.center_x <= width and 0 <= geometry.center_y <= height:
            evidence = votes * min(max(likeness / 0.3, 0.0), 1.5) ** 2  # likeness: .3 .. .5 on faces, .1 elsewhere
            found.append((_face(geometry), evidence * (_TURNED_SHARE if turn else 1.0)))
    return found


def _without_bright_spots(pixels: np.ndarray) -> np.ndarray:
    from skimage.morphology import opening

    size = max(3, round(_SPOT * min(pixels.shape)))
    return opening(pixels, np.ones((size, size), np.uint8))


def _score(evidence: float) -> float:
    """Evidence (agreeing boxes times how much they look like a face) as a number 0 .. 1; 4 is one half."""
    return evidence / (evidence + 4.0)
