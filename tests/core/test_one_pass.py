"""Guidance that a net applies by itself: when one pass is made, when several, and that other weights change no bit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor

from eadnet_core.config import DenoiserConfig, from_dict, to_dict
from eadnet_core.errors import BadInput
from eadnet_core.families.mini import MiniModel
from eadnet_core.live.denoising import CausalSampler
from eadnet_core.nets.denoiser import Denoiser
from eadnet_core.request import GenerateOptions
from eadnet_core.sampling.conditions import FrameConditions
from eadnet_core.sampling.guidance import Branch, SyncGuide, in_branches, passes, predict_x0
from eadnet_core.sampling.prediction import prediction_of
from eadnet_core.sampling.sampler import ConditionSource, SamplerOptions, Wavefront, draw_noise

if TYPE_CHECKING:
    from tests.conftest import Tiny

N_FRAMES = 8


def guiding(config: DenoiserConfig) -> DenoiserConfig:
    return replace(config, guides_itself=True)


def conditions(config: DenoiserConfig, n_frames: int = N_FRAMES) -> FrameConditions:
    generator = torch.Generator().manual_seed(2)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    return FrameConditions(
        context=draw(2 * config.latent_channels + 1, n_frames, config.cells, config.cells),
        audio=draw(n_frames, 4, config.audio_width),
        emotion=draw(n_frames, 2, config.emotion_width),
        motion=draw(n_frames, 8),
        motion_known=torch.ones(n_frames),
        null_emotion=draw(2, config.emotion_width),
    )


def randomised(net: Denoiser) -> Denoiser:
    """With weights that do something: some start at zero."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net.eval()


@pytest.fixture
def plain(tiny: Tiny) -> Denoiser:
    torch.manual_seed(0)
    return randomised(Denoiser(tiny.config.denoiser))


@pytest.fixture
def listening(tiny: Tiny) -> Denoiser:
    torch.manual_seed(0)
    return randomised(Denoiser(guiding(tiny.config.denoiser)))


def run(net: Any, needed: list[Branch], given: FrameConditions) -> Tensor:
    config = net.config
    x_t = draw_noise(config, 0).expand(-1, given.n_frames, -1, -1)[None]
    with torch.inference_mode():
        return predict_x0(net, prediction_of(config), x_t, 1.0, [given], needed).x0


class Counted:
    """A denoiser that remembers what it was told and how many clips came at a time."""

    def __init__(self, net: Denoiser) -> None:
        self.net, self.config, self.told, self.sizes = net, net.config, [], []  # type: ignore[var-annotated]

    def __call__(self, sample: Tensor, time: Tensor, given: FrameConditions, place: object = None) -> Tensor:
        self.sizes.append(len(sample))
        self.told.append(given.guidance)
        found = self.net(sample, time, given)
        assert isinstance(found, Tensor)
        return found


def test_one_pass_is_made_where_the_net_guides_itself(tiny: Tiny) -> None:
    config = guiding(tiny.config.denoiser)
    for weights in ((1.3, 1.15), (0.0, 1.2), (10.0, 0.0)):
        assert passes(config, *weights) == [Branch(True, True, 1.0, weights)]
    assert passes(config, 1.0, 1.0) == [Branch(True, True, 1.0)], "nothing to tell"
    assert len(passes(config, 1.3, 1.15, needs_correction=True)) == 3
    assert len(passes(tiny.config.denoiser, 1.3, 1.15)) == 3, "not distilled"


def test_a_new_input_changes_no_bit_of_old_weights(plain: Denoiser, tiny: Tiny) -> None:
    """Zero at the start, left out, and told nothing: all the same."""
    grown = Denoiser(guiding(tiny.config.denoiser)).eval()
    missing, unexpected = grown.load_state_dict(plain.state_dict(), strict=False)
    assert missing == ["guidance_out.weight", "guidance_out.bias"] and not unexpected
    given = conditions(plain.config)
    before = run(plain, [Branch(True, True, 1.0)], given)
    for branch in (Branch(True, True, 1.0), Branch(True, True, 1.0, (2.0, 1.5))):
        assert torch.equal(run(grown, [branch], given), before)
        assert torch.equal(run(plain, [branch], given), before), "a net without the input does not look"


