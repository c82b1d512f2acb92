"""Phonemes to lip shapes: coverage, closures, silence, timing and agreement with the sound."""

from __future__ import annotations

import numpy as np
import pytest

from eadnet_core.corpus.speech import Phoneme, SpeechBank, synthesize
from eadnet_core.corpus.visemes import (
    VISEME_PARAMETERS,
    VISEMES,
    letters,
    mouth_opening,
    unmapped_letters,
    viseme_track,
)

JAW, WIDE, ROUND, PRESS, TUCK = (VISEME_PARAMETERS.index(n) for n in ("jaw", "wide", "round", "press", "tuck"))


def test_table_is_sound() -> None:
    assert len(VISEMES) == 22
    every = [letter for viseme in VISEMES.values() for letter in viseme.letters]
    assert len(every) == len(set(every))
    for viseme in VISEMES.values():
        assert len(viseme.target) == len(VISEME_PARAMETERS)
        assert all(0 <= value <= 1 for value in viseme.target) and viseme.dominance > 0


def test_silence_is_the_mouth_at_rest() -> None:
    for phonemes in ((), (Phoneme("", 0.0, 2.0),)):
        track = viseme_track(phonemes, 10)
        assert track.shape == (10, 9) and track.dtype == np.float32
        assert not track.any() and not mouth_opening(track).any()


def test_held_sounds_reach_their_targets() -> None:
    for name, viseme in VISEMES.items():
        if viseme.letters:
            track = viseme_track([Phoneme(viseme.letters[0], -1.0, 3.0)], 25)
            np.testing.assert_allclose(track, np.tile(viseme.target, (25, 1)), atol=1e-5, err_msg=name)


def test_stress_enlarges_vowels_only() -> None:
    plain, stressed = (viseme_track([Phoneme(ipa, -1.0, 3.0)], 5)[2] for ipa in ("ʌ", "ˈʌ"))
    np.testing.assert_allclose(stressed, 1.12 * plain, rtol=1e-5)
    plain, stressed = (viseme_track([Phoneme(ipa, -1.0, 3.0)], 5)[2] for ipa in ("t", "ˈt"))
    np.testing.assert_array_equal(stressed, plain)


def test_diphthongs_and_affricates_are_split_in_halves() -> None:
    assert letters("ˈaɪ") == "aɪ" and letters("t͡ʃ") == "tʃ" and letters("ɑ̃ː") == "ɑ"
    whole = viseme_track([Phoneme("aɪ", 0.0, 0.4)], 10)
    halves = viseme_track([Phoneme("a", 0.0, 0.2), Phoneme("ɪ", 0.2, 0.4)], 10)
    np.testing.assert_array_equal(whole, halves)
    assert whole[1, JAW] > 0.8 and whole[8, JAW] < 0.4


def test_lips_close_for_a_short_stop_between_vowels() -> None:
    phonemes = [Phoneme("a", -1.0, 0.3), Phoneme("b", 0.3, 0.36), Phoneme("a", 0.36, 1.0)]
    track = viseme_track(phonemes, 130, fps=200)
    middle = round((0.33 - 0.015) * 200)
    assert track[:, PRESS].argmax() == pytest.approx(middle, abs=2)
    assert track[middle, PRESS] > 0.9 and mouth_opening(track)[middle] < 0.02
    assert mouth_opening(track)[0] > 0.9 and mouth_opening(track)[-1] > 0.9


def test_rounding_spreads_further_than_a_velar() -> None:
    """Dominant shapes anticipate: 30 ms before "w" the lips are rounder than they are dropped 30 ms before "k"."""
    before = [viseme_track([Phoneme("ə", -1.0, 0.5), Phoneme(x, 0.5, 1.0)], 200, fps=200) for x in ("w", "k")]
    progress = [(t[:, i] - t[0, i]) / (t[-1, i] - t[0, i]) for t, i in zip(before, (ROUND, JAW), strict=True)]
    assert progress[0][91] > 1.5 * progress[1][91]


def test_a_window_sees_its_neighbours() -> None:
    phonemes = [Phoneme("a", 0.0, 0.5), Phoneme("m", 0.5, 0.6), Phoneme("a", 0.6, 1.2)]
    whole = viseme_track(phonemes, 30)
    cut = viseme_track([Phoneme(p.ipa, p.start_s - 0.48, p.end_s - 0.48) for p in phonemes], 8)
    np.testing.assert_allclose(cut, whole[12:20], atol=1e-5)


def test_unmapped_sounds_fall_to_neutral() -> None:
    odd = [Phoneme("ʘ", -1.0, 2.0)]
    assert unmapped_letters(odd) == {"ʘ"}
    np.testing.assert_allclose(viseme_track(odd, 3)[1], VISEMES["neutral"].target, atol=1e-5)


def test_every_sound_of_the_corpus_is_mapped() -> None:
    pytest.importorskip("espeakng_loader")
    from eadnet_core.corpus.sentences import FIXED_SENTENCES
    from eadnet_core.corpus.speech import VOICE_LANGUAGES

    for voice, language in VOICE_LANGUAGES.items():
        texts = FIXED_SENTENCES.get(language) or _english()
        assert unmapped_letters(synthesize(" ".join(texts), voice, rate=400).phonemes) == set(), voice


def _english() -> list[str]:
    from eadnet_core.corpus import sentences

    rng = np.random.default_rng(0)
    return [sentences.draw_sentence(rng, "en", split) for split in sentences.SPLITS for _ in range(25)]


def test_opening_follows_loudness_without_lag() -> None:
    pytest.importorskip("espeakng_loader")
    bank = SpeechBank(seed=3, n_utterances=60)
    pairs = []
    for seed in range(60):
        samples, phonemes, _ = bank.window(np.random.default_rng(seed), 100)
        loudness = np.sqrt(np.sqrt(np.mean(samples.reshape(100, 640) ** 2, axis=1)) / max(1e-6, np.abs(samples).max()))
        pairs.append((mouth_opening(viseme_track(phonemes, 100))[5:95], loudness))
    correlation = {
        lag: np.corrcoef(
            np.concatenate([opening for opening, _ in pairs]),
            np.concatenate([loudness[5 + lag : 95 + lag] for _, loudness in pairs]),
        )[0, 1]
        for lag in range(-4, 5)
    }
    assert max(correlation, key=lambda lag: correlation[lag]) == 0
    assert correlation[0] > 0.5
