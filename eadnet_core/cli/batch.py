"""`eadnet batch`: the videos of a manifest."""

from __future__ import annotations

import argparse
from functools import cache, partial
from pathlib import Path
from typing import Any

from ..errors import BadInput
from ..request import Progress
from .arguments import Bar, add_model, command
from .generate import add_nets, load


def add_batch(commands: Any) -> None:
    """`eadnet batch`."""
    text = "Make a video for each row of a table; a run that was stopped goes on, and what is done is skipped."
    parser = command(commands, "batch", text, _batch)
    parser.add_argument("manifest", type=Path, help="table of portrait, voice, words, name and options (.csv, .jsonl)")
    parser.add_argument("--output", "--out", required=True, type=Path, metavar="FOLDER", help="folder to write to")
    parser.add_argument("--overwrite", action="store_true", help="replace videos there that no batch made")
    parser.add_argument("--dry-run", action="store_true", help="check every row, say which are open, and stop")
    parser.add_argument("--ray", choices=("auto", "local"), help="run on a Ray cluster, or on Ray inside this machine")
    text = "videos at once with --ray (default: one for each GPU, or 1)"
    parser.add_argument("--actors", type=int, metavar="N", help=text)
    text = "with --ray, let several processes make a row of more than N segments, N at a time (default: one a row)"
    parser.add_argument("--spread", type=int, metavar="N", help=text)
    text = "write what became of every row, with its record, as one table (.parquet)"
    parser.add_argument("--table", type=Path, metavar="FILE", help=text)
    add_model(parser)
    add_nets(parser)


def _batch(args: argparse.Namespace) -> None:
    from ..generation.batch import run_batch
    from ..generation.batch_table import check_table, write_table
    from ..generation.rows import read_rows
    from ..weights.folders import find_model

    if args.table is not None:
        check_table(args.table)
    rows = read_rows(args.manifest)
    for name in ("actors", "spread"):
        if getattr(args, name) is not None and args.ray is None:
            raise BadInput(f"--{name} goes with --ray auto or --ray local alone.")
    if args.ray is not None and not args.dry_run:
        report = _on_ray(args, rows)
    else:
        flags = {"overwrite": args.overwrite, "dry_run": args.dry_run}
        with _Bars() as bars:
            report = run_batch(
                rows, args.output, cache(lambda: load(args)), find_model(args.model), **flags, on_progress=bars
            )
    print(report.table())
    if args.table is not None:
        write_table(args.table, rows, report, args.output)
    if n_failed := report.counts["failed"]:
        raise BadInput(
            f"{n_failed} of {len(rows)} rows failed, see '{args.output / 'batch.json'}'. Mend them and run again: "
            "what is done is skipped."
        )


def _on_ray(args: argparse.Namespace, rows: list[Any]) -> Any:
    from ..families.load import load_model
    from ..generation.batch_on_ray import run_batch_on_ray
    from ..weights.folders import find_model

    folder = find_model(args.model)
    opened = partial(load_model, str(folder), args.device, args.dtype, args.attention)
    with Bar("batch", "video") as bar:
        return run_batch_on_ray(
            rows, args.output, opened, folder, args.ray, args.actors, args.overwrite, bar.count, args.spread
        )


class _Bars:
    """A progress bar for each row."""

    def __init__(self) -> None:
        self._row, self._bar = -1, Bar("")

    def __call__(self, done: int, total: int, row: Any, progress: Progress) -> None:
        if row.number != self._row:
            self._bar.__exit__()
            self._row, self._bar = row.number, Bar(f"{done + 1}/{total} {row.name}")
        self._bar(progress)

    def __enter__(self) -> _Bars:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.__exit__()
