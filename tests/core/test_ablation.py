"""bench/ablation.py: what it refuses, what it trains and scores, and what its table says of a claim."""

from __future__ import annotations

import argparse
import importlib
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
import torch
from eadnet_core.training.latents import encode_latents

from eadnet_core.errors import BadInput
from eadnet_core.evaluation import heldout
from eadnet_core.evaluation.heldout import draw_cases, with_length
from eadnet_core.nets.denoiser import Denoiser
from eadnet_core.training.data import Cache, build_cache, read_texts
from eadnet_core.training.losses import DenoiserLossWeights
from eadnet_core.weights.experts import load_reader
from eadnet_core.weights.files import load_part
from eadnet_core.weights.folders import EXPERT_PARTS

if TYPE_CHECKING:
    from tests.conftest import Tiny

BENCH = Path(__file__).parent.parent.parent / "bench"


@pytest.fixture(scope="module")
def ablation() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCH))
        return importlib.import_module("ablation")


@pytest.fixture(scope="module")
def table() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCH))
        return importlib.import_module("ablation_table")


class TestTable:
    def test_gains_are_paired_by_seed_and_point_to_the_best(self, table: ModuleType) -> None:
        full = {0: {"lse_c": 0.5, "jitter_ratio": 0.8}, 1: {"lse_c": 0.6}, 7: {"lse_c": 0.9}}
        without = {0: {"lse_c": 0.4, "jitter_ratio": 2.5}, 1: {"lse_c": 0.7}, 2: {"lse_c": 0.0}}
        assert table.compare(full, without, "lse_c").gains == pytest.approx((0.1, -0.1))
        (gain,) = table.compare(full, without, "jitter_ratio").gains
        assert gain == pytest.approx(torch.tensor(2.5 * 0.8).log().item())
        assert table.compare(full, {3: {"lse_c": 1.0}}, "lse_c") is None
        assert table.compare({0: {"offset_error": 1.0}}, {0: {"offset_error": 3.0}}, "offset_error").gains == (2.0,)

    def test_a_claim_needs_all_seeds_and_two_standard_errors(self, table: ModuleType) -> None:
        def said(*gains: float) -> str:
            return table.verdict(table.Difference(gains)).partition(":")[0]

        assert said(0.02, 0.03, 0.025) == "supported"
        assert said(-0.02, -0.03, -0.025) == "not supported"
        assert said(0.02, 0.03, -0.001) == said(0.001, 0.5, 0.001) == said(0.3) == "too small to tell here"
        assert said(0.0, 0.0, 0.0) == "too small to tell here"

    def test_every_claim_has_its_sentence(self, table: ModuleType, ablation: ModuleType) -> None:
        figures = dict.fromkeys(table.COLUMNS, 0.5)
        runs = {name: {seed: figures for seed in range(3)} for name in ablation.ROWS}
        runs["no_syncnet"] = {seed: figures | {"lse_c": 0.2 + seed / 100} for seed in range(3)}
        lines = table.claim_lines(runs)
        assert len(lines) == len(table.CLAIMS)
        assert "supported by LSE-C (gain by seed +0.300, +0.290, +0.280)" in lines[0]
        assert "too small to tell here by mouth correlation" in lines[0]
        assert table.claim_lines({"full": runs["full"]}) == []

    def test_rows_show_mean_and_spread_and_ceilings_their_one_figure(self, table: ModuleType) -> None:
        runs = {"full": {0: {"psnr": 30.0, "lse_c": None}, 1: {"psnr": 32.0, "lse_c": 0.25}}}
        head, rule, full, truth = table.table_lines({"full": "full model"}, runs, {"truth": {"lse_c": 0.5}})
        assert head.count("|") == rule.count("|") == full.count("|") == truth.count("|") == len(table.COLUMNS) + 2
        assert "| 31.00 ± 1.41 |" in full and "| 0.250 |" in full
        assert (
            truth.startswith("| *truth* |") and "| 0.500 |" in truth and truth.count("| - ") == len(table.COLUMNS) - 1
        )

    def test_a_page_keeps_what_stands_around_its_results(self, table: ModuleType, tmp_path: Path) -> None:
        page = tmp_path / "page.md"
        page.write_text(f"# Title\n\n{table.BEGIN}\nold\n{table.END}\n\nLimits.\n")
        for _ in range(2):
            table.write_between(page, ["new", "lines"])
        assert page.read_text() == f"# Title\n\n{table.BEGIN}\n\nnew\nlines\n\n{table.END}\n\nLimits.\n"
        page.write_text("# Title\n")
        with pytest.raises(BadInput, match=r"page\.md' is no page with the lines"):
            table.write_between(page, ["new"])

    def test_the_page_has_its_markers(self, table: ModuleType) -> None:
        head, tail = table.around(BENCH.parent / "docs" / "results.md")
        assert head.startswith("# ") and "## What this cannot say" in tail


