"""Landmarks as pictures and as numbers: soft lines for nets, masks of regions, how far lips and lids are open.

The indices are those of MediaPipe's FaceMesh.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from .crop import FaceCrop
from .landmarks import LEFT_EYE, RIGHT_EYE, read_landmarks

_LIPS_OUTER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
_LIPS_INNER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
_LIDS = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
)
_AROUND_LIDS = (
    (247, 30, 29, 27, 28, 56, 190, 243, 112, 26, 22, 23, 24, 110, 25, 130),
    (467, 260, 259, 257, 258, 286, 414, 463, 341, 256, 252, 253, 254, 339, 255, 359),
)
_BROWS = ((46, 53, 52, 65, 55, 107, 66, 105, 63, 70), (276, 283, 282, 295, 285, 336, 296, 334, 293, 300))
_NOSE = ((168, 6, 197, 195, 5, 4), (129, 98, 97, 2, 326, 327, 358))
_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
LINES: dict[str, tuple[tuple[tuple[int, ...], bool], ...]] = {
    "lips_outer": ((_LIPS_OUTER, True),),
    "lips_inner": ((_LIPS_INNER, True),),
    "lids": tuple((lid, True) for lid in _LIDS),
    "brows": tuple((brow, True) for brow in _BROWS),
    "nose": tuple((line, False) for line in _NOSE),
    "oval": ((_OVAL, True),),
}
"""The channels of a landmark map: lines of points, and whether the last is joined to the first."""
MASKS = ("face", "lips", "mouth", "lids")
"""The masks of `landmark_masks`: inside the oval; the lips; what lies between them; the eyes with their lids."""
_LINE_WIDTH = 1 / 128
"""Standard deviation of a line's profile, in frame widths."""
_PROFILE_REACH = 2.5
_LONGEST = 0.09
"""Frame widths that a line between two points has at most, for how densely it is drawn."""
_FINER = 4
"""Masks are drawn so many times larger, for soft edges."""
_INNER_GAPS = ((13, 14), (82, 87), (312, 317))
_LID_GAPS = (((159, 145), (158, 153)), ((386, 374), (385, 380)))


def in_frame(points: np.ndarray, face: FaceCrop) -> np.ndarray:
    """Points [..., 2] in pixels of a picture as points of a training frame, in frame widths.

    >>> in_frame(np.array([[100.0, 125.0]]), FaceCrop(100.0, 100.0, 50.0)).tolist()
    [[0.5, 1.0]]
    """
    cos, sin = math.cos(face.angle) / face.side_px, math.sin(face.angle) / face.side_px
    x, y = points[..., 0] - face.center_x, points[..., 1] - face.center_y
    return np.stack([x * cos + y * sin + 0.5, y * cos - x * sin + 0.5], -1)


def landmark_map(landmarks: np.ndarray | Tensor, size_px: int) -> Tensor:
    """The lines of a face as a net sees them.

    landmarks  [T, 468, 2] or [468, 2] in frame widths (`in_frame`)
    returns    [T, K, size_px, size_px] or without T, one channel for each of LINES: 1 on a line, falling to 0 beside it
    """
    points = torch.as_tensor(landmarks, dtype=torch.float32)
    if points.ndim == 2:
        return landmark_map(points[None], size_px)[0]
    starts, ends, channels = _segments()
    n_steps = max(2, math.ceil(_LONGEST * size_px * 1.5))
    along = torch.arange(n_steps) / n_steps
    on_lines = torch.lerp(points[:, starts, None], points[:, ends, None], along[:, None])  # [T, segments, steps, 2]
    width = _LINE_WIDTH * size_px
    reach = math.ceil(_PROFILE_REACH * width)
    at = on_lines.flatten(1, 2) * size_px - 0.5
    near = at.round()
    steps = torch.arange(-reach, reach + 1, dtype=torch.float32)
    columns, rows = near[..., :1] + steps, near[..., 1:] + steps  # [T, n, reach]
    across, down = (torch.exp(-0.5 * ((v - c) / width) ** 2) for v, c in ((columns, at[..., :1]), (rows, at[..., 1:])))
    n_pixels, n_channels = size_px * size_px, len(LINES)
    inside = ((columns >= 0) & (columns < size_px))[..., None, :] & ((rows >= 0) & (rows < size_px))[..., None]
    values = torch.where(inside, down[..., None] * across[..., None, :], 0.0)
    pixels = rows.clamp(0, size_px - 1)[..., None] * size_px + columns.clamp(0, size_px - 1)[..., None, :]
    where = channels.repeat_interleave(n_steps)[:, None, None] * n_pixels + pixels.long()
    maps = torch.zeros(len(points), n_channels * n_pixels)
    maps.scatter_reduce_(1, where.flatten(1), values.flatten(1), "amax")
    return maps.view(len(points), n_channels, size_px, size_px)


