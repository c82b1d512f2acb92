"""468 landmarks of a face (MediaPipe's FaceMesh), and where the training frame lies by them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from PIL import Image

from ...config import EYE_HALF_DISTANCE, EYE_LINE_Y
from ...nets.face_mesh import SIZE_PX
from ...weights.files import load_part
from ...weights.folders import FACES
from .crop import FaceCrop

LEFT_EYE, RIGHT_EYE = (33, 133), (362, 263)
"""Both corners of the eye on the left of the picture, and of the other."""
REGION, REGION_Y = 0.95, 0.54
"""Side of what the net is shown, in sides of the training frame, and the height of its middle there: 1.5 times the
points' own height, as in MediaPipe. In a larger region the net enlarges the face: eyes 7 % apart more in 1.12."""
LEAST_PRESENT = 0.5
"""`Landmarks.presence` below which a followed face is lost."""


@dataclass(frozen=True)
class Landmarks:
    """The landmarks of one face.

    points    [468, 3]  x and y in pixels of the picture; depth in pixels, less is nearer
    presence            how sure the net is that there is a face, 0 .. 1
    """

    points: np.ndarray
    presence: float

    @property
    def xy(self) -> np.ndarray:
        """[468, 2] in pixels of the picture."""
        return self.points[:, :2]

    @property
    def eyes(self) -> np.ndarray:
        """The middles of both eyes, that on the left of the picture first, [2, 3]."""
        return np.stack([self.points[list(eye)].mean(0) for eye in (LEFT_EYE, RIGHT_EYE)])

    def frame(self) -> FaceCrop:
        """The training frame of this face: upright by its eyes, whose distance sets the side, a turned head's too."""
        left, right = self.eyes
        apart = float(np.linalg.norm(right - left))  # with the depth between them
        return frame_by_eyes(left[:2], right[:2], apart / (2 * EYE_HALF_DISTANCE))


def frame_by_eyes(left: np.ndarray, right: np.ndarray, side_px: float) -> FaceCrop:
    """The training frame whose eyes lie on a line with two points [2] in pixels, about their middle.

    >>> frame_by_eyes(np.array([37.0, 44.0]), np.array([63.0, 44.0]), 100.0)
    FaceCrop(center_x=50.0, center_y=50.0, side_px=100.0, angle=0.0)
    """
    angle = math.atan2(float(right[1] - left[1]), float(right[0] - left[0]))
    side = max(1e-3, side_px)
    x, y = (left + right) / 2
    down = side * (0.5 - EYE_LINE_Y)
    return FaceCrop(float(x - down * math.sin(angle)), float(y + down * math.cos(angle)), side, angle)


@lru_cache(maxsize=1)
def _mesh() -> Any:
    net: Any = load_part(FACES / "mesh.safetensors", "face_mesh")[0]
    return net.to(memory_format=torch.channels_last)


def read_landmarks(image: np.ndarray, faces: Sequence[FaceCrop]) -> list[Landmarks]:
    """The landmarks of faces whose training frames are known about; a face that is not there has a low presence.

    image  uint8 [H, W, 3]
    """
    if not faces:
        return []
    shown = torch.from_numpy(np.stack([_region(image, face) for face in faces])).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        points, logits = _mesh()(shown.contiguous(memory_format=torch.channels_last))
    found = []
    for face, local, logit in zip(faces, points.numpy(), logits.tolist(), strict=True):
        scale, (middle_x, middle_y) = face.side_px * REGION / SIZE_PX, face.point(0.5, REGION_Y)
        cos, sin = math.cos(face.angle) * scale, math.sin(face.angle) * scale
        x, y = (local[:, :2] - SIZE_PX / 2).T
        placed = np.stack([middle_x + x * cos - y * sin, middle_y + x * sin + y * cos, local[:, 2] * scale], 1)
        found.append(Landmarks(placed.astype(np.float32), 1 / (1 + math.exp(-max(min(logit, 80.0), -80.0)))))
    return found


def _region(image: np.ndarray, face: FaceCrop) -> np.ndarray:
    """What the net is shown of a face, uint8 [192, 192, 3]; black lies around the picture."""
    reach = face.side_px * REGION * (abs(math.cos(face.angle)) + abs(math.sin(face.angle))) / 2 + 2
    (height, width), (middle_x, middle_y) = image.shape[:2], face.point(0.5, REGION_Y)
    x0, y0 = max(0, int(middle_x - reach)), max(0, int(middle_y - reach))
    x1, y1 = min(width, math.ceil(middle_x + reach)), min(height, math.ceil(middle_y + reach))
    if x1 <= x0 or y1 <= y0:
        return np.zeros((SIZE_PX, SIZE_PX, 3), np.uint8)
    step = face.side_px * REGION / SIZE_PX
    reduced = max(1, int(step))
    part = Image.fromarray(np.ascontiguousarray(image[y0:y1, x0:x1]))
    if reduced > 1:
        part = part.reduce(reduced)
    cos, sin = math.cos(face.angle) * step / reduced, math.sin(face.angle) * step / reduced
    x, y = (middle_x - x0) / reduced, (middle_y - y0) / reduced
    half = SIZE_PX / 2
    matrix = (cos, -sin, x - half * (cos - sin), sin, cos, y - half * (sin + cos))
    return np.asarray(part.transform((SIZE_PX, SIZE_PX), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR))
