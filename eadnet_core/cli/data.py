"""`eadnet data check`: what is missing of a data set that was downloaded."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import BadInput
from .arguments import Bar, command


def add_data(commands: Any) -> None:
    """`eadnet data`."""
    parser = commands.add_parser("data", help="Look at data sets that were downloaded.")
    kinds = parser.add_subparsers(required=True, metavar="COMMAND")
    check = command(kinds, "check", "Say what is missing or broken in a folder of HDTF or MEAD.", _check)
    check.add_argument("name", choices=("hdtf", "mead"))
    check.add_argument("folder", type=Path, help="where it was downloaded to")
    check.add_argument("--names-only", action="store_true", help="do not open the clips")


def _check(args: argparse.Namespace) -> None:
    from ..curation.layouts import CHECKS

    with Bar("look", "clip") as bar:
        report = CHECKS[args.name](args.folder, not args.names_only, lambda done: bar.count(done, 0))
    print(report.table())
    if report.n_problems:
        raise BadInput(f"{report.n_problems} things are missing or broken in '{args.folder}'. Download them again.")
