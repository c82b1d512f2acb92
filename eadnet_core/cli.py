"""The command line: `eadnet generate | score | emotion | evaluate | corpus | train | info`.

Argument parsing only; every command imports what it needs when it runs. Exit status: 0 done, 2 bad input (one line on
stderr that says what to do), 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import BadInput, EADNetError, MediaError
from .request import Box, GenerateOptions, Progress

if TYPE_CHECKING:
    from .training.loop import TrainOptions

DEFAULTS = {f.name: f.default for f in fields(GenerateOptions)}
TRAIN_PARTS = {
    "vae": ("vae",),
    "syncnet": ("syncnet",),
    "video-features": ("video_features",),
    "denoiser": ("denoiser",),
    "emotion": ("text_reader", "emotion"),
    "experts": ("sync_expert", "emotion_expert", "face_expert"),
    "all": (),
}
"""What each `eadnet train` command trains; () is everything."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = build_parser()
    args = parser.parse_args(arguments)
    _set_up_log(args.debug)
    try:
        args.run(args)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    except EADNetError as error:
        if args.debug:
            raise
        print(f"eadnet: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if args.debug or error.name is None or error.name.startswith("eadnet_core"):
            raise
        print(f"eadnet: this command needs the package '{error.name}': pip install 'eadnet[train]'.", file=sys.stderr)
        return 2
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    return 0


def _set_up_log(is_debug: bool) -> None:
    """What this package logs goes to stderr; other packages keep their own ways."""
    logger = logging.getLogger(__package__)
    logger.handlers = [logging.StreamHandler(sys.stderr)]
    logger.setLevel(logging.DEBUG if is_debug else logging.INFO)


def build_parser() -> argparse.ArgumentParser:
    """The parser of every command."""
    parser = argparse.ArgumentParser(prog="eadnet", description="Emotional talking heads from a portrait and a voice.")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (_add_generate, _add_score, _add_emotion, _add_evaluate, _add_corpus, _add_train, _add_info):
        add(commands)
    return parser


def _command(commands: Any, name: str, help_text: str, run: Callable[[argparse.Namespace], None]) -> Any:
    parser = commands.add_parser(name, help=help_text, description=help_text)
    parser.add_argument(
        "--debug", action="store_true", default=argparse.SUPPRESS, help="show the traceback of an error"
    )
    parser.set_defaults(run=run)
    return parser


def _add_model(parser: Any) -> None:
    parser.add_argument("--model", default="mini", help="mini, or the folder of your own model (default: mini)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")


def _add_generate(commands: Any) -> None:
    parser = _command(commands, "generate", "Make a video of a portrait that speaks.", _generate)
    parser.add_argument("--portrait", required=True, type=Path, help="picture of a face")
    parser.add_argument("--audio", required=True, type=Path, help="speech: any sound or video file")
    parser.add_argument("--emotion", default="", help='in your own words, e.g. "quietly furious" (default: neutral)')
    parser.add_argument("--output", required=True, type=Path, help="video to write, .mp4")
    parser.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    parser.add_argument("--report", type=Path, help="also score the video and draw this picture (.png)")
    parser.add_argument("--json", type=Path, help="also write settings, timings and how the words were read")
    _add_model(parser)
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
    group.add_argument("--face-box", type=_box, metavar="X0,Y0,X1,Y1", help="the face by hand, in pixels")
    group.add_argument("--no-speech-gate", action="store_true", help="let the mouth move in silence and to music")


def _box(text: str) -> Box:
    try:
        x0, y0, x1, y1 = (float(v) for v in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not four numbers X0,Y0,X1,Y1 in pixels") from None
    return x0, y0, x1, y1


def _generate(args: argparse.Namespace) -> None:
    from .pipeline import prepare, write_video

    names = {"seed", "steps", "guidance_audio", "guidance_emotion", "sync_guidance", "head", "blink", "lips"}
    values = {name: getattr(args, name) for name in (*names, "emotion_scale", "face_box")}
    options = GenerateOptions(**values, has_speech_gate=not args.no_speech_gate)
    _check_output(args.report, ".png")
    _check_output(args.json, ".json")
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
        print(f"emotion: {_emotion_line(reading)}")
    print(f"forecast: {generation.forecast()}")
    with _Bar("generate") as bar:
        scores = write_video(generation, args.output, overwrite=args.overwrite, on_progress=bar, report=args.report)
    report = generation.report
    if args.json:
        _write_json(args.json, {**report.to_dict(), **({"scores": scores.to_json()} if scores else {})})
    print(f"{args.output}: {report.n_frames} frames, {report.seconds_per_second:.2f} s per second of video")


class _Bar:
    """A tqdm bar that follows Progress."""

    def __init__(self, name: str) -> None:
        from tqdm import tqdm

        self._bar = tqdm(desc=name, unit="step", bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}")

    def __call__(self, progress: Progress) -> None:
        self._bar.total = progress.total
        self._bar.update(progress.done - self._bar.n)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()


def _add_score(commands: Any) -> None:
    parser = _command(commands, "score", "Score a video: lip sync, emotion, motion, identity.", _score)
    parser.add_argument("video", type=Path)
    parser.add_argument("--audio", type=Path, help="the speech, if the video has no sound or another one")
    parser.add_argument("--emotion", help="the label it should show")
    parser.add_argument("--face-box", type=_box, metavar="X0,Y0,X1,Y1", help="the face by hand, in pixels")
    parser.add_argument("--json", type=Path, help="write the scores here")
    parser.add_argument("--plot", type=Path, help="draw the report here (.png)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")


def _score(args: argparse.Namespace) -> None:
    from .checkpoints import load_experts
    from .metrics.report import draw_report, save_json, score_video

    _check_output(args.plot, ".png")
    _check_output(args.json, ".json")
    scores = score_video(args.video, load_experts(args.device), args.audio, args.emotion, args.face_box)
    if args.json:
        save_json(scores, args.json)
    if args.plot:
        draw_report(scores).save(args.plot)
    print(json.dumps(scores.to_json(), indent=2))


def _add_emotion(commands: Any) -> None:
    parser = _command(commands, "emotion", "Show how emotion words are read.", _emotion)
    parser.add_argument("text", nargs="?", help="the words")
    parser.add_argument("--file", type=Path, help="a text file with one prompt per line")
    parser.add_argument("--json", type=Path, help="write the list here, in the order of the file")
    parser.add_argument("--model", default="mini", help="mini, or the folder of your own model (default: mini)")


def _emotion(args: argparse.Namespace) -> None:
    from .pipeline import read_emotions

    if (args.text is None) == (args.file is None):
        raise BadInput("Give either one text or --file with one prompt per line.")
    _check_output(args.json, ".json")
    texts = [args.text] if args.file is None else _read_lines(args.file)
    readings = read_emotions(texts, args.model)
    if args.json:
        _write_json(args.json, readings)
    for reading in readings:
        print(_emotion_line(reading))


def _emotion_line(reading: dict[str, Any]) -> str:
    text = reading["text"] if len(reading["text"]) <= 80 else reading["text"][:77] + "..."
    return (
        f"{reading['label']} (intensity {reading['intensity']:.2f}, valence {reading['valence']:+.2f}, "
        f"arousal {reading['arousal']:+.2f})  {text!r}"
    )


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"'{path}' cannot be read as a text file ({error}).") from error


def _add_evaluate(commands: Any) -> None:
    text = "Generate fresh held-out clips and score them beside their ceilings."
    parser = _command(commands, "evaluate", text, _evaluate)
    _add_model(parser)
    parser.add_argument("--clips", type=int, default=48, metavar="N", help="number of clips (default: 48)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="which clips are drawn (default: 0)")
    parser.add_argument("--all", action="store_true", help="also compare guidance, emotional portraits and long clips")
    parser.add_argument("--json", type=Path, help="write the figures here")


def _evaluate(args: argparse.Namespace) -> None:
    from tqdm import tqdm

    from .evaluate import SECTIONS, evaluate
    from .metrics.table import format_table, missed

    _check_output(args.json, ".json")
    sections = SECTIONS if args.all else ()
    with tqdm(desc="evaluate", unit="clip") as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        results = evaluate(args.model, args.clips, args.seed, None, show, sections, args.device)
    if args.json:
        _write_json(args.json, results)
    print(format_table(results))
    for line in missed(results):
        print(line)


def _add_corpus(commands: Any) -> None:
    parser = commands.add_parser("corpus", help="Look at the procedural corpus, or write clips of it.")
    kinds = parser.add_subparsers(required=True, metavar="COMMAND")
    sheet = _command(kinds, "sheet", "Draw a contact sheet.", _corpus_sheet)
    sheet.add_argument("output", type=Path, help="picture to write (.png)")
    sheet.add_argument("--kind", default="clips", help="clips, emotions, identities or mouths (default: clips)")
    sheet.add_argument("--rows", type=int, default=6)
    render = _command(kinds, "render", "Write clips as WebDataset shards.", _corpus_render)
    render.add_argument("output", type=Path, help="folder to write to")
    render.add_argument("--clips", type=int, default=64)
    render.add_argument("--frames", type=int, default=50)
    render.add_argument("--split", default="train", help="train, heldout or expert (default: train)")
    for one in (sheet, render):
        one.add_argument("--seed", type=int, default=0)
        one.add_argument("--size", type=int, default=128, metavar="PX", help="side of a frame (default: 128)")


def _corpus_sheet(args: argparse.Namespace) -> None:
    from .corpus.sheet import draw_sheet

    _check_output(args.output, ".png")
    print(draw_sheet(args.output, args.kind, seed=args.seed, rows=args.rows, size_px=args.size))


def _corpus_render(args: argparse.Namespace) -> None:
    from tqdm import tqdm

    from .corpus.export import export_clips

    with tqdm(total=args.clips, desc="render", unit="clip") as bar:
        paths = export_clips(
            args.output,
            args.clips,
            n_frames=args.frames,
            size_px=args.size,
            seed=args.seed,
            split=args.split,
            on_clip=lambda done: bar.update(done - bar.n),
        )
    for path in paths:
        print(path)


def _add_train(commands: Any) -> None:
    parser = commands.add_parser("train", help="Train the nets on the procedural corpus.")
    kinds = parser.add_subparsers(required=True, metavar="PART")
    for kind, parts in TRAIN_PARTS.items():
        text = f"Train {', '.join(parts)}." if parts else "Train everything, from nothing to a model folder."
        one = _command(kinds, kind, text, _train)
        one.set_defaults(parts=parts)
        one.add_argument("--preset", default="mini", help="sizes of the nets (default: mini)")
        one.add_argument(
            "--output", type=Path, default=Path("runs"), help="folder of caches, runs and weights (default: runs)"
        )
        one.add_argument("--minutes-scale", type=float, default=1.0, metavar="X", help="1: budgets for two CPU cores")
        one.add_argument("--device", default="auto", help="auto or cpu (default: auto)")
        one.add_argument("--workers", type=int, default=2, metavar="N", help="processes that render clips (default: 2)")
        one.add_argument("--threads", type=int, metavar="N", help="CPU threads of a training")
        one.add_argument("--seed", type=int, default=0, metavar="N")


def _train(args: argparse.Namespace) -> None:
    from .config import PRESETS
    from .training.loop import TrainOptions
    from .training.mini import train_mini

    if args.preset not in PRESETS:
        raise BadInput(f"Unknown preset '{args.preset}'; give one of {', '.join(PRESETS)}.")
    options: TrainOptions = TrainOptions(max_minutes=1, device=args.device, num_threads=args.threads, seed=args.seed)
    scores = train_mini(
        args.output, args.minutes_scale, options=options, workers=args.workers, parts=args.parts or None
    )
    print(json.dumps(scores, indent=2))


def _add_info(commands: Any) -> None:
    parser = _command(commands, "info", "Show the weight files of a model.", _info)
    parser.add_argument("model", nargs="?", default="mini", help="mini, or a folder (default: mini)")


def _info(args: argparse.Namespace) -> None:
    from .checkpoints import info

    total = 0
    for part in info(args.model):
        total += part.size_bytes
        size = f"{part.size_bytes / 1e6:.1f} MB, {part.n_weights / 1e6:.2f} M weights ({', '.join(part.dtypes)})"
        print(f"{part.part:16s} {size}  {part.path}")
        for name, value in sorted(part.metadata.get("scores", {}).items()):
            print(f"  {name}: {value:.4g}" if isinstance(value, float) else f"  {name}: {value}")
    print(f"{'in all':16s} {total / 1e6:.1f} MB")


def _check_output(path: Path | None, suffix: str) -> None:
    """Refuse a report that could not be written before any work is done for it."""
    if path is None:
        return
    if path.suffix.lower() != suffix:
        raise BadInput(f"'{path}' must end in {suffix}.")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise BadInput(f"'{path}' cannot be written: its folder does not exist, or it is a folder itself.")


def _write_json(path: Path, values: Any) -> None:
    try:
        path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise MediaError(f"'{path}' cannot be written ({error.strerror}). Check disk space and permissions.") from error