def test_versions_lack_what_they_say(ablation: ModuleType) -> None:
    def modules(name: str) -> str:
        variant = ablation.BASE if name == "base" else ablation.VARIANTS[name]
        return " ".join(type(m).__name__ for m in Denoiser(ablation.sizes(variant).denoiser).modules())

    full = modules("full")
    assert "STDA" in full and "TFRM" in full and "TemporalAttention" not in full
    assert "STDA" not in modules("no_stda") and "TemporalAttention" in modules("no_stda")
    assert "TFRM" not in modules("no_tfrm") and "STDA" in modules("no_tfrm")
    assert not any(part in modules("base") for part in ("STDA", "TFRM", "TemporalAttention"))
    assert ablation.VARIANTS["no_syncnet"].losses == {"sync": 0.0} and ablation.LOSSES.sync > 0
    assert ablation.VARIANTS["no_trepa"].losses == {"trepa": 0.0} and ablation.LOSSES.trepa > 0


def test_every_base_starts_from_the_trained_model_without_the_parts(
    small: ModuleType, tiny: Tiny, folder: Path, tmp_path: Path
) -> None:
    whole = load_part(folder / "parts" / "denoiser.safetensors", "denoiser")[0].state_dict()
    kept = load_part(small.stripped(argparse.Namespace(parts=folder / "parts", output=tmp_path)), "denoiser")[0]
    lost = {key for key in whole if key not in kept.state_dict()}
    assert lost and all("stda" in key or "tfrm" in key for key in lost)
    assert all(torch.equal(value, whole[key]) for key, value in kept.state_dict().items())


@pytest.fixture(scope="module")
def folder(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory, tiny_heads: Path) -> Path:
    folder = tmp_path_factory.mktemp("ablation")
    (folder / "parts").mkdir()
    for part in ("vae", "denoiser", "syncnet", "video_features", "lip_reader", "text_reader", *EXPERT_PARTS):
        tiny.write(folder / "parts", part, real_cosine=0.6)
    cache = build_cache(folder / "cache", n_clips=8, seed=1, speech_utterances=4, progress=False)
    encode_latents(cache, load_part(folder / "parts" / "vae.safetensors", "vae")[0], progress=False)
    read_texts(cache, load_reader(str(folder / "parts")).codes)
    return folder


