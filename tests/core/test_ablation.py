"""bench/ablation.py: what it refuses, what it trains and scores, and what its tables say of a claim."""

from __future__ import annotations

import argparse
import importlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from eadnet_core.errors import BadInput
from eadnet_core.evaluation import heldout
from eadnet_core.nets.denoiser import Denoiser
from eadnet_core.nets.vae import VAE
from eadnet_core.taxonomy import CONTROLS, EMOTION, VISEME_PARAMETERS
from eadnet_core.training.data import Cache, build_cache, read_texts
from eadnet_core.training.faces import FaceCache
from eadnet_core.training.losses import DenoiserLossWeights
from eadnet_core.weights.experts import load_reader
from eadnet_core.weights.files import load_part

if TYPE_CHECKING:
    from tests.conftest import Tiny

BENCH = Path(__file__).parent.parent.parent / "bench"


@dataclass(frozen=True)
class Bench:
    """The modules of bench/ablation.py."""

    main: ModuleType
    denoiser: ModuleType
    picture: ModuleType
    runs: ModuleType
    score: ModuleType
    table: ModuleType


@pytest.fixture(scope="module")
def bench() -> Bench:
    names = ("ablation", "ablation_denoiser", "ablation_picture", "ablation_runs", "ablation_score", "ablation_table")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCH))
        return Bench(*map(importlib.import_module, names))


class TestTable:
    def test_gains_are_paired_by_seed_and_point_to_the_best(self, bench: Bench) -> None:
        columns, compare = bench.table.DENOISER.columns, bench.table.compare
        full = {0: {"viseme_correlation": 0.5, "jitter_ratio": 0.8}, 1: {"viseme_correlation": 0.6}, 7: {}}
        without = {0: {"viseme_correlation": 0.4, "jitter_ratio": 2.5}, 1: {"viseme_correlation": 0.7}, 2: {}}
        figure = "viseme_correlation"
        assert compare(columns[figure], full, without, figure).gains == pytest.approx((0.1, -0.1))
        (gain,) = compare(columns["jitter_ratio"], full, without, "jitter_ratio").gains
        assert gain == pytest.approx(torch.tensor(2.5 * 0.8).log().item())
        assert compare(columns[figure], full, {3: {figure: 1.0}}, figure) is None
        late = {0: {"offset_error": 3.0}}
        assert compare(columns["offset_error"], {0: {"offset_error": 1.0}}, late, "offset_error").gains == (2.0,)

    def test_a_claim_needs_all_seeds_and_two_standard_errors(self, bench: Bench) -> None:
        def said(*gains: float) -> str:
            return bench.table.verdict(bench.table.Difference(gains)).partition(":")[0]

        assert said(0.02, 0.03, 0.025) == "supported"
        assert said(-0.02, -0.03, -0.025) == "not supported"
        assert said(0.02, 0.03, -0.001) == said(0.001, 0.5, 0.001) == said(0.3) == "too small to tell here"
        assert said(0.0, 0.0, 0.0) == "too small to tell here"

    def test_every_claim_has_its_sentence(self, bench: Bench) -> None:
        table = bench.table
        for side, rows in ((table.DENOISER, bench.denoiser.ROWS), (table.PICTURE, bench.picture.VARIANTS)):
            figures = dict.fromkeys(side.columns, 0.5)
            runs = {name: {seed: figures for seed in range(3)} for name in rows}
            claim = side.claims[0]
            runs[claim.without] = {seed: figures | {claim.figures[0]: 0.2 + seed / 100} for seed in range(3)}
            lines = table.claim_lines(side, runs)
            assert len(lines) == len(side.claims)
            title = side.columns[claim.figures[0]].title
            assert f"supported by {title} (gain by seed +0.300, +0.290, +0.280)" in lines[0]
            assert "too small to tell here by" in lines[0]
            assert table.claim_lines(side, {"full": runs["full"]}) == []

    def test_rows_show_mean_and_spread_and_what_stands_beside_one_figure(self, bench: Bench) -> None:
        table = bench.table.PICTURE
        runs = {"full": {0: {"psnr": 30.0, "sharp_mouth": None}, 1: {"psnr": 32.0, "sharp_mouth": 0.25}}}
        beside = {"still portrait": {"psnr": 20.0}}
        head, rule, full, still = bench.table.table_lines(table, {"full": "full model"}, runs, beside)
        assert head.count("|") == rule.count("|") == full.count("|") == still.count("|") == len(table.columns) + 2
        assert "| 31.00 ± 1.41 |" in full and "| 0.25 |" in full
        assert still.startswith("| *still portrait* | 20.00 |") and still.count("| - ") == len(table.columns) - 1

    def test_a_page_keeps_what_stands_around_its_results(self, bench: Bench, tmp_path: Path) -> None:
        table, page = bench.table, tmp_path / "page.md"
        page.write_text(f"# Title\n\n{table.BEGIN}\nold\n{table.END}\n\nLimits.\n")
        for _ in range(2):
            table.write_between(page, ["new", "lines"])
        assert page.read_text() == f"# Title\n\n{table.BEGIN}\n\nnew\nlines\n\n{table.END}\n\nLimits.\n"
        page.write_text("# Title\n")
        with pytest.raises(BadInput, match=r"page\.md' is no page with the lines"):
            table.write_between(page, ["new"])

    def test_the_page_has_its_markers(self, bench: Bench) -> None:
        head, tail = bench.table.around(BENCH.parent / "docs" / "results.md")
        assert head.startswith("# ") and "## What this cannot say" in tail


