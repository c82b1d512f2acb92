"""`eadnet generate` and `eadnet dub`: a portrait that speaks, a video with another voice."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import ATTENTION_BACKENDS, FPS
from ..errors import BadInput
from ..request import OPTIONS, GenerateOptions
from .arguments import Bar, add_model, add_option, check_output, command, emotion_line, write_json
from .emotion import add_words, reference_of, words_of
from .motion import add_performance, performance_of
from .speakers import add_speakers, speakers_of
from .style import add_style_file, style_from
from .tts import add_say, check_say, sound_of

if TYPE_CHECKING:
    from ..generation.speakers import Speaker

NUMBERS = (
    "seed",
    "steps",
    "guidance_audio",
    "guidance_emotion",
    "sync_guidance",
    "lips",
    "emotion_scale",
    "prosody_weight",
    "face_index",
    "face_threshold",
    "reuse",
    "lip_corners",
    "stda_strength",
    "tfrm_strength",
    "identity_strength",
    "style_strength",
    "style_vividness",
    "segment_frames",
    "batch_windows",
)
MOVING = ("head", "blink", "gaze")
"""What a portrait moves of itself, and a video does not."""
MOUTH = ("mouth_by", "mask_edge")
"""Who makes it where a base is given words."""
WAYS = (
    "background",
    "windows",
    "hearing",
    "speed",
    "times",
    "face_box",
    "accept_any_face",
    "has_speech_gate",
    "is_tiled",
    *MOUTH,
)
DUBBING = ("mask", "on_missing", "length")
GENERATE, DUB = (*NUMBERS, *MOVING, *WAYS), (*NUMBERS, *WAYS, *DUBBING)
"""The options of each command, in the order of its help."""
DTYPES = ("auto", "float32", "bfloat16", "float16")


def add_generate(commands: Any) -> None:
    """`eadnet generate`."""
    parser = command(commands, "generate", "Make a video of a portrait that speaks.", _generate)
    parser.add_argument("--portrait", required=True, type=Path, help="picture of a face")
    _add_run(parser, GENERATE, "auto")


def add_dub(commands: Any) -> None:
    """`eadnet dub`."""
    parser = command(commands, "dub", "Make the face in a video speak with another voice.", _dub)
    parser.add_argument("--video", required=True, type=Path, help="video of a face; brought to 25 frames per second")
    group = _add_run(parser, (*NUMBERS, *WAYS), "", is_video=True)
    for name in DUBBING:
        add_option(group, name)


def _add_run(parser: Any, options: tuple[str, ...], emotion: str, is_video: bool = False) -> Any:
    """What both commands take; returns the group of settings."""
    text = "speech: any sound or video file; of several --speaker it holds all voices"
    parser.add_argument("--audio", type=Path, help=text)
    add_say(parser)
    add_speakers(parser)
    add_words(parser, emotion)
    add_performance(parser, is_video)
    add_style_file(parser)
    parser.add_argument("--output", required=True, type=Path, help="video to write, .mp4")
    parser.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    parser.add_argument("--report", type=Path, help="also score the video and draw this picture (.png)")
    parser.add_argument("--json", type=Path, help="also write settings, timings and how the words were read")
    add_model(parser)
    group = parser.add_argument_group("long clips", "Segments lie in OUTPUT.eadnet until the video is whole.")
    group.add_argument("--resume", action="store_true", help="go on where an earlier run was stopped")
    group.add_argument("--keep-segments", action="store_true", help="leave the segments there, for --redo")
    group.add_argument("--redo", type=int, metavar="N", help="make segment N (from 0) anew with another --seed")
    group.add_argument("--dry-run", action="store_true", help="check everything, show the forecast, and stop")
    group = parser.add_argument_group("settings")
    for name in options:
        add_option(group, name)
    add_nets(group)
    return group


def add_nets(group: Any) -> None:
    """--dtype and --attention."""
    text = "what the nets compute in: auto is bfloat16 for the mini on a CPU with AMX, float32 elsewhere; on a GPU the "
    text += "16-bit ones are faster and take half the memory (default: auto)"
    group.add_argument("--dtype", choices=DTYPES, default=DTYPES[0], help=text)
    text = "kernels of the attention: torch's own, the package xformers, or plain (default: the model's own, sdpa)"
    group.add_argument("--attention", choices=ATTENTION_BACKENDS, help=text)


def _generate(args: argparse.Namespace) -> None:
    _run(args, args.portrait)


def _dub(args: argparse.Namespace) -> None:
    from ..media.video.files import read_video

    _run(args, read_video(args.video, FPS))


def _forecast(generation: Any, args: argparse.Namespace) -> None:
    """Say what it will take and what to lower; a disk that is too small is refused before anything is written."""
    import shutil

    from ..machine import free_memory_bytes

    expected = generation.forecast()
    print(f"forecast: {expected}")
    free = free_memory_bytes()
    lack = None if free is None else expected.lacking_memory(free, generation.options)
    if lack:
        print(f"forecast: {lack}")
        generation.report.notes.append(lack)
    lack = expected.lacking_disk(shutil.disk_usage(args.output.absolute().parent).free)
    if lack:
        raise BadInput(lack)


def load(args: argparse.Namespace) -> Any:
    """The model that the arguments name."""
    from ..families.load import load_model

    return load_model(args.model, args.device, args.dtype, args.attention)


def _conversation(
    portrait: Any, speakers: list[Speaker], args: argparse.Namespace, options: GenerateOptions, more: dict[str, Any]
) -> Any:
    """A clip of several faces, ready to run."""
    from ..generation.conversation import ConversationOptions, prepare_conversation

    if any(given is not None for given in (reference_of(args), performance_of(args), args.style)):
        raise BadInput(
            "--emotion-from, --performance and --style are of one face, and there are speakers. Leave them out; a "
            "style stands in the line of its --speaker, as style=FILE."
        )
    together = ConversationOptions(args.shorter, args.look)
    return prepare_conversation(portrait, speakers, args.audio, words_of(args), options, together, **more)


def _print_words(report: Any) -> None:
    """How the words of every face were read."""
    names = getattr(report, "names", ())
    for name, own in zip(names, getattr(report, "speakers", ()), strict=True):
        for reading in own.emotions:
            print(f"emotion of '{name}': {emotion_line(reading)}")
    for reading in [] if names else report.emotions:
        print(f"emotion: {emotion_line(reading)}")


def _check_inputs_stay(args: argparse.Namespace) -> None:
    """Refuse a report that would replace a file that is read: a track may have been made by hand."""
    read = {name: value for name, value in vars(args).items() if isinstance(value, Path)}
    for own in ("json", "report"):
        path = read.pop(own, None)
        if path is None:
            continue
        for name, other in read.items():
            if other.resolve() == path.resolve():
                option = name.replace("_", "-")
                raise BadInput(f"--{own} would replace '{path}', which is also --{option}. Give another name.")


def _run(args: argparse.Namespace, portrait: Any) -> None:
    from ..generation.output import write_video
    from ..generation.pipeline import prepare
    from ..metrics.report import Scores

    options = GenerateOptions(**{name: value for name, value in vars(args).items() if name in OPTIONS})
    check_say(args)
    speakers = speakers_of(args)
    if args.audio is None and args.say is None and not speakers:
        raise BadInput("There is no voice. Give --audio FILE, --say TEXT, or --speaker with a voice for each face.")
    check_output(args.report, ".png")
    check_output(args.json, ".json")
    _check_inputs_stay(args)
    is_open = args.resume or args.redo is not None
    target = {"output": args.output, "overwrite": args.overwrite, "resume": is_open}
    with Bar("search", "frame") as bar:
        more: dict[str, Any] = {"model": partial(load, args), "on_search": bar.count, **target}
        if speakers:
            generation: Any = _conversation(portrait, speakers, args, options, more)
        else:
            more |= {"reference": reference_of(args), "performance": performance_of(args), "style": style_from(args)}
            generation = prepare(portrait, sound_of(args), words_of(args), options, **more)
    _print_words(generation.report)
    _forecast(generation, args)
    if args.dry_run:
        return
    keep = {"resume": args.resume, "keep_segments": args.keep_segments, "redo": args.redo, "report": args.report}
    with Bar("generate") as bar:
        scores = write_video(generation, args.output, overwrite=args.overwrite, on_progress=bar, **keep)
    report = generation.report
    if args.json:
        found = {name: own.to_json() for name, own in scores.items()} if isinstance(scores, dict) else scores
        found = found.to_json() if isinstance(found, Scores) else found
        write_json(args.json, {**report.to_dict(), **({"scores": found} if found else {})})
    print(f"{args.output}: {report.n_frames} frames, {report.seconds_per_second:.2f} s per second of video")
