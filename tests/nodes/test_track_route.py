"""The track editor's route over HTTP: which feelings its keyframes ask for, and a transcript's words."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

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
