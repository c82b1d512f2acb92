"""Who speaks: lines of a command, tables, turns, voices that are mixed, and who looks at whom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eadnet_core.emotion.track import EmotionTrack
from eadnet_core.errors import BadInput
from eadnet_core.generation.speakers import Speaker, parse_speakers, read_speakers
from eadnet_core.media.sound.audio import Audio, original_samples, read_audio, read_channels
from eadnet_core.media.sound.mix import Placed, heard, mixed
from eadnet_core.motion.attention import attention, turned_to
from eadnet_core.request import GenerateOptions


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "anna.wav").write_bytes(b"x")
    (tmp_path / "lines.txt").write_text("[glad] So you came.")
    (tmp_path / "anna.json").write_text('{"eadnet_style": 1, "traits": {"nods": {"mean": 2}}}')
    return tmp_path


def test_lines_and_tables_say_the_same(folder: Path) -> None:
    lines = [
        "name=anna face=left voice=anna.wav words='glad, at last' head=0.5 seed=7",
        "face=10,20,90,110 channel=right script=lines.txt has_speech_gate=off",
    ]
    table = "name,face,voice,channel,words,script,head,seed,has_speech_gate\n"
    table += 'anna,left,anna.wav,,"glad, at last",,0.5,7,\n,"10 20 90 110",,2,,lines.txt,,,no\n'
    (folder / "talk.csv").write_text(table)
    rows = '{"name": "anna", "face": "left", "voice": "anna.wav", "words": "glad, at last", "head": 0.5, "seed": 7}\n'
    rows += '{"face": [10, 20, 90, 110], "channel": 2, "script": "lines.txt", "has_speech_gate": false}'
    (folder / "talk.jsonl").write_text(rows)
    said = parse_speakers(lines, lambda name: folder / name)
    assert said == read_speakers(folder / "talk.csv") == read_speakers(folder / "talk.jsonl")
    assert [s.name for s in said] == ["anna", "2"] and said[1].face == (10.0, 20.0, 90.0, 110.0)
    options = [speaker.settings(GenerateOptions(seed=3, gaze=0.2), i) for i, speaker in enumerate(said)]
    assert [(o.seed, o.head, o.gaze) for o in options] == [(7, 0.5, 0.2), (4, 1.0, 0.2)]


def test_a_style_is_a_file_beside_the_table(folder: Path) -> None:
    (folder / "talk.csv").write_text("voice,style\nanna.wav,anna.json\nanna.wav,\n")
    first, second = read_speakers(folder / "talk.csv")
    assert first.style is not None and first.style.mean.tolist() == [0, 0, 2, 0, 0, 0, 0, 0]
    assert second.style is None


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["face=left voice=nobody.wav"], "Row 1: voice 'nobody.wav' cannot be used|is no file"),
        (["left"], "without a '='"),
        (["words='half"], "Close the quotes"),
        (["face=middle"], "give left, right, a number"),
        (["face=-1"], "give left, right, a number"),
        (["face=" + 400 * "9"], "give left, right, a number"),
        (["face=nan,0,1,1"], "give left, right, a number"),
        (["channel=0"], "give 1 .. 8, left or right"),
        (["channel=stereo"], "give its number from 1"),
        (["voice=anna.wav channel=1"], "has a voice and a channel"),
        (["start_s=2"], "no voice of its own"),
        (["voice=anna.wav start_s=nan"], "give seconds from 0 on"),
        (["words=sad script=lines.txt"], "Give one of them"),
        (["style=nobody.json"], "style 'nobody.json' cannot be used|is no file"),
        (["style=anna.wav"], "must end in .json"),
        (["colour=red"], "no column is called 'colour'"),
        (["background=locked"], "no column is called 'background'"),
        (["head=9"], "head is 9.0"),
        (["name=a", "name=A"], "name 'A' is that of row 1"),
        (["name=../out"], "holds what a file name may not"),
        ([], "no speakers"),
    ],
)
def test_a_bad_line_says_what_to_do(folder: Path, lines: list[str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        for number, speaker in enumerate(parse_speakers(lines, lambda name: folder / name)):
            speaker.settings(GenerateOptions(), number)


def test_who_starts_after_whom(folder: Path) -> None:
    speakers = parse_speakers(["voice=anna.wav", "voice=anna.wav start_s=after"], lambda name: folder / name)
    assert [speaker.start_s for speaker in speakers] == [0.0, None]


def test_turns_of_a_track() -> None:
    lines = [(0.0, "a"), (1.0, "b"), (1.0, "a"), (2.0, None), (3.0, "b"), (9.0, "a")]
    track = EmotionTrack.parse([{"time_s": t, "speaker": name, "text": f"{name} {t}"} for t, name in lines])
    assert track.speakers == ("a", "b")
    assert track.turns("a", 5.0) == [(0.0, 3.0)] and track.turns("b", 5.0) == [(1.0, 5.0)]
    assert [k.text for k in track.of("b").keyframes] == ["b 1.0", "None 2.0", "b 3.0"]
    assert track.of("c").keyframes[0].text == "None 2.0" and not track.of("a").speakers
    assert EmotionTrack.from_json(track.to_json()) == track
    with pytest.raises(BadInput, match="give a name"):
        EmotionTrack.parse([{"time_s": 0, "speaker": " "}])


def tone(seconds: float, rate_hz: int, n_channels: int = 1, level: float = 0.5) -> Audio:
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    return read_audio(np.repeat((level * np.sin(880 * t))[None].astype(np.float32), n_channels, 0), rate_hz)


def test_a_mix_is_the_sum_of_its_voices() -> None:
    one, two = tone(1.0, 16_000), tone(0.5, 48_000, 2)
    both = mixed([Placed(one), Placed(two, 0.75)])
    samples = np.concatenate(list(original_samples(both)), axis=1)
    assert samples.shape == (2, 60_000) and both.rate_hz == 48_000 and both.n_original == 60_000
    assert np.abs(samples[:, 48_000:] - two.original[:, 12_000:]).max() < 1e-6
    alone = np.concatenate(list(original_samples(mixed([Placed(one)], 1.25))), axis=1)
    assert np.array_equal(alone[0, :16_000], one.original[0]) and not alone[0, 16_000:].any()
    assert mixed([Placed(one)]) is one
    assert len(both.samples) == 20_000 and both.n_frames() == 31


def test_loud_voices_are_softened_together() -> None:
    loud = tone(0.5, 16_000, level=0.9)
    both = mixed([Placed(loud), Placed(loud)], 0.6)
    assert np.abs(next(original_samples(both))).max() == pytest.approx(1.0, abs=1e-3)
    assert "5.1 dB softer" in both.notes[0] and np.abs(both.samples).max() <= 1.0


def test_a_loop_begins_anew_to_the_end() -> None:
    one = tone(0.3, 16_000)
    samples = heard(Placed(one, 0.1, is_looped=True), 1.0)
    assert np.array_equal(samples[1_600:6_400], samples[6_400:11_200]) and samples[-100:].any()
    drawn = np.concatenate(list(original_samples(mixed([Placed(one, 0.1, is_looped=True)], 1.0))), axis=1)
    assert np.array_equal(drawn[0], samples)
    with pytest.raises(BadInput, match="too short to be looped"):
        heard(Placed(tone(0.05, 16_000), 0.0, is_looped=True), 1.0)


def test_channels_are_heard_alone() -> None:
    both = read_audio(np.stack([np.full(1_600, 0.5), np.zeros(1_600)]).astype(np.float32), 16_000)
    left, right = read_channels(both)
    assert (left.samples == 0.5).all() and not right.samples.any() and left.n_original == 1_600


def test_listeners_look_at_who_speaks() -> None:
    voices = np.zeros((3, 100))
    voices[0, :40], voices[2, 50:] = 1.0, 1.0
    turns = attention([(0.0, 0.0), (100.0, 0.0), (200.0, 0.0)], voices)
    middle = turns[1, :, 6]
    assert middle[30] < -0.5 and middle[90] > 0.5 and middle[45] < -0.5, "a pause changes nobody's eyes"
    assert not turns[0, :40].any() and turns[0, 90, 6] > 0.5
    assert np.abs(np.diff(middle)).max() < 0.45
    motion = np.full((100, 8), 0.3, np.float32)
    assert np.array_equal(turned_to(motion, turns[1], 0.0, 0.0)[:, :6], motion[:, :6])
    assert np.abs(turned_to(motion, 10 * turns[1])).max() <= 1.0


def test_a_speaker_has_options_of_a_face_alone() -> None:
    with pytest.raises(BadInput, match="is the same for all faces"):
        Speaker("anna", 0, options={"segment_frames": 5})
