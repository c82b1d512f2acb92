"""Plain temporal attention: what it sees, what it equals, and that it can be left out."""

from __future__ import annotations

import pytest
import torch
from einops import rearrange
from torch import Tensor

from eadnet_core.nets.stda import rotate
from eadnet_core.nets.temporal_attention import TemporalAttention

WIDTH, HEADS, H, W = 32, 4, 3, 5


def build(**options: object) -> TemporalAttention:
    torch.manual_seed(0)
    return TemporalAttention(WIDTH, HEADS, init=1.0, **options).eval()  # type: ignore[arg-type]


def inputs(n_frames: int, n_clips: int = 2) -> Tensor:
    return torch.randn(n_clips * n_frames, WIDTH, H, W, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("n_frames", [1, 4, 9])
@torch.no_grad()
def test_it_equals_attention_written_out_cell_by_cell(n_frames: int) -> None:
    net, x = build(), inputs(n_frames)
    y = rearrange(net.norm(x), "(b t) c h w -> b t h w c", t=n_frames)
    qk = rearrange(net.to_qk(y), "b t h w (p heads d) -> b t h w p heads d", p=2, heads=HEADS)
    q, k = rotate(qk, (0, 0, HEADS)).unbind(4)
    v = rearrange(net.to_v(y), "b t h w (heads d) -> b t h w heads d", heads=HEADS)
    out = torch.zeros_like(v)
    for t in range(n_frames):
        scores = torch.stack([(q[:, t] * k[:, s]).sum(-1) for s in range(n_frames)]) / (WIDTH // HEADS) ** 0.5
        out[:, t] = sum(share.unsqueeze(-1) * v[:, s] for s, share in enumerate(scores.softmax(0)))
    expected = x + rearrange(net.out(out.flatten(-2)), "b t h w c -> (b t) c h w")
    torch.testing.assert_close(net(x, n_frames), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_cell_sees_its_own_clip_and_place_alone() -> None:
    net, x = build(), inputs(6)
    net.norm = torch.nn.Identity()  # the norm pools over the cells of a frame; what attends is asked here
    changed = x.clone()
    changed[2, :, 1, 3] += 1
    difference = (net(changed, 6) - net(x, 6)).abs().amax(1)
    assert bool((difference[:6, 1, 3] > 1e-6).all())
    difference[:6, 1, 3] = 0
    assert float(difference.max()) == 0


@torch.no_grad()
def test_frames_have_an_order() -> None:
    net, x = build(), inputs(5, n_clips=1)
    order = [2, 0, 3, 1, 4]
    assert float((net(x[order], 5) - net(x, 5)[order]).abs().max()) > 1e-3


@torch.no_grad()
def test_strength_scales_the_residual_and_zero_leaves_it_out() -> None:
    net, x = build(), inputs(4)
    assert torch.equal(net(x, 4, 0.0), x)
    torch.testing.assert_close(net(x, 4, 0.5) - x, (net(x, 4) - x) / 2)


@torch.no_grad()
def test_backends_agree() -> None:
    torch.testing.assert_close(build(backend="plain")(inputs(7), 7), build()(inputs(7), 7), atol=1e-5, rtol=1e-5)


def test_every_weight_gets_a_gradient() -> None:
    net = build()
    net(inputs(4), 4).square().mean().backward()
    assert all(p.grad is not None and float(p.grad.abs().max()) > 0 for p in net.parameters())
