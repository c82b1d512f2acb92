"""Adapters on a base: they alone learn, from shards and videos, and what memory that takes is told before."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from eadnet_core import cli
from eadnet_core.corpus.shards import ClipRecord, encode_clip, write_shards
from eadnet_core.emotion.code import emotion_code
from eadnet_core.errors import BadInput, CheckpointError
from eadnet_core.families.load import load_model
from eadnet_core.media.image import read_image
from eadnet_core.nets.adapters import is_adapter_key
from eadnet_core.nets.emotion_encoder import EmotionEncoder
from eadnet_core.nets.latentsync.denoiser import LatentSyncDenoiser
from eadnet_core.nets.stda import strip_turns
from eadnet_core.sampling.conditions import FrameConditions
from eadnet_core.training.adapters import (
    COPIES,
    AdapterMix,
    AdapterObjective,
    draw_windows,
    forecast_memory,
    train_adapters,
)
from eadnet_core.training.base_clips import encode_folder, find_clips, open_base, read_clip
from eadnet_core.training.loop import TrainOptions
from eadnet_core.weights.files import load_part, save_part
from eadnet_core.weights.folders import ASSETS

N_FRAMES = 18


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, voice: np.ndarray) -> Path:
    """A shard of two clips of a face that moves to the right, one of them too short for a window."""
    folder = tmp_path_factory.mktemp("clips")
    picture = read_image(ASSETS / "sample" / "portrait.png")[::4, ::4]
    frames = np.stack([np.roll(picture, i // 3, axis=1) for i in range(N_FRAMES)])
    motion = np.zeros((N_FRAMES, 8), np.float32)
    motion[:, 3] = np.linspace(0, 0.2, N_FRAMES)
    tracks = {"codes": np.tile(emotion_code("happy", 0.8), (N_FRAMES, 1)), "motion": motion}
    whole = encode_clip(ClipRecord(frames, picture, voice, tracks, {}))
    short = encode_clip(ClipRecord(frames[:5], picture, voice, {}, {}))
    write_shards([("whole", whole), ("short", short)], folder)
    return folder


@pytest.fixture(scope="module")
def voice() -> np.ndarray:
    t = np.arange(N_FRAMES * 640) / 16_000
    return (0.4 * np.sin(2 * np.pi * 180 * t) * np.sin(2 * np.pi * 2 * t) ** 2).astype(np.float32)


@pytest.fixture(scope="module")
def clips(data: Path, tiny_base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return encode_folder(data, tmp_path_factory.mktemp("encoded"), tiny_base_folder, 64, torch.device("cpu"), 16)


@pytest.fixture
def base(tiny_base_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_base_folder, tmp_path / "base"))


def test_two_steps_change_the_adapters_and_no_bit_of_the_base(
    base: Path, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    before = open_base(base)[1].state_dict()
    options = TrainOptions(max_steps=2, device="cpu", run_folder=tmp_path / "runs", warmup_steps=1, progress=False)
    found = train_adapters(base, data, base / "adapters.safetensors", options)
    assert found["steps"] == 2 and found["clips"] == 1
    assert "training takes about" in caplog.text and "'short' is left out" in caplog.text
    model = load_model(str(base), "cpu")
    after = model.denoiser.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[key], before[key]) for key in before if not is_adapter_key(key))
    moved = {key for key in before if is_adapter_key(key) and not torch.equal(after[key], before[key])}
    for name in ("conditions", "emotion", "stda", "tfrm"):
        assert any(name in key.split(".") for key in moved), name
    assert model.emotion_encoder is not None
    again = train_adapters(base, data, tmp_path / "again.safetensors", options)
    assert again["steps"] == 2, "a finished run must not be trained again"

    write_again(base / "denoiser.safetensors", "denoiser", open_base(base)[0])
    with pytest.raises(BadInput, match="on another base"):
        train_adapters(base, data, tmp_path / "again.safetensors", options)
    write_again(base / "vae.safetensors", "sd_vae", model.vae.config)
    with pytest.raises(BadInput, match="autoencoder or sound encoder of another base"):
        train_adapters(base, data, tmp_path / "again.safetensors", options)


def write_again(path: Path, part: str, config: Any) -> None:
    """The same weights in other bytes."""
    save_part(path, part, load_part(path, part)[0], config, {"steps": 99})


def test_only_adapters_and_the_emotion_encoder_get_gradients(base: Path, clips: list[Path]) -> None:
    config, net = open_base(base)
    objective = AdapterObjective(net, EmotionEncoder(config.emotion), AdapterMix(drop_emotion=0))
    batch = draw_windows(clips, config.denoiser, AdapterMix(), np.random.default_rng(0), 1)
    losses = objective(batch)
    assert set(losses) == {"loss", "noise", "graph", "temporal_difference"}
    losses["noise"].backward()
    for name, weight in net.named_parameters():
        assert (weight.grad is not None) <= is_adapter_key(name), name
    # last projections are zero at first, so that only they learn in the first step
    learning = {name for name, weight in net.named_parameters() if weight.grad is not None and bool(weight.grad.any())}
    assert {key.split(".")[-2] for key in learning} == {"out", "to_out", "extend"}


def test_layers_computed_again_give_the_same_gradients(base: Path) -> None:
    config, net = open_base(base)
    draw = torch.Generator().manual_seed(0)
    for name, weight in net.named_parameters():
        weight.requires_grad_(is_adapter_key(name))
        if is_adapter_key(name):
            weight.data.add_(0.02 * torch.randn(weight.shape, generator=draw))
    c = config.denoiser
    given = FrameConditions(
        context=torch.randn(1, 9, 4, c.cells, c.cells, generator=draw),
        audio=torch.randn(1, 4, 50, c.audio_width, generator=draw),
        emotion=torch.randn(1, 4, config.emotion.tokens, c.emotion_width, generator=draw),
        motion=torch.randn(1, 4, 8, generator=draw) * 0.1,
        motion_known=torch.ones(1, 4),
    )
    sample, time = torch.randn(1, 4, 4, c.cells, c.cells, generator=draw), torch.tensor([500])
    gradients, rows = [], []
    net.get_submodule("up_blocks.3.resnets.2").register_forward_hook(lambda *_: rows.append(1))
    for recompute in (False, True):
        net.zero_grad()
        net(sample, time, given, recompute=recompute).square().mean().backward()
        gradients.append({n: p.grad.clone() for n, p in net.named_parameters() if p.grad is not None})
    assert len(rows) == 3, "one pass, and one more in the backward pass of the second"
    assert gradients[0].keys() == gradients[1].keys()
    for name, value in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], value, atol=1e-7, rtol=1e-4, msg=name)


def test_the_forecast_counts_weights_and_what_a_pass_keeps(base: Path) -> None:
    config, net = open_base(base)
    sizes = {key: value.numel() * value.element_size() for key, value in net.state_dict().items()}
    adapters = sum(size for key, size in sizes.items() if is_adapter_key(key))
    AdapterObjective(net, EmotionEncoder(config.emotion), AdapterMix())
    one, two = forecast_memory(net, config, 1), forecast_memory(net, config, 2)
    assert one.trained == COPIES * adapters
    assert one.base == sum(sizes.values()) - adapters
    assert 1.8 < two.kept / one.kept < 2.05
    everything = 0

    def count(value: torch.Tensor) -> torch.Tensor:
        nonlocal everything
        everything += 0 if isinstance(value, torch.nn.Parameter) else value.numel() * value.element_size()
        return value

    c = config.denoiser
    frames = (1, c.window_frames)
    emotion = torch.zeros(*frames, config.emotion.tokens, c.emotion_width, requires_grad=True)
    cells = (c.window_frames, c.cells, c.cells)
    audio, motion = torch.zeros(*frames, 50, c.audio_width), torch.zeros(*frames, 8)
    given = FrameConditions(torch.zeros(1, 9, *cells), audio, emotion, motion, torch.ones(frames))
    with torch.autograd.graph.saved_tensors_hooks(count, lambda x: x):
        net(torch.zeros(1, 4, *cells), torch.zeros(1), given)
    assert one.kept + one.layer < 0.7 * everything
    assert "GB the base" in str(one)
    strip_turns.cache_clear()
    forecast_memory(net, config, 1)
    net(torch.zeros(1, 4, *cells), torch.zeros(1), given)  # what was kept of the forecast has no values


def test_clips_are_encoded_once_and_drawn_with_what_they_hold(
    clips: list[Path], data: Path, base: Path, tmp_path: Path
) -> None:
    assert [path.stem for path in clips] == ["whole"]
    clip = read_clip(clips[0])
    config, _ = open_base(base)
    c = config.denoiser
    assert clip.latents.shape == clip.masked["lower"].shape == clip.masked["full"].shape == (N_FRAMES, 4, 8, 8)
    assert clip.tokens.shape == (N_FRAMES, 50, c.audio_width)
    assert float(clip.has_code) == float(clip.has_motion) == 1
    assert not torch.equal(clip.masked["lower"], clip.masked["full"])
    written = clips[0].stat().st_mtime_ns
    encode_folder(data, clips[0].parent, base, 64, torch.device("cpu"), 16)
    assert clips[0].stat().st_mtime_ns == written
    assert clip.portrait.shape == (1, 4, 8, 8) and clip.sync_mel.shape == (80, N_FRAMES * 640 // 200 + 1)
    mix = AdapterMix(drop_audio=1, drop_emotion=1, drop_motion=0, full_mask=0, portrait=1)
    batch = draw_windows(clips, c, mix, np.random.default_rng(0), 3)
    assert torch.equal(batch.context[:, 5:], clip.portrait[0][None, :, None].expand(3, -1, 16, -1, -1))
    assert not torch.equal(
        draw_windows(clips, c, replace(mix, portrait=0), np.random.default_rng(0), 3).context, batch.context
    )
    assert batch.mel.shape == (3, 1, 80, 52) and batch.has_mel.sum() == (batch.mel.flatten(1).std(1) > 0).sum()
    assert batch.context.shape == (3, 9, 16, 8, 8)
    assert not batch.keep_audio.any() and not batch.keep_emotion.any() and batch.keep_motion.all()
    with pytest.raises(BadInput, match="no clip to train on"):
        encode_folder(data, tmp_path / "long", base, 64, torch.device("cpu"), 40)


def test_a_reference_shows_none_of_the_frames_that_are_generated(clips: list[Path], base: Path, tmp_path: Path) -> None:
    clip, path = read_clip(clips[0]), tmp_path / "numbered.safetensors"
    numbers = torch.arange(N_FRAMES, dtype=torch.float32)[:, None, None, None].expand_as(clip.latents)
    replace(clip, latents=numbers.contiguous()).save(path)
    c = replace(open_base(base)[0].denoiser, window_frames=4)
    batch = draw_windows([path], c, AdapterMix(portrait=0), np.random.default_rng(0), 30)
    for made, context in zip(batch.latents, batch.context, strict=True):
        assert not set(made.unique().tolist()) & set(context[-4:].unique().tolist())


def test_videos_are_cut_into_pieces_and_have_the_emotion_of_their_caption(
    tmp_path: Path, portrait: np.ndarray, voice: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eadnet_core.media.sound.audio import read_audio
    from eadnet_core.media.video.files import write_video
    from eadnet_core.training import base_clips

    (tmp_path / "a").mkdir()
    for name in ("a/told.mp4", "silent.mp4"):
        write_video(tmp_path / name, np.stack([portrait] * 9), audio=read_audio(voice[: 9 * 640], 16_000))
    (tmp_path / "captions.jsonl").write_text('{"clip": "a/told.mp4", "caption": "a happy woman"}\n')
    monkeypatch.setattr(base_clips, "PIECE_FRAMES", 5)
    found = dict(find_clips(tmp_path))
    assert list(found) == ["a-told-0000", "a-told-0001", "silent-0000", "silent-0001"]
    first, rest, untold = found["a-told-0000"](), found["a-told-0001"](), found["silent-0000"]()
    assert (len(first.frames), len(rest.frames)) == (5, 4)
    assert len(first.samples) == 5 * 640
    assert first.codes is not None and first.codes.shape == (5, 27) and first.codes[0, 1:].any()
    assert untold.codes is None and untold.motion is None


def test_what_cannot_be_trained_on_is_named(tmp_path: Path, tiny_folder: Path, base: Path, data: Path) -> None:
    with pytest.raises(BadInput, match="neither shards"):
        list(find_clips(tmp_path / "empty"))
    (tmp_path / "cache.json").write_text("{}")
    with pytest.raises(BadInput, match="no sound that Whisper could hear"):
        list(find_clips(tmp_path))
    with pytest.raises(CheckpointError, match="is no base"):
        open_base(tiny_folder)
    (base / "whisper.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"whisper\.safetensors' is missing"):
        encode_folder(data, tmp_path / "out", base, 64, torch.device("cpu"), 16)


def test_the_command_names_a_base_of_another_size(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--preset", "base-256", "--train", "adapters", "--base", str(base), "--data", str(tmp_path)]
    assert cli.main(["train", "denoiser", *given]) == 2
    assert "holds 'tiny-base', not 'base-256'" in capsys.readouterr().err


def test_fresh_adapters_change_nothing(base: Path) -> None:
    config, net = open_base(base)
    bare = LatentSyncDenoiser(replace(config.denoiser, has_adapters=False))
    bare.load_state_dict({key: value for key, value in net.state_dict().items() if not is_adapter_key(key)})
    latents, context = torch.randn(1, 4, 2, 8, 8), torch.randn(1, 9, 2, 8, 8)
    silent = FrameConditions(context, torch.randn(1, 2, 50, config.denoiser.audio_width))
    emotion = torch.randn(1, 2, config.emotion.tokens, config.denoiser.emotion_width)
    given = replace(silent, emotion=emotion, motion=torch.zeros(1, 2, 8), motion_known=torch.ones(1, 2))
    with torch.no_grad():
        expected = bare(latents, torch.tensor([5]), silent)
        found = net(latents, torch.tensor([5]), given)
    assert torch.equal(found, expected)
