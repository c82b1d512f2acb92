"""STDA, TFRM and the denoiser over a clip that comes in order."""

from __future__ import annotations

import pytest
import torch

from eadnet_core.config import DenoiserConfig
from eadnet_core.errors import BadInput
from eadnet_core.nets.causal import Memory, causal_stda, causal_tfrm
from eadnet_core.nets.denoiser import Denoiser
from eadnet_core.nets.stda import STDA
from eadnet_core.nets.tfrm import TFRM
from eadnet_core.sampling.conditions import FrameConditions

PAST, NEW, CLIPS = 6, 3, 2


def randomised(module: torch.nn.Module) -> torch.nn.Module:
    """With weights that do something: some start at zero."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return module.eval()


def frames_of(x: torch.Tensor, start: int, stop: int) -> torch.Tensor:
    """Frames start .. stop - 1 of both clips, [B T, ...] in and out."""
    return x.unflatten(0, (CLIPS, -1))[:, start:stop].flatten(0, 1)


@pytest.mark.parametrize("block_frames", [16, PAST + NEW])
def test_stda_sees_past_frames_as_in_a_window(block_frames: int) -> None:
    stda = randomised(STDA(16, 8, block_frames))
    x = torch.randn(CLIPS * (PAST + NEW), 16, 4, 3)
    memory = Memory(PAST)
    with torch.inference_mode():
        whole = stda(x, PAST + NEW)
        causal_stda(stda, frames_of(x, 0, PAST), PAST, memory)
        found = causal_stda(stda, frames_of(x, PAST, PAST + NEW), NEW, memory)
        alone = stda(frames_of(x, PAST, PAST + NEW), NEW)
    wanted = frames_of(whole, PAST, PAST + NEW)
    assert torch.allclose(found, wanted, atol=1e-5)
    assert not torch.allclose(alone, wanted, atol=1e-3)  # the past matters


def test_tfrm_sees_past_frames_as_in_a_window() -> None:
    tfrm = randomised(TFRM(16, 4, nodes=2, node_width=8, init=1.0))
    x, reference = torch.randn(CLIPS * (PAST + NEW), 16, 4, 4), torch.randn(CLIPS, 4, 4, 4)
    memory = Memory(PAST)
    with torch.inference_mode():
        whole, _ = tfrm(x, reference, PAST + NEW)
        causal_tfrm(tfrm, frames_of(x, 0, PAST), reference, PAST, memory)
        found = causal_tfrm(tfrm, frames_of(x, PAST, PAST + NEW), reference, NEW, memory)
    assert torch.allclose(found, frames_of(whole, PAST, PAST + NEW), atol=1e-5)


def test_strength_nothing_leaves_features_alone() -> None:
    stda, tfrm = randomised(STDA(16, 8, 16)), randomised(TFRM(16, 4, nodes=2, node_width=8, init=1.0))
    x, reference = torch.randn(4, 16, 4, 4), torch.randn(2, 4, 4, 4)
    assert causal_stda(stda, x, 2, Memory(4), 0.0) is x
    assert causal_tfrm(tfrm, x, reference, 2, Memory(4), 0.0) is x


def test_a_memory_keeps_no_more_than_it_was_given_room_for() -> None:
    owner, memory = torch.nn.Identity(), Memory(4)
    values = torch.arange(10.0).view(1, 10, 1)
    for start in range(0, 10, 2):
        whole = memory.append(owner, "values", values[:, start : start + 2])
    assert whole.flatten().tolist() == [4, 5, 6, 7, 8, 9]
    assert memory.kept[owner, "values"].flatten().tolist() == [6, 7, 8, 9]
    nothing = Memory(0)
    nothing.append(owner, "values", values)
    assert nothing.append(owner, "values", values[:, :2]).shape[1] == 2


def conditions(config: DenoiserConfig, n_frames: int) -> FrameConditions:
    generator = torch.Generator().manual_seed(2)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    return FrameConditions(
        context=draw(1, 2 * config.latent_channels + 1, n_frames, config.cells, config.cells),
        audio=draw(1, n_frames, 4, config.audio_width),
        emotion=draw(1, n_frames, 2, config.emotion_width),
        motion=draw(1, n_frames, 8),
        motion_known=torch.ones(1, n_frames),
    )


def test_the_first_chunk_equals_a_window_of_its_length(tiny_model) -> None:
    config, net = tiny_model.config.denoiser, tiny_model.denoiser
    given = conditions(config, 5)
    x, times = torch.randn(1, config.latent_channels, 5, config.cells, config.cells), torch.ones(1)
    with torch.inference_mode():
        assert torch.allclose(net(x, times, given, memory=Memory(3)), net(x, times, given), atol=1e-5)


def test_plain_temporal_attention_has_no_memory() -> None:
    config = DenoiserConfig(
        widths=(16, 16, 16),
        temporal="plain",
        tfrm_nodes=2,
        tfrm_width=16,
        condition_width=32,
        audio_width=16,
        emotion_width=16,
    )
    net, given = Denoiser(config), conditions(config, 2)
    x = torch.randn(1, config.latent_channels, 2, config.cells, config.cells)
    with torch.inference_mode(), pytest.raises(BadInput, match="STDA can"):
        net(x, torch.ones(1), given, memory=Memory(3))
