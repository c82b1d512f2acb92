"""`eadnet curate`: pictures and videos from outside filtered into shards that training reads."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import BadInput
from .arguments import Bar, check_output, command


def add_curate(commands: Any) -> None:
    """`eadnet curate`."""
    parser = commands.add_parser("curate", help="Filter pictures with captions, or videos, into shards for training.")
    kinds = parser.add_subparsers(required=True, metavar="KIND")
    _add_images(kinds)
    _add_video(kinds)
    _add_split(kinds)
    _add_simulate(kinds)


def _add_images(kinds: Any) -> None:
    text = "Keep pictures of people whose captions speak of a person (FaceID-6M's filter); run again to go on."
    parser = command(kinds, "images", text, _images)
    parser.add_argument(
        "source", type=Path, help="folder of shards, pictures with captions or tables, or one such file"
    )
    parser.add_argument("--output", required=True, type=Path, metavar="FOLDER", help="folder to write to")
    parser.add_argument("--least", type=int, default=512, metavar="PX", help="least side of a picture (default: 512)")
    parser.add_argument("--large", type=int, default=1024, metavar="PX", help="that of the subset (default: 1024)")
    parser.add_argument("--faces", type=int, default=3, metavar="N", help="most faces in a picture (default: 3)")
    parser.add_argument(
        "--share", type=float, default=0.04, metavar="X", help="least share of the largest face (default: 0.04)"
    )
    parser.add_argument("--languages", metavar="L,L", help="of captions, such as en,de,zh (default: all)")
    parser.add_argument("--plain-keywords", action="store_true", help="keep captions in which a keyword names a thing")
    parser.add_argument("--keep-duplicates", action="store_true", help="keep pictures that look like an earlier one")
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes that look for faces (default: 1)"
    )


def _images(args: argparse.Namespace) -> None:
    from ..curation.captions import LANGUAGES
    from ..curation.image_run import curate_images
    from ..curation.images import ImageRules

    languages = LANGUAGES if args.languages is None else tuple(args.languages.replace(" ", "").split(","))
    rules = ImageRules(
        least_px=args.least,
        large_px=args.large,
        most_faces=args.faces,
        least_share=args.share,
        languages=languages,
        has_guards=not args.plain_keywords,
        is_unique=not args.keep_duplicates,
    )
    with Bar("curate", "pair") as bar:
        report = curate_images(args.source, args.output, rules, args.workers, lambda done: bar.count(done, 0))
    print(report.table())
    print(f"{report.n_kept} pairs are in '{args.output}'; manifest.parquet says why each of the others is not.")


def _add_video(kinds: Any) -> None:
    text = "Cut videos into clips of one face that speaks, as shards for training; run again to go on."
    parser = command(kinds, "video", text, _video)
    parser.add_argument("source", type=Path, help="folder of videos, one video, or a list of paths (.txt)")
    parser.add_argument("--output", required=True, type=Path, metavar="FOLDER", help="folder to write to")
    parser.add_argument("--size", type=int, default=256, metavar="PX", help="side of the squares (default: 256)")
    parser.add_argument("--least-seconds", type=float, default=5.0, metavar="S", help="of a clip (default: 5)")
    parser.add_argument("--most-seconds", type=float, default=10.0, metavar="S", help="of a clip (default: 10)")
    text = "how surely a mouth must be seen, 0 .. 1; 0 keeps covered ones (default: 0.51)"
    parser.add_argument("--mouth", type=float, default=0.51, metavar="X", help=text)
    parser.add_argument(
        "--syncnet", type=Path, metavar="FILE", help="syncnet_v2.model or a sync expert that judges lips"
    )
    parser.add_argument("--confidence", type=float, metavar="X", help="least LSE-C; with syncnet_v2.model 3 by default")
    parser.add_argument("--offset", type=int, default=6, metavar="N", help="most frames of offset (default: 6)")
    parser.add_argument("--blur", type=float, default=0.6, metavar="X", help="most blur, 0 .. 1 (default: 0.6)")
    parser.add_argument("--no-cuts", action="store_true", help="take each video for one scene; needs no PySceneDetect")
    parser.add_argument("--keep-duplicates", action="store_true", help="keep clips that look like an earlier one")
    engine = parser.add_mutually_exclusive_group()
    engine.add_argument("--workers", type=int, default=1, metavar="N", help="processes of this machine (default: 1)")
    engine.add_argument("--ray", choices=("auto", "local"), help="run on a Ray cluster, or on Ray inside this machine")


def _video(args: argparse.Namespace) -> None:
    from ..curation.video_rules import VideoRules
    from ..curation.video_run import curate_videos

    if args.confidence is None and args.syncnet is not None and args.syncnet.suffix == ".safetensors":
        raise BadInput(
            "A sync expert measures LSE-C on a scale of its own: say with --confidence from where on lips fit. "
            "`eadnet score` shows what clips have that you trust."
        )
    rules = VideoRules(
        size_px=args.size,
        least_s=args.least_seconds,
        most_s=args.most_seconds,
        has_cuts=not args.no_cuts,
        least_mouth=args.mouth,
        least_confidence=3.0 if args.confidence is None else args.confidence,
        most_offset=args.offset,
        most_blur=args.blur,
        is_unique=not args.keep_duplicates,
    )
    with Bar("curate", "clip") as bar:
        sheet = curate_videos(
            args.source,
            args.output,
            rules,
            args.syncnet,
            args.workers,
            args.ray,
            lambda counts: bar.count(sum(counts.values()), 0),
        )
    print(sheet.table())
    asked = "" if args.syncnet else " Nothing was asked of the lips: no --syncnet was given."
    print(f"{sheet.counts['kept']} clips are in '{args.output}', by {sheet.engine}.{asked}")


def _add_simulate(kinds: Any) -> None:
    text = "Say what a curation of many clips would take, from what a small one cost; nothing is run."
    parser = command(kinds, "simulate", text, _simulate)
    parser.add_argument("costs", type=Path, help="folder that eadnet curate video wrote to, or its costs.json")
    parser.add_argument("--clips", default="1e4,1e5,1e6,1e7,1e8", metavar="N,N", help="(default: 1e4 to 1e8)")
    parser.add_argument("--machines", default="1,10,100", metavar="N,N", help="(default: 1,10,100)")
    parser.add_argument("--cores", type=int, default=32, metavar="N", help="of each machine (default: 32)")
    parser.add_argument("--network", type=float, default=1250.0, metavar="MB/S", help="of each machine (default: 1250)")
    parser.add_argument("--disk", type=float, default=5000.0, metavar="MB/S", help="of the shared disk (default: 5000)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the hours (.png or .jpg)")


def _simulate(args: argparse.Namespace) -> None:
    from ..curation.costs import read_costs
    from ..curation.scale import Cluster, draw_plot, simulate, table
    from ..media.video.segments import whole

    if args.plot is not None:
        check_output(args.plot, ".jpg" if args.plot.suffix.lower() == ".jpg" else ".png")
    costs = read_costs(args.costs)
    clips, machines = _counts("clips", args.clips), _counts("machines", args.machines)
    rows = [[simulate(costs, n, Cluster(m, args.cores, args.network, args.disk)) for m in machines] for n in clips]
    print(table([one for row in rows for one in row]))
    if args.plot is not None:
        with whole(args.plot, args.plot.with_name(f".partial{args.plot.suffix}")) as path:
            draw_plot(rows).save(path)


def _counts(name: str, text: str) -> list[int]:
    """Whole numbers between commas, such as 1e4 or 200. Raises BadInput.

    >>> _counts("clips", "200,1e4")
    [200, 10000]
    """
    try:
        found = [float(part) for part in text.split(",")]
        if not all(1 <= one <= 1e12 and one == int(one) for one in found):
            raise ValueError
    except ValueError:
        raise BadInput(
            f"--{name} is '{text}'; give whole numbers from 1 on, with commas between, such as 1e4."
        ) from None
    return [int(one) for one in found]


def _add_split(kinds: Any) -> None:
    text = "Divide curated clips so that nobody is both trained on and held out, by the faces' embeddings."
    parser = command(kinds, "split", text, _split)
    parser.add_argument("source", type=Path, help="folder of shards, such as that of eadnet curate video")
    parser.add_argument("--output", required=True, type=Path, metavar="FOLDER", help="folder to write to")
    text = "with the net of identities (default: what EADNET_JUDGES names); see eadnet download judges"
    parser.add_argument("--judges", type=Path, metavar="FOLDER", help=text)
    parser.add_argument("--held-out", type=float, default=0.1, metavar="X", help="share of the clips (default: 0.1)")
    text = "distance of embeddings under which two clips are of one person (default: 0.6)"
    parser.add_argument("--same", type=float, default=0.6, metavar="X", help=text)
    parser.add_argument("--seed", type=int, default=0, metavar="N")


def _split(args: argparse.Namespace) -> None:
    from ..curation.split import split_people
    from ..weights.judges import find_judges

    judges = find_judges(args.judges)
    if judges is None:
        raise BadInput(
            "Identities are read by a net from outside. Run eadnet download judges, and give --judges FOLDER."
        )
    with Bar("split", "clip") as bar:
        found = split_people(
            args.source, args.output, judges, args.held_out, args.seed, args.same, lambda done: bar.count(done, 0)
        )
    print(found)
