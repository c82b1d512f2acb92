"""Training speech: exact times, determinism, splits, windows, sentences and microphone noise."""

from __future__ import annotations

import sys
from itertools import pairwise

import numpy as np
import pytest

from eadnet_core.corpus import noise, sentences, speech
from eadnet_core.corpus.speech import SpeechBank, synthesize
from eadnet_core.errors import BadInput
from eadnet_core.media.sound.audio import SAMPLES_PER_FRAME

pytest.importorskip("espeakng_loader", reason="training speech needs the package espeakng_loader of the train extra")


@pytest.fixture(scope="module")
def bank() -> SpeechBank:
    return SpeechBank(seed=7, n_utterances=60, split="train")


def test_synthesis_depends_on_its_arguments_alone() -> None:
    first = synthesize("Hello there, my boy.", "en-us+f2", rate=180)
    synthesize("Das ist etwas ganz anderes.", "de+m3", pitch=70)
    again = synthesize("Hello there, my boy.", "en-us+f2", rate=180)
    np.testing.assert_array_equal(first.samples, again.samples)
    assert first.phonemes == again.phonemes
    assert synthesize("Hello there, my boy.", "en-us+f2", rate=120).samples.size > 1.2 * first.samples.size


def test_phonemes_tile_the_utterance_in_order() -> None:
    utterance = synthesize("My boy will buy cheese.", "en-us")
    assert "".join(p.ipa for p in utterance.phonemes).replace("ˈ", "").startswith("ma")
    assert utterance.samples.dtype == np.float32 and np.abs(utterance.samples).max() <= 1.0
    for before, after in pairwise(utterance.phonemes):
        assert before.end_s == after.start_s > before.start_s
    assert utterance.phonemes[-1].end_s == pytest.approx(len(utterance.samples) / 16_000, abs=1e-3)


def test_sound_changes_where_phonemes_meet(bank: SpeechBank) -> None:
    """Spectral change within 5 ms of a boundary is far above that 25 to 50 ms away from it."""
    step = 40
    change = np.zeros(41)
    for utterance in bank[:20]:
        padded = np.pad(utterance.samples, 128)
        frames = np.lib.stride_tricks.sliding_window_view(padded, 256)[::step] * np.hanning(256)
        spectra = np.log(np.abs(np.fft.rfft(frames)) + 1e-3)
        flux = np.pad(np.abs(spectra[4:] - spectra[:-4]).mean(1), 2)
        for phoneme in utterance.phonemes:
            centre = round(phoneme.start_s * 16_000 / step)
            if 20 <= centre < len(flux) - 20:
                change += flux[centre - 20 : centre + 21]
    assert abs(int(change.argmax()) - 20) * step / 16_000 <= 0.005
    assert change[18:23].mean() > 1.4 * np.concatenate([change[:10], change[-10:]]).mean()


def test_silent_phonemes_are_silent_and_vowels_are_not() -> None:
    utterance = synthesize("Oh. Ah.", "en-us")

    def level(is_wanted: object) -> float:
        spans = [(p.start_s, p.end_s) for p in utterance.phonemes if bool(p.ipa) == is_wanted]
        cuts = [utterance.samples[int(a * 16_000) + 400 : int(b * 16_000) - 400] for a, b in spans]
        return float(np.sqrt(np.mean(np.concatenate(cuts) ** 2)))

    assert level(False) < 0.05 * level(True)


def test_only_silence_is_called_a_pause(bank: SpeechBank) -> None:
    """espeak leaves the IPA of linking glides and taps empty; they sound, so they must not count as pauses."""
    for utterance in bank:
        typical = np.sqrt(np.mean(utterance.samples**2))
        for p in utterance.phonemes:
            cut = utterance.samples[int(p.start_s * 16_000) : int(p.end_s * 16_000)]
            if not p.ipa and len(cut) > 160:
                assert np.sqrt(np.mean(cut**2)) < 0.13 * typical, (utterance.text, p)


def test_unknown_voice_and_silent_text_say_what_to_do() -> None:
    with pytest.raises(BadInput, match=r"no voice 'xx-klingon'.*en-us"):
        synthesize("Hello", "xx-klingon")
    with pytest.raises(BadInput, match=r"no sound from the text '\.\.\.'"):
        synthesize("...", "en-us")


