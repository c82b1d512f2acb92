"""The evaluation of emotion: what is asked and counted, with tiny untrained nets; the rulers themselves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from eadnet_core.cli import main
from eadnet_core.emotion.code import emotion_code
from eadnet_core.errors import BadInput
from eadnet_core.evaluation import emotion as module
from eadnet_core.evaluation.emotion import (
    PAIRS,
    PROMPTS,
    EmotionBench,
    evaluate_emotion,
    format_emotion,
    read_prompts,
)
from eadnet_core.evaluation.heldout import draw_scenes
from eadnet_core.families.family import Model, with_model_defaults
from eadnet_core.metrics.curves import Curve, draw_curves
from eadnet_core.metrics.probe import identity_accuracy
from eadnet_core.request import GenerateOptions
from eadnet_core.taxonomy import EMOTIONS
from eadnet_core.weights.experts import load_experts

N_FRAMES = 40
MOST_SHARED = 0.75
"""Share of words that a test prompt may have in common with any phrase the reader learned from."""


@pytest.fixture(scope="module")
def bench(tiny_model: Model, tiny_folder: Path, tiny_heads: Path) -> EmotionBench:
    scenes = list(draw_scenes(1, 7, N_FRAMES, 128))
    options = with_model_defaults(tiny_model, GenerateOptions())
    return EmotionBench(tiny_model, load_experts("cpu", tiny_folder), options, scenes, 7, lambda: None)


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    """As little as shows that everything is asked."""
    monkeypatch.setattr(module, "CLIP_FRAMES", N_FRAMES)
    monkeypatch.setattr(module, "STEPS", (0.0, 1.0))
    monkeypatch.setattr(module, "PAIRS", PAIRS[:2])
    monkeypatch.setattr(module, "PROBED_HEADS", 2)
    few = {name: (values[:2], 8, unit) for name, (values, _, unit) in module.AMPLITUDES.items()}
    monkeypatch.setattr(module, "AMPLITUDES", few)


class TestScenes:
    def test_a_scene_shows_one_head_whatever_it_feels(self, bench: EmotionBench) -> None:
        (scene,) = bench.scenes
        angry, sad = scene.frames("angry", 2, 10), scene.frames("sad", 2, 10)
        assert angry.shape == (4, 128, 128, 3) and scene.reference.shape == (128, 128, 3)
        assert 0.5 < np.abs(angry.astype(int) - sad).mean() < 20
        assert len(scene.mouth_opening("sad", 1)) == N_FRAMES and len(scene.samples) == 640 * N_FRAMES

    def test_scenes_are_others_by_number_and_the_same_by_seed(self, bench: EmotionBench) -> None:
        (again,) = draw_scenes(1, 7, N_FRAMES, 128)
        (other,) = draw_scenes(1, 7, N_FRAMES, 128, first=1)
        np.testing.assert_array_equal(again.reference, bench.scenes[0].reference)
        assert np.abs(other.reference.astype(int) - again.reference).mean() > 5
        assert not np.array_equal(other.samples, again.samples)


class TestPrompts:
    def test_they_are_many_balanced_and_well_formed(self) -> None:
        rows = read_prompts(PROMPTS)
        assert len(rows) >= 150 and len({text for text, _ in rows}) == len(rows)
        assert {label: sum(k == label for _, k in rows) for label in EMOTIONS} == dict.fromkeys(EMOTIONS, 20)

    def test_none_was_trained_on(self) -> None:
        from eadnet_core.training.text_reader import PHRASES, write_examples

        def words(text: str) -> frozenset[str]:
            return frozenset("".join(c if c.isalnum() else " " for c in text.lower()).split())

        seen = {words(line.split("\t")[-1]) for line in PHRASES.read_text(encoding="utf-8").splitlines()}
        seen |= {words(example.text) for example in write_examples(np.random.default_rng(0), 0, 4000, "train")}
        for text, _ in read_prompts(PROMPTS):
            asked = words(text)
            shared = max(len(asked & known) / len(asked | known) for known in seen)
            assert shared < MOST_SHARED, f"{text!r} is too near to what the reader learned from: write another prompt"

    def test_a_faulty_line_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "p.tsv"
        path.write_text("prompt\tlabel\nfine\thappy\nodd\tcheerful\n")
        with pytest.raises(BadInput, match="line 3: expected a prompt, a tab"):
            read_prompts(path)
        with pytest.raises(BadInput, match="cannot be read"):
            read_prompts(tmp_path / "none.tsv")


class TestBench:
    def test_every_figure_is_there_and_can_be_read(
        self, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        made = {name: tmp_path / f"f.{name}" for name in ("json", "png", "tsv")}
        made["tsv"].write_text("prompt\tlabel\nso happy\thappy\nsad\tsad\n")
        command = ["evaluate", "--emotion", "--model", str(tiny_folder), "--device", "cpu", "--portraits", "1"]
        command += ["--prompts", str(made["tsv"]), "--json", str(made["json"]), "--plot", str(made["png"])]
        assert main(command) == 0
        results = json.loads(made["json"].read_text())
        for key in (*module.HEADLINES, "prompt_accuracy", "identity_leakage", "seconds_to_new_frames"):
            assert isinstance(results[key], float), key
        assert set(results["amplitude_curves"]) == {"emotion_scale", "head", "lips", "blink", "gaze"}
        assert results["prompts"] == 2 and results["identity_leakage_chance"] == 0.5
        assert made["png"].stat().st_size > 10_000
        table = capsys.readouterr().out
        assert "emotion_accuracy" in table and "at least 0.9" in table and "(ground truth" in table
        del results["prompt_accuracy"]
        assert "prompt_accuracy             not measured" in format_emotion(results)

    def test_as_many_clips_are_made_as_the_bar_is_told(self, bench: EmotionBench) -> None:
        made: list[int] = []
        bench.on_clip = lambda: made.append(1)
        bench.wait()
        bench.intensity()
        bench.blends()
        bench.amplitudes()
        bench.prompts([("", "neutral")])
        assert len(made) == module._n_clips(1, 1) - len(list(module._cells())) - len(EMOTIONS)

    def test_amplitudes_reach_the_generator(self, bench: EmotionBench) -> None:
        code, (scene,) = emotion_code("sad", 1.0), bench.scenes
        usual = bench.make(scene, code, 12)
        np.testing.assert_array_equal(usual, bench.make(scene, code, 12))
        for change in ({"emotion_scale": 0.0}, {"head": 0.0}, {"lips": 0.0}, {"gaze": 1.5}):
            assert not np.array_equal(usual, bench.make(scene, code, 12, **change)), change

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--emotion", "--portraits", "0"], "portraits is 0"),
            (["--emotion", "--prompts", "none.tsv"], "none.tsv"),
            (["--emotion", "--plot", "p.jpg"], "must end in .png"),
            (["--plot", "p.png"], "belong to --emotion"),
        ],
    )
    def test_impossible_requests_are_refused_at_once(
        self, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["evaluate", *arguments]) == 2
        assert message in capsys.readouterr().err

    def test_a_base_is_refused(self, tiny_base_folder: Path) -> None:
        with pytest.raises(BadInput, match="is a base"):
            evaluate_emotion(str(tiny_base_folder))


class TestRulers:
    def test_a_rising_curve_has_rank_one_whatever_its_shape(self) -> None:
        assert Curve((0, 1, 2, 3), (0.0, 0.01, 5, 5.1)).spearman == pytest.approx(1.0)
        assert Curve((0, 1, 2, 3), (3, 2, 1, 0)).spearman == pytest.approx(-1.0)
        assert Curve((0, 1, 2, 3), (0, 1, 1, 2)).spearman == pytest.approx(np.sqrt(0.9))

    def test_the_probe_finds_a_face_behind_any_emotion(self) -> None:
        rng = np.random.default_rng(0)
        heads, feelings = rng.normal(size=(12, 1, 6)), 5 * rng.normal(size=(1, 8, 6))
        noise = 0.1 * rng.normal(size=(12, 8, 6))
        assert identity_accuracy(heads + feelings + noise) > 0.95
        assert identity_accuracy(feelings + noise) < 0.25

    def test_the_page_is_drawn(self) -> None:
        curve = Curve((0.0, 0.5, 1.0), (0.1, 0.4, 0.9))
        amplitudes = {name: (curve, "unit") for name in ("emotion_scale", "head", "lips", "blink", "gaze")}
        page = draw_curves("title", dict.fromkeys(EMOTIONS[1:], curve), {"a + b": curve}, amplitudes)
        assert page.size == (1200, 1130) and np.asarray(page).std() > 10
