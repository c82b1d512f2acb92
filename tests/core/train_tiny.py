"""Trains a SyncNet at tiny size; `test_many_processes.py` runs it in one process and in two.

accelerate launch --multi_gpu --num_processes 2 train_tiny.py FOLDER CACHE MODEL
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from accelerate import PartialState

from eadnet_core.config import ModelConfig
from eadnet_core.training.loop import TrainOptions
from eadnet_core.training.processes import n_processes, wait_for_all
from eadnet_core.training.syncnet import train_syncnet
from eadnet_core.weights.files import read_config, read_metadata

N_PARTS, N_STEPS = 2, 3


def train(folder: Path, cache: Path, model: Path) -> None:
    """Weights and log into a folder."""
    torch.set_num_threads(1)
    path = model / "denoiser.safetensors"
    config: ModelConfig = read_config(path, ModelConfig, read_metadata(path, "denoiser"))
    options = TrainOptions(
        max_steps=N_STEPS, parts=N_PARTS, batch=3, log_every=1, warmup_steps=1, progress=False,
        run_folder=folder / "runs",
    )  # fmt: skip
    wait_for_all(options.device)  # as `eadnet train` does before it renders clips
    assert PartialState().num_processes == n_processes(), "each process trains by itself"
    folder.mkdir(exist_ok=True)
    train_syncnet(config, cache, folder / "syncnet.safetensors", options)


if __name__ == "__main__":
    train(*(Path(argument) for argument in sys.argv[1:]))
