"""The blocks of LatentSync's U-Net (arXiv 2412.09262), in its shape, so that its public weights fit.

Names of parameters are LatentSync's own. Three things that its weights depend on, and that similar nets do otherwise:
the norms of the residual blocks pool over the clip's frames while those of transformers and motion modules see frames
alone; the time embedding is projected once per clip; positions of the motion modules are stored, 24 of them.
Tokens are made contiguous before the attention over time: torch multiplies others in one way where weights require a
gradient, as LatentSync's do even in use, and in another where they do not, and the last bits differ.

The adapters follow each layer: frame conditions after the residual block, attention to emotion and to who is seen in
the transformer, STDA after the motion module, TFRM at the end of the level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ...config import DenoiserConfig
from ...errors import BadInput
from ..adapters import Context, FrameNorm, NormAttention, adapter_init, apply_tfrm, build_stda, build_tfrm
from ..layers import scale_init
from .attention import MAX_FRAMES, BaseAttention, TemporalAttention

NORM_EPS = 1e-6
"""Of the group norms in transformers and motion modules; the residual blocks have PyTorch's 1e-5."""
TIME_MULTIPLIER = 4
LONGEST_WAVE = 10_000
"""Ratio between the slowest and the fastest of the waves that tell a time."""


@dataclass(frozen=True)
class Shortcuts:
    """What of a call's work or memory is spared; by default nothing is."""

    n_branches: int = 1
    """The batch is so many predictions of the same windows, one after the other, which differ in sound and emotion
    alone: until they are read, one is computed for all."""
    n_silent: int = 0
    """So many clips at the head of the batch have no sound: attention to it then adds its last bias and no more."""
    is_recomputed: bool = False
    """Gradient checkpointing: of a layer only the input is kept for the backward pass, which computes it again."""


@dataclass(frozen=True)
class LayerContext(Context):
    """What every layer receives beside its input.

    time  [B, 4 width]  the embedded noise time
    """

    time: Tensor
    shortcuts: Shortcuts

    def spread(self, x: Tensor) -> Tensor:
        """Features or tokens [B T, ...] of every branch, from those of one; whole batches stay as they are."""
        if self.shortcuts.n_branches == 1 or len(x) == len(self.audio):
            return x
        return x.repeat(self.shortcuts.n_branches, *(1,) * (x.dim() - 1))


class TimeEmbedding(nn.Module):
    """Noise time -> vector: cosines and sines, then two linear layers; diffusers' TimestepEmbedding."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(width, TIME_MULTIPLIER * width)
        self.linear_2 = nn.Linear(TIME_MULTIPLIER * width, TIME_MULTIPLIER * width)
        self.width = width

    def forward(self, time: Tensor) -> Tensor:
        """Noise times [B], 0 .. 999 -> [B, 4 width]"""
        half = self.width // 2
        places = -math.log(LONGEST_WAVE) * torch.arange(half, dtype=torch.float32, device=time.device) / half
        angles = time[:, None].float() * torch.exp(places)[None, :]
        waves = torch.cat([angles.cos(), angles.sin()], dim=-1)
        vector: Tensor = self.linear_2(F.silu(self.linear_1(waves.to(self.linear_1.weight.dtype))))
        return vector


def geglu(width: int, multiplier: int) -> nn.Module:
    """diffusers' feed-forward, imported where a base is built: that takes seconds, and a mini needs none."""
    from diffusers.models.attention import FeedForward

    return FeedForward(width, mult=multiplier, activation_fn="geglu")


