"""Find a face, and say where it lies: the one place that maps pictures to the training frame.

scikit-image's LBP cascade proposes boxes; boxes that agree are one face, and their number is the evidence for it. A
template of eyes, brows, nose and mouth (our design) is then fitted around each face by moving, scaling and turning it,
since the cascade is only good to a tenth of the face.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional as F

from ..config import EYE_HALF_DISTANCE, EYE_LINE_Y, MOUTH_Y
from ..errors import BadInput, FaceNotFound
from .crop import FaceCrop

FACE_THRESHOLD = 0.5
BOX_TOP_Y, BOX_BOTTOM_Y = 0.19, 0.84
"""Heights in the training frame of a face box's top (the middle of the forehead) and bottom (the chin)."""
MIN_FACE = 0.08
"""Faces narrower than this part of the picture's geometric mean side are not looked for."""
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


@lru_cache(maxsize=1)
def _cascade():  # type: ignore[no-untyped-def]
    from skimage.data import lbp_frontal_face_cascade_filename
    from skimage.feature import Cascade

    return Cascade(lbp_frontal_face_cascade_filename())


def _cascade_boxes(grey: np.ndarray) -> np.ndarray:
    """Every window that passes the cascade, [n, 4] x0, y0, x1, y1."""
    smallest = max(24, round(MIN_FACE * math.sqrt(grey.size)))
    found = _cascade().detect_multi_scale(
        img=grey,
        scale_factor=1.1,
        step_ratio=1,
        min_size=(smallest, smallest),
        max_size=(min(grey.shape),) * 2,
        min_neighbor_number=0,
        intersection_score_threshold=2.0,  # above 1: scikit-image merges nothing, we do
    )
    boxes = [(f["c"], f["r"], f["c"] + f["width"], f["r"] + f["height"]) for f in found]
    return np.array(boxes, dtype=np.float64).reshape(-1, 4)


