"""`eadnet corpus` and `eadnet train`: the corpus of 3-D heads that speak, and every training."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from .arguments import Bar, add_heads, check_output, command

if TYPE_CHECKING:
    from ..training.loop import TrainOptions

TRAIN_PARTS = {
    "vae": ("vae",),
    "syncnet": ("syncnet",),
    "video-features": ("video_features",),
    "denoiser": ("teacher", "denoiser"),
    "emotion": ("text_reader", "emotion_bank"),
    "style": ("style_reader", "style"),
    "experts": ("sync_expert",),
    "all": (),
    "base": (),
}
"""What each `eadnet train` command trains; () is everything, of the mini or of a small base."""


_DATA = "shards (eadnet corpus render) or videos, 25 fps"


def add_corpus(commands: Any) -> None:
    """`eadnet corpus`."""
    parser = commands.add_parser("corpus", help="Look at the corpus of 3-D heads that speak, or write clips of it.")
    kinds = parser.add_subparsers(required=True, metavar="COMMAND")
    sheet = command(kinds, "sheet", "Draw a contact sheet.", _corpus_sheet)
    sheet.add_argument("output", type=Path, help="picture to write (.png or .jpg)")
    sheet.add_argument("--kind", default="clips", help="clips, emotions, identities or mouths (default: clips)")
    sheet.add_argument("--rows", type=int, default=6)
    render = command(kinds, "render", "Write clips as WebDataset shards.", _corpus_render)
    render.add_argument("output", type=Path, help="folder to write to")
    render.add_argument("--clips", type=int, default=64)
    render.add_argument("--frames", type=int, default=50)
    render.add_argument("--split", default="train", help="train, heldout or expert (default: train)")
    text = "Write the held-out clips that ship with the package, for machines without the anatomy."
    heldout = command(kinds, "heldout", text, _corpus_heldout)
    heldout.add_argument("output", type=Path, help="folder to write to")
    heldout.add_argument("--clips", type=int, default=48, metavar="N", help="a multiple of 4 (default: 48)")
    for one in (sheet, render, heldout):
        add_heads(one)
    for one in (sheet, render):
        one.add_argument("--seed", type=int, default=0)
        one.add_argument("--size", type=int, default=128, metavar="PX", help="side of a frame (default: 128)")


def _corpus_sheet(args: argparse.Namespace) -> None:
    from ..corpus.sheet import draw_sheet

    check_output(args.output, ".jpg" if args.output.suffix.lower() == ".jpg" else ".png")
    print(draw_sheet(args.output, args.kind, seed=args.seed, rows=args.rows, size_px=args.size, heads=args.heads))


def _corpus_render(args: argparse.Namespace) -> None:
    from tqdm import tqdm

    from ..corpus.export import export_clips

    with tqdm(total=args.clips, desc="render", unit="clip") as bar:
        paths = export_clips(
            args.output,
            args.clips,
            n_frames=args.frames,
            size_px=args.size,
            seed=args.seed,
            split=args.split,
            heads=args.heads,
            on_clip=lambda done: bar.update(done - bar.n),
        )
    for path in paths:
        print(path)


def _corpus_heldout(args: argparse.Namespace) -> None:
    from ..evaluation.shipped import write_shipped

    with Bar("render", "clip") as bar:
        write_shipped(args.output, args.clips, args.heads, bar.count)
    print(args.output)


def add_train(commands: Any) -> None:
    """`eadnet train`."""
    parser = commands.add_parser("train", help="Train the nets on the corpus of 3-D heads that speak.")
    kinds = parser.add_subparsers(required=True, metavar="PART")
    for kind, parts in TRAIN_PARTS.items():
        text = f"Train {', '.join(parts)}." if parts else "Train everything, from nothing to a model folder."
        if kind == "base":
            text = "Train a small base from nothing, to measure the chain and the adapters on."
        one = command(kinds, kind, text, _train)
        one.set_defaults(parts=parts)
        preset, cores = ("base-small", "one CPU core") if kind == "base" else ("mini", "two CPU cores")
        one.add_argument("--preset", default=preset, help=f"sizes of the nets (default: {preset})")
        one.add_argument("--minutes-scale", type=float, default=1.0, metavar="X", help=f"1: budgets for {cores}")
        _add_shared(one)
        add_heads(one)
        if kind == "denoiser":
            _add_adapters(one)
        if kind == "base":
            one.set_defaults(run=_train_base)
            one.add_argument("--data", type=Path, required=True, metavar="FOLDER", help=_DATA)
            one.add_argument("--nets", nargs="+", metavar="NET", help="only these of its nets (default: all)")
    _add_preference(command(kinds, "preference", "Tune a denoiser on the best of its own takes.", _preference))


def _add_shared(parser: Any) -> None:
    """What every training takes."""
    text = "folder of caches, runs and weights (default: runs)"
    parser.add_argument("--output", type=Path, default=Path("runs"), help=text)
    parser.add_argument("--device", default="auto", help="auto or cpu (default: auto)")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes that render clips (default: 2)")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads of a training")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    text = "of a step, whose gradients are averaged; a multiple of the processes (default: one for each process)"
    parser.add_argument("--step-parts", type=int, metavar="N", help=text)


def _add_preference(parser: Any) -> None:
    _add_shared(parser)
    parser.add_argument("--model", default="mini", help="mini, or the folder of a mini or of a base (default: mini)")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help=f"of a base, which takes windows of it: {_DATA}")
    text = "scripts of the corpus, or windows of --data, that are performed; some only validate (default: 1000)"
    parser.add_argument("--scripts", type=int, default=1000, metavar="N", help=text)
    parser.add_argument("--takes", type=int, default=5, metavar="N", help="of each script (default: 5)")
    text = "sampling steps of a take; in one, takes are all alike (default: 4)"
    parser.add_argument("--take-steps", type=int, default=4, metavar="N", help=text)
    parser.add_argument("--steps", type=int, default=300, metavar="N", help="of the training (default: 300)")
    text = "how soon a pair has been learned; large keeps the denoiser as it was (default: 500)"
    parser.add_argument("--beta", type=float, default=500.0, metavar="X", help=text)
    parser.add_argument("--batch", type=int, metavar="N", help="pairs per step (default: 4)")
    parser.add_argument("--learning-rate", type=float, metavar="X", help="(default: 0.00002)")


def _add_adapters(parser: Any) -> None:
    """What a base's adapters are trained with; the mini takes none of it."""
    group = parser.add_argument_group("adapters on a base (--preset base-256 or base-512)")
    text = "all: the mini; adapters: emotion, STDA, TFRM; identity: lips like this person's (default: all)"
    group.add_argument("--train", choices=("all", "adapters", "identity"), default="all", help=text)
    group.add_argument("--base", type=Path, metavar="FILE", help="the base's denoiser, or the folder that holds it")
    group.add_argument("--data", type=Path, metavar="FOLDER", help=_DATA)
    group.add_argument("--steps", type=int, default=20_000, metavar="N", help="(default: 20000)")
    group.add_argument("--batch", type=int, metavar="N", help="windows per step (default: 1)")
    group.add_argument("--learning-rate", type=float, metavar="X", help="(default: 0.0001)")
    judged = "weight of {} (default: 0, left out)"
    sync, trepa = "lip sync, by the base's syncnet.safetensors", "motion, by its video_features.safetensors"
    group.add_argument("--sync-loss", type=float, default=0.0, metavar="X", help=judged.format(sync))
    group.add_argument("--trepa-loss", type=float, default=0.0, metavar="X", help=judged.format(trepa))
    group.add_argument(
        "--emotion-loss", type=float, default=0.0, metavar="X", help=judged.format("emotions told apart")
    )
    text = "take out of the emotion loss's gradient what would undo that of the lips"
    group.add_argument("--project-emotion", action="store_true", help=text)