def read_map(frame: np.ndarray, size_px: int) -> np.ndarray:
    """The lines of the face in a training frame, uint8 [S, S, 3] of any size: float32 [K, size_px, size_px]."""
    side = len(frame)
    points = read_landmarks(frame, [FaceCrop(side / 2, side / 2, side)])[0].xy
    return landmark_map(points / side, size_px).numpy()


def _segments() -> tuple[Tensor, Tensor, Tensor]:
    """First point, second point and channel of every line between two points."""
    rows = []
    for channel, lines in enumerate(LINES.values()):
        for line, is_closed in lines:
            ends = line[1:] + line[:1] if is_closed else line[1:]
            rows += [(a, b, channel) for a, b in zip(line, ends, strict=False)]
    starts, ends_of, channels = torch.tensor(rows).T
    return starts, ends_of, channels


def landmark_masks(landmarks: np.ndarray, size_px: int) -> dict[str, np.ndarray]:
    """Where the regions of a face lie: for each of MASKS, float32 [size_px, size_px], 0 .. 1 with soft edges.

    landmarks  [468, 2] in frame widths (`in_frame`)
    """
    mouth = _filled(landmarks, (_LIPS_INNER,), size_px)
    return {
        "face": _filled(landmarks, (_OVAL,), size_px),
        "lips": np.clip(_filled(landmarks, (_LIPS_OUTER,), size_px) - mouth, 0.0, 1.0),
        "mouth": mouth,
        "lids": _filled(landmarks, _AROUND_LIDS, size_px),
    }


def _filled(landmarks: np.ndarray, outlines: tuple[tuple[int, ...], ...], size_px: int) -> np.ndarray:
    drawn = Image.new("L", (size_px * _FINER, size_px * _FINER))
    pen = ImageDraw.Draw(drawn)
    for outline in outlines:
        corners = landmarks[list(outline)] * (size_px * _FINER) - 0.5
        pen.polygon([(float(x), float(y)) for x, y in corners], fill=255)
    return np.asarray(drawn.reduce(_FINER), np.float32) / 255.0


def lip_opening(points: np.ndarray) -> np.ndarray:
    """How far the lips are apart: the mean of three inner gaps in distances of the eyes' middles.

    points   [..., 468, 2 or 3]  x and y in any unit
    returns  [...]  about 0 closed, .3 wide open; real talk spans .19 - .37 from its 5th to its 95th percentile
    """
    eyes = [points[..., list(eye), :2].mean(-2) for eye in (LEFT_EYE, RIGHT_EYE)]
    apart = np.linalg.norm(eyes[0] - eyes[1], axis=-1) + 1e-6
    return _gaps(points, _INNER_GAPS) / apart


def lid_opening(points: np.ndarray) -> np.ndarray:
    """How far both eyes are open: the gap of the lids in widths of the eye.

    points   [..., 468, 2 or 3]  x and y in any unit
    returns  [...]  about .3 open; FaceMesh follows lids that close only part of the way
    """
    sides = []
    for (outer, inner), gaps in zip((LEFT_EYE, RIGHT_EYE), _LID_GAPS, strict=True):
        width = np.linalg.norm(points[..., outer, :2] - points[..., inner, :2], axis=-1) + 1e-6
        sides.append(_gaps(points, gaps) / width)
    return (sides[0] + sides[1]) / 2


def _gaps(points: np.ndarray, pairs: tuple[tuple[int, int], ...]) -> np.ndarray:
    gaps = [np.linalg.norm(points[..., a, :2] - points[..., b, :2], axis=-1) for a, b in pairs]
    return np.mean(gaps, axis=0)
