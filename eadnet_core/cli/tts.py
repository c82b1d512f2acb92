"""Text to speech on the command line: who speaks a text."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import SAMPLE_RATE_HZ
from ..errors import BadInput

if TYPE_CHECKING:
    from ..media.sound.audio import Audio
    from ..media.tts.voices import Tts


def add_tts(group: Any) -> None:
    """--say-endpoint and --say-voice."""
    text = "who speaks: a speech endpoint, by its name in ~/.config/eadnet/endpoints.toml (default: espeak-ng)"
    group.add_argument("--say-endpoint", metavar="NAME", help=text)
    text = "its voice (default: en-us of espeak-ng; of an endpoint the one its entry names)"
    group.add_argument("--say-voice", default="", metavar="NAME", help=text)


def add_say(parser: Any) -> None:
    """--say, and who says it."""
    group = parser.add_argument_group("text to speech")
    group.add_argument("--say", metavar="TEXT", help="what is said, instead of --audio")
    add_tts(group)


def tts_of(args: argparse.Namespace) -> Tts:
    """Who speaks. Raises BadInput where nobody can."""
    from ..emotion.llm.endpoints import find_endpoint, owners_file
    from ..media.tts.voices import open_tts

    endpoint = find_endpoint(args.say_endpoint, owners_file()) if args.say_endpoint else None
    return open_tts(endpoint, args.say_voice)


def check_say(args: argparse.Namespace) -> None:
    """Refuse two voices, and a speaker without a text."""
    if args.say is None and (args.say_endpoint or args.say_voice):
        raise BadInput("--say-endpoint and --say-voice belong to --say TEXT.")
    if args.say is not None and (args.audio is not None or args.speaker or args.speakers):
        raise BadInput("Give either --say TEXT, or a voice by --audio, --speaker or --speakers.")


def sound_of(args: argparse.Namespace) -> Path | Audio:
    """What is heard: the file of --audio, or the speech of --say, with a note of who speaks."""
    if args.say is None:
        return args.audio
    from ..media.sound.audio import read_audio

    tts = tts_of(args)
    spoken = read_audio(tts.speak(args.say), SAMPLE_RATE_HZ)
    return replace(spoken, notes=(f"The speech is synthetic: {tts.name}.",))
