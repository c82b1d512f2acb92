"""What several commands share: arguments, progress bars, and files that are checked before any work is done."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import BadInput
from ..option import Option
from ..paths import check_path, writing
from ..request import OPTIONS, Box, Progress


def command(commands: Any, name: str, help_text: str, run: Callable[[argparse.Namespace], None]) -> Any:
    """The parser of a new command."""
    parser = commands.add_parser(name, help=help_text, description=help_text)
    parser.add_argument(
        "--debug", action="store_true", default=argparse.SUPPRESS, help="show the traceback of an error"
    )
    parser.set_defaults(run=run)
    return parser


def add_model(parser: Any) -> None:
    """--model and --device."""
    parser.add_argument("--model", default="mini", help="mini, or the folder of your own model (default: mini)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")


def box(text: str) -> Box:
    """A face box typed as X0,Y0,X1,Y1."""
    try:
        x0, y0, x1, y1 = (float(v) for v in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not four numbers X0,Y0,X1,Y1 in pixels") from None
    return x0, y0, x1, y1


def flag_of(option: Option) -> str:
    """How an option is called on the command line; a switch that is on has the flag that turns it off.

    >>> [flag_of(OPTIONS[name]) for name in ("face_box", "is_tiled", "has_speech_gate")]
    ['--face-box', '--tiled', '--no-speech-gate']
    """
    name = option.name.removeprefix("is_").removeprefix("has_").replace("_", "-")
    return f"--no-{name}" if option.default is True else f"--{name}"


def add_option(parser: Any, name: str) -> None:
    """The flag of an option, as `request.OPTIONS` describes it."""
    option = OPTIONS[name]
    kind: dict[str, Any] = {"type": float, "metavar": "X"}
    if isinstance(option.default, bool):
        kind = {"action": "store_false" if option.default else "store_true"}
    elif option.choices:
        kind = {"choices": option.choices}
    elif option.within is None:
        kind = {"type": box, "metavar": "X0,Y0,X1,Y1"}
    elif option.is_whole:
        kind = {"type": int, "metavar": "N"}
    parser.add_argument(flag_of(option), dest=name, default=option.default, help=option.line + _default(option), **kind)


def _default(option: Option) -> str:
    """The default, for the help; none of a switch, or of what is found where it is not given."""
    if option.is_own:
        return f" (default: the model's own, {' / '.join(option.own)}: {' / '.join(map(str, option.own.values()))})"
    if option.default is None or isinstance(option.default, bool):
        return ""
    return f" (default: {', '.join(filter(None, (str(option.default), option.default_means)))})"


class Bar:
    """A tqdm bar that follows Progress, or a count; it shows up with the first tick."""

    def __init__(self, name: str, unit: str = "step") -> None:
        self._name, self._unit = name, unit
        self._bar: Any = None

    def __call__(self, progress: Progress) -> None:
        self.count(progress.done, progress.total)

    def count(self, done: int, total: int) -> None:
        """Show that `done` of `total` are done; 0 in all means that nobody knows."""
        from tqdm import tqdm

        if self._bar is None:
            shown = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}" if total else None
            self._bar = tqdm(desc=self._name, unit=self._unit, total=total or None, initial=done, bar_format=shown)
        self._bar.update(done - self._bar.n)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


def read_lines(path: Path) -> list[str]:
    """The lines of a text file."""
    from ..emotion.text_files import read_text

    return read_text(path, "Text file").splitlines()


def emotion_line(reading: dict[str, Any]) -> str:
    """How one text was read, for the terminal."""
    text = reading["text"] if len(reading["text"]) <= 80 else reading["text"][:77] + "..."
    note = f"\n  note: {reading['note']}" if "note" in reading else ""
    return (
        f"{reading['label']} (intensity {reading['intensity']:.2f}, valence {reading['valence']:+.2f}, "
        f"arousal {reading['arousal']:+.2f})  {text!r}{note}"
    )


def check_output(path: Path | None, suffix: str) -> None:
    """Refuse a report that could not be written before any work is done for it."""
    if path is None:
        return
    if path.suffix.lower() != suffix:
        raise BadInput(f"'{path}' must end in {suffix}.")
    check_path(path, "Output")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise BadInput(f"'{path}' cannot be written: its folder does not exist, or it is a folder itself.")


def write_json(path: Path, values: Any) -> None:
    """Write values as JSON."""
    with writing(path):
        path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def add_heads(parser: Any) -> None:
    """`--heads`: where the anatomy of the 3-D heads lies."""
    text = "folder of the anatomy that heads are drawn with (default: EADNET_HEADS, else that of eadnet download heads)"
    parser.add_argument("--heads", type=Path, metavar="FOLDER", help=text)
