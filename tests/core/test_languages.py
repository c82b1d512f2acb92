"""Words in other languages, words that nobody understands, and sentences that deny a feeling."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from eadnet_core.cli import main
from eadnet_core.emotion.code import emotion_code
from eadnet_core.emotion.director import by_rule
from eadnet_core.emotion.language import ENGLISH, LEXICONS, language_of
from eadnet_core.emotion.lexicon import denied_in, fold, lexicon, read_feelings
from eadnet_core.emotion.reader import MOST_READ, TextReader, note_of
from eadnet_core.emotion.script import parse_script
from eadnet_core.emotion.track import EmotionTrack
from eadnet_core.families.family import Model
from eadnet_core.generation.pipeline import prepare
from eadnet_core.request import GenerateOptions
from eadnet_core.taxonomy import EMOTIONS
from eadnet_core.weights.experts import load_reader

DATA = Path(__file__).parent.parent / "data"
LEAST_RIGHT = 0.85
"""Share of a language's phrases that must be read rightly for it to count as read."""


def rows(name: str) -> list[list[str]]:
    lines = (DATA / f"{name}.tsv").read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")][1:]


def is_right(label: str, expected: str) -> bool:
    return label != expected[1:] if expected.startswith("-") else label in expected.split("|")


@pytest.fixture(scope="module")
def reader() -> TextReader:
    return load_reader()


@pytest.mark.parametrize("half", ["tune", "held"])
@pytest.mark.parametrize("language", LEXICONS)
def test_each_language_is_read(reader: TextReader, language: str, half: str) -> None:
    phrases = [
        (expected, text) for name, part, expected, text in rows("language_phrases") if (name, part) == (language, half)
    ]
    assert len(phrases) == 10
    wrong = [
        f"{text!r}: {found.label} instead of {expected} {found.note}"
        for found, (expected, text) in zip(reader.read([text for _, text in phrases]), phrases, strict=True)
        if found.note or not is_right(found.label, expected)
    ]
    assert 1 - len(wrong) / len(phrases) >= LEAST_RIGHT, "\n".join(wrong)


@pytest.mark.parametrize("half", ["tune", "held"])
def test_denials_in_sentences(reader: TextReader, half: str) -> None:
    sentences = [(expected, text) for part, expected, text in rows("denials") if part == half]
    assert len(sentences) == 30
    wrong = [
        f"{text!r}: {found.label} instead of {expected}"
        for found, (expected, text) in zip(reader.read([text for _, text in sentences]), sentences, strict=True)
        if not is_right(found.label, expected)
    ]
    assert len(wrong) <= 2, "\n".join(wrong)


def test_not_calm_is_agitated(reader: TextReader) -> None:
    found = reader.read(["far from calm", "anything but calm", "not calm at all", "не спокоен", "no está tranquila"])
    assert all(emotion.label in ("angry", "fear") and emotion.intensity >= 0.5 for emotion in found)


def test_the_superlative_of_a_denied_comparative_is_strong(reader: TextReader) -> None:
    for emotion in reader.read(["couldn't be happier", "nothing makes her happier", "I've never been so happy"]):
        assert emotion.label == "happy" and emotion.intensity == 1.0


NONSENSE = [
    "asdf qwer",
    "qwertz",
    "x" * 500,
    "lorem ipsum dolor sit amet",
    "...",
    "?!",
    "123 456",
    "💾",
    "🐙",
    "🫠",
    "the asdf",
]
UNREAD = [
    "arrabbiata", "sono molto felice", "bardzo smutny", "çok kızgınım", "hon är glad", "cô ấy rất buồn",
    "velmi šťastný", "θυμωμένος", "สนุก", "כועס", "خوشحال", "щаслива", "dia sangat marah",
    "ik ben heel blij", "Guten Tag", "漢字だけ",
]  # fmt: skip


@pytest.mark.parametrize("text", [*NONSENSE, *UNREAD])
def test_what_is_not_understood_is_neutral_with_a_note(reader: TextReader, text: str) -> None:
    (emotion,) = reader.read([text])
    np.testing.assert_array_equal(emotion.code, emotion_code("neutral", 0.0))
    assert "was not understood" in emotion.note and "English" in emotion.note


@pytest.mark.parametrize(
    "text", ["", "  ", "quietly furious", "🙂🐙", ":)", "gobsmacked", "soooo haaappy", "déjà vu, scared"]
)
def test_what_is_understood_has_no_note(reader: TextReader, text: str) -> None:
    assert reader.read([text])[0].note == "" == note_of(text)


def test_a_text_too_long_to_be_read_says_so(reader: TextReader) -> None:
    (emotion,) = reader.read(["traurig " * MOST_READ])
    assert emotion.label == "sad" and f"first {MOST_READ}" in emotion.note


def test_english_stays_english() -> None:
    texts = [row[0] for name in ("emotion_prompts", "free_prompts") for row in rows(name)]
    assert [text for text in texts if language_of(text) != ENGLISH] == []


