"""Evaluation: which clips are drawn, how they are measured, and what the table says; nets are tiny and untrained."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eadnet_core.errors import BadInput
from eadnet_core.evaluation.clips import CEILINGS, Bench, Tally, evaluate
from eadnet_core.evaluation.heldout import Clip, draw_cases, draw_clips, with_emotional_references, with_length
from eadnet_core.evaluation.people import FIGURES, compare_groups, evaluate_people, format_people, judge, people_cases
from eadnet_core.families.family import Model
from eadnet_core.metrics.compare import Measures, measure, summarise
from eadnet_core.metrics.motion import MotionStats
from eadnet_core.metrics.report import json_values
from eadnet_core.metrics.table import HEADLINES, format_table, missed
from eadnet_core.request import GenerateOptions
from eadnet_core.taxonomy import EMOTIONS
from eadnet_core.weights.experts import Experts, load_experts

N_FRAMES = 40
KINDS = [(tone, sex) for tone in ("light", "medium", "dark") for sex in ("female", "male")]


@pytest.fixture(scope="module")
def experts(tiny_folder: Path) -> Experts:
    return load_experts("cpu", tiny_folder)


@pytest.fixture(scope="module")
def clips(tiny_heads: Path) -> list[Clip]:
    """Two emotions on one portrait and voice."""
    group = with_length(draw_cases(4, seed=5), N_FRAMES)[0][:2]
    return next(iter(draw_clips([group], seed=5, size_px=128)))


@pytest.fixture(scope="module")
def tally(tiny_model: Model, experts: Experts, tiny_heads: Path) -> Tally:
    group = with_length(draw_cases(4, seed=5), N_FRAMES)[0][:1]
    variants = {"generated": GenerateOptions(steps=1), "other": GenerateOptions(steps=1, lips=0.0)}
    done: list[int] = []
    result = Bench(tiny_model, experts, 5).run([group], variants, lambda: done.append(1))
    assert len(done) == 1
    return result


class TestCases:
    def test_emotions_and_levels_are_balanced(self) -> None:
        main = [case for group in draw_cases(48, seed=3) for case in group if case.is_main]
        assert Counter(case.emotion for case in main) == dict.fromkeys(EMOTIONS, 6)
        assert Counter((case.emotion, case.level) for case in main) == {(e, i): 2 for e in EMOTIONS for i in range(3)}

    def test_a_group_shares_portrait_and_voice_and_nothing_else(self) -> None:
        groups = draw_cases(16, seed=3)
        for group in groups:
            main = [case for case in group if case.is_main]
            assert len({case.emotion for case in main}) == len({case.seed for case in main}) == 4
            assert len({(case.identity_seed, case.voice_seed) for case in group}) == 1
        assert len({group[0].identity_seed for group in groups}) == len({group[0].voice_seed for group in groups}) == 4

    def test_one_emotion_of_each_group_has_all_levels(self) -> None:
        for group in draw_cases(16, seed=3):
            extra = [case for case in group if not case.is_main]
            whole = [case for case in group if case.seed == extra[0].seed]
            assert sorted(case.level for case in whole) == [0, 1, 2]
            assert {case.emotion for case in whole} == {extra[0].emotion} != {"neutral"}

    def test_the_seed_decides(self) -> None:
        assert draw_cases(8, seed=1) == draw_cases(8, seed=1) != draw_cases(8, seed=2)

    def test_emotional_references_show_what_is_not_asked(self) -> None:
        for group in with_emotional_references(draw_cases(16, seed=3), seed=3):
            shown = {case.reference_emotion for case in group}
            assert len(group) == 4 and len(shown) == 1 and "neutral" not in shown
            assert shown.isdisjoint({case.emotion for case in group})


class TestClips:
    def test_emotion_changes_and_the_rest_does_not(self, clips: list[Clip]) -> None:
        first, second = clips
        np.testing.assert_array_equal(first.truth.reference, second.truth.reference)
        np.testing.assert_array_equal(first.truth.samples, second.truth.samples)
        assert first.truth.emotion != second.truth.emotion
        assert first.truth.frames.shape == (N_FRAMES, 128, 128, 3)
        assert np.abs(first.truth.frames.astype(int) - second.truth.frames).mean() > 0.5

    def test_what_is_given_is_the_truth(self, clips: list[Clip]) -> None:
        clip = clips[0]
        assert clip.prompt and clip.motion.shape == (N_FRAMES, 8)
        np.testing.assert_array_equal(clip.truth.blink, clip.motion[:, 5])
        assert clip.truth.mouth_opening.shape == (N_FRAMES,) and np.abs(clip.truth.samples).max() > 0.01
        assert clip.controls.shape == (N_FRAMES, 28) and clip.reference_controls.shape == (28,)

    def test_the_seed_decides(self, clips: list[Clip]) -> None:
        group = [clips[0].case]
        again = next(iter(draw_clips([group], seed=5, size_px=128)))[0]
        np.testing.assert_array_equal(again.truth.frames, clips[0].truth.frames)
        assert again.prompt == clips[0].prompt


class TestMeasures:
    def test_the_truth_against_itself(self, clips: list[Clip], experts: Experts) -> None:
        true = [measure(clip.truth.frames, clip.truth, experts) for clip in clips]
        summary = summarise(true, true)
        assert summary["psnr"] == summary["background_psnr"] == 100.0
        for name in ("jitter_ratio", "jitter_ratio_mouth", "motion_amplitude_ratio", "mouth_band_ratio", "ssim"):
            assert summary[name] == pytest.approx(1.0)

    def test_a_still_portrait(self, clips: list[Clip], experts: Experts) -> None:
        truth = replace(clips[0].truth, mouth_opening=np.linspace(0, 1, N_FRAMES))  # the small heads' lips stay shut
        still = np.repeat(truth.reference[None], N_FRAMES, 0)
        measures = measure(still, truth, experts)
        summary = summarise([measures], [measure(truth.frames, truth, experts)])
        assert summary["jitter_ratio"] == summary["motion_amplitude_ratio"] == 0.0
        assert not summary["mouth_correlation"] > 0  # nan where the true mouth stays shut
        assert 10 < summary["psnr"] < 45 and summary["background_psnr"] > 40
        assert summary["identity"] == pytest.approx(1.0, abs=1e-5)

    def test_silent_and_still_clips_are_left_out_of_their_means(self) -> None:
        def made(offset: int, windows: int, mouth: float) -> Measures:
            motion = {region: MotionStats(0.1, 0.1, 0.1) for region in ("whole", "mouth", "eyes")}
            return Measures(
                *("sad", "sad", 0.5, mouth, 0.0, 0.0, 0.3, 0.6, offset, windows),
                *(30.0, 30.0, float("nan"), 0.9, 0.9, 0.1, motion, 4.0, 2.0),
            )

        measures = [made(0, 20, 0.8), made(4, 20, float("nan")), made(9, 0, 0.6)]
        summary = summarise(measures, measures)
        assert summary["offset_exact"] == 0.5 and summary["offset_error"] == 2.0
        assert summary["mouth_correlation"] == pytest.approx(0.7)
        assert np.isnan(summary["background_psnr"]) and summary["emotion_accuracy"] == 1.0


class TestBench:
    def test_every_version_is_measured(self, tally: Tally) -> None:
        assert set(tally.measures) == {"generated", "other", *CEILINGS}
        assert all(len(measures) == 1 for measures in tally.measures.values())
        assert tally.n_frames == N_FRAMES and tally.seconds["generated"] > 0
        assert tally.jitter["generated"].shape == (N_FRAMES - 2,)
        assert tally.summary("ground_truth")["psnr"] == 100.0
        assert tally.summary("static_reference")["jitter_ratio"] == 0.0

    def test_options_reach_the_generator(self, tally: Tally) -> None:
        generated, other = tally.measures["generated"][0], tally.measures["other"][0]
        assert generated.psnr != other.psnr

    def test_generation_repeats_itself_and_keeps_to_the_clip(
        self, tiny_model: Model, experts: Experts, tiny_heads: Path
    ) -> None:
        bench = Bench(tiny_model, experts, 5)
        clip = next(iter(draw_clips([with_length(draw_cases(4, seed=5), 35)[0][:1]], 5, 128)))[0]
        reading = tiny_model.reader.read([clip.prompt])[0]
        frames = bench.generate(clip, reading, GenerateOptions(steps=1))
        np.testing.assert_array_equal(frames, bench.generate(clip, reading, GenerateOptions(steps=1)))
        assert frames.shape == bench.reconstruct(clip).shape == clip.truth.frames.shape
        assert frames.dtype == np.uint8

    def test_impossible_requests_are_refused_at_once(self) -> None:
        with pytest.raises(BadInput, match="clips is 6; give a multiple of 4"):
            evaluate(clips=6)
        with pytest.raises(BadInput, match="Unknown section 'sync'; give any of sync_guidance"):
            evaluate(clips=4, sections=["sync"])


class TestTable:
    @pytest.fixture
    def results(self, tally: Tally) -> Iterator[dict[str, object]]:
        versions = {name: {**tally.summary(name), "psnr_gain_over_static": 1.5} for name in ("generated", *CEILINGS)}
        by = {"generated": 0.5, "ground_truth": float("nan")}
        yield json_values(
            {
                **{"model": "tiny", "clips": 4, "seed": 5, "versions": versions, "prompt_accuracy": 0.75},
                **{"accuracy_by_emotion": {"sad": by}, "accuracy_by_level": {"weak": by}},
                **{"seconds_per_second": 0.4321, "peak_memory_gb": 3.0, "psnr": 20.0},
                "sync_guidance": {"off": {**versions["generated"], "strength": 0.0}, "on": versions["generated"]},
                "emotional_references": versions,
                "long_clips": {
                    **{"versions": versions, "jitter_by_frame": [1.0]},
                    **{"jitter_at_window_borders": 1.02, "true_jitter_at_window_borders": 1.0},
                },
            }
        )

    def test_every_headline_stands_beside_its_ceilings(self, results: dict[str, object]) -> None:
        json.dumps(results, allow_nan=False)
        table = format_table(results)
        for title in ("generated", "truth", "VAE", "still", "asked for", "0.43 s per second", "3.00 GB"):
            assert title in table
        psnr = next(line for line in table.splitlines() if line.startswith("PSNR, dB"))
        assert "at least 32" in psnr and " - " in psnr  # the truth against itself has no PSNR
        assert "window borders against elsewhere: generated 1.020, truth 1.000" in table
        assert "SyncNet guidance off and on" in table and "10 s" in table and "sad 0.50/-" in table
        assert max(map(len, table.splitlines())) < 140

    def test_what_falls_short_is_named(self, results: dict[str, object]) -> None:
        assert missed(results) == [
            "psnr is 20.00, asked for at least 32",
            "seconds_per_second is 0.43, asked for at most 0.1",
            "peak_memory_gb is 3.00, asked for at most 2",
        ]
        assert missed({key: bound for key, (_, bound) in HEADLINES.items()}) == []


class TestPeople:
    def test_every_kind_shows_other_emotions_and_voices(self) -> None:
        drawn = [(tone, sex, 10 * i + j) for i in range(8) for j, (tone, sex) in enumerate(KINDS)]
        cases = people_cases(drawn, seed=3)
        assert len({case.identity_seed for case in cases}) == len({case.voice_seed for case in cases}) == 48
        for kind in range(len(KINDS)):
            assert {case.emotion for case in cases[kind :: len(KINDS)]} == set(EMOTIONS)
        assert people_cases(drawn, seed=3) == cases != people_cases(drawn, seed=4)

    def test_the_group_that_has_least_is_named(self) -> None:
        sharp = {"light": 1.0, "medium": 1.0, "dark": 0.5}
        figures = [{**dict.fromkeys(FIGURES, 2.0), "sharp_mouth": sharp[tone]} for tone, _ in KINDS]
        figures[0]["blink_correlation"] = float("nan")  # nobody blinked there
        results = {"model": "tiny", "heads": 6, "seed": 0, **compare_groups(KINDS, figures)}
        assert results["groups"]["dark"]["n_heads"] == 2 and results["groups"]["male"]["n_heads"] == 3
        assert results["groups"]["light"]["mean"]["blink_correlation"] == 2.0
        assert results["least"]["sharp_mouth"] == {"group": "dark", "of_mean": pytest.approx(0.5 / (5 / 6))}
        text = format_people(results)
        assert "least sharp_mouth: dark, 0.60 of the mean (asked for at least .9)" in text
        assert "least psnr_gain: dark, 1.00 of the mean\n" in text

    def test_a_clip_is_judged_against_its_truth(self, tiny_model: Model, experts: Experts, clips: list[Clip]) -> None:
        bench = Bench(tiny_model, experts, 5)
        figures = judge(bench, clips[0], GenerateOptions(steps=1))
        assert set(figures) == set(FIGURES) and -20 < figures["psnr_gain"] < 20

    def test_wrong_numbers_are_refused(self) -> None:
        with pytest.raises(BadInput, match="people is 0; give the number of heads"):
            evaluate_people(n_heads=0)