def _train(args: argparse.Namespace) -> None:
    from ..config import PRESETS
    from ..training.loop import TrainOptions
    from ..training.mini import train_mini, train_mini_256
    from ..training.processes import is_first

    if args.preset not in PRESETS:
        raise BadInput(f"Unknown preset '{args.preset}'; give one of {', '.join(PRESETS)}.")
    if args.preset not in ("mini", "mini-256"):
        _train_adapters(args)
        return
    if getattr(args, "train", "all") != "all":
        raise BadInput("The mini is trained whole, it has no adapters. Give --preset base-256, --base and --data.")
    options: TrainOptions = TrainOptions(
        max_minutes=1,
        device=args.device,
        num_threads=args.threads,
        seed=args.seed,
        heads=args.heads,
        parts=args.step_parts,
    )
    shared = {"options": options, "workers": args.workers}
    if args.preset == "mini":
        scores = train_mini(args.output, args.minutes_scale, parts=args.parts or None, **shared)
    elif args.parts and "vae" not in args.parts:
        raise BadInput(
            "The mini-256 has one net of its own, the autoencoder; the others are the mini's: give --preset mini, or "
            "eadnet train vae --preset mini-256."
        )
    else:
        scores = train_mini_256(args.output, args.minutes_scale, **shared)
    if is_first():
        print(json.dumps(scores, indent=2))


