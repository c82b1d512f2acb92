"""`eadnet live`: a portrait that speaks while the sound comes in, on a page or between two pipes."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from ..request import OPTIONS, GenerateOptions
from .arguments import add_model, add_option, command
from .generate import add_nets, load
from .style import add_style_file, style_from
from .tts import add_tts, tts_of

if TYPE_CHECKING:
    from ..live.portrait import LivePortrait
    from ..live.session import LiveSession
    from ..media.tts.voices import Tts

LIVE: tuple[str, ...] = (
    "seed",
    "steps",
    "guidance_audio",
    "guidance_emotion",
    "lips",
    "emotion_scale",
    "head",
    "blink",
    "gaze",
    "style_strength",
    "style_vividness",
)
LIVE += ("face_box", "face_index", "face_threshold", "accept_any_face", "has_speech_gate")
"""The options of a clip that a session without an end can follow."""
SOUNDS, PICTURES = ("pcm",), ("mp4", "rgb")

logger = logging.getLogger(__name__)


def add_live(commands: Any) -> None:
    """`eadnet live`."""
    parser = command(commands, "live", "Let a portrait speak while the sound comes in.", _live)
    parser.add_argument("--portrait", required=True, type=Path, help="picture of a face")
    words = parser.add_mutually_exclusive_group()
    words.add_argument("--emotion", default="", help="in your own words (default: neutral)")
    text = "a text file with the words, read again whenever it changes"
    words.add_argument("--emotion-file", type=Path, metavar="FILE", help=text)
    pipes = parser.add_argument_group("pipes", "Sound in, pictures out, chunk by chunk.")
    pipes.add_argument("--stdin", choices=SOUNDS, help="pcm: 16-bit little-endian mono samples at 16 kHz")
    text = "mp4: fragmented MP4 with sound; rgb: bare pictures, 3 bytes a pixel, 25 a second"
    pipes.add_argument("--stdout", choices=PICTURES, help=text)
    page = parser.add_argument_group(
        "page", "Without pipes: a page for this machine alone, at the address that is shown."
    )
    page.add_argument("--port", type=int, default=8765, metavar="N", help="0 takes one that is free (default: 8765)")
    page.add_argument("--sessions", type=int, default=1, metavar="N", help="pages that may talk at once (default: 1)")
    text = "end by itself when no page has been there for so many minutes"
    page.add_argument("--stop-when-idle", type=float, metavar="MINUTES", help=text)
    add_tts(page)
    add_model(parser)
    add_timing(parser.add_argument_group("delay and cost"))
    group = parser.add_argument_group("settings")
    for name in LIVE:
        add_option(group, name)
    add_style_file(group)
    add_nets(group)


def add_timing(group: Any) -> None:
    """--chunk-frames, --ahead-frames, --picture-px."""
    text = "frames made together: fewer come sooner and cost more (default: 5)"
    group.add_argument("--chunk-frames", type=int, default=5, metavar="N", help=text)
    text = "frames of sound waited for beyond a chunk: fewer come sooner, lips guess more (default: 3)"
    group.add_argument("--ahead-frames", type=int, default=3, metavar="N", help=text)
    text = "longest side of the picture: time grows with its pixels (default: 512)"
    group.add_argument("--picture-px", type=int, default=512, metavar="N", help=text)


def options_of(args: argparse.Namespace) -> GenerateOptions:
    """The options that the arguments name."""
    return GenerateOptions(**{name: value for name, value in vars(args).items() if name in OPTIONS})


def _portrait(args: argparse.Namespace) -> LivePortrait:
    from ..live.portrait import LivePortrait

    style = style_from(args)
    return LivePortrait(load(args), args.portrait, options_of(args), args.picture_px, style)


def _live(args: argparse.Namespace) -> None:
    if args.stdin is None and args.stdout is None:
        _on_a_page(args)
    elif args.stdin is None or args.stdout is None:
        raise BadInput("A pipe needs both ends: give --stdin pcm and --stdout mp4 or rgb, or neither for the page.")
    else:
        _between_pipes(args)


def _on_a_page(args: argparse.Namespace) -> None:
    import asyncio

    import aiohttp  # noqa: F401  missed before a model is loaded

    from ..live.server import LivePage, serve_until_told

    if args.emotion_file is not None:
        raise BadInput("--emotion-file is for pipes; the page has a box for the words.")
    has_limit = args.stop_when_idle is None or args.stop_when_idle > 0
    if not (1 <= args.sessions <= 16 and 0 <= args.port <= 65535 and has_limit):
        raise BadInput("Give --sessions 1 .. 16, --port 0 .. 65535 and --stop-when-idle above 0.")
    tts = _tts(args)
    portrait = _portrait(args)
    timing = (args.chunk_frames, args.ahead_frames)
    page = LivePage(portrait, args.emotion, *timing, tts, args.sessions, args.stop_when_idle)
    asyncio.run(serve_until_told(page, args.port, _say_address))


def _tts(args: argparse.Namespace) -> Tts | str:
    """Who speaks texts; where nobody was named and espeak-ng is not there, why nobody can."""
    try:
        return tts_of(args)
    except BadInput as error:
        if args.say_endpoint or args.say_voice:
            raise
        logger.info("texts are not spoken: %s", error)
        return str(error)


def _say_address(address: str) -> None:
    print(f"live: open {address} in a browser on this machine; Ctrl-C ends it", flush=True)


def _between_pipes(args: argparse.Namespace) -> None:
    from ..live.session import LiveSession
    from ..live.streams import WordsFile

    if sys.stdout.isatty() or sys.stdin.isatty():
        raise BadInput("Sound and pictures do not go through a terminal: connect both ends, as docs/live.md shows.")
    if args.say_endpoint or args.say_voice:
        raise BadInput("--say-endpoint and --say-voice are for the page; between pipes the sound comes in by --stdin.")
    words = WordsFile(args.emotion_file) if args.emotion_file else None
    portrait = _portrait(args)
    session = LiveSession(portrait, words.text if words else args.emotion, args.chunk_frames, args.ahead_frames)
    height, width = portrait.picture.shape[:2]
    logger.info("%d x %d pixels, 25 frames a second, %.2f s behind the sound", width, height, session.delay_s)
    n_frames = _pour(session, args.stdout, words)
    logger.info("%d frames", n_frames)


def _pour(session: LiveSession, kind: str, words: Any) -> int:
    """Standard input to standard output; returns the number of frames."""
    from ..live.session import LiveChunk
    from ..live.streams import read_pcm, speak
    from ..media.video.fragments import FragmentWriter

    out, portrait = sys.stdout.buffer, session.portrait
    height, width = portrait.picture.shape[:2]
    settings = {"model": portrait.model.name, "live": True}
    writer = FragmentWriter(out, (width, height), settings) if kind == "mp4" else None

    def show(chunk: LiveChunk) -> None:
        pictures = portrait.whole(chunk.parts)
        if writer is None:
            out.write(pictures.tobytes())
        else:
            writer.write(pictures, chunk.sound)
        out.flush()

    n_frames = speak(session, read_pcm(sys.stdin.fileno()), show, words)
    if writer is not None:
        writer.close()
    out.flush()
    return n_frames
