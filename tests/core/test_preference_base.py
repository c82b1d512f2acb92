"""A base's takes of a mouth, the experts that choose among them, and what its denoiser learns from the choice."""

from __future__ import annotations

import copy
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from eadnet_core import cli
from eadnet_core.config import SMALL_BASE
from eadnet_core.corpus.shards import ClipRecord, encode_clip, read_shards, write_shards
from eadnet_core.errors import BadInput
from eadnet_core.families.base import BaseModel
from eadnet_core.families.load import load_model
from eadnet_core.media.image import read_image
from eadnet_core.training import preference_base
from eadnet_core.training.adapter_losses import AdapterLossWeights, load_judges
from eadnet_core.training.base import train_base
from eadnet_core.training.base_clips import encode_folder
from eadnet_core.training.loop import TrainOptions
from eadnet_core.training.preference import PreferenceMix
from eadnet_core.training.preference_base import (
    EXPERTS,
    BasePreference,
    TakesBatch,
    Windows,
    draw_take,
    scores,
    train_base_preference,
    trembling,
)
from eadnet_core.training.takes import TakePlan
from eadnet_core.weights.files import load_part
from eadnet_core.weights.folders import ASSETS

N_FRAMES = 24
PLAN = TakePlan(n_scripts=4, n_takes=2, n_steps=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shard of two clips of a face that moves, with a voice."""
    folder = tmp_path_factory.mktemp("clips")
    picture = read_image(ASSETS / "sample" / "portrait.png")[::4, ::4]
    t = np.arange(N_FRAMES * 640) / 16_000
    clips = []
    for name, pitch_hz in (("one", 180), ("two", 120)):
        frames = np.stack([np.roll(picture, i * pitch_hz // 500, axis=1) for i in range(N_FRAMES)])
        voice = (0.4 * np.sin(2 * np.pi * pitch_hz * t) * np.sin(2 * np.pi * 2 * t) ** 2).astype(np.float32)
        clips.append((name, encode_clip(ClipRecord(frames, picture, voice, {}, {}))))
    write_shards(clips, folder)
    return folder


@pytest.fixture(scope="module")
def base(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a base after one step."""
    folder = tmp_path_factory.mktemp("trained")
    options = TrainOptions(max_steps=1, max_minutes=1, batch=1, device="cpu", progress=False)
    train_base(SMALL_BASE, data, folder, options, nets=("whisper", "vae", "syncnet", "denoiser"))
    return folder / SMALL_BASE.name


@pytest.fixture(scope="module")
def windows(base: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Windows:
    encoded = tmp_path_factory.mktemp("encoded")
    clips = encode_folder(data, encoded, base, SMALL_BASE.size_px, torch.device("cpu"), 8)
    return Windows(clips, SMALL_BASE.denoiser, 0)


def denoiser_of(folder: Path) -> Any:
    return load_part(folder / "denoiser.safetensors", "denoiser")[0]


def options(folder: Path, steps: int = 2) -> TrainOptions:
    return TrainOptions(
        max_steps=steps,
        batch=1,
        log_every=1,
        device="cpu",
        progress=False,
        learning_rate=1e-3,
        run_folder=folder / "runs",
    )


def train(base: Path, data: Path, folder: Path, plan: TakePlan = PLAN) -> dict[str, Any]:
    output = folder / "preferred.safetensors"
    train_base_preference(base, data, output, options(folder), plan=plan)
    return load_part(output, "denoiser")[0].state_dict()


def test_a_number_is_the_same_window_in_any_company(windows: Windows) -> None:
    alone, among = windows(np.array([3])), windows(np.array([2, 3]))
    assert torch.equal(alone.latents[0], among.latents[1]) and torch.equal(alone.mel[0], among.mel[1])
    assert not torch.equal(among.latents[0], among.latents[1])
    assert bool((among.has_mel > 0).all()), "places with enough sound are looked for"
    assert windows.validates(np.arange(4)).tolist() == [True, False, True, False]


def test_takes_differ_by_their_noise_alone(windows: Windows, base: Path) -> None:
    net, batch = denoiser_of(base), windows(np.array([0, 1]))
    drawn = [draw_take(net, batch, 2, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert drawn[0].shape == batch.latents.shape and torch.equal(drawn[0], drawn[1])
    assert float((drawn[0] - drawn[2]).abs().mean()) > 1e-3


def test_experts_hear_lips_and_see_trembling(windows: Windows, base: Path) -> None:
    batch = windows(np.array([0, 1]))
    judges = load_judges(base, SMALL_BASE, AdapterLossWeights(sync=1.0))
    deaf = replace(batch, has_mel=torch.tensor([1.0, 0.0]))
    said = scores(batch.latents, deaf, judges)
    assert said.shape == (2, len(EXPERTS)) and float(said[1, 0]) == 0 and float(said[0, 0]) != 0
    t = torch.arange(8.0)[None, :, None, None, None].expand(1, 8, 16, 8, 8)
    slow, quick = torch.sin(0.3 * t), torch.sin(2.5 * t)
    assert float(trembling(slow)) < float(trembling(quick))
    assert float(trembling(slow)) == pytest.approx(float(trembling(2 * slow)), abs=0.02)


def test_who_prefers_nothing_pays_log_2_and_training_prefers(windows: Windows, base: Path) -> None:
    frozen = denoiser_of(base)
    before = {name: value.clone() for name, value in frozen.state_dict().items()}
    denoiser = copy.deepcopy(frozen).requires_grad_(True)
    objective = BasePreference(denoiser, frozen, PreferenceMix(beta=20.0)).train()
    batch = windows(np.array([0, 1]))
    pair = TakesBatch(batch, batch.latents + 0.5, batch.latents - 0.5)
    optimizer = torch.optim.Adam(denoiser.parameters(), 1e-3)
    torch.manual_seed(0)
    losses = objective(pair)
    assert float(losses["loss"].detach()) == pytest.approx(math.log(2), abs=1e-4)
    assert float(losses["best_error"]) == pytest.approx(1, abs=1e-4)
    for _ in range(6):
        objective(pair)["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
    losses = objective(pair)
    assert float(losses["loss"].detach()) < 0.6 and float(losses["preferred"]) == 1
    assert all(torch.equal(value, before[name]) for name, value in frozen.state_dict().items()), "it is the measure"


def test_a_stopped_run_ends_like_an_unbroken_one_and_opens_as_a_base(
    base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopping_at: Callable[..., Any]
) -> None:
    """Stopped while it draws takes, then in training; all the same to the bit."""
    whole = train(base, data, tmp_path / "whole")
    assert any(not torch.equal(value, whole[name]) for name, value in denoiser_of(base).state_dict().items())

    for name, call in (("draw_take", 1), ("preference_loss", 1)):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(preference_base, name, stopping_at(call, getattr(preference_base, name)))
            train(base, data, tmp_path / "broken")
    resumed = train(base, data, tmp_path / "broken")
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())

    shutil.copytree(base, tmp_path / "tuned")
    shutil.copy(tmp_path / "whole" / "preferred.safetensors", tmp_path / "tuned" / "denoiser.safetensors")
    assert isinstance(load_model(str(tmp_path / "tuned"), "cpu"), BaseModel)
    about = load_part(tmp_path / "whole" / "preferred.safetensors", "denoiser")[1]
    assert set(about["scores"]) == {"held_out_preferred", *EXPERTS, "moved"} and about["scores"]["moved"] > 0


def test_bad_input_is_refused(base: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(base, data, tmp_path / "one")
    alone = tmp_path / "alone"
    alone.mkdir()
    write_shards(list(read_shards(sorted(data.glob("*.tar"))))[:1], alone)
    with pytest.raises(BadInput, match="none to learn from"):
        train(base, alone, tmp_path / "three")
    with pytest.raises(BadInput, match="takes of another denoiser"):
        train(base, data, tmp_path / "one", replace(PLAN, seed=1))
    deaf = tmp_path / "deaf"
    shutil.copytree(base, deaf)
    (deaf / "syncnet.safetensors").unlink()
    with pytest.raises(BadInput, match=r"syncnet\.safetensors' is missing"):
        train(deaf, data, tmp_path / "two")
    given = ["train", "preference", "--output", str(tmp_path), "--steps", "1", "--device", "cpu"]
    assert cli.main([*given, "--model", str(base)]) == 2
    assert "give --data" in capsys.readouterr().err
    assert cli.main([*given, "--model", "mini", "--data", str(data)]) == 2
    assert "leave it out" in capsys.readouterr().err


def test_the_command_writes_a_denoiser(
    base: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--scripts", "2", "--takes", "2", "--take-steps", "1", "--steps", "1", "--batch", "1", "--device", "cpu"]
    run = ["train", "preference", "--model", str(base), "--data", str(data), "--output", str(tmp_path), *given]
    assert cli.main(run) == 0
    assert '"held_out_preferred"' in capsys.readouterr().out
    load_part(tmp_path / "preferred.safetensors", "denoiser")
