"""The denoiser: shapes and lengths, adapters that change nothing, independence of clips and frames, gradients."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from eadnet_core.config import MASK_BOXES, DenoiserConfig
from eadnet_core.errors import BadInput
from eadnet_core.nets.adapters import Strengths
from eadnet_core.nets.denoiser import Denoiser
from eadnet_core.nets.layers import attention
from eadnet_core.nets.stda import STDA
from eadnet_core.nets.temporal_attention import TemporalAttention
from eadnet_core.sampling.conditions import FrameConditions

TINY = DenoiserConfig(
    latent_channels=4,
    widths=(16, 32, 32),
    condition_width=24,
    audio_width=16,
    emotion_width=16,
    tfrm_nodes=2,
    tfrm_width=16,
    stda_block_frames=(4, 4, 4),
)


def build(config: DenoiserConfig = TINY, seed: int = 0) -> Denoiser:
    torch.manual_seed(seed)
    return Denoiser(config).eval()


def inputs(n_clips: int, n_frames: int, cells: int = 16) -> dict[str, Tensor]:
    """Noisy latents, times, and every condition by the name of its field."""
    g = torch.Generator().manual_seed(1)
    sample = torch.randn(n_clips, 13, n_frames, cells, cells, generator=g)
    return {
        "sample": sample[:, :4],
        "context": sample[:, 4:],
        "time": torch.rand(n_clips, generator=g),
        "audio": torch.randn(n_clips, n_frames, 6, 16, generator=g),
        "emotion": torch.randn(n_clips, n_frames, 4, 16, generator=g),
        "motion": 0.2 * torch.randn(n_clips, n_frames, 8, generator=g),
        "motion_known": torch.ones(n_clips, n_frames),
    }


def run(net: Denoiser, given: dict[str, Tensor], **options: Any) -> Any:
    """The net on `inputs`."""
    conditions = {name: value for name, value in given.items() if name not in ("sample", "time")}
    return net(given["sample"], given["time"], FrameConditions(**conditions), **options)


@pytest.mark.parametrize("n_frames", [1, 2, 3, 5, 8, 11, 16, 25, 40])
@torch.no_grad()
def test_any_clip_length(n_frames: int) -> None:
    out, aux = run(build(), inputs(2, n_frames), return_aux=True)
    assert out.shape == (2, 4, n_frames, 16, 16)
    assert bool(out.isfinite().all())
    assert aux["bottleneck"].shape == (2, n_frames, 32)
    assert aux["graph_regulariser"].shape == ()


def test_every_parameter_gets_a_gradient() -> None:
    net = build()
    out, aux = run(net, inputs(2, 9), return_aux=True)
    (out.square().mean() + aux["graph_regulariser"]).backward()
    dead = [name for name, p in net.named_parameters() if p.grad is None or not float(p.grad.abs().max()) > 0]
    assert dead == []


@torch.no_grad()
def test_untrained_zero_init_adapters_equal_the_net_without_them_to_the_bit() -> None:
    net = build(replace(TINY, zero_init_adapters=True))
    given = inputs(2, 9)
    with_adapters = run(net, given)
    assert torch.equal(with_adapters, run(net, given, strengths=Strengths(0.0, 0.0)))
    removed = 0
    for module in net.modules():
        for name in ("stda", "tfrm", "emotion"):
            if isinstance(getattr(module, name, None), nn.Module):
                setattr(module, name, None)
                removed += 1
    assert removed == 4 + 3 + 3
    assert torch.equal(with_adapters, run(net, given))
    assert not torch.equal(run(build(), given), run(build(), given, strengths=Strengths(0.0, 1.0)))
    assert not torch.equal(run(build(), given), run(build(), given, strengths=Strengths(1.0, 0.0)))


def test_adapters_have_their_own_key_prefixes() -> None:
    keys = set(build().state_dict())
    without = set(build(replace(TINY, stda=(False,) * 3)).state_dict())
    assert without < keys
    assert all(".stda." in key for key in keys - without)
    assert any(".tfrm." in key for key in keys)
    assert any(".emotion." in key for key in keys)


@torch.no_grad()
def test_clips_do_not_see_each_other() -> None:
    net, given = build(), inputs(3, 6)
    together = run(net, given)
    alone = torch.cat([run(net, {name: value[i : i + 1] for name, value in given.items()}) for i in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_frames_meet_only_in_stda_tfrm_and_pooled_norms() -> None:
    given = inputs(1, 6)
    changed = dict(given, sample=given["sample"].clone())
    changed["sample"][:, :, 3] += 1
    off = {"strengths": Strengths(0.0, 0.0)}

    def others(net: Denoiser, **options: Strengths) -> float:
        difference = (run(net, changed, **options) - run(net, given, **options)).abs()
        return float(difference[:, :, [0, 1, 2, 4, 5]].max())

    assert others(build(), **off) < 1e-6
    assert others(build(), strengths=Strengths(1.0, 0.0)) > 1e-5
    assert others(build(), strengths=Strengths(0.0, 1.0)) > 1e-5
    assert others(build(replace(TINY, norm_over_frames=True)), **off) > 1e-5


@pytest.mark.parametrize("name", ["time", "audio", "emotion", "motion", "motion_known"])
@torch.no_grad()
def test_every_condition_is_heard(name: str) -> None:
    net, given = build(), inputs(1, 4)
    changed = dict(given, **{name: given[name] * 0.5})
    assert float((run(net, changed) - run(net, given)).abs().max()) > 1e-4


@torch.no_grad()
def test_unknown_motion_is_not_read() -> None:
    net, given = build(), inputs(1, 4)
    given["motion_known"] = torch.zeros(1, 4)
    assert torch.equal(run(net, given), run(net, dict(given, motion=given["motion"] + 1)))


@torch.no_grad()
def test_any_number_of_audio_tokens_and_cells() -> None:
    given = inputs(1, 3, cells=32)
    given["audio"] = torch.randn(1, 3, 50, 16)
    assert run(build(), given).shape == (1, 4, 3, 32, 32)


@torch.no_grad()
def test_stable_diffusion_layout_of_skips() -> None:
    """One layer more on the way up than down takes every skip: the inputs of each level too."""
    config = replace(TINY, blocks=(2, 2, 2), up_blocks=(3, 3, 3), cross_attention=(True, True, False))
    assert run(build(config), inputs(1, 2)).shape == (1, 4, 2, 16, 16)


def test_epsilon_nets_read_time_in_steps() -> None:
    given = inputs(2, 2)
    steps = dict(given, time=given["time"] * 1000)
    epsilon = build(replace(TINY, prediction="epsilon"))
    torch.testing.assert_close(run(epsilon, steps), run(build(), given))


@torch.no_grad()
def test_unconditioned_audio_is_no_special_case_of_length() -> None:
    net, given = build(), inputs(1, 4)
    zeros = torch.zeros(1, 4, 6, 16)
    more_zeros = torch.zeros(1, 4, 9, 16)
    torch.testing.assert_close(run(net, dict(given, audio=zeros)), run(net, dict(given, audio=more_zeros)))


@torch.no_grad()
def test_backends_agree() -> None:
    given = inputs(1, 6)
    torch.testing.assert_close(run(build(), given), run(build(replace(TINY, attention_backend="plain")), given))


def test_attention_backends_agree_under_a_mask() -> None:
    q, k, v = torch.randn(2, 3, 5, 8), torch.randn(2, 3, 7, 8), torch.randn(2, 3, 7, 8)
    mask = torch.rand(2, 1, 5, 7) > 0.4
    mask[..., 0] = True
    expected = attention(q, k, v, "plain", mask)
    torch.testing.assert_close(attention(q, k, v, "sdpa", mask), expected)
    assert not torch.allclose(attention(q, k, v, "plain"), expected)
    with pytest.raises(BadInput, match="sdpa, xformers, plain"):
        attention(q, k, v, "flash")


def test_xformers_agrees_or_names_its_extra() -> None:
    q, k, v = (torch.randn(2, 3, 5, 8) for _ in range(3))
    try:
        import xformers.ops  # noqa: F401
    except ImportError:
        with pytest.raises(BadInput, match=r"eadnet\[xformers\]"):
            attention(q, k, v, "xformers")
        return
    if not torch.cuda.is_available():
        pytest.skip("xformers has no kernels for the CPU")
    q, k, v = (x.cuda().half() for x in (q, k, v))
    torch.testing.assert_close(attention(q, k, v, "xformers"), attention(q, k, v, "plain"), atol=1e-2, rtol=1e-2)


def test_mask_boxes_are_whole_cells_of_the_mini() -> None:
    assert all(edge * DenoiserConfig().cells == round(edge * DenoiserConfig().cells) for edge in MASK_BOXES["mouth"])


@torch.no_grad()
def test_the_middle_can_go_without_a_graph() -> None:
    without = build(replace(TINY, tfrm=(False,) * 3, tfrm_middle=False))
    out, aux = run(without, inputs(1, 5), return_aux=True)
    assert bool(out.isfinite().all()) and float(aux["graph_regulariser"]) == 0
    assert not any("tfrm" in key for key in without.state_dict())
    keys = set(build(replace(TINY, tfrm=(False,) * 3)).state_dict()) - set(without.state_dict())
    assert keys and all(key.startswith("mid_block.tfrm.") for key in keys)


@torch.no_grad()
def test_plain_temporal_attention_stands_where_stda_did() -> None:
    strips, plain = build(), build(replace(TINY, temporal="plain"))
    kinds = [type(module) for module in plain.modules()]
    assert kinds.count(TemporalAttention) == [type(module) for module in strips.modules()].count(STDA) == 4
    assert set(plain.state_dict()) < set(strips.state_dict())
    given = inputs(2, 5)
    assert run(plain, given).shape == run(strips, given).shape
    assert not torch.equal(run(plain, given), run(plain, given, strengths=Strengths(0.0, 1.0)))
    with pytest.raises(BadInput, match="temporal is 'strips'; choose one of stda, plain"):
        replace(TINY, temporal="strips")


def test_plain_temporal_attention_has_about_the_weights_of_stda() -> None:
    def count(config: DenoiserConfig) -> int:
        return sum(p.numel() for name, p in build(config).named_parameters() if ".stda." in name)

    mini = DenoiserConfig()
    assert count(replace(mini, temporal="plain")) / count(mini) == pytest.approx(0.95, abs=0.02)


def test_the_mini_stays_small() -> None:
    n_weights = sum(p.numel() for p in Denoiser(DenoiserConfig()).parameters())
    assert 4e6 < n_weights < 7e6