@pytest.fixture
def small(ablation: ModuleType, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    denoiser = replace(tiny.config.denoiser, window_frames=16)
    monkeypatch.setattr(ablation, "PRESETS", {"mini": replace(tiny.config, denoiser=denoiser)})
    monkeypatch.setattr(heldout, "N_UTTERANCES", 12)
    scoring = importlib.import_module("ablation_score")
    monkeypatch.setattr(scoring, "LONG_FRAMES", 55)
    monkeypatch.setattr(scoring, "draw_cases", lambda n, seed: [g[:1] for g in with_length(draw_cases(n, seed), 40)])
    return ablation


def test_step_time_and_shares_come_from_the_log(ablation: ModuleType, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    rows = [(10, 5.0, "diffusion", 9.0), (10, 5.0, "loss", 9.0), (20, 9.0, "loss", 9.0), (30, 90.0, "loss", 9.0)]
    rows += [(40, 94.0, "diffusion", 0.9), (40, 94.0, "graph", -10.0), (40, 94.0, "loss", 1.0)]
    log.write_text("\n".join(["step,seconds,name,value", *(",".join(map(str, row)) for row in rows)]))
    assert ablation.step_seconds(log) == pytest.approx(0.4)
    shares = ablation.loss_shares(log, DenoiserLossWeights(diffusion=1.0, graph=0.01))
    assert shares == {"diffusion": pytest.approx(0.9), "graph": pytest.approx(0.1)}
    full = {0: {"loss_shares": {"diffusion": 0.9, "trepa": 0.00001}}}
    assert "diffusion 90 %, trepa 0.001 %." in ablation.share_lines(full)[0] and ablation.share_lines({}) == []


class TestRun:
    """The whole bench at tiny size, on a real cache."""

    def asked(self, folder: Path, **changes: object) -> argparse.Namespace:
        values = {"cache": folder / "cache", "parts": folder / "parts", "output": folder / "output", "base_steps": 2}
        values |= {"steps": 2, "seeds": [0], "variants": ["label"], "clips": 4, "threads": 1, "write": None}
        return argparse.Namespace(**{**values, **changes})

    def test_it_trains_scores_writes_and_goes_on(
        self, small: ModuleType, table: ModuleType, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        page = folder / "page.md"
        page.write_text(f"{table.BEGIN}\n{table.END}\n")
        small.run(self.asked(folder, write=page))
        scores = json.loads((folder / "output/label/seed0/scores_label.json").read_text())
        assert set(table.COLUMNS) - set(scores) == {"step_s"} and scores["sampling_s"] > 0
        training = json.loads((folder / "output/label/seed0/training.json").read_text())
        assert training["n_weights"] > 0
        assert sum(training["loss_shares"].values()) == pytest.approx(1) and training["loss_shares"]["diffusion"] > 0
        assert "| label for caption |" in page.read_text() and "| *still portrait* |" in page.read_text()
        still = json.loads((folder / "output/ceilings.json").read_text())["still portrait"]
        assert still["jitter_ratio"] == 0
        (folder / "output/label/seed0/scores_label.json").write_text(json.dumps(scores | {"psnr": 12.25}))
        capsys.readouterr()
        small.run(self.asked(folder))
        printed = capsys.readouterr()
        assert "| 12.25 |" in printed.out and printed.err == ""

    def test_what_does_not_fit_is_refused_before_any_training(
        self, small: ModuleType, tiny: Tiny, folder: Path, tmp_path: Path
    ) -> None:
        refused = self.asked(folder, output=tmp_path / "output")
        for changes, words in (
            ({"steps": 0}, "steps is 0; give 1 or more"),
            ({"clips": 6}, "clips is 6; give a multiple of 4"),
            ({"cache": tmp_path}, "No clip cache"),
            ({"write": tmp_path / "none.md"}, "is no page with the lines"),
        ):
            with pytest.raises(BadInput, match=words):
                small.check(argparse.Namespace(**{**vars(refused), **changes}))
        small.check(refused)
        with pytest.raises(BadInput, match="holds runs with other steps: give another --output"):
            small.check(argparse.Namespace(**{**vars(refused), "steps": 3}))
        assert not list(tmp_path.glob("output/*/seed*"))

    def test_a_still_portrait_costs_one_unit_of_trepa(self, small: ModuleType, folder: Path, tmp_path: Path) -> None:
        parts, losses = small.check(self.asked(folder, output=tmp_path / "output"))
        assert losses.trepa * small.still_trepa(Cache(folder / "cache"), parts["video_features"][0]) == pytest.approx(
            small.LOSSES.trepa
        )
        assert replace(losses, trepa=small.LOSSES.trepa) == small.LOSSES and losses.trepa > 0
