"""`eadnet score` and `eadnet evaluate`: how well it did."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ..errors import BadInput
from ..paths import writing
from .arguments import Bar, add_heads, add_model, box, check_output, command, write_json
from .portraits import add_portraits, check_portraits, run_portraits


def add_score(commands: Any) -> None:
    """`eadnet score`."""
    parser = command(commands, "score", "Score a video: lip sync, emotion, motion, identity.", _score)
    parser.add_argument("video", type=Path)
    parser.add_argument("--audio", type=Path, help="the speech, if the video has no sound or another one")
    parser.add_argument("--emotion", help="the label it should show")
    parser.add_argument("--face-box", type=box, metavar="X0,Y0,X1,Y1", help="the face by hand, in pixels")
    parser.add_argument(
        "--syncnet-v2", type=Path, metavar="FILE", help="also score by the original SyncNet, from its syncnet_v2.model"
    )
    parser.add_argument("--json", type=Path, help="write the scores here")
    parser.add_argument("--plot", type=Path, help="draw the report here (.png)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")


def _score(args: argparse.Namespace) -> None:
    from ..metrics.report import draw_report, save_json, score_video
    from ..weights.convert import load_syncnet_v2
    from ..weights.experts import load_experts

    check_output(args.plot, ".png")
    check_output(args.json, ".json")
    experts = load_experts(args.device)
    judge = load_syncnet_v2(args.syncnet_v2, experts.device) if args.syncnet_v2 else None
    scores = score_video(args.video, experts, args.audio, args.emotion, args.face_box, syncnet_v2=judge)
    if args.json:
        with writing(args.json):
            save_json(scores, args.json)
    if args.plot:
        with writing(args.plot):
            draw_report(scores).save(args.plot)
    print(json.dumps(scores.to_json(), indent=2))


def add_evaluate(commands: Any) -> None:
    """`eadnet evaluate`."""
    text = (
        "Generate held-out clips and score them beside their ceilings: fresh ones, or those that ship with the package."
    )
    parser = command(commands, "evaluate", text, _evaluate)
    add_model(parser)
    parser.add_argument("--clips", type=int, default=48, metavar="N", help="number of clips (default: 48)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="which clips are drawn (default: 0)")
    parser.add_argument("--all", action="store_true", help="also compare guidance, emotional portraits and long clips")
    parser.add_argument("--json", type=Path, help="write the figures here")
    text = "compare what the faces do with the true controls, instead of pictures; no net judges"
    parser.add_argument("--controls", action="store_true", help=text)
    text = "compare skin tones and sexes on N heads of each instead; needs the anatomy"
    parser.add_argument("--people", type=int, metavar="N", help=text)
    add_heads(parser)
    group = parser.add_argument_group("emotion alone")
    text = "labels, free prompts, references, blends, amplitudes and their cost to the lips, instead of clips"
    group.add_argument("--emotion", action="store_true", help=text)
    text = "prompts and their labels, a tab between (default: those of a checkout's tests)"
    group.add_argument("--prompts", type=Path, metavar="FILE", help=text)
    group.add_argument("--plot", type=Path, help="draw the curves here (.png)")
    add_portraits(parser)


def _evaluate(args: argparse.Namespace) -> None:
    check_output(args.json, ".json")
    check_output(args.plot, ".png")
    check_portraits(args)
    if args.controls and (args.emotion or args.all or args.portraits is not None):
        raise BadInput("--controls goes with none of --emotion, --all and --portraits: leave one out.")
    if args.people is not None and (args.controls or args.emotion or args.all or args.portraits is not None):
        raise BadInput("--people goes with none of --controls, --emotion, --all and --portraits: leave one out.")
    if args.emotion:
        _evaluate_emotion(args)
    elif args.plot is not None or args.prompts is not None:
        raise BadInput("--plot and --prompts belong to --emotion: give that too, or leave them out.")
    elif args.portraits is not None:
        run_portraits(args)
    elif args.controls:
        _evaluate_controls(args)
    elif args.people is not None:
        _evaluate_people(args)
    else:
        _evaluate_clips(args)


def _evaluate_emotion(args: argparse.Namespace) -> None:
    from ..evaluation.emotion import HEADLINES, evaluate_emotion, format_emotion
    from ..metrics.table import missed

    if args.portraits is not None and not args.portraits.isdecimal():
        raise BadInput(f"--portraits is {args.portraits!r}; with --emotion it is the number of heads, such as 3.")
    portraits = int(args.portraits or 3)
    with Bar("evaluate", "clip") as bar:
        results = evaluate_emotion(
            args.model, portraits, args.seed, None, bar.count, args.device, args.prompts, args.plot, args.heads
        )
    if args.json:
        write_json(args.json, results)
    print(format_emotion(results))
    for line in missed(results, HEADLINES):
        print(line)


def _evaluate_controls(args: argparse.Namespace) -> None:
    from ..evaluation.controls import evaluate_controls

    figures = evaluate_controls(args.model, args.clips, args.seed, args.device, args.heads)
    if args.json:
        write_json(args.json, figures)
    for name, value in figures.items():
        print(f"{name:<20}{value:.3f}")


def _evaluate_people(args: argparse.Namespace) -> None:
    from ..evaluation.people import evaluate_people, format_people

    with Bar("evaluate", "clip") as bar:
        results = evaluate_people(args.model, args.people, args.seed, args.device, args.heads, bar.count)
    if args.json:
        write_json(args.json, results)
    print(format_people(results))


def _evaluate_clips(args: argparse.Namespace) -> None:
    from tqdm import tqdm

    from ..evaluation.clips import SECTIONS, evaluate
    from ..metrics.table import format_table, missed

    sections = SECTIONS if args.all else ()
    with tqdm(desc="evaluate", unit="clip") as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        results = evaluate(args.model, args.clips, args.seed, None, show, sections, args.device, args.heads)
    if args.json:
        write_json(args.json, results)
    print(format_table(results))
    for line in missed(results):
        print(line)
