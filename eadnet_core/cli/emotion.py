"""`eadnet emotion | caption | direct`: how words are read, what clips show, and scripts as emotion tracks."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from ..paths import check_source
from .arguments import Bar, add_model, check_output, command, emotion_line, read_lines, write_json

if TYPE_CHECKING:
    from ..emotion.llm.endpoints import Endpoint
    from ..emotion.llm.options import ChatOptions
    from ..emotion.llm.providers import Opened
    from ..emotion.reference import Reference
    from ..emotion.script import Script
    from ..generation.pipeline import Words


def add_words(parser: Any, default: str) -> None:
    """What the face should feel: --emotion, which has a default, --emotion-track or --script."""
    words = parser.add_mutually_exclusive_group()
    text = f'in your own words, e.g. "quietly furious"; "auto" follows the voice (default: {default or "none"})'
    words.add_argument("--emotion", default=default, help=text)
    words.add_argument(
        "--emotion-track", type=Path, metavar="FILE", help="keyframes over time, as track.schema.json says"
    )
    words.add_argument("--script", type=Path, metavar="FILE", help="what is said, with [directions] in it")
    text = "the words with their times, for --script and numbers of words: .srt, .vtt or JSON"
    parser.add_argument("--transcript", type=Path, metavar="FILE", help=text)
    group = parser.add_argument_group("emotion of another face", "Its emotion is taken, not its looks.")
    _add_reference(group, "--emotion-from")
    text = (
        "share of that face beside the words, 0 the words alone, 1 the face alone (default: 1 without words, else 0.5)"
    )
    group.add_argument("--emotion-from-weight", type=float, metavar="X", help=text)
    parser.set_defaults(default_emotion=default)


def _add_reference(parser: Any, flag: str) -> None:
    """A photo or clip, what of it is looked at, and how vividly."""
    parser.add_argument(flag, type=Path, metavar="FILE", help="photo or clip of any face, for the emotion it shows")
    text = "seconds of the clip that are looked at (default: all of it)"
    parser.add_argument(f"{flag}-span", type=span, metavar="START,END", help=text)
    text = "strength of what is seen there, 0 neutral, 1 as it is, up to 2 (default: 1)"
    parser.add_argument("--vividness", type=float, default=1.0, metavar="X", help=text)


def span(text: str) -> tuple[float, float]:
    """Two times typed as START,END in seconds."""
    try:
        start_s, end_s = (float(v) for v in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not two times START,END in seconds") from None
    return start_s, end_s


def reference_of(args: argparse.Namespace) -> Reference | None:
    """The face that `add_words` was given, as `pipeline.prepare` takes it."""
    if args.emotion_from is None:
        given = args.emotion_from_span or args.vividness != 1.0 or args.emotion_from_weight is not None
        if given:
            raise BadInput(
                "--emotion-from-span, --emotion-from-weight and --vividness belong to an --emotion-from FILE."
            )
        return None
    has_words = args.script or args.emotion_track or args.emotion not in ("", args.default_emotion)
    weight = args.emotion_from_weight
    return _reference(args.emotion_from, args.emotion_from_span, args.vividness, has_words, weight)


def _reference(
    path: Path, span: tuple[float, float] | None, vividness: float, has_words: Any = False, weight: float | None = None
) -> Reference:
    from ..emotion.reference import Reference

    start_s, end_s = span or (0.0, None)
    share = weight if weight is not None else 0.5 if has_words else 1.0
    return Reference(str(path), start_s, end_s, share, vividness)


def words_of(args: argparse.Namespace) -> Words:
    """What `add_words` was given, as `pipeline.prepare` takes it."""
    from ..emotion.track_file import read_track
    from ..emotion.transcript import read_transcript

    for path, what in ((args.script, "Script"), (args.emotion_track, "Emotion track"), (args.transcript, "Transcript")):
        if path is not None:
            check_source(path, what)
    if args.script is not None:
        return read_script(args.script, args.transcript)
    if args.emotion_track is not None:
        return read_track(args.emotion_track, read_transcript(args.transcript) if args.transcript else ())
    if args.transcript is not None:
        raise BadInput("--transcript tells the times of a --script or --emotion-track: give one of them with it.")
    return args.emotion


def add_emotion(commands: Any) -> None:
    """`eadnet emotion`."""
    parser = command(commands, "emotion", "Show how emotion words, or the face in a photo or clip, are read.", _emotion)
    parser.add_argument("text", nargs="?", help="the words")
    parser.add_argument("--file", type=Path, help="a text file with one prompt per line")
    _add_reference(parser, "--from")
    parser.add_argument("--json", type=Path, help="write the list here, in the order of the file")
    parser.add_argument("--model", default="mini", help="mini, or the folder of your own model (default: mini)")


def _emotion(args: argparse.Namespace) -> None:
    from ..perception.words import read_emotions, read_reference

    face = getattr(args, "from")
    if sum(given is not None for given in (args.text, args.file, face)) != 1:
        raise BadInput("Give one text, --file with one prompt per line, or --from with a photo or clip of a face.")
    check_output(args.json, ".json")
    if face is not None:
        readings = [read_reference(_reference(face, args.from_span, args.vividness), args.model)]
    else:
        readings = read_emotions([args.text] if args.file is None else read_lines(args.file), args.model)
    if args.json:
        write_json(args.json, readings)
    for reading in readings:
        print(emotion_line(reading))


def add_caption(commands: Any) -> None:
    """`eadnet caption`."""
    text = "Describe the faces in a folder of clips, one JSON line for each; a run that was stopped goes on."
    parser = command(commands, "caption", text, _caption)
    parser.add_argument("folder", type=Path, help="folder of videos; MEAD's layout tells label and level")
    parser.add_argument("--output", required=True, type=Path, help="file to write or go on with (.jsonl)")
    parser.add_argument("--report", type=Path, help="write counts, errors and notes by clip here (.json)")
    parser.add_argument("--no-fall-back", action="store_true", help="record an error where the model gives no answer")
    text = "take a vision model's answer as it is, where it says the opposite of what the face reader measures too"
    parser.add_argument("--no-check", action="store_true", help=text)
    _add_provider(parser)


def _caption(args: argparse.Namespace) -> None:
    from ..emotion.caption import asked, rules
    from ..perception.caption_run import caption_folder
    from ..perception.clips import find_clips
    from ..perception.faces import measure_pictures, read_pictures
    from ..weights.device import find_device
    from ..weights.experts import load_reader, load_reference_reader

    check_output(args.output, ".jsonl")
    check_output(args.report, ".json")
    find_clips(args.folder)
    opened, options = _open(args)
    read = load_reader(args.model).codes
    reader = load_reference_reader(args.model, find_device(args.device))
    provider = rules(read, lambda pictures: read_pictures(pictures, reader))
    if opened is not None:
        see = None if opened.sees_pictures else lambda pictures: read_pictures(pictures, reader)
        measure = None if args.no_check else lambda pictures: measure_pictures(pictures, reader)
        fall_back = None if args.no_fall_back else provider
        provider = asked(opened.chat, opened.name, read, fall_back, options, see, measure)
    with Bar("caption", "clip") as bar:
        found = caption_folder(args.folder, args.output, provider, bar.count, asked=_asked(args, opened, options))
    if args.report:
        write_json(args.report, found.to_json())
    kept = f", {found.n_kept} of them from before" if found.n_kept else ""
    failed = f", {len(found.errors)} failed (see their 'error'; another run tries them again)" if found.errors else ""
    noted = f", {len(found.notes)} with notes" if found.notes else ""
    print(f"{args.output}: {found.n_made + found.n_kept} clips have a caption{kept}{failed}{noted}")


def _asked(args: argparse.Namespace, opened: Opened | None, options: ChatOptions) -> str:
    """All that a caption depends on besides its clip."""
    from ..emotion.caption import SYSTEM

    who = ["rules", args.model] if opened is None else [args.provider, opened.name, SYSTEM, not args.no_check]
    how = [] if opened is None else [options.max_tokens, options.temperature, options.seed]
    return json.dumps([*who, *how])


def add_direct(commands: Any) -> None:
    """`eadnet direct`."""
    text = "Turn a script into an emotion track: when the face changes while it is spoken, and to what."
    parser = command(commands, "direct", text, _direct)
    parser.add_argument("script", type=Path, help="text file; [directions] in it are followed")
    parser.add_argument("--audio", required=True, type=Path, help="the speech")
    parser.add_argument("--transcript", type=Path, help="its words with their times: .srt, .vtt, or JSON")
    parser.add_argument("--output", required=True, type=Path, help="emotion track to write (.json)")
    parser.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    _add_provider(parser)


def _direct(args: argparse.Namespace) -> None:
    from ..emotion.director import by_model, by_rule
    from ..media.sound.audio import read_audio
    from ..media.sound.speech import hear
    from ..weights.experts import load_reader

    check_output(args.output, ".json")
    if os.path.lexists(args.output) and not args.overwrite:
        raise BadInput(f"'{args.output}' exists already, perhaps changed by hand. Give another name, or --overwrite.")
    check_source(args.script, "Script")
    if args.transcript is not None:
        check_source(args.transcript, "Transcript")
    script = read_script(args.script, args.transcript)
    voice = hear(read_audio(args.audio)).voice
    opened, options = _open(args)
    direct = by_rule(load_reader(args.model).codes)
    if opened is not None:
        direct = by_model(opened.chat, opened.name, direct, options)
    done = direct(script, voice)
    write_json(args.output, {"version": 1, "keyframes": json.loads(done.track.to_json())})
    for note in done.notes:
        print(f"note: {note}")
    for keyframe in done.track.keyframes:
        strength = "" if keyframe.intensity is None else f" ({keyframe.intensity:.2f})"
        print(f"{keyframe.time_s:7.2f} s  {keyframe.text or 'neutral'}{strength}")
    print(f"{args.output}: {len(done.track.keyframes)} keyframes by {done.provider}")


def read_script(path: Path, transcript: Path | None) -> Script:
    """The script in a text file, and the times of its words where a transcript tells them."""
    from ..emotion.script import parse_script
    from ..emotion.transcript import read_transcript

    return parse_script("\n".join(read_lines(path)), () if transcript is None else read_transcript(transcript))


def _add_provider(parser: Any) -> None:
    """Who describes: --provider and what goes with it."""
    from ..emotion.llm.options import PROVIDERS, ChatOptions

    add_model(parser)
    group = parser.add_argument_group("provider")
    group.add_argument("--provider", choices=PROVIDERS, default=PROVIDERS[0], help="who describes (default: rules)")
    group.add_argument("--llm", type=Path, metavar="FOLDER", help="model of local_text and local_vision")
    text = "endpoint of openai, by its name in ~/.config/eadnet/endpoints.toml (default: ollama, on this machine)"
    group.add_argument("--endpoint", metavar="NAME", help=text)
    text = "an endpoint that is in no file, e.g. http://127.0.0.1:8000/v1"
    group.add_argument("--url", metavar="ADDRESS", help=text)
    text = "environment variable that holds the key for --url (default: no key is sent)"
    group.add_argument("--key-from", metavar="VARIABLE", help=text)
    text = "model at the endpoint (default: the one its entry names)"
    group.add_argument("--url-model", default="", metavar="NAME", help=text)
    for name, text in {
        "max_tokens": "length of an answer",
        "temperature": "0 takes the likeliest words",
        "seed": "of the draws at a temperature above 0",
        "timeout_s": "how long an endpoint may take",
        "retries": "how often a wrong answer is asked for again",
    }.items():
        default = getattr(ChatOptions(), name)
        flag = "--" + name.replace("_", "-")
        group.add_argument(flag, type=type(default), default=default, metavar="X", help=f"{text} (default: {default})")


def _open(args: argparse.Namespace) -> tuple[Opened | None, ChatOptions]:
    from ..emotion.llm.options import ChatOptions
    from ..emotion.llm.providers import open_provider

    names = ("max_tokens", "temperature", "seed", "timeout_s", "retries")
    options = ChatOptions(**{name: getattr(args, name) for name in names})
    return open_provider(args.provider, args.llm or "", _endpoint_of(args), args.device), options


def _endpoint_of(args: argparse.Namespace) -> Endpoint | None:
    """The server that was named, or given by its address. Raises BadInput for options that contradict one another."""
    from ..emotion.llm.endpoints import Endpoint, find_endpoint, key_from, owners_file
    from ..emotion.llm.options import DEFAULT_ENDPOINT

    if args.provider != "openai":
        if args.endpoint or args.url or args.key_from or args.url_model:
            raise BadInput("--endpoint, --url, --url-model and --key-from belong to --provider openai.")
        return None
    if args.url and args.endpoint:
        raise BadInput("Give either --endpoint or --url, not both.")
    if args.key_from and not args.url:
        raise BadInput("--key-from belongs to --url; an endpoint's own key is named in its entry.")
    if args.url:
        return Endpoint(args.url, args.url_model, key_from(args.key_from) if args.key_from else "")
    return find_endpoint(args.endpoint or DEFAULT_ENDPOINT, owners_file(), args.url_model)
