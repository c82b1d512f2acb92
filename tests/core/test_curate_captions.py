"""Captions: what speaks of a person, what only looks like it, and lists that are sound."""

from __future__ import annotations

import pytest

from eadnet_core.curation.captions import LANGUAGES, keywords
from eadnet_core.errors import BadInput


def words(caption: str, **options: bool) -> list[str]:
    return [word.word for word in keywords(caption, **options)]


@pytest.mark.parametrize(
    ("caption", "kind"),
    [
        ("Portrait of a smiling woman", "person"),
        ("two wives", "person"),
        ("The president of the chess club", "profession"),
        ("fashion designers at work", "profession"),
        ("East Asian with glasses", "ethnicity"),
        ("A Nigerian in traditional clothes", "nationality"),
        ("Margaret Thatcher in 1983", "name"),
        ("Rose Wilson, close-up", "name"),
        ("Will Smith", "name"),
        ("Mr. Frank and Sons", "name"),
        ("eine junge Frau am Fenster", "person"),
        ("una actriz", "profession"),
        ("портрет девушки", "person"),
        ("一位老师在教室里", "profession"),
        ("窓辺の女性", "person"),
        ("웃는 여자", "person"),
    ],
)
def test_captions_of_people(caption: str, kind: str) -> None:
    assert kind in {word.kind for word in keywords(caption)}


@pytest.mark.parametrize(
    "caption",
    [
        "a rose called Margaret",
        "Margaret River wine",
        "St. James Church",
        "Hurricane Katrina from space",
        "Victoria sponge cake",
        "Chinese blue porcelain vase",
        "German shepherd",
        "Men's leather shoes",
        "King Charles spaniel",
        "a couple of apples",
        "nurse shark",
        "Grace and beauty of the sea",
        "In June the roses bloom",
    ],
)
def test_traps_are_told_from_people(caption: str) -> None:
    """The plain rule of the paper keeps each of them, or it would be no trap."""
    assert words(caption) == []
    if caption.split()[0] not in ("Grace", "In"):
        assert words(caption, has_guards=False)


def test_a_capital_tells_a_name_and_some_nations() -> None:
    assert words("jack of all trades") == words("nail polish") == []
    assert words("a Polish plumber") == ["Polish", "plumber"]


def test_a_comma_parts_a_keyword_from_a_thing() -> None:
    assert words("doctor, fish") == ["doctor"] and words("doctor fish") == []


def test_languages_are_those_that_are_asked_for() -> None:
    assert keywords("eine junge Frau", ["en"]) == []
    with pytest.raises(BadInput, match="language 'tlh'"):
        keywords("x", ["tlh"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_words(language: str) -> None:
    caption = {"ja": "女性", "ko": "여자", "zh": "女人", "ru": "женщина", "de": "Frau", "nl": "vrouw"}
    caption |= {"en": "woman", "fr": "femme", "es": "mujer", "it": "donna", "pt": "mulher"}
    assert [word.kind for word in keywords(caption[language], [language])] == ["person"]


def test_odd_captions_are_no_error() -> None:
    assert keywords("") == keywords("!!! ... 123 \x00 \U0001f600") == []
    assert words("’s woman’s") == []