@pytest.fixture(scope="module")
def scripts() -> list[argparse.Namespace]:
    """Two scripts, happy and neutral, whose lips are noise; one lip parameter never moves."""
    rng = np.random.default_rng(0)
    found = []
    for name in ("happy", "neutral"):
        controls = rng.uniform(0, 0.05, (40, len(CONTROLS))).astype(np.float32)
        controls[:, : len(VISEME_PARAMETERS)] = rng.uniform(0, 1, (40, len(VISEME_PARAMETERS)))
        controls[:, VISEME_PARAMETERS.index("tongue")] = 0
        for unit, value in EMOTION[name].action_units.items():
            controls[:, CONTROLS.index(unit)] += value
        found.append(argparse.Namespace(controls=controls, emotion=name))
    return found


class TestFigures:
    """The denoiser's figures, on scripts of known tracks."""

    def test_the_ground_truth_is_perfect(self, bench: Bench, scripts: list[argparse.Namespace]) -> None:
        figures = bench.score.figures([script.controls for script in scripts], scripts)
        ones = ("viseme_correlation", "opening_correlation", "lip_amplitude", "emotion_accuracy", "motion_ratio")
        assert all(figures[name] == pytest.approx(1) for name in (*ones, "jitter_ratio"))
        assert figures["offset_error"] == figures["units_error"] == figures["intensity_error"] == 0

    def test_each_fault_has_its_figure(self, bench: Bench, scripts: list[argparse.Namespace]) -> None:
        late = bench.score.figures([np.roll(script.controls, 2, axis=0) for script in scripts], scripts)
        assert late["offset_error"] == 2 and late["viseme_correlation"] < 0.5
        small = bench.score.figures([0.5 * script.controls for script in scripts], scripts)
        assert small["lip_amplitude"] == pytest.approx(0.5) and small["motion_ratio"] == pytest.approx(0.5)
        assert small["intensity_error"] == pytest.approx(0.5, abs=0.03) and small["offset_error"] == 0
        calm = [script.controls.copy() for script in scripts]
        for controls in calm:
            controls[:, len(VISEME_PARAMETERS) :] = 0
        assert bench.score.figures(calm, scripts)["emotion_accuracy"] == 0.5
        still = bench.score.figures([np.repeat(script.controls[:1], 40, 0) for script in scripts], scripts)
        assert still["opening_correlation"] == 0 and still["offset_error"] == 5
        assert abs(still["viseme_correlation"]) < 0.3  # clips differ, and they stand in a row


def test_versions_of_the_denoiser_lack_what_they_say(bench: Bench) -> None:
    side = bench.denoiser

    def modules(name: str) -> str:
        variant = side.BASE if name == "base" else side.VARIANTS[name]
        return " ".join(type(m).__name__ for m in Denoiser(side.sizes(variant).denoiser).modules())

    full = modules("full")
    assert "STDA" in full and "TFRM" in full and "TemporalAttention" not in full
    assert "STDA" not in modules("no_stda") and "TemporalAttention" in modules("no_stda")
    assert "TFRM" not in modules("no_tfrm") and "STDA" in modules("no_tfrm")
    assert not any(part in modules("base") for part in ("STDA", "TFRM", "TemporalAttention"))
    assert side.VARIANTS["no_syncnet"].losses == {"sync": 0.0} and side.LOSSES.sync > 0
    assert side.VARIANTS["no_trepa"].losses == {"trepa": 0.0} and side.LOSSES.trepa > 0


