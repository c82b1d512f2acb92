"""`eadnet generate`: a portrait that speaks."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..request import GenerateOptions
from .arguments import Bar, add_model, box, check_output, command, emotion_line, write_json

DEFAULTS = {f.name: f.default for f in fields(GenerateOptions)}


def add_generate(commands: Any) -> None:
    """`eadnet generate`."""
    parser = command(commands, "generate", "Make a video of a portrait that speaks.", _generate)
    parser.add_argument("--portrait", required=True, type=Path, help="picture of a face")
    parser.add_argument("--audio", required=True, type=Path, help="speech: any sound or video file")
    parser.add_argument("--emotion", default="", help='in your own words, e.g. "quietly furious" (default: neutral)')
    parser.add_argument("--output", required=True, type=Path, help="video to write, .mp4")
    parser.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    parser.add_argument("--report", type=Path, help="also score the video and draw this picture (.png)")
    parser.add_argument("--json", type=Path, help="also write settings, timings and how the words were read")
    add_model(parser)
    group = parser.add_argument_group("settings")
    for name, text in {
        "seed": "same seed, same video",
        "steps": "denoising steps; time grows with them",
        "guidance_audio": "weight of the sound; other than 1 costs a pass more per step",
        "guidance_emotion": "weight of the emotion; other than 1 costs a pass more per step",
        "sync_guidance": "pull of the SyncNet on the mouth, 0 off, 0.1 - 0.3 useful",
        "head": "amplitude of head motion, 0 none, 1 as trained",
        "blink": "rate of blinks, 0 none, 1 natural",
        "lips": "amplitude of speech, 0 none, 1 as trained",
        "emotion_scale": "amplitude of the emotion, 0 neutral, 1 as the words say",
    }.items():
        kind = type(DEFAULTS[name])
        flag = "--" + name.replace("_", "-")
        parser_help = f"{text} (default: {DEFAULTS[name]})"
        group.add_argument(
            flag, type=kind, default=DEFAULTS[name], metavar="N" if kind is int else "X", help=parser_help
        )
    group.add_argument("--face-box", type=box, metavar="X0,Y0,X1,Y1", help="the face by hand, in pixels")
    group.add_argument("--no-speech-gate", action="store_true", help="let the mouth move in silence and to music")


def _generate(args: argparse.Namespace) -> None:
    from ..pipeline import prepare, write_video

    names = {"seed", "steps", "guidance_audio", "guidance_emotion", "sync_guidance", "head", "blink", "lips"}
    values = {name: getattr(args, name) for name in (*names, "emotion_scale", "face_box")}
    options = GenerateOptions(**values, has_speech_gate=not args.no_speech_gate)
    check_output(args.report, ".png")
    check_output(args.json, ".json")
    generation = prepare(
        args.portrait,
        args.audio,
        args.emotion,
        options,
        model=args.model,
        device=args.device,
        output=args.output,
        overwrite=args.overwrite,
    )
    for reading in generation.report.emotions:
        print(f"emotion: {emotion_line(reading)}")
    print(f"forecast: {generation.forecast()}")
    with Bar("generate") as bar:
        scores = write_video(generation, args.output, overwrite=args.overwrite, on_progress=bar, report=args.report)
    report = generation.report
    if args.json:
        write_json(args.json, {**report.to_dict(), **({"scores": scores.to_json()} if scores else {})})
    print(f"{args.output}: {report.n_frames} frames, {report.seconds_per_second:.2f} s per second of video")
