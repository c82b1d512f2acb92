"""What each part of EAD-Net is worth: the full model and models that lack one part, trained alike and scored alike.

The denoiser: for every seed the mini's is stripped of the parts and trained on as a base that has none: single frames,
no SyncNet, no TREPA, no STDA, no TFRM, labels and captions told by halves. Every version goes on from it for the same
steps, on the same clips, with its own parts, which are new. The nets that supervise and guide are those of --parts and
stay as they are. Each version performs held-out scripts, and what the face does is compared with the ground truth.

The picture side: every version is trained from nothing for the same steps, on the same pairs of heads, and makes frames
of heads that it never saw.

A run whose results lie in --output is not repeated: stopped at any point, the same command goes on, and more seeds may
be added later. Clips, pairs and parts are those of a training of the mini, which makes them first (docs/results.md):

    eadnet train denoiser --output runs
    eadnet train vae --output runs
    python bench/ablation.py --cache runs/caches/performances --parts runs/mini --faces runs/caches/faces \\
        --output ablation --write docs/results.md
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import ablation_denoiser
import ablation_picture
import torch
from ablation_denoiser import PARTS, VARIANTS, DenoiserSide
from ablation_picture import PictureSide
from ablation_table import around, write_between

from eadnet_core.errors import BadInput, EADNetError


def main() -> None:
    """Train and score what is missing, then print the tables, and write them where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="weights and scores of every run")
    parser.add_argument("--cache", type=Path, metavar="FOLDER", help="clips and texts: trains the denoiser's versions")
    parser.add_argument("--parts", type=Path, metavar="FOLDER", help=f"beside --cache; holds {', '.join(PARTS)}")
    parser.add_argument(
        "--faces", type=Path, metavar="FOLDER", help="pairs of heads: trains the picture side's versions"
    )
    parser.add_argument("--base-steps", type=int, default=300, metavar="N", help="of every base (default: 300)")
    parser.add_argument("--steps", type=int, default=250, metavar="N", help="of every denoiser (default: 250)")
    text = "of a denoiser's step; fewer cost less (default: 3, as the mini's)"
    parser.add_argument("--batch", type=int, default=3, metavar="N", help=text)
    parser.add_argument(
        "--picture-steps", type=int, default=1000, metavar="N", help="of every picture side (default: 1000)"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N", help="(default: 0 1 2)")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS, metavar="NAME",
                        help=f"of the denoiser, any of {', '.join(VARIANTS)} (default: all)")  # fmt: skip
    parser.add_argument("--clips", type=int, default=48, metavar="N", help="held-out clips of 3 s (default: 48)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="CPU threads (default: 1)")
    parser.add_argument("--write", type=Path, metavar="F", help="put the tables between the markers of this page")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    try:
        run(args)
    except EADNetError as error:
        raise SystemExit(f"ablation: {error}") from error


def run(args: argparse.Namespace) -> None:
    """Both sides, where their inputs are given; then what is known of all runs so far."""
    check(args)
    denoiser = DenoiserSide.open(args) if args.cache else None
    picture = PictureSide.open(args) if args.faces else None
    if denoiser:
        denoiser.run(args.seeds, args.variants)
    if picture:
        picture.run(args.seeds)
    lines = report(args.output)
    print("\n".join(lines))
    if args.write:
        write_between(args.write, lines)


def check(args: argparse.Namespace) -> None:
    """Raises BadInput for a request that does not fit, before anything is opened."""
    for name in ("base_steps", "steps", "batch", "picture_steps", "clips", "threads"):
        if getattr(args, name) < 1:
            raise BadInput(f"{name} is {getattr(args, name)}; give 1 or more.")
    if not args.cache and not args.faces:
        raise BadInput("Neither --cache nor --faces is given; name the clips, the pairs of heads, or both.")
    if bool(args.cache) != bool(args.parts):
        raise BadInput("--cache and --parts belong together; give both, or --faces alone.")
    if args.write:
        around(args.write)


def report(output: Path) -> list[str]:
    """What docs/results.md says of all runs in the folder."""
    denoiser, picture = output / "denoiser", output / "picture"
    sides = {
        "### The denoiser": ablation_denoiser.report(
            denoiser, _read(denoiser / "settings.json"), _read(denoiser / "rulers.json")
        ),
        "### The picture side": ablation_picture.report(picture, _read(picture / "settings.json")),
    }
    lines = [line for title, found in sides.items() if found for line in (title, "", *found, "")]
    return lines[:-1] or ["No run has ended yet."]


def _read(path: Path) -> dict[str, Any]:
    """Values of a JSON file; none where it is not there."""
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


if __name__ == "__main__":
    main()
