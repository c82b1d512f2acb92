"""Stage 8: sharpness without a reference: `skimage.measure.blur_effect` (Crete et al., The Blur Effect, 2007).

Threshold: 0.6. Heads of the corpus at 128 pixels measure .41 to .49 as they are, .51 to .59 after a Gaussian blur of
one pixel, and .67 to .71 after one of two pixels (6 clips).
"""

from __future__ import annotations

import numpy as np

from ...emotion.spacing import evenly_spaced

LOOKED_AT = 5
"""Frames of a clip that are measured."""


def blur(frames: np.ndarray) -> float:
    """Median blur of frames spread over a clip, uint8 [T, S, S, 3]: 0 sharp .. 1 blurred."""
    from skimage.measure import blur_effect

    chosen = (frames[number] for number in evenly_spaced(len(frames), LOOKED_AT))
    return float(np.median([blur_effect(frame, channel_axis=-1) for frame in chosen]))
