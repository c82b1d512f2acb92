"""The command line, `eadnet COMMAND`: videos made, dubbed, masked and scored, words read, clips captioned, scripts.

Argument parsing only, a file for each subject; every command imports what it needs when it runs. Exit status: 0 done,
2 bad input (one line on stderr that says what to do), 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from ..errors import EADNetError
from ..paths import is_disk_full, shown
from .batch import add_batch
from .curate import add_curate
from .data import add_data
from .emotion import add_caption, add_direct, add_emotion
from .fit import add_fit
from .generate import add_dub, add_generate
from .info import add_info
from .live import add_live
from .mask import add_mask
from .motion import add_motion
from .score import add_evaluate, add_score
from .style import add_style
from .train import add_corpus, add_train
from .weights import add_convert, add_download

EXTRAS = {"aiohttp": "live", "cv2": "curate", "pyarrow": "curate", "scenedetect": "curate", "ray": "cluster"}
"""The extra that brings a package; `train` brings all others."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = build_parser()
    args = parser.parse_args(arguments)
    _set_up_log(args.debug)
    try:
        args.run(args)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    except EADNetError as error:
        if args.debug:
            raise
        print(f"eadnet: {' '.join(str(error).splitlines())}", file=sys.stderr)  # a file's name may hold line breaks
        return 2
    except ModuleNotFoundError as error:
        if args.debug or error.name is None or error.name.startswith("eadnet_core"):
            raise
        extra = EXTRAS.get(error.name.partition(".")[0], "train")
        print(f"eadnet: this command needs the package '{error.name}': pip install 'eadnet[{extra}]'.", file=sys.stderr)
        return 2
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except Exception as error:
        if args.debug or not (isinstance(error, OSError) or is_disk_full(error)):
            raise
        print(f"eadnet: {_said(error)}", file=sys.stderr)
        return 2
    return 0


def _said(error: Exception) -> str:
    """One line about a file that the system refused, where nothing below has said it better."""
    name, reason = getattr(error, "filename", None), getattr(error, "strerror", None) or error
    where = f"'{shown(os.fsdecode(name))}': " if isinstance(name, (str, bytes)) else ""
    what = (
        "The disk is full. Free some space, then run again" if is_disk_full(error) else "Check path, permissions, disk"
    )
    return f"{where}{reason}. {what}; --debug shows more."


class _AboveBars(logging.StreamHandler):  # type: ignore[type-arg]  # has no argument before Python 3.11
    """Writes lines of their own where a progress bar is shown, which begins anew below them."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        if (shown := sys.modules.get("tqdm")) is None:
            super().emit(record)
            return
        with shown.tqdm.external_write_mode(self.stream):
            super().emit(record)


def _set_up_log(is_debug: bool) -> None:
    """What this package logs goes to stderr; other packages keep their own ways."""
    logger = logging.getLogger(__name__.rpartition(".")[0])
    logger.handlers = [_AboveBars(sys.stderr)]
    logger.setLevel(logging.DEBUG if is_debug else logging.INFO)


def build_parser() -> argparse.ArgumentParser:
    """The parser of every command."""
    parser = argparse.ArgumentParser(prog="eadnet", description="Emotional talking heads from a portrait and a voice.")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (
        add_generate,
        add_dub,
        add_batch,
        add_live,
        add_fit,
        add_mask,
        add_motion,
        add_style,
        add_score,
        add_emotion,
        add_caption,
        add_direct,
        add_evaluate,
        add_corpus,
        add_curate,
        add_data,
        add_train,
        add_download,
        add_convert,
        add_info,
    ):
        add(commands)
    return parser
