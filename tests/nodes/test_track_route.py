"""The track editor's routes over HTTP: which feelings its keyframes ask for, a transcript's words, and the face."""

from __future__ import annotations

import io
import json
import time
from typing import Any

import numpy as np
import pytest
from PIL import Image

CODE = [0.0] * 27


def ask(server: Any, keyframes: Any, **more: Any) -> tuple[int, Any]:
    time.sleep(0.1)  # stays below the rate that is refused as such
    return server.request("/eadnet/track", {"keyframes": keyframes, **more})


def test_keyframes_are_read_in_their_order(server: Any) -> None:
    sad = [*CODE[:2], 1.0, *CODE[3:8], 0.5, *CODE[9:]]
    status, answer = ask(server, [{"text": "furious"}, {"code": sad}, {"text": "asdf qwer"}, {"text": ""}])
    assert status == 200
    furious, given, unread, empty = answer["readings"]
    assert furious["label"] == "angry" and furious["shares"] == {"angry": 1.0} and 0 < furious["intensity"] <= 1.5
    assert given["shares"] == {"sad": 1.0} and given["intensity"] == 0.5
    assert "not understood" in unread["note"]
    assert empty["shares"] == {"neutral": 1.0} and "note" not in empty
    assert ask(server, []) == (200, {"readings": [], "words": []})


def test_nothing_but_words_and_codes_is_looked_at(server: Any) -> None:
    status, answer = ask(server, [{"text": "sad", "reference": {"path": "/etc/passwd"}, "intensity": 9, "time": -1}])
    assert status == 200 and answer["readings"][0]["label"] == "sad"


def test_the_words_of_a_transcript_come_with_their_times(server: Any) -> None:
    said = "1\n00:00:01,000 --> 00:00:02,500\nHello there\n"
    assert ask(server, [], transcript=said)[1]["words"] == [["Hello", 1.0, 2.0], ["there", 2.0, 2.5]]
    status, answer = ask(server, [], transcript="no times in it")
    assert status == 400 and ".srt" in answer["error"]
    assert ask(server, [], transcript=5)[0] == 400
    long = json.dumps([{"text": "word", "start_s": i, "end_s": i + 1} for i in range(5000)])
    assert 64_000 < len(long) < 500_000 and len(ask(server, [], transcript=long)[1]["words"]) == 5000
    assert ask(server, [], transcript=" " * 600_000)[0] == 400


@pytest.mark.parametrize(
    "keyframes", [None, {}, "sad", [1], [{"text": 5}], [{"code": [1.0]}], [{"code": "x" * 27}], [{"text": "a"}] * 201]
)
def test_what_is_no_keyframe_is_refused(server: Any, keyframes: Any) -> None:
    status, answer = ask(server, keyframes)
    assert status == 400 and 20 < len(answer["error"]) < 300


def test_too_many_at_once_are_refused(server: Any) -> None:
    time.sleep(1.1)
    answers = [server.request("/eadnet/track", {"keyframes": []})[0] for _ in range(13)]
    assert answers[0] == 200 and 429 in answers
    time.sleep(1.1)


TRACK = '[{"time": 1, "text": "happy", "intensity": 1}, {"time": 3, "text": "angry", "fade_s": 1, "ease": "in"}]'


def face(server: Any, time_s: float, **values: Any) -> tuple[int, Any]:
    time.sleep(0.03)  # stays below the rate that is refused as such
    asked = {"keyframes": TRACK, "cross_fade": 0.5, "time": time_s, "size": 256, **values}
    return server.request("/eadnet/track_face", asked)


def pixels(answer: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(answer))).astype(int)


def test_the_face_is_held_and_fades_as_the_track_does(server: Any) -> None:
    server.request("/eadnet/samples", {})
    times = (0.0, 1.0, 2.0, 2.5, 3.0, 9.0)
    answers = [face(server, t, image="eadnet_portrait.png") for t in times]
    assert all(status == 200 for status, _ in answers)
    first, begun, held, fading, there, after = (pixels(answer) for _, answer in answers)
    assert first.shape == (256, 256, 3)
    assert np.array_equal(first, begun) and np.array_equal(begun, held) and np.array_equal(there, after)
    apart = [np.abs(picture - held).mean() for picture in (fading, there)]
    assert 0 < apart[0] < apart[1]


def test_nobody_with_a_code_for_no_feeling_moves_but_to_rest(server: Any) -> None:
    rest = json.dumps([{"time": 0, "code": [0.0] * 27}])
    calm = json.dumps([{"time": 0, "text": ""}])
    assert face(server, 0, keyframes=rest)[1] == face(server, 5, keyframes=calm)[1]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"image": "../../../etc/passwd"}, 400),
        ({"image": "a.png", "type": "output"}, 400),
        ({"image": "not_there.png"}, 404),
        ({"size": 4096}, 400),
        ({"time": -1}, 400),
        ({"time": "soon"}, 400),
        ({"cross_fade": 1e9}, 400),
        ({"keyframes": "[]"}, 400),
        ({"keyframes": [1]}, 400),
        ({"keyframes": '[{"time": 0, "reference": {"path": "/etc/passwd"}}]'}, 400),
        ({"keyframes": '[{"time": 0, "text": "a"}, {"time": 0, "text": "b"}]'}, 400),
    ],
)
def test_the_face_is_refused_for_what_it_must(server: Any, values: dict[str, Any], expected: int) -> None:
    status, answer = face(server, **{"time_s": values.pop("time", 0), **values})
    assert status == expected and len(answer["error"]) > 20


def test_a_face_is_answered_soon(server: Any, record_property: Any) -> None:
    """Bounds are loose, for busy machines; what was measured is in the help page."""
    time.sleep(1.1)
    seconds = []
    for i in range(20):
        began = time.perf_counter()
        assert face(server, 2 + i / 20)[0] == 200
        seconds.append(time.perf_counter() - began)
    record_property("median_s", sorted(seconds)[10])
    assert sorted(seconds)[10] < 1.0


def test_the_face_turns_looks_and_blinks_as_a_motion_says(server: Any) -> None:
    rest, turned, shut = (pixels(face(server, 0.0, turned=t)[1]) for t in ({}, {"yaw": 12, "pitch": -5}, {"blink": 1}))
    assert np.abs(rest - turned).mean() > 0.3 and not np.array_equal(rest, shut)
    far, most = (pixels(face(server, 0.0, turned={"yaw": yaw})[1]) for yaw in (170, 19))
    assert np.array_equal(far, most)


@pytest.mark.parametrize("turned", [[1], {"ears": 1}, {"yaw": "left"}, {"yaw": 1e9}, {"blink": None}])
def test_a_motion_that_cannot_be_is_refused(server: Any, turned: Any) -> None:
    status, answer = face(server, 0.0, turned=turned)
    assert status == 400 and 20 < len(answer["error"]) < 300