def test_versions_of_the_picture_side_lack_what_they_say(bench: Bench, tiny: Tiny) -> None:
    side, image = bench.picture, torch.rand(1, 3, 128, 128)
    points, controls = torch.rand(1, 468, 2), torch.rand(1, len(CONTROLS))

    def change(name: str, points: torch.Tensor = points) -> object:
        torch.manual_seed(0)
        vae = VAE(replace(tiny.config.vae, **side.VARIANTS[name].vae)).eval()
        with torch.no_grad():
            vae.decoder.conv_out.bias.fill_(0.3)
            return vae.predict(vae.motion_latents(controls), torch.zeros(1, 5), vae.read(image, points))

    full, no_light, no_paint = change("full"), change("no_light"), change("no_paint")
    assert full.light.any() and full.alpha.all() and full.paint.any()
    assert not no_light.light.any() and no_light.light.shape == full.light.shape and no_light.alpha.all()
    assert not no_paint.alpha.any() and not no_paint.paint.any() and no_paint.light.any()
    assert torch.equal(change("not_aligned").paint, change("not_aligned", 0 * points).paint)
    assert not torch.equal(full.paint, change("full", 0 * points).paint)
    assert side.VARIANTS["no_flow"].losses == {"flow": 0.0} and side.LOSSES.flow > 0