def test_english_words_that_other_languages_share_stay_english() -> None:
    assert {
        language_of(text) for text in ("pie", "content", "rage", "gift", "die", "sensible", "a calm man in a hat")
    } == {"en"}


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("she is 愤怒", "angry"),
        ("very 悲しい", "sad"),
        ("traurig 😢", "sad"),
        ("i am feliz", "happy"),
        ("she won't stop smiling 😊", "happy"),
        ("hapy 😡", "angry"),
    ],
)
def test_languages_and_pictograms_mix(reader: TextReader, text: str, label: str) -> None:
    assert reader.read([text])[0].label == label


@pytest.mark.parametrize(
    ("language", "weak", "strong"),
    [
        ("de", "ein bisschen traurig", "extrem traurig"),
        ("es", "un poco triste", "sumamente triste"),
        ("zh", "有点难过", "极其难过"),
        ("ja", "少し悲しい", "極めて悲しい"),
        ("ru", "немного грустно", "крайне грустно"),
        ("ar", "حزين قليلا", "حزين تماما"),
    ],
)
def test_words_of_degree(language: str, weak: str, strong: str) -> None:
    codes = [read_feelings(fold(text), language) for text in (weak, strong)]
    assert [float(code[8]) for code in codes if code is not None] == pytest.approx([0.4, 1.0])


def test_a_sign_counts_where_no_feeling_is_named() -> None:
    assert [label_of(text, "de") for text in ("sie weint", "sie weint vor Freude", "sie lacht voller Hass")] == [
        "sad",
        "happy",
        "angry",
    ]


def label_of(text: str, language: str) -> str:
    code = read_feelings(fold(text), language)
    assert code is not None
    return EMOTIONS[int(code[:8].argmax())]


@pytest.mark.parametrize(
    ("text", "denied"),
    [
        ("she is not happy about this", ["happy"]),
        ("neither sad nor angry", ["sad", "angry"]),
        ("not only angry but furious", []),
        ("cannot stop smiling", []),
        ("stop crying", ["crying"]),
        ("cannot sleep for fear", []),
        ("not tired, happy", []),
    ],
)
def test_what_a_denial_reaches(text: str, denied: list[str]) -> None:
    assert [text[f.start : f.stop] for f in denied_in(text, lexicon(ENGLISH).find(text))] == denied


@pytest.mark.parametrize("language", [*LEXICONS, ENGLISH])
def test_lexicons_are_whole(language: str) -> None:
    entries = lexicon(language).entries
    kinds = Counter(entry.kind for entry in entries)
    assert all(kinds[emotion] >= 8 for emotion in EMOTIONS) and kinds["deny"] >= 5
    assert set(kinds) <= {*EMOTIONS, *(f"{e}~" for e in EMOTIONS), "degree", "deny", "keep", "but", "stop", "word"}
    assert all(entry.word for entry in entries)
    assert {entry.value for entry in entries if entry.kind == "deny"} <= {"before", "after", "both"}
    twice = [w for w, n in Counter((e.word, e.is_stem) for e in entries if e.kind in EMOTIONS).items() if n > 1]
    assert not twice


def test_notes_reach_tracks_and_directors(reader: TextReader) -> None:
    track = EmotionTrack.parse([(0, "asdf qwer"), (1, "happy"), (2, "asdf qwer")])
    assert len(track.unread()) == 1 and track.read(reader.codes).unread() == []
    voice = np.ones(100, np.float32)
    direct = by_rule(reader.codes)
    assert "asdf" in direct(parse_script("[asdf qwer] Hello there."), voice).notes[0]
    assert direct(parse_script("I won! Qwer asdf zxcv."), voice).notes == (
        "1 of 2 sentences were not understood and are neutral.",
    )


def test_the_report_says_what_was_not_understood(
    tiny_model: Model, portrait: np.ndarray, voice_samples: np.ndarray
) -> None:
    options = GenerateOptions(steps=1, face_box=(0, 0, 128, 128))
    words = [(0, "asdf qwer"), (0.5, "traurig")]
    report = prepare(portrait, voice_samples, words, options, model=tiny_model, sample_rate=16_000).report
    assert [note for note in report.notes if "not understood" in note] == [note_of("asdf qwer")]
    assert [emotion["label"] for emotion in report.emotions] == ["neutral", "sad"]


def test_the_command_line_says_what_it_did_not_understand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = tmp_path / "words.txt"
    words.write_text("asdf qwer\n愤怒\n", encoding="utf-8")
    assert main(["emotion", "--file", str(words), "--json", str(tmp_path / "read.json")]) == 0
    unread, read = json.loads((tmp_path / "read.json").read_text(encoding="utf-8"))
    assert unread["label"] == "neutral" and "asdf qwer" in unread["note"]
    assert read["label"] == "angry" and "note" not in read
    assert "note: 'asdf qwer' was not understood" in capsys.readouterr().out
