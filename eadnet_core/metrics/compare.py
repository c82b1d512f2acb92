"""A clip against the truth it was generated from, and what many clips say together.

Emotion and lids are read by the reader of controls and the bank, which generation uses too (`metrics.emotion`); lips
and head by MediaPipe's landmarks, which it uses to find faces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..media.face.controls import read_controls
from .emotion import accuracy, emotion_of
from .face import correlation, face_track, lid_closure
from .face_geometry import sharpness
from .fidelity import background_mask, mouth_psnr, psnr, ssim
from .followed import follow_face
from .identity import identity
from .lip_sync import score_lip_sync
from .motion import MotionStats, band_power, motion_stats, ratio

if TYPE_CHECKING:
    from ..weights.experts import Experts


SHARP_EVERY = 6
"""Sharpness is read off one frame of so many."""


@dataclass(frozen=True)
class Truth:
    """What really happens in a clip of T frames in the training frame.

    frames          [T, H, W, 3]  uint8
    reference       [H, W, 3]     uint8: the portrait that it is generated from
    samples         [N]           16 kHz mono
    mouth_opening   [T]           exact, not read from the frames
    blink           [T]           exact closure of the eyelids 0 .. 1
    yaw             [T]           exact, radians
    emotion                       one of taxonomy.EMOTIONS
    """

    frames: np.ndarray
    reference: np.ndarray
    samples: np.ndarray
    mouth_opening: np.ndarray
    blink: np.ndarray
    yaw: np.ndarray
    emotion: str


@dataclass(frozen=True)
class Measures:
    """One version of a clip (generated, true, reconstructed or static) against the truth.

    sharp_mouth, sharp_eyes  variance of the Laplacian there (`face_geometry.sharpness`); nan where no face is found
    """

    asked_emotion: str
    emotion: str
    intensity: float
    mouth_correlation: float
    blink_correlation: float
    yaw_correlation: float
    lse_c: float
    lse_d: float
    offset: int
    speech_windows: int
    psnr: float
    mouth_psnr: float
    background_psnr: float
    ssim: float
    identity: float
    mouth_band_power: float
    motion: dict[str, MotionStats]
    sharp_mouth: float
    sharp_eyes: float


def measure(frames: np.ndarray, truth: Truth, experts: Experts) -> Measures:
    """Read uint8 frames [T, H, W, 3] and compare them with the truth."""
    points, controls = list(follow_face(frames)), read_controls(frames, experts.reader.vae).numpy()
    face, sharp = face_track(points), sharp_regions(frames[::SHARP_EVERY], points[::SHARP_EVERY])
    emotion = emotion_of(controls, experts.reader.bank)
    sync = score_lip_sync(experts.sync, frames, truth.samples)
    return Measures(
        asked_emotion=truth.emotion,
        emotion=emotion.label,
        intensity=emotion.intensity,
        mouth_correlation=correlation(face.opening, truth.mouth_opening),
        blink_correlation=correlation(lid_closure(controls), truth.blink),
        yaw_correlation=correlation(face.yaw, truth.yaw),
        lse_c=sync.lse_c,
        lse_d=sync.lse_d,
        offset=sync.offset,
        speech_windows=sync.n_windows,
        psnr=psnr(frames, truth.frames),
        mouth_psnr=mouth_psnr(frames, truth.frames),
        background_psnr=psnr(frames, truth.frames, background_mask(truth.frames, truth.reference)),
        ssim=ssim(frames, truth.frames),
        identity=float(identity(frames, truth.reference).mean()),
        mouth_band_power=band_power(np.nan_to_num(face.opening)),
        motion=motion_stats(frames),
        sharp_mouth=sharp["mouth"],
        sharp_eyes=sharp["eyes"],
    )


def sharp_regions(frames: np.ndarray, points: Sequence[np.ndarray | None]) -> dict[str, float]:
    """Mean sharpness of mouth and eyes of frames [T, H, W, 3] by their landmarks; nan where no face was found."""
    found = [sharpness(frame, p) for frame, p in zip(frames, points, strict=True) if p is not None]
    values = {region: [one[region] for one in found if one[region] is not None] for region in ("mouth", "eyes")}
    return {region: float(np.mean(of)) if of else float("nan") for region, of in values.items()}  # type: ignore[arg-type]


def summarise(measures: Sequence[Measures], true: Sequence[Measures]) -> dict[str, float]:
    """Means over clips, beside the same clips' measures of the truth itself.

    Ratios are of means over all clips, so that a clip that hardly moves does not decide. Silent clips have no offset
    and still ones no correlation: both are left out of those means.
    """
    spoken = [m for m in measures if m.speech_windows > 0]
    summary = {name: _mean(measures, name) for name in _AVERAGED}
    summary["offset_exact"] = float(np.mean([m.offset == 0 for m in spoken])) if spoken else float("nan")
    summary["offset_error"] = float(np.mean([abs(m.offset) for m in spoken])) if spoken else float("nan")
    summary["emotion_accuracy"] = accuracy([m.asked_emotion for m in measures], [m.emotion for m in measures])
    summary["jitter_ratio"] = _motion_ratio(measures, true, "whole", "jitter")
    summary["jitter_ratio_mouth"] = _motion_ratio(measures, true, "mouth", "jitter")
    summary["jitter_ratio_eyes"] = _motion_ratio(measures, true, "eyes", "jitter")
    summary["motion_amplitude_ratio"] = _motion_ratio(measures, true, "whole", "amplitude")
    for region in ("mouth", "eyes"):
        summary[f"sharpness_ratio_{region}"] = ratio(*(_mean(each, f"sharp_{region}") for each in (measures, true)))
    summary["mouth_band_ratio"] = ratio(_mean(measures, "mouth_band_power"), _mean(true, "mouth_band_power"))
    return summary


_AVERAGED = (
    "mouth_correlation",
    "blink_correlation",
    "yaw_correlation",
    "lse_c",
    "lse_d",
    "psnr",
    "mouth_psnr",
    "background_psnr",
    "ssim",
    "identity",
)


def _mean(measures: Sequence[Measures], name: str) -> float:
    values = np.array([getattr(m, name) for m in measures], float)
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _motion_ratio(measures: Sequence[Measures], true: Sequence[Measures], region: str, name: str) -> float:
    read, real = (float(np.mean([getattr(m.motion[region], name) for m in ms])) for ms in (measures, true))
    return ratio(read, real)
