"""Layers that two networks or more are built from: attention with a choice of backends and small convolutions."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ..config import ATTENTION_BACKENDS
from ..errors import BadInput

MEL_SILENCE = -2.0
"""Log-mel value of silence; subtracted so that zero padding means silence."""
SMALL_INIT = 0.2
"""Scale of a residual branch's last weights against PyTorch's default: small enough to start near the identity, while
every parameter has a gradient from the first step."""


def attention(q: Tensor, k: Tensor, v: Tensor, backend: str = "sdpa", mask: Tensor | None = None) -> Tensor:
    """softmax(q k' / sqrt(d)) v, the one place where attention is computed.

    q        [N, heads, L, d]
    k, v     [N, heads, M, d]
    backend  "sdpa" (PyTorch's fused kernels), "xformers" (optional package) or "plain" (explicit softmax)
    mask     bool, broadcastable to [N, heads, L, M]; True where a query may look
    returns  [N, heads, L, d]

    Raises BadInput for an unknown backend, or for "xformers" where that package is missing.
    """
    is_slow = q.device.type == "cpu" and q.dtype == torch.bfloat16 and torch.is_grad_enabled()  # fused, backward: 3 x
    if backend == "sdpa" and not is_slow:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    if backend in ("plain", "sdpa"):
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        return scores.softmax(-1) @ v
    if backend == "xformers":
        return _xformers_attention(q, k, v, mask)
    raise BadInput(f"attention_backend is {backend!r}; choose one of {', '.join(ATTENTION_BACKENDS)}.")


def _xformers_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    try:
        from xformers.ops import memory_efficient_attention
    except ImportError as error:
        raise BadInput(
            "attention_backend 'xformers' needs the package xformers, which is not installed. "
            "Install the extra 'xformers' (pip install 'eadnet[xformers]') or set attention_backend to 'sdpa'."
        ) from error
    bias = None
    if mask is not None:
        n_keys = k.shape[2]
        # xformers reads rows of 8 numbers: the memory must reach to the next multiple, the view need not.
        padded = q.new_zeros(*q.shape[:3], -(-n_keys // 8) * 8)
        bias = padded[..., :n_keys].masked_fill_(~mask, float("-inf"))
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return memory_efficient_attention(q, k, v, attn_bias=bias).transpose(1, 2)


NARROW_GROUP, SMALL_MAP = 16, 1024
"""Channels of a group and cells of a map below which torch's bfloat16 group norm for CPUs runs without vectors."""


class GroupNorm(nn.GroupNorm):
    """torch's group norm, and for narrow groups of small maps in bfloat16 on a CPU another way that is thrice as fast.

    Its kernel for channels-last takes 15 ms there for [192, 64, 16, 16] on one core, as sums of rows 4 ms.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] -> [B, C, h, w]"""
        is_narrow = x.shape[1] < NARROW_GROUP * self.num_groups and x[0, 0].numel() < SMALL_MAP
        if not is_narrow or x.dim() != 4 or x.device.type != "cpu" or x.dtype != torch.bfloat16:
            return super().forward(x)
        rows = rearrange(x, "b c h w -> b (h w) c").float()
        mean_of = rows.new_full((1, rows.shape[1]), 1 / rows.shape[1])
        mean, square = (
            (mean_of @ values).unflatten(-1, (self.num_groups, -1)).mean(-1, keepdim=True)
            for values in (rows, rows.square())
        )
        scale = (square - mean.square()).clamp(min=0).add(self.eps).rsqrt()
        scale = scale * self.weight.float().view(self.num_groups, -1)
        shift = self.bias.float().view(self.num_groups, -1) - mean * scale
        scale, shift = (rearrange(value, "b 1 g d -> b (g d) 1 1").to(x.dtype) for value in (scale, shift))
        return torch.addcmul(shift, x, scale)


@torch.no_grad()
def scale_init(layer: nn.Linear | nn.Conv2d, scale: float) -> None:
    """Multiply a layer's initial weights by `scale` and zero its bias; 0 makes a residual branch start as nothing."""
    layer.weight.mul_(scale)
    if layer.bias is not None:
        layer.bias.zero_()


class Attention(nn.Module):
    """Multi-head attention of tokens to themselves or to a context; q, k, v without bias, the output with one."""

    def __init__(
        self, width: int, context_width: int, heads: int, *, backend: str = "sdpa", init: float = SMALL_INIT
    ) -> None:
        super().__init__()
        self.heads = heads
        self.backend = backend
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(context_width, width, bias=False)
        self.to_v = nn.Linear(context_width, width, bias=False)
        self.to_out = nn.Linear(width, width)
        scale_init(self.to_out, init)

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """tokens [N, L, D] look at context [N, M, D_c]; returns [N, L, D]."""
        q, k, v = (
            rearrange(x, "n l (heads d) -> n heads l d", heads=self.heads)
            for x in (self.to_q(tokens), self.to_k(context), self.to_v(context))
        )
        out = attention(q, k, v, self.backend)
        return self.to_out(rearrange(out, "n heads l d -> n l (heads d)"))


class FeedForward(nn.Module):
    """GEGLU feed-forward (Shazeer 2020): width -> 2 * multiplier * width, gated, -> width."""

    def __init__(self, width: int, multiplier: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 2 * multiplier * width)
        self.out = nn.Linear(multiplier * width, width)
        scale_init(self.out, SMALL_INIT)

    def forward(self, tokens: Tensor) -> Tensor:
        """[.., D] -> [.., D]"""
        value, gate = self.proj(tokens).chunk(2, dim=-1)
        return self.out(value * F.gelu(gate))


class ConvNorm(nn.Sequential):
    """3x3 convolution, GroupNorm over groups of 16 channels, SiLU."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, stride, 1),
            nn.GroupNorm(max(1, out_channels // 16), out_channels),
            nn.SiLU(),
        )


class ResidualConv(nn.Module):
    """x + two 3x3 convolutions, for SyncNet."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1)
        scale_init(self.second, SMALL_INIT)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] -> [B, C, h, w]"""
        return x + self.second(self.first(x))
