"""Our diffusion U-Net, whole, readable top to bottom.

Frames are processed as pictures, [B T, C, h, w]; only STDA, TFRM and (by config) the group norms look across time. A
layer has a residual block with FiLM from the frame's conditions, spatial self-attention, attention to the frame's audio
tokens, attention to its emotion tokens, feed-forward, STDA; a level and the middle end (by config) with TFRM.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ..config import DenoiserConfig
from ..sampling.conditions import FrameConditions
from ..sampling.guidance import Place
from .adapters import (
    FULL_STRENGTH,
    Context,
    FrameNorm,
    NormAttention,
    Strengths,
    adapter_init,
    apply_stda,
    apply_tfrm,
    build_stda,
    build_tfrm,
)
from .causal import Memory
from .condition_mixer import ConditionMixer
from .layers import SMALL_INIT, FeedForward, scale_init
from .style import StyleAdapter, StyleTokens


class Denoiser(nn.Module):
    """U-Net over latents, conditioned on sound, emotion and motion of every frame.

    STDA, TFRM and emotion attention are residual branches under their own key prefixes (`stda.`, `tfrm.`, `emotion.`).
    With `zero_init_adapters` their last projection starts at zero: they then change no bit until they are trained.
    """

    latent_scale: Tensor

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        c = config.latent_channels
        widths = config.widths
        self.register_buffer("latent_scale", torch.ones(c))
        self.conditions = ConditionMixer(config)
        self.conv_in = nn.Conv2d(3 * c + 1, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList(
            DownBlock(config, level, widths[max(level - 1, 0)]) for level in range(len(widths))
        )
        self.mid_block = MidBlock(config)
        self.up_blocks = nn.ModuleList(
            UpBlock(config, level, widths[min(level + 1, len(widths) - 1)]) for level in reversed(range(len(widths)))
        )
        self.conv_norm_out = FrameNorm(config, widths[0])
        self.conv_out = nn.Conv2d(widths[0], c, 3, padding=1)
        scale_init(self.conv_out, SMALL_INIT)
        self.guidance_out = nn.Conv2d(widths[0], 2 * c, 3, padding=1) if config.guides_itself else None
        if self.guidance_out is not None:
            nn.init.zeros_(self.guidance_out.weight)
            nn.init.zeros_(self.guidance_out.bias)  # type: ignore[arg-type]
        self.style: StyleTokens | None = None
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def style_places(self) -> tuple[int, ...]:
        """Widths of the places where it can be told of a style: wherever it looks at sound and emotion."""
        return tuple(place.norm.normalized_shape[0] for place in self._places())

    def add_style(self, adapter: StyleAdapter) -> None:
        """Let it be told of a speaker's style. Raises ValueError for an adapter of other widths."""
        if adapter.places != self.style_places():
            raise ValueError(f"it is of the widths {adapter.places}, and {self.style_places()} are wanted")
        for place, attention in zip(self._places(), adapter.attentions, strict=True):
            assert isinstance(attention, NormAttention)
            place.style = attention
        self.style = adapter.tokens

    def _places(self) -> list[Transformer]:
        return [part for part in self.modules() if isinstance(part, Transformer) and part.audio is not None]

    def forward(
        self,
        sample: Tensor,
        time: Tensor,
        conditions: FrameConditions,
        place: Place | None = None,
        *,
        strengths: Strengths = FULL_STRENGTH,
        memory: Memory | None = None,
        return_aux: bool = False,
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """The raw output of the net; `sampling.prediction` turns it into clean latents.

        sample      [B, C, T, h, w]  noisy latents
        time        [B]              0 .. 1 (`Flow`) or 0 .. 999 (`Epsilon`)
        conditions  of a batch, with emotion and motion
        place       not looked at: nothing is kept from call to call
        strengths   of STDA, of TFRM and of the style
        memory      of the frames before, where a clip comes in order; these frames are added to it
        returns     [B, C, T, h, w]; with return_aux also {"graph_regulariser": scalar, "bottleneck": [B, T, C_mid]}
        """
        n_frames = sample.shape[2]
        context = self._context(time, conditions, strengths, memory)
        x = rearrange(torch.cat([sample, conditions.context], 1), "b c t h w -> (b t) c h w")
        x = self.conv_in(x.contiguous(memory_format=torch.channels_last))
        skips: list[list[Tensor]] = []
        graph = x.new_zeros(())
        for down in self.down_blocks:
            x, outputs, loss = down(x, context)
            skips.append(outputs)
            graph = graph + loss
        x, loss = self.mid_block(x, context)
        graph = graph + loss
        bottleneck = x
        for up in self.up_blocks:
            x, loss = up(x, skips.pop(), context)
            graph = graph + loss
        x = F.silu(self.conv_norm_out(x, n_frames))
        out = rearrange(self.conv_out(x), "(b t) c h w -> b c t h w", t=n_frames)
        if self.guidance_out is not None and conditions.guidance is not None:
            moved = rearrange(self.guidance_out(x), "(b t) (k c) h w -> b k c t h w", t=n_frames, k=2)
            audio, emotion = rearrange(conditions.guidance, "b k -> k b 1 1 1 1")
            out = out + audio * moved[:, 0] + emotion * moved[:, 1]
        if not return_aux:
            return out
        pooled = rearrange(bottleneck.mean((2, 3)), "(b t) c -> b t c", t=n_frames)
        return out, {"graph_regulariser": graph, "bottleneck": pooled}

    def _context(self, time: Tensor, given: FrameConditions, strengths: Strengths, memory: Memory | None) -> Context:
        """What every layer is given."""
        assert given.emotion is not None and given.motion is not None and given.motion_known is not None
        style = None
        if self.style is not None and given.style is not None and strengths.style:
            style = self.style(given.style).repeat_interleave(given.n_frames, 0)
        return Context(
            n_frames=given.n_frames,
            condition=self.conditions(time, given.audio, given.emotion, given.motion, given.motion_known),
            audio=given.audio.flatten(0, 1),
            emotion=given.emotion.flatten(0, 1),
            reference=given.context[:, -self.config.latent_channels :, 0],
            strengths=strengths,
            style=style,
            memory=memory,
        )


class DownBlock(nn.Module):
    """One resolution on the way down: halve (but at the first), layers, TFRM."""

    def __init__(self, config: DenoiserConfig, level: int, in_width: int) -> None:
        super().__init__()
        width = config.widths[level]
        self.downsample = nn.Conv2d(in_width, in_width, 3, stride=2, padding=1) if level else None
        self.layers = nn.ModuleList(
            Layer(config, level, width if i else in_width, shifted=bool(i % 2)) for i in range(config.blocks[level])
        )
        self.tfrm = build_tfrm(config, width) if config.tfrm[level] else None

    def forward(self, x: Tensor, context: Context) -> tuple[Tensor, list[Tensor], Tensor]:
        """Returns the output, all outputs of this resolution for the skips, and the graph regulariser."""
        if self.downsample is not None:
            x = self.downsample(x)
        outputs = [x]
        for layer in self.layers:
            x = layer(x, context)
            outputs.append(x)
        x, loss = apply_tfrm(self.tfrm, x, context)
        outputs[-1] = x
        return x, outputs, loss


class MidBlock(nn.Module):
    """The coarsest cells: residual block, attention, TFRM, residual block."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        width = config.widths[-1]
        self.first = ResBlock(config, width, width)
        self.attention = Transformer(config, width, has_self=True, has_cross=True)
        self.tfrm = build_tfrm(config, width) if config.tfrm_middle else None
        self.second = ResBlock(config, width, width)

    def forward(self, x: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        """[B T, C, h, w] -> the same, and the graph regulariser."""
        x = self.attention(self.first(x, context), context)
        x, loss = apply_tfrm(self.tfrm, x, context)
        return self.second(x, context), loss


class UpBlock(nn.Module):
    """One resolution on the way up: double (but at the coarsest), merge a skip before each layer, TFRM.

    Skips are merged as by a 1x1 convolution of the concatenation, written as a sum of two, so that the coarse half is
    computed before the nearest-neighbour doubling.
    """

    def __init__(self, config: DenoiserConfig, level: int, in_width: int) -> None:
        super().__init__()
        width = config.widths[level]
        self.doubles = level + 1 < len(config.widths)
        counts = range(config.up_blocks[level])
        self.inputs = nn.ModuleList(nn.Conv2d(width if i else in_width, width, 1) for i in counts)
        entry_width = config.widths[max(level - 1, 0)]
        skip_widths = [entry_width if i == config.blocks[level] else width for i in counts]
        self.skips = nn.ModuleList(nn.Conv2d(skip_width, width, 1, bias=False) for skip_width in skip_widths)
        self.layers = nn.ModuleList(Layer(config, level, width, shifted=not i % 2) for i in counts)
        self.tfrm = build_tfrm(config, width) if config.tfrm[level] else None

    def forward(self, x: Tensor, skips: list[Tensor], context: Context) -> tuple[Tensor, Tensor]:
        """Takes the outputs of the same resolution, last first; returns the output and the graph regulariser."""
        for i, layer in enumerate(self.layers):
            x = self.inputs[i](x)
            if self.doubles and i == 0:
                x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = layer(x + self.skips[i](skips[-1 - i]), context)
        return apply_tfrm(self.tfrm, x, context)


class Layer(nn.Module):
    """Residual block, then (by config) transformer and STDA."""

    def __init__(self, config: DenoiserConfig, level: int, in_width: int, *, shifted: bool) -> None:
        super().__init__()
        width = config.widths[level]
        self.resnet = ResBlock(config, in_width, width)
        has_self, has_cross = config.self_attention[level], config.cross_attention[level]
        self.attention = (
            Transformer(config, width, has_self=has_self, has_cross=has_cross) if has_self or has_cross else None
        )
        self.stda = build_stda(config, level, shifted=shifted) if config.stda[level] else None

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """[B T, C_in, h, w] -> [B T, C, h, w]"""
        x = self.resnet(x, context)
        if self.attention is not None:
            x = self.attention(x, context)
        if self.stda is not None:
            x = apply_stda(self.stda, x, context)
        return x


class ResBlock(nn.Module):
    """Two 3x3 convolutions around a residual; the conditions scale and shift the second norm (FiLM)."""

    def __init__(self, config: DenoiserConfig, in_width: int, width: int) -> None:
        super().__init__()
        self.norm1 = FrameNorm(config, in_width)
        self.conv1 = nn.Conv2d(in_width, width, 3, padding=1)
        self.film = nn.Linear(config.condition_width, 2 * width)
        self.norm2 = FrameNorm(config, width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        scale_init(self.conv2, SMALL_INIT)
        self.shortcut = nn.Conv2d(in_width, width, 1) if in_width != width else None

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """[B T, C_in, h, w] -> [B T, C, h, w]"""
        scale, shift = rearrange(self.film(context.condition), "n c -> n c 1 1").chunk(2, 1)
        y = self.conv1(F.silu(self.norm1(x, context.n_frames)))
        y = torch.addcmul(shift, self.norm2(y, context.n_frames), 1 + scale)
        y = self.conv2(F.silu(y))
        return y + (x if self.shortcut is None else self.shortcut(x))


class Transformer(nn.Module):
    """Spatial self-attention, attention to audio, to emotion and to style, feed-forward, each a pre-norm residual."""

    def __init__(self, config: DenoiserConfig, width: int, *, has_self: bool, has_cross: bool) -> None:
        super().__init__()
        heads, backend = config.heads, config.attention_backend
        self.spatial = NormAttention(width, width, heads, backend, SMALL_INIT) if has_self else None
        self.audio = NormAttention(width, config.audio_width, heads, backend, SMALL_INIT) if has_cross else None
        self.emotion = (
            NormAttention(width, config.emotion_width, heads, backend, adapter_init(config)) if has_cross else None
        )
        self.style: NormAttention | None = None
        self.norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, config.feed_forward_multiplier)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """[B T, C, h, w] -> [B T, C, h, w]"""
        h = x.shape[-2]
        tokens = rearrange(x, "n c h w -> n (h w) c")
        if self.spatial is not None:
            tokens = tokens + self.spatial(tokens, None)
        if self.audio is not None:
            tokens = tokens + self.audio(tokens, context.audio)
        if self.emotion is not None:
            tokens = tokens + self.emotion(tokens, context.emotion)
        if self.style is not None and context.style is not None:
            tokens = tokens + context.strengths.style * self.style(tokens, context.style)
        tokens = tokens + self.feed_forward(self.norm(tokens))
        return rearrange(tokens, "n (h w) c -> n c h w", h=h)
