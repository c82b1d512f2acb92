"""A base's denoiser with less work per step: equal where it says so, near where it does not, and fewer layers run."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import torch

from eadnet_core.config import DenoiserConfig
from eadnet_core.errors import BadInput
from eadnet_core.nets.adapters import is_adapter_key
from eadnet_core.nets.denoiser import Denoiser
from eadnet_core.nets.latentsync.denoiser import LatentSyncDenoiser
from eadnet_core.nets.latentsync.fast import FastDenoiser, Speed
from eadnet_core.sampling.conditions import FrameConditions
from eadnet_core.sampling.sampler import ConditionSource, SamplerOptions, Wavefront

N_FRAMES, CELLS = 10, 8
ROUNDING = 2e-5
"""Outputs are about 1 in size: sums in another order move them by a few 1e-6 in each of four steps."""
OPTIONS = SamplerOptions(steps=4, guidance_audio=1.5, guidance_emotion=1.5, window_frames=4, batch_windows=2)


@pytest.fixture(scope="module")
def small(parity: ModuleType) -> DenoiserConfig:
    return replace(parity.SMALL, cells=CELLS, widths=(32, 32, 32, 32), norm_groups=8, window_frames=4)


def seeded(parity: ModuleType, config: DenoiserConfig, *, has_adapters: bool) -> LatentSyncDenoiser:
    """A net whose adapters, if any, do something."""
    net = parity.build(
        parity.seeded(LatentSyncDenoiser(replace(config, has_adapters=False)).state_dict(), 0), config, has_adapters
    )
    net.load_state_dict(
        {k: parity.seeded_like(v, k, 1) for k, v in net.state_dict().items() if is_adapter_key(k)}, False
    )
    return net


def conditions(config: DenoiserConfig) -> FrameConditions:
    draw = torch.Generator().manual_seed(1)
    tokens = torch.randn(N_FRAMES, 4, config.emotion_width, generator=draw)
    return FrameConditions(
        context=torch.randn(9, N_FRAMES, CELLS, CELLS, generator=draw),
        audio=torch.randn(N_FRAMES, 50, config.audio_width, generator=draw),
        emotion=tokens,
        null_emotion=tokens[0] * 0,
        motion=torch.randn(N_FRAMES, config.motion_size, generator=draw) * 0.1,
        motion_known=torch.ones(N_FRAMES),
    )


class Run:
    """A sampling of the whole clip with a net, and how often its finest level was computed."""

    def __init__(
        self,
        net: LatentSyncDenoiser,
        speed: Speed | None,
        options: SamplerOptions = OPTIONS,
        kind: type[FastDenoiser] = FastDenoiser,
    ) -> None:
        self.config = net.config
        self.net: Any = net if speed is None else kind(net, speed)
        self.options = options
        self.given = conditions(self.config)
        self.noise = torch.randn(4, 1, CELLS, CELLS, generator=torch.Generator().manual_seed(2))

    def wave(self) -> Wavefront:
        source = ConditionSource(N_FRAMES, self.given.frames)
        return Wavefront(self.net, self.config, source, self.noise, self.options)

    @torch.inference_mode()
    def sample(self) -> torch.Tensor:
        wave = self.wave()
        return torch.cat([wave.advance(stop).x0 for stop in (4, 8, N_FRAMES)], dim=1)


@pytest.mark.parametrize("has_adapters", [False, True])
@pytest.mark.parametrize("shares", [False, True])
@pytest.mark.parametrize("kind", ["FastDenoiser", "SoundCache", "ChannelsLast"])
def test_what_is_spared_changes_no_more_than_the_last_bits(
    parity: ModuleType, fast_variants: ModuleType, small: DenoiserConfig, kind: str, shares: bool, has_adapters: bool
) -> None:
    net = seeded(parity, small, has_adapters=has_adapters)
    expected = Run(net, None).sample()
    found = Run(net, Speed(share_branches=shares), kind=getattr(fast_variants, kind)).sample()
    torch.testing.assert_close(found, expected, atol=ROUNDING, rtol=0)


def counted(net: LatentSyncDenoiser, module: str) -> list[int]:
    """Rows that a module is given in each of its calls, from now on."""
    rows: list[int] = []
    net.get_submodule(module).register_forward_hook(lambda _, inputs, __: rows.append(len(inputs[0])))
    return rows


def test_branches_share_what_lies_before_the_first_attention_to_sound(
    parity: ModuleType, small: DenoiserConfig
) -> None:
    net = seeded(parity, small, has_adapters=False)
    block = "down_blocks.0.attentions.0.transformer_blocks.0"
    first, spatial, sound = (counted(net, name) for name in ("conv_in", f"{block}.attn1", f"{block}.attn2"))
    everything = counted(net, "mid_block.resnets.0")
    Run(net, None).sample()
    assert first == spatial == sound == everything
    n_calls = len(everything)
    Run(net, Speed(share_branches=True)).sample()
    halves = [rows // 2 for rows in everything[n_calls:]]
    assert first[n_calls:] == spatial[n_calls:] == sound[n_calls:] == halves


def test_keys_and_values_of_sound_are_computed_once_for_every_frame(
    parity: ModuleType, fast_variants: ModuleType, small: DenoiserConfig
) -> None:
    net = seeded(parity, small, has_adapters=False)
    rows = counted(net, "mid_block.attentions.0.transformer_blocks.0.attn2.to_k")
    run = Run(net, Speed(), kind=fast_variants.SoundCache)
    run.sample()
    assert sum(rows) == N_FRAMES
    assert run.net.sound == {}, "finished frames must be let go of"


@pytest.mark.parametrize("kind", ["FastDenoiser", "TwoFresh"])
def test_deep_features_are_taken_from_the_step_before(
    parity: ModuleType, fast_variants: ModuleType, small: DenoiserConfig, kind: str
) -> None:
    net = seeded(parity, small, has_adapters=False)
    options = replace(OPTIONS, steps=8, windows="fixed")
    expected = Run(net, None, options).sample()
    deep, shallow = counted(net, "mid_block.resnets.0"), counted(net, "conv_out")
    errors = []
    for reuse_every in (1, 2, 4):
        run = Run(net, Speed(reuse_every=reuse_every), options, kind=getattr(fast_variants, kind))
        begun = len(deep), len(shallow)
        errors.append(float((run.sample() - expected).square().mean().sqrt()))
        assert sum(deep[begun[0] :]) == sum(shallow[begun[1] :]) // reuse_every
        assert run.net.deep == {}, "finished frames must be let go of"
    assert errors[0] < ROUNDING < errors[1] < errors[2] < float(expected.std())


def test_a_run_that_goes_on_from_its_state_ends_the_same(parity: ModuleType, small: DenoiserConfig) -> None:
    net = seeded(parity, small, has_adapters=False)
    speed = Speed(reuse_every=2)
    expected = Run(net, speed).sample()
    with torch.inference_mode():
        first, second = Run(net, speed), Run(net, speed)
        wave = first.wave()
        wave.advance(4)
        again = second.wave()
        again.restore(wave.state())
        second.net.restore(first.net.state(), "cpu")
        found = torch.cat([again.advance(8).x0, again.advance(N_FRAMES).x0], dim=1)
        assert torch.equal(found, expected[:, 4:])
        third = Run(net, speed)
        lost = third.wave()
        lost.restore(wave.state())
        assert not torch.equal(lost.advance(8).x0, expected[:, 4:8])


def test_one_prediction_alone_is_spared_nothing_and_changes_no_bit(parity: ModuleType, small: DenoiserConfig) -> None:
    net = seeded(parity, small, has_adapters=False)
    alone = replace(OPTIONS, guidance_audio=1.0, guidance_emotion=1.0)
    assert torch.equal(Run(net, Speed(share_branches=True), alone).sample(), Run(net, None, alone).sample())


def test_compiled_runs_what_the_compiler_made_at_fixed_shapes(
    parity: ModuleType, small: DenoiserConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def compile_(function: Any, *, dynamic: bool) -> Any:
        assert not dynamic

        def made(*given: Any) -> Any:
            calls.append(function.__name__)
            return function(*given)

        return made

    net = seeded(parity, small, has_adapters=False)
    expected = Run(net, Speed(share_branches=True, reuse_every=2)).sample()
    monkeypatch.setattr(torch, "compile", compile_)
    found = Run(net, Speed(share_branches=True, reuse_every=2, compiled=True)).sample()
    assert torch.equal(found, expected)
    assert set(calls) == {"_run", "_rerun"}


def test_what_cannot_be_asked_for_is_named() -> None:
    with pytest.raises(BadInput, match="reuse_every is 0"):
        Speed(reuse_every=0)
    with pytest.raises(BadInput, match="base's denoiser"):
        FastDenoiser(Denoiser(DenoiserConfig()), Speed())
