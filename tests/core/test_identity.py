"""The identity adapter: attention to who is seen, off without a trace, trained beside a base that stays."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from eadnet_core.corpus.shards import ClipRecord, encode_clip, write_shards
from eadnet_core.errors import BadInput, CheckpointError
from eadnet_core.families.load import load_model
from eadnet_core.families.performance import Performance
from eadnet_core.generation.animation import animate
from eadnet_core.media.image import read_image
from eadnet_core.nets.adapters import Strengths, is_adapter_key
from eadnet_core.nets.identity import FaceEncoder
from eadnet_core.nets.latentsync.denoiser import LatentSyncDenoiser
from eadnet_core.nets.latentsync.fast import FastDenoiser, Speed
from eadnet_core.request import GenerateOptions
from eadnet_core.sampling.conditions import FrameConditions
from eadnet_core.sampling.guidance import Branch, Place
from eadnet_core.training.adapters import named_weights, trained_modules
from eadnet_core.training.base_clips import open_base
from eadnet_core.training.identity import (
    FaceBatch,
    FaceObjective,
    IdentityMix,
    IdentityObjective,
    lower,
    train_identity,
)
from eadnet_core.training.loop import TrainOptions
from eadnet_core.weights.files import save_adapters, write_weights
from eadnet_core.weights.folders import ASSETS

N_FRAMES = 16


@pytest.fixture
def base(tiny_base_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_base_folder, tmp_path / "base"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shard of three still heads, each with a portrait."""
    folder = tmp_path_factory.mktemp("heads")
    picture = read_image(ASSETS / "sample" / "portrait.png")[::4, ::4]
    voice = np.random.default_rng(0).normal(0, 0.1, N_FRAMES * 640).astype(np.float32)
    looks = [picture, picture[:, ::-1], 255 - (255 - picture) // 2]
    clips = [ClipRecord(np.stack([np.ascontiguousarray(one)] * N_FRAMES), one.copy(), voice, {}, {}) for one in looks]
    write_shards([(f"clip{i}", encode_clip(clip)) for i, clip in enumerate(clips)], folder)
    return folder


def conditions(config: Any, n: int = 1, t: int = 2) -> tuple[torch.Tensor, FrameConditions]:
    draw = torch.Generator().manual_seed(5)
    c, cells = config.denoiser, config.denoiser.cells
    context = torch.randn(n, 9, t, cells, cells, generator=draw)
    audio = torch.randn(n, t, 50, c.audio_width, generator=draw)
    return torch.randn(n, 4, t, cells, cells, generator=draw), FrameConditions(context, audio)


def stir(net: torch.nn.Module) -> None:
    """Let the adapter do something."""
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if is_adapter_key(name, "identity"):
                weight.add_(0.1 * torch.randn_like(weight))


def test_off_or_untrained_it_leaves_no_trace_and_trained_it_tells_heads_apart(base: Path) -> None:
    config, net = open_base(base, "identity")
    bare = LatentSyncDenoiser(replace(config.denoiser, has_adapters=False, has_identity=False))
    bare.load_state_dict({key: value for key, value in net.state_dict().items() if not is_adapter_key(key)})
    latents, given = conditions(config)
    t = torch.tensor([400])
    with torch.no_grad():
        expected = bare(latents, t, given)
        assert torch.equal(net(latents, t, given), expected), "untrained"
        stir(net)
        assert torch.equal(net(latents, t, given, strengths=Strengths(identity=0.0)), expected), "off"
        whole, half = (net(latents, t, given, strengths=Strengths(identity=s)) for s in (1.0, 0.5))
    assert not torch.allclose(whole, expected) and not torch.allclose(whole, half)
    assert (half - expected).abs().mean() < (whole - expected).abs().mean()


def test_four_tokens_depend_on_the_reference_alone(base: Path) -> None:
    config, net = open_base(base, "identity")
    assert net.identity is not None
    one, other = torch.randn(2, 1, 4, 8, 8)
    tokens = net.identity(one)
    assert tokens.shape == (1, 4, config.denoiser.identity_width)
    assert not torch.allclose(tokens, net.identity(other))


def test_shared_branches_see_the_same_person(base: Path) -> None:
    config, net = open_base(base, "identity")
    stir(net)
    latents, given = conditions(config)
    both = torch.cat([latents, latents])
    silent = torch.cat([torch.zeros_like(given.audio), given.audio])
    twice = FrameConditions(torch.cat([given.context, given.context]), silent)
    place = Place(0, 1, ((0, 1),), (Branch(False, False, -0.5), Branch(True, False, 1.5)))
    t = torch.tensor([400, 400])
    net.eval()
    with torch.no_grad():
        plain = net(both, t, twice)
        quick = FastDenoiser(net, Speed(share_branches=True))(both, t, twice, place)
    assert torch.allclose(plain, quick, atol=1e-4)


def test_only_what_looks_at_the_face_is_trained_and_the_loss_reaches_it(base: Path) -> None:
    config, net = open_base(base, "identity")
    stir(net)
    objective = IdentityObjective(net, IdentityMix())
    latents, given = conditions(config, t=2)
    found = net(latents, torch.tensor([100]), given)
    unlike = objective.unlike(found, given.context)
    assert 0 <= float(unlike) <= 2
    unlike.backward()
    with_grad = {name for name, weight in net.named_parameters() if weight.grad is not None and weight.grad.any()}
    assert {"identity.queries"} < with_grad
    assert all(is_adapter_key(name, "identity") and not name.startswith("identity.face.") for name in with_grad)


def test_the_same_face_costs_nothing_and_only_the_lower_half_is_looked_at(base: Path) -> None:
    _, net = open_base(base, "identity")
    objective = IdentityObjective(net, IdentityMix())
    reference = lower(torch.randn(1, 4, 8, 8))
    context = torch.cat([torch.zeros(1, 5, 3, 8, 8), reference[:, :, None].expand(-1, -1, 3, -1, -1)], 1)
    made = reference[:, :, None].repeat(1, 1, 3, 1, 1)
    assert float(objective.unlike(made, context)) == pytest.approx(0, abs=1e-5)
    made[:, :, :, 0] += 3.0
    assert float(objective.unlike(made, context)) == pytest.approx(0, abs=1e-5), "brows are not generated"
    assert float(objective.unlike(3 * torch.randn_like(made), context)) > 1e-4


def test_an_encoder_learns_whose_lower_half_it_sees() -> None:
    torch.manual_seed(0)
    heads = torch.randn(6, 4, 8, 8)
    face = FaceEncoder(4, 16)
    objective, optimizer = FaceObjective(face), torch.optim.Adam(face.parameters(), 5e-3)
    for _ in range(60):
        batch = FaceBatch(heads + 0.1 * torch.randn_like(heads), lower(heads + 0.1 * torch.randn_like(heads)))
        losses = objective(batch)
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
    assert float(losses["accuracy"]) == 1.0 and float(losses["loss"]) < 0.5


def test_it_is_trained_into_a_file_of_its_own_and_opened_with_the_base(base: Path, data: Path, tmp_path: Path) -> None:
    options = TrainOptions(max_steps=5, device="cpu", run_folder=tmp_path / "runs", warmup_steps=1, progress=False)
    found = train_identity(base, data, base / "identity.safetensors", options)
    assert found["clips"] == 3 and 0 <= found["face_found"] <= 1
    model = load_model(str(base), "cpu")
    assert model.config.denoiser.has_identity and not model.config.denoiser.has_adapters
    assert model.emotion_encoder is None, "words are still performed by the mini"
    before = open_base(base)[1].state_dict()
    after = model.denoiser.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items() if not is_adapter_key(key))
    save_adapters(base / "adapters.safetensors", open_base(base)[1], load_adapted_encoder(base), open_base(base)[0])
    both = load_model(str(base), "cpu")
    assert both.config.denoiser.has_identity and both.config.denoiser.has_adapters and both.emotion_encoder is not None


