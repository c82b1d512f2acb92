"""Training in two processes that talk by gloo: the same as in one, spread or not, stopped or not; and full disks."""

from __future__ import annotations

import csv
import importlib.util
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from eadnet_core.corpus.shards import ClipRecord, encode_clip, write_shards
from eadnet_core.emotion.code import emotion_code
from eadnet_core.errors import BadInput, EADNetError
from eadnet_core.media.image import read_image
from eadnet_core.training import loop, processes
from eadnet_core.training.base_clips import find_clips
from eadnet_core.training.batch import Batch
from eadnet_core.training.data import CacheInfo, open_or_create
from eadnet_core.training.loop import Recipe, TrainOptions, fit
from eadnet_core.training.samples import sample_numbers
from eadnet_core.weights.folders import ASSETS

if TYPE_CHECKING:
    pass

SCRIPT = Path(__file__).parent / "train_tiny.py"
N_FRAMES = 18


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of random numbers, without pictures."""
    folder = tmp_path_factory.mktemp("cache")
    cache = open_or_create(folder, CacheInfo(8, 16, 128, 0, "train", 4, has_pictures=False))
    rng = np.random.default_rng(0)
    for name in ("mel", "motion", "energy", "controls", "reference_controls", "codes", "text_codes", "visemes"):
        cache.array(name, "r+")[:] = rng.uniform(0.2, 1, cache.array(name).shape)
    cache.array("rendered", "r+")[:] = 1
    cache.flush()
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shard of three clips."""
    folder = tmp_path_factory.mktemp("clips")
    picture = read_image(ASSETS / "sample" / "portrait.png")[::4, ::4]
    voice = 0.3 * np.sin(np.arange(N_FRAMES * 640) / 14).astype(np.float32)
    clips = []
    for number in range(3):
        frames = np.stack([np.roll(picture, number + i // 3, axis=1) for i in range(N_FRAMES)])
        tracks = {"codes": np.tile(emotion_code("happy", 0.3 * number), (N_FRAMES, 1))}
        clips.append((f"clip{number}", encode_clip(ClipRecord(frames, picture, voice, tracks, {}))))
    write_shards(clips, folder)
    return folder


@pytest.fixture(scope="module")
def given(cache: Path, tiny_folder: Path) -> list[Path]:
    return [cache, tiny_folder]


@pytest.fixture(scope="module")
def one_process(given: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training in this process, each step in two parts."""
    spec = importlib.util.spec_from_file_location("train_tiny", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("one") / "out"
    module.train(folder, *given)
    return folder


def in_two(folder: Path, given: list[Path], *launched: str) -> None:
    """Run the script in two processes of this machine, by accelerate's launcher with these options."""
    known = {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path), "CUDA_VISIBLE_DEVICES": ""}
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "2", "--num_machines", "1"]
    command = [*launcher, "--main_process_port", "0", *launched, str(SCRIPT), *map(str, [folder, *given])]
    done = subprocess.run(command, env={**os.environ, **known}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-5000:]


def losses(folder: Path) -> list[float]:
    with (folder / "runs" / "syncnet" / "log.csv").open() as file:
        return [float(row["value"]) for row in csv.DictReader(file) if row["name"] == "loss"]


CONFIGS = Path(__file__).parents[2] / "docs" / "accelerate"


@pytest.mark.parametrize("config", ["ddp", "fsdp"])
def test_two_processes_train_as_one(one_process: Path, given: list[Path], tmp_path: Path, config: str) -> None:
    """Losses of every step and averaged weights, but for sums in another order, with the configurations that ship."""
    in_two(tmp_path / "out", given, "--config_file", str(CONFIGS / f"{config}.yaml"))
    one, two = losses(one_process), losses(tmp_path / "out")
    assert len(one) == len(two) == 3
    np.testing.assert_allclose(two, one, rtol=1e-5)
    first, second = (load_file(folder / "syncnet.safetensors") for folder in (one_process, tmp_path / "out"))
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=1e-5, atol=1e-6, msg=name)


# What no second process is needed for


@dataclass(frozen=True)
class Numbers(Batch):
    """x [B, 1], the numbers of samples."""

    x: torch.Tensor


class Mean(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Linear(1, 1)

    def forward(self, batch: Numbers) -> dict[str, torch.Tensor]:
        return {"loss": (self.mean(batch.x) - 1).square().mean()}


def recipe(seen: list[int], stop_at: int = 10**9, n_samples: int = 24) -> Recipe:
    torch.manual_seed(0)
    objective = Mean()

    def pick(rng: np.random.Generator, numbers: Any) -> Numbers:
        if len(seen) >= stop_at:
            raise KeyboardInterrupt
        seen.extend(numbers)
        return Numbers(torch.tensor(numbers, dtype=torch.float32)[:, None] / n_samples)

    return Recipe("mean", objective.mean, objective, None, 2, 0.01, pick=pick, n_samples=n_samples)


def options(folder: Path, **changes: Any) -> TrainOptions:
    return TrainOptions(**{"max_steps": 6, "device": "cpu", "progress": False, "run_folder": folder, **changes})


def test_each_sample_comes_once_also_where_a_run_is_stopped(tmp_path: Path) -> None:
    seen: list[int] = []
    whole, _ = fit(recipe(seen), options(tmp_path / "whole", parts=2))
    assert sorted(seen) == list(range(24))
    again: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        fit(recipe(again, stop_at=12), options(tmp_path / "broken", parts=2))
    resumed, _ = fit(recipe(again), options(tmp_path / "broken", parts=2))
    assert again == seen
    assert torch.equal(whole.weight, resumed.weight)  # type: ignore[arg-type]


def test_the_order_of_samples_changes_with_every_round() -> None:
    rounds = [sample_numbers(100, 0, 100 * i, 100) for i in range(3)]
    assert all(sorted(one) == list(range(100)) for one in rounds)
    assert rounds[0] != rounds[1] != rounds[2] and sample_numbers(100, 1, 0, 100) != rounds[0]
    assert Counter(sample_numbers(3, 0, 1, 8)) == Counter({0: 3, 1: 3, 2: 2}) or len(sample_numbers(3, 0, 1, 8)) == 8


def test_the_log_says_what_training_costs(tmp_path: Path) -> None:
    fit(recipe([]), options(tmp_path, log_every=2))
    with (tmp_path / "mean" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = {name: [float(row["value"]) for row in rows if row["name"] == name] for name in {r["name"] for r in rows}}
    assert len(found["samples_per_s"]) == 3 and min(found["samples_per_s"]) > 0
    assert all(0 <= share <= 1 for share in found["data_share"]) and found["memory_gb"][0] > 0.01


def test_parts_that_cannot_be_shared_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "make_accelerator", lambda *_: Two())
    with pytest.raises(BadInput, match="3 parts of a step cannot be shared evenly by 2 processes"):
        fit(recipe([]), options(tmp_path, parts=3))


class Two:
    """As much of an accelerator as is asked before training begins."""

    device, num_processes, distributed_type = torch.device("cpu"), 2, None


def test_a_process_that_is_lost_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What gloo says where another process was killed; `bench/train_kills.py --processes 2` kills one."""
    said = "[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:31234"
    lost = recipe([])

    def lose(*_: Any) -> Any:
        raise RuntimeError(said)

    lost.pick = lose
    with pytest.raises(RuntimeError, match="closed by peer"):
        fit(lost, options(tmp_path))
    monkeypatch.setattr(processes, "n_processes", lambda: 2)
    with pytest.raises(EADNetError, match=r"'mean' has ended.*closed by peer.*Run the same command again.*checkpoint"):
        fit(lost, options(tmp_path))


def test_a_run_goes_on_where_the_cpu_has_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As accelerate numbers it in several processes."""
    fit(recipe([]), options(tmp_path, max_steps=2))
    make = loop.make_accelerator

    def numbered(*given: Any) -> Any:
        accelerator = make(*given)
        monkeypatch.setattr(accelerator.state, "device", torch.device("cpu:0"))
        return accelerator

    monkeypatch.setattr(loop, "make_accelerator", numbered)
    assert fit(recipe([]), options(tmp_path))[1].step == 6


def test_several_processes_without_a_gpu_train_on_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("ACCELERATE_USE_CPU", raising=False)
    assert processes.is_on_cpu("cpu") and not processes.is_on_cpu("auto")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert processes.is_on_cpu("auto")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert not processes.is_on_cpu("auto")
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    assert processes.is_on_cpu("auto")


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit(recipe([]), options(tmp_path, max_steps=4))
    before = {p.name: p.read_bytes() for p in (tmp_path / "mean" / "checkpoint").iterdir()}

    def full(values: Any, path: Path) -> None:
        Path(path).write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_file", full)
        with pytest.raises(EADNetError, match=r"step 6 cannot be written.*No space left.*run again"):
            fit(recipe([]), options(tmp_path))
    folder = tmp_path / "mean"
    assert {p.name: p.read_bytes() for p in (folder / "checkpoint").iterdir()} == before
    assert not (folder / "checkpoint.new").exists()
    assert fit(recipe([]), options(tmp_path))[1].step == 6


def test_a_damaged_shard_costs_its_own_clips_alone(data: Path, tmp_path: Path, caplog: Any) -> None:
    content = (data / "clips-000000.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(content[: len(content) // 2])
    (tmp_path / "b.tar").write_bytes(content)
    damaged = bytearray(content)
    at = damaged.index(b"\x89PNG") + 60
    damaged[at : at + 400] = bytes(400)
    (tmp_path / "c.tar").write_bytes(bytes(damaged))
    read = []
    for key, one in find_clips(tmp_path):
        try:
            read.append((key, len(one().frames)))
        except EADNetError as error:
            assert "damaged" in str(error)
    assert len(read) >= 3 + 2 and "the rest of a shard is left out" in caplog.text
