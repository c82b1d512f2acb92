"""The denoiser's side of bench/ablation.py: versions that lack one part, trained from a base that has none of them."""

from __future__ import annotations

import argparse
import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from ablation_runs import (
    fingerprint,
    loss_shares,
    results,
    run_folder,
    said,
    settle,
    share_lines,
    step_seconds,
    train_options,
    write_json,
)
from ablation_score import HeldOut, rulers, score
from ablation_table import DENOISER, claim_lines, table_lines
from torch import nn

from eadnet_core.config import PRESETS, ModelConfig, from_dict, to_dict
from eadnet_core.emotion.reader import TextReader
from eadnet_core.errors import BadInput
from eadnet_core.evaluation.heldout import CLIPS_PER_GROUP
from eadnet_core.families.mini import MINI, MOST_TIMES, MiniModel
from eadnet_core.nets.denoiser import Denoiser
from eadnet_core.nets.vae import VAE
from eadnet_core.training.data import Cache
from eadnet_core.training.denoiser import train_denoiser
from eadnet_core.training.denoiser_batches import Mix, motion_latents
from eadnet_core.training.losses import DenoiserLossWeights, trepa_loss
from eadnet_core.training.video_features import expressions
from eadnet_core.weights.files import load_part, save_part

LOSSES = DenoiserLossWeights()
"""The mini's. TREPA's is for a loss in units of what a portrait that stands still would cost (`still_trepa`): in units
of its own it may be too small to count."""
STILL_CLIPS = 64
MIX = Mix(true_code=0.0)
"""The mini's, but wherever a clip has words, they are all that is told of its emotion."""
SYNC_GUIDANCE = 0.2
HELD_OUT_SEED = 0
PARTS = ("denoiser", "syncnet", "video_features", "text_reader")


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


@dataclass(frozen=True)
class DenoiserSide:
    """What all runs of the denoiser's side share.

    folder  weights and scores of its runs
    losses  of the full model, TREPA's in units of a still portrait's
    """

    cache: Path
    parts: Path
    folder: Path
    base_steps: int
    steps: int
    batch: int
    clips: int
    threads: int
    losses: DenoiserLossWeights
    nets: dict[str, Any]

    @classmethod
    def open(cls, args: argparse.Namespace) -> DenoiserSide:
        """Raises BadInput for a request, a cache or parts that do not fit."""
        if args.clips % CLIPS_PER_GROUP:
            raise BadInput(f"clips is {args.clips}; give a multiple of {CLIPS_PER_GROUP}.")
        cache = Cache(args.cache)
        if cache.n_ready < cache.info.n_clips:
            raise BadInput(f"The clip cache in '{args.cache}' is not finished: eadnet train denoiser goes on with it.")
        if _is_unread(cache):
            raise BadInput(
                f"The clip cache in '{args.cache}' has no codes of its texts: eadnet train denoiser makes them."
            )
        nets: dict[str, Any] = {part: load_part(args.parts / f"{part}.safetensors", part) for part in PARTS}
        losses = replace(LOSSES, trepa=LOSSES.trepa / still_trepa(cache, nets["video_features"][0]))
        folder = args.output / "denoiser"
        settings = {
            "base_steps": args.base_steps,
            "steps": args.steps,
            "batch": args.batch,
            "clips": args.clips,
            "cache": asdict(cache.info),
        }
        settings |= {"denoiser": to_dict(sizes(VARIANTS["full"]).denoiser), "losses": to_dict(losses)}
        settings |= {"mix": asdict(MIX), "parts": {part: fingerprint(net) for part, (net, _) in nets.items()}}
        settle(folder, settings)
        sizes_of_runs = args.base_steps, args.steps, args.batch, args.clips, args.threads
        return cls(args.cache, args.parts, folder, *sizes_of_runs, losses, nets)

    def run(self, seeds: list[int], variants: list[str]) -> None:
        """Train and score what is missing, seed after seed; every result is on disk as soon as it is there."""
        held: HeldOut | None = None
        for seed in seeds:
            self.train("base", BASE, seed, self.base_steps)
            for name in variants:
                self.train(name, VARIANTS[name], seed, self.steps)
            for name, row in ROWS.items():
                path = run_folder(self.folder, row.trained, seed) / f"scores_{name}.json"
                if row.trained not in variants or path.exists():
                    continue
                held = held or self.draw()
                said(f"scoring {name}, seed {seed}")
                is_labelled = "label_share" in VARIANTS[row.trained].mix
                model = self.load(row.trained, seed)
                write_json(path, score(model, held, row.sync_guidance, is_given_labels=is_labelled))

    def draw(self) -> HeldOut:
        """What every version performs; writes what the figures of the ground truth and of a still portrait are."""
        said("writing what is held out")
        held = HeldOut.draw(self.clips, HELD_OUT_SEED, TextReader(self.nets["text_reader"][0]))
        write_json(self.folder / "rulers.json", rulers(held))
        return held

    def train(self, name: str, variant: Variant, seed: int, steps: int) -> None:
        """Train one version with one seed, or go on with it; nothing where its figures are there."""
        folder = run_folder(self.folder, name, seed)
        if (folder / "training.json").exists():
            return
        said(f"training {name}, seed {seed}")
        base = run_folder(self.folder, "base", seed) / "denoiser.safetensors"
        weights = replace(self.losses, **variant.losses)
        scores = train_denoiser(
            sizes(variant),
            self.cache,
            folder / "denoiser.safetensors",
            train_options(folder, steps, seed, self.threads, self.batch),
            parts=self.parts,
            weights=weights,
            mix=replace(MIX, **variant.mix),
            start=base if name != "base" else self.stripped(),
        )
        nets: Any = load_part(folder / "denoiser.safetensors", "denoiser")[0]
        log = folder / "denoiser" / "log.csv"
        found = {"step_s": step_seconds(log), "loss_shares": loss_shares(log, weights), "judged_in_training": scores}
        found |= {"n_weights": sum(p.numel() for p in nets["denoiser"].parameters())}
        write_json(folder / "training.json", found)
        shutil.rmtree(folder / "denoiser" / "checkpoint")  # what only a stopped training needs

    def stripped(self) -> Path:
        """Weight file of the mini's denoiser without the parts that `BASE` lacks."""
        path = self.folder / "stripped.safetensors"
        if not path.exists():
            whole: Any = self.nets["denoiser"][0]
            config = sizes(BASE)
            nets = nn.ModuleDict({**dict(whole.items()), "denoiser": Denoiser(config.denoiser)})
            nets.load_state_dict({key: value for key, value in whole.state_dict().items() if key in nets.state_dict()})
            save_part(path, "denoiser", nets, config, {})
        return path

    def load(self, trained: str, seed: int) -> MiniModel:
        """A trained version as a model that generates; its picture side has no weights, for it is never looked at."""
        nets, metadata = load_part(run_folder(self.folder, trained, seed) / "denoiser.safetensors", "denoiser")
        denoiser: Any = nets
        config: ModelConfig = from_dict(ModelConfig, metadata["config"])
        syncnet, about_syncnet = self.nets["syncnet"]
        denoiser["denoiser"].to(memory_format=torch.channels_last)
        return MiniModel(
            family=MINI,
            name=f"{trained}, seed {seed}",
            folder=self.parts,
            config=replace(config, syncnet=syncnet.config),
            vae=VAE(config.vae).eval(),
            denoiser=denoiser["denoiser"],
            audio_encoder=denoiser["audio"],
            emotion_encoder=denoiser["emotion"],
            syncnet=syncnet,
            reader=TextReader(self.nets["text_reader"][0]),
            real_cosine=float(about_syncnet.get("real_cosine", 1.0)),
            device=torch.device("cpu"),
            dtype=torch.float32,
            most_px=MOST_TIMES * config.vae.size_px,
        )


