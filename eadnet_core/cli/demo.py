"""What `make demo` shows: the sample portrait speaks with two emotions, in two videos with their reports."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from ..errors import EADNetError
from ..families.load import load_model
from ..generation.output import write_video
from ..generation.pipeline import prepare
from ..request import GenerateOptions, Progress
from ..weights.folders import ASSETS

PROMPTS = {"delighted": "she has just won and cannot stop smiling", "angry": "furious, about to shout"}
"""Words by the name of the video they make."""


def main() -> int:
    """Make the two videos and say where they lie; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m eadnet_core.cli.demo", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("demo"), help="folder to write to (default: demo)")
    parser.add_argument("--model", default="mini-256", help="a shipped model or your own folder (default: mini-256)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    try:
        made = make_videos(args.output, args.model, args.device)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    except EADNetError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    for words, video, report in made:
        print(f'"{words}"\n  video   {video}\n  report  {report}')
    return 0


def make_videos(folder: Path, model_name: str = "mini-256", device: str = "auto") -> list[tuple[str, Path, Path]]:
    """Render the sample once per prompt into `folder`; returns (words, video, report) of each."""
    from tqdm import tqdm

    folder.mkdir(parents=True, exist_ok=True)
    model = load_model(model_name, device, "auto")
    made = []
    for name, words in PROMPTS.items():
        video, report = folder / f"{name}.mp4", folder / f"{name}.png"
        sample = ASSETS / "sample"
        generation = prepare(
            sample / "portrait.png",
            sample / "speech.wav",
            words,
            GenerateOptions(),
            model=model,
            output=video,
            overwrite=True,
        )
        with tqdm(desc=name, bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}") as bar:

            def show(progress: Progress, bar: tqdm = bar) -> None:
                bar.total = progress.total
                bar.update(progress.done - bar.n)

            write_video(generation, video, overwrite=True, on_progress=show, report=report)
        made.append((words, video, report))
    return made


if __name__ == "__main__":
    sys.exit(main())
