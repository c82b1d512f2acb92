"""STDA against dense attention with a strip mask, its positions, its gates, its clip lengths."""

from __future__ import annotations

import pytest
import torch
from einops import rearrange
from torch import Tensor

from eadnet_core.nets.stda import STDA, rotate

WIDTH, HEADS, H, W = 32, 8, 3, 4


def build(**options: object) -> STDA:
    torch.manual_seed(0)
    return STDA(WIDTH, HEADS, 4, init=1.0, **options).eval()  # type: ignore[arg-type]


def dense(stda: STDA, x: Tensor, n_frames: int, before: int) -> Tensor:
    """The same module by dense attention over all T h w tokens, one head at a time, with explicit strip masks."""
    y = rearrange(stda.norm(x), "(b t) c h w -> b t h w c", t=n_frames)
    qk = rearrange(stda.to_qk(y), "b t h w (p heads d) -> b t h w p heads d", p=2, heads=HEADS)
    q, k = rotate(qk, stda.split).unbind(4)
    v = rearrange(stda.to_v(y), "b t h w (heads d) -> b t h w heads d", heads=HEADS)
    q, k, v = (rearrange(z, "b t h w heads d -> b heads (t h w) d") for z in (q, k, v))
    index = torch.stack(torch.meshgrid(torch.arange(n_frames), torch.arange(H), torch.arange(W), indexing="ij"), -1)
    t, row, column = index.view(-1, 3).unbind(1)
    block = (t + before) // stda.block_frames
    same_block = block[:, None] == block
    masks = (
        same_block & (row[:, None] == row),
        same_block & (column[:, None] == column),
        (row[:, None] == row) & (column[:, None] == column),
    )
    outs = []
    for head in range(HEADS):
        mask = masks[0 if head < 3 else 1 if head < 6 else 2]
        scores = q[:, head] @ k[:, head].transpose(1, 2) / q.shape[-1] ** 0.5
        outs.append(scores.masked_fill(~mask, float("-inf")).softmax(-1) @ v[:, head])
    strips = rearrange(torch.stack(outs, -2), "b (t h w) heads d -> b t h w (heads d)", h=H, w=W, t=n_frames)
    kernel = rearrange(stda.local, "(t c) 1 h w -> c 1 t h w", t=3)
    volume = rearrange(stda.to_v(y), "b t h w c -> b c t h w")
    local = torch.nn.functional.conv3d(volume, kernel, padding=1, groups=WIDTH)
    out = stda.out(strips + rearrange(local, "b c t h w -> b t h w c"))
    return x + rearrange(out, "b t h w c -> (b t) c h w")


@pytest.mark.parametrize(("n_frames", "shifted"), [(4, False), (8, False), (8, True), (6, False), (7, True), (3, True)])
def test_strips_equal_dense_attention_with_a_strip_mask(n_frames: int, shifted: bool) -> None:
    stda = build(shifted=shifted)
    torch.nn.init.normal_(stda.local)
    x = torch.randn(2 * n_frames, WIDTH, H, W)
    before = 2 if shifted and n_frames > 4 else 0
    torch.testing.assert_close(stda(x, n_frames), dense(stda, x, n_frames, before), atol=1e-4, rtol=1e-4)


def test_backends_agree() -> None:
    x = torch.randn(14, WIDTH, H, W)
    torch.testing.assert_close(build(backend="plain")(x, 7), build(backend="sdpa")(x, 7), atol=1e-5, rtol=1e-5)


def test_positions_are_relative() -> None:
    """Moving all tokens of a strip by the same step leaves the products of q and k alone."""
    qk = torch.randn(1, 1, 1, 1, 2, HEADS, 4).expand(1, 6, 5, 5, -1, -1, -1)
    q, k = rotate(qk, (3, 3, 2)).unbind(4)

    def score(a: tuple[int, int, int], b: tuple[int, int, int], heads: slice) -> Tensor:
        return (q[0][a][heads] * k[0][b][heads]).sum(-1)

    row, column, time = slice(0, 3), slice(3, 6), slice(6, 8)
    torch.testing.assert_close(score((0, 2, 1), (2, 2, 3), row), score((3, 4, 2), (5, 4, 4), row))
    torch.testing.assert_close(score((0, 1, 2), (2, 3, 2), column), score((3, 2, 4), (5, 4, 4), column))
    torch.testing.assert_close(score((0, 1, 2), (2, 1, 2), time), score((3, 4, 4), (5, 4, 4), time))
    assert not torch.allclose(score((0, 2, 1), (2, 2, 3), row), score((0, 2, 1), (3, 2, 3), row))


def test_gates_start_at_one_and_sum_to_three() -> None:
    stda = build()
    y = torch.randn(4, H * W, WIDTH)
    assert torch.equal(stda.gates(y, 4), torch.ones(1, 4, 1, 1, HEADS, 1))
    torch.nn.init.normal_(stda.gate.weight)
    gates = stda.gates(y, 4).flatten(2)
    torch.testing.assert_close(gates[..., 0] + gates[..., 3] + gates[..., 6], torch.full((1, 4), 3.0))
    assert gates[0, 0, 0] == gates[0, 0, 2] != gates[0, 0, 3]


def test_strength_zero_and_zeroed_output_change_nothing_to_the_bit() -> None:
    x = torch.randn(6, WIDTH, H, W)
    assert torch.equal(build()(x, 6, 0.0), x)
    torch.manual_seed(0)
    assert torch.equal(STDA(WIDTH, HEADS, 4, init=0.0)(x, 6), x)
    full, half = build()(x, 6) - x, build()(x, 6, 0.5) - x
    torch.testing.assert_close(half, full / 2, atol=1e-5, rtol=1e-5)


def test_clips_do_not_see_each_other() -> None:
    stda = build(shifted=True)
    x = torch.randn(3 * 7, WIDTH, H, W)
    alone = torch.cat([stda(clip, 7) for clip in x.split(7)])
    torch.testing.assert_close(stda(x, 7), alone, atol=1e-5, rtol=1e-5)


def test_time_heads_see_the_whole_clip() -> None:
    stda = build()
    x = torch.randn(12, WIDTH, H, W, requires_grad=True)
    stda(x, 12)[0].sum().backward()
    assert x.grad is not None
    assert bool((x.grad.abs().amax((1, 2, 3)) > 0).all())
