"""The shipped minis on fresh held-out clips: a regression of what they can do fails here."""

from __future__ import annotations

from typing import Any

import pytest

from eadnet_core.evaluation.clips import Bench, evaluate
from eadnet_core.evaluation.heldout import CLIPS_PER_GROUP, draw_cases
from eadnet_core.families.family import with_model_defaults
from eadnet_core.families.load import load_model
from eadnet_core.metrics.table import format_table
from eadnet_core.request import GenerateOptions
from eadnet_core.weights.experts import load_experts

CLIPS = 16
SEED = 2024
AT_LEAST = {
    "mouth_correlation": 0.77,
    "offset_exact": 0.85,
    "emotion_accuracy": 0.82,
    "emotion_accuracy_ground_truth": 0.87,
    "prompt_accuracy": 0.85,
    "intensity_order": 0.75,
    "psnr": 30.6,
    "psnr_gain_over_static": 5.8,
    "background_psnr": 45.0,
}
"""What the shipped mini was measured at on 48 clips (see its model card), less what chance does to so few."""
AT_MOST = {"jitter_ratio": 1.0, "peak_memory_gb": 2.0, "seconds_per_second": 2.0}
"""Seconds with room for a busy machine."""


AT_LEAST_256 = {"psnr": 27.4, "background_psnr": 47.0}
GAIN_256 = 6.8
"""Of the pictures alone, and in dB above a still portrait: the mini-256 has the mini's denoiser, and four clips of one
voice say little of lips."""


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    return evaluate("mini", CLIPS, SEED, device="cpu")


@pytest.mark.parametrize(("key", "bound"), AT_LEAST.items())
def test_is_at_least(results: dict[str, Any], key: str, bound: float) -> None:
    assert results[key] >= bound, "\n" + format_table(results)


@pytest.mark.parametrize(("key", "bound"), AT_MOST.items())
def test_is_at_most(results: dict[str, Any], key: str, bound: float) -> None:
    assert results[key] <= bound, "\n" + format_table(results)


def test_the_mini_256_draws_as_it_did() -> None:
    bench = Bench(load_model("mini-256", "cpu", "auto"), load_experts("cpu", "mini-256"), SEED)
    groups = [[case for case in group if case.is_main] for group in draw_cases(CLIPS_PER_GROUP, SEED)]
    tally = bench.run(groups, {"generated": with_model_defaults(bench.model, GenerateOptions())}, lambda: None)
    made, still = tally.summary("generated"), tally.summary("static_reference")
    assert all(made[key] >= bound for key, bound in AT_LEAST_256.items()), made
    assert made["psnr"] - still["psnr"] >= GAIN_256
    assert made["jitter_ratio"] <= AT_MOST["jitter_ratio"]


def test_generated_clips_beat_a_still_portrait(results: dict[str, Any]) -> None:
    still, made = (results["versions"][version] for version in ("static_reference", "generated"))
    for key in ("mouth_correlation", "lse_c", "emotion_accuracy", "psnr"):
        assert made[key] > still[key], key


def test_no_figure_is_better_than_the_rulers_allow(results: dict[str, Any]) -> None:
    made, ceiling = (results["versions"][version] for version in ("generated", "vae_reconstruction"))
    assert made["psnr"] <= ceiling["psnr"] and made["mouth_correlation"] <= ceiling["mouth_correlation"] + 0.05
