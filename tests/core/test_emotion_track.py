"""Keyframed emotion: parsing, cross-fades, JSON, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from eadnet_core.emotion.code import emotion_code
from eadnet_core.emotion.track import EASES, EmotionTrack, Keyframe, with_intensity
from eadnet_core.errors import BadInput
from eadnet_core.taxonomy import EMOTION_CODE_SIZE

CODES = {
    "calm": emotion_code("neutral", 0.0),
    "furious": emotion_code("angry", 1.0),
    "glad": emotion_code("happy", 0.7),
}


def codes(texts: list[str]) -> np.ndarray:
    return np.stack([CODES[text] for text in texts])


def test_one_prompt_is_constant() -> None:
    track = EmotionTrack.parse("glad").read(codes).at([0.0, 3.0, 100.0])
    assert track.dtype == np.float32
    np.testing.assert_array_equal(track, np.tile(CODES["glad"], (3, 1)))


def test_cross_fade_is_linear_and_holds_outside() -> None:
    track = EmotionTrack.parse([(3.0, "furious"), (1.0, "calm")]).read(codes).at([0.0, 1.0, 1.5, 2.0, 3.0, 9.0])
    expected = [0, 0, 0.25, 0.5, 1, 1]
    for row, share in zip(track, expected, strict=True):
        np.testing.assert_allclose(row, (1 - share) * CODES["calm"] + share * CODES["furious"], atol=1e-6)


def test_given_intensity_replaces_the_words_intensity() -> None:
    row = EmotionTrack.parse([(0, "furious", 0.4)]).read(codes).at([0.0])[0]
    np.testing.assert_allclose(row, emotion_code("angry", 0.4), atol=1e-6)
    np.testing.assert_array_equal(with_intensity(CODES["calm"], 0.8), CODES["calm"])


def test_a_given_code_is_kept_and_words_are_read_once() -> None:
    seen: list[str] = []

    def reader(texts: list[str]) -> np.ndarray:
        seen.extend(texts)
        return codes(texts)

    given = tuple(map(float, emotion_code("sad", 0.5)))
    track = EmotionTrack.parse([Keyframe(0, "glad"), {"time_s": 1, "code": given}, (2, "glad")]).read(reader)
    assert seen == ["glad"]
    np.testing.assert_allclose(track.at([1.0])[0], given, atol=1e-6)


def test_json_round_trip() -> None:
    track = EmotionTrack.parse([(0, "calm"), (1.25, "furious", 0.5)])
    assert EmotionTrack.from_json(track.to_json()) == track
    assert EmotionTrack.from_json(track.read(codes).to_json()) == track.read(codes)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "at least one"),
        ([(0, "a"), (0, "b")], "at 0 s"),
        ([(-1, "a")], "0 or more"),
        ([(float("nan"), "a")], "0 or more"),
        ([(0, "a", 1.5)], r"0 \.\. 1"),
        ([(0, 3)], "expected words"),
        ([{"text": "a"}], "no 'time_s'"),
        ([{"time_s": 0, "words": "a"}], "'words'"),
        ([{"time_s": 0, "code": [1.0]}], "27"),
        (["furious"], "expected \\(time_s, text\\)"),
    ],
)
def test_bad_keyframes_say_what_is_wrong(words: list, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        EmotionTrack.parse(words)


@pytest.mark.parametrize("text", ["{", "3", '{"time_s": 0}'])
def test_bad_json_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        EmotionTrack.from_json(text)


def test_unread_words_have_no_codes() -> None:
    with pytest.raises(ValueError, match="read"):
        EmotionTrack.parse("glad").at([0.0])


def test_a_fade_takes_its_time_and_holds_before() -> None:
    given = [(0, "calm"), {"time_s": 4, "text": "furious", "fade_s": 1.0}]
    shares = EmotionTrack.parse(given).read(codes).at([0, 2.9, 3.25, 3.5, 4, 5])[:, 8]
    np.testing.assert_allclose(shares, [0, 0, 0.25, 0.5, 1, 1], atol=1e-6)
    at_once = EmotionTrack.parse([(0, "calm"), {"time_s": 4, "text": "furious", "fade_s": 0}]).read(codes)
    np.testing.assert_allclose(at_once.at([3.95, 4.0])[:, 8], [0, 1], atol=1e-6)


def test_a_fade_longer_than_the_gap_takes_the_gap() -> None:
    given = [(0, "calm"), {"time_s": 1, "text": "furious", "fade_s": 9}]
    np.testing.assert_allclose(EmotionTrack.parse(given).read(codes).at([0, 0.5])[:, 8], [0, 0.5], atol=1e-6)


def test_an_ease_starts_and_ends_softly_and_meets_in_the_middle() -> None:
    given = [(0, "calm"), {"time_s": 1, "text": "furious", "ease": "smooth"}]
    curve = EmotionTrack.parse(given).read(codes).at(np.linspace(0, 1, 11))[:, 8]
    assert curve[1] < 0.05 and curve[9] > 0.95 and curve[5] == pytest.approx(0.5)
    assert (np.diff(curve) > 0).all()


def test_each_ease_runs_as_it_says_and_those_of_older_tracks_to_the_bit_as_before() -> None:
    times = np.linspace(0, 1, 101)
    shares = {
        "linear": times,
        "smooth": times * times * (3.0 - 2.0 * times),
        "in": times * times,
        "out": 1.0 - (1.0 - times) ** 2,
    }
    assert tuple(shares) == EASES
    ends = [with_intensity(np.asarray(tuple(map(float, CODES[name]))), None) for name in ("calm", "furious")]
    for ease, share in shares.items():
        made = EmotionTrack.parse([(0, "calm"), {"time_s": 1, "text": "furious", "ease": ease}]).read(codes).at(times)
        expected = ((1.0 - share[:, None]) * ends[0] + share[:, None] * ends[1]).astype(np.float32)
        if ease in ("linear", "smooth"):
            np.testing.assert_array_equal(made, expected)
        np.testing.assert_allclose(made, expected, atol=1e-7)


@pytest.mark.parametrize(("name", "value"), [("ease", "bounce"), ("fade_s", -1), ("fade_s", "soon")])
def test_bad_fades_are_refused(name: str, value: object) -> None:
    with pytest.raises(BadInput, match=name):
        EmotionTrack.parse([{"time_s": 0, "text": "calm", name: value}])


def test_json_keeps_fades_and_eases() -> None:
    track = EmotionTrack.parse([(0, "calm"), {"time_s": 1, "text": "glad", "fade_s": 0.0, "ease": "smooth"}])
    assert EmotionTrack.from_json(track.to_json()) == track


@pytest.mark.parametrize("text", ["[" * 100_000, '[{"time_s": ' + "9" * 5000 + "}]"])
def test_json_that_python_will_not_read_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="is not JSON"):
        EmotionTrack.from_json(text)


@pytest.mark.parametrize("number", [10**400, 1e308, "1", None, [1.0]])
def test_numbers_that_no_code_or_time_has_are_refused(number: object) -> None:
    with pytest.raises(BadInput, match="finite numbers"):
        EmotionTrack.parse([{"time_s": 0.0, "code": [number] * EMOTION_CODE_SIZE}])
    if number != 1e308:
        with pytest.raises(BadInput, match="must be 0 or more"):
            EmotionTrack.parse([{"time_s": number}])
