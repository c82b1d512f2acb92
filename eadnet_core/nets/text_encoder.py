"""The text encoder of the emotion reader: a small BERT, its weights in 8 bits and its vocabulary in the same file.

The shape is that of MiniLM (Wang et al. 2020, arXiv 2002.10957) as in all-MiniLM-L6-v2; docs/adr/0007-text-reader.md
says why we ship a compressed one. What comes out are the 26 raw numbers that `emotion.reader` turns into a code.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import TextReaderConfig
from ..emotion.reader import N_RAW
from ..taxonomy import EMOTIONS
from .label_order import LabelOrder

log = logging.getLogger(__name__)

Linear = Callable[[int, int], nn.Module]


class Int8Linear(nn.Module):
    """A linear layer whose weight is kept in 8 bits with one scale per output; computes in the input's dtype."""

    weight: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(n_out, n_in, dtype=torch.int8))
        self.register_buffer("scale", torch.zeros(n_out, 1))
        self.register_buffer("bias", torch.zeros(n_out))

    def forward(self, x: Tensor) -> Tensor:
        """[.., n_in] -> [.., n_out]"""
        return F.linear(x, self.weight.to(x.dtype) * self.scale.to(x.dtype), self.bias.to(x.dtype))


class Int8Embedding(nn.Module):
    """A table whose rows are kept in 8 bits with one scale each."""

    weight: Tensor
    scale: Tensor

    def __init__(self, n_rows: int, width: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(n_rows, width, dtype=torch.int8))
        self.register_buffer("scale", torch.zeros(n_rows, 1))

    def forward(self, index: Tensor) -> Tensor:
        """[..] row numbers -> [.., width]"""
        return self.weight[index].to(self.scale.dtype) * self.scale[index]


def quantise_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """(int8 [n, m], scale [n, 1]) with weight = int8 * scale; each row uses the whole range.

    >>> codes, scale = quantise_rows(torch.tensor([[0.5, -1.0]]))
    >>> codes.tolist()
    [[64, -127]]
    """
    scale = weight.abs().amax(dim=1, keepdim=True).clamp(min=1e-8) / 127
    return (weight / scale).round().to(torch.int8), scale


