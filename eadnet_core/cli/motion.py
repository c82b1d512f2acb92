"""`eadnet motion`: head, gaze and blinks read off a clip; and the flags with which they drive a video."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import PERFORMANCE_LENGTHS
from ..errors import BadInput
from .arguments import Bar, add_option, command
from .emotion import span

if TYPE_CHECKING:
    from ..motion.driving import Driving, DrivingOptions

FLAGS = ("strength", "scale", "take", "length", "smoothing_s")
"""The fields of `motion.driving.DrivingOptions` that have a flag."""


def add_motion(commands: Any) -> None:
    """`eadnet motion`."""
    text = "Read head pose, gaze and blinks off a clip, for --performance of generate and dub."
    parser = command(commands, "motion", text, _motion)
    parser.add_argument("clip", type=Path, help="video of a face")
    parser.add_argument("--output", required=True, type=Path, help="file to write, .json or .safetensors")
    parser.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    parser.add_argument("--expression", action="store_true", help="read the emotion of the face over time, too")
    parser.add_argument("--span", type=span, metavar="START,END", help="seconds of the clip (default: all of it)")
    parser.add_argument("--model", default="mini", help="mini, or the folder of your own model (default: mini)")
    for name in ("face_box", "face_index", "face_threshold", "accept_any_face"):
        add_option(parser, name)


def _motion(args: argparse.Namespace) -> None:
    from ..motion.record_file import check_motion_output, write_motion
    from ..perception.driving import Where, read_clip
    from ..weights.experts import load_reference_reader

    check_motion_output(args.output, args.overwrite)
    where = Where(args.face_box, args.face_index, args.face_threshold, args.accept_any_face)
    with Bar("read", "frame") as bar:
        reader = load_reference_reader(args.model)
        look = partial(bar.count, total=0)
        motion = read_clip(args.clip, reader, args.expression, args.span or (0.0, None), where, look)
    write_motion(args.output, motion, args.overwrite)
    for note in motion.notes:
        print(f"note: {note}")
    print(f"{args.output}: {motion.summary()}")


def add_performance(parser: Any, is_video: bool) -> None:
    """--performance and what is made of it; in a video it gives the expression alone."""
    what = "Its expression over time is taken." if is_video else "How somebody moves in a clip moves the portrait."
    group = parser.add_argument_group("performance of another face", f"{what} Its looks are not.")
    text = "clip of a face, or the motion that `eadnet motion` read of one (.json, .safetensors)"
    group.add_argument("--performance", type=Path, metavar="FILE", help=text)
    text = "share beside the generated motion, 0 that alone, 1 the performance alone (default: 1)"
    group.add_argument("--performance-strength", type=float, metavar="X", help=text)
    text = "where it is shorter than the voice: hold its last pose, loop, or bounce to and fro (default: hold)"
    group.add_argument("--performance-length", choices=PERFORMANCE_LENGTHS, help=text)
    if not is_video:
        text = "amplitude of its head and gaze, 0 none, 1 as it is, up to 2 (default: 1)"
        group.add_argument("--performance-scale", type=float, metavar="X", help=text)
        text = "seconds to each side over which its head is averaged, 0 .. 1 (default: 0.08)"
        group.add_argument(
            "--performance-smoothing", dest="performance_smoothing_s", type=float, metavar="S", help=text
        )
        text = "what is taken of it: some of head, gaze, blinks, expression (default: head,gaze,blinks)"
        group.add_argument("--performance-take", type=_parts, metavar="PART,...", help=text)
    parser.set_defaults(is_video=is_video)


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


def performance_of(args: argparse.Namespace) -> Callable[[], Driving] | None:
    """What `add_performance` was given, read when it is called; None where nothing was. Raises BadInput."""
    given = {name: getattr(args, f"performance_{name}", None) for name in FLAGS}
    used = {name: value for name, value in given.items() if value is not None}
    if args.performance is None:
        if used:
            flags = ", ".join(f"--performance-{name.removesuffix('_s')}" for name in used)
            raise BadInput(f"{flags} belongs to a --performance FILE.")
        return None
    from ..motion.driving import DrivingOptions

    if args.is_video:
        used["take"] = ("expression",)
    return partial(_read, args, DrivingOptions(**used))


def _read(args: argparse.Namespace, options: DrivingOptions) -> Driving:
    from ..motion.driving import Driving
    from ..perception.driving import performance_of as read
    from ..weights.experts import load_reference_reader

    with Bar("performance", "frame") as bar:
        reader = partial(load_reference_reader, args.model)
        motion = read(args.performance, reader, "expression" in options.take, partial(bar.count, total=0))
    return Driving(motion, options)
