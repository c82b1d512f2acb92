"""`eadnet curate`: pictures and videos from outside filtered into shards that training reads."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .arguments import Bar, command


def add_curate(commands: Any) -> None:
    """`eadnet curate`."""
    parser = commands.add_parser("curate", help="Filter pictures with captions, or videos, into shards for training.")
    kinds = parser.add_subparsers(required=True, metavar="KIND")
    _add_images(kinds)


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
