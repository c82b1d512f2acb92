"""`eadnet evaluate --portraits`: real portraits that speak, measured."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import BadInput
from .arguments import Bar, write_json


def add_portraits(parser: Any) -> None:
    """The options of an evaluation on real portraits."""
    group = parser.add_argument_group(
        "real portraits, instead of clips", "Give both folders; it can be stopped and goes on."
    )
    text = "folder of pictures of faces; with --emotion the number of heads and voices (default there: 3)"
    group.add_argument("--portraits", metavar="FOLDER|N", help=text)
    group.add_argument("--voices", type=Path, metavar="FOLDER", help="folder of speech, used in turn")
    text = "what is asked for: any of neutral happy sad angry fear disgusted surprised (default: all seven)"
    group.add_argument("--emotions", nargs="+", metavar="LABEL", help=text)
    group.add_argument(
        "--seconds", type=float, metavar="X", help="seconds of each voice, from its beginning (default: 3)"
    )
    text = "folder for clips, figures and contact sheets (default: portraits-MODEL)"
    group.add_argument("--output", type=Path, metavar="FOLDER", help=text)
    text = (
        "folder of the nets that read expression and identity (default: EADNET_JUDGES; get one: eadnet download judges)"
    )
    group.add_argument("--judges", type=Path, metavar="FOLDER", help=text)


def check_portraits(args: argparse.Namespace) -> None:
    """Refuse options of real portraits where those are not asked for. Raises BadInput."""
    given = [f"--{name}" for name in ("voices", "emotions", "seconds", "output", "judges") if getattr(args, name)]
    if given and (args.emotion or args.portraits is None):
        raise BadInput(f"{given[0]} belongs to --portraits FOLDER: give that too, without --emotion, or leave it out.")


def run_portraits(args: argparse.Namespace) -> None:
    """Evaluate on real portraits, print the table and write it."""
    from ..evaluation.portraits import Request, evaluate_portraits
    from ..metrics.followed import follow_face
    from ..metrics.judging import LABELS
    from ..metrics.portrait_table import format_portraits
    from ..weights.device import find_device
    from ..weights.judges import find_judges, load_judges

    if args.voices is None:
        raise BadInput("--portraits needs --voices FOLDER: speech for the portraits, 3 s or longer each.")
    output = args.output or Path(f"portraits-{Path(args.model).name}")
    seconds = {} if args.seconds is None else {"seconds": args.seconds}
    request = Request(
        Path(args.portraits),
        args.voices,
        output,
        args.model,
        args.device,
        tuple(args.emotions or LABELS),
        seed=args.seed,
        **seconds,
    )
    folder = find_judges(args.judges)
    judges = load_judges(folder, find_device(args.device)) if folder else None
    with Bar("evaluate", "clip") as bar:
        results = evaluate_portraits(request, follow_face, judges, bar.count)
    write_json(output / "figures.json", results)
    if args.json:
        write_json(args.json, results)
    print(format_portraits(results))
    if judges is None:
        print("Expression and identity were not read: run eadnet download judges, then give --judges public/judges.")
    print(f"{output}: figures.json, sheets/overview.jpg")