def _train_base(args: argparse.Namespace) -> None:
    from ..config import PRESETS, SMALL_BASE
    from ..training.base import MINUTES, train_base
    from ..training.loop import TrainOptions

    if PRESETS.get(args.preset) is not SMALL_BASE:
        raise BadInput(f"'{args.preset}' is not trained from nothing here; give --preset {SMALL_BASE.name}.")
    options = TrainOptions(max_minutes=1, device=args.device, num_threads=args.threads, seed=args.seed)
    nets = tuple(args.nets or MINUTES)
    scores = train_base(SMALL_BASE, args.data, args.output, options, args.minutes_scale, nets)
    print(json.dumps(scores, indent=2))


def _train_adapters(args: argparse.Namespace) -> None:
    from ..config import ModelConfig
    from ..training.adapter_losses import AdapterLossWeights
    from ..training.adapters import train_adapters
    from ..training.identity import train_identity
    from ..training.processes import is_first
    from ..weights.files import read_config, read_metadata

    if getattr(args, "train", "all") not in ("adapters", "identity"):
        raise BadInput(
            f"'{args.preset}' is made from public weights, not trained from nothing: see eadnet convert. On top of "
            "them: eadnet train denoiser --train adapters --base FILE --data FOLDER."
        )
    if args.base is None or args.data is None:
        raise BadInput(
            f"--train {args.train} needs --base (the base's denoiser) and --data (a folder of shards or videos)."
        )
    path = args.base / "denoiser.safetensors" if args.base.is_dir() else args.base
    found = read_config(path, ModelConfig, read_metadata(path, "denoiser")).name
    if found != args.preset:
        raise BadInput(f"'{path}' holds '{found}', not '{args.preset}': give --preset {found}, or another --base.")
    options = _options_by_steps(args)
    output = args.output / f"{args.train}.safetensors"
    if args.train == "identity":
        found = train_identity(args.base, args.data, output, options)
    else:
        weights = AdapterLossWeights(args.sync_loss, args.trepa_loss, args.emotion_loss, args.project_emotion)
        found = train_adapters(args.base, args.data, output, options, weights=weights)
    if not is_first():
        return
    print(json.dumps(found, indent=2))
    print(f"{output}: put it beside {path.name} in the folder of the base; load it by that folder.")


def _options_by_steps(args: argparse.Namespace) -> TrainOptions:
    """Of a training that is given its steps, batch and learning rate."""
    from ..training.loop import TrainOptions

    return TrainOptions(
        max_steps=args.steps,
        batch=args.batch,
        learning_rate=args.learning_rate,
        device=args.device,
        num_threads=args.threads,
        seed=args.seed,
        parts=args.step_parts,
        run_folder=args.output / "runs",
    )


def _preference(args: argparse.Namespace) -> None:
    from ..families.load import family_of
    from ..training.mini import preference_cache
    from ..training.preference import PreferenceMix, train_preference
    from ..training.preference_base import train_base_preference
    from ..training.processes import is_first
    from ..training.takes import TakePlan
    from ..weights.folders import find_model

    model, mix = find_model(args.model), PreferenceMix(beta=args.beta)
    plan = TakePlan(args.scripts, args.takes, args.take_steps, args.seed)
    options, output = _options_by_steps(args), args.output / "preferred.safetensors"
    is_base = family_of(model).name == "base"
    if is_base != (args.data is not None):
        raise BadInput(
            f"'{args.model}' is a base: give --data, a folder of shards or videos that it dubs."
            if is_base
            else f"--data is for a base, and '{args.model}' is a mini, which performs scripts: leave it out."
        )
    if is_base:
        scores = train_base_preference(model, args.data, output, options, plan=plan, mix=mix)
    else:
        cache = preference_cache(args.output, model, plan.n_scripts, args.workers, args.device)
        scores = train_preference(model, cache, output, options, plan=plan, mix=mix)
    if is_first():
        print(json.dumps(scores, indent=2))
        print(f"{output}: put it as denoiser.safetensors into a copy of {model}, and load that folder.")
