"""--speaker and --speakers: several faces, each with its own voice and words."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from ..request import SHORTER_VOICES

if TYPE_CHECKING:
    from ..generation.speakers import Speaker


def add_speakers(parser: Any) -> None:
    """The flags of a clip of several faces."""
    what = "Each has its own voice, a channel of --audio, or its turns in --emotion-track (docs/speakers.md)."
    group = parser.add_argument_group("several faces", what)
    text = "a face and what it says, once for each, e.g. \"face=left voice=anna.wav words='glad at last'\""
    group.add_argument("--speaker", action="append", default=[], metavar="WHO", help=text)
    text = "the same as a table with a row for each face (.csv, .tsv, .jsonl)"
    group.add_argument("--speakers", type=Path, metavar="FILE", help=text)
    text = "where one voice is shorter: its face listens, holds its last pose or moves to and fro; the voice loops; "
    text += "or the clip is cut "
    group.add_argument("--shorter", choices=SHORTER_VOICES, default=SHORTER_VOICES[0], help=f"{text}(default: silence)")
    text = "how far who listens turns to who speaks, 0 .. 1, in a portrait (default: 1)"
    group.add_argument("--look", type=float, default=1.0, metavar="X", help=text)


def speakers_of(args: argparse.Namespace) -> list[Speaker]:
    """Who speaks; nobody where no speaker was given. Raises BadInput."""
    from ..generation.speakers import parse_speakers, read_speakers

    if args.speaker and args.speakers:
        raise BadInput("Give either --speaker for each face, or --speakers with a table of all, not both.")
    if not args.speaker and not args.speakers:
        if args.shorter != SHORTER_VOICES[0] or args.look != 1.0:
            raise BadInput("--shorter and --look are of clips of several faces: give --speaker for each.")
        return []
    return read_speakers(args.speakers) if args.speakers else parse_speakers(args.speaker)
