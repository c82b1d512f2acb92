"""`eadnet info`: the weight files of a model."""

from __future__ import annotations

import argparse
from typing import Any

from .arguments import command


def add_info(commands: Any) -> None:
    """`eadnet info`."""
    parser = command(commands, "info", "Show the weight files of a model.", _info)
    parser.add_argument("model", nargs="?", default="mini", help="mini, or a folder (default: mini)")


def _info(args: argparse.Namespace) -> None:
    from ..weights.folders import info

    total = 0
    for part in info(args.model):
        total += part.size_bytes
        size = f"{part.size_bytes / 1e6:.1f} MB, {part.n_weights / 1e6:.2f} M weights ({', '.join(part.dtypes)})"
        print(f"{part.part:16s} {size}  {part.path}")
        for name, value in sorted(part.metadata.get("scores", {}).items()):
            print(f"  {name}: {value:.4g}" if isinstance(value, float) else f"  {name}: {value}")
    print(f"{'in all':16s} {total / 1e6:.1f} MB")
