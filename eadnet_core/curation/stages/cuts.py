"""Stage 2: where scenes begin, by PySceneDetect's ContentDetector on frames at 25 per second.

Threshold: 27, the package's own (mean change in hue, saturation and brightness, 0 .. 255). Source: PySceneDetect.
Frames are reduced to about 256 pixels first, as the package does by itself; two cuts are at least 0.6 s apart, its
default too.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ...config import FPS

_LOOKED_AT_PX = 256


def scene_starts(frames: Iterable[np.ndarray], threshold: float) -> tuple[list[int], int]:
    """(first frame of every scene, number of frames) of uint8 frames [H, W, 3], one at a time."""
    from scenedetect import ContentDetector, FrameTimecode

    detector = ContentDetector(threshold=threshold)
    starts, number = [0], -1
    for number, frame in enumerate(frames):
        step = max(1, max(frame.shape[:2]) // _LOOKED_AT_PX)
        small = np.ascontiguousarray(frame[::step, ::step, ::-1])
        starts += [cut.frame_num for cut in detector.process_frame(FrameTimecode(number, float(FPS)), small)]
    return sorted(set(starts)), number + 1
