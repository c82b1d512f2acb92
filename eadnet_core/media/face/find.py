"""Find a face, and say where it lies: the one place that maps pictures to the training frame.

scikit-image's LBP cascade proposes boxes; boxes that agree are one face, and their number is the evidence for it. A
template (`face_template`) is then fitted around each face by moving, scaling and turning it, since the cascade is only
good to a tenth of the face. In a large picture without a convincing face, smaller ones are looked for as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from PIL import Image, ImageOps

from ...errors import BadInput, FaceNotFound
from .cascade import MIN_FACE, _cascade_boxes, _clusters, _overlap
from .crop import FaceCrop
from .template import fit

FACE_THRESHOLD = 0.5
BOX_TOP_Y, BOX_BOTTOM_Y = 0.19, 0.84
"""Heights in the training frame of a face box's top (the middle of the forehead) and bottom (the chin)."""
MIN_FACE_PX = 64
"""Faces from this width on are looked for in pictures up to 4K: half of what the smallest model makes."""
_SEARCH_PIXELS = 130_000
_SMALL_PIXELS = 1_500_000
"""Larger pictures are reduced to so many before small faces are looked for."""
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
_WINDOW_PX = 24
"""Side of the cascade's smallest window."""
_SURE = 0.85
"""What a face must reach that is small in its picture: there are many more places at which it might be."""
_MAX_SMALL = 8
"""Places at which a small face is looked for closely, in one view."""
_NEARBY = 1.5
"""Face widths to each side of the middle of such a place that are looked at."""


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

    Where none fills a tenth of the picture convincingly, smaller ones from MIN_FACE_PX on are looked for as well.

    image      uint8 [H, W, 3]
    threshold  0 .. 1; .5 is about four agreeing boxes whose inside looks like a face
    """
    return [face for face in _candidates(image) if face.score >= threshold]


def find_near(image: np.ndarray, place: FaceCrop) -> list[Face] | None:
    """Faces of any score around a place; None where a face of that size is seen in the whole picture as well."""
    width, height = image.shape[1], image.shape[0]
    box_px = (BOX_BOTTOM_Y - BOX_TOP_Y) * place.side_px
    if box_px > 1.1 * _seen_px(width, height):
        return None
    reach = max(_NEARBY * box_px, _MIN_PICTURE_PX)
    x0, y0 = max(0, int(place.center_x - reach)), max(0, int(place.center_y - reach))
    part = image[y0 : max(0, int(place.center_y + reach)), x0 : max(0, int(place.center_x + reach))]
    return [shifted(face, x0, y0) for face in _candidates(part)]


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
            f"picture whose face is at least {MIN_FACE_PX} pixels wide, a face_box (x0,y0,x1,y1 in pixels, from the "
            "middle of the forehead to the chin), or lower face_threshold."
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
    else:
        found += _small_faces(image)
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
    grey = _grey(image, view)
    width, height = grey.size
    scale, size = min(1.0, math.sqrt(_SEARCH_PIXELS / (width * height))), _search_size(width, height)
    pixels = np.asarray(grey.resize(size, Image.Resampling.BOX))
    if view == "opened":
        pixels = _without_bright_spots(pixels)
    margin = _margin(size)
    padded = np.pad(pixels, margin, mode="edge")
    if turn:
        padded = np.asarray(Image.fromarray(padded).rotate(math.degrees(turn), Image.Resampling.BILINEAR))
    middle_x, middle_y = padded.shape[1] / 2, padded.shape[0] / 2
    cos, sin = math.cos(turn), math.sin(turn)
    found = []
    boxes = _cascade_boxes(padded, (_smallest_window(size), min(padded.shape)))
    for votes, box in _clusters(boxes, _MAX_FITTED):
        x, y, side = (box[0] + box[2]) / 2 - middle_x, (box[1] + box[3]) / 2 - middle_y, box[2] - box[0]
        # back to the unturned picture: what was turned anticlockwise is turned clockwise
        x, y = x * cos - y * sin + middle_x - margin, x * sin + y * cos + middle_y - margin
        x, y, half = x * width / size[0], y * height / size[1], side / scale / 2
        geometry, likeness = fit(grey, _geometry((x - half, y - half, x + half, y + half), turn))
        if 0 <= geometry.center_x <= width and 0 <= geometry.center_y <= height:
            evidence = votes * min(max(likeness / 0.3, 0.0), 1.5) ** 2  # likeness: .3 .. .5 on faces, .1 elsewhere
            found.append((_face(geometry), evidence * (_TURNED_SHARE if turn else 1.0)))
    return found


def _grey(image: np.ndarray, view: str) -> Image.Image:
    picture = Image.fromarray(image)
    return ImageOps.invert(picture.convert("L")) if view == "negative" else picture.getchannel(0)


def _search_size(width: int, height: int) -> tuple[int, int]:
    """(width, height) at which a whole picture is searched."""
    scale = min(1.0, math.sqrt(_SEARCH_PIXELS / (width * height)))
    return max(_MIN_PICTURE_PX, round(width * scale)), max(_MIN_PICTURE_PX, round(height * scale))


def _small_faces(image: np.ndarray) -> list[tuple[Face, float]]:
    """Faces too small for `_look` to see in the whole of a large picture, and the evidence for each."""
    height, width = image.shape[:2]
    seen_px = _seen_px(width, height)
    scale = min(_WINDOW_PX / (0.9 * MIN_FACE_PX), math.sqrt(_SMALL_PIXELS / (width * height)))
    size, largest = (round(width * scale), round(height * scale)), round(1.3 * seen_px * scale)
    if seen_px <= MIN_FACE_PX or min(size) < _WINDOW_PX:
        return []
    for view in ("red", "negative"):
        grey = _grey(image, view).resize(size, Image.Resampling.BOX)
        boxes = _cascade_boxes(np.asarray(grey), (_WINDOW_PX, largest), 1.2, 2.0)
        found: list[tuple[Face, float]] = []
        for votes, box in _clusters(boxes, _MAX_SMALL):
            for face, evidence in _look_closely(image, box / scale) if votes > 1 else ():
                if not any(_overlap(np.array(face.box), np.array([other.box]))[0] > 0.5 for other, _ in found):
                    found.append((face, evidence))
        if found:
            return found
    return []


def _look_closely(image: np.ndarray, box: np.ndarray) -> list[tuple[Face, float]]:
    """Upright faces around a box [4] of a picture that are sure, and the evidence for each."""
    reach = _NEARBY * (box[2] - box[0])
    x, y = int((box[0] + box[2]) / 2), int((box[1] + box[3]) / 2)
    x0, y0 = max(0, int(x - reach)), max(0, int(y - reach))
    part = image[y0 : int(y + reach), x0 : int(x + reach)]
    found: list[tuple[Face, float]] = []
    for view in _VIEWS if min(part.shape[:2]) >= _MIN_PICTURE_PX else ():
        found += _look(part, view, 0.0)
        sure = [(shifted(face, x0, y0), evidence) for face, evidence in found if _score(evidence) >= _SURE]
        if sure:
            return sure
    return []


def shifted(face: Face, x: float, y: float) -> Face:
    """A face that was found in a part of a picture, in the whole one; (x, y) is the part's upper left corner."""
    return replace(face, x0=face.x0 + x, y0=face.y0 + y, x1=face.x1 + x, y1=face.y1 + y)


def _without_bright_spots(pixels: np.ndarray) -> np.ndarray:
    from skimage.morphology import opening

    size = max(3, round(_SPOT * min(pixels.shape)))
    return opening(pixels, np.ones((size, size), np.uint8))


def _score(evidence: float) -> float:
    """Evidence (agreeing boxes times how much they look like a face) as a number 0 .. 1; 4 is one half."""
    return evidence / (evidence + 4.0)


def _margin(size: tuple[int, int]) -> int:
    """Pixels that are added around a picture of this size for the search."""
    return round(0.2 * min(size))


def _smallest_window(size: tuple[int, int]) -> int:
    """Side of the smallest window in a search of a picture of this size."""
    width, height = size[0] + 2 * _margin(size), size[1] + 2 * _margin(size)
    return max(_WINDOW_PX, round(MIN_FACE * math.sqrt(width * height)))


def _seen_px(width: int, height: int) -> float:
    """Width of the smallest face that is seen in a search of the whole picture."""
    size = _search_size(width, height)
    return _smallest_window(size) * width / size[0]