def test_missing_espeak_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(BadInput, match=r"eadnet\[say\]"):
        synthesize("Hello", "en-us")


def test_bank_is_deterministic_in_any_order(bank: SpeechBank) -> None:
    other = SpeechBank(seed=7, n_utterances=60, split="train")
    for index in (17, 3, -1):
        np.testing.assert_array_equal(other[index].samples, bank[index].samples)
        assert other[index].text == bank[index].text
    assert len(bank) == 60 and len({u.text for u in bank}) > 40
    assert 8 <= len({u.voice for u in bank}) <= 10
    assert len({u.language for u in bank}) >= 3


def test_splits_share_neither_voices_nor_sentences() -> None:
    for language in sentences.LANGUAGES:
        train, heldout = (set(speech.voices(language, split)) for split in sentences.SPLITS)
        assert train and heldout and not train & heldout
    rng = np.random.default_rng(0)
    for language in sentences.LANGUAGES:
        train, heldout = (
            {sentences.draw_sentence(rng, language, split) for _ in range(400)} for split in sentences.SPLITS
        )
        assert not train & heldout
    assert len({sentences.draw_sentence(rng, "en", "train") for _ in range(500)}) > 400
    assert not any("{" in sentences.draw_sentence(rng, "en", split) for split in sentences.SPLITS for _ in range(500))


def test_bank_refuses_nonsense() -> None:
    with pytest.raises(BadInput, match="n_utterances"):
        SpeechBank(0, 0)
    with pytest.raises(BadInput, match="'test'"):
        SpeechBank(0, 5, "test")


@pytest.mark.parametrize("n_frames", [1, 16, 500])
def test_window_matches_its_phonemes(bank: SpeechBank, n_frames: int) -> None:
    for seed in range(10):
        samples, phonemes, text = bank.window(np.random.default_rng(seed), n_frames)
        assert samples.shape == (n_frames * SAMPLES_PER_FRAME,) and samples.dtype == np.float32
        assert all(a.end_s <= b.start_s + 1e-9 for a, b in pairwise(phonemes))
        is_spoken = np.zeros(len(samples), bool)
        for p in phonemes:
            if p.ipa:
                is_spoken[max(0, int(p.start_s * 16_000)) : max(0, int(p.end_s * 16_000))] = True
        assert bool(text) or not is_spoken.any()
        if is_spoken.sum() > 1600 and (~is_spoken).sum() > 1600:
            assert np.abs(samples[is_spoken]).mean() > 10 * np.abs(samples[~is_spoken]).mean()


def test_windows_vary_and_some_are_silent(bank: SpeechBank) -> None:
    windows = [bank.window(np.random.default_rng(seed), 25)[0] for seed in range(150)]
    loud = np.array([np.abs(w).max() > 0.01 for w in windows])
    begins_silent = np.array([np.abs(w[:3200]).max() < 0.005 for w in windows])
    assert 0.02 < (~loud).mean() < 0.3
    assert 0.05 < (begins_silent & loud).mean() < 0.6
    again = bank.window(np.random.default_rng(3), 25)[0]
    np.testing.assert_array_equal(again, windows[3])


def test_noise_never_moves_or_clips_the_sound(bank: SpeechBank) -> None:
    rng = np.random.default_rng(1)
    changed = 0
    for utterance in bank[:25]:
        clean = utterance.samples[:16_384]
        heard = noise.augment(clean, rng)
        assert heard.dtype == np.float32 and heard.shape == clean.shape
        assert np.abs(heard).max() <= 1.0 and np.isfinite(heard).all()
        n = 2 * len(heard)
        product = np.fft.irfft(np.fft.rfft(heard, n) * np.conj(np.fft.rfft(clean, n)))
        assert int(np.argmax(np.abs(product))) == 0
        gain = np.dot(heard, clean) / np.dot(clean, clean)
        changed += np.abs(heard - gain * clean).max() > 0.005
    assert 8 <= changed <= 24


def test_noise_reaches_silence_at_times() -> None:
    levels = [noise.augment(np.zeros(4000, np.float32), np.random.default_rng(seed)).std() for seed in range(40)]
    assert 8 < np.count_nonzero(levels) < 32 and max(levels) < 0.05
