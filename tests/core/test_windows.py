"""Window plans: every frame once per step, cuts that move, and sampling that does not depend on segments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from eadnet_core.config import DenoiserConfig
from eadnet_core.errors import Cancelled
from eadnet_core.sampling.conditions import FrameConditions
from eadnet_core.sampling.guidance import Net
from eadnet_core.sampling.sampler import ConditionSource, SamplerOptions, Wavefront, draw_noise
from eadnet_core.sampling.windows import batches, fuse, plan

CONFIG = DenoiserConfig(latent_channels=2, cells=4)


@pytest.mark.parametrize("window", [1, 2, 4, 8, 16])
def test_a_plan_covers_every_frame_once(window: int) -> None:
    for n_frames in [*range(1, 70), 250, 1001]:
        for step in range(12):
            windows = plan(n_frames, window, step)
            assert [f for w in windows for f in range(*w)] == list(range(n_frames))
            assert max(w.length for w in windows) <= window
            assert min(w.length for w in windows) >= min(n_frames, max(1, window // 4))


def test_cuts_move_from_step_to_step() -> None:
    inner = [{w.start for w in plan(200, 16, k)[2:-1]} for k in range(16)]
    assert all(not a & b for i, a in enumerate(inner) for b in inner[i + 1 :])


def test_windows_never_tie_the_ends_together() -> None:
    for step in range(16):
        assert all(w.start < w.stop for w in plan(40, 16, step))


@pytest.mark.parametrize("n_frames", [1, 15, 16, 17, 24, 103])
def test_fuse_undoes_plan_in_any_order(n_frames: int) -> None:
    x = torch.randn(2, n_frames, 3)
    for step in range(5):
        for n in (1, 3, 8):
            order = [w for group in batches(plan(n_frames, 16, step), n) for w in group]
            assert torch.equal(fuse([x[:, w.start : w.stop] for w in order], order), x)


def test_batches_hold_equal_lengths_and_no_more_than_asked() -> None:
    for group in batches(plan(103, 16, 1), 3):
        assert len(group) <= 3
        assert len({w.length for w in group}) == 1


class MixingNet:
    """A net whose output at a frame depends on all frames of its window; it counts the frames it sees."""

    def __init__(self) -> None:
        self.n_frames = 0

    def __call__(self, sample: Tensor, time: Tensor, conditions: FrameConditions, place: object = None) -> Tensor:
        self.n_frames += sample.shape[0] * sample.shape[2]
        mixed = sample.mean(2, keepdim=True) + 0.1 * sample.cumsum(2)
        assert conditions.emotion is not None
        given = conditions.audio.mean((2, 3)) + conditions.emotion.mean((2, 3))
        return torch.tanh(mixed * time[:, None, None, None, None] + given[:, None, :, None, None])


def conditions(n_frames: int) -> FrameConditions:
    generator = torch.Generator().manual_seed(n_frames)
    return FrameConditions(
        context=torch.zeros(5, n_frames, 4, 4),
        audio=torch.randn(n_frames, 3, 4, generator=generator),
        emotion=torch.randn(n_frames, 2, 4, generator=generator),
        null_emotion=torch.zeros(2, 4),
        motion=torch.zeros(n_frames, 8),
        motion_known=torch.ones(n_frames),
    )


def segments(wave: Wavefront, length: int) -> Iterator[tuple[int, Tensor]]:
    """(start, x0 [C, T, h, w]) of one segment after the other."""
    for start in range(0, wave.source.n_frames, length):
        yield start, wave.advance(min(start + length, wave.source.n_frames)).x0


def sample(
    net: Net, config: DenoiserConfig, given: FrameConditions, noise: Tensor, options: SamplerOptions, **more: Any
) -> Tensor:
    """x0 [C, T, h, w] of a whole clip."""
    source = ConditionSource(given.n_frames, given.frames)
    return Wavefront(net, config, source, noise, options, **more).advance(given.n_frames).x0


@pytest.mark.parametrize("n_frames", [1, 16, 17, 103])
@pytest.mark.parametrize("segment_frames", [1, 7, 25, 60])
def test_segments_change_nothing_but_when_frames_arrive(n_frames: int, segment_frames: int) -> None:
    given, noise = conditions(n_frames), draw_noise(CONFIG, 3)
    whole = sample(MixingNet(), CONFIG, given, noise, SamplerOptions(steps=5))
    net = MixingNet()
    wave = Wavefront(net, CONFIG, ConditionSource(n_frames, given.frames), noise, SamplerOptions(steps=5))
    pieces = list(segments(wave, segment_frames))
    assert [start for start, _ in pieces] == list(range(0, n_frames, segment_frames))
    assert torch.allclose(torch.cat([x0 for _, x0 in pieces], dim=1), whole, atol=1e-6)
    assert net.n_frames == 5 * n_frames


def test_memory_is_bounded_by_segment_and_steps() -> None:
    """Conditions are asked for in order, once, and never further ahead than one window per step."""
    given, asked, reached = conditions(400), [], 0

    def read(start: int, stop: int) -> FrameConditions:
        assert start == (asked[-1] if asked else 0)
        assert stop <= reached + 50 + 4 * 16
        asked.append(stop)
        return given.frames(start, stop)

    noise, options = draw_noise(CONFIG, 0), SamplerOptions(steps=4)
    for start, x0 in segments(Wavefront(MixingNet(), CONFIG, ConditionSource(400, read), noise, options), 50):
        reached = start + x0.shape[1]
    assert reached == asked[-1] == 400


def test_progress_ends_at_its_total_and_cancel_stops() -> None:
    ticks: list[tuple[int, int]] = []
    options = SamplerOptions(steps=3)
    given, noise = conditions(100), draw_noise(CONFIG, 0)
    sample(MixingNet(), CONFIG, given, noise, options, on_step=lambda done, total, x0: ticks.append((done, total)))
    assert ticks == sorted(ticks)
    assert ticks[-1] == (300, 300)
    with pytest.raises(Cancelled, match="finished frames are kept"):
        sample(MixingNet(), CONFIG, given, noise, options, cancel=lambda: True)


def test_a_seed_is_one_noise_for_all_frames() -> None:
    assert torch.equal(draw_noise(CONFIG, 5), draw_noise(CONFIG, 5))
    assert not torch.equal(draw_noise(CONFIG, 5), draw_noise(CONFIG, 6))
    assert draw_noise(CONFIG, 5).shape == (2, 1, 4, 4)


class LengthNet(MixingNet):
    """A net that remembers how long its windows were."""

    def __init__(self) -> None:
        super().__init__()
        self.lengths: list[int] = []

    def __call__(self, sample: Tensor, time: Tensor, conditions: FrameConditions, place: object = None) -> Tensor:
        self.lengths += [sample.shape[2]] * len(sample)
        return super().__call__(sample, time, conditions)


@pytest.mark.parametrize("n_frames", [1, 5, 16, 33, 50])
def test_windows_are_filled_for_nets_whose_norms_pool_over_frames(n_frames: int) -> None:
    given, noise, pooled = conditions(n_frames), draw_noise(CONFIG, 3), replace(CONFIG, norm_over_frames=True)
    net = LengthNet()
    x0 = sample(net, pooled, given, noise, SamplerOptions(steps=4))
    assert x0.shape[1] == n_frames and set(net.lengths) == {16}
    short = LengthNet()
    sample(short, pooled, given, noise, SamplerOptions(steps=4, windows="fixed"))
    assert short.lengths == 4 * [*[16] * (n_frames // 16), *([n_frames % 16] if n_frames % 16 else [])]


def test_a_filled_window_sees_the_edge_frame_held_still() -> None:
    given = conditions(20)
    held = given.frames(0, 3).held(2, 1)
    assert torch.equal(held.audio, given.audio[[0, 0, 0, 1, 2, 2]])
    assert torch.equal(held.context, given.context[:, [0, 0, 0, 1, 2, 2]])
    assert torch.equal(held.null_emotion, given.null_emotion) and held.voice is None
