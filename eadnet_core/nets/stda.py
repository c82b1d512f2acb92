"""STDA, Spatio-Temporal Directional Attention: strips along rows, columns and time instead of the whole volume.

The EAD-Net paper (arXiv 2604.23325) is known to us by its abstract, which names strip attention that captures global
motion patterns in long clips at low cost. What follows is our reading of it, after axial attention, CSWin and
dual-domain strip attention: for N = T h w tokens the cost is N (t_loc w + t_loc h + T) instead of N^2.
"""

from __future__ import annotations

from functools import lru_cache

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

    directions: Tensor

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
        strip = max(1, heads * 3 // 8)
        self.split = (strip, strip, heads - 2 * strip)
        directions = [direction for direction, n_heads in enumerate(self.split) for _ in range(n_heads)]
        self.register_buffer("directions", torch.tensor(directions), persistent=False)
        self.block_frames = block_frames
        self.shifted = shifted
        self.backend = backend
        self.norm = nn.GroupNorm(norm_groups, width, eps=NORM_EPS)
        self.to_qk = nn.Linear(width, 2 * width, bias=False)
        self.to_v = nn.Linear(width, width, bias=False)
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
        h = x.shape[-2]
        y = rearrange(self.norm(x), "n c h w -> n (h w) c")
        sizes = {"t": n_frames, "h": h, "heads": self.heads}
        qk = rearrange(self.to_qk(y), "(b t) (h w) (p heads d) -> b t h w p heads d", p=2, **sizes)
        v = self.to_v(y)
        local = rearrange(self._local(rearrange(v, "n (h w) c -> n c h w", h=h), n_frames), "n c h w -> n (h w) c")
        strips = self._strips(qk, rearrange(v, "(b t) (h w) (heads d) -> b t h w heads d", **sizes))
        strips = strips * self.gates(y, n_frames)
        out = self.out(rearrange(strips, "b t h w heads d -> (b t) (h w) (heads d)") + local)
        out = rearrange(out, "n (h w) c -> n c h w", h=h)
        return x + (out if strength == 1 else strength * out)

    def _strips(self, qk: Tensor, v: Tensor) -> Tensor:
        """qk [B, T, h, w, 2, heads, d] and v [B, T, h, w, heads, d] -> attended values [B, T, h, w, heads, d]."""
        q, k = (x.split(self.split, dim=-2) for x in rotate(qk, self.split).unbind(4))
        values = v.split(self.split, dim=-2)
        over_rows = self._blocks(q[0], k[0], values[0], ROW)
        over_columns = self._blocks(q[1], k[1], values[1], COLUMN)
        time = (rearrange(q[2], TIME), rearrange(k[2], TIME), rearrange(values[2], TIME))
        over_time = attention(time[0], time[1], time[2], self.backend)
        h, w = v.shape[2:4]
        over_time = rearrange(over_time, inverse(TIME), h=h, w=w)
        return torch.cat((over_rows, over_columns, over_time), dim=-2)

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
            mask = rearrange(real, pattern, t=block).transpose(-1, -2)
        q, k, v = (rearrange(x, pattern, t=block) for x in (q, k, v))
        out = attention(q, k, v, self.backend, mask)
        n_blocks = (before + n_frames + after) // block
        out = rearrange(out, inverse(pattern), n=n_blocks, t=block, h=h, w=w)
        return out[:, before : before + n_frames]

    def gates(self, y: Tensor, n_frames: int) -> Tensor:
        """Weights of the three directions per frame and head, [B, T, 1, 1, heads, 1]; they start at 1, 1, 1."""
        gates = 3 * self.gate(y.mean(1)).softmax(-1)
        return rearrange(gates[:, self.directions], "(b t) heads -> b t 1 1 heads 1", t=n_frames)

    def _local(self, v: Tensor, n_frames: int) -> Tensor:
        """Depthwise 3x3x3 convolution [B T, C, h, w]: one 2-D convolution per frame offset, since PyTorch's is slow."""
        past, same, future = (F.conv2d(v, kernel, padding=1, groups=v.shape[1]) for kernel in self.local.chunk(3))
        past = rearrange(past, "(b t) c h w -> b t h w c", t=n_frames)
        future = rearrange(future, "(b t) c h w -> b t h w c", t=n_frames)
        moved = F.pad(past[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0)) + F.pad(future[:, 1:], (0, 0, 0, 0, 0, 0, 0, 1))
        return same + rearrange(moved, "b t h w c -> (b t) c h w")


def inverse(pattern: str) -> str:
    """The einops pattern that undoes `pattern`.

    >>> inverse("a b -> (a b)")
    '(a b) -> a b'
    """
    source, target = pattern.split(" -> ")
    return f"{target} -> {source}"


def rotate(qk: Tensor, split: tuple[int, int, int], start: int = 0) -> Tensor:
    """Rotary positions: turn pairs of channels of qk [B, T, h, w, 2, heads, d] by `strip_angles`, frame `start` first.

    Written with complex numbers: one pass over the memory instead of six.
    """
    _, n_frames, h, w, _, _, d = qk.shape
    pairs = torch.view_as_complex(qk.float().unflatten(-1, (d // 2, 2)))
    turns = strip_turns(start + n_frames, h, w, split, d, qk.device)[start:]
    return torch.view_as_real(pairs * turns).flatten(-2).to(qk.dtype)


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def strip_turns(n_frames: int, h: int, w: int, split: tuple[int, int, int], d: int, device: torch.device) -> Tensor:
    """`strip_angles` as complex numbers [T, h, w, 1, heads, d / 2]. Kept; not to be changed."""
    angles = strip_angles(n_frames, h, w, split, d, device).unsqueeze(3)
    return torch.polar(torch.ones_like(angles), angles)


def strip_angles(
    n_frames: int, h: int, w: int, split: tuple[int, int, int], d: int, device: torch.device | str = "cpu"
) -> Tensor:
    """Rotary angles [T, h, w, heads, d / 2]: frames and columns for row heads, frames and rows for column heads,
    frames alone for time heads.

    >>> strip_angles(2, 3, 4, (3, 3, 2), d=4).shape
    torch.Size([2, 3, 4, 8, 2])
    """
    pairs = d // 2
    t, y, x = (torch.arange(n, device=device, dtype=torch.float32) for n in (n_frames, h, w))
    half, other, whole = (
        ROTARY_BASE ** -torch.linspace(0, 1, n, device=device) for n in (pairs // 2, pairs - pairs // 2, pairs)
    )
    shape = (n_frames, h, w, -1)
    along_t = torch.outer(t, half).view(n_frames, 1, 1, -1).expand(shape)
    row = torch.cat((along_t, torch.outer(x, other).view(1, 1, w, -1).expand(shape)), -1)
    column = torch.cat((along_t, torch.outer(y, other).view(1, h, 1, -1).expand(shape)), -1)
    time = torch.outer(t, whole).view(n_frames, 1, 1, -1).expand(shape)
    per_head = (a.unsqueeze(3).expand(-1, -1, -1, n, -1) for a, n in zip((row, column, time), split, strict=True))
    return torch.cat(tuple(per_head), 3)
