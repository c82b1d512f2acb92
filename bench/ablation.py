"""What each part of EAD-Net is worth: the full model and models that lack one part, trained alike and scored alike.

For every seed the mini's denoiser is stripped of the parts and trained on as a base that has none: single frames, no
SyncNet, no TREPA, no STDA, no TFRM, labels and captions told by halves. Every version goes on from it for the same
steps, on the same clips, with its own parts, which are new. The nets that supervise and guide, and the autoencoder, are
those of --parts and stay as they are. Each version is then scored on held-out heads, voices and words by experts that
were trained apart from all that supervises. A run whose results lie in --output is not repeated: stopped at any point,
the same command goes on, and more seeds may be asked for later.

Clips and parts are those of a training of the mini, which makes them first (docs/results.md):

    eadnet train denoiser --output runs
    python bench/ablation.py --cache runs/caches/main --parts runs/mini --output ablation --write docs/results.md
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import statistics
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from ablation_score import HeldOut, ceilings, score
from ablation_table import CLAIMS, around, claim_lines, table_lines, write_between
from torch import nn

from eadnet_core.config import PRESETS, ModelConfig, from_dict, to_dict
from eadnet_core.emotion.reader import TextReader
from eadnet_core.errors import BadInput, EADNetError
from eadnet_core.evaluation.heldout import CLIPS_PER_GROUP
from eadnet_core.families.family import Model
from eadnet_core.families.mini import MINI, MiniModel
from eadnet_core.metrics.report import json_values
from eadnet_core.nets.denoiser import Denoiser
from eadnet_core.training.data import Cache
from eadnet_core.training.denoiser import train_denoiser
from eadnet_core.training.denoiser_batches import Mix
from eadnet_core.training.latents import fingerprint
from eadnet_core.training.loop import TrainOptions
from eadnet_core.training.losses import DenoiserLossWeights, trepa_loss
from eadnet_core.training.video_features import expressions
from eadnet_core.weights.experts import load_experts
from eadnet_core.weights.files import load_part, save_part

LOSSES = DenoiserLossWeights(picture=0.0)
"""The mini's, without the decoded pictures: they cost as much as all the rest. TREPA's is for a loss in units of what a
portrait that stands still would cost (`still_trepa`): in its own it may be too small to count."""
STILL_CLIPS = 64
MIX = Mix(true_code=0.0)
"""The mini's, but wherever a clip has words, they are all that is told of its emotion."""
SYNC_GUIDANCE = 0.2
HELD_OUT_SEED = 0
PARTS = ("vae", "denoiser", "syncnet", "video_features", "lip_reader", "text_reader")


@dataclass(frozen=True)
class Variant:
    """How one training differs from that of the full model: fields of DenoiserConfig, of the losses and of the mix."""

    denoiser: dict[str, Any] = field(default_factory=dict)
    losses: dict[str, Any] = field(default_factory=dict)
    mix: dict[str, Any] = field(default_factory=dict)


BASE = Variant(
    denoiser={"stda": (False, False, False), "tfrm": (False, False, False), "tfrm_middle": False},
    losses={"sync": 0.0, "trepa": 0.0, "graph": 0.0},
    mix={"lengths": ((16, 1.0),), "label_share": 0.5},
)
"""What all versions start from: it sees one frame at a time and has none of the parts."""


class Row(NamedTuple):
    """One line of the table: a training, and how it is sampled."""

    title: str
    trained: str
    sync_guidance: float = SYNC_GUIDANCE


VARIANTS: dict[str, Variant] = {
    "full": Variant(),
    "no_syncnet": Variant(losses={"sync": 0.0}),
    "no_trepa": Variant(losses={"trepa": 0.0}),
    "no_stda": Variant(denoiser={"temporal": "plain"}),
    "no_tfrm": Variant(denoiser={"tfrm": (False, False, False), "tfrm_middle": False}, losses={"graph": 0.0}),
    "label": Variant(mix={"label_share": 1.0}),
}
ROWS: dict[str, Row] = {
    "full": Row("full model", "full"),
    "no_syncnet": Row("no SyncNet supervision", "no_syncnet"),
    "no_guidance": Row("no SyncNet guidance", "full", 0.0),
    "no_syncnet_at_all": Row("neither of the two", "no_syncnet", 0.0),
    "no_trepa": Row("no TREPA", "no_trepa"),
    "no_stda": Row("plain temporal attention for STDA", "no_stda"),
    "no_tfrm": Row("no TFRM", "no_tfrm"),
    "label": Row("label for caption", "label"),
}


