"""LatentSync's judge of lip sync, in pixels: for supervision and guidance with public weights, never for a score.

Two encoders bring the lower halves of 16 frames and the log-mel of the same 0.64 s into one space. State dicts of
`stable_syncnet.pt` fit as they are.
"""

from __future__ import annotations

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ...config import StableSyncNetConfig
from .blocks import geglu

HEADS = 8


class StableSyncNet(nn.Module):
    """Embeds windows of frames and their sound; cosine similarity says whether they belong together."""

    def __init__(self, config: StableSyncNetConfig) -> None:
        super().__init__()
        self.config = config
        c = config
        self.audio_encoder = _Encoder(1, c.mel_widths, c.mel_strides, c.mel_attention, c.norm_groups)
        self.visual_encoder = _Encoder(
            3 * c.frames, c.visual_widths, c.visual_strides, c.visual_attention, c.norm_groups
        )

    def embed_frames(self, frames: Tensor) -> Tensor:
        """Windows of aligned frames to unit vectors.

        frames   [B, T, 3, 256, 256]  -1 .. 1, T = config.frames; only the lower half is looked at
        returns  [B, D]
        """
        lower = frames[..., frames.shape[-2] // 2 :, :]
        return self.embed_lower_halves(rearrange(lower, "b t c h w -> b (t c) h w"))

    def embed_lower_halves(self, stacked: Tensor) -> Tensor:
        """The same of what the encoder reads: [B, 3 T, 128, 256] -> [B, D]."""
        return F.normalize(self.visual_encoder(stacked).flatten(1), dim=1)

    def embed_audio(self, mel: Tensor) -> Tensor:
        """Windows [B, 1, 80, 52] of `media.sync_features.syncnet_mel_windows` to unit vectors [B, D]."""
        return F.normalize(self.audio_encoder(mel).flatten(1), dim=1)

    def similarity(self, frames: Tensor, mel: Tensor) -> Tensor:
        """Cosine similarity [B] of windows of frames and of sound (shapes as in embed_frames and embed_audio)."""
        return (self.embed_frames(frames) * self.embed_audio(mel)).sum(-1)


class _Encoder(nn.Module):
    """Blocks that halve until one cell is left, some followed by attention over all cells."""

    def __init__(
        self,
        in_channels: int,
        widths: tuple[int, ...],
        strides: tuple[tuple[int, int], ...],
        attention: tuple[bool, ...],
        groups: int,
    ) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(in_channels, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList()
        width = widths[0]
        for out, stride, has_attention in zip(widths, strides, attention, strict=True):
            self.down_blocks.append(_ResBlock(width, out, stride, groups))
            if has_attention:
                self.down_blocks.append(_AttentionBlock(out, groups))
            width = out
        self.norm_out = nn.GroupNorm(groups, width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, D, h, w], one cell where the input has the size it was made for"""
        x = self.conv_in(x)
        for block in self.down_blocks:
            x = block(x)
        return F.relu(self.norm_out(x))


class _ResBlock(nn.Module):
    """Two 3 x 3 convolutions beside a skip, then a strided one."""

    def __init__(self, width: int, out: int, stride: tuple[int, int], groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, width, eps=1e-6)
        self.conv1 = nn.Conv2d(width, out, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups, out, eps=1e-6)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(width, out, 1) if width != out else None
        self.downsample_conv = nn.Conv2d(out, out, 3, stride) if stride != (1, 1) else None
        # an axis that is halved is padded at its end alone, one that keeps its length at both ends
        rows, columns = ((1, 1) if step == 1 else (0, 1) for step in stride)
        self.padding = (*columns, *rows)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C', H / stride, W / stride]"""
        y = self.conv1(F.silu(self.norm1(x)))
        y = self.conv2(F.silu(self.norm2(y)))
        y = y + (x if self.conv_shortcut is None else self.conv_shortcut(x))
        return y if self.downsample_conv is None else self.downsample_conv(F.pad(y, self.padding))


class _AttentionBlock(nn.Module):
    """A transformer block over all cells, between 1 x 1 convolutions, beside a skip."""

    def __init__(self, width: int, groups: int) -> None:
        from diffusers.models.attention_processor import Attention  # here: it takes seconds to import

        super().__init__()
        self.norm1 = nn.GroupNorm(groups, width, eps=1e-6)
        self.norm2 = nn.LayerNorm(width)
        self.norm3 = nn.LayerNorm(width)
        self.ff = geglu(width, 4)
        self.conv_in = nn.Conv2d(width, width, 1)
        self.conv_out = nn.Conv2d(width, width, 1)
        self.attn = Attention(query_dim=width, heads=HEADS, dim_head=width // HEADS, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] -> [B, C, h, w]"""
        height = x.shape[-2]
        y = rearrange(self.conv_in(self.norm1(x)), "b c h w -> b (h w) c")
        y = self.attn(self.norm2(y)) + y
        y = self.ff(self.norm3(y)) + y
        return self.conv_out(rearrange(y, "b (h w) c -> b c h w", h=height).contiguous()) + x
