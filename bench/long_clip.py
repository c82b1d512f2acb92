"""Whether a long clip stays what it was: memory, identity, sharpness and place of the head over time, and its seams.

A portrait speaks the given voices, one after the other, until the clip is full. `eadnet generate` makes the clip in a
process of its own; one that lies in --output already is only measured. Every half minute some seconds are measured as
a clip of a real portrait is (docs/portraits.md).
Seams are the borders of segments: how much frames differ there inside the face's frame, beside all other places.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from eadnet_core.config import FPS, SAMPLE_RATE_HZ
from eadnet_core.errors import BadInput, EADNetError
from eadnet_core.evaluation.command_cost import measure_command
from eadnet_core.media.image import read_image
from eadnet_core.media.sound.audio import read_audio
from eadnet_core.media.video.files import read_video
from eadnet_core.metrics.face_geometry import OVAL
from eadnet_core.metrics.followed import FaceFollower, follow_face
from eadnet_core.metrics.judging import NETS
from eadnet_core.metrics.portrait import ClipReader, Still, read_still
from eadnet_core.request import GenerateOptions
from eadnet_core.weights.judges import Judges, load_judges

WINDOW_S, EVERY_S = 6, 30
"""Seconds of a window, and from the beginning of one to that of the next."""
COLUMNS = "{:>6s}" + " {:>9s}" * 9


def main() -> None:
    """Make what is missing, print a row for each window, and the seams."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--portrait", type=Path, required=True, metavar="F")
    parser.add_argument("--voices", type=Path, nargs="+", required=True, metavar="F")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="of the clips and figures.json")
    parser.add_argument("--seconds", type=int, nargs="+", default=[60, 300], metavar="S", help="(default: 60 300)")
    parser.add_argument("--emotion", default="warm and friendly", metavar="WORDS")
    parser.add_argument("--model", default="mini", help="mini, or the folder of your own model (default: mini)")
    parser.add_argument("--judges", type=Path, metavar="FOLDER", help="nets that read identity, see docs/portraits.md")
    args = parser.parse_args()
    try:
        args.output.mkdir(parents=True, exist_ok=True)
        judges = load_judges(args.judges) if args.judges else None
        still = read_still(read_image(args.portrait), follow_face, judges)
        if still is None:
            raise BadInput(f"No face was found in '{args.portrait}'. Give a picture with one face, near frontal.")
        for seconds in args.seconds:
            run(args, seconds, still, judges)
    except EADNetError as error:
        raise SystemExit(f"long_clip: {error}") from error


def run(args: argparse.Namespace, seconds: int, still: Still, judges: Judges | None) -> None:
    """One length: the clip, its rows and its seams; its figures lie beside it."""
    video, figures = args.output / f"{seconds}.mp4", args.output / f"{seconds}.json"
    found = json.loads(figures.read_text(encoding="utf-8")) if figures.exists() else {}
    speech = spoken(args.voices, seconds)
    if not video.exists():
        found = make(args, video, speech)
        figures.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    found["windows"], found["seams"] = measure(video, speech, still, judges)
    figures.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(f"{seconds} s: {found['seconds']:.0f} s of wall time, {found['peak_gb']:.3f} GB at the most")
    names = ("mouth", "face", "eyes", "faceapi", "human", "amplitude", "jitter", "head x", "head y")
    print(COLUMNS.format("at s", *names))
    for window in found["windows"]:
        print(COLUMNS.format(f"{window['at_s']}", *(f"{window[name]:.3f}" for name in names)))
    print("seams: " + ", ".join(f"{name} {value:.3f}" for name, value in found["seams"].items()), flush=True)


def spoken(voices: list[Path], seconds: int) -> np.ndarray:
    """The voices one after the other, again and again, [16000 seconds] float32."""
    said = np.concatenate([read_audio(path).samples for path in voices])
    return np.resize(said, seconds * SAMPLE_RATE_HZ)


def make(args: argparse.Namespace, video: Path, speech: np.ndarray) -> dict[str, Any]:
    """Generate the clip; what it took."""
    sound = video.with_suffix(".wav")
    soundfile.write(sound, speech, SAMPLE_RATE_HZ)
    command = [sys.executable, "-m", "eadnet_core", "generate", "--portrait", str(args.portrait), "--audio", str(sound)]
    command += ["--emotion", args.emotion, "--output", str(video), "--model", args.model, "--device", "cpu"]
    cost = measure_command(command)
    return {"seconds": cost.seconds, "peak_gb": cost.peak_memory_gb}


def measure(
    video: Path, speech: np.ndarray, still: Still, judges: Judges | None
) -> tuple[list[dict[str, float]], dict[str, float]]:
    """A row for each window, and the seams of all segments."""
    rows, steps, last = [], [], None
    face, hop = inside_face(still), SAMPLE_RATE_HZ // FPS
    reader, follower = ClipReader(still, judges), FaceFollower()
    places: list[np.ndarray] = []
    for number, frame in enumerate(read_video(video, FPS)):
        if last is not None:
            steps.append(float(np.abs(frame[face].astype(np.int16) - last[face]).mean()))
        last = frame
        start = number // (EVERY_S * FPS) * EVERY_S * FPS
        if number >= start + WINDOW_S * FPS:
            continue
        if number == start:
            reader, follower, places = ClipReader(still, judges), FaceFollower(), []
        points = follower.look(frame)
        reader.add(frame, points)
        if points is not None:
            places.append(points[list(OVAL), :2].mean(0))
        if number == start + WINDOW_S * FPS - 1:
            heard = speech[start * hop : (start + WINDOW_S * FPS) * hop]
            rows.append(row(start // FPS, reader.report(heard, "happy"), np.array(places), still))
    return rows, seams(np.array(steps))


def inside_face(still: Still) -> tuple[slice, slice]:
    """Rows and columns of the picture around the portrait's face."""
    (x0, y0), (x1, y1) = (edge(still.points[list(OVAL), :2], 0) for edge in (np.min, np.max))
    height, width = still.picture.shape[:2]
    return slice(max(0, int(y0)), min(height, int(y1) + 1)), slice(max(0, int(x0)), min(width, int(x1) + 1))


def row(at_s: int, figures: dict[str, Any], places: np.ndarray, still: Still) -> dict[str, float]:
    """One window's figures by name; where the head lies in the mean, in eye distances from the portrait's."""
    unit = still.to_json()["eye_distance_px"]
    moved = (places.mean(0) - still.points[list(OVAL), :2].mean(0)) / unit
    judged = {net: figures[net]["identity"] if net in figures else float("nan") for net in NETS}
    return {
        "at_s": at_s,
        **figures["sharp_ratio"],
        **judged,
        "amplitude": figures["lips"]["amplitude"],
        "jitter": figures["head"]["jitter"],
        "head x": float(moved[0]),
        "head y": float(moved[1]),
    }


def seams(steps: np.ndarray) -> dict[str, float]:
    """How frames differ from the next, in levels of 255: at borders of segments, and elsewhere.

    steps  [T - 1]  mean difference inside the face
    """
    length = GenerateOptions().segment_frames
    borders = np.arange(length - 1, len(steps), length)
    inside = np.delete(steps, borders)
    at = {"borders": len(borders), "mean_at_borders": float(steps[borders].mean()), "most": float(steps[borders].max())}
    return at | {f"p{q}_elsewhere": float(np.percentile(inside, q)) for q in (50, 95, 99)}


if __name__ == "__main__":
    main()
