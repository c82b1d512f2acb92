"""Where in a picture a face may be: MediaPipe's finders, shown the whole, tiles of a large one, and turned ones."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ...weights.files import load_part
from ...weights.folders import FACES

LEAST_LIKELY = 0.3
"""Of the finder's own score, 0 .. 1; what is below is not looked at again."""
_SAME = 0.3
"""Boxes that share so much of what they cover are one face."""
_TILE_PX, _FINEST_PX = 900, 3840
"""Side of the tiles: a face of 64 pixels has 14 in the finder there. Above 4K they grow with the picture."""
_TILED_FROM = 0.7
"""Larger tiles, in the picture's longer side, would show little more than the whole picture does."""
_TILE_OVERLAP = 0.08
"""By so many longer sides: what is wider than that is seen in the whole picture."""
_TURNS = (-0.7, 0.7)
"""By how many radians the picture is turned where nothing was found as it is; the finders bear about 0.6 themselves."""
_WIDER = 1.6
"""Side of the square, in those of the picture, in which a face is looked for that fills all of it."""
_MOST = 400
"""Boxes of one look that are compared with each other."""


@dataclass(frozen=True)
class Candidate:
    """A place that may hold a face.

    box     [4]     x0, y0, x1, y1 in pixels: brows to chin, upright even where the face is not
    points  [6, 2]  eye, eye, nose, mouth, ear, ear in pixels; the eye that is on the left of an upright face first
    near, far       what each finder gave it, 0 .. 1; 0 where it did not see it
    """

    box: np.ndarray
    points: np.ndarray
    near: float
    far: float

    @property
    def score(self) -> float:
        """The better of the two."""
        return max(self.near, self.far)

    @property
    def size_px(self) -> float:
        """The longer side of the box."""
        return float(max(self.box[2] - self.box[0], self.box[3] - self.box[1]))


@lru_cache(maxsize=2)
def _finder(kind: str) -> Any:
    net: Any = load_part(FACES / f"finder_{kind}.safetensors", "face_finder")[0]
    return net.to(memory_format=torch.channels_last)  # half the time on a CPU


def search(image: np.ndarray) -> Iterator[list[Candidate]]:
    """Candidates in a picture, in rounds; a later round is for what the earlier ones did not show.

    First the whole picture as it is, and tiles of a large one; then turned and smaller, for tilted and very near faces.
    """
    whole, corner = _whole(image)
    first = look(image, "near", [corner], whole) + look(image, "far", [corner], whole)
    corners, side = tiles(image.shape[1], image.shape[0])
    yield joined(first + (look(image, "far", corners, side) if corners else []))
    turned = [c for turn in _TURNS for kind in ("near", "far") for c in look(image, kind, [corner], whole, turn)]
    wide, far_corner = round(_WIDER * whole), tuple(round(c - (_WIDER - 1) / 2 * whole) for c in corner)
    yield joined(turned + look(image, "near", [(far_corner[0], far_corner[1])], wide))


def search_square(image: np.ndarray, x: float, y: float, side_px: float) -> list[Candidate]:
    """Candidates in a square of a picture about (x, y) that would fill a good part of it."""
    corner, side = (round(x - side_px / 2), round(y - side_px / 2)), max(1, round(side_px))
    return joined(look(image, "near", [corner], side) + look(image, "far", [corner], side))


