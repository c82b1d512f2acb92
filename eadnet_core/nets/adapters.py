"""What the blocks of both denoisers share: the context handed down and the residual adapters.

Emotion attention, frame conditions, STDA, TFRM and the attention to who is seen are adapters: residual branches under
their own names in the keys (`ADAPTERS`). On a trained base their last projection starts at zero, so that the base is
unchanged to the bit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from einops import rearrange
from torch import Tensor, nn

from ..config import DenoiserConfig
from ..errors import BadInput
from .causal import Memory, causal_stda, causal_tfrm
from .layers import SMALL_INIT, Attention, GroupNorm
from .stda import STDA
from .temporal_attention import TemporalAttention
from .tfrm import TFRM

ADAPTERS = {"adapters": frozenset({"conditions", "emotion", "stda", "tfrm"}), "identity": frozenset({"identity"})}
"""By weight file: names that mark a key of a LatentSync-shaped denoiser as an adapter's of that file."""


class Strengths(NamedTuple):
    """How much the residuals of STDA, of TFRM and of the adapters count; 0 leaves the module out exactly."""

    stda: float = 1.0
    tfrm: float = 1.0
    identity: float = 1.0
    style: float = 1.0


FULL_STRENGTH = Strengths()


@dataclass(frozen=True)
class Context:
    """What every layer receives beside its input.

    condition  [B T, D]          the frame's conditions, mixed; None: a LatentSync net without emotion and motion
    audio      [B T, S, D_a]
    emotion    [B T, E, D_e]     None where `condition` is
    reference  [B, C, h, w]
    identity   [B T, n, D_i]     tokens of who is seen; None without that adapter, or at strength 0
    style      [B T, n, D_s]     tokens of how somebody speaks; None without that adapter, or for nobody in particular
    memory     of the frames before, where a clip comes in order; None: a window by itself
    """

    n_frames: int
    condition: Tensor | None
    audio: Tensor
    emotion: Tensor | None
    reference: Tensor
    strengths: Strengths
    identity: Tensor | None = field(default=None, kw_only=True)
    style: Tensor | None = field(default=None, kw_only=True)
    memory: Memory | None = field(default=None, kw_only=True)


class FrameNorm(GroupNorm):
    """GroupNorm of every frame by itself, or (`norm_over_frames`, as LatentSync's base has it) over the whole clip."""

    def __init__(self, config: DenoiserConfig, channels: int) -> None:
        super().__init__(config.norm_groups, channels)
        self.over_frames = config.norm_over_frames

    def forward(self, x: Tensor, n_frames: int) -> Tensor:  # type: ignore[override]
        """[B T, C, h, w] -> [B T, C, h, w]"""
        if not self.over_frames:
            return super().forward(x)
        clips = rearrange(x, "(b t) c h w -> b c t h w", t=n_frames)
        return rearrange(super().forward(clips), "b c t h w -> (b t) c h w")


class NormAttention(nn.Module):
    """Attention of normalised tokens to a context, or to themselves without one."""

    def __init__(self, width: int, context_width: int, heads: int, backend: str, init: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width, context_width, heads, backend=backend, init=init)

    def forward(self, tokens: Tensor, context: Tensor | None) -> Tensor:
        """tokens [N, L, D], context [N, M, D_c] or None -> [N, L, D]"""
        normed = self.norm(tokens)
        return self.attention(normed, normed if context is None else context)


def is_adapter_key(key: str, file: str | None = None) -> bool:
    """Whether a key of a LatentSync-shaped denoiser belongs to an adapter, of one file or of any, not to the base.

    >>> is_adapter_key("down_blocks.1.stda.0.out.weight"), is_adapter_key("conv_in.weight")
    (True, False)
    >>> is_adapter_key("identity.queries", "identity"), is_adapter_key("identity.queries", "adapters")
    (True, False)
    """
    names = set(key.split("."))
    return any(names & marks for name, marks in ADAPTERS.items() if file in (None, name))


def adapter_init(config: DenoiserConfig) -> float:
    """Scale of the last projection of the adapters at the start."""
    return 0.0 if config.zero_init_adapters else SMALL_INIT


def build_stda(config: DenoiserConfig, level: int, *, shifted: bool) -> STDA | TemporalAttention:
    """An STDA for features of that level, or what the config has in its place (under the same key prefix)."""
    width = config.widths[level]
    if config.temporal == "plain":
        return TemporalAttention(
            width,
            config.heads,
            norm_groups=config.norm_groups,
            backend=config.attention_backend,
            init=adapter_init(config),
        )
    return STDA(
        width,
        config.heads,
        config.stda_block_frames[level],
        shifted=shifted,
        norm_groups=config.norm_groups,
        backend=config.attention_backend,
        init=adapter_init(config),
    )


def build_tfrm(config: DenoiserConfig, width: int) -> TFRM:
    """A TFRM for features of that width."""
    return TFRM(
        width,
        config.latent_channels,
        nodes=config.tfrm_nodes,
        node_width=config.tfrm_width,
        norm_groups=config.norm_groups,
        init=adapter_init(config),
    )


def apply_stda(stda: STDA | TemporalAttention, x: Tensor, context: Context) -> Tensor:
    """STDA, or what stands in its place. Raises BadInput where that has no memory and one is given."""
    if context.memory is None:
        return stda(x, context.n_frames, context.strengths.stda)
    if not isinstance(stda, STDA):
        raise BadInput("This model has plain temporal attention, which cannot make a clip in order; STDA can.")
    return causal_stda(stda, x, context.n_frames, context.memory, context.strengths.stda)


def apply_tfrm(tfrm: TFRM | None, x: Tensor, context: Context) -> tuple[Tensor, Tensor]:
    """TFRM where there is one: the output and its graph regulariser (0 without)."""
    if tfrm is None:
        return x, x.new_zeros(())
    if context.memory is not None:
        strength = context.strengths.tfrm
        return causal_tfrm(tfrm, x, context.reference, context.n_frames, context.memory, strength), x.new_zeros(())
    return tfrm(x, context.reference, context.n_frames, context.strengths.tfrm)