def _is_unread(cache: Cache) -> bool:
    """Whether the codes of texts are still the corpus's own, as they are until a reader has been at them."""
    own = cache.array("codes")[:, cache.info.n_frames // 2]
    return bool((cache.array("text_codes") == own[:, None]).all())


@torch.no_grad()
def still_trepa(cache: Cache, features: Any) -> float:
    """The TREPA loss of portraits that stand still."""
    clips = np.arange(cache.n_monitor, min(cache.n_ready, cache.n_monitor + STILL_CLIPS))
    real = expressions(cache, clips, features.config.frames)
    still = motion_latents()(cache.tensor("reference_controls", (clips,)))[:, :, None].expand_as(real)
    return float(f"{trepa_loss(features.features(still), features.features(real)):.3g}")


def sizes(variant: Variant) -> ModelConfig:
    """The config of a version."""
    mini = PRESETS["mini"]
    return replace(mini, name="ablation", denoiser=replace(mini.denoiser, **variant.denoiser))


def report(folder: Path, settings: dict[str, Any], beside: dict[str, Any]) -> list[str]:
    """What docs/results.md says of all runs of the denoiser's side; nothing where none has ended."""
    runs = {name: dict(results(folder, name, row.trained)) for name, row in ROWS.items()}
    runs = {name: by for name, by in runs.items() if by}
    if not runs:
        return []
    n_weights = ", ".join(f"{ROWS[name].title} {next(iter(by.values()))['n_weights'] / 1e6:.3f} M"
                          for name, by in runs.items() if name in VARIANTS)  # fmt: skip
    seeds = ", ".join(str(s) for s in sorted({s for by in runs.values() for s in by}))
    return [
        f"{settings['base_steps']} steps for each base, {settings['steps']} more for each version, "
        f"{settings['batch']} {'clip' if settings['batch'] == 1 else 'clips'} of 16 frames a step, of "
        f"{settings['cache']['n_clips']} clips to learn from, seeds {seeds}; {settings['clips']} held-out clips of 3 s."
        " Mean ± standard deviation over the seeds.",
        "",
        *table_lines(DENOISER, {name: row.title for name, row in ROWS.items()}, runs, beside),
        "",
        f"Weights of the denoisers: {n_weights}. TREPA of a portrait that stands still, in its own units: "
        f"{LOSSES.trepa / settings['losses']['trepa']:.2g}.",
        "",
        *share_lines(runs.get("full", {})),
        *claim_lines(DENOISER, runs),
    ]
