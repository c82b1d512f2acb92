"""What a clip has to be, and why one is dropped: every threshold of `eadnet curate video` in one place."""

from __future__ import annotations

from dataclasses import dataclass

from ..config import FPS
from ..errors import BadInput
from .duplicates import DUPLICATE

BROKEN, NO_SOUND, SHORT_SCENE = "broken", "no_sound", "short_scene"
NO_FACE, FACES, FACE_LOST, SMALL, UNSTEADY = "no_face", "several_faces", "face_lost", "small_face", "unsteady"
COVERED, OUT_OF_SYNC, FAR_OFF, BLURRED = "covered_mouth", "out_of_sync", "offset_too_large", "blurred"
REASONS = {
    BROKEN: "video cannot be read",
    NO_SOUND: "no sound, or silence",
    SHORT_SCENE: "scene too short",
    NO_FACE: "no face",
    FACES: "more than one face",
    FACE_LOST: "face lost on the way",
    SMALL: "face smaller than the resolution",
    UNSTEADY: "face jumps or leaves its place",
    COVERED: "mouth covered",
    OUT_OF_SYNC: "lips do not fit the sound",
    FAR_OFF: "sound shifted too far",
    BLURRED: "blurred",
    DUPLICATE: "looks like an earlier clip",
}
"""Why a video (the first two) or a clip is dropped, in the order of the stages."""
OF_VIDEOS = (BROKEN, NO_SOUND)


@dataclass(frozen=True)
class VideoRules:
    """Thresholds of the stages; each stage's file says where its own come from.

    size_px           side of the squares that are written, and what a face's training frame must have
    least_s, most_s   length of a clip in seconds
    cut_threshold     PySceneDetect's ContentDetector; `has_cuts` False takes each video for one scene
    most_missed       share of frames in which the face is not found
    most_step         how far the face moves between two frames, in sides of its frame (95 % of them)
    most_drift        how far from its middle place, in sides
    most_growth       its largest size over its smallest
    least_mouth       how far the lips' landmarks follow the pixels of the mouth, 0 .. 1 (`stages.mouth`)
    least_confidence  LSE-C of the SyncNet that is named; without one nothing is asked of the lips
    most_offset       frames by which the sound may be shifted; it is then shifted back
    most_blur         `skimage.measure.blur_effect`, 0 sharp .. 1
    is_unique         clips whose middle frames look alike are dropped but for the first
    """

    size_px: int = 256
    least_s: float = 5.0
    most_s: float = 10.0
    has_cuts: bool = True
    cut_threshold: float = 27.0
    most_missed: float = 0.05
    most_step: float = 0.08
    most_drift: float = 0.75
    most_growth: float = 1.6
    least_mouth: float = 0.51
    least_confidence: float = 3.0
    most_offset: int = 6
    most_blur: float = 0.6
    is_unique: bool = True

    def __post_init__(self) -> None:
        """Raises BadInput for what drops everything or has no meaning."""
        if self.size_px < 32:
            raise BadInput(f"size is {self.size_px} px; give 32 or more.")
        if not 0.2 <= self.least_s <= self.most_s / 2:
            raise BadInput(
                f"Clips of {self.least_s:g} to {self.most_s:g} s: the longest must be twice the shortest, so that "
                "every scene can be cut, and the shortest 0.2 s or more."
            )
        if self.most_offset < 0 or not 0 < self.most_blur <= 1:
            raise BadInput(f"An offset of {self.most_offset} frames and a blur of {self.most_blur:g} keep nothing.")
        if not 0 <= self.least_mouth < 1:
            raise BadInput(f"mouth is {self.least_mouth:g}; give 0.51 or so, or 0 to keep covered mouths.")

    @property
    def least_frames(self) -> int:
        return round(self.least_s * FPS)

    @property
    def most_frames(self) -> int:
        return round(self.most_s * FPS)
