"""Sound for the full-size denoiser: the encoder of Whisper, and the features of it that LatentSync reads.

Not the transformers encoder: that one scales its queries once where OpenAI's scales queries and keys by the root, and
the last bits differ. Two ways to cut a long sound into the encoder's 30 s:

- "exact" cuts where LatentSync does, so that a step at 30 s has heard nothing beyond it and lips glitch there;
- "overlapped", our design and the default, lets segments share sound and fades one into the next in the middle of it.

Up to 30 s both are the same, to the bit.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...config import WhisperConfig

MODES = ("overlapped", "exact")
STEPS_PER_FRAME = 2
STEPS_BEFORE, STEPS_AFTER = 4, 6
"""Frame i reads the steps 2 i - 4 up to but not including 2 i + 6."""
OVERLAP = 0.2
"""Share of a segment that it has in common with the next: 6 s, 3 s of context for whatever is kept."""
FADE = 0.2
"""Share of the overlap, around its middle, over which one segment fades into the next."""
HELD_SEGMENTS = 3
"""Encoded segments that stay in memory: 11 MB each at full size."""


class WhisperEncoder(nn.Module):
    """Convolutions and transformer blocks of the encoder; the final norm is left out, as nothing reads past it."""

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__()
        self.config = config
        self.conv1 = nn.Conv1d(config.n_mels, config.width, 3, padding=1)
        self.conv2 = nn.Conv1d(config.width, config.width, 3, stride=2, padding=1)
        self.positions = nn.Parameter(_sinusoids(config.steps, config.width), requires_grad=False)
        self.layers = nn.ModuleList(_Layer(config.width, config.heads) for _ in range(config.layers))

    @property
    def n_levels(self) -> int:
        """Features per step: after the convolutions, and after each block."""
        return len(self.layers) + 1

    def forward(self, mel: Tensor) -> Tensor:
        """All levels of whole segments.

        mel      [B, 80, 2 steps]           of `media.whisper_mel`; a shorter one is padded with zeros
        returns  [B, steps, levels, D]      50 steps a second
        """
        mel = F.pad(mel, (0, 2 * self.config.steps - mel.shape[-1]))
        x = F.gelu(self.conv2(F.gelu(self.conv1(mel))))
        x = x.permute(0, 2, 1) + self.positions
        levels = [x]
        for layer in self.layers:
            levels.append(layer(levels[-1]))
        return torch.stack(levels, dim=2)


class _Layer(nn.Module):
    """Self-attention and feed-forward, each after a norm."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.feed_norm = nn.LayerNorm(width)
        self.feed_in = nn.Linear(width, 4 * width)
        self.feed_out = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, n, D] -> [B, n, D]"""
        x = x + self.out(self._attend(self.attention_norm(x)))
        return x + self.feed_out(F.gelu(self.feed_in(self.feed_norm(x))))

    def _attend(self, x: Tensor) -> Tensor:
        # written out, not scaled_dot_product_attention: that scales once, and differs in the last bits
        q, k, v = (p(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for p in (self.query, self.key, self.value))
        scale = q.shape[-1] ** -0.25
        weights = ((q * scale) @ (k.transpose(-1, -2) * scale)).float().softmax(-1).to(q.dtype)
        return (weights @ v).transpose(1, 2).flatten(2)


def _sinusoids(steps: int, width: int) -> Tensor:
    """[steps, width]: sines, then cosines, of wavelengths from 2 pi to 20000 pi steps."""
    half = width // 2
    rates = torch.exp(-torch.log(torch.tensor(10_000.0)) / (half - 1) * torch.arange(half))
    angles = torch.arange(steps)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class SoundFeatures:
    """Features of a sound of any length, made where they are asked for: memory does not grow with the sound.

    mel      [80, N]          of the whole sound
    mode     one of MODES
    """

    def __init__(self, encoder: WhisperEncoder, mel: Tensor, mode: str = "overlapped") -> None:
        if mode not in MODES:
            raise ValueError(f"Unknown mode {mode!r}: expected one of {', '.join(MODES)}.")
        self.encoder, self.mel = encoder, mel
        self.n_steps = max(1, mel.shape[1] // 2)
        self.starts = _starts(self.n_steps, encoder.config.steps, mode)
        self._segments: dict[int, Tensor] = {}

    def block(self, index: int) -> Tensor:
        """[n, levels, D] of the steps from `starts[index]` to the next start, on the encoder's device."""
        stop = self.starts[index + 1] if index + 1 < len(self.starts) else self.n_steps
        return self._faded(index)[: stop - self.starts[index]]

    def frames(self, first: int, last: int) -> Tensor:
        """`frame_tokens` of frames `first` up to but not including `last`; frames beyond the sound repeat its end."""
        low, high = STEPS_PER_FRAME * first - STEPS_BEFORE, STEPS_PER_FRAME * (last - 1) + STEPS_AFTER - 1
        low, high = (min(max(step, 0), self.n_steps - 1) for step in (low, high))
        begin, end = (bisect_right(self.starts, step) - 1 for step in (low, high))
        steps = torch.cat([self.block(index) for index in range(begin, end + 1)])
        return frame_tokens(steps, first, last, self.starts[begin], self.n_steps)

    def _faded(self, index: int) -> Tensor:
        """A segment whose beginning was faded into from the end of the one before."""
        levels = self._segment(index)
        shared = self.starts[index - 1] + self.encoder.config.steps - self.starts[index] if index else 0
        if shared <= 0:
            return levels
        # only the last one, which ends with the sound, reaches back to where the one before was faded itself
        before = self._faded(index - 1) if index + 1 == len(self.starts) else self._segment(index - 1)
        return torch.cat([_fade(before[-shared:], levels[:shared]), levels[shared:]])

    def _segment(self, index: int) -> Tensor:
        """What the encoder makes of one segment; those around it stay in memory."""
        if index not in self._segments:
            start = self.starts[index]
            part = self.mel[:, 2 * start : 2 * (start + self.encoder.config.steps)].to(self.encoder.positions)
            with torch.inference_mode():
                levels = self.encoder(part[None])[0][: self.n_steps - start]
            near = {i: kept for i, kept in self._segments.items() if abs(i - index) < HELD_SEGMENTS}
            self._segments = {**near, index: levels}
        return self._segments[index]


