"""Faces as the judges are shown them, and what they say: seven expressions and an identity, twice.

The cuts and the order of the labels are those that the nets were published with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..media.face.landmarks import LEFT_EYE, RIGHT_EYE
from ..nets.face_api import EXPRESSION_SIZE_PX, IDENTITY_SIZE_PX
from ..weights.judges import HUMAN_EMOTION, HUMAN_IDENTITY, Judges
from .face_geometry import LIPS, OVAL

LABELS = ("neutral", "happy", "sad", "angry", "fear", "disgusted", "surprised")
"""What both judges tell apart, in face-api's order."""
HUMAN_LABELS = ("angry", "disgusted", "fear", "happy", "sad", "surprised", "neutral")
NETS = ("faceapi", "human")
HUMAN_SIZE_PX, HUMAN_EXPRESSION_PX = 224, 64
HUMAN_MARGIN = 1.15
"""Side of human's square over that of the face's oval."""


@dataclass(frozen=True)
class Cuts:
    """One face as each judge wants it: uint8 [150, 150, 3] and [224, 224, 3]."""

    faceapi: np.ndarray
    human: np.ndarray


def cut_faces(picture: np.ndarray, points: np.ndarray) -> Cuts:
    """Cut a face out of uint8 [H, W, 3] by its 468 points.

    face-api's square lies around eyes and mouth and is not turned; human's holds the oval with the eyes level.
    """
    left, right = (points[list(eye), :2].mean(0) for eye in (LEFT_EYE, RIGHT_EYE))
    mouth = points[list(LIPS), :2].mean(0)
    side = float(np.linalg.norm((right + left) / 2 - mouth)) / 0.45
    centre = (right + left + mouth) / 3 + np.array([0.0, (0.5 - 0.43) * side])
    faceapi = cut_square(picture, centre, side, 0.0, IDENTITY_SIZE_PX)
    along = points[RIGHT_EYE[1], :2] - points[LEFT_EYE[0], :2]
    angle = float(np.arctan2(along[1], along[0]))
    turned = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    oval = points[list(OVAL), :2] @ turned.T
    low, high = oval.min(0), oval.max(0)
    side = float((high - low).max()) * HUMAN_MARGIN
    return Cuts(faceapi, cut_square(picture, turned.T @ ((low + high) / 2), side, angle, HUMAN_SIZE_PX))


def cut_square(picture: np.ndarray, centre: np.ndarray, side: float, angle: float, size_px: int) -> np.ndarray:
    """A square of `side` pixels around `centre`, turned by `angle` radians, as uint8 [size_px, size_px, 3].

    A square that is shrunk is sampled as many times denser and averaged; beyond the picture its edge goes on.
    """
    dense = max(1, int(side / size_px))
    n = size_px * dense
    steps = (np.arange(n) - n / 2) * (side / n)
    x = centre[0] + np.cos(angle) * steps[None] - np.sin(angle) * steps[:, None]
    y = centre[1] + np.sin(angle) * steps[None] + np.cos(angle) * steps[:, None]
    x, y = np.clip(x, 0, picture.shape[1] - 1), np.clip(y, 0, picture.shape[0] - 1)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, bottom = np.minimum(left + 1, picture.shape[1] - 1), np.minimum(top + 1, picture.shape[0] - 1)
    across, down = (x - left)[..., None], (y - top)[..., None]
    upper = picture[top, left] * (1 - across) + picture[top, right] * across
    lower = picture[bottom, left] * (1 - across) + picture[bottom, right] * across
    values = np.rint(upper * (1 - down) + lower * down)
    return np.rint(values.reshape(size_px, dense, size_px, dense, 3).mean((1, 3))).astype(np.uint8)


def resized(x: Tensor, size_px: int) -> Tensor:
    """[B, C, H, H] bilinear at pixels' corners, as tf.image.resizeBilinear does without half-pixel centres."""
    place = torch.arange(size_px, device=x.device) * (x.shape[-1] / size_px)
    low = place.floor().long()
    high, share = (low + 1).clamp(max=x.shape[-1] - 1), place - low
    x = x[..., low] * (1 - share) + x[..., high] * share
    return x[..., low, :] * (1 - share)[:, None] + x[..., high, :] * share[:, None]


def read_expressions(cuts: Sequence[Cuts], judges: Judges) -> dict[str, np.ndarray]:
    """Probabilities [N, 7] by net, in the order of LABELS."""
    faces, humans = _batches(cuts, judges.device)
    with torch.inference_mode():
        seen = judges.expression(resized(faces, EXPRESSION_SIZE_PX)).cpu().numpy()
        luma = humans.new_tensor((0.2989, 0.587, 0.114))[:, None, None]
        grey = (resized(humans / 255, HUMAN_EXPRESSION_PX) * luma).sum(1, keepdim=True)
        other = judges.human_expression((grey - 0.5) * 2, HUMAN_EMOTION).cpu().numpy()
    return {"faceapi": seen, "human": other[:, [HUMAN_LABELS.index(label) for label in LABELS]]}


def read_identities(cuts: Sequence[Cuts], judges: Judges) -> dict[str, np.ndarray]:
    """Embeddings by net: [N, 128] of face-api, [N, 1024] of human."""
    faces, humans = _batches(cuts, judges.device)
    with torch.inference_mode():
        return {
            "faceapi": judges.identity(faces).cpu().numpy(),
            "human": judges.human_identity(humans, HUMAN_IDENTITY).cpu().numpy(),
        }


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    """Cosine of two embeddings."""
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other) + 1e-9))


def named(probabilities: np.ndarray) -> dict[str, float]:
    """Probabilities [7] by label."""
    return dict(zip(LABELS, map(float, probabilities), strict=True))


def top(probabilities: Mapping[str, float]) -> str:
    """The likeliest label."""
    return max(probabilities, key=lambda label: probabilities[label])


def _batches(cuts: Sequence[Cuts], device: torch.device) -> tuple[Tensor, Tensor]:
    stacks = (np.stack([cut.faceapi for cut in cuts]), np.stack([cut.human for cut in cuts]))
    faces, humans = (torch.from_numpy(stack).to(device).permute(0, 3, 1, 2).float() for stack in stacks)
    return faces, humans
