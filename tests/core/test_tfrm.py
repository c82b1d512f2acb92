"""TFRM: what its graph keeps, what it writes back, and that it can be left out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from eadnet_core.nets.tfrm import EDGE_FLOOR, MOUTH_SHARE, TFRM, graph_regulariser, temporal_prior, write_share

WIDTH, CELLS, K, D = 16, 8, 4, 16


@pytest.fixture
def tfrm() -> TFRM:
    torch.manual_seed(0)
    return TFRM(WIDTH, 4, nodes=K, node_width=D, norm_groups=4, init=1.0)


def inputs(n_frames: int, n_clips: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n_clips * n_frames, WIDTH, CELLS, CELLS, generator=generator)
    return x, torch.randn(n_clips, 4, 16, 16, generator=generator)


@pytest.mark.parametrize("n_frames", [1, 2, 9, 20])
def test_adjacency_rows_sum_to_one_and_keep_neighbours_and_reference(tfrm: TFRM, n_frames: int) -> None:
    nodes, anchors = torch.randn(2, n_frames * K, D), torch.randn(2, K, D)
    weights, kept = tfrm.adjacency(nodes, anchors, n_frames)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, n_frames * K))
    assert bool((weights >= 0).all())
    index = torch.arange(n_frames * K)
    for step in (-K, 0, K):
        inside = index[(index + step >= 0) & (index + step < n_frames * K)]
        assert bool((weights[:, inside, inside + step] > 0).all())
    assert bool((weights[:, index, n_frames * K + index % K] > 0).all())
    assert kept.shape == (2, n_frames * K, n_frames * K)


def test_learned_edges_are_the_most_similar_ones(tfrm: TFRM) -> None:
    n_frames = 20
    nodes, anchors = torch.randn(1, n_frames * K, D), torch.randn(1, K, D)
    _, kept = tfrm.adjacency(nodes, anchors, n_frames)
    assert int((kept > EDGE_FLOOR).sum(-1).max()) <= 6 * K + 4
    twin = nodes.clone()
    twin[:, 60] = nodes[:, 0]
    _, kept = tfrm.adjacency(twin, anchors, n_frames)
    assert kept[0, 0, 60].item() == pytest.approx(1, abs=1e-3)


def test_prior_decays_over_frames_and_stays_in_its_region() -> None:
    prior, _ = temporal_prior(12, 2)
    row = prior[12]
    assert float(row[14] / row[12]) == pytest.approx(torch.tensor(-0.5).exp().item())
    assert float(row[13]) == float(row[12 + 2 * 5]) == float(row[-1]) == 0


def test_strength_zero_and_zeroed_output_change_nothing_to_the_bit(tfrm: TFRM) -> None:
    x, reference = inputs(5)
    assert torch.equal(tfrm(x, reference, 5, 0.0)[0], x)
    off = TFRM(WIDTH, 4, nodes=K, node_width=D, norm_groups=4, init=0.0)
    assert torch.equal(off(x, reference, 5)[0], x)
    full, half = tfrm(x, reference, 5)[0] - x, tfrm(x, reference, 5, 0.5)[0] - x
    torch.testing.assert_close(half, full / 2, atol=1e-5, rtol=1e-5)


def test_the_mouth_receives_a_tenth(tfrm: TFRM) -> None:
    x, reference = inputs(5)
    torch.nn.init.zeros_(tfrm.project.weight[K : 2 * K].data)
    torch.nn.init.zeros_(tfrm.extend.bias)
    change = (tfrm(x, reference, 5)[0] - x).detach().abs().amax((0, 1)).flatten()
    share = write_share(CELLS, CELLS)[:, 0]
    assert float(share.min()) == pytest.approx(MOUTH_SHARE)
    assert float(change[share < 1].max()) <= 0.11 * float(change[share == 1].max())


def test_clips_do_not_see_each_other(tfrm: TFRM) -> None:
    x, reference = inputs(6, n_clips=3)
    alone = [tfrm(clip, ref[None], 6)[0] for clip, ref in zip(x.split(6), reference, strict=True)]
    torch.testing.assert_close(tfrm(x, reference, 6)[0], torch.cat(alone), atol=1e-5, rtol=1e-5)


def test_far_frames_and_the_reference_are_heard(tfrm: TFRM) -> None:
    x, reference = inputs(20, n_clips=1)
    x.requires_grad_()
    reference.requires_grad_()
    tfrm(x, reference, 20)[0][0].sum().backward()
    assert x.grad is not None
    assert reference.grad is not None
    assert bool((x.grad.abs().amax((1, 2, 3)) > 0).all())
    assert float(reference.grad.abs().max()) > 0


def test_regulariser_prefers_smooth_graphs() -> None:
    nodes = torch.randn(1, 8, D)
    alike = nodes[:, :1].expand(-1, 8, -1)
    edges = torch.ones(1, 8, 8)
    assert float(graph_regulariser(alike, edges)) < float(graph_regulariser(nodes, edges))
    n, a, h = 8, torch.rand(8, 8), torch.nn.functional.normalize(nodes[0], dim=-1)
    a = (a + a.t()) / 2
    laplacian = torch.diag(a.sum(1)) - a
    expected = 0.1 * torch.trace(h.t() @ laplacian @ h) / n**2
    expected = expected - 0.1 * torch.log(a.sum(1) + EDGE_FLOOR).mean() + 0.01 * a.square().sum() / n**2
    torch.testing.assert_close(graph_regulariser(nodes, a[None]), expected)


def test_write_share_covers_the_mouth_at_every_resolution() -> None:
    for cells in (4, 8, 16, 32):
        share = write_share(cells, cells).view(cells, cells)
        assert float(share[int(0.71 * cells), cells // 2]) == pytest.approx(0.1)
        assert float(share[int(0.4 * cells), cells // 2]) == 1.0
