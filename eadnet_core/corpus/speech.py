"""Training speech with exact phoneme times: espeak-ng's, from a bank of voices and sentences.

A synthesiser is the only source of speech whose phoneme boundaries are known to the sample, which is what the
procedural heads need for lips that are in sync by construction. Weights trained on espeak-ng's sound are free of its
licence (`media/tts/espeak.py`).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import SAMPLE_RATE_HZ
from ..errors import BadInput
from ..media.sound.audio import SAMPLES_PER_FRAME
from ..media.tts.espeak import LOCK, PITCH, RANGE, RATE, VOLUME, Espeak
from .sentences import SPLITS, draw_sentence

CONTEXT_S = 0.25
"""Phonemes this close outside a window are kept with it, since they shape the lips at its edges."""

VOICE_LANGUAGES = {
    "en-us": "en",
    "en-gb-x-rp": "en",
    "en-gb-scotland": "en",
    "en-us-nyc": "en",
    "en-029": "en",
    "en-gb-x-gbclan": "en",
    "de": "de",
    "es": "es",
    "es-419": "es",
    "fr": "fr",
    "it": "it",
    "pt-br": "pt",
}
"""espeak voices and the language (corpus.sentences.LANGUAGES) that each one reads."""
VARIANTS = (
    *(f"m{i}" for i in range(1, 9)),
    *(f"f{i}" for i in range(1, 6)),
    *("Alex", "Alicia", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Henrique", "Hugo", "Lee", "Marco"),
    *("Mario", "Michael", "Mike", "aunty", "belinda", "benjamin", "boris", "david", "ed", "grandma", "grandpa", "ian"),
    *("john", "linda", "max", "norbert", "paul", "quincy", "rob", "robert", "sandro", "shelby", "steph", "travis"),
)
"""Speakers: espeak variants that sound like people (no robots, whispers or croaks)."""
ENGLISH_SHARE = 0.6
HELDOUT_VOICE_SHARE = 5
"""One voice in so many, by the hash of its name, belongs to the held-out split."""
UTTERANCES_PER_SPEAKER = 6
SILENT_WINDOW_SHARE = 0.05
AUDIBLE_SHARE = 0.1
"""A stretch this loud, relative to its utterance, is not a pause."""


@dataclass(frozen=True)
class Phoneme:
    """One sound in IPA with its times in seconds; the empty `ipa` is a pause."""

    ipa: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Utterance:
    """One spoken sentence: samples float32 [N] at 16 kHz, -1 .. 1, and the phonemes in it."""

    samples: NDArray[np.float32]
    phonemes: tuple[Phoneme, ...]
    text: str
    voice: str
    language: str


def synthesize(
    text: str, voice: str, rate: int = 175, pitch: int = 50, range_: int = 50, volume: int = 100
) -> Utterance:
    """Speak `text`; the same arguments always give the same samples.

    voice is an espeak voice, optionally with a variant ("en-us+f2"); rate in words per minute (80 .. 450), pitch and
    range_ 0 .. 100, volume 0 .. 200. Raises BadInput without espeak, for an unknown voice, or for text without sound.
    """
    parameters = {RATE: rate, VOLUME: volume, PITCH: pitch, RANGE: range_}
    with LOCK, Espeak() as espeak:
        wave = espeak.speak(text, voice, parameters)
        rate_hz, events = espeak.rate_hz, espeak.events
    language = VOICE_LANGUAGES.get(voice.partition("+")[0], voice.partition("-")[0])
    return Utterance(_to_16_khz(wave, rate_hz), _phonemes(events, wave, rate_hz), text, voice, language)


def _to_16_khz(wave: NDArray[np.int16], rate_hz: int) -> NDArray[np.float32]:
    import soxr

    samples = soxr.resample(wave.astype(np.float32) / 32768.0, rate_hz, SAMPLE_RATE_HZ, quality="HQ")
    return np.clip(samples, -1.0, 1.0).astype(np.float32)


def _phonemes(events: list[tuple[int, str]], wave: NDArray[np.int16], rate_hz: int) -> tuple[Phoneme, ...]:
    """Events to phonemes: each lasts until the next one starts; those without length are dropped.

    espeak also leaves the IPA of the glides and taps that link two sounds empty. These are heard, so they are no
    pauses: the sound before them lasts on.
    """
    bounds = np.maximum.accumulate([min(sample, len(wave)) for sample, _ in events] + [len(wave)])
    audible = AUDIBLE_SHARE * _loudness(wave)
    phonemes: list[Phoneme] = []
    for (_, ipa), start, end in zip(events, bounds[:-1], bounds[1:], strict=True):
        if end > start:
            start_s, end_s = float(start / rate_hz), float(end / rate_hz)
            if phonemes and not ipa and _loudness(wave[start:end]) > audible:
                phonemes[-1] = replace(phonemes[-1], end_s=end_s)
            else:
                phonemes.append(Phoneme(ipa, start_s, end_s))
    return tuple(phonemes)


def _loudness(wave: NDArray[np.int16]) -> float:
    return float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))


def voice_split(voice: str) -> str:
    """The split a voice belongs to, by the hash of its name.

    >>> {voice_split(f"en-us+{variant}") for variant in VARIANTS} == set(SPLITS)
    True
    """
    return "heldout" if zlib.crc32(voice.encode()) % HELDOUT_VOICE_SHARE == 0 else "train"


def voices(language: str, split: str) -> tuple[str, ...]:
    """All voices with variants of one language and split."""
    names = (
        f"{base}+{variant}" for base, spoken in VOICE_LANGUAGES.items() if spoken == language for variant in VARIANTS
    )
    return tuple(name for name in names if voice_split(name) == split)


class SpeechBank(Sequence[Utterance]):
    """A list of random utterances, made when first asked for and then kept (0.2 MB each).

    Consecutive utterances, UTTERANCES_PER_SPEAKER at a time, belong to one speaker: one voice, pitch and pitch range,
    with the rate and volume varying a little. Everything follows from the arguments.

    seed          any int >= 0
    n_utterances  1 or more
    split         "train" or "heldout": the splits share neither voices nor sentences
    """

    def __init__(self, seed: int, n_utterances: int, split: str = "train") -> None:
        if n_utterances < 1 or split not in SPLITS:
            raise BadInput(
                f"A speech bank needs n_utterances >= 1 and a split of {SPLITS}, got {n_utterances}, {split!r}."
            )
        self.seed = seed
        self.split = split
        self._utterances: list[Utterance | None] = [None] * n_utterances

    def __len__(self) -> int:
        return len(self._utterances)

    def __iter__(self) -> Iterator[Utterance]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        utterance = self._utterances[index]
        if utterance is None:
            utterance = self._utterances[index] = self._make(index)
        return utterance

    def _make(self, index: int) -> Utterance:
        key = (self.seed, SPLITS.index(self.split))
        speaker = np.random.default_rng((*key, 0, index // UTTERANCES_PER_SPEAKER))
        others = sorted(set(VOICE_LANGUAGES.values()) - {"en"})
        language = "en" if speaker.random() < ENGLISH_SHARE else others[speaker.integers(len(others))]
        pool = voices(language, self.split)
        voice = pool[speaker.integers(len(pool))]
        pitch, range_ = (int(value) for value in speaker.integers((25, 20), (76, 91)))
        rate = speaker.uniform(135, 215)
        rng = np.random.default_rng((*key, 1, index))
        text = draw_sentence(rng, language, self.split)
        rate *= rng.uniform(0.92, 1.08)
        return synthesize(text, voice, round(rate), pitch, range_, int(rng.integers(70, 121)))

    def window(self, rng: np.random.Generator, n_frames: int) -> tuple[NDArray[np.float32], tuple[Phoneme, ...], str]:
        """A random cut of speech of one voice: (samples [n_frames * 640], phonemes, text).

        Sentences stand between pauses of random length, so that windows include onsets and pauses; a few are wholly
        silent. Phoneme times count from the window's start; those within CONTEXT_S outside it are included, so times
        may be negative or lie past the end. The text is that of every sentence heard.
        """
        n_samples = n_frames * SAMPLES_PER_FRAME
        if rng.random() < SILENT_WINDOW_SHARE:
            return np.zeros(n_samples, np.float32), (), ""
        timeline = self._timeline(rng, n_samples)
        end = max(start + len(utterance.samples) for start, utterance in timeline)
        offset = int(rng.integers(0, max(1, end + _pause(rng) - n_samples + 1)))
        samples = np.zeros(n_samples, np.float32)
        phonemes: list[Phoneme] = []
        texts = []
        for start, utterance in timeline:
            first, last = start - offset, start - offset + len(utterance.samples)
            low, high = max(first, 0), min(last, n_samples)
            if low < high:
                samples[low:high] = utterance.samples[low - first : high - first]
                texts.append(utterance.text)
            phonemes += _shifted(utterance.phonemes, first / SAMPLE_RATE_HZ, n_samples / SAMPLE_RATE_HZ)
        return samples, tuple(phonemes), " ".join(texts)

    def _timeline(self, rng: np.random.Generator, n_samples: int) -> list[tuple[int, Utterance]]:
        """Start sample and utterance of each sentence on a line long enough for any cut to hold the first one."""
        chosen = int(rng.integers(len(self)))
        first = chosen - chosen % UTTERANCES_PER_SPEAKER
        n_speaker = min(UTTERANCES_PER_SPEAKER, len(self) - first)
        timeline: list[tuple[int, Utterance]] = []
        position, step = _pause(rng), 0
        while not timeline or position < n_samples + len(timeline[0][1].samples):
            utterance = self[first + (chosen - first + step) % n_speaker]
            timeline.append((position, utterance))
            position += len(utterance.samples) + _pause(rng)
            step += 1
        return timeline


def _pause(rng: np.random.Generator) -> int:
    """Samples of silence between sentences: mostly short, at times a second and more."""
    return int(rng.gamma(1.5, 0.3) * SAMPLE_RATE_HZ)


def _shifted(phonemes: tuple[Phoneme, ...], offset_s: float, duration_s: float) -> list[Phoneme]:
    """The phonemes moved by offset_s, as far as they matter to a window of duration_s from 0."""
    moved = (Phoneme(p.ipa, p.start_s + offset_s, p.end_s + offset_s) for p in phonemes)
    return [p for p in moved if p.end_s > -CONTEXT_S and p.start_s < duration_s + CONTEXT_S]
