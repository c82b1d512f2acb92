"""How often the check of captions doubts a right one, and how often it sees a wrong one (emotion/contradiction.py).

On the held-out clips that ship, eight pictures of each, spread evenly, and on any folder of portraits. A right
description is that of the emotion that a clip shows; the wrong ones are those of the other emotions, as strong. What a
portrait shows is not known: it is told which descriptions are doubted.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np

from eadnet_core.emotion.caption import MAX_PICTURES
from eadnet_core.emotion.code import emotion_code
from eadnet_core.emotion.contradiction import contradictions
from eadnet_core.emotion.spacing import evenly_spaced
from eadnet_core.errors import EADNetError
from eadnet_core.evaluation.heldout import draw_cases
from eadnet_core.evaluation.portraits import PICTURES, list_files
from eadnet_core.evaluation.shipped import FOLDER, SEED, read_shipped
from eadnet_core.media.image import read_image
from eadnet_core.perception.faces import measure_pictures
from eadnet_core.taxonomy import EMOTIONS, LEVEL_INTENSITY
from eadnet_core.weights.experts import ReferenceReader, load_reference_reader


def main() -> None:
    """Print shares, by emotion that is shown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=48, metavar="N", help="that ship (default: 48)")
    parser.add_argument("--portraits", type=Path, metavar="FOLDER", help="pictures of faces")
    parser.add_argument("--json", type=Path, metavar="F", help="write the measured action units here")
    args = parser.parse_args()
    reader = load_reference_reader()
    measured: dict[str, list[list[float]]] = {}
    doubts: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for clips in read_shipped(draw_cases(args.clips, SEED), 256, FOLDER):
        for clip in clips:
            case = clip.case
            frames = clip.truth.frames[evenly_spaced(len(clip.truth.frames), MAX_PICTURES)]
            seen = measure_pictures(frames, reader)
            measured[f"{case.emotion} {case.level} {case.seed}"] = np.median(seen, 0).round(3).tolist()
            for label, doubted in judged(seen, LEVEL_INTENSITY[case.level]).items():
                level = "" if case.emotion == "neutral" else f" {LEVEL_INTENSITY[case.level]}"
                doubts[case.emotion + level]["right" if label == case.emotion else label].append(doubted)
    print(f"{'shown':16s}{'n':>4s}{'right':>8s}" + "".join(f"{label:>11s}" for label in EMOTIONS))
    for shown, found in sorted(doubts.items()):
        cells = [f"{np.mean(found[label]):11.2f}" if label in found else f"{'':>11s}" for label in EMOTIONS]
        print(f"{shown:16s}{len(found['right']):4d}{np.mean(found['right']):8.2f}" + "".join(cells))
    right = [doubt for found in doubts.values() for doubt in found["right"]]
    wrong = [doubt for found in doubts.values() for label, rows in found.items() if label != "right" for doubt in rows]
    print(f"right doubted {np.mean(right):.3f} of {len(right)}; wrong doubted {np.mean(wrong):.3f} of {len(wrong)}")
    for path in list_files(args.portraits, PICTURES, "portraits") if args.portraits else ():
        portrait(path, reader)
    if args.json:
        args.json.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")


def judged(seen: np.ndarray, intensity: float) -> dict[str, bool]:
    """Whether the description of each emotion would be doubted."""
    return {
        label: bool(contradictions(emotion_code(label, intensity if label != "neutral" else 0.0), seen))
        for label in EMOTIONS
    }


def portrait(path: Path, reader: ReferenceReader) -> None:
    """One line: which descriptions of a picture would be doubted."""
    try:
        doubted = judged(measure_pictures(read_image(path)[None], reader), 1.0)
        print(f"{path.name}: {', '.join(label for label, doubt in doubted.items() if doubt) or 'none'}")
    except EADNetError as error:
        print(f"{path.name}: {error}")


if __name__ == "__main__":
    main()
