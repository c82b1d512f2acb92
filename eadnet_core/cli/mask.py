"""`eadnet mask`: where the head, the person, the face or the mouth of a video is, as a video for compositing."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .arguments import Bar, add_option, command

KINDS = ("head", "person", "face", "mouth")
FINDING = ("face_box", "face_index", "face_threshold", "accept_any_face", "on_missing")
"""Options that say which face is meant, and what becomes of frames without it."""


def add_mask(commands: Any) -> None:
    """`eadnet mask`."""
    parser = command(
        commands, "mask", "Write a mask of the face in a video: white where it is, black elsewhere.", _mask
    )
    parser.add_argument("--video", required=True, type=Path, help="video of a face, such as one that generate wrote")
    text = "head: with hair, down to the jaw; person: with shoulders; face: inside its oval; mouth: lips and between"
    parser.add_argument("--kind", choices=KINDS, default=KINDS[0], help=f"{text} (default: {KINDS[0]})")
    parser.add_argument("--output", required=True, type=Path, help="video to write, .mp4")
    parser.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    for name in FINDING:
        add_option(parser, name)


def _mask(args: argparse.Namespace) -> None:
    from ..generation.mask_video import write_mask_video
    from ..media.face.subject import find_subject
    from ..media.video.files import check_writable, read_video

    check_writable(args.output, args.overwrite)
    with Bar("search", "frame") as bar:
        subject = find_subject(
            read_video(args.video),
            -1,
            args.face_box,
            args.face_threshold,
            args.on_missing,
            on_picture=bar.count,
            face_index=args.face_index,
            accept_any_face=args.accept_any_face,
        )
    with Bar("mask", "frame") as bar:
        write_mask_video(args.output, subject, args.kind, overwrite=args.overwrite, on_frame=bar.count)
    print(f"{args.output}: {args.kind} of {len(subject.crops)} frames, {len(subject.missed)} without a face")