def main() -> None:
    """Train and score what is missing, then print the table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, metavar="FOLDER", help="clip cache with latents and texts")
    parser.add_argument("--parts", type=Path, required=True, metavar="FOLDER", help=f"holds {', '.join(PARTS)}")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="weights and scores of every run")
    parser.add_argument("--base-steps", type=int, default=300, metavar="N", help="of every base (default: 300)")
    parser.add_argument("--steps", type=int, default=250, metavar="N", help="of every version (default: 250)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N", help="(default: 0 1 2)")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS, metavar="NAME",
                        help=f"any of {', '.join(VARIANTS)} (default: all)")  # fmt: skip
    parser.add_argument("--clips", type=int, default=12, metavar="N", help="held-out clips of 3 s (default: 12)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="CPU threads (default: 1)")
    parser.add_argument("--write", type=Path, metavar="F", help="put the table between the markers of this page")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    try:
        run(args)
    except EADNetError as error:
        raise SystemExit(f"ablation: {error}") from error


def run(args: argparse.Namespace) -> None:
    """All of it, seed after seed; every result is on disk as soon as it is there."""
    parts, losses = check(args)
    held: HeldOut | None = None
    for seed in args.seeds:
        train("base", BASE, seed, args.base_steps, args, losses)
        for name in args.variants:
            train(name, VARIANTS[name], seed, args.steps, args, losses)
        asked = [name for name, row in ROWS.items() if row.trained in args.variants]
        missing = [name for name in asked if not scores_file(args.output, name, seed).exists()]
        if not missing:
            continue
        if held is None:
            said("drawing what is held out")
            reader, size_px = parts["text_reader"], sizes(VARIANTS["full"]).size_px
            held = HeldOut.draw(args.clips, HELD_OUT_SEED, reader, load_experts("cpu", args.parts), size_px)
        for name in missing:
            said(f"scoring {name}, seed {seed}")
            row = ROWS[name]
            model = load(args.output, row.trained, seed, parts, args.parts)
            is_labelled = "label_share" in VARIANTS[row.trained].mix
            figures = score(model, held, row.sync_guidance, is_given_labels=is_labelled)
            write_json(scores_file(args.output, name, seed), figures)
        if not (args.output / "ceilings.json").exists():
            write_json(args.output / "ceilings.json", ceilings(model, held))
    lines = report(args.output)
    print("\n".join(lines))
    if args.write:
        write_between(args.write, lines)


def check(args: argparse.Namespace) -> tuple[dict[str, Any], DenoiserLossWeights]:
    """The parts that are used, loaded, and the full model's losses.

    Raises BadInput for a request, a cache or parts that do not fit.
    """
    for name in ("base_steps", "steps", "clips", "threads"):
        if getattr(args, name) < 1:
            raise BadInput(f"{name} is {getattr(args, name)}; give 1 or more.")
    if args.clips % CLIPS_PER_GROUP:
        raise BadInput(f"clips is {args.clips}; give a multiple of {CLIPS_PER_GROUP}.")
    cache = Cache(args.cache)
    if cache.n_encoded <= cache.n_monitor:
        raise BadInput(f"The clip cache in '{args.cache}' has no latents: eadnet train denoiser makes them.")
    if not cache.array("text_codes")[: cache.n_encoded].any():
        raise BadInput(f"The clip cache in '{args.cache}' has no codes of its texts: eadnet train denoiser makes them.")
    parts: dict[str, Any] = {part: load_part(args.parts / f"{part}.safetensors", part) for part in PARTS}
    made_by = args.cache / "latents_made_by"
    if made_by.read_text() != fingerprint(parts["vae"][0]):
        raise BadInput(f"The latents in '{args.cache}' were made by another autoencoder than that in '{args.parts}'.")
    if args.write:
        around(args.write)
    losses = replace(LOSSES, trepa=LOSSES.trepa / still_trepa(cache, parts["video_features"][0]))
    settle(args, cache, {part: fingerprint(net) for part, (net, _) in parts.items()}, losses)
    return parts | {"text_reader": TextReader(parts["text_reader"][0])}, losses


@torch.no_grad()
def still_trepa(cache: Cache, features: Any) -> float:
    """The TREPA loss of a portrait that only turns its head as the true clips do."""
    last = min(cache.n_encoded, cache.n_monitor + STILL_CLIPS)
    real = expressions(cache, np.arange(cache.n_monitor, last), features.config.frames)
    return float(f"{trepa_loss(features.features(torch.zeros_like(real)), features.features(real)):.3g}")


def settle(args: argparse.Namespace, cache: Cache, made_of: dict[str, str], losses: DenoiserLossWeights) -> None:
    """Keep what the runs in the output folder have in common. Raises BadInput where it holds runs of another kind."""
    asked = {
        "base_steps": args.base_steps,
        "steps": args.steps,
        "clips": args.clips,
        "cache": asdict(cache.info),
        "n_clips": cache.n_encoded,
    }
    asked |= {
        "denoiser": to_dict(sizes(VARIANTS["full"]).denoiser),
        "losses": to_dict(losses),
        "mix": asdict(MIX),
        "parts": made_of,
    }
    asked = json.loads(json.dumps(asked))
    path = args.output / "settings.json"
    if path.exists():
        kept = json.loads(path.read_text())
        differing = sorted(name for name in asked if kept.get(name) != asked[name])
        if differing:
            raise BadInput(f"'{args.output}' holds runs with other {', '.join(differing)}: give another --output.")
    write_json(path, asked)


def sizes(variant: Variant) -> ModelConfig:
    """The config of a version."""
    mini = PRESETS["mini"]
    return replace(mini, name="ablation", denoiser=replace(mini.denoiser, **variant.denoiser))


def train(
    name: str, variant: Variant, seed: int, steps: int, args: argparse.Namespace, losses: DenoiserLossWeights
) -> None:
    """Train one version with one seed, or go on with it; nothing where its figures are there."""
    folder = run_folder(args.output, name, seed)
    if (folder / "training.json").exists():
        return
    said(f"training {name}, seed {seed}")
    base = run_folder(args.output, "base", seed) / "denoiser.safetensors"
    weights = replace(losses, **variant.losses)
    options = TrainOptions(
        max_steps=steps,
        seed=seed,
        device="cpu",
        num_threads=args.threads,
        run_folder=folder,
        log_every=min(10, steps),
        evaluate_every=steps,
        sheet_every=steps,
        alarm_every=steps,
    )
    scores = train_denoiser(
        sizes(variant),
        args.cache,
        folder / "denoiser.safetensors",
        options,
        parts=args.parts,
        weights=weights,
        mix=replace(MIX, **variant.mix),
        start=base if name != "base" else stripped(args),
    )
    nets: Any = load_part(folder / "denoiser.safetensors", "denoiser")[0]
    log = folder / "denoiser" / "log.csv"
    found = {"step_s": step_seconds(log), "loss_shares": loss_shares(log, weights), "judged_in_training": scores}
    found |= {"n_weights": sum(p.numel() for p in nets["denoiser"].parameters())}
    write_json(folder / "training.json", found)
    shutil.rmtree(folder / "denoiser" / "checkpoint")  # what only a stopped training needs


def stripped(args: argparse.Namespace) -> Path:
    """Weight file of the mini's denoiser without the parts that `BASE` lacks."""
    path: Path = args.output / "stripped.safetensors"
    if not path.exists():
        whole: Any = load_part(args.parts / "denoiser.safetensors", "denoiser")[0]
        config = sizes(BASE)
        nets = nn.ModuleDict({**dict(whole.items()), "denoiser": Denoiser(config.denoiser)})
        nets.load_state_dict({key: value for key, value in whole.state_dict().items() if key in nets.state_dict()})
        save_part(path, "denoiser", nets, config, {})
    return path


