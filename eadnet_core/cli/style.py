"""`eadnet style`: how somebody speaks, read off clips, mixed, and written for --style of generate and dub."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from .arguments import Bar, add_option, command

if TYPE_CHECKING:
    from ..motion.style import Style


def add_style(commands: Any) -> None:
    """`eadnet style`."""
    text = "Read how somebody speaks off clips, or mix styles, for --style of generate and dub."
    parser = command(commands, "style", text, _style)
    text = "videos of somebody who speaks, and styles that were written before; more than one are mixed"
    parser.add_argument("sources", nargs="+", type=Path, metavar="FILE", help=text)
    parser.add_argument("--output", required=True, type=Path, help="file to write, .json or .safetensors")
    parser.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    text = "how much each counts, in their order (default: all alike)"
    parser.add_argument("--weights", type=_numbers, metavar="X,...", help=text)
    parser.add_argument("--model", default="mini", help="mini, or the folder of your own model (default: mini)")
    for name in ("face_box", "face_index", "face_threshold", "accept_any_face"):
        add_option(parser, name)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not numbers, such as 0.7,0.3") from None


def _style(args: argparse.Namespace) -> None:
    from ..motion.style import mixed
    from ..motion.style_file import check_style_output, write_style
    from ..paths import shown
    from ..taxonomy import TRAITS

    check_style_output(args.output, args.overwrite)
    if args.weights is not None and len(args.weights) != len(args.sources):
        raise BadInput(f"There are {len(args.weights)} weights for {len(args.sources)} files; give one for each.")
    styles = [_read(path, args) for path in args.sources]
    style = styles[0] if len(styles) == 1 else mixed(styles, args.weights)
    write_style(args.output, style, args.overwrite)
    for name, mean, sd in zip(TRAITS, style.mean, style.sd, strict=True):
        print(f"{name:9} {mean:+.2f} ± {sd:.2f}")
    print(f"{args.output}: style of {shown(style.source) or 'nobody named'}")


def _read(path: Path, args: argparse.Namespace) -> Style:
    from ..motion.style_file import is_style_file, read_style_file
    from ..perception.driving import Where
    from ..perception.style import read_style
    from ..weights.experts import load_reference_reader, load_style_reader

    if is_style_file(path):
        return read_style_file(path)
    where = Where(args.face_box, args.face_index, args.face_threshold, args.accept_any_face)
    with Bar("read", "frame") as bar:
        encoder, reader = load_style_reader(args.model), load_reference_reader(args.model)
        style, notes = read_style(path, encoder, reader, where, partial(bar.count, total=0))
    for note in notes:
        print(f"note: {note}")
    return style


def add_style_file(parser: Any) -> None:
    """--style."""
    text = "how somebody speaks: a style that `eadnet style` wrote (default: nobody in particular)"
    parser.add_argument("--style", type=Path, metavar="FILE", help=text)


def style_from(args: argparse.Namespace) -> Style | None:
    """What `add_style_file` was given. Raises BadInput."""
    if args.style is None:
        return None
    from ..motion.style_file import read_style_file

    return read_style_file(args.style)
