"""scikit-image's LBP cascade: boxes that may hold a face."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

MIN_FACE = 0.08
"""Faces narrower than this part of the geometric mean side of a picture and its margins are not looked for at first."""


@lru_cache(maxsize=1)
def _cascade():  # type: ignore[no-untyped-def]
    from skimage.data import lbp_frontal_face_cascade_filename
    from skimage.feature import Cascade

    return Cascade(lbp_frontal_face_cascade_filename())


def _cascade_boxes(
    grey: np.ndarray, sides: tuple[int, int], scale_step: float = 1.1, step_ratio: float = 1.0
) -> np.ndarray:
    """Every window that passes the cascade, its side from sides[0] to sides[1], [n, 4] x0, y0, x1, y1."""
    found = _cascade().detect_multi_scale(
        img=grey,
        scale_factor=scale_step,
        step_ratio=step_ratio,
        min_size=(sides[0],) * 2,
        max_size=(sides[1],) * 2,
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


def _clusters(boxes: np.ndarray, most: int) -> list[tuple[int, np.ndarray]]:
    """The `most` largest groups of boxes that agree, as (number of boxes, median box), the largest group first."""
    groups: list[tuple[int, np.ndarray]] = []
    while len(boxes) and len(groups) < most:
        agree = np.stack([_overlap(box, boxes) > 0.35 for box in boxes])
        members = agree[agree.sum(1).argmax()]
        groups.append((int(members.sum()), np.median(boxes[members], axis=0)))
        boxes = boxes[~members]
    return groups