def test_weights_of_one_are_no_guidance(listening: Denoiser) -> None:
    given = conditions(listening.config)
    silent = run(listening, [Branch(True, True, 1.0)], given)
    assert torch.equal(run(listening, [Branch(True, True, 1.0, (1.0, 1.0))], given), silent)
    assert not torch.equal(run(listening, [Branch(True, True, 1.0, (1.3, 1.0))], given), silent)
    assert not torch.equal(run(listening, [Branch(True, True, 1.0, (1.0, 1.3))], given), silent)


def test_what_guidance_adds_is_as_large_as_its_weight(listening: Denoiser) -> None:
    """So a slider is even from end to end, and no weight lies outside what was trained."""
    given = conditions(listening.config)
    none, small, large = (
        run(listening, [Branch(True, True, 1.0, weights)], given) for weights in ((1.0, 1.0), (1.5, 0.9), (6.0, 0.0))
    )
    torch.testing.assert_close(large - none, 10 * (small - none), atol=1e-4, rtol=1e-3)


def test_every_window_is_told_in_its_own_precision(listening: Denoiser) -> None:
    batch = FrameConditions.stack([conditions(listening.config)] * 3).to(torch.bfloat16)
    given = in_branches(batch, [Branch(True, True, 1.0, (1.5, 0.5))])
    assert given.guidance is not None and given.guidance.dtype == torch.bfloat16
    assert given.guidance.tolist() == [[0.5, -0.5]] * 3
    apart = passes(listening.config, 4.0, 1.0, needs_correction=True)
    assert in_branches(batch, apart).guidance is None


@pytest.mark.parametrize(("weights", "per_window", "is_told"), [((1.3, 1.15), 1, True), ((1.0, 1.0), 1, False)])
def test_the_sampler_makes_as_many_passes_as_are_needed(
    listening: Denoiser, weights: tuple[float, float], per_window: int, is_told: bool
) -> None:
    net, config = Counted(listening), listening.config
    whole = conditions(config, 20)
    options = SamplerOptions(
        steps=1, guidance_audio=weights[0], guidance_emotion=weights[1], window_frames=8, batch_windows=1
    )
    source = ConditionSource(20, whole.frames)
    wave = Wavefront(net, config, source, draw_noise(config, 0), options)
    with torch.inference_mode():
        wave.advance(20)
    assert set(net.sizes) == {per_window}
    assert all((one is not None) == is_told for one in net.told)


def test_what_measures_the_correction_gets_it(listening: Denoiser) -> None:
    """SyncNet guidance takes steps of a share of the correction, which one pass does not show."""
    config = listening.config
    sync = SyncGuide(lambda x: x.flatten(1), lambda x, _: x, torch.ones(config.cells, config.cells), 0.2, 0.9, 5)
    options = SamplerOptions(steps=1, guidance_audio=1.3, guidance_emotion=1.15, window_frames=8)
    source = ConditionSource(N_FRAMES, conditions(config).frames)
    assert len(Wavefront(Counted(listening), config, source, draw_noise(config, 0), options, sync).needed) == 3
    late = replace(options, sync_range=(0.1, 0.2))
    assert len(Wavefront(Counted(listening), config, source, draw_noise(config, 0), late, sync).needed) == 1


def test_live_remembers_one_branch_alone(tiny_model: MiniModel, listening: Denoiser) -> None:
    model = replace(
        tiny_model,
        denoiser=listening,
        config=replace(tiny_model.config, denoiser=guiding(tiny_model.config.denoiser)),
    )
    whole = conditions(listening.config)
    for one, n_branches in ((model, 1), (tiny_model, 3)):
        sampler = CausalSampler(one, GenerateOptions(), 4)
        with torch.inference_mode():
            first = sampler.next(whole.frames(0, 4))
            second = sampler.next(whole.frames(4, 8))
        assert first.shape == second.shape and bool(torch.isfinite(second).all())
        assert {len(kept) for kept in sampler.memories[0].kept.values()} == {n_branches}


def test_the_config_keeps_it_and_a_base_cannot(tiny: Tiny) -> None:
    config = guiding(tiny.config.denoiser)
    assert from_dict(DenoiserConfig, to_dict(config)) == config
    with pytest.raises(BadInput, match="guides_itself"):
        guiding(tiny.base.denoiser)
