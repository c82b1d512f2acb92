"""Takes, the experts that choose among them, and what a denoiser learns from the choice."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from eadnet_core import cli
from eadnet_core.config import ModelConfig
from eadnet_core.errors import BadInput, CheckpointError
from eadnet_core.taxonomy import EMOTIONS
from eadnet_core.training import mini, preference, takes
from eadnet_core.training.data import Cache, CacheInfo, open_or_create
from eadnet_core.training.denoiser_batches import motion_latents
from eadnet_core.training.denoiser_step import draw_noise, scaled
from eadnet_core.training.loop import TrainOptions
from eadnet_core.training.preference import (
    PairBatch,
    PreferenceMix,
    PreferenceObjective,
    preference_loss,
    train_preference,
)
from eadnet_core.training.take_experts import feelings, in_spreads, lip_sync, train_feeling_judge
from eadnet_core.training.takes import TakePlan, draw_takes, script_batch, scripts
from eadnet_core.weights.files import load_part, save_part
from eadnet_core.weights.parts import PARTS

if TYPE_CHECKING:
    from tests.conftest import Tiny

N_CLIPS, N_FRAMES = 12, 16


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """Clips without pictures, whose emotions can be told by the face; every sixth is of two emotions."""
    info = CacheInfo(N_CLIPS, N_FRAMES, 128, 0, "train", 4, has_pictures=False)
    made, rng = open_or_create(tmp_path_factory.mktemp("cache"), info), np.random.default_rng(0)
    for name in ("mel", "motion"):
        made.array(name, "r+")[:] = rng.normal(0, 0.3, made.array(name).shape)
    made.array("energy", "r+")[:] = 0.5
    emotion = np.arange(N_CLIPS) % len(EMOTIONS)
    for name in ("controls", "reference_controls"):
        made.array(name, "r+")[:] = rng.uniform(0, 0.3, made.array(name).shape)
    level = np.arange(N_CLIPS) // len(EMOTIONS)
    made.array("controls", "r+")[np.arange(N_CLIPS), :, 9 + emotion] += 1 + level[:, None]
    made.array("emotion", "r+")[:] = emotion
    made.array("level", "r+")[:] = level
    codes = np.zeros((N_CLIPS, 27), np.float32)
    codes[np.arange(N_CLIPS), emotion], codes[:, 8] = 1, 0.7
    made.array("codes", "r+")[:] = codes[:, None]
    made.array("text_codes", "r+")[:] = codes[:, None]
    made.array("is_pure", "r+")[:] = np.arange(N_CLIPS) % 6 > 0
    made.array("rendered", "r+")[:] = 1
    made.flush()
    return made


@pytest.fixture(scope="module")
def config(tiny: Tiny) -> ModelConfig:
    return replace(tiny.config, denoiser=replace(tiny.config.denoiser, guides_itself=True))


@pytest.fixture(scope="module")
def model(tiny: Tiny, config: ModelConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a mini that looks at its noise: weights that start at zero are drawn too."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(1)
    nets = PARTS["denoiser"].build(config).eval()
    with torch.no_grad():
        for weight in nets.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    save_part(folder / "denoiser.safetensors", "denoiser", nets, config, {"steps": 7})
    tiny.write(folder, "syncnet")
    return folder


def nets_of(model: Path) -> Any:
    return load_part(model / "denoiser.safetensors", "denoiser")[0]


def options(folder: Path, steps: int = 3, **changes: object) -> TrainOptions:
    values = {"batch": 2, "log_every": 1, "device": "cpu", "progress": False, "learning_rate": 1e-3, **changes}
    return TrainOptions(max_steps=steps, run_folder=folder / "runs", **values)  # type: ignore[arg-type]


PLAN = TakePlan(n_scripts=N_CLIPS, n_takes=2, n_steps=1)


def train(model: Path, cache: Cache, folder: Path, **changes: object) -> dict[str, Any]:
    output = folder / "preferred.safetensors"
    train_preference(model, cache.folder, output, options(folder, **changes), plan=PLAN)
    return load_part(output, "denoiser")[0].state_dict()


@pytest.fixture
def pair(cache: Cache, config: ModelConfig) -> PairBatch:
    """A take with a wide smile, which is to be preferred, and one without."""
    clips = script_batch(cache, config.denoiser, np.array([5, 7]))
    controls = motion_latents().read(clips.latents)
    return PairBatch(clips, motion_latents()(controls + 0.1), motion_latents()(controls - 0.1))


# The loss


def test_who_prefers_nothing_pays_log_2(pair: PairBatch, model: Path, config: ModelConfig) -> None:
    objective = PreferenceObjective(nets_of(model), nets_of(model), config.denoiser, PreferenceMix())
    for _ in range(2):  # at pure noise and elsewhere
        losses = objective(pair)
        assert float(losses["loss"]) == pytest.approx(math.log(2), abs=1e-5)
        assert float(losses["best_error"]) == pytest.approx(1)


def test_the_gradient_prefers_the_best_take() -> None:
    best, worst = (torch.ones(3, requires_grad=True) for _ in range(2))
    preference_loss(best, worst, torch.ones(3), torch.ones(3), 2.0).backward()
    assert bool((best.grad > 0).all()) and bool((worst.grad < 0).all()), "descent lowers the error on the best"  # type: ignore[operator]
    assert torch.equal(best.grad, -worst.grad)  # type: ignore[arg-type, operator]
    learned = preference_loss(torch.zeros(1), torch.ones(1), torch.ones(1), torch.ones(1), 20.0)
    undone = preference_loss(torch.ones(1), torch.zeros(1), torch.ones(1), torch.ones(1), 20.0)
    assert float(learned) < 1e-3 and float(undone) == pytest.approx(10, abs=0.01)


@pytest.mark.parametrize("pure_noise", [0.0, 1.0])
def test_training_learns_to_prefer_at_every_noise(
    pair: PairBatch, model: Path, config: ModelConfig, pure_noise: float
) -> None:
    frozen = nets_of(model)
    before = {name: value.clone() for name, value in frozen.state_dict().items()}
    nets, mix = nets_of(model).requires_grad_(True), PreferenceMix(beta=50.0, pure_noise=pure_noise)
    objective = PreferenceObjective(nets, frozen, config.denoiser, mix).train()
    optimizer = torch.optim.Adam(nets.parameters(), 1e-3)
    torch.manual_seed(0)
    for _ in range(8):
        losses = objective(pair)
        losses["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
    assert float(losses["loss"].detach()) < 0.6 and float(losses["preferred"]) == 1
    assert all(torch.equal(value, before[name]) for name, value in frozen.state_dict().items()), "it is the measure"


def test_at_pure_noise_one_prediction_serves_both_takes(
    pair: PairBatch, model: Path, config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    nets, calls, real = nets_of(model), [], preference.predict
    objective = PreferenceObjective(nets, nets_of(model), config.denoiser, PreferenceMix())
    monkeypatch.setattr(preference, "predict", lambda *args, **more: (calls.append(1), real(*args, **more))[1])
    noise = draw_noise(scaled(pair.best, nets["denoiser"]), 1.0)
    with torch.no_grad():
        both = objective.errors(nets, pair, noise, torch.ones(2))
        assert len(calls) == 1
        nearly = objective.errors(nets, pair, noise, torch.full((2,), 1 - 1e-6))
        assert len(calls) == 3
    for one, other in zip(both, nearly, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


# Takes and experts


def test_takes_differ_and_are_drawn_once(cache: Cache, model: Path, config: ModelConfig, tmp_path: Path) -> None:
    nets, clips = nets_of(model), scripts(cache, N_CLIPS)
    assert 0 not in clips and 6 not in clips and len(clips) == 10, "clips of two emotions are no scripts"
    drawing = draw_takes(nets, cache, config.denoiser, PLAN, tmp_path / "takes")
    assert next(drawing) == takes.BLOCK
    drawing.close()
    stamp = (tmp_path / "takes" / "000000.npy").stat().st_mtime_ns
    assert sum(draw_takes(nets, cache, config.denoiser, PLAN, tmp_path / "takes")) == len(clips)
    assert (tmp_path / "takes" / "000000.npy").stat().st_mtime_ns == stamp
    list(draw_takes(nets, cache, config.denoiser, PLAN, tmp_path / "at once"))
    for file in sorted((tmp_path / "at once").glob("*.npy")):
        found = np.load(file)
        assert found.shape[1:] == (2, config.denoiser.window_frames, 28)
        assert np.array_equal(found, np.load(tmp_path / "takes" / file.name))
        assert (found.std(1).mean((1, 2)) > 1e-3).all()


def test_the_judge_tells_feelings_apart_and_never_sees_what_validates(cache: Cache) -> None:
    judge = train_feeling_judge(cache, 0)
    learned = scripts(cache, N_CLIPS)[scripts(cache, N_CLIPS) >= cache.n_monitor]
    said = judge(cache.tensor("controls", (learned,))).argmax(1)
    wanted = feelings(cache.array("emotion")[learned], cache.array("level")[learned])
    assert torch.equal(said, wanted)
    first = np.array(cache.array("controls")[: cache.n_monitor])
    try:
        cache.array("controls", "r+")[: cache.n_monitor] = 0
        assert torch.equal(train_feeling_judge(cache, 0).layers[0].weight, judge.layers[0].weight)  # type: ignore[arg-type]
    finally:
        cache.array("controls", "r+")[: cache.n_monitor] = first


def test_silence_says_nothing_of_lips(cache: Cache, tiny: Tiny) -> None:
    syncnet: Any = tiny.net("syncnet").requires_grad_(False)
    clips = np.array([4, 5])
    controls, energy = cache.tensor("controls", (clips,)), np.array(cache.array("energy")[clips])
    try:
        cache.array("energy", "r+")[4] = 0
        found = lip_sync(controls, cache, clips, syncnet)
        assert float(found[0]) == 0 and float(found[1]) != 0
    finally:
        cache.array("energy", "r+")[clips] = energy


def test_every_expert_counts_the_same() -> None:
    found = torch.randn(6, 4, 3, generator=torch.Generator().manual_seed(0))
    large = found * torch.tensor([1.0, 1000.0, 0.001]) + torch.tensor([5.0, -3.0, 0.0])
    torch.testing.assert_close(in_spreads(found), in_spreads(large), rtol=1e-3, atol=1e-3)


# The command


def test_a_stopped_run_ends_like_an_unbroken_one(
    model: Path, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopping_at: Callable[..., Any]
) -> None:
    """Stopped while it draws takes, then in training; all the same to the bit. The averaged weights are written."""
    whole = train(model, cache, tmp_path / "whole", steps=3)
    assert any(not torch.equal(value, whole[name]) for name, value in nets_of(model).state_dict().items())

    for place, name, call in ((takes, "draw_take", 3), (preference, "draw_pairs", 2)):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(place, name, stopping_at(call, getattr(place, name)))
            train(model, cache, tmp_path / "broken", steps=3)
    resumed = train(model, cache, tmp_path / "broken", steps=3)
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_what_is_written_says_how_it_came_about(model: Path, cache: Cache, tmp_path: Path) -> None:
    train(model, cache, tmp_path)
    nets, about = load_part(tmp_path / "preferred.safetensors", "denoiser")
    assert isinstance(nets, nn.ModuleDict) and set(nets) == {"denoiser", "audio", "emotion"}
    assert about["before_steps"] == 7 and about["steps"] == 3
    assert set(about["scores"]) == {"held_out_preferred", "lips", "feeling", "stillness", "moved"}
    assert about["scores"]["moved"] > 0


def test_bad_input_is_refused(model: Path, cache: Cache, tiny_base_folder: Path, tmp_path: Path) -> None:
    def run(folder: Path = model, plan: TakePlan = PLAN) -> None:
        train_preference(folder, cache.folder, tmp_path / "out.safetensors", options(tmp_path), plan=plan)

    for beta in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(BadInput, match="beta"):
            PreferenceMix(beta=beta)
    for wrong, said in (({"n_takes": 1}, "takes is 1"), ({"n_scripts": 0}, "scripts"), ({"n_steps": 0}, "steps")):
        with pytest.raises(BadInput, match=said):
            replace(PLAN, **wrong)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="holds a base"):
        run(tiny_base_folder)
    with pytest.raises(CheckpointError, match=r"denoiser\.safetensors"):
        run(tmp_path)
    with pytest.raises(BadInput, match="none to learn from"):
        run(plan=replace(PLAN, n_scripts=cache.n_monitor - 1))
    with pytest.raises(BadInput, match="takes of another denoiser"):
        run(plan=replace(PLAN, seed=1))


def test_the_command_reads_words_once_and_writes_a_denoiser(
    model: Path, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked, read = [], []
    (tmp_path / "caches").mkdir()
    (tmp_path / "caches" / "preference").symlink_to(cache.folder)

    def rendered(folder: Path, plan: Any, *_: object) -> Path:
        asked.append(plan.n_clips)
        return folder

    monkeypatch.setattr(mini, "render_cache", rendered)
    monkeypatch.setattr(mini, "read_texts", lambda *_: read.append(1))
    monkeypatch.setattr(mini, "load_reader", lambda name: type("Reader", (), {"codes": None}))
    given = ["--scripts", "12", "--takes", "2", "--take-steps", "1", "--steps", "1", "--batch", "1", "--device", "cpu"]
    for _ in range(2):
        assert cli.main(["train", "preference", "--model", str(model), "--output", str(tmp_path), *given]) == 0
    assert asked == [12, 12] and read == [1]
    assert '"held_out_preferred"' in capsys.readouterr().out
    load_part(tmp_path / "preferred.safetensors", "denoiser")
