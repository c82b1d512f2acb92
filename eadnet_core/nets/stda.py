"""STDA, Spatio-Temporal Directional Attention: strips along rows, columns and time instead of the whole volume.

The EAD-Net paper (arXiv 2604.23325) is known to us by its abstract, which names strip attention that captures global
motion patterns in long clips at low cost. What follows is our reading of it, after axial attention, CSWin and dual-domain
strip attention: for N = T h w tokens the cost is N (t_loc w + t_loc h + T) instead of N^2.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .layers import SMALL_INIT, attention, scale_init

ROTARY_BASE = 100.0
"""Longest rotary wavelength / 2 pi, in frames or cells: strips are tens of steps long, not thousands."""
NORM_EPS = 1e-6
ROW = "b (n t) h w heads d -> (b n h) heads (t w) d"
COLUMN = "b (n t) h w heads d -> (b n w) heads (t h) d"
TIME = "b t h w heads d -> (b h w) heads t d"


class STDA(nn.Module):
    """x + W_o (gated strips of row, column and time + depthwise 3x3x3 convolution of the values).

    Heads are split 3 : 3 : 2 over row, column and time. A row strip is one image row over `block_frames` frames, a
    column strip one image column over as many, a time strip one cell over the whole clip. Positions are rotary, along
    the strip's own axes: only differences count, so that windows and lengths are interchangeable. In every other layer
    (`shifted`) the blocks of frames begin half a block earlier, else seams would show at block edges.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        block_frames: int,
        *,
        shifted: bool = False,
        norm_groups: int = 8,
        backend: str = "sdpa",
        init: float = SMALL_INIT,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.strip_heads = max(1, heads * 3 // 8)
        self.block_frames = block_frames
        self.shifted = shifted
        self.backend = backend
        self.norm = nn.GroupNorm(norm_groups, width, eps=NORM_EPS)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.gate = nn.Linear(width, 3)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)
        self.local = nn.Parameter(torch.zeros(3 * width, 1, 3, 3))
        self.out = nn.Linear(width, width)
        scale_init(self.out, init)

    def forward(self, x: Tensor, n_frames: int, strength: float = 1.0) -> Tensor:
        """Let every cell look along its row, its column and its past and future.

        x         [B T, C, h, w]
        n_frames  T, any length
        strength  scale of the residual; 0 returns x untouched
        returns   [B T, C, h, w]
        """
        if strength == 0:
            return x
        h, w = x.shape[-2:]
        y = rearrange(self.norm(x), "n c h w -> n (h w) c")
        qkv = rearrange(
            self.qkv(y), "(b t) (h w) (p heads d) -> b t h w p heads d", t=n_frames, h=h, p=3, heads=self.heads
        )
        strips = self._strips(qkv) * self._gates(y, n_frames)
        local = self._local(rearrange(qkv[..., 2, :, :], "b t h w heads d -> (b t) (heads d) h w"), n_frames)
        out = rearrange(strips, "b t h w heads d -> (b t) (h w) (heads d)") + rearrange(local, "n c h w -> n (h w) c")
        out = rearrange(self.out(out), "n (h w) c -> n c h w", h=h)
        return x + (out if strength == 1 else strength * out)

    def _strips(self, qkv: Tensor) -> Tensor:
        """[B, T, h, w, 3, heads, d] -> attended values [B, T, h, w, heads, d]."""
        qk = self._rotate(qkv[..., :2, :, :])
        q, k, v = qk[..., 0, :, :], qk[..., 1, :, :], qkv[..., 2, :, :]
        s = self.strip_heads
        row = self._blocks(q[..., :s, :], k[..., :s, :], v[..., :s, :], ROW)
        column = self._blocks(q[..., s : 2 * s, :], k[..., s : 2 * s, :], v[..., s : 2 * s, :], COLUMN)
        time = (rearrange(part[..., 2 * s :, :], TIME) for part in (q, k, v))
        h, w = qkv.shape[2:4]
        over_time = rearrange(
            attention(*time, backend=self.backend), f"{TIME.split(' -> ')[1]} -> {TIME.split(' -> ')[0]}", h=h, w=w
        )
        return torch.cat((row, column, over_time), dim=-2)

    def _blocks(self, q: Tensor, k: Tensor, v: Tensor, pattern: str) -> Tensor:
        """Attention inside blocks of frames; frames that pad the first and last block are masked."""
        n_frames, h, w = q.shape[1:4]
        block = min(self.block_frames, n_frames)
        before = block // 2 if self.shifted and n_frames > block else 0
        after = -(before + n_frames) % block
        mask = None
        if before or after:
            q, k, v = (F.pad(x, (0, 0, 0, 0, 0, 0, 0, 0, before, after)) for x in (q, k, v))
            real = F.pad(torch.ones(n_frames, dtype=torch.bool, device=q.device), (before, after))
            real = real.view(1, -1, 1, 1, 1, 1).expand(q.shape[0], -1, h, w, 1, 1)
            mask = rearrange(real, f"{pattern}", t=block).transpose(-1, -2)
        q, k, v = (rearrange(x, pattern, t=block) for x in (q, k, v))
        out = attention(q, k, v, self.backend, mask)
        source, target = pattern.split(" -> ")
        n_blocks = (before + n_frames + after) // block
        out = rearrange(out, f"{target} -> {source}", n=n_blocks, t=block, h=h, w=w)
        return out[:, before : before + n_frames]

    def _rotate(self, qk: Tensor) -> Tensor:
        """Rotate pairs of q and k [B, T, h, w, 2, heads, d] by their place along each head's own axes."""
        _, n_frames, h, w, _, heads, d = qk.shape
        angles = strip_angles(n_frames, h, w, heads, self.strip_heads, d, qk.device).unsqueeze(3)
        cos, sin = angles.cos().to(qk.dtype), angles.sin().to(qk.dtype)
        pairs = rearrange(qk, "... (two d) -> ... two d", two=2)
        signed = torch.stack((-sin, sin), dim=-2)
        return torch.addcmul(pairs * cos.unsqueeze(-2), pairs.flip(-2), signed).flatten(-2)

    def _gates(self, y: Tensor, n_frames: int) -> Tensor:
        """Weights of the three directions per frame and head, [B, T, 1, 1, heads, 1]; they start at 1, 1, 1."""
        gates = 3 * self.gate(y.mean(1)).softmax(-1)
        s = self.strip_heads
        sizes = torch.tensor((s, s, self.heads - 2 * s), device=y.device)
        per_head = gates.repeat_interleave(sizes, dim=-1, output_size=self.heads)
        return rearrange(per_head, "(b t) heads -> b t 1 1 heads 1", t=n_frames)

    def _local(self, v: Tensor, n_frames: int) -> Tensor:
        """Depthwise 3x3x3 convolution [B T, C, h, w], as one 2-D convolution per frame offset: PyTorch's own is slow."""
        past, same, future = (F.conv2d(v, kernel, padding=1, groups=v.shape[1]) for kernel in self.local.chunk(3))
        past = rearrange(past, "(b t) c h w -> b t h w c", t=n_frames)
        future = rearrange(future, "(b t) c h w -> b t h w c", t=n_frames)
        moved = F.pad(past[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0)) + F.pad(future[:, 1:], (0, 0, 0, 0, 0, 0, 0, 1))
        return same + rearrange(moved, "b t h w c -> (b t) c h w")