def step_seconds(log: Path) -> float | None:
    """Median wall time of a training step over the log's intervals, so that a disturbed one does not count."""
    marks = [(int(row["step"]), float(row["seconds"])) for row in read_log(log) if row["name"] == "loss"]
    pairs = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairwise(marks)]
    return statistics.median(pairs) if pairs else None


def loss_shares(log: Path, weights: DenoiserLossWeights) -> dict[str, float]:
    """Size of every weighted loss in the last quarter of a training, relative to that of all together."""
    rows = read_log(log)
    late = [row for row in rows if int(row["step"]) > 0.75 * int(rows[-1]["step"])]
    sizes = {
        name: abs(weight) * statistics.fmean(abs(float(row["value"])) for row in late if row["name"] == name)
        for name, weight in to_dict(weights).items()
        if any(row["name"] == name for row in late)
    }
    return {name: size / sum(sizes.values()) for name, size in sizes.items()}


def read_log(log: Path) -> list[dict[str, str]]:
    """Rows of a training's log.csv."""
    with log.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def load(output: Path, trained: str, seed: int, parts: dict[str, Any], folder: Path) -> Model:
    """A trained variant as a model that generates."""
    nets, metadata = load_part(run_folder(output, trained, seed) / "denoiser.safetensors", "denoiser")
    denoiser: Any = nets
    config: ModelConfig = from_dict(ModelConfig, metadata["config"])
    vae, syncnet = parts["vae"][0], parts["syncnet"][0]
    for net in (vae, denoiser["denoiser"]):
        net.to(memory_format=torch.channels_last)
    return MiniModel(
        family=MINI,
        name=f"{trained}, seed {seed}",
        folder=folder,
        config=replace(config, vae=vae.config, syncnet=syncnet.config),
        vae=vae,
        denoiser=denoiser["denoiser"],
        audio_encoder=denoiser["audio"],
        emotion_encoder=denoiser["emotion"],
        syncnet=syncnet,
        reader=parts["text_reader"],
        real_cosine=float(parts["syncnet"][1].get("real_cosine", 1.0)),
        device=torch.device("cpu"),
        dtype=torch.float32,
    )


