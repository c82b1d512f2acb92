"""TFRM, Temporal Frame graph Reasoning Module: frames become nodes of a graph that is learned, and reason over it.

The EAD-Net paper (arXiv 2604.23325) is known to us by its abstract, which names a module that learns a graph over
frames to model temporal coherence explicitly. What follows is our reading of it: region nodes as in graph-based global
reasoning, the metric and the graph regulariser after IDGL (Chen, Wu and Zaki 2020), a temporal prior, and nodes of the
reference picture as a fixed anchor.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ..config import MASK_BOXES
from .layers import scale_init

NORM_EPS = 1e-6
N_PERSPECTIVES = 4
N_HOPS = 2
PRIOR_TAU = 2.0
"""Decay of the temporal prior, in frames."""
PRIOR_REACH = 4
NEIGHBOURS_PER_NODE = 6
"""Kept edges of a node are the best 6 K, its own region in the frames beside it, and the reference."""
EDGE_FLOOR = 1e-3
"""Least weight of an edge that is always kept."""
MOUTH_SHARE = 0.1
"""How much of the write-back reaches the mouth: coherence over frames smooths, and speech must not be smoothed."""
SMOOTHNESS, CONNECTIVITY, SPARSITY = 0.1, 0.1, 0.01


class TFRM(nn.Module):
    """x + what its frames learned from one another and from the reference over a graph of K region nodes per frame."""

    def __init__(
        self, width: int, reference_channels: int, *, nodes: int, node_width: int, norm_groups: int = 8, init: float
    ) -> None:
        super().__init__()
        self.nodes = nodes
        self.norm = nn.GroupNorm(norm_groups, width, eps=NORM_EPS)
        self.project = nn.Linear(width, 2 * nodes + node_width)
        self.reference = nn.Linear(reference_channels, nodes + node_width)
        self.perspectives = nn.Parameter(torch.randn(N_PERSPECTIVES, node_width) * 0.3 + 1)
        self.prior_logit = nn.Parameter(torch.zeros(()))
        self.hop_norms = nn.ModuleList(nn.LayerNorm(node_width) for _ in range(N_HOPS))
        self.hops = nn.ModuleList(nn.Linear(node_width, node_width) for _ in range(N_HOPS))
        self.extend = nn.Linear(node_width, width)
        scale_init(self.extend, init)

    def forward(self, x: Tensor, reference: Tensor, n_frames: int, strength: float = 1.0) -> tuple[Tensor, Tensor]:
        """Reason over the frames of each clip.

        x          [B T, C, h, w]
        reference  [B, C_r, h_r, w_r]  latents of the reference picture, any number of cells
        strength   scale of the residual; 0 returns x untouched
        returns    [B T, C, h, w] and the graph regulariser, a scalar
        """
        if strength == 0:
            return x, x.new_zeros(())
        pool, write, values = self.parts(x)
        nodes = rearrange(pool.softmax(1).transpose(1, 2) @ values, "(b t) k d -> b (t k) d", t=n_frames)
        change, learned = self.reason(nodes, reference, n_frames)
        change = rearrange(change, "b (t k) d -> (b t) k d", t=n_frames)
        return self.write_back(x, write, change, strength), graph_regulariser(nodes, learned)

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of frames [N, C, h, w]: logits of pooling and of writing back [N, h w, K], and values [N, h w, d]."""
        y = rearrange(self.norm(x), "n c h w -> n (h w) c")
        pool, write, values = self.project(y).split((self.nodes, self.nodes, self.extend.in_features), dim=-1)
        return pool, write, values

    def reason(self, nodes: Tensor, reference: Tensor, n_frames: int) -> tuple[Tensor, Tensor]:
        """How nodes [B, T K, d] change by one another and the reference, and the learned graph among them."""
        anchors = self._reference_nodes(reference)
        weights, learned = self.adjacency(nodes, anchors, n_frames)
        hidden = nodes
        for norm, hop in zip(self.hop_norms, self.hops, strict=True):
            mixed = weights.to(hidden.dtype) @ torch.cat((hidden, anchors), 1)
            hidden = hidden + F.gelu(hop(norm(mixed)))
        return hidden - nodes, learned

    def write_back(self, x: Tensor, write: Tensor, change: Tensor, strength: float) -> Tensor:
        """Frames [N, C, h, w] and what their nodes learned, [N, K, d]."""
        h, w = x.shape[-2:]
        out = self.extend(write.softmax(-1) @ change) * write_share(h, w, x.device).to(x.dtype)
        out = rearrange(out, "n (h w) c -> n c h w", h=h)
        return x + (out if strength == 1 else strength * out)

    def _reference_nodes(self, reference: Tensor) -> Tensor:
        y = rearrange(reference, "b c h w -> b (h w) c")
        pool, values = self.reference(y).split((self.nodes, self.extend.in_features), dim=-1)
        return pool.softmax(1).transpose(1, 2) @ values

    def adjacency(self, nodes: Tensor, anchors: Tensor, n_frames: int) -> tuple[Tensor, Tensor]:
        """The graph, in float32.

        nodes    [B, T K, d]  of the frames, region index fastest
        anchors  [B, K, d]    of the reference; read, never written
        returns  A [B, T K, T K + K] = sigma(l) prior + (1 - sigma(l)) rownorm(top-k(S)), rows sum to 1, and the kept
                 S [B, T K, T K] among frames before normalisation
        """
        n = n_frames * self.nodes
        with torch.autocast(nodes.device.type, enabled=False):
            views = torch.cat((nodes, anchors), 1).float().unsqueeze(1) * self.perspectives.float().unsqueeze(1)
            views = rearrange(F.normalize(views, dim=-1), "b p n d -> b n (p d)")
            similarity = F.relu(views[:, :n] @ views.transpose(1, 2) / N_PERSPECTIVES)
            prior, always = temporal_prior(n_frames, self.nodes, nodes.device)
            k = min(NEIGHBOURS_PER_NODE * self.nodes, similarity.shape[-1])
            least = similarity.detach().topk(k, dim=-1).values[..., -1:]
            kept = similarity * (similarity >= least) * ~always + (similarity + EDGE_FLOOR) * always
            share = self.prior_logit.sigmoid()
            weights = share * prior + (1 - share) * kept / kept.sum(-1, keepdim=True)
        return weights, kept[..., :n]


