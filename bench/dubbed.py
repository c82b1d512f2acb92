"""What a dubbed video of a real face shows of the old one: lips, the mouth beneath the mask, and everything else.

The dubbed video is compared frame by frame with the one that it was made of. The sync expert reads its lip sync. Beside
that stands what the expert reads of the video with its own voice, and with the new voice laid over it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from eadnet_core.config import FPS, MASK_BOXES
from eadnet_core.media.face.crop import FaceCrop
from eadnet_core.media.face.framing import lips_of
from eadnet_core.media.face.landmark_masks import LIPS_OUTER, in_frame, lip_opening
from eadnet_core.media.face.landmarks import Landmarks
from eadnet_core.media.face.paste import pasted
from eadnet_core.media.video.files import read_video
from eadnet_core.metrics.face import correlation
from eadnet_core.metrics.face_geometry import sharpness
from eadnet_core.metrics.followed import FaceFollower
from eadnet_core.metrics.report import score_video
from eadnet_core.weights.experts import load_experts

SHEET_EVERY, SHEET_PX = 12, 220
STRIDE = 4
"""Differences of the pictures are taken at every fourth pixel of every fourth row."""
AROUND = 1.2
"""Side of a picture of the sheet, in sides of the face's frame."""


def main() -> None:
    """Print the figures, and draw the old mouths above the new ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--video", type=Path, required=True, metavar="F", help="what was dubbed")
    parser.add_argument("--dubbed", type=Path, required=True, metavar="F")
    parser.add_argument("--audio", type=Path, required=True, metavar="F", help="the new voice")
    parser.add_argument("--mask", default="mouth", choices=MASK_BOXES, help="of the dubbing (default: mouth)")
    parser.add_argument("--sheet", type=Path, metavar="F", help="pictures of both, .jpg")
    parser.add_argument("--json", type=Path, metavar="F")
    args = parser.parse_args()
    found = compare(args)
    experts = load_experts("cpu")
    for name, video, audio in (
        ("dubbed", args.dubbed, args.audio),
        ("own voice", args.video, None),
        ("new voice over the old video", args.video, args.audio),
    ):
        scores = score_video(video, experts, audio)
        found[name] = {key: getattr(scores, key) for key in ("lse_c", "lse_d", "offset", "identity_least")}
    text = json.dumps(found, indent=2)
    print(text)
    if args.json:
        args.json.write_text(text + "\n", encoding="utf-8")


def compare(args: argparse.Namespace) -> dict[str, object]:
    """Figures of both videos, frame by frame.

    openings         correlation of the new lips' gap with the old one, and amplitudes in eye distances
    old_lips_inside  share of the old lips' outline that lies where nothing of the old frame is left; least of a frame.
                     The outline is the follower's; the mask is made of landmarks that are read anew, as in dubbing
    psnr_outside     dB outside the face's frame, and inside it but outside the mask
    sharp_mouth      the new mouth's over the old one's
    """
    rows, sheet, pixels = [], [], _pixels(read_video(args.video).size)
    for number, (old, new, before, after) in enumerate(pairs(args.video, args.dubbed)):
        face = before.frame()
        lips = torch.from_numpy(in_frame(before.xy[list(LIPS_OUTER)], face))
        covered = [*lips_of(old, face), in_frame(after.xy[list(LIPS_OUTER)], face)] if args.mask == "mouth" else []
        weight = pasted(lips[None].float(), args.mask, covered)
        places = in_frame(pixels, face)
        inside = np.all((places > 0) & (places < 1), -1)
        masked = pasted(torch.from_numpy(places).float(), args.mask, covered).numpy() > 0
        error = np.square(old[::STRIDE, ::STRIDE].astype(np.float32) - new[::STRIDE, ::STRIDE]).mean(-1)
        one, other = (sharpness(picture, points.points)["mouth"] for picture, points in ((old, before), (new, after)))
        rows.append([
            float(lip_opening(before.points)), float(lip_opening(after.points)), float((weight == 1).float().mean()),
            float(error[~inside].mean()), float(error[inside & ~masked].mean()), (other or 0.0) / (one or 1.0),
        ])  # fmt: skip
        if number % SHEET_EVERY == SHEET_EVERY // 2:
            sheet.append([_cut(picture, face) for picture in (old, new)])
    values = np.array(rows).T
    if args.sheet:
        columns = [np.concatenate(pair) for pair in sheet[:16]]
        Image.fromarray(np.concatenate(columns, 1)).save(args.sheet, quality=88)
    amplitudes = [float(np.subtract(*np.percentile(track, (95, 5)))) for track in values[:2]]
    psnr = [10 * np.log10(255**2 / max(1e-9, float(error.mean()))) for error in values[3:5]]
    return {
        "frames": values.shape[1],
        "opening_correlation": correlation(values[0], values[1]),
        "amplitude_old": amplitudes[0],
        "amplitude_new": amplitudes[1],
        "old_lips_inside": float(values[2].mean()),
        "old_lips_inside_least": float(values[2].min()),
        "psnr_outside_face": float(psnr[0]),
        "psnr_face_outside_mask": float(psnr[1]),
        "sharp_mouth": float(values[5].mean()),
    }


def pairs(video: Path, dubbed: Path) -> Iterator[tuple[np.ndarray, np.ndarray, Landmarks, Landmarks]]:
    """Frames of both videos with their landmarks, as long as both last; frames without a face are left out."""
    followers = FaceFollower(), FaceFollower()
    for frames in zip(read_video(video, FPS), read_video(dubbed, FPS), strict=False):
        points = [follower.look(frame) for follower, frame in zip(followers, frames, strict=True)]
        if points[0] is not None and points[1] is not None:
            yield *frames, Landmarks(points[0], 1.0), Landmarks(points[1], 1.0)


def _pixels(size: tuple[int, int]) -> np.ndarray:
    """Middles of every STRIDE-th pixel of a picture of `size` (width, height), [H, W, 2] in pixels."""
    y, x = np.mgrid[0 : size[1] : STRIDE, 0 : size[0] : STRIDE]
    return np.stack([x, y], -1) + 0.5


def _cut(picture: np.ndarray, face: FaceCrop) -> np.ndarray:
    """The face in a picture, uint8 [SHEET_PX, SHEET_PX, 3]."""
    half = face.side_px * AROUND / 2
    box = (face.center_x - half, face.center_y - half, face.center_x + half, face.center_y + half)
    return np.asarray(Image.fromarray(picture).crop(tuple(map(round, box))).resize((SHEET_PX, SHEET_PX)))


if __name__ == "__main__":
    main()
