"""How close a clip comes to the true one: PSNR of the whole frame, the mouth and the background, and SSIM."""

from __future__ import annotations

import numpy as np

from .motion import crop_region

MAX_PSNR_DB = 100.0
"""PSNR stated for identical pictures, whose true value is infinite."""
STILL_LEVELS = 2
"""Grey levels out of 255 by which a background pixel may differ from the reference picture."""
_MAX_SSIM_FRAMES = 15


def psnr(read: np.ndarray, true: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Peak signal-to-noise ratio over a whole clip, in dB: of its mean square error, not a mean over frames.

    read, true   [T, H, W, 3]  uint8
    mask         [H, W]        bool: pixels that count; nan where there is none

    >>> black, dark = np.zeros((1, 4, 4, 3), np.uint8), np.full((1, 4, 4, 3), 51, np.uint8)
    >>> round(psnr(black, dark), 2)
    13.98
    """
    error = np.square(read.astype(np.float32) - true.astype(np.float32))
    if mask is not None:
        if not mask.any():
            return float("nan")
        error = error[:, mask]
    mse = float(error.mean(dtype=np.float64))
    return min(MAX_PSNR_DB, 10 * float(np.log10(255.0**2 / mse))) if mse > 0 else MAX_PSNR_DB


def mouth_psnr(read: np.ndarray, true: np.ndarray) -> float:
    """PSNR of the mouth region of uint8 frames [T, H, W, 3], in dB."""
    return psnr(crop_region(read, "mouth"), crop_region(true, "mouth"))


def background_mask(true: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Pixels [H, W] that keep the reference picture's colour through the whole true clip, within `STILL_LEVELS`.

    true        [T, H, W, 3]  uint8
    reference   [H, W, 3]     uint8
    """
    low, high = true.min(0).astype(np.int16), true.max(0).astype(np.int16)
    still = reference.astype(np.int16)
    return ((high - still <= STILL_LEVELS) & (still - low <= STILL_LEVELS)).all(-1)


def ssim(read: np.ndarray, true: np.ndarray) -> float:
    """Structural similarity (Wang 2004, Gaussian windows), averaged over at most 15 evenly spaced frames."""
    from skimage.metrics import structural_similarity

    chosen = np.unique(np.linspace(0, len(true) - 1, min(len(true), _MAX_SSIM_FRAMES)).round().astype(int))
    values = [
        structural_similarity(read[i], true[i], channel_axis=-1, gaussian_weights=True, sigma=1.5, data_range=255)
        for i in chosen
    ]
    return float(np.mean(values))