def _whole(image: np.ndarray) -> tuple[int, tuple[int, int]]:
    """Side and upper left corner of the least square about a picture."""
    height, width = image.shape[:2]
    side = max(height, width)
    return side, (-((side - width) // 2), -((side - height) // 2))


def tiles(width: int, height: int) -> tuple[list[tuple[int, int]], int]:
    """Upper left corners and side of the tiles in which small faces are looked for; none where the whole shows them.

    >>> tiles(1000, 1000)[0], tiles(1920, 1080)
    ([], ([(0, 0), (510, 0), (1020, 0), (0, 180), (510, 180), (1020, 180)], 900))
    """
    longest = max(width, height)
    side = max(_TILE_PX, round(longest * _TILE_PX / _FINEST_PX))
    if side > _TILED_FROM * longest:
        return [], side
    step = side - round(_TILE_OVERLAP * longest)
    axes = []
    for length in (width, height):
        n = max(1, math.ceil((length - side) / step) + 1)
        axes.append([round(i * (length - side) / max(1, n - 1)) if n > 1 else (length - side) // 2 for i in range(n)])
    return [(x, y) for y in axes[1] for x in axes[0]], side


def joined(candidates: list[Candidate]) -> list[Candidate]:
    """One for each place: the surest, with the best score that either finder gave it."""
    left, found = sorted(candidates, key=lambda c: -c.score), []
    while left:
        shared = overlap(left[0].box, np.stack([c.box for c in left]))
        same = [c for c, share in zip(left, shared, strict=True) if share > _SAME]
        found.append(replace(left[0], near=max(c.near for c in same), far=max(c.far for c in same)))
        left = [c for c, share in zip(left, shared, strict=True) if share <= _SAME]
    return found


def look(image: np.ndarray, kind: str, corners: list[tuple[int, int]], side: int, turn: float = 0.0) -> list[Candidate]:
    """Candidates in square parts of a picture.

    image    uint8 [H, W, 3]; black lies around it
    kind     "near" or "far": which finder
    corners  (x, y) of the upper left corner of every part
    side     of the parts, in pixels
    turn     radians by which the parts are turned anticlockwise for the finder
    """
    net = _finder(kind)
    shown = np.stack([_part(image, x, y, side, net.size_px, turn) for x, y in corners])
    pictures = torch.from_numpy(shown).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        logits, places = net(pictures.contiguous(memory_format=torch.channels_last))
    found = []
    for (x, y), part_logits, part_places in zip(corners, logits, places, strict=True):
        found += _decoded(part_logits, part_places, np.array([x, y]), side, turn, kind)
    return found


def _part(image: np.ndarray, x: int, y: int, side: int, size_px: int, turn: float) -> np.ndarray:
    """A square part of a picture at the finder's size."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = max(0, x), max(0, y), min(width, x + side), min(height, y + side)
    scale = size_px / side
    inside = (
        min(size_px, round((x0 - x) * scale)), min(size_px, round((y0 - y) * scale)),
        min(size_px, round((x1 - x) * scale)), min(size_px, round((y1 - y) * scale)),
    )  # fmt: skip
    size = max(1, inside[2] - inside[0]), max(1, inside[3] - inside[1])
    whole = Image.new("RGB", (size_px, size_px))
    piece = Image.fromarray(np.ascontiguousarray(image[y0:y1, x0:x1]))
    method = Image.Resampling.BILINEAR
    whole.paste(piece.resize(size, method, reducing_gap=2.0), inside[:2])
    return np.asarray(whole.rotate(math.degrees(turn), Image.Resampling.BILINEAR) if turn else whole)


def _decoded(logits: Tensor, places: Tensor, corner: np.ndarray, side: int, turn: float, kind: str) -> list[Candidate]:
    """Candidates of one part, those that overlap joined, in the picture's pixels."""
    scores = torch.sigmoid(logits)
    likely = torch.nonzero(scores > LEAST_LIKELY)[:, 0]
    likely = likely[scores[likely].argsort(descending=True)][:_MOST]
    scores_here, here = scores[likely].numpy(), places[likely].numpy()
    boxes = np.concatenate([here[:, 0] - here[:, 1] / 2, here[:, 0] + here[:, 1] / 2], 1)
    found = []
    while len(boxes):
        same = overlap(boxes[0], boxes) > _SAME
        same[0] = True
        weights = scores_here[same] / scores_here[same].sum()
        place = (here[same] * weights[:, None, None]).sum(0)
        points = _unturned(np.concatenate([place[:1], place[2:]]), turn) * side + corner
        half = place[1] * side / 2
        box = np.concatenate([points[0] - half, points[0] + half])
        score = float(scores_here[0])
        found.append(Candidate(box, points[1:], *((score, 0.0) if kind == "near" else (0.0, score))))
        boxes, here, scores_here = boxes[~same], here[~same], scores_here[~same]
    return found


def _unturned(points: np.ndarray, turn: float) -> np.ndarray:
    """Points [n, 2] of a part that was turned anticlockwise about its middle, in the part as it was."""
    if not turn:
        return points
    cos, sin = math.cos(turn), math.sin(turn)
    x, y = (points - 0.5).T
    return np.stack([x * cos - y * sin, x * sin + y * cos], 1) + 0.5


def overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of a box [4] with boxes [n, 4]."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = np.clip(sides, 0, None).prod(1)
    return shared / np.maximum((box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(1) - shared, 1e-9)
