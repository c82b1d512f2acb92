"""One picture and its caption judged by FaceID-6M's filters: resolution, caption, faces.

Source: Wang et al., FaceID-6M (arXiv 2503.07091) and the card of its data set: no face, more than three faces, a face
below 4 % of the picture's area, and low resolution are dropped; captions need a word of `captions.KINDS`; the subset
-70K has both sides from 1024 pixels on. The card gives no figure for "low resolution": 512 pixels are our choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import BadInput
from ..media.face.find import FACE_THRESHOLD, Face, find_faces
from ..media.image import decode_image, image_size
from .captions import LANGUAGES, keywords
from .duplicates import DUPLICATE, perceptual_hash
from .pairs import Pair

UNREADABLE, NO_CAPTION, SMALL, NO_PERSON = "unreadable", "no_caption", "low_resolution", "no_person_in_caption"
NO_FACE, CROWD, SMALL_FACE = "no_face", "too_many_faces", "small_face"
REASONS = {
    UNREADABLE: "no picture that can be read",
    NO_CAPTION: "no caption",
    SMALL: "a side below the least",
    NO_PERSON: "no word for a person in the caption",
    NO_FACE: "no face",
    CROWD: "too many faces",
    SMALL_FACE: "the largest face too small",
    DUPLICATE: "looks like an earlier picture",
}
"""Why a pair is dropped, in the order in which it is asked: what costs least comes first."""


@dataclass(frozen=True)
class ImageRules:
    """What a pair has to be.

    least_px        both sides, 1 or more
    large_px        both sides of a pair of the large subset
    most_faces      in a picture
    least_share     of the largest face in the picture's area, 0 .. 1 (`face_share`)
    face_threshold  score from which on a face counts, 0 .. 1
    languages       of the keyword lists
    has_guards      keywords that name a thing do not count (`captions.keywords`)
    is_unique       pictures that look like an earlier one are dropped
    """

    least_px: int = 512
    large_px: int = 1024
    most_faces: int = 3
    least_share: float = 0.04
    face_threshold: float = FACE_THRESHOLD
    languages: tuple[str, ...] = LANGUAGES
    has_guards: bool = True
    is_unique: bool = True

    def __post_init__(self) -> None:
        """Raises BadInput for what drops everything or has no meaning."""
        if self.least_px < 1 or self.large_px < self.least_px:
            raise BadInput(f"Sides of {self.least_px} and {self.large_px} px: give 1 or more, and the larger one last.")
        if self.most_faces < 1 or not 0 <= self.least_share < 1 or not 0 <= self.face_threshold <= 1:
            raise BadInput(
                f"{self.most_faces} faces of {self.least_share:g} with a score of {self.face_threshold:g}: give at "
                "least 1 face, a share from 0 to below 1, and a score from 0 to 1."
            )


def judge(pair: Pair, rules: ImageRules) -> dict[str, Any]:
    """What there is to know of a pair, up to the first reason against it.

    Returns JSON values by name: `reason` ("" where the pair stays, but for duplicates), `width`, `height`, `is_large`,
    `keywords` as ["kind:word"], `n_faces`, `face_share`, `hash` (16 hex digits). What was not asked is left out.
    """
    size = image_size(pair.image)
    if size is None:
        return {"reason": UNREADABLE}
    found: dict[str, Any] = {"width": size[0], "height": size[1], "is_large": min(size) >= rules.large_px}
    if not pair.caption:
        return {**found, "reason": NO_CAPTION}
    if min(size) < rules.least_px:
        return {**found, "reason": SMALL}
    words = keywords(pair.caption, rules.languages, rules.has_guards)
    found["keywords"] = [f"{word.kind}:{word.word}" for word in words]
    if not words:
        return {**found, "reason": NO_PERSON}
    try:
        image = decode_image(pair.image, f"{pair.source}: {pair.key}")
    except BadInput:
        return {**found, "reason": UNREADABLE}
    return {**found, **judge_faces(image, rules)}


def judge_faces(image: np.ndarray, rules: ImageRules) -> dict[str, Any]:
    """`reason`, `n_faces`, `face_share` and `hash` of a picture, uint8 [H, W, 3]."""
    faces = find_faces(image, rules.face_threshold)
    share = max((face_share(face, image.shape[1], image.shape[0]) for face in faces), default=0.0)
    reason = NO_FACE if not faces else CROWD if len(faces) > rules.most_faces else ""
    reason = reason or (SMALL_FACE if share < rules.least_share else "")
    hashed = f"{perceptual_hash(image):016x}"
    return {"reason": reason, "n_faces": len(faces), "face_share": round(share, 5), "hash": hashed}


def face_share(face: Face, width: int, height: int) -> float:
    """The part of a picture's area that the upright box about a face's landmarks covers, 0 .. 1.

    The landmarks reach from the hairline to the chin, as the box of a detector of faces does.
    """
    assert face.landmarks is not None  # `find_faces` gives them with every person's face
    inside = np.clip(face.landmarks.xy, 0, (width, height))
    sides = inside.max(0) - inside.min(0)
    return float(sides[0] * sides[1] / (width * height))
