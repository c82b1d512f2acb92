"""`eadnet generate` and `eadnet dub`: a portrait that speaks, a video with another voice."""

from __future__ import annotations

import argparse
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from ..config import ATTENTION_BACKENDS, FPS, SAMPLING
from ..errors import BadInput
from ..request import CHOICES, GenerateOptions
from .arguments import Bar, add_model, box, check_output, command, emotion_line, write_json
from .emotion import add_words, reference_of, words_of

DEFAULTS = {f.name: f.default for f in fields(GenerateOptions)}
NUMBERS = {
    "seed": "same seed, same video",
    "steps": "denoising steps; time grows with them",
    "guidance_audio": "weight of the sound; other than 1 costs a pass more per step",
    "guidance_emotion": "weight of the emotion; other than 1 costs a pass more per step",
    "sync_guidance": "pull of the SyncNet on the mouth, 0 off, 0.2 helps the mini a little",
    "lips": "amplitude of speech, 0 none, 1 as trained",
    "emotion_scale": "amplitude of the emotion, 0 neutral, 1 as the words say",
    "prosody_weight": "share of the emotion that the voice tells, 0 the words alone, 1 the voice alone",
    "face_index": "which face, where there are several: 0 the most prominent",
    "reuse": "a base computes its deep layers in one step of N, the others reuse them: faster, and not the same",
    "segment_frames": "frames that are finished together; memory grows with them",
    "batch_windows": "windows in one forward pass; memory grows with them",
}
KINDS: dict[str, type] = {"steps": int, "guidance_audio": float, "guidance_emotion": float, "batch_windows": int}
"""Of the numbers whose default is the model's own."""
WORDS = {
    "windows": "how a long clip is cut: shifted from step to step, or fixed as LatentSync does",
    "hearing": "how a base hears beyond 30 s: overlapped, or exact as LatentSync does",
    "speed": "how a base computes: exact to LatentSync's bit; shared: what the predictions of guidance have in "
    "common is computed once; or compiled: that through torch.compile, which takes minutes at first",
    "times": "where a base's steps lie: leading as LatentSync's, or trailing, for 5 steps or so",
}
DTYPES = ("auto", "float32", "bfloat16", "float16")
MOVING = {
    "head": "amplitude of head motion, 0 none, 1 as trained",
    "blink": "rate of blinks, 0 none, 1 natural",
    "gaze": "amplitude of the eyes' jumps, 0 none, 1 as trained",
}


def add_generate(commands: Any) -> None:
    """`eadnet generate`."""
    parser = command(commands, "generate", "Make a video of a portrait that speaks.", _generate)
    parser.add_argument("--portrait", required=True, type=Path, help="picture of a face")
    _add_run(parser, {**NUMBERS, **MOVING}, "auto")


def add_dub(commands: Any) -> None:
    """`eadnet dub`."""
    parser = command(commands, "dub", "Make the face in a video speak with another voice.", _dub)
    parser.add_argument("--video", required=True, type=Path, help="video of a face; brought to 25 frames per second")
    group = _add_run(parser, NUMBERS, "")
    text = "what is pasted back into the frames (default: auto, the face where an emotion is given, else the mouth)"
    group.add_argument("--mask", choices=CHOICES["mask"], default=DEFAULTS["mask"], help=text)
    text = "frames without a face: hold it where it was, pass them through, or stop (default: hold)"
    group.add_argument("--on-missing", choices=CHOICES["on_missing"], default=DEFAULTS["on_missing"], help=text)
    text = "end with the shortest, or go on to the end of the audio or the video (default: shortest)"
    group.add_argument("--length", choices=CHOICES["length"], default=DEFAULTS["length"], help=text)


def _add_run(parser: Any, numbers: dict[str, str], emotion: str) -> Any:
    """What both commands take; returns the group of settings."""
    parser.add_argument("--audio", required=True, type=Path, help="speech: any sound or video file")
    add_words(parser, emotion)
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
    for name, text in numbers.items():
        kind = KINDS.get(name, type(DEFAULTS[name]))
        own = " / ".join(f"{getattr(sampling, name)}" for sampling in SAMPLING.values()) if name in KINDS else ""
        shown = f"the model's own, mini / base: {own}" if own else DEFAULTS[name]
        flag, text = "--" + name.replace("_", "-"), f"{text} (default: {shown})"
        group.add_argument(flag, type=kind, default=DEFAULTS[name], metavar="N" if kind is int else "X", help=text)
    for name, text in WORDS.items():
        text = f"{text} (default: {DEFAULTS[name]})"
        group.add_argument("--" + name, choices=CHOICES[name], default=DEFAULTS[name], help=text)
    text = "the face by hand, in pixels, from the middle of the forehead to the chin"
    group.add_argument("--face-box", type=box, metavar="X0,Y0,X1,Y1", help=text)
    group.add_argument("--no-speech-gate", action="store_true", help="let the mouth move in silence and to music")
    text = "a base's autoencoder works a picture at a time, larger ones in tiles of 256 pixels: less memory, more time"
    group.add_argument("--tiled", action="store_true", dest="is_tiled", help=text)
    text = "what the nets compute in: auto is bfloat16 for the mini on a CPU with AMX, float32 elsewhere; on a GPU the "
    text += "16-bit ones are faster and take half the memory (default: auto)"
    group.add_argument("--dtype", choices=DTYPES, default=DTYPES[0], help=text)
    text = "kernels of the attention: torch's own, the package xformers, or plain (default: the model's own, sdpa)"
    group.add_argument("--attention", choices=ATTENTION_BACKENDS, help=text)
    return group


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


def _run(args: argparse.Namespace, portrait: Any) -> None:
    from ..generation.output import write_video
    from ..generation.pipeline import prepare

    given = {name: value for name, value in vars(args).items() if name in DEFAULTS}
    options = GenerateOptions(**given, has_speech_gate=not args.no_speech_gate)
    check_output(args.report, ".png")
    check_output(args.json, ".json")
    is_open = args.resume or args.redo is not None
    target = {"output": args.output, "overwrite": args.overwrite, "resume": is_open}
    with Bar("search", "frame") as bar:
        more: dict[str, Any] = {"model": partial(load, args), "on_search": bar.count, "reference": reference_of(args)}
        generation = prepare(portrait, args.audio, words_of(args), options, **more, **target)
    for reading in generation.report.emotions:
        print(f"emotion: {emotion_line(reading)}")
    _forecast(generation, args)
    if args.dry_run:
        return
    keep = {"resume": args.resume, "keep_segments": args.keep_segments, "redo": args.redo, "report": args.report}
    with Bar("generate") as bar:
        scores = write_video(generation, args.output, overwrite=args.overwrite, on_progress=bar, **keep)
    report = generation.report
    if args.json:
        write_json(args.json, {**report.to_dict(), **({"scores": scores.to_json()} if scores else {})})
    print(f"{args.output}: {report.n_frames} frames, {report.seconds_per_second:.2f} s per second of video")