@pytest.fixture(scope="module")
def folder(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ablation")
    (folder / "parts").mkdir()
    for part in ("denoiser", "syncnet", "video_features", "text_reader"):
        tiny.write(folder / "parts", part, real_cosine=0.6)
    cache = build_cache(folder / "cache", n_clips=8, seed=1, speech_utterances=4, has_pictures=False, progress=False)
    read_texts(cache, load_reader(str(folder / "parts")).codes)
    return folder


@pytest.fixture
def small(bench: Bench, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> Bench:
    mini = {"mini": replace(tiny.config, denoiser=replace(tiny.config.denoiser, window_frames=16))}
    monkeypatch.setattr(bench.denoiser, "PRESETS", mini)
    monkeypatch.setattr(bench.picture, "PRESETS", mini)
    monkeypatch.setattr(bench.score, "N_UTTERANCES", 12)
    cases = bench.score.draw_cases
    monkeypatch.setattr(bench.score, "draw_cases", lambda n, seed: heldout.with_length(cases(n, seed), 40))
    return bench


def asked(folder: Path, **changes: object) -> argparse.Namespace:
    values = {"cache": folder / "cache", "parts": folder / "parts", "faces": None, "output": folder / "output"}
    values |= {
        "base_steps": 2,
        "steps": 2,
        "batch": 1,
        "picture_steps": 2,
        "seeds": [0],
        "variants": ["label"],
        "clips": 4,
    }
    return argparse.Namespace(**{**values, "threads": 1, "write": None, **changes})


def test_every_base_starts_from_the_trained_model_without_the_parts(small: Bench, folder: Path, tmp_path: Path) -> None:
    side = small.denoiser.DenoiserSide.open(asked(folder, output=tmp_path))
    whole = side.nets["denoiser"][0].state_dict()
    kept = load_part(side.stripped(), "denoiser")[0].state_dict()
    lost = {key for key in whole if key not in kept}
    assert lost and all("stda" in key or "tfrm" in key for key in lost)
    assert all(torch.equal(value, whole[key]) for key, value in kept.items())


def test_step_time_and_shares_come_from_the_log(bench: Bench, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    rows = [(10, 5.0, "diffusion", 9.0), (10, 5.0, "loss", 9.0), (20, 9.0, "loss", 9.0), (30, 90.0, "loss", 9.0)]
    rows += [(40, 94.0, "diffusion", 0.9), (40, 94.0, "graph", -10.0), (40, 94.0, "loss", 1.0)]
    log.write_text("\n".join(["step,seconds,name,value", *(",".join(map(str, row)) for row in rows)]))
    assert bench.runs.step_seconds(log) == pytest.approx(0.4)
    shares = bench.runs.loss_shares(log, DenoiserLossWeights(diffusion=1.0, graph=0.01))
    assert shares == {"diffusion": pytest.approx(0.9), "graph": pytest.approx(0.1)}
    full = {0: {"loss_shares": {"diffusion": 0.9, "trepa": 0.00001}}}
    assert "diffusion 90 %, trepa 0.001 %." in bench.runs.share_lines(full)[0] and bench.runs.share_lines({}) == []


class TestRun:
    """The whole bench at tiny size."""

    def test_the_denoiser_trains_is_scored_and_goes_on(
        self, small: Bench, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        page = folder / "page.md"
        page.write_text(f"{small.table.BEGIN}\n{small.table.END}\n")
        small.main.run(asked(folder, write=page))
        run = folder / "output/denoiser/label/seed0"
        scores = json.loads((run / "scores_label.json").read_text())
        assert set(small.table.DENOISER.columns) - set(scores) == {"step_s"} and scores["sampling_s"] > 0
        training = json.loads((run / "training.json").read_text())
        assert training["n_weights"] > 0
        assert sum(training["loss_shares"].values()) == pytest.approx(1) and training["loss_shares"]["diffusion"] > 0
        assert "| label for caption |" in page.read_text() and "| *still portrait* |" in page.read_text()
        rulers = json.loads((folder / "output/denoiser/rulers.json").read_text())
        assert rulers["ground truth"]["viseme_correlation"] == pytest.approx(1)
        assert rulers["still portrait"]["motion_ratio"] == 0
        (run / "scores_label.json").write_text(json.dumps(scores | {"units_error": 12.25}))
        capsys.readouterr()
        small.main.run(asked(folder))
        printed = capsys.readouterr()
        assert "| 12.250 |" in printed.out and printed.err == ""

    def test_the_picture_side_trains_every_version(
        self, small: Bench, faces: FaceCache, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        alone = asked(folder, cache=None, parts=None, faces=faces.folder, output=folder / "pictures")
        small.main.run(alone)
        printed = capsys.readouterr()
        assert "### The picture side" in printed.out and "### The denoiser" not in printed.out
        for name, variant in small.picture.VARIANTS.items():
            run = folder / f"pictures/picture/{name}/seed0"
            scores = json.loads((run / f"scores_{name}.json").read_text())
            assert set(small.table.PICTURE.columns) - set(scores) == {"step_s"} and scores["psnr"] > 0
            assert f"| {variant.title} |" in printed.out
            assert load_part(run / "vae.safetensors", "vae")[1]["config"].items() >= variant.vae.items()
        shared = load_file(folder / "pictures/picture/aligned/vae.safetensors")
        own = load_file(folder / "pictures/picture/not_aligned/seed0/vae.safetensors")
        kept = load_file(folder / "pictures/picture/no_light/seed0/vae.safetensors")
        for name in ("motion_basis.flow", "lips_and_lids.teeth", "canonical.template"):
            assert torch.equal(kept[name], shared[name]), f"{name}: a mean face of its own"
        assert not torch.equal(own["motion_basis.flow"], shared["motion_basis.flow"])
        small.main.run(alone)
        assert capsys.readouterr().err == ""
        with pytest.raises(BadInput, match="holds runs with other steps: give another --output"):
            small.picture.PictureSide.open(argparse.Namespace(**{**vars(alone), "picture_steps": 3}))

    def test_what_does_not_fit_is_refused_before_any_training(self, small: Bench, folder: Path, tmp_path: Path) -> None:
        refused = asked(folder, output=tmp_path / "output")
        for changes, words in (
            ({"steps": 0}, "steps is 0; give 1 or more"),
            ({"batch": 0}, "batch is 0; give 1 or more"),
            ({"clips": 6}, "clips is 6; give a multiple of 4"),
            ({"cache": tmp_path}, "No clip cache"),
            ({"cache": None, "parts": None}, "Neither --cache nor --faces is given"),
            ({"parts": None}, "--cache and --parts belong together"),
            ({"write": tmp_path / "none.md"}, "is no page with the lines"),
            ({"cache": None, "parts": None, "faces": tmp_path}, "holds no rendered pairs of heads"),
        ):
            with pytest.raises(BadInput, match=words):
                small.main.run(argparse.Namespace(**{**vars(refused), **changes}))
        small.denoiser.DenoiserSide.open(refused)
        with pytest.raises(BadInput, match="holds runs with other steps: give another --output"):
            small.denoiser.DenoiserSide.open(argparse.Namespace(**{**vars(refused), "steps": 3}))
        assert not list(tmp_path.glob("output/*/*/seed*"))

    def test_texts_that_nobody_read_are_refused(self, small: Bench, folder: Path, tmp_path: Path) -> None:
        build_cache(tmp_path / "cache", n_clips=8, seed=1, speech_utterances=4, has_pictures=False, progress=False)
        with pytest.raises(BadInput, match="has no codes of its texts"):
            small.denoiser.DenoiserSide.open(asked(folder, cache=tmp_path / "cache", output=tmp_path / "output"))

    def test_a_still_portrait_costs_one_unit_of_trepa(self, small: Bench, folder: Path, tmp_path: Path) -> None:
        losses = small.denoiser.DenoiserSide.open(asked(folder, output=tmp_path / "output")).losses
        features = load_part(folder / "parts" / "video_features.safetensors", "video_features")[0]
        still = small.denoiser.still_trepa(Cache(folder / "cache"), features)
        assert losses.trepa * still == pytest.approx(small.denoiser.LOSSES.trepa)
        assert replace(losses, trepa=small.denoiser.LOSSES.trepa) == small.denoiser.LOSSES and losses.trepa > 0