def _overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of a box [4] with boxes [n, 4]."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = np.clip(sides, 0, None).prod(1)
    return shared / ((box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(1) - shared)


def _clusters(boxes: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Groups of boxes that agree, as (number of boxes, median box), the largest group first."""
    groups = []
    while len(boxes):
        agree = np.stack([_overlap(box, boxes) > 0.35 for box in boxes])
        members = agree[agree.sum(1).argmax()]
        groups.append((int(members.sum()), np.median(boxes[members], axis=0)))
        boxes = boxes[~members]
    return groups


# The template: Gaussian blobs (x from the middle, y, width, height, weight) in frame widths, for darkness, for edges
# that run across, and for edges that run down. Edges carry no sign: eyes are dark on light skin and bright on dark.
_GRID = 32
_LEFT, _TOP, _RIGHT, _BOTTOM = 7, 8, 25, 27
_CHANNEL_WEIGHTS = (0.3, 0.4, 0.3)
_EYE_X = EYE_HALF_DISTANCE
_BLOBS = (
    (
        (_EYE_X, EYE_LINE_Y - 0.01, 0.05, 0.03, 1.0), (0.0, 0.625, 0.045, 0.02, 0.5), (0.0, MOUTH_Y, 0.065, 0.022, 0.4),
        (0.145, 0.555, 0.045, 0.045, -0.7), (0.0, 0.49, 0.03, 0.06, -0.5), (0.0, 0.79, 0.06, 0.03, -0.6),
        (0.0, 0.36, 0.03, 0.04, -0.3),
    ),
    (
        (_EYE_X, EYE_LINE_Y - 0.03, 0.055, 0.045, 1.0), (0.0, MOUTH_Y - 0.03, 0.065, 0.06, 0.9),
        (0.16, 0.56, 0.05, 0.04, -0.8), (0.0, 0.43, 0.03, 0.07, -0.5), (0.2, 0.72, 0.05, 0.05, -0.4),
        (0.0, 0.53, 0.03, 0.03, -0.2),
    ),
    (
        (0.25, 0.55, 0.03, 0.12, 0.6), (0.13, 0.56, 0.05, 0.04, -0.6), (0.0, 0.8, 0.1, 0.03, -0.3),
        (0.0, 0.3, 0.1, 0.05, -0.3), (_EYE_X, EYE_LINE_Y - 0.01, 0.05, 0.03, 0.3),
    ),
)  # fmt: skip
_PRIOR_SHARE = 0.04
_PRIOR_STD = (0.04, 0.05, 0.12, 0.15)
"""How far the cascade is off: x and y in frame widths, logarithm of the side, angle in radians."""


@lru_cache(maxsize=1)
def _template() -> Tensor:
    """[3, h, w], each channel with mean 0 and norm 1."""
    xs, ys = (torch.arange(_LEFT, _RIGHT) + 0.5) / _GRID - 0.5, (torch.arange(_TOP, _BOTTOM) + 0.5) / _GRID
    channels = []
    for blobs in _BLOBS:
        channel = torch.zeros(len(ys), len(xs))
        for x, y, width, height, weight in blobs:
            across = sum(torch.exp(-0.5 * ((xs - side) / width) ** 2) for side in {x, -x})
            channel += weight * torch.exp(-0.5 * ((ys - y) / height) ** 2)[:, None] * across
        channel -= channel.mean()
        channels.append(channel / channel.norm())
    return torch.stack(channels)


@lru_cache(maxsize=32)
def _blur_matrix(n: int, sigma: float) -> Tensor:
    """[n, n]: Gaussian blur along one axis, the ends repeated."""
    at, reach = torch.arange(n), math.ceil(3 * sigma)
    matrix = torch.zeros(n, n)
    for offset in range(-reach, reach + 1):
        matrix[at, (at + offset).clamp(0, n - 1)] += math.exp(-0.5 * (offset / sigma) ** 2)
    return matrix / matrix.sum(1, keepdim=True)


def _blur(x: Tensor, sigma: float) -> Tensor:
    return _blur_matrix(x.shape[-2], sigma * _GRID) @ x @ _blur_matrix(x.shape[-1], sigma * _GRID).T


def _channels(grey: Tensor) -> Tensor:
    """Darkness, edges across and edges down, against the local contrast: [n, 1, h, w] -> [n, 3, h, w]."""
    right = F.pad(grey, (1, 1, 0, 0), mode="replicate").diff(dim=-1)
    down = F.pad(grey, (0, 0, 1, 1), mode="replicate").diff(dim=-2)
    right, down = right[..., 1:] + right[..., :-1], down[..., 1:, :] + down[..., :-1, :]
    contrast = _blur(right.square() + down.square(), 0.2).sqrt() + 0.01
    edges = [_blur((edge.abs() / contrast).clamp(max=3.0), 0.02) for edge in (down, right)]
    darkness = _blur(grey, 0.06) - grey
    darkness = (darkness / (_blur(darkness.square(), 0.2).sqrt() + 0.01)).clamp(-2.0, 2.0)
    return torch.cat([darkness, *edges], dim=1)


def _fit(grey: Image.Image, guess: FaceCrop) -> tuple[FaceCrop, float]:
    """The best place of the template around a guess, and its likeness (correlation, -1 .. 1) there."""
    scale = min(1.0, 1.25 * _GRID / guess.side_px)
    # only the surroundings of the face: a large picture must not cost more than a small one
    reach = 1.5 * guess.side_px
    x0, y0 = max(0, int(guess.center_x - reach)), max(0, int(guess.center_y - reach))
    x1, y1 = min(grey.width, math.ceil(guess.center_x + reach)), min(grey.height, math.ceil(guess.center_y + reach))
    size = max(2, round((x1 - x0) * scale)), max(2, round((y1 - y0) * scale))
    patch = grey.crop((x0, y0, x1, y1)).resize(size, Image.Resampling.BOX)
    pixels = torch.from_numpy(np.asarray(patch, dtype=np.float32) / 255.0)
    local = FaceCrop((guess.center_x - x0) * scale, (guess.center_y - y0) * scale, guess.side_px * scale, guess.angle)
    turns = [0.1 * n for n in range(-3, 4)]
    coarse, _ = _search(pixels, local, local, [0.9**n for n in range(-2, 3)], turns, 4)
    fine, likeness = _search(pixels, coarse, local, [0.95, 1.0, 1.05], [-0.05, 0.0, 0.05], 2)
    return FaceCrop(fine.center_x / scale + x0, fine.center_y / scale + y0, fine.side_px / scale, fine.angle), likeness


def _search(
    grey: Tensor, start: FaceCrop, prior: FaceCrop, scales: list[float], turns: list[float], slack: int
) -> tuple[FaceCrop, float]:
    """Try all scales, turns and shifts (up to `slack` cells of the template's grid) of `start` on a picture [H, W]."""
    tried = [
        FaceCrop(start.center_x, start.center_y, start.side_px * s, start.angle + t) for s in scales for t in turns
    ]
    cells = (torch.arange(_GRID + 2 * slack) + 0.5 - slack) / _GRID
    grids = torch.stack([crop.grid(cells, cells, (grey.shape[1], grey.shape[0])) for crop in tried])
    samples = F.grid_sample(
        grey.expand(len(tried), 1, *grey.shape), grids, align_corners=False, padding_mode="border"
    )  # fmt: skip
    channels = _channels(samples)[:, :, _TOP : _BOTTOM + 2 * slack, _LEFT : _RIGHT + 2 * slack]
    template = _template()
    ones, n_cells = torch.ones_like(template)[:, None], template[0].numel()
    sums, squares = F.conv2d(channels, ones, groups=3), F.conv2d(channels.square(), ones, groups=3)
    spread = (squares - sums.square() / n_cells).clamp_min(0.02 * n_cells).sqrt()
    weights = torch.tensor(_CHANNEL_WEIGHTS)[:, None, None]
    likeness = (F.conv2d(channels, template[:, None], groups=3) / spread * weights).sum(1)
    penalties = torch.stack([_distance_from_prior(crop, prior, slack) for crop in tried])
    best = int((likeness - 0.5 * _PRIOR_SHARE * penalties).argmax())
    n_shifts = 2 * slack + 1
    crop, (row, column) = tried[best // n_shifts**2], divmod(best % n_shifts**2, n_shifts)
    x, y = crop.point(0.5 + (column - slack) / _GRID, 0.5 + (row - slack) / _GRID)
    return FaceCrop(x, y, crop.side_px, crop.angle), float(likeness.flatten()[best])


def _distance_from_prior(crop: FaceCrop, prior: FaceCrop, slack: int) -> Tensor:
    """Squared Mahalanobis distance of all shifts of a crop from the cascade's guess, [2 slack + 1, 2 slack + 1]."""
    shifts = torch.arange(-slack, slack + 1) / _GRID
    cos, sin = math.cos(crop.angle) * crop.side_px, math.sin(crop.angle) * crop.side_px
    x = crop.center_x - prior.center_x + shifts[None] * cos - shifts[:, None] * sin
    y = crop.center_y - prior.center_y + shifts[None] * sin + shifts[:, None] * cos
    std_x, std_y, std_side, std_angle = _PRIOR_STD
    rest = (math.log(crop.side_px / prior.side_px) / std_side) ** 2 + ((crop.angle - prior.angle) / std_angle) ** 2
    return (x / prior.side_px / std_x) ** 2 + (y / prior.side_px / std_y) ** 2 + rest
