"""Captions and prompts: what they say follows the face, and the held-out wording is really held out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest

from eadnet_core.corpus import wording
from eadnet_core.corpus.captions import write_caption, write_prompts
from eadnet_core.taxonomy import ACTION_UNITS, EMOTION, EMOTIONS

LISTS = {name: value for name, value in vars(wording).items() if name.isupper() and isinstance(value, dict)}


def units_of(emotion: str, intensity: float) -> np.ndarray:
    return np.array([EMOTION[emotion].action_units.get(name, 0.0) for name in ACTION_UNITS]) * intensity


def phrases(value: object, split: str | None = None) -> Iterator[str]:
    """Every string under a nested value, of one split where the value has splits."""
    if isinstance(value, str):
        yield value.strip()
    elif isinstance(value, dict):
        for key, inner in value.items():
            if split is None or key not in wording.SPLITS or key == split:
                yield from phrases(inner, split)
    elif isinstance(value, tuple):
        for inner in value:
            yield from phrases(inner, split)


def captions(emotion: str, level: int, split: str = "train", n: int = 40) -> list[str]:
    rng = np.random.default_rng(7)
    intensity = (0.4, 0.7, 1.0)[level]
    return [write_caption(rng, emotion, level, units_of(emotion, intensity), split) for _ in range(n)]


@pytest.mark.parametrize("name", sorted(LISTS))
def test_held_out_wording_shares_no_phrase(name: str) -> None:
    train, heldout = set(phrases(LISTS[name], "train")), set(phrases(LISTS[name], "heldout"))
    bare = {"", "{mood}", "{scene}"}
    assert train and heldout
    assert not (train & heldout) - bare


@pytest.mark.parametrize(("emotion", "split"), [*product(EMOTIONS, wording.SPLITS)])
def test_caption_has_one_to_three_finished_sentences(emotion: str, split: str) -> None:
    for level in (-1,) if emotion == "neutral" else (0, 1, 2):
        for text in captions(emotion, level, split):
            assert 1 <= text.count(".") <= 3 and text.endswith(".")
            assert "{" not in text and "  " not in text and text[0].isupper()


def test_features_follow_the_action_units() -> None:
    rng = np.random.default_rng(0)
    unit = {name: np.eye(len(ACTION_UNITS))[i] for i, name in enumerate(ACTION_UNITS)}
    expected = {"AU12": ("smil", "curve"), "AU9": ("nose", "nostril"), "AU4": ("brow",), "AU26": ("jaw", "mouth")}
    for name, words in expected.items():
        texts = [write_caption(rng, "neutral", -1, unit[name], "train").lower() for _ in range(60)]
        share = np.mean([any(word in text for word in words) for text in texts])
        assert share > 0.6, f"{name} is described in {share:.0%} of the captions"


def test_absent_features_are_not_described() -> None:
    for text in captions("sad", 2):
        assert not any(word in text.lower() for word in ("smil", "nostril", "smirk", "grin"))


def test_degrees_follow_the_level() -> None:
    weak, strong = (" ".join(captions("angry", level)).lower() for level in (0, 2))
    slight = [word.strip() for word in wording.DEGREES["train"][0]]
    assert sum(weak.count(word) for word in slight) > 3 * sum(strong.count(word) for word in slight)


def test_change_over_the_clip_is_told() -> None:
    rng = np.random.default_rng(1)
    growing = np.linspace(0.1, 1.0, 12)[:, None] * units_of("happy", 1.0)
    texts = " ".join(write_caption(rng, "happy", 1, growing, "train").lower() for _ in range(60))
    grows, fades = (wording.CHANGES["train"][name] for name in ("grows", "fades"))
    assert any(phrase in texts for phrase in grows)
    assert not any(phrase in texts for phrase in fades)


def test_same_seed_same_words_and_many_different_ones() -> None:
    assert captions("fear", 1) == captions("fear", 1)
    assert len(set(captions("fear", 1, n=200))) > 150
    rng = np.random.default_rng(3)
    assert len({text for _ in range(200) for text in write_prompts(rng, "fear", 1, "train")}) > 60


def test_prompts_are_short_and_as_many_as_asked() -> None:
    rng = np.random.default_rng(4)
    for emotion, split in product(EMOTIONS, wording.SPLITS):
        prompts = write_prompts(rng, emotion, -1 if emotion == "neutral" else 2, split, n_prompts=5)
        assert len(prompts) == 5
        assert all(0 < len(prompt.split()) <= 20 and "{" not in prompt for prompt in prompts)


@pytest.mark.parametrize("bad", [("joy", 1, "train"), ("happy", 3, "train"), ("happy", 1, "test")])
def test_unknown_names_are_refused(bad: tuple[str, int, str]) -> None:
    with pytest.raises(ValueError, match="no wording"):
        write_prompts(np.random.default_rng(0), *bad)