def temporal_prior(n_frames: int, nodes: int, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Rows [T K, T K + K] over frame nodes and reference nodes: exp(-|dt| / tau) within reach and region, summing to 1;
    and which edges are always kept: the same region in the frames beside it, and in the reference.

    >>> prior, always = temporal_prior(3, 1)
    >>> prior[0].sum().item(), always[0].tolist()
    (1.0, [True, True, False, True])
    """
    t = torch.arange(n_frames, device=device).repeat_interleave(nodes)
    region = torch.arange(nodes, device=device).repeat(n_frames)
    distance = (t[:, None] - t).abs()
    same = region[:, None] == region
    prior = torch.exp(-distance / PRIOR_TAU) * (same & (distance <= PRIOR_REACH))
    to_reference = region[:, None] == torch.arange(nodes, device=device)
    always = torch.cat((same & (distance <= 1), to_reference), 1)
    return F.pad(prior / prior.sum(1, keepdim=True), (0, nodes)), always


def write_share(h: int, w: int, device: torch.device | str = "cpu") -> Tensor:
    """Share of the write-back per cell, [h w, 1]: MOUTH_SHARE in every cell that the mouth box touches, 1 elsewhere.

    >>> int((write_share(16, 16) < 1).sum())
    70
    """
    x0, y0, x1, y1 = MASK_BOXES["mouth"]
    y, x = (torch.arange(n, device=device) for n in (h, w))
    rows = (y + 1 > y0 * h) & (y < y1 * h)
    columns = (x + 1 > x0 * w) & (x < x1 * w)
    return 1 - (1 - MOUTH_SHARE) * (rows[:, None] & columns).float().view(-1, 1)


def graph_regulariser(nodes: Tensor, similarity: Tensor) -> Tensor:
    """IDGL's a tr(H' L H) / N^2 - b mean log(A 1) + c |A|_F^2 / N^2 of the learned graph, H of unit norm (scalar)."""
    n = similarity.shape[-1]
    a = (similarity + similarity.transpose(1, 2)) / 2
    unit = F.normalize(nodes.float(), dim=-1)
    smooth = (a * (1 - unit @ unit.transpose(1, 2))).sum((1, 2)) / n**2
    connected = torch.log(a.sum(-1) + EDGE_FLOOR).mean(-1)
    sparse = a.square().sum((1, 2)) / n**2
    return (SMOOTHNESS * smooth - CONNECTIVITY * connected + SPARSITY * sparse).mean()
