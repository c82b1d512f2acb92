"""The denoiser in LatentSync's shape: its keys, its golden outputs, and adapters that change nothing until trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from eadnet_core.config import PRESETS, DenoiserConfig
from eadnet_core.errors import BadInput
from eadnet_core.machine import has_matrix_units
from eadnet_core.nets.adapters import ADAPTERS, is_adapter_key
from eadnet_core.nets.latentsync.denoiser import LatentSyncDenoiser
from eadnet_core.sampling.conditions import FrameConditions

GOLDEN = Path(__file__).parent.parent / "golden"
IS_NEAR = torch.backends.cpu.get_cpu_capability() == "AVX512" and not has_matrix_units()
CLOSE = 1e-5 if IS_NEAR else 3e-5
"""Outputs are about 0.4 in size; other kernels move them by a few 1e-6, those of a CPU with AMX by 1.2e-5, those of one
without AVX-512 by 1.6e-5."""


@pytest.fixture
def one_thread() -> object:
    """The golden values were made with one thread: how work is cut decides the order of sums."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def bare(config: DenoiserConfig) -> DenoiserConfig:
    return replace(config, has_adapters=False)


@pytest.mark.parametrize("preset", ["base-256", "base-512"])
def test_full_size_has_the_keys_and_shapes_of_the_public_weights(preset: str) -> None:
    with np.load(GOLDEN / "latentsync_keys.npz") as golden:
        lines = bytes(golden["lines"]).decode().splitlines()
        n_weights = int(golden["n_weights"])
    with torch.device("meta"):
        net = LatentSyncDenoiser(bare(PRESETS[preset].denoiser))
    ours = {f"{key} {'x'.join(map(str, value.shape))}" for key, value in net.state_dict().items()}
    assert ours == set(lines)
    assert len(lines) == 1246
    assert sum(p.numel() for p in net.parameters()) == n_weights == 1_267_099_844
    assert sum(1 for _ in net.parameters()) == 1206


@pytest.mark.parametrize("preset", ["base-256", "base-512"])
def test_adapters_add_keys_and_take_none(preset: str) -> None:
    with torch.device("meta"):
        base, full = (
            LatentSyncDenoiser(config) for config in (bare(PRESETS[preset].denoiser), PRESETS[preset].denoiser)
        )
    added = set(full.state_dict()) - set(base.state_dict())
    assert set(base.state_dict()) <= set(full.state_dict())
    assert not any(is_adapter_key(key) for key in base.state_dict())
    assert all(is_adapter_key(key) for key in added)
    assert {name for key in added for name in ADAPTERS["adapters"].intersection(key.split("."))} == ADAPTERS["adapters"]
    tfrm_levels = {key.rpartition(".tfrm.")[0] for key in added if ".tfrm." in key}
    level = PRESETS[preset].denoiser.tfrm.index(True)
    assert tfrm_levels == {f"down_blocks.{level}", f"up_blocks.{3 - level}", "mid_block"}


@torch.no_grad()
def test_outputs_equal_the_references_to_the_bit(parity: ModuleType, one_thread: None) -> None:
    """On the kind of CPU that made the golden values, else within `CLOSE`.

    The kind is told by `parity.marker`: torch's version, its instruction set, and a hash of what its kernels make of
    known numbers. Drawing the weights and inputs is part of what is compared: their digest is checked first.
    """
    with np.load(GOLDEN / "denoiser.npz") as file:
        golden = {key: file[key] for key in file.files}
    seed, is_same_kind = int(golden["seed"]), parity.marker() == str(golden["marker"])
    for name in parity.GOLDEN_CASES:
        config, expected = parity.CASES[name].config, torch.from_numpy(golden[name])
        state = parity.seeded(LatentSyncDenoiser(bare(config)).state_dict(), seed)
        net, given = parity.build(state, config), parity.for_ours(*parity.inputs(name, seed))
        found, learning = net(*given), net.requires_grad_(True)(*given)
        if is_same_kind:
            assert parity.digest(state[key] for key in sorted(state)) == str(golden[f"{name}/weights"])
            assert torch.equal(found, expected), name
            assert torch.equal(learning, found), name
        torch.testing.assert_close(found, expected, atol=CLOSE, rtol=0)
        torch.testing.assert_close(learning, found, atol=CLOSE, rtol=0)


