"""STDA and TFRM over a clip that comes in order: new frames look at those that are gone, never at those to come.

Our design (ADR 30). The weights are those of the window: what is new sits at the end of it, and in place of the frames
before it stands what the modules kept of them. Within the new frames all see all, as in a window.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .layers import attention
from .stda import COLUMN, ROW, STDA, TIME, inverse, rotate
from .tfrm import TFRM


class Memory:
    """What STDA and TFRM keep of the frames before, at most `n_frames` of them; a clip at one noise level has its own.

    kept  by module and name, each [B, T, ...]
    """

    def __init__(self, n_frames: int) -> None:
        self.n_frames = n_frames
        self.kept: dict[tuple[nn.Module, str], Tensor] = {}

    def append(self, owner: nn.Module, name: str, value: Tensor) -> Tensor:
        """Keep a value of the new frames, [B, T, ...]; returns it behind what was kept of the frames before."""
        before = self.kept.get((owner, name))
        whole = value if before is None else torch.cat([before, value], 1)
        self.kept[owner, name] = whole[:, max(0, whole.shape[1] - self.n_frames) :].clone()
        return whole


def causal_stda(stda: STDA, x: Tensor, n_frames: int, memory: Memory, strength: float = 1.0) -> Tensor:
    """`STDA.forward` of frames that come after those in the memory.

    x        [B T, C, h, w]
    returns  [B T, C, h, w]

    Strips of rows and columns reach back over `block_frames` frames at most, with those that are new.
    """
    if strength == 0:
        return x
    h = x.shape[-2]
    y = rearrange(stda.norm(x), "n c h w -> n (h w) c")
    sizes = {"t": n_frames, "h": h, "heads": stda.heads}
    queries, keys = rearrange(
        stda.to_qk(y), "(b t) (h w) (p heads d) -> p b t h w 1 heads d", p=2, **sizes
    )  # a single one where `rotate` has queries and keys
    v = stda.to_v(y)
    keys = memory.append(stda, "keys", keys)
    values = memory.append(stda, "values", rearrange(v, "(b t) (h w) (heads d) -> b t h w heads d", **sizes))
    n_before = keys.shape[1] - n_frames
    queries, keys = (rotate(z, stda.split, start)[:, :, :, :, 0] for z, start in ((queries, n_before), (keys, 0)))
    strips = _strips(stda, queries, keys, values) * stda.gates(y, n_frames)
    local = _local(stda, values[:, max(0, n_before - 1) :], n_frames)
    out = stda.out(rearrange(strips, "b t h w heads d -> (b t) (h w) (heads d)") + local)
    out = rearrange(out, "n (h w) c -> n c h w", h=h)
    return x + (out if strength == 1 else strength * out)


def _strips(stda: STDA, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Queries [B, T, h, w, heads, d] at keys and values [B, T', h, w, heads, d]: [B, T, h, w, heads, d]."""
    n_frames, h, w = queries.shape[1:4]
    reach = max(stda.block_frames, n_frames)
    found = []
    each = zip(*(z.split(stda.split, dim=-2) for z in (queries, keys, values)), strict=True)
    for (q, k, v), pattern in zip(each, (ROW, COLUMN, TIME), strict=True):
        if pattern != TIME:
            k, v = (z[:, max(0, z.shape[1] - reach) :] for z in (k, v))
        sizes = {"h": h, "w": w} if pattern == TIME else {"h": h, "w": w, "t": n_frames, "n": 1}
        q, k, v = (rearrange(z, pattern, **({} if pattern == TIME else {"n": 1})) for z in (q, k, v))
        found.append(rearrange(attention(q, k, v, stda.backend), inverse(pattern), **sizes))
    return torch.cat(found, dim=-2)


def _local(stda: STDA, values: Tensor, n_frames: int) -> Tensor:
    """STDA's depthwise convolution of the last `n_frames` of values [B, T or T + 1, h, w, heads, d]: [B T, h w, C]."""
    b, h, w = values.shape[0], values.shape[2], values.shape[3]
    flat = rearrange(values, "b t h w heads d -> (b t) (heads d) h w")
    past, same, future = (F.conv2d(flat, kernel, padding=1, groups=flat.shape[1]) for kernel in stda.local.chunk(3))
    past, same, future = (rearrange(z, "(b t) c h w -> b t (h w) c", b=b) for z in (past, same, future))
    out = same[:, -n_frames:].clone()
    earlier = past[:, : values.shape[1] - 1]
    out[:, n_frames - earlier.shape[1] :] += earlier
    out[:, :-1] += future[:, values.shape[1] - n_frames + 1 :]
    return rearrange(out, "b t n c -> (b t) n c", n=h * w)


def causal_tfrm(
    tfrm: TFRM, x: Tensor, reference: Tensor, n_frames: int, memory: Memory, strength: float = 1.0
) -> Tensor:
    """`TFRM.forward` of frames that come after those in the memory; arguments as there.

    The graph spans the kept frames, the new ones and the reference; only the new ones are written to.
    """
    if strength == 0:
        return x
    pool, write, values = tfrm.parts(x)
    nodes = rearrange(pool.softmax(1).transpose(1, 2) @ values, "(b t) k d -> b t k d", t=n_frames)
    whole = rearrange(memory.append(tfrm, "nodes", nodes), "b t k d -> b (t k) d")
    change, _ = tfrm.reason(whole, reference, whole.shape[1] // tfrm.nodes)
    change = change[:, -n_frames * tfrm.nodes :]
    return tfrm.write_back(x, write, rearrange(change, "b (t k) d -> (b t) k d", t=n_frames), strength)
