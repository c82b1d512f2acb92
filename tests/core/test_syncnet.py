"""SyncNet: unit embeddings, the region it looks at, and that it can learn which sound belongs to which frames."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from eadnet_core.config import SyncNetConfig
from eadnet_core.nets.syncnet import PIXEL_CROP, SyncNet

LATENTS = SyncNetConfig(in_channels=4, widths=(16, 16, 32), embedding=16)
PIXELS = SyncNetConfig(space="pixels", in_channels=3, widths=(32, 32, 32), embedding=16)


def build(config: SyncNetConfig) -> SyncNet:
    torch.manual_seed(0)
    return SyncNet(config)


def frames_of(config: SyncNetConfig, n: int) -> Tensor:
    cells = 128 if config.space == "pixels" else 16
    return torch.randn(n, config.frames, config.in_channels, cells, cells)


@pytest.mark.parametrize("config", [LATENTS, PIXELS])
def test_embeddings_have_unit_norm_and_gradients(config: SyncNetConfig) -> None:
    net, frames, mel = build(config), frames_of(config, 3), torch.randn(3, 28, 80)
    seen, heard = net.embed_frames(frames), net.embed_audio(mel)
    assert seen.shape == heard.shape == (3, 16)
    torch.testing.assert_close(seen.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(heard.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(net.similarity(frames, mel), (seen * heard).sum(1))
    F.cross_entropy(net.log_scale.exp() * seen @ heard.t(), torch.arange(3)).backward()
    dead = [name for name, p in net.named_parameters() if p.grad is None or not float(p.grad.abs().max()) > 0]
    assert dead == []


@pytest.mark.parametrize("config", [LATENTS, PIXELS])
def test_only_the_mouth_region_is_read(config: SyncNetConfig) -> None:
    frames = frames_of(config, 1).requires_grad_()
    build(config).embed_frames(frames).square().sum().backward()
    build(config).embed_frames(frames)[0, 0].backward()
    assert frames.grad is not None
    read = frames.grad.abs().sum((0, 1, 2)) > 0
    top, bottom, left, right = PIXEL_CROP if config.space == "pixels" else (8, 16, 0, 16)
    expected = torch.zeros_like(read)
    expected[top:bottom, left:right] = True
    assert not bool((read & ~expected).any())
    assert float(read[top:bottom, left:right].float().mean()) > 0.95


def test_windows_are_judged_one_by_one() -> None:
    net, frames = build(LATENTS), frames_of(LATENTS, 3)
    torch.testing.assert_close(net.embed_frames(frames)[2:], net.embed_frames(frames[2:]), atol=1e-5, rtol=1e-5)


def test_it_can_tell_pairs_apart_after_a_few_steps() -> None:
    net, frames, mel = build(LATENTS), frames_of(LATENTS, 8), torch.randn(8, 28, 80)
    optimiser = torch.optim.Adam(net.parameters(), 5e-3)
    for _ in range(20):
        scores = net.log_scale.exp() * net.embed_frames(frames) @ net.embed_audio(mel).t()
        loss = F.cross_entropy(scores, torch.arange(8))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.5
