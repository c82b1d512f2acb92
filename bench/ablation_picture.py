"""The picture side of bench/ablation.py: versions that lack one part, trained alike from nothing on pairs of heads."""

from __future__ import annotations

import argparse
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from ablation_runs import results, run_folder, said, settle, step_seconds, train_options, write_json
from ablation_table import PICTURE, claim_lines, table_lines

from eadnet_core.config import PRESETS, ModelConfig, to_dict
from eadnet_core.errors import BadInput
from eadnet_core.nets.vae import VAE
from eadnet_core.training.control_reader import train_control_reader
from eadnet_core.training.faces import FaceCache
from eadnet_core.training.vae import VAELossWeights, fit_mean_face, score_vae, train_vae
from eadnet_core.weights.files import load_part, save_part

LOSSES = VAELossWeights()
"""The mini's."""
READER = "control_reader.safetensors"
SCORED_FRAMES = 300
"""Frames of unseen heads that every version makes, at most."""


@dataclass(frozen=True)
class Variant:
    """How one training differs from that of the full model: fields of VAEConfig and of the losses."""

    title: str
    vae: dict[str, Any] = field(default_factory=dict)
    losses: dict[str, Any] = field(default_factory=dict)


VARIANTS: dict[str, Variant] = {
    "full": Variant("full model"),
    "not_aligned": Variant("faces not aligned", {"is_aligned": False}),
    "no_flow": Variant("flow not taught", {}, {"flow": 0.0}),
    "no_light": Variant("no light", {"has_light": False}, {"light": 0.0}),
    "no_paint": Variant("no paint", {"has_paint": False}, {"alpha": 0.0, "paint": 0.0}),
}


@dataclass(frozen=True)
class PictureSide:
    """What all runs of the picture side share: a cache of pairs of heads, all of them rendered."""

    faces: FaceCache
    folder: Path
    steps: int
    threads: int

    @classmethod
    def open(cls, args: argparse.Namespace) -> PictureSide:
        """Raises BadInput for pairs that do not fit."""
        faces = FaceCache(args.faces)
        n_pairs = len(faces.pairs.done)
        if faces.n_ready < n_pairs:
            raise BadInput(
                f"{faces.n_ready} of {n_pairs} pairs in '{args.faces}' are rendered; eadnet train vae goes on."
            )
        size_px = PRESETS["mini"].vae.size_px
        if faces.pairs.size_px != size_px:
            raise BadInput(f"The pairs in '{args.faces}' have {faces.pairs.size_px} px; give some of {size_px} px.")
        side = cls(faces, args.output / "picture", args.picture_steps, args.threads)
        shared = {"steps": side.steps, "n_pairs": n_pairs, "n_states": faces.pairs.n_states, "seed": faces.seed}
        settle(side.folder, shared | {"vae": to_dict(sizes(VARIANTS["full"]).vae), "losses": to_dict(LOSSES)})
        return side

    def run(self, seeds: list[int]) -> None:
        """Train and score what is missing, seed after seed; every result is on disk as soon as it is there."""
        for seed in seeds:
            for name, variant in VARIANTS.items():
                folder = run_folder(self.folder, name, seed)
                self.train(name, variant, seed)
                path = folder / f"scores_{name}.json"
                if not path.exists():
                    said(f"scoring the picture side {name}, seed {seed}")
                    write_json(path, self.score(folder / "vae.safetensors"))

    def train(self, name: str, variant: Variant, seed: int) -> None:
        """Train one version with one seed, or go on with it; nothing where its figures are there."""
        folder = run_folder(self.folder, name, seed)
        if (folder / "training.json").exists():
            return
        said(f"training the picture side {name}, seed {seed}")
        options = train_options(folder, self.steps, seed, self.threads)
        weights = replace(LOSSES, **variant.losses)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.reader(variant, seed), folder / READER)
        output, fitted = folder / "vae.safetensors", self.fitted(variant)
        train_vae(sizes(variant), self.faces.folder, output, options, weights, fitted=fitted)
        net = load_part(folder / "vae.safetensors", "vae")[0]
        n_weights = sum(p.numel() for p in net.parameters())
        write_json(
            folder / "training.json", {"step_s": step_seconds(folder / "vae" / "log.csv"), "n_weights": n_weights}
        )
        shutil.rmtree(folder / "vae" / "checkpoint")  # what only a stopped training needs

    def reader(self, variant: Variant, seed: int) -> Path:
        """The reader of controls of a seed, trained where it is not there: one for all whose faces lie alike."""
        folder = run_folder(self.folder, alike(variant), seed)
        if not (folder / READER).exists():
            said(f"training the reader of {alike(variant)}, seed {seed}")
            options = train_options(folder, self.steps, seed, self.threads)
            train_control_reader(sizes(variant), self.faces.folder, folder / READER, options)
        return folder / READER

    def fitted(self, variant: Variant) -> VAE:
        """The mean face, fitted where it is not there: one for all seeds, and for all whose faces lie alike.

        It comes from a file in half precision, for every version.
        """
        path, config = self.folder / alike(variant) / "vae.safetensors", sizes(variant).vae
        if not path.exists():
            said(f"fitting the mean face of {alike(variant)}")
            vae = VAE(config)
            fit_mean_face(vae, self.faces)
            save_part(path, "vae", vae, config, {})
        vae: VAE = load_part(path, "vae")[0]
        return vae

    @torch.no_grad()
    def score(self, weights: Path) -> dict[str, float]:
        """The table's figures of one version, on heads that were not trained on."""
        net = load_part(weights, "vae")[0].to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        found: dict[str, float] = score_vae(self.faces, SCORED_FRAMES)({"vae": net}, torch.device("cpu"))
        return found


def alike(variant: Variant) -> str:
    """What versions have in common whose faces lie alike."""
    return "aligned" if sizes(variant).vae.is_aligned else "as they lie"


def sizes(variant: Variant) -> ModelConfig:
    """The config of a version."""
    mini = PRESETS["mini"]
    return replace(mini, name="ablation", vae=replace(mini.vae, **variant.vae))


def report(folder: Path, settings: dict[str, Any]) -> list[str]:
    """What docs/results.md says of all runs of the picture side; nothing where none has ended."""
    runs = {name: dict(results(folder, name, name)) for name in VARIANTS}
    runs = {name: by for name, by in runs.items() if by}
    if not runs:
        return []
    some = next(iter(next(iter(runs.values())).values()))
    still = {"psnr": some["psnr_static"], "flow_mouth_px": some["flow_mouth_true_px"]}
    seeds = ", ".join(str(s) for s in sorted({s for by in runs.values() for s in by}))
    return [
        f"{settings['steps']} steps from nothing for each version, {settings['n_pairs']} pairs of heads, of which 5 % "
        f"are held out, seeds {seeds}. Mean ± standard deviation over the seeds.",
        "",
        *table_lines(PICTURE, {name: v.title for name, v in VARIANTS.items()}, runs, {"still portrait": still}),
        "",
        *claim_lines(PICTURE, runs),
    ]