@torch.no_grad()
def test_adapters_that_are_zero_change_no_bit(parity: ModuleType) -> None:
    state = parity.seeded(LatentSyncDenoiser(bare(parity.SMALL)).state_dict(), 0)
    given = parity.inputs("denoiser_5_frames", 0)
    expected = parity.build(state)(*parity.for_ours(*given))
    net = parity.build(state, has_adapters=True)
    more = parity.conditions("denoiser_5_frames", 0)
    assert torch.equal(net(*parity.for_ours(*given, *more)), expected)
    assert torch.equal(net(*parity.for_ours(*given)), expected)


def test_every_zero_projection_of_an_adapter_gets_a_gradient_and_is_heard(parity: ModuleType) -> None:
    state = parity.seeded(LatentSyncDenoiser(bare(parity.SMALL)).state_dict(), 0)
    net = parity.build(state, has_adapters=True)
    adapters = {name: p for name, p in net.named_parameters() if is_adapter_key(name)}
    zeros = {name: p for name, p in adapters.items() if name.endswith("weight") and not p.any() and "gate" not in name}
    assert {name for key in zeros for name in ADAPTERS["adapters"].intersection(key.split("."))} == ADAPTERS["adapters"]
    for p in adapters.values():
        p.requires_grad_(True)
    bare_given, given = parity.inputs("denoiser_5_frames", 0), parity.conditions("denoiser_5_frames", 0)
    before = net(*parity.for_ours(*bare_given, *given))
    before.square().mean().backward()
    dead = [name for name, p in zeros.items() if p.grad is None or not bool(p.grad.any())]
    assert dead == []
    with torch.no_grad():
        for p in zeros.values():
            p.add_(0.05)
        after = net(*parity.for_ours(*bare_given, *given))
        assert float((after - before).abs().max()) > 1e-3
        for i, condition in enumerate(given[:2]):
            changed = [*given]
            changed[i] = condition * 0.5
            assert not torch.equal(net(*parity.for_ours(*bare_given, *changed)), after)


@torch.no_grad()
def test_the_result_of_a_clip_depends_on_neither_its_neighbours_nor_the_order_of_time(parity: ModuleType) -> None:
    net = parity.build(parity.seeded(LatentSyncDenoiser(bare(parity.SMALL)).state_dict(), 0))
    sample, time, audio = parity.inputs("denoiser_two_clips", 0)
    together = net(*parity.for_ours(sample, time, audio))
    each = [parity.for_ours(*(x[i : i + 1] for x in (sample, time, audio))) for i in range(2)]
    alone = torch.cat([net(*given) for given in each])
    torch.testing.assert_close(together, alone, atol=CLOSE, rtol=0)
    backwards = net(*parity.for_ours(sample.flip(2), time, audio.flip(1))).flip(2)
    assert float((backwards - together).abs().max()) > 1e-3


@torch.no_grad()
def test_more_frames_than_positions_are_refused(parity: ModuleType) -> None:
    net = LatentSyncDenoiser(bare(parity.SMALL)).eval()
    with pytest.raises(BadInput, match=r"window of 25 frames.*window_frames to 24"):
        given = FrameConditions(torch.zeros(1, 9, 25, 8, 8), torch.zeros(1, 25, 50, parity.SMALL.audio_width))
        net(torch.zeros(1, 4, 25, 8, 8), torch.zeros(1), given)


def test_an_unknown_layout_is_named() -> None:
    with pytest.raises(BadInput, match=r"'unet'.*eadnet, latentsync"):
        DenoiserConfig(layout="unet")
    with pytest.raises(BadInput, match="has_adapters"):
        DenoiserConfig(has_adapters=False)
