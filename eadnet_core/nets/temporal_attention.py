"""Plain temporal attention, what a video model has where ours has STDA: what STDA is measured against.

Every cell looks at itself in the other frames and at nothing else: no rows, no columns, no gates, no convolution.
Positions are rotary over the frames, as in STDA's time strips. It has 4 w^2 + 3 w weights of the width w, STDA
4 w^2 + 33 w + 3: 6 % less at width 128, since one more layer would be another comparison.
"""

from __future__ import annotations

from einops import rearrange
from torch import Tensor, nn

from .layers import SMALL_INIT, attention, scale_init
from .stda import NORM_EPS, TIME, inverse, rotate


class TemporalAttention(nn.Module):
    """x + W_o (multi-head attention of each cell over the frames of its clip); called as STDA is."""

    def __init__(
        self, width: int, heads: int, *, norm_groups: int = 8, backend: str = "sdpa", init: float = SMALL_INIT
    ) -> None:
        super().__init__()
        self.heads = heads
        self.backend = backend
        self.norm = nn.GroupNorm(norm_groups, width, eps=NORM_EPS)
        self.to_qk = nn.Linear(width, 2 * width, bias=False)
        self.to_v = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width)
        scale_init(self.out, init)

    def forward(self, x: Tensor, n_frames: int, strength: float = 1.0) -> Tensor:
        """Let every cell look at its past and future.

        x         [B T, C, h, w]
        n_frames  T, any length
        strength  scale of the residual; 0 returns x untouched
        returns   [B T, C, h, w]
        """
        if strength == 0:
            return x
        h, w = x.shape[-2:]
        y = rearrange(self.norm(x), "(b t) c h w -> b t h w c", t=n_frames)
        qk = rearrange(self.to_qk(y), "b t h w (p heads d) -> b t h w p heads d", p=2, heads=self.heads)
        q, k = (rearrange(z, TIME) for z in rotate(qk, (0, 0, self.heads)).unbind(4))
        v = rearrange(self.to_v(y), "b t h w (heads d) -> b t h w heads d", heads=self.heads)
        seen = rearrange(attention(q, k, rearrange(v, TIME), self.backend), inverse(TIME), h=h, w=w)
        out = self.out(rearrange(seen, "b t h w heads d -> (b t) h w (heads d)"))
        out = rearrange(out, "n h w c -> n c h w")
        return x + (out if strength == 1 else strength * out)
