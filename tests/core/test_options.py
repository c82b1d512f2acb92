"""Options are declared once: what is said of each is whole, and the page made from it is not stale."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from eadnet_core.cli.generate import DUB, GENERATE
from eadnet_core.cli.options import options_page
from eadnet_core.config import SAMPLING
from eadnet_core.errors import BadInput
from eadnet_core.request import OPTIONS, GenerateOptions

PAGE = Path(__file__).parents[2] / "docs" / "options.md"


def test_every_field_is_an_option_with_its_default() -> None:
    assert {name: option.default for name, option in OPTIONS.items()} == vars(GenerateOptions())
    assert list(OPTIONS) == [f.name for f in fields(GenerateOptions)]


@pytest.mark.parametrize("name", OPTIONS)
def test_what_is_said_of_an_option_is_whole(name: str) -> None:
    option = OPTIONS[name]
    assert re.fullmatch(r"[A-Z0-9].*\.", option.text), "sentences"
    assert re.fullmatch(r"[a-z0-9].*[^.]", option.line), "a line of the help"
    assert "efault" not in option.text + option.line, "the default is written by who shows it"
    is_number = isinstance(option.default, (int, float)) and not isinstance(option.default, bool)
    assert bool(option.within) == (is_number or option.is_own)
    assert bool(option.choices) == isinstance(option.default, str)


@pytest.mark.parametrize("name", [name for name, option in OPTIONS.items() if option.within])
def test_a_number_is_taken_to_both_ends_of_its_range(name: str) -> None:
    low, high = OPTIONS[name].within or (0, 0)
    more = {"sync_high": 1.0} if name == "sync_low" else {"sync_low": 0.0}
    for value in (low, high, *OPTIONS[name].own.values()):
        assert getattr(GenerateOptions(**{**more, name: value}), name) == value
    for value in (low - 1, high + 1, float("nan"), True, "1", None):
        if value is None and OPTIONS[name].is_own:
            continue
        with pytest.raises(BadInput, match=rf"^{name} is .*; give a (whole )?number in {low} \.\. {high}\.$"):
            GenerateOptions(**{**more, name: value})


def test_a_word_is_one_of_its_choices() -> None:
    for name in [name for name, option in OPTIONS.items() if option.choices]:
        with pytest.raises(BadInput, match=f"^{name} is 'other'; give one of {', '.join(OPTIONS[name].choices)}."):
            GenerateOptions(**{name: "other"})


def test_the_models_own_take_the_place_of_none() -> None:
    own = GenerateOptions().of(SAMPLING["base"])
    for name in [name for name, option in OPTIONS.items() if option.is_own]:
        assert getattr(own, name) == OPTIONS[name].own["base"]


def test_commands_take_options_that_exist_once() -> None:
    for taken in (GENERATE, DUB):
        assert len(set(taken)) == len(taken)
        assert set(taken) <= OPTIONS.keys()


def test_the_page_of_options_is_not_stale() -> None:
    made = "python -m eadnet_core.cli.options > docs/options.md"
    assert PAGE.read_text(encoding="utf-8") == options_page(), f"docs/options.md is stale; renew it: {made}"
