"""Stage 5: squares aligned to the face by a similarity, in the training frame: level eyes, at a fixed height.

Source: the frame is that of everything here (`media.face.find`), smoothed over the clip by `media.face.follow`. It
holds LatentSync's aligned square, which training on a base cuts out of it.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ...media.face.crop import FaceCrop, crop


def cut_squares(frames: Iterable[np.ndarray], track: list[list[float]], size_px: int) -> np.ndarray:
    """uint8 [T, size_px, size_px, 3] of frames [H, W, 3], one at a time, and the track of `face.follow_face`."""
    pairs = zip(frames, track, strict=True)
    return np.stack([crop(frame, FaceCrop(x, y, side, angle), size_px) for frame, (x, y, side, angle) in pairs])