def encode_sound(encoder: WhisperEncoder, mel: Tensor, mode: str = "overlapped") -> Iterator[Tensor]:
    """The blocks [n, levels, D] of `SoundFeatures`, in order: N // 2 steps in all, at least one."""
    features = SoundFeatures(encoder, mel, mode)
    yield from (features.block(index) for index in range(len(features.starts)))


def _starts(n_steps: int, size: int, mode: str) -> list[int]:
    """First step of every segment. The last overlapped one ends with the sound: it is full of it, not of padding."""
    if mode == "exact" or n_steps <= size:
        return list(range(0, n_steps, size))
    stride = size - round(OVERLAP * size)
    return [*range(0, n_steps - size, stride), n_steps - size]


def _fade(earlier: Tensor, later: Tensor) -> Tensor:
    """From one segment's view of the shared steps [n, levels, D] to the next one's, around their middle."""
    n = len(earlier)
    place = (torch.arange(n, device=earlier.device, dtype=torch.float32) + 0.5) / n - 0.5
    share = (place / FADE + 0.5).clamp(0, 1).to(earlier.dtype)[:, None, None]
    return torch.lerp(earlier, later, share)


def frame_tokens(steps: Tensor, first: int, last: int, offset: int = 0, n_steps: int | None = None) -> Tensor:
    """The features that frames `first` up to but not including `last` read.

    steps    [n, levels, D]  steps `offset` to offset + n of a sound of `n_steps` in all (default: offset + n)
    returns  [last - first, 10 levels, D]  beyond the ends of the sound its first and last step are repeated

    >>> frame_tokens(torch.arange(20.0).reshape(20, 1, 1), 0, 2)[..., 0].tolist()[1]
    [0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    """
    n_steps = offset + len(steps) if n_steps is None else n_steps
    frames = torch.arange(first, last, device=steps.device)[:, None] * STEPS_PER_FRAME
    reach = torch.arange(-STEPS_BEFORE, STEPS_AFTER, device=steps.device)
    return steps[(frames + reach).clamp(0, n_steps - 1) - offset].flatten(1, 2)


_FROM_OPENAI = {
    "positional_embedding": "positions", "blocks": "layers", "attn_ln": "attention_norm", "attn.query": "query",
    "attn.key": "key", "attn.value": "value", "attn.out": "out", "mlp_ln": "feed_norm", "mlp.0": "feed_in",
    "mlp.2": "feed_out",
}  # fmt: skip
_FROM_TRANSFORMERS = {
    "embed_positions.weight": "positions", "self_attn_layer_norm": "attention_norm", "self_attn.q_proj": "query",
    "self_attn.k_proj": "key", "self_attn.v_proj": "value", "self_attn.out_proj": "out", "fc1": "feed_in",
    "fc2": "feed_out", "final_layer_norm": "feed_norm",
}  # fmt: skip


def from_openai(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our weights from the `model_state_dict` of OpenAI's tiny.pt; decoder and final norm are left out."""
    return _renamed(state, _FROM_OPENAI, "ln_post")


def from_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our weights from those of a transformers folder (WhisperModel, WhisperForConditionalGeneration)."""
    return _renamed(state, _FROM_TRANSFORMERS, "layer_norm")


def _renamed(state: Mapping[str, Tensor], names: Mapping[str, str], final_norm: str) -> dict[str, Tensor]:
    renamed = {}
    for key, value in state.items():
        inner = key.removeprefix("model.")
        if not inner.startswith("encoder.") or inner.startswith(f"encoder.{final_norm}."):
            continue
        parts = f".{inner.removeprefix('encoder.')}."
        for theirs, ours in names.items():
            parts = parts.replace(f".{theirs}.", f".{ours}.")
        renamed[parts.strip(".")] = value
    return renamed