def report(output: Path) -> list[str]:
    """What docs/results.md says of all runs in the folder."""
    runs: dict[str, dict[int, dict[str, Any]]] = {}
    for name, row in ROWS.items():
        for path in sorted((output / row.trained).glob(f"seed*/{scores_file(output, name, 0).name}")):
            training = json.loads((path.parent / "training.json").read_text())
            figures = json.loads(path.read_text()) | training
            runs.setdefault(name, {})[int(path.parent.name.removeprefix("seed"))] = figures
    if not runs:
        return ["No run has ended yet."]
    settings, path = json.loads((output / "settings.json").read_text()), output / "ceilings.json"
    beside = json.loads(path.read_text()) if path.exists() else {}
    n_weights = ", ".join(f"{ROWS[name].title} {next(iter(by.values()))['n_weights'] / 1e6:.3f} M"
                        for name, by in runs.items() if name in VARIANTS)  # fmt: skip
    return [
        f"{settings['base_steps']} steps for each base, {settings['steps']} more for each version, "
        f"{settings['n_clips']} clips to learn from, seeds "
        f"{', '.join(str(s) for s in sorted({s for by in runs.values() for s in by}))}; {settings['clips']} held-out "
        "clips of 3 s and one of 30 s. Mean ± standard deviation over the seeds.",
        "",
        *table_lines({name: row.title for name, row in ROWS.items()}, runs, beside),
        "",
        f"Weights of the denoisers: {n_weights}. TREPA of a portrait that stands still, in its own units: "
        f"{LOSSES.trepa / settings['losses']['trepa']:.2g}.",
        "",
        *share_lines(runs.get("full", {})),
        *claim_lines(runs),
    ]


def share_lines(full: dict[int, dict[str, Any]]) -> list[str]:
    """What each loss weighs in the full model's training: one that hardly weighs can hardly be missed."""
    shares = [figures["loss_shares"] for figures in full.values()]
    if not shares:
        return []
    means = {name: statistics.fmean(share[name] for share in shares) for name in shares[0]}
    listed = ", ".join(f"{name} {100 * mean:.2g} %" for name, mean in sorted(means.items(), key=lambda item: -item[1]))
    return [f"Share of each loss in the last quarter of the full model's training: {listed}.", ""]


def scores_file(output: Path, name: str, seed: int) -> Path:
    """Where the figures of a row are kept: beside the weights they belong to."""
    return run_folder(output, ROWS[name].trained, seed) / f"scores_{name}.json"


def run_folder(output: Path, trained: str, seed: int) -> Path:
    """Where one training lies."""
    return output / trained / f"seed{seed}"


def write_json(path: Path, values: Any) -> None:
    """Write JSON; the file appears under its name only when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(json_values(values), indent=2) + "\n", encoding="utf-8")
    partial.replace(path)


def said(text: str) -> None:
    """Tell where the runs stand."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


assert {claim.without for claim in CLAIMS} < set(ROWS)

if __name__ == "__main__":
    main()
