"""A base trained from nothing: every net of its folder, in the shapes that a base is opened with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D

from eadnet_core import cli
from eadnet_core.config import PRESETS, SMALL_BASE, SMALL_SYNCNET, SMALL_VAE, SMALL_WHISPER
from eadnet_core.corpus.shards import ClipRecord, encode_clip, write_shards
from eadnet_core.corpus.speech import SpeechBank
from eadnet_core.errors import BadInput
from eadnet_core.families.base import BaseModel
from eadnet_core.families.load import load_model
from eadnet_core.media.face.aligned_crop import latent_mask
from eadnet_core.media.image import read_image
from eadnet_core.nets.latentsync.denoiser import LatentSyncDenoiser
from eadnet_core.nets.latentsync.sd_vae import SDVAE
from eadnet_core.nets.latentsync.stable_syncnet import StableSyncNet
from eadnet_core.sampling.conditions import FrameConditions
from eadnet_core.training.adapters import AdapterBatch
from eadnet_core.training.base import DubbingMix, DubbingObjective, score_dubbing, train_base
from eadnet_core.training.base_picture import begin_plain
from eadnet_core.training.base_sound import draw_speech
from eadnet_core.training.base_squares import cut_folder, read_cut
from eadnet_core.training.base_sync import SquareSyncObjective, draw_windows, score_sync, window_starts
from eadnet_core.training.loop import TrainOptions
from eadnet_core.weights.convert import convert
from eadnet_core.weights.folders import ASSETS

N_FRAMES = 20


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shard of one clip of a face that moves, with a voice."""
    folder = tmp_path_factory.mktemp("clips")
    picture = read_image(ASSETS / "sample" / "portrait.png")[::4, ::4]
    frames = np.stack([np.roll(picture, i // 3, axis=1) for i in range(N_FRAMES)])
    t = np.arange(N_FRAMES * 640) / 16_000
    voice = (0.4 * np.sin(2 * np.pi * 180 * t) * np.sin(2 * np.pi * 2 * t) ** 2).astype(np.float32)
    write_shards([("one", encode_clip(ClipRecord(frames, picture, voice, {}, {})))], folder)
    return folder


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every net after one step."""
    folder = tmp_path_factory.mktemp("trained")
    options = TrainOptions(max_steps=1, max_minutes=1, batch=1, device="cpu", progress=False)
    scores = train_base(SMALL_BASE, data, folder, options)
    assert scores["vae"]["psnr_db"] > 0 and "moves" in scores["denoiser"]
    return folder


def test_the_folder_opens_as_a_base_that_a_mini_performs_for(trained: Path) -> None:
    model = load_model(str(trained / "base-small"), "cpu")
    assert isinstance(model, BaseModel) and model.name == "base-small"
    assert model.performer is not None and model.syncnet is not None
    assert model.syncnet.config == SMALL_SYNCNET and model.audio_encoder.config == SMALL_WHISPER
    assert model.vae.config.scale != 1.0, "latents are brought to unit variance"


def test_a_net_whose_file_exists_is_not_trained_again(trained: Path, data: Path) -> None:
    options = TrainOptions(max_steps=1, max_minutes=1, batch=1, device="cpu", progress=False)
    assert train_base(SMALL_BASE, data, trained, options) == {}
    with pytest.raises(BadInput, match="No net"):
        train_base(SMALL_BASE, data, trained, options, nets=("vea",))


def test_a_clip_is_followed_once(data: Path, tmp_path: Path) -> None:
    (path,) = cut_folder(data, tmp_path, 64, 16)
    written = path.stat().st_mtime_ns
    assert cut_folder(data, tmp_path, 64, 16) == [path] and path.stat().st_mtime_ns == written
    clip = read_cut(path)
    assert clip.squares.shape == (N_FRAMES, 64, 64, 3) and len(clip.samples) == 640 * N_FRAMES
    assert not clip.has_code and not clip.has_motion
    with pytest.raises(BadInput, match="no clip to train on"):
        cut_folder(data, tmp_path / "long", 64, 30)


def test_windows_of_a_short_clip_stay_inside_its_sound(data: Path, tmp_path: Path) -> None:
    clip = read_cut(cut_folder(data, tmp_path, 128, 16)[0])
    starts = window_starts(clip, SMALL_SYNCNET.frames)
    assert starts.tolist() == [0, 1, 2, 3, 4]
    silent = replace(clip, samples=torch.zeros_like(clip.samples))
    silent.save(tmp_path / "silent.safetensors")
    assert score_sync(StableSyncNet(SMALL_SYNCNET), [tmp_path / "silent.safetensors"], torch.device("cpu")) == {}


def test_a_fresh_autoencoder_begins_with_blocks_that_add_nothing() -> None:
    """Every block passes on its input, so that what is left is a short net."""
    torch.manual_seed(0)
    vae, picture = SDVAE(SMALL_VAE), torch.randn(1, 3, 64, 64)
    blocks = [block for block in vae.modules() if isinstance(block, (ResnetBlock2D, Attention))]
    passed: list[bool] = []

    def note(block: torch.nn.Module, given: tuple[Any, ...], made: torch.Tensor) -> None:
        shortcut = getattr(block, "conv_shortcut", None)
        passed.append(torch.allclose(made, given[0] if shortcut is None else shortcut(given[0]), atol=1e-5))

    for block in blocks:
        block.register_forward_hook(note)
    with torch.no_grad():
        vae.decode(vae.encode(picture)[0])
        assert not any(passed) and len(passed) == len(blocks)
        passed.clear()
        begin_plain(vae)
        vae.decode(vae.encode(picture)[0])
    assert all(passed) and len(passed) == len(blocks)


def test_speech_is_drawn_with_the_lips_of_every_hearing_step() -> None:
    batch = draw_speech(SpeechBank(0, 4), np.random.default_rng(3), 2)
    assert batch.mel.shape[2] == 2 * batch.visemes.shape[1]
    assert float(batch.visemes.std()) > 0


def test_only_what_is_generated_counts_fully_and_the_mouth_most() -> None:
    torch.manual_seed(0)
    c = replace(SMALL_BASE.denoiser, has_adapters=False)
    net = LatentSyncDenoiser(c)
    objective = DubbingObjective(net, DubbingMix(kept=0.0))
    cells = (c.window_frames, c.cells, c.cells)
    mask = latent_mask(SMALL_BASE.size_px).float().expand(1, c.window_frames, -1, -1)[:, None]
    context = torch.cat([mask, torch.zeros(1, 2 * c.latent_channels, *cells)], 1)
    moving, one = torch.randn(1, c.window_frames, c.latent_channels, c.cells, c.cells), torch.ones(1)
    tokens = torch.zeros(1, c.window_frames, 30, c.audio_width)
    batch = AdapterBatch(moving, context, tokens, *(moving[..., 0, 0, 0],) * 2, *(one,) * 3, moving, one)
    area = objective.area(batch)[0, 0, 0]
    assert area[0, 0] == 0, "above the brows nothing is generated"
    assert area[5, 4] == 5 * area[4, 1] > 0, "the mouth against a cheek"
    with torch.no_grad():
        for parameter in net.conv_out.parameters():
            parameter.zero_()
    found = score_dubbing(net, batch, torch.device("cpu"))
    assert found == {"moves": pytest.approx(0, abs=1e-5), "moves_unheard": pytest.approx(0, abs=1e-5)}


def test_a_net_that_predicts_clean_latents_is_told_flow_times_as_large_as_the_others() -> None:
    torch.manual_seed(0)
    c = replace(SMALL_BASE.denoiser, has_adapters=False)
    assert c.prediction == "residual"
    flow, noise = LatentSyncDenoiser(c), LatentSyncDenoiser(replace(c, prediction="epsilon"))
    noise.load_state_dict(flow.state_dict())
    x = torch.randn(1, c.latent_channels, 2, c.cells, c.cells)
    context = torch.randn(1, 2 * c.latent_channels + 1, 2, c.cells, c.cells)
    given = FrameConditions(context, torch.randn(1, 2, 30, c.audio_width))
    with torch.no_grad():
        assert torch.equal(flow(x, torch.tensor([0.5]), given), noise(x, torch.tensor([500]), given))


def test_both_sides_of_the_syncnet_are_taught_the_lips_of_well_spaced_windows(data: Path, tmp_path: Path) -> None:
    path = cut_folder(data, tmp_path, 128, 16)[0]
    rng = np.random.default_rng(0)
    unknown = draw_windows([path], SMALL_SYNCNET, rng, 1)
    torch.manual_seed(0)
    objective = SquareSyncObjective(StableSyncNet(SMALL_SYNCNET))
    assert not bool(unknown.has_lips.any()) and "lips_seen" not in objective(unknown)
    clip = read_cut(path)
    replace(clip, lips=torch.rand(N_FRAMES, 9), has_lips=torch.tensor(1.0)).save(path.with_name("known.safetensors"))
    batch = draw_windows([path.with_name("known.safetensors")], SMALL_SYNCNET, rng, 1)
    assert 1 <= len(batch.mel) <= 2 and bool(batch.has_lips.all()), "starts 0 .. 4, three frames apart"
    losses = objective(batch)
    for name, side in (("lips_seen", "visual_encoder"), ("lips_heard", "audio_encoder")):
        encoder = getattr(objective.nets["syncnet"], side)
        (grad,) = torch.autograd.grad(losses[name], encoder.conv_in.weight, retain_graph=True)
        assert bool(grad.any()), name


def test_public_weights_are_not_converted_to_the_small_base(tmp_path: Path) -> None:
    assert "base-small" in PRESETS
    with pytest.raises(BadInput, match="no base that public weights fit"):
        convert({"unet": tmp_path / "unet.pt"}, tmp_path, "base-small")


def test_the_command_trains_a_small_base_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["train", "base", "--data", str(tmp_path), "--output", str(tmp_path)]
    assert cli.main([*given, "--preset", "base-256"]) == 2
    assert "give --preset base-small" in capsys.readouterr().err
    assert cli.main([*given, "--nets", "vae"]) == 2
    assert "neither shards" in capsys.readouterr().err
