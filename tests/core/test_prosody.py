"""A voice alone: louder, quicker, higher, brighter and livelier is more aroused, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from eadnet_core.emotion.code import AROUSAL, VALENCE, describe, emotion_code
from eadnet_core.emotion.prosody import (
    LARGEST_VALENCE,
    USUAL,
    Measures,
    VoiceReading,
    mean_reading,
    measure,
    mixed,
    point_of,
    read_voice,
    voice_codes,
    with_voice,
)
from eadnet_core.emotion.track import EmotionTrack
from eadnet_core.media.sound.audio import speech_gate

RATE = 16_000


def speak(
    seconds: float = 6.0,
    level: float = 0.1,
    pitch_hz: float = 150.0,
    swing_semitones: float = 3.0,
    syllables_hz: float = 4.0,
    slope_db: float = -9.0,
) -> np.ndarray:
    """A buzz with harmonics that fall by `slope_db` an octave, whose pitch swings and whose loudness has syllables."""
    t = np.arange(int(seconds * RATE)) / RATE
    pitch = pitch_hz * 2 ** (swing_semitones / 12 * np.sin(2 * np.pi * 0.7 * t))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    n = np.arange(1, int(7000 / pitch.max()))
    buzz = sum(10 ** (slope_db * np.log2(k) / 20) * np.sin(k * phase) for k in n)
    loudness = np.sin(np.pi * syllables_hz * t) ** 2
    sound = buzz * loudness
    return (level * sound / np.sqrt(np.square(sound).mean())).astype(np.float32)


def heard(**settings: float) -> VoiceReading:
    samples = speak(**settings)
    reading = mean_reading(read_voice(samples, np.ones(len(samples) // 640)))
    assert reading is not None
    return reading


def test_what_is_measured_is_what_was_made() -> None:
    measures = measure(speak(), np.ones(150))
    assert measures is not None
    assert measures.level_db == pytest.approx(-20, abs=2.0)
    assert 100 * 2**measures.pitch_octaves == pytest.approx(150, rel=0.03)
    assert measures.range_semitones == pytest.approx(3 * np.sin(0.34 * np.pi), abs=0.5)
    assert measures.rate_hz == pytest.approx(4.0, abs=0.3)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("level", (0.01, 0.03, 0.1, 0.3)),
        ("pitch_hz", (100.0, 140.0, 200.0, 280.0)),
        ("swing_semitones", (0.5, 2.0, 4.0, 6.0)),
        ("syllables_hz", (2.0, 3.0, 4.5, 6.0)),
        ("slope_db", (-9.0, -7.0, -5.0, -3.0)),
    ],
)
def test_arousal_rises_with_each_measure(name: str, values: Sequence[float]) -> None:
    arousal = [heard(**{name: value}).arousal for value in values]
    assert all(b > a + 0.03 for a, b in pairwise(arousal)), arousal


def test_valence_is_small_and_follows_the_melody() -> None:
    flat, lively = heard(swing_semitones=0.5), heard(swing_semitones=5.0)
    assert -LARGEST_VALENCE < flat.valence < lively.valence < LARGEST_VALENCE


def test_a_usual_voice_leaves_the_face_calm() -> None:
    reading = VoiceReading(0.0, *point_of(USUAL), USUAL)
    assert describe(reading.code).label == "neutral" and describe(reading.code).intensity < 0.01


def test_an_aroused_voice_moves_the_face_more_than_a_calm_one() -> None:
    calm, excited = heard(), heard(level=0.3, pitch_hz=260, swing_semitones=6.0, syllables_hz=6.0, slope_db=-6.0)
    assert describe(excited.code).intensity > describe(calm.code).intensity + 0.3
    assert excited.code[[VALENCE, AROUSAL]].tolist() == pytest.approx([excited.valence, excited.arousal])


@pytest.mark.parametrize(
    "samples", [np.zeros(32_000, np.float32), speak(0.3), np.zeros(0, np.float32), np.full(32_000, 0.5, np.float32)]
)
def test_too_little_to_hear_is_no_reading(samples: np.ndarray) -> None:
    assert read_voice(samples, np.ones(max(1, len(samples) // 640))) == ()


def test_noise_has_no_pitch_and_no_reading() -> None:
    noise = (0.1 * np.random.default_rng(0).normal(size=64_000)).astype(np.float32)
    assert read_voice(noise, np.ones(100)) == ()


def test_a_dc_offset_changes_no_measure() -> None:
    plain, shifted = measure(speak(), np.ones(150)), measure(speak() + np.float32(0.2), np.ones(150))
    assert plain is not None and shifted is not None
    assert shifted.level_db == pytest.approx(plain.level_db, abs=0.1)


def test_what_is_outside_the_gate_is_not_heard() -> None:
    gate = np.repeat([1.0, 0.0], 75)
    with_noise, with_silence = (
        np.concatenate([speak(3.0), rest]) for rest in (3 * speak(3.0, pitch_hz=300), 0 * speak(3.0))
    )
    measures = [measure(samples.astype(np.float32), gate) for samples in (with_noise, with_silence)]
    assert measures[0] is not None and measures[1] is not None
    assert measures[0].pitch_octaves == pytest.approx(measures[1].pitch_octaves, abs=0.02)


def test_a_change_of_mood_is_followed() -> None:
    lively = speak(9.0, level=0.3, pitch_hz=250, swing_semitones=6.0, syllables_hz=6.0)
    samples = np.concatenate([speak(9.0), lively])
    readings = read_voice(samples, np.ones(len(samples) // 640))
    assert [r.time_s for r in readings] == [3.0, 9.0, 15.0]
    assert readings[2].arousal > readings[0].arousal + 0.3
    codes = voice_codes(readings, np.array([0.0, 3.0, 6.0, 15.0, 18.0]))
    assert codes.shape == (5, 27) and codes.dtype == np.float32
    np.testing.assert_allclose(codes[2], (codes[1] + readings[1].code) / 2, atol=1e-6)
    np.testing.assert_array_equal(codes[0], codes[1])


def test_words_and_voice_are_mixed_by_weight() -> None:
    words, voice = emotion_code("sad", 1.0), emotion_code("happy", 1.0)
    np.testing.assert_array_equal(mixed(words, voice, 0.0), words)
    np.testing.assert_array_equal(mixed(words, voice, 1.0), voice)
    assert mixed(words, voice, 0.25)[VALENCE] == pytest.approx(0.75 * words[VALENCE] + 0.25 * voice[VALENCE])


def test_auto_keyframes_follow_the_voice_until_the_next_one() -> None:
    calm, lively = (VoiceReading(t, 0.0, a, USUAL) for t, a in ((3.0, 0.0), (9.0, 0.8)))
    track = EmotionTrack.parse([(0, "sad"), (2, "auto"), (8, "angry"), (10, "Auto")])
    track = with_voice(track, (calm, lively)).read(lambda texts: np.stack([emotion_code(t, 1.0) for t in texts]))
    assert [(k.time_s, k.text) for k in track.keyframes] == [
        (0, "sad"),
        (2, "auto"),
        (3, "auto"),
        (8, "angry"),
        (10, "Auto"),
    ]
    assert track.at([2.0, 3.0, 10.0])[:, AROUSAL].tolist() == pytest.approx([0.0, 0.0, 0.8])
    words = EmotionTrack.parse("happy")
    assert with_voice(words, (calm, lively)) is words


def test_the_point_stays_on_the_pad() -> None:
    loudest = Measures(level_db=0.0, pitch_octaves=3.0, range_semitones=99.0, rate_hz=20.0, tilt_db=40.0)
    valence, arousal = point_of(loudest)
    assert -1.0 <= valence <= 1.0 and 0.9 < arousal <= 1.0


@pytest.mark.parametrize(
    ("name", "values"),
    [("rate", (120, 175, 230)), ("pitch", (20, 50, 80)), ("range_", (0, 50, 99)), ("volume", (40, 100, 180))],
)
def test_a_spoken_sentence_is_heard_the_same_way(name: str, values: Sequence[int]) -> None:
    """The synthesiser of the corpus, where it is installed, at three settings of each of its knobs."""
    pytest.importorskip("espeakng_loader", reason="the synthesiser comes with the train extra")
    from eadnet_core.corpus.speech import synthesize

    arousal = []
    for value in values:
        text = "I never thought that we would see each other again, and yet here you are, right in front of me."
        samples = synthesize(text, "en-us+f2", **{name: value}).samples
        reading = mean_reading(read_voice(samples, speech_gate(samples, round(len(samples) / 640))))
        assert reading is not None
        arousal.append(reading.arousal)
    assert arousal[0] < arousal[1] < arousal[2]