def load_adapted_encoder(base: Path) -> torch.nn.Module:
    from eadnet_core.nets.emotion_encoder import EmotionEncoder

    return EmotionEncoder(open_base(base)[0].emotion)


def test_a_clip_follows_the_strength_and_without_the_adapter_a_note_says_so(base: Path) -> None:
    def made(strength: float) -> np.ndarray:
        model = load_model(str(base), "cpu")
        options = GenerateOptions(steps=1, identity_strength=strength, mask="mouth")
        still = Performance(np.zeros(1280, np.float32), np.ones(2), np.zeros((2, 27), np.float32), np.zeros((2, 8)))
        picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        return np.concatenate([frames for _, frames in animate(model, picture, still, options)])

    plain = load_model(str(base), "cpu")
    notes = plain.family.notes(plain, GenerateOptions(identity_strength=0.5), False)
    assert any("identity_strength has no effect" in note for note in notes)
    before = made(1.0)
    config, net = open_base(base, "identity")
    stir(net)
    write_weights(
        base / "identity.safetensors", "identity", dict(named_weights(trained_modules(net, None, "identity"))), config
    )
    assert np.array_equal(made(0.0), before) and not np.array_equal(made(1.0), before)


def test_files_of_another_base_and_too_few_heads_are_named(base: Path, data: Path, tmp_path: Path) -> None:
    config, net = open_base(base, "identity")
    other = replace(config, name="other", denoiser=replace(config.denoiser, condition_width=64))
    write_weights(
        base / "identity.safetensors", "identity", dict(named_weights(trained_modules(net, None, "identity"))), other
    )
    with pytest.raises(CheckpointError, match=r"remove 'identity\.safetensors'"):
        load_model(str(base), "cpu")
    (base / "identity.safetensors").unlink()
    options = TrainOptions(max_steps=5, device="cpu", run_folder=tmp_path / "runs", progress=False)
    alone = tmp_path / "alone"
    alone.mkdir()
    frames = np.stack([read_image(ASSETS / "sample" / "portrait.png")[::4, ::4]] * N_FRAMES)
    record = ClipRecord(frames, frames[0], np.zeros(N_FRAMES * 640, np.float32), {}, {})
    write_shards([("one", encode_clip(record))], alone)
    with pytest.raises(BadInput, match="three heads or more"):
        train_identity(base, alone, base / "identity.safetensors", options)
