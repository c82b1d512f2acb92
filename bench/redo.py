"""Makes the middle segment of a clip anew with another seed, and measures the seams beside a plain splice of two runs.

The figure is the mean difference between one frame and the next inside the face's frame, in levels of 255: at the two
borders of the segment, against the 5th, 50th and 95th percentile of all other places.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile

from eadnet_core import GenerateOptions, load_model, prepare, write_video
from eadnet_core.media.video.files import read_video
from eadnet_core.weights.folders import ASSETS


def main() -> None:
    """Print the differences of the unbroken clip, of the one made anew in the middle, and of the splice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=40, help="of a segment; there are three (default: 40)")
    parser.add_argument("--model", default="mini", help="mini, or the folder of your own model (default: mini)")
    parser.add_argument("--json", type=Path, help="write the figures here")
    args = parser.parse_args()
    samples, rate_hz = soundfile.read(ASSETS / "sample" / "speech.wav", dtype="float32")
    sound = np.resize(samples, 3 * args.frames * rate_hz // 25)
    options, model = GenerateOptions(segment_frames=args.frames, seed=1), load_model(args.model, "cpu")
    with tempfile.TemporaryDirectory() as folder:
        one, other = Path(folder) / "one.mp4", Path(folder) / "other.mp4"

        def make(output: Path, seed: int, redo: int | None = None) -> np.ndarray:
            given = {"model": model, "sample_rate": rate_hz, "output": output, "resume": redo is not None}
            portrait = ASSETS / "sample" / "portrait.png"
            clip = prepare(portrait, sound, "delighted", replace(options, seed=seed), **given)
            write_video(clip, output, keep_segments=True, redo=redo)
            x0, y0, x1, y1 = clip.geometry.bounds(clip.subject.size)
            return np.stack([frame[y0:y1, x0:x1] for frame in read_video(output)])

        first, second = make(one, 1), make(other, 2)
        middle = slice(args.frames, 2 * args.frames)
        splice = first.copy()
        splice[middle] = second[middle]
        clips = {"unbroken": first, "made anew": make(one, 2, redo=1), "spliced": splice}
    found = {name: seams(frames, args.frames) for name, frames in clips.items()}
    for name, values in found.items():
        print(f"{name:10s} " + ", ".join(f"{key} {value:.2f}" for key, value in values.items()))
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def seams(frames: np.ndarray, length: int) -> dict[str, float]:
    """Differences from frame to frame, at the borders of the second segment and elsewhere."""
    steps = np.array([np.abs(b.astype(np.int16) - a).mean() for a, b in pairwise(frames)])
    borders = [length - 1, 2 * length - 1]
    inside = np.delete(steps, borders)
    quantiles = {f"p{q}": float(np.percentile(inside, q)) for q in (5, 50, 95)}
    return {"first_border": float(steps[borders[0]]), "second_border": float(steps[borders[1]]), **quantiles}


if __name__ == "__main__":
    main()
