"""`eadnet emotion`: how words are read."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import BadInput
from .arguments import check_output, command, emotion_line, read_lines, write_json


def add_emotion(commands: Any) -> None:
    """`eadnet emotion`."""
    parser = command(commands, "emotion", "Show how emotion words are read.", _emotion)
    parser.add_argument("text", nargs="?", help="the words")
    parser.add_argument("--file", type=Path, help="a text file with one prompt per line")
    parser.add_argument("--json", type=Path, help="write the list here, in the order of the file")
    parser.add_argument("--model", default="mini", help="mini, or the folder of your own model (default: mini)")


def _emotion(args: argparse.Namespace) -> None:
    from ..pipeline import read_emotions

    if (args.text is None) == (args.file is None):
        raise BadInput("Give either one text or --file with one prompt per line.")
    check_output(args.json, ".json")
    texts = [args.text] if args.file is None else read_lines(args.file)
    readings = read_emotions(texts, args.model)
    if args.json:
        write_json(args.json, readings)
    for reading in readings:
        print(emotion_line(reading))