class Layer(nn.Module):
    """One BERT layer: self-attention, then a feed-forward net, each followed by LayerNorm."""

    def __init__(self, config: TextReaderConfig, linear: Linear) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.qkv = linear(width, 3 * width)
        self.out = linear(width, width)
        self.norm_attention = nn.LayerNorm(width, eps=1e-12)
        self.up = linear(width, config.hidden)
        self.down = linear(config.hidden, width)
        self.norm = nn.LayerNorm(width, eps=1e-12)

    def forward(self, x: Tensor, mask: Tensor, dropout: float = 0.0) -> Tensor:
        """x [B, S, D] -> [B, S, D]; mask [B, 1, 1, S] is true where there is a token."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
        attended = F.dropout(self.out(attended.transpose(1, 2).flatten(2)), dropout, dropout > 0)
        x = self.norm_attention(x + attended)
        return self.norm(x + F.dropout(self.down(F.gelu(self.up(x))), dropout, dropout > 0))


class TextEncoder(nn.Module):
    """Texts -> raw readings [n, 26]: label logits [8], intensity, log-odds of "describes a face", action units [16].

    The vocabulary is a buffer of bytes, so that one file holds all there is. `linear` is Int8Linear in use; training
    passes nn.Linear and stores the layers in 8 bits afterwards.
    """

    vocabulary: Tensor

    def __init__(self, config: TextReaderConfig, linear: Linear = Int8Linear) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("vocabulary", torch.zeros(config.vocabulary_bytes, dtype=torch.uint8))
        self.pieces = Int8Embedding(config.n_pieces, config.width)
        self.positions = nn.Parameter(torch.zeros(config.max_tokens, config.width))
        self.norm = nn.LayerNorm(config.width, eps=1e-12)
        self.layers = nn.ModuleList(Layer(config, linear) for _ in range(config.layers))
        self.label_order = LabelOrder(config.emotions)
        n_raw = N_RAW - len(EMOTIONS) + len(config.emotions)
        self.head = nn.Linear(len(config.pooled_layers) * config.width, n_raw)
        self._index: dict[str, int] = {}

    @torch.inference_mode()
    def forward(self, texts: Sequence[str]) -> np.ndarray:
        """Float32 [n, 26]; logs a warning for each text of more than max_tokens, whose end is not read."""
        return self.label_order.logits_from_net(self.head(self.features(texts))).float().cpu().numpy()

    @torch.inference_mode()
    def features(self, texts: Sequence[str]) -> Tensor:
        """What the head reads of n texts: the pooled layers side by side, [n, P D]."""
        tokens = [self.tokenize(text) for text in texts]
        found = self.head.weight.new_zeros(len(texts), self.head.in_features)
        order = sorted(range(len(texts)), key=lambda i: len(tokens[i]))
        for first in range(0, len(order), 64):
            rows = order[first : first + 64]
            hidden, mask = self.embed([tokens[i] for i in rows])
            states = [hidden]
            for layer in self.layers:
                states.append(layer(states[-1], mask[:, None, None]))
            found[rows] = torch.cat([pool(states[i], mask) for i in self.config.pooled_layers], dim=-1)
        return found

    def embed(self, tokens: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Token lists -> (input of the first layer [B, S, D], mask [B, S])."""
        longest = max(len(row) for row in tokens)
        device = self.positions.device
        index = torch.tensor([[*row, *[0] * (longest - len(row))] for row in tokens], device=device)
        mask = torch.arange(longest, device=device) < torch.tensor([len(row) for row in tokens], device=device)[:, None]
        return self.norm(self.pieces(index) + self.positions[:longest]), mask

    def tokenize(self, text: str) -> list[int]:
        """Piece numbers of a text, [CLS] and [SEP] included, at most max_tokens."""
        if not self._index:
            pieces = bytes(self.vocabulary.cpu().numpy()).decode("utf-8").split("\n")
            self._index = {piece: number for number, piece in enumerate(pieces)}
        limit = self.config.max_tokens - 2
        tokens = list(wordpieces(text, self._index))
        if len(tokens) > limit:
            log.warning("A text of %d word pieces: only its first %d are read.", len(tokens), limit)
        return [self._index["[CLS]"], *tokens[:limit], self._index["[SEP]"]]


def pool(hidden: Tensor, mask: Tensor) -> Tensor:
    """Mean over the tokens of each text, scaled to unit variance: [B, S, D], [B, S] -> [B, D]."""
    share = mask.unsqueeze(-1).to(hidden.dtype)
    mean = (hidden * share).sum(1) / share.sum(1)
    return F.normalize(mean, dim=-1) * hidden.shape[-1] ** 0.5


def wordpieces(text: str, index: dict[str, int]) -> Iterator[int]:
    """Piece numbers of BERT's uncased tokenizer: longest match first; a word that cannot be spelled is [UNK].

    >>> vocabulary = ["[UNK]", "un", "##happy", "!"]
    >>> list(wordpieces("Unhäppy! ?", {piece: number for number, piece in enumerate(vocabulary)}))
    [1, 2, 3, 0]
    """
    for word in _words(text):
        start, found = 0, []
        while start < len(word):
            stops = range(len(word), start, -1)
            prefix = "##" if start else ""
            stop = next((s for s in stops if prefix + word[start:s] in index), None)
            if stop is None:
                found = [index["[UNK]"]]
                break
            found.append(index[prefix + word[start:stop]])
            start = stop
        yield from found


def _words(text: str) -> Iterator[str]:
    """Words in lower case without accents; every punctuation mark or ideograph is a word; at most 100 letters each."""
    text = "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")
    for kind, run in groupby(text, key=_kind):
        if kind == "single":
            yield from run
        elif kind == "word":
            yield "".join(run)[:100]


def _kind(c: str) -> str:
    if c.isspace() or unicodedata.category(c) in ("Cc", "Cf"):
        return "space"
    is_mark = (c.isascii() and not c.isalnum()) or unicodedata.category(c).startswith("P")
    return "single" if is_mark or "\u3400" <= c <= "\u9fff" else "word"