def strip_angles(
    n_frames: int, h: int, w: int, heads: int, strip_heads: int, d: int, device: torch.device | str = "cpu"
) -> Tensor:
    """Rotary angles [T, h, w, heads, d / 2]: frames and columns for row heads, frames and rows for column heads,
    frames alone for time heads.

    >>> strip_angles(2, 3, 4, heads=8, strip_heads=3, d=4).shape
    torch.Size([2, 3, 4, 8, 2])
    """
    pairs = d // 2
    t, y, x = (torch.arange(n, device=device, dtype=torch.float32) for n in (n_frames, h, w))
    half = ROTARY_BASE ** -torch.linspace(0, 1, pairs // 2, device=device)
    other = ROTARY_BASE ** -torch.linspace(0, 1, pairs - pairs // 2, device=device)
    whole = ROTARY_BASE ** -torch.linspace(0, 1, pairs, device=device)
    shape = (n_frames, h, w, -1)
    along_t = torch.outer(t, half).view(n_frames, 1, 1, -1).expand(shape)
    row = torch.cat((along_t, torch.outer(x, other).view(1, 1, w, -1).expand(shape)), -1)
    column = torch.cat((along_t, torch.outer(y, other).view(1, h, 1, -1).expand(shape)), -1)
    time = torch.outer(t, whole).view(n_frames, 1, 1, -1).expand(shape)
    n_each = (strip_heads, strip_heads, heads - 2 * strip_heads)
    return torch.cat(
        [a.unsqueeze(3).expand(-1, -1, -1, n, -1) for a, n in zip((row, column, time), n_each, strict=True)], 3
    )
