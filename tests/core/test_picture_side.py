"""The picture side learns from rendered heads: batches, mirrors, losses, and a training of two steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from eadnet_core.heads.rig import STATE
from eadnet_core.nets.vae import VAE, Change, warp
from eadnet_core.taxonomy import CONTROLS
from eadnet_core.training.control_reader import train_control_reader
from eadnet_core.training.faces import FaceBatch, FaceCache, mirrored
from eadnet_core.training.loop import TrainOptions
from eadnet_core.training.vae import VAELossWeights, VAEObjective, grown, taught, train_vae
from eadnet_core.weights.files import load_part

if TYPE_CHECKING:
    from tests.conftest import Tiny

N_STATES, SIZE = 3, 128
"""Of the fixture `faces`."""


def test_batches_hold_frames_of_training_heads(faces: FaceCache) -> None:
    batch = faces.draw(np.random.default_rng(0), 6, 3)
    assert batch.references.shape == (2, 3, SIZE, SIZE) and batch.frames.shape == (6, 3, SIZE, SIZE)
    assert batch.flow.shape == (6, 2, SIZE, SIZE) and batch.visible.min() == 1
    assert batch.points.shape == (2, 468, 2) and 0.2 < float(batch.points.mean()) < 0.8
    states = torch.from_numpy(np.array(faces.pairs.states[0, N_STATES]))
    watched = faces.monitor(6, 3)
    assert torch.equal(watched.reference_controls[0], states[[STATE.index(name) for name in CONTROLS]])


def test_a_mirror_turns_flow_gaze_and_pose(faces: FaceCache) -> None:
    batch = faces.draw(np.random.default_rng(0), 6, 3)
    mirror = torch.arange(468).flip(0)
    once = mirrored(batch, torch.tensor([True, False]), mirror)
    assert torch.equal(once.frames[:3], batch.frames[:3].flip(-1)) and torch.equal(once.frames[3:], batch.frames[3:])
    assert torch.equal(once.flow[:3, 0], -batch.flow[:3, 0].flip(-1))
    assert torch.equal(once.pose[:3], batch.pose[:3] * torch.tensor([-1.0, 1, -1, -1, 1]))
    gaze = CONTROLS.index("gaze_x")
    assert torch.equal(once.controls[:3, gaze], -batch.controls[:3, gaze])
    twice = mirrored(once, torch.tensor([True, False]), mirror)
    assert torch.allclose(twice.points, batch.points, atol=1e-6)
    assert torch.equal(twice.flow, batch.flow) and torch.equal(twice.controls, batch.controls)


def test_the_true_change_costs_almost_nothing(faces: FaceCache) -> None:
    batch = faces.draw(np.random.default_rng(0), 3, 3)
    references = batch.references.repeat_interleave(3, 0)
    moved = replace(batch, frames=warp(references, batch.flow))
    true = Change(batch.flow, torch.zeros(3, 3, SIZE, SIZE), torch.zeros(3, 1, SIZE, SIZE), moved.frames)
    losses = taught(true, moved, references, torch.ones(SIZE, SIZE))
    assert all(float(value) < 1e-3 for value in losses.values())
    wrong = replace(true, flow=batch.flow + 0.1, alpha=torch.ones(3, 1, SIZE, SIZE))
    worse = taught(wrong, moved, references, torch.ones(SIZE, SIZE))
    assert worse["flow"] > 0.05 and worse["alpha"] > 1


def test_noise_and_the_critic_come_late(tiny: Tiny, faces: FaceCache) -> None:
    objective = VAEObjective(tiny.net("vae"), VAELossWeights())  # type: ignore[arg-type]
    batch: FaceBatch = faces.draw(np.random.default_rng(0), 3, 3)
    objective.at(0.0)
    assert objective.noise == 0 and "critic" not in objective(batch)
    objective.at(1.0)
    assert objective.noise > 0 and torch.isfinite(objective(batch)["critic"])


def test_it_trains_after_what_reads_controls(tiny: Tiny, faces: FaceCache, tmp_path: Path) -> None:
    options = TrainOptions(
        max_steps=2, batch=3, warmup_steps=1, log_every=1, device="cpu", progress=False, run_folder=tmp_path / "runs"
    )
    output = tmp_path / "vae.safetensors"
    read = train_control_reader(tiny.config, faces.folder, tmp_path / "control_reader.safetensors", options)
    assert "control_correlation" in read
    scores = train_vae(tiny.config, faces.folder, output, options)
    assert {"psnr", "flow_mouth_px", "sharp_mouth"} <= scores.keys()
    assert list((tmp_path / "runs" / "vae").glob("sheet_*.png"))
    vae, metadata = load_part(output, "vae")
    assert metadata["corpus_seed"] == 7 and "extends" not in metadata
    kept = load_part(tmp_path / "control_reader.safetensors", "control_reader")[0].state_dict()
    assert all(torch.equal(vae.control_reader.state_dict()[key], value) for key, value in kept.items())  # type: ignore[operator, union-attr]


def test_a_training_goes_on_from_weights_with_their_reader(tiny: Tiny, faces: FaceCache, tmp_path: Path) -> None:
    """In a folder that holds no reader of controls, as the mini-256's."""
    start, output = tiny.write(tmp_path, "vae"), tmp_path / "other" / "vae.safetensors"
    options = TrainOptions(max_steps=1, batch=2, device="cpu", progress=False, run_folder=tmp_path / "runs")
    train_vae(tiny.config, faces.folder, output, options, start=start)
    before, after = (load_part(path, "vae")[0].control_reader.state_dict() for path in (start, output))
    assert all(torch.equal(after[key], value) for key, value in before.items())


def test_a_larger_picture_side_begins_as_the_smaller_one(tiny: Tiny) -> None:
    torch.manual_seed(0)
    small, large = VAE(tiny.config.vae), VAE(replace(tiny.config.vae, size_px=256))
    for layer in (small.decoder.flow, small.decoder.conv_out):
        torch.nn.init.normal_(layer.weight, std=0.05)
    large.load_state_dict(grown(small.state_dict(), large.state_dict()))
    picture = torch.rand(1, 3, 16, 16).repeat_interleave(8, 2).repeat_interleave(8, 3) * 2 - 1
    points = torch.full((1, 468, 2), 0.5)
    controls, pose = torch.rand(2, len(CONTROLS)), torch.zeros(2, 5)
    twice = torch.nn.functional.interpolate(picture, scale_factor=2, mode="nearest")
    with torch.no_grad():
        one = small.decode(small.motion_latents(controls), pose, small.read(picture, points))
        two = large.decode(large.motion_latents(controls), pose, large.read(twice, points))
    halved = torch.nn.functional.avg_pool2d(two.paint, 2)
    assert torch.corrcoef(torch.stack([halved.flatten(), one.paint.flatten()]))[0, 1] > 0.95
    assert (two.flow.mean((2, 3)) - one.flow.mean((2, 3))).abs().max() < 0.02
