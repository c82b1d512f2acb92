"""Scripts, transcripts and track files: where words become seconds, and what is refused."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eadnet_core.cli.emotion import read_script
from eadnet_core.emotion.script import Script, parse_script
from eadnet_core.emotion.track import EmotionTrack
from eadnet_core.emotion.track_file import SCHEMA, parse_track, read_track, track_schema
from eadnet_core.emotion.transcript import parse_transcript, read_transcript
from eadnet_core.emotion.words import Word, align, split_words, spread, syllables
from eadnet_core.errors import BadInput
from eadnet_core.generation.rows import read_rows
from eadnet_core.generation.speakers import read_speakers

VOICE = np.array([0] * 25 + [1] * 50 + [0] * 25 + [1] * 50)
"""A second of silence, two of speech, one of silence, two of speech."""
SRT = "1\n00:00:00,500 --> 00:00:01,500\n<i>Who is</i>\nthere?\n\n2\n00:01:02,000 --> 00:01:03,000\nNobody\n"
VTT = "WEBVTT\n\n00:00.500 --> 00:01.500 align:start\nWho is there?\n\n01:02.000 --> 01:03.000\nNobody\n"
WHISPER = {
    "text": "Who is there? Nobody",
    "segments": [
        {"start": 0.5, "end": 1.5, "text": " Who is there?"},
        {"start": 62.0, "end": 63.0, "text": "x", "words": [{"word": " Nobody", "start": 62.0, "end": 63.0}]},
    ],
}


def times(script: Script, voice: np.ndarray = VOICE) -> list[float]:
    return [round(k.time_s, 3) for k in script.track(voice).keyframes]


@pytest.mark.parametrize(
    "text", ["[calm Who is there?", "Who [is there?", "calm] Who is there?", "[sly] Who [is", "a [ b"]
)
def test_half_a_direction_is_not_spoken(text: str) -> None:
    with pytest.raises(BadInput, match=r"without its other half, near .*Write a direction as \[afraid\]"):
        parse_script(text)


@pytest.mark.parametrize("text", [r"A \[plain] word", r"A \[plain\] word"])
def test_a_plain_bracket_is_spoken(text: str) -> None:
    assert [line.text for line in parse_script(text).lines] == ["A [plain] word"]


def test_directions_become_keyframes_where_their_words_begin() -> None:
    script = parse_script("[calm] one two [furious: 0.8] three four")
    keyframes = script.track(VOICE).keyframes
    assert [(k.text, k.intensity) for k in keyframes] == [("calm", None), ("furious", 0.8)]
    assert times(script) == [0.0, 4.0]


def test_a_line_begins_where_the_voice_sets_in_if_little_speech_lies_between() -> None:
    gate = np.array([1] * 50 + [0] * 25 + [1] * 45)
    script = parse_script("[a] one two three four [b] five six seven four")
    assert spread(script.words, gate)[4].start_s == pytest.approx(1.69, abs=0.01)
    assert times(script, gate) == [0.0, 3.0]
    far = parse_script("[a] one [b] two three four")
    assert times(far, gate) == [0.0, pytest.approx(spread(far.words, gate)[1].start_s, abs=1e-3)]


def test_nothing_is_said_in_silence() -> None:
    for word in spread(["a"] * 37, VOICE):
        middle = VOICE[int((word.start_s + 1e-6) * 25)], VOICE[int((word.end_s - 1e-6) * 25)]
        assert middle == (1, 1)


@given(st.lists(st.sampled_from(["so", "emotion", "a", "hello", "table"]), min_size=1, max_size=40))
def test_spread_words_are_in_order_and_fill_the_voice(words: list[str]) -> None:
    timed = spread(words, VOICE)
    assert timed[0].start_s == 1.0 and timed[-1].end_s == pytest.approx(6.0)
    starts = [w.start_s for w in timed]
    assert starts == sorted(starts) and all(w.end_s > w.start_s for w in timed)


def test_a_sound_without_speech_takes_the_words_all_the_same() -> None:
    assert spread(["one", "two"], np.zeros(50))[1].start_s == 1.0


def test_a_direction_after_the_last_word_begins_when_that_is_said() -> None:
    script = parse_script("one two [smiles]")
    assert times(script) == [0.0, 6.0]
    assert script.track(VOICE).keyframes[1].text == "smiles"


def test_directions_without_words_between_are_one() -> None:
    lines = parse_script("[whispering] ... [afraid: 0.5] Who is \\[there]?").lines
    assert [(line.direction, line.intensity) for line in lines] == [("whispering, afraid", 0.5)]
    assert lines[0].text == "Who is [there]?"


def test_lines_never_share_a_time() -> None:
    script = parse_script("".join(f"[d{i}] w " for i in range(200)))
    assert (np.diff([k.time_s for k in script.track(np.ones(10)).keyframes]) >= 0.0399).all()


def test_a_transcript_gives_the_times() -> None:
    heard = tuple(Word(w, 10.0 + i, 10.5 + i) for i, w in enumerate(["who's", "there", "tell", "me"]))
    script = parse_script("[afraid] Who's there? [pleading] Please tell me!", heard)
    timed = script.timed(VOICE)
    assert [w.start_s for w in timed] == pytest.approx([10.0, 11.0, 11.5, 12.0, 13.0])
    assert times(script) == [0.0, 11.5]
    with pytest.raises(BadInput, match="Only 0 of the script's 2 words"):
        parse_script("[glad] Guten Morgen", heard).track(VOICE)


@given(st.lists(st.booleans(), min_size=12, max_size=12))
def test_missing_words_keep_the_order_of_time(is_heard: list[bool]) -> None:
    words = [f"w{i}" for i in range(12)]
    heard = [Word(w, 0.5 * i, 0.5 * i + 0.4) for i, w in enumerate(words) if is_heard[i]]
    if len(heard) < 4:
        return
    timed = align(words, heard)
    starts = [w.start_s for w in timed]
    assert starts == sorted(starts)
    assert all(t == h for t, h in zip((w for w, ok in zip(timed, is_heard, strict=True) if ok), heard, strict=True))


@pytest.mark.parametrize(
    "text", [SRT, VTT, json.dumps(WHISPER), json.dumps(WHISPER["segments"]), SRT.replace("\n", "\r\n")]
)
def test_transcripts_of_other_programs(text: str) -> None:
    words = parse_transcript(text)
    assert [split_words(w.text) for w in words] == [["Who"], ["is"], ["there"], ["Nobody"]]
    assert (words[0].start_s, words[2].end_s, words[3].start_s) == (0.5, pytest.approx(1.5), 62.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("3", "cannot be read"),
        ("[]", "no words"),
        ('[{"text": "a"}]', "KeyError"),
        ('[{"text": "a", "start_s": 2, "end_s": 1}]', "must go up"),
        ('[{"text": "a", "start_s": NaN, "end_s": 1}]', "must go up"),
        ("1 --> 2", "no words"),
    ],
)
def test_bad_transcripts_say_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        parse_transcript(text)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"words":' * 20_000,
        "[1]",
        '["x"]',
        '"x"',
        '[{"start": 0, "end": 1}]',
        f'[{{"text": "a", "start": {"9" * 400}, "end": 2}}]',
        f'[{{"text": "a", "start": {"9" * 5000}, "end": 2}}]',
        f"{'9' * 5000}:00:01,000 --> 00:00:02,000\nhi",
        "00:00:01,000 --> 00:00:02,000 " * 20_000,
        "1:" * 200_000 + "-->",
        "9" * 300_000 + "-->",
    ],
    ids=lambda text: f"{text[:12]} {len(text)}",
)
def test_hostile_transcripts_are_one_line_and_end(text: str) -> None:
    began = time.process_time()
    with pytest.raises(BadInput) as caught:
        parse_transcript(text)
    assert time.process_time() - began < 5 and len(str(caught.value)) < 500


@pytest.mark.parametrize("text", ["[" * 200_000, "9" * 5000])
def test_hostile_tracks_are_one_line(text: str) -> None:
    with pytest.raises(BadInput):
        EmotionTrack.from_json(text)


def test_a_missing_transcript_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no\.srt"):
        read_transcript(tmp_path / "no.srt")


@pytest.mark.parametrize(
    ("text", "message"),
    [("[happy]", "no words to say"), ("  ", "no words"), ("[sad: 1.5] no", r"0 \.\. 1"), ("a" * 100_001, "characters")],
)
def test_bad_scripts_say_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        parse_script(text)


def test_syllables_of_words() -> None:
    known = {"I": 1, "never": 2, "yesterday": 3, "apples": 2, "moves": 1, "the": 1, "rhythm": 1, "2026": 4, "爱": 1}
    assert {word: syllables(word) for word in known} == known


def test_a_track_file_has_times_words_fades_and_eases(tmp_path: Path) -> None:
    path = tmp_path / "track.json"
    first = {"time_s": 0, "text": "calm"}
    second = {"word": 1, "text": "furious", "intensity": 0.5, "fade_s": 0.2, "ease": "smooth"}
    spoken = [{"text": "oh", "start_s": 0.1, "end_s": 0.3}, {"text": "no", "start_s": 1.5, "end_s": 2.0}]
    path.write_text(json.dumps({"$schema": "track.schema.json", "keyframes": [first, second], "words": spoken}))
    track = read_track(path)
    assert [(k.time_s, k.intensity, k.fade_s, k.ease) for k in track.keyframes] == [
        (0.0, None, None, "linear"),
        (1.5, 0.5, 0.2, "smooth"),
    ]
    assert parse_track(track.to_json()) == track
    assert parse_track(json.dumps([second]), [Word("a", 0, 1), Word("b", 3, 4)]).keyframes[0].time_s == 3


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"text": "sad"}, "either time_s or word"),
        ({"time_s": 0, "word": 0}, "either time_s or word"),
        ({"time_s": -1}, r"keyframes\.0\.time_s"),
        ({"time_s": 0, "intensity": 2}, r"keyframes\.0\.intensity"),
        ({"time_s": 0, "ease": "bounce"}, "linear"),
        ({"time_s": 0, "colour": 1}, "colour"),
        ({"time_s": 0, "code": [0.0]}, "27"),
        ({"time_s": 0, "text": "x" * 2001}, "2000"),
        ({"word": 4}, "the times of 0 words"),
    ],
)
def test_a_bad_track_file_names_the_entry(entry: dict, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        parse_track(json.dumps({"keyframes": [entry]}))


def test_the_shipped_schema_is_that_of_the_code() -> None:
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == track_schema()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_text_files_are_read_in_what_their_mark_says(tmp_path: Path, encoding: str, newline: str) -> None:
    def written(text: str) -> Path:
        path = tmp_path / "given"
        path.write_bytes(text.replace("\n", newline).encode(encoding))
        return path

    assert [w.text for w in read_transcript(written(SRT))] == [w.text for w in parse_transcript(SRT)]
    assert [line.direction for line in read_script(written("[happy] café\n[sad] no\n"), None).lines] == ["happy", "sad"]
    assert read_track(written('[{"time_s": 0,\n "text": "café"}]')).keyframes[0].text == "café"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("[café] oh".encode("latin-1"), r"not text in UTF-8 \(byte 0xe9 at 4\)"),
        ("[happy] oh".encode("utf-16-le"), "zero byte"),
        (b"\x89PNG\r\n\x1a\n", "not text"),
        (b"\xff\xfea", "not text in UTF-16"),
        (b"a" * 16_000_001, "larger than 16 MB"),
    ],
)
def test_files_that_hold_no_text_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "given"
    path.write_bytes(data)
    for read in (read_transcript, read_track, lambda p: read_script(p, None)):
        with pytest.raises(BadInput, match=message):
            read(path)


@pytest.mark.parametrize("name", ["a\0b", "a" * 5000])
def test_names_that_no_file_can_have_are_refused(name: str) -> None:
    for read in (read_transcript, read_track, lambda p: read_script(p, None)):
        with pytest.raises(BadInput, match="cannot be read"):
            read(Path(name))


def test_of_a_file_that_is_not_there_the_path_is_asked_and_not_its_format(tmp_path: Path) -> None:
    readers = (read_transcript, read_track, read_rows, read_speakers, lambda p: read_script(p, None))
    for read in readers:
        with pytest.raises(BadInput) as caught:
            read(tmp_path / "missing.csv")
        said = str(caught.value)
        assert said.endswith("missing.csv' cannot be read (No such file or directory). Check its path and permissions.")


@pytest.mark.parametrize(
    "text",
    [
        "9" * 200_000 + " -->",
        "00:00:01,000 --> " * 50_000,
        SRT + "\n3\n00:02:04,000 --> 00:02:05,000\n" + "<" * 200_000,
        "0" * 5000 + ":00:01,000 --> 00:00:02,000\nhi\n",
        "[" * 100_000,
        '[{"words":' * 2000 + "[]" + "}]" * 2000,
        "[1, 2]",
        '["a"]',
        '[{"start": 0, "end": 1}]',
        '[{"text": "a", "start": 0, "end": 1' + "0" * 400 + "}]",
        '[{"text": "a", "start": 0, "end": ' + "9" * 5000 + "}]",
    ],
    ids=[f"case{i}" for i in range(11)],
)
@pytest.mark.timeout(20)
def test_hostile_transcripts_are_read_or_refused_in_no_time(text: str) -> None:
    with contextlib.suppress(BadInput):
        assert parse_transcript(text)


def test_cues_without_an_empty_line_between_keep_their_times() -> None:
    words = parse_transcript("1\n00:00:01,000 --> 00:00:02,000\nyes\n2\n00:00:03,000 --> 00:00:04,000\nno\n")
    assert [(w.text, w.start_s) for w in words] == [("yes", 1.0), ("no", 3.0)]


@pytest.mark.parametrize("direction", [" " * 90_000 + "x", "a:" + "1" * 90_000 + "x", ":" * 90_000])
@pytest.mark.timeout(20)
def test_a_long_direction_is_read_in_no_time(direction: str) -> None:
    assert parse_script(f"[{direction}] hi").lines[0].intensity is None


def test_an_intensity_is_the_number_after_the_last_colon() -> None:
    lines = parse_script("[sad: .5] a [to: her : 0.25 ] b [1:x] c [quiet: 1.] d").lines
    assert [(line.direction, line.intensity) for line in lines] == [
        ("sad", 0.5),
        ("to: her", 0.25),
        ("1:x", None),
        ("quiet: 1.", None),
    ]