class Level(nn.Module):
    """Layers of one resolution, each a residual block, a transformer and a motion module, with their adapters."""

    def __init__(self, config: DenoiserConfig, level: int, in_widths: Sequence[int], *, has_motion: bool) -> None:
        super().__init__()
        width = config.widths[level]
        counts = range(len(in_widths))
        self.resnets = nn.ModuleList(ResBlock(config, in_width, width) for in_width in in_widths)
        self.attentions = nn.ModuleList()
        if config.cross_attention[level]:
            self.attentions.extend(Transformer(config, width) for _ in counts)
        self.motion_modules = nn.ModuleList()
        if has_motion:
            self.motion_modules.extend(MotionModule(config, width) for _ in counts)
        self.conditions = nn.ModuleList()
        self.stda = nn.ModuleList()
        self.tfrm = None
        if not config.has_adapters:
            return
        self.conditions.extend(FrameCondition(config, width) for _ in counts)
        if config.stda[level]:
            self.stda.extend(build_stda(config, level, shifted=bool(i % 2)) for i in counts)
        if config.tfrm[level]:
            self.tfrm = build_tfrm(config, width)

    def layer(self, i: int, x: Tensor, context: LayerContext) -> Tensor:
        """Layer i: [B T, C_in, h, w] -> [B T, C, h, w]"""
        if context.shortcuts.is_recomputed and torch.is_grad_enabled():
            return checkpoint(self._layer, i, x, context, use_reentrant=False, preserve_rng_state=False)
        return self._layer(i, x, context)

    def _layer(self, i: int, x: Tensor, context: LayerContext) -> Tensor:
        x = self.resnets[i](x, context)
        if self.conditions and context.condition is not None:
            x = self.conditions[i](context.spread(x), context.condition)
        x = self.attentions[i](x, context) if self.attentions else context.spread(x)
        if self.motion_modules:
            x = self.motion_modules[i](x, context)
        if self.stda:
            x = self.stda[i](x, context.n_frames, context.strengths.stda)
        return x


class DownBlock(Level):
    """One resolution on the way down: layers, TFRM, then halve (but at the last)."""

    def __init__(self, config: DenoiserConfig, level: int, in_width: int) -> None:
        width = config.widths[level]
        super().__init__(config, level, [in_width] + [width] * (config.blocks[level] - 1), has_motion=True)
        self.downsamplers = nn.ModuleList()
        if level + 1 < len(config.widths):
            self.downsamplers.append(Resample(width, stride=2))

    def forward(self, x: Tensor, context: LayerContext) -> tuple[Tensor, list[Tensor], Tensor]:
        """Returns the halved output, all outputs of this resolution for the skips, and the graph regulariser."""
        outputs = [x]
        for i in range(len(self.resnets)):
            x = self.layer(i, x, context)
            outputs.append(x)
        x, loss = apply_tfrm(self.tfrm, x, context)
        outputs[-1] = x
        for downsampler in self.downsamplers:
            x = downsampler(x)
        return x, outputs, loss


class MidBlock(Level):
    """The coarsest cells: residual block, transformer, TFRM, residual block; no motion module."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__(config, len(config.widths) - 1, [], has_motion=False)
        width = config.widths[-1]
        self.resnets.extend(ResBlock(config, width, width) for _ in range(2))
        self.attentions.append(Transformer(config, width))
        if config.has_adapters:
            self.conditions.append(FrameCondition(config, width))
            self.tfrm = build_tfrm(config, width) if config.tfrm_middle else None

    def forward(self, x: Tensor, context: LayerContext) -> tuple[Tensor, Tensor]:
        """[B T, C, h, w] -> the same, and the graph regulariser."""
        x, loss = apply_tfrm(self.tfrm, self.layer(0, x, context), context)
        return self.resnets[1](x, context), loss


class UpBlock(Level):
    """One resolution on the way up: concatenate a skip before each layer, TFRM, then double (but at the finest)."""

    def __init__(self, config: DenoiserConfig, level: int, in_width: int) -> None:
        width = config.widths[level]
        n_layers = config.up_blocks[level]
        self.last_skip = config.blocks[level]
        entry_width = config.widths[max(level - 1, 0)]
        skip_widths = [entry_width if i == config.blocks[level] else width for i in range(n_layers)]
        in_widths = [skip + (width if i else in_width) for i, skip in enumerate(skip_widths)]
        super().__init__(config, level, in_widths, has_motion=True)
        self.upsamplers = nn.ModuleList()
        if level:
            self.upsamplers.append(Resample(width, stride=1))

    def forward(self, x: Tensor, skips: list[Tensor], context: LayerContext) -> tuple[Tensor, Tensor]:
        """Takes the outputs of the same resolution, last first; returns the output and the graph regulariser."""
        return self.merge(self.layers(x, skips, context, 0, len(self.resnets)), context)

    def merge(self, x: Tensor, context: LayerContext) -> tuple[Tensor, Tensor]:
        """What follows the layers; as `forward`."""
        x, loss = apply_tfrm(self.tfrm, x, context)
        for upsampler in self.upsamplers:
            x = upsampler(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return x, loss

    def layers(self, x: Tensor, skips: list[Tensor], context: LayerContext, first: int, stop: int) -> Tensor:
        """Layers first .. stop - 1, each with its skip: [B T, C_in, h, w] -> [B T, C, h, w]"""
        for i in range(first, stop):
            x = self.layer(i, torch.cat((x, context.spread(skips[self.last_skip - i])), 1), context)
        return x


class Resample(nn.Module):
    """3x3 convolution that halves the cells, or that follows their doubling."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=stride, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B T, C, h, w] -> [B T, C, h / stride, w / stride]"""
        return self.conv(x)


