"""`eadnet fit`: a model fitted to one person."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import BadInput
from ..paths import check_path
from .arguments import Bar, add_model, command


def add_fit(commands: Any) -> None:
    """`eadnet fit`."""
    text = "Fit a mini to one portrait, so that it paints the teeth that a video of the same person shows."
    parser = command(commands, "fit", text, _fit)
    parser.add_argument("--portrait", required=True, type=Path, help="picture of the person, as clips will be made of")
    text = "video of the same person who speaks, some seconds; a still picture does not show the inside of a mouth"
    parser.add_argument("--video", required=True, type=Path, help=text)
    text = "model folder to write, for --model of generate, dub, live and batch"
    parser.add_argument("--output", required=True, type=Path, metavar="FOLDER", help=text)
    text = "how long to fit, after the video was looked at (default: 60)"
    parser.add_argument("--seconds", type=float, default=60.0, metavar="X", help=text)
    parser.add_argument("--overwrite", action="store_true", help="replace a fit that is there")
    add_model(parser)


def _fit(args: argparse.Namespace) -> None:
    from ..families.load import load_model
    from ..families.mini import MiniModel
    from ..generation.fitting import check_fit_output, fit_face, save_fitted
    from ..media.image import read_image
    from ..media.video.files import read_video

    check_path(args.output, "Output")
    check_fit_output(args.output, args.overwrite)
    portrait, video = read_image(args.portrait), read_video(args.video)
    model = load_model(args.model, args.device)
    if not isinstance(model, MiniModel):
        raise BadInput(f"'{args.model}' is a base and paints no mouth of its own. Give mini or mini-256.")
    with Bar("fit") as bar:
        fitted, fitting = fit_face(
            portrait, video.frames, model, args.seconds, lambda share: bar.count(round(100 * share), 100)
        )
    if not fitting.is_better:
        raise BadInput(
            f"The fit paints frames that it did not see no better than '{args.model}' ({fitting.after:.3f} off, "
            f"{fitting.before:.3f} before), and was not written. Give a longer video in the light of the portrait."
        )
    save_fitted(args.output, fitted, fitting, args.video.name)
    print(
        f"{args.output}: mouths of {fitting.n_checked} frames that it did not learn from are {fitting.after:.3f} off, "
        f"{fitting.before:.3f} before (0 .. 1); learned from {fitting.n_frames} frames"
    )
