"""The diffusion U-Net, whole, readable top to bottom.

Frames are processed as pictures, [B T, C, h, w]; only STDA, TFRM, LatentSync's motion modules and (by config) the group
norms look across time. `DenoiserConfig.layout` chooses the blocks: those of `latentsync_blocks`, or ours below, which
have per layer: residual block with FiLM from the frame's conditions, spatial self-attention, attention to the frame's
audio tokens, attention to its emotion tokens, feed-forward, STDA; per level and in the middle (by config): TFRM.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ..config import DenoiserConfig
from . import latentsync_blocks
from .adapters import Context, FrameNorm, NormAttention, adapter_init, apply_tfrm, build_stda, build_tfrm
from .layers import SMALL_INIT, FeedForward, scale_init

TIME_WIDTH = 128
TIME_SCALE = {"residual": 1000.0, "epsilon": 1.0}
"""Noise times reach the embedding as 0 .. 1000."""
AUDIO_QUERIES = 3
MOTION_SIZE = (0.3, 0.25, 0.2, 0.06, 0.06, 0.5, 0.5, 0.5)
"""Usual size of each motion channel (taxonomy.MOTION: radians, frame widths, closure, gaze); divided by it, all are
about 1."""
MOTION_FREQUENCIES = (math.pi / 4, math.pi / 2, math.pi)


class Denoiser(nn.Module):
    """U-Net over latents, conditioned on sound, emotion and motion of every frame.

    STDA, TFRM and emotion attention are residual branches under their own key prefixes (`stda.`, `tfrm.`, `emotion.`).
    With `zero_init_adapters` their last projection starts at zero, so that a base model with untrained adapters equals
    the base to the bit. In the layout "latentsync" frame conditions are an adapter too (`conditions.`), and without
    `has_adapters` the keys are those of LatentSync's own weights.
    """

    residual_scale: Tensor
    latent_scale: Tensor

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        c = config.latent_channels
        widths = config.widths
        is_ours = config.layout == "eadnet"
        self.register_buffer("residual_scale", torch.ones(c), persistent=is_ours)
        self.register_buffer("latent_scale", torch.ones(c), persistent=is_ours)
        self.conditions = Conditions(config) if config.has_adapters else None
        self.time_embedding = None if is_ours else latentsync_blocks.TimeEmbedding(widths[0])
        self.conv_in = nn.Conv2d(3 * c + 1, widths[0], 3, padding=1)
        down, mid, up = BLOCKS[config.layout]
        self.down_blocks = nn.ModuleList(down(config, level, widths[max(level - 1, 0)]) for level in range(len(widths)))
        self.mid_block = mid(config)
        self.up_blocks = nn.ModuleList(
            up(config, level, widths[min(level + 1, len(widths) - 1)]) for level in reversed(range(len(widths)))
        )
        self.conv_norm_out = FrameNorm(config, widths[0])
        self.conv_out = nn.Conv2d(widths[0], c, 3, padding=1)
        if is_ours:
            scale_init(self.conv_out, SMALL_INIT)
        self.memory_format = torch.channels_last if is_ours else torch.contiguous_format
        self.to(memory_format=self.memory_format)  # type: ignore[call-overload]

    def forward(
        self,
        sample: Tensor,
        time: Tensor,
        audio: Tensor,
        emotion: Tensor | None = None,
        motion: Tensor | None = None,
        motion_known: Tensor | None = None,
        *,
        strengths: tuple[float, float] = (1.0, 1.0),
        return_aux: bool = False,
        recompute: bool = False,
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """The raw output of the net; `sampling.schedule` turns it into clean latents.

        sample        [B, 3C+1, T, h, w]  noisy C | mask 1 | masked picture C | reference C
        time          [B]                 0 .. 1 (prediction "residual") or 0 .. 999 ("epsilon")
        audio         [B, T, S, D_a]      all zeros where unconditioned
        emotion       [B, T, E, D_e]      the learned null tokens where unconditioned
        motion        [B, T, 8]           taxonomy.MOTION
        motion_known  [B, T]              1 where motion is given, 0 where it is free
        strengths     of STDA and of TFRM; 0 leaves the module out exactly
        recompute     keep only the inputs of layers for a backward pass (layout "latentsync"): the same gradients, less
                      memory, a third more time
        returns       [B, C, T, h, w]; with return_aux also {"graph_regulariser": scalar, "bottleneck": [B, T, C_mid]}

        The layout "latentsync" does without emotion and motion: the adapters that read them are then left out.
        """
        n_frames = sample.shape[2]
        given = (sample, time, audio, emotion, motion, motion_known)
        x, context = self.begin(*given, strengths=strengths, shortcuts={"is_recomputed": recompute})
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
        out = self.finish(x, n_frames)
        if not return_aux:
            return out
        pooled = rearrange(bottleneck.mean((2, 3)), "(b t) c -> b t c", t=n_frames)
        return out, {"graph_regulariser": graph, "bottleneck": pooled}

    def begin(
        self,
        sample: Tensor,
        time: Tensor,
        audio: Tensor,
        emotion: Tensor | None = None,
        motion: Tensor | None = None,
        motion_known: Tensor | None = None,
        *,
        strengths: tuple[float, float] = (1.0, 1.0),
        shortcuts: Mapping[str, Any] | None = None,
    ) -> tuple[Tensor, Context]:
        """Features [B T, C, h, w] after the first convolution, and what every layer is given; see `forward`.

        shortcuts  fields of `Context` that spare work or memory, n_branches and what follows it; the features are those
                   of one branch
        """
        condition = None
        if self.conditions is not None and emotion is not None:
            condition = self.conditions(time, audio, emotion, motion, motion_known)
        context = Context(
            sample.shape[2],
            time if self.time_embedding is None else self.time_embedding(time),
            condition,
            audio.flatten(0, 1),
            None if emotion is None else emotion.flatten(0, 1),
            sample[:, -self.config.latent_channels :, 0],
            *strengths,
            **(shortcuts or {}),
        )
        one = sample[: len(sample) // context.n_branches]
        x = rearrange(one, "b c t h w -> (b t) c h w").contiguous(memory_format=self.memory_format)
        return self.conv_in(x), context

    def finish(self, x: Tensor, n_frames: int) -> Tensor:
        """Features of the finest level -> the output: [B T, C, h, w] -> [B, C_latent, T, h, w]"""
        x = self.conv_out(F.silu(self.conv_norm_out(x, n_frames)))
        return rearrange(x, "(b t) c h w -> b c t h w", t=n_frames)


class Conditions(nn.Module):
    """All conditions of a frame in one vector, each brought to unit variance: else the net ignores the faint ones."""

    motion_size: Tensor
    motion_frequencies: Tensor

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.time_scale = TIME_SCALE[config.prediction]
        self.time_norm = nn.LayerNorm(TIME_WIDTH)
        self.audio_queries = nn.Parameter(torch.randn(AUDIO_QUERIES, config.audio_width) * config.audio_width**-0.5)
        self.audio_norm = nn.LayerNorm(AUDIO_QUERIES * config.audio_width)
        self.register_buffer("motion_size", torch.tensor(MOTION_SIZE), persistent=False)
        self.register_buffer("motion_frequencies", torch.tensor(MOTION_FREQUENCIES), persistent=False)
        motion_features = config.motion_size * (1 + 2 * len(MOTION_FREQUENCIES)) + 1
        width = TIME_WIDTH + config.emotion_width + AUDIO_QUERIES * config.audio_width + motion_features
        self.mix = nn.Linear(width, config.condition_width)
        nn.init.normal_(self.mix.weight, std=width**-0.5)

    def forward(self, time: Tensor, audio: Tensor, emotion: Tensor, motion: Tensor, motion_known: Tensor) -> Tensor:
        """Shapes as in Denoiser.forward; returns [B T, D]."""
        b, n_frames, n_tokens, _ = emotion.shape
        time_features = self.time_norm(fourier_time(time * self.time_scale, TIME_WIDTH).to(motion.dtype))
        shares = (audio @ self.audio_queries.t()).softmax(2)
        heard = self.audio_norm((shares.transpose(2, 3) @ audio).flatten(2))
        scaled = motion / self.motion_size
        waves = (scaled.unsqueeze(-1) * self.motion_frequencies).flatten(2)
        known = motion_known.unsqueeze(-1).to(motion.dtype)
        moved = torch.cat((scaled, waves.sin(), waves.cos()), -1) * known
        parts = (
            time_features.unsqueeze(1).expand(b, n_frames, -1),
            emotion.mean(2) * n_tokens**0.5,
            heard,
            moved,
            known,
        )
        return F.silu(self.mix(torch.cat(parts, -1))).flatten(0, 1)


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
            x = self.stda(x, context.n_frames, context.stda_strength)
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
    """Spatial self-attention, attention to audio, attention to emotion, feed-forward, each a pre-norm residual."""

    def __init__(self, config: DenoiserConfig, width: int, *, has_self: bool, has_cross: bool) -> None:
        super().__init__()
        heads, backend = config.heads, config.attention_backend
        self.spatial = NormAttention(width, width, heads, backend, SMALL_INIT) if has_self else None
        self.audio = NormAttention(width, config.audio_width, heads, backend, SMALL_INIT) if has_cross else None
        self.emotion = (
            NormAttention(width, config.emotion_width, heads, backend, adapter_init(config)) if has_cross else None
        )
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
        tokens = tokens + self.feed_forward(self.norm(tokens))
        return rearrange(tokens, "n (h w) c -> n c h w", h=h)


def fourier_time(time: Tensor, width: int) -> Tensor:
    """Sines and cosines of noise times [B] at wavelengths from 2 pi to 20,000 pi, [B, width].

    >>> fourier_time(torch.zeros(1), 4).tolist()
    [[0.0, 0.0, 1.0, 1.0]]
    """
    rates = torch.exp(-math.log(10_000) * torch.arange(width // 2, device=time.device) / (width // 2))
    angles = time.float().unsqueeze(1) * rates
    return torch.cat((angles.sin(), angles.cos()), 1)


BLOCKS: dict[str, tuple[type[nn.Module], type[nn.Module], type[nn.Module]]] = {
    "eadnet": (DownBlock, MidBlock, UpBlock),
    "latentsync": (latentsync_blocks.DownBlock, latentsync_blocks.MidBlock, latentsync_blocks.UpBlock),
}
"""Blocks on the way down, in the middle and on the way up, by `DenoiserConfig.layout`."""