class ResBlock(nn.Module):
    """Two 3x3 convolutions around a residual; the time embedding is added between them."""

    def __init__(self, config: DenoiserConfig, in_width: int, width: int) -> None:
        super().__init__()
        self.norm1 = FrameNorm(config, in_width)
        self.conv1 = nn.Conv2d(in_width, width, 3, padding=1)
        self.time_emb_proj = nn.Linear(TIME_MULTIPLIER * config.widths[0], width)
        self.norm2 = FrameNorm(config, width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(in_width, width, 1) if in_width != width else None

    def forward(self, x: Tensor, context: LayerContext) -> Tensor:
        """[B T, C_in, h, w] -> [B T, C, h, w]"""
        y = self.conv1(F.silu(self.norm1(x, context.n_frames)))
        n_clips = len(x) // context.n_frames
        time = self.time_emb_proj(F.silu(context.time[:n_clips]))  # of B rows: of B T rows the last bit would differ
        y = y + time.repeat_interleave(context.n_frames, 0)[:, :, None, None]
        y = self.conv2(F.silu(self.norm2(y, context.n_frames)))
        return (x if self.conv_shortcut is None else self.conv_shortcut(x)) + y


class FrameCondition(nn.Module):
    """Adapter: adds a projection of the frame's conditions (emotion, motion, time) to every cell."""

    def __init__(self, config: DenoiserConfig, width: int) -> None:
        super().__init__()
        self.out = nn.Linear(config.condition_width, width)
        scale_init(self.out, adapter_init(config))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x [B T, C, h, w], condition [B T, D] -> [B T, C, h, w]"""
        return x + self.out(condition)[:, :, None, None]


class Transformer(nn.Module):
    """Tokens of a frame look at one another, at its sound and at its emotion; between two 1x1 convolutions."""

    def __init__(self, config: DenoiserConfig, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(config.norm_groups, width, eps=NORM_EPS)
        self.proj_in = nn.Conv2d(width, width, 1)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(config, width)])
        self.proj_out = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor, context: LayerContext) -> Tensor:
        """[B T, C, h, w] -> [B T, C, h, w]"""
        tokens = rearrange(self.proj_in(self.norm(x)), "n c h w -> n (h w) c")
        for block in self.transformer_blocks:
            tokens = block(tokens, context)
        tokens = rearrange(tokens, "n (h w) c -> n c h w", h=x.shape[-2]).contiguous()
        return self.proj_out(tokens) + context.spread(x)


class TransformerBlock(nn.Module):
    """Attention to itself, to sound, to emotion and to who is seen (adapters), feed-forward: pre-norm residuals."""

    def __init__(self, config: DenoiserConfig, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = BaseAttention(config, width, width)
        self.norm2 = nn.LayerNorm(width)
        self.attn2 = BaseAttention(config, width, config.audio_width)
        self.emotion = None
        if config.has_adapters:
            self.emotion = NormAttention(
                width, config.emotion_width, config.heads, config.attention_backend, adapter_init(config)
            )
        self.identity = None
        if config.has_identity:
            self.identity = NormAttention(
                width, config.identity_width, config.heads, config.attention_backend, adapter_init(config)
            )
        self.ff = geglu(width, config.feed_forward_multiplier)
        self.norm3 = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, context: LayerContext) -> Tensor:
        """[B T, h w, D] -> [B T, h w, D]"""
        normed = self.norm1(tokens)
        tokens = self.attn1(normed, normed) + tokens
        tokens = self._listen(context.spread(tokens), context)
        if self.emotion is not None and context.emotion is not None:
            tokens = self.emotion(tokens, context.emotion) + tokens
        if self.identity is not None and context.identity is not None:
            tokens = context.strengths.identity * self.identity(tokens, context.identity) + tokens
        return self.ff(self.norm3(tokens)) + tokens

    def _listen(self, tokens: Tensor, context: LayerContext) -> Tensor:
        """Attention to sound; keys and values have no bias, so that without sound it comes down to a constant."""
        n_quiet = context.shortcuts.n_silent * context.n_frames
        if not n_quiet:
            return self.attn2(self.norm2(tokens), context.audio) + tokens
        heard = tokens[n_quiet:]
        louder = self.attn2(self.norm2(heard), context.audio[n_quiet:]) + heard
        # its bias, by a call: a host may keep the weights of layers elsewhere and fetch them when they are called
        constant = self.attn2.to_out[0](tokens.new_zeros(1, 1, tokens.shape[-1]))
        return torch.cat((constant + tokens[:n_quiet], louder))


class MotionModule(nn.Module):
    """Every cell looks at itself in the other frames; zero at first in LatentSync's training."""

    def __init__(self, config: DenoiserConfig, width: int) -> None:
        super().__init__()
        self.temporal_transformer = TemporalTransformer(config, width)

    def forward(self, x: Tensor, context: LayerContext) -> Tensor:
        """[B T, C, h, w] -> [B T, C, h, w]; raises BadInput beyond 24 frames."""
        if context.n_frames > MAX_FRAMES:
            raise BadInput(
                f"A window of {context.n_frames} frames was asked of LatentSync's motion modules, which know "
                f"{MAX_FRAMES} positions. Set window_frames to {MAX_FRAMES} or less; it was trained with 16."
            )
        return self.temporal_transformer(x, context.n_frames)


class TemporalTransformer(nn.Module):
    """Norm of each frame, a linear layer, attention over time, a linear layer; a residual."""

    def __init__(self, config: DenoiserConfig, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(config.norm_groups, width, eps=NORM_EPS)
        self.proj_in = nn.Linear(width, width)
        self.transformer_blocks = nn.ModuleList([TemporalBlock(config, width)])
        self.proj_out = nn.Linear(width, width)

    def forward(self, x: Tensor, n_frames: int) -> Tensor:
        """[B T, C, h, w] -> [B T, C, h, w]"""
        tokens = self.proj_in(rearrange(self.norm(x), "n c h w -> n (h w) c"))
        for block in self.transformer_blocks:
            tokens = block(tokens, n_frames)
        return rearrange(self.proj_out(tokens), "n (h w) c -> n c h w", h=x.shape[-2]).contiguous() + x


class TemporalBlock(nn.Module):
    """Two attentions over time and a feed-forward, each a pre-norm residual."""

    def __init__(self, config: DenoiserConfig, width: int) -> None:
        super().__init__()
        self.attention_blocks = nn.ModuleList(TemporalAttention(config, width, width) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.ff = geglu(width, config.feed_forward_multiplier)
        self.ff_norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, n_frames: int) -> Tensor:
        """[B T, h w, D] -> [B T, h w, D]"""
        cells = tokens.shape[1]
        for norm, block in zip(self.norms, self.attention_blocks, strict=True):
            over_time = rearrange(norm(tokens), "(b t) n c -> (b n) t c", t=n_frames).contiguous()
            tokens = rearrange(block(over_time), "(b n) t c -> (b t) n c", n=cells) + tokens
        return self.ff(self.ff_norm(tokens)) + tokens
