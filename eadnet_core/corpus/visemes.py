"""Phonemes to lip shapes: 22 viseme classes, nine lip parameters, and coarticulation by dominance.

The classes follow the usual groupings of sounds that look alike; the blending is a dominance model in the manner of
Cohen and Massaro (1993), reduced to one Gaussian width with a weight per class: lips that must close, do, while
vowels around them bend. The targets are our design.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..config import FPS
from ..taxonomy import VISEME_PARAMETERS
from .speech import Phoneme

TRACK_RATE_HZ = 200
SMOOTHING_S = 0.026
ANTICIPATION_S = 0.015
"""Lips move this much ahead of the sound: they close for a stop at its silence and part before its burst, and the
energy of a vowel lies towards its beginning. With it, opening and loudness correlate best at no lag."""
STRESS_GAIN = 1.12
_KERNEL_REACH = 4
"""Smoothing kernel's half length in standard deviations."""


@dataclass(frozen=True)
class Viseme:
    """Target of each of VISEME_PARAMETERS, how strongly it resists its neighbours, and the IPA letters it shows."""

    target: tuple[float, ...]
    dominance: float
    letters: str


# fmt: off
VISEMES: dict[str, Viseme] = {
    #                      jaw  wide round press tuck upper teeth tong. open
    "silence":     Viseme((.00, .00, .00, .00, .00, .00, .00, .00, .00), 0.6, ""),
    "bilabial":    Viseme((.05, .05, .00, 1.0, .00, .00, .00, .00, .00), 4.0, "pbmɓɸ"),
    "labiodental": Viseme((.12, .15, .00, .00, 1.0, .25, .55, .00, .18), 3.0, "fvɱʋⱱ"),
    "dental":      Viseme((.22, .15, .00, .00, .00, .10, .50, .95, .32), 1.3, "θð"),
    "alveolar":    Viseme((.18, .20, .00, .00, .00, .05, .45, .45, .30), 0.8, "tdnɾrɖʈɳɗ"),
    "velar":       Viseme((.28, .15, .00, .00, .00, .00, .25, .15, .35), 0.6, "kɡgŋxɣʁχqɢʀħʕ"),
    "postalveolar":Viseme((.15, .00, .60, .00, .00, .35, .85, .00, .40), 1.5, "ʃʒɕʑʂʐ"),
    "sibilant":    Viseme((.06, .45, .00, .00, .00, .20, 1.0, .05, .28), 1.2, "sz"),
    "approximant": Viseme((.20, .00, .50, .00, .00, .10, .30, .10, .30), 1.0, "ɹɻɚɝ"),
    "lateral":     Viseme((.28, .15, .00, .00, .00, .05, .30, .85, .38), 1.0, "lɫʎɭɬɲ"),
    "labiovelar":  Viseme((.12, .00, 1.0, .00, .00, .00, .00, .00, .14), 2.5, "wʍɥβ"),
    "breath":      Viseme((.30, .10, .00, .00, .00, .00, .15, .00, .40), 0.4, "hɦʔ"),
    "open":        Viseme((1.0, .15, .05, .00, .00, .20, .25, .10, 1.0), 1.2, "aɑ"),
    "open front":  Viseme((.80, .55, .00, .00, .00, .30, .50, .10, .85), 1.1, "æ"),
    "open central":Viseme((.60, .15, .00, .00, .00, .10, .25, .05, .62), 1.0, "ʌɐɜɞ"),
    "mid front":   Viseme((.50, .55, .00, .00, .00, .15, .45, .10, .60), 1.0, "eɛ"),
    "close front": Viseme((.20, 1.0, .00, .00, .00, .20, .60, .05, .38), 1.0, "ijʝçc"),
    "near front":  Viseme((.30, .65, .00, .00, .00, .10, .45, .05, .45), 0.9, "ɪᵻɨ"),
    "open back":   Viseme((.75, .00, .55, .00, .00, .00, .05, .00, .75), 1.2, "ɔɒ"),
    "mid back":    Viseme((.50, .00, .80, .00, .00, .00, .00, .00, .55), 1.3, "oøœɤɵ"),
    "close back":  Viseme((.22, .00, 1.0, .00, .00, .00, .00, .00, .28), 1.5, "uʊyʏʉɯ"),
    "neutral":     Viseme((.32, .15, .05, .00, .00, .05, .25, .05, .40), 0.7, "ə"),
}
# fmt: on
"""The 22 classes; sounds that no class lists show as "neutral"."""
VOWELS = frozenset("aɑæʌɐɜɞeɛiɪᵻɨɔɒoøœɤɵuʊyʏʉɯəɚɝ")

_CLASSES = tuple(VISEMES)
_CLASS_OF_LETTER = {letter: index for index, viseme in enumerate(VISEMES.values()) for letter in viseme.letters}
_TARGETS = np.array([viseme.target for viseme in VISEMES.values()], np.float32)
_DOMINANCE = np.array([viseme.dominance for viseme in VISEMES.values()], np.float32)
_SILENCE, _NEUTRAL = _CLASSES.index("silence"), _CLASSES.index("neutral")
_MARKS = re.compile(r"\([^)]*\)|[ˈˌːˑʲʰʷˠ˞:;'\-_|.!?\s]")
"""Stress, length and secondary marks, and espeak's language switches such as "(fr)"."""


def letters(ipa: str) -> str:
    """The sounds of an IPA string, one letter each, without marks or diacritics.

    >>> letters("ˈaɪ"), letters("tʃ"), letters("ɔ̃ː"), letters("(en)")
    ('aɪ', 'tʃ', 'ɔ', '')
    """
    decomposed = unicodedata.normalize("NFD", ipa.replace("ç", "c"))
    return _MARKS.sub("", "".join(c for c in decomposed if not unicodedata.combining(c)))


def unmapped_letters(phonemes: Iterable[Phoneme]) -> set[str]:
    """The IPA letters among the phonemes that no viseme class lists.

    >>> unmapped_letters([Phoneme("ˈaɪ", 0, 1), Phoneme("ʘ", 1, 2)])
    {'ʘ'}
    """
    return {letter for p in phonemes for letter in letters(p.ipa) if letter not in _CLASS_OF_LETTER}


def viseme_track(phonemes: Sequence[Phoneme], n_frames: int, fps: float = FPS) -> NDArray[np.float32]:
    """Lip parameters [n_frames, 9], 0 .. 1, at the centre of each frame ((i + 0.5) / fps seconds).

    Phonemes in order of time; they may begin before 0 or end after the last frame, which shapes the lips at the
    edges. Time that no phoneme covers is silence. A diphthong or affricate gives each of its sounds an equal share.
    """
    reach = int(np.ceil(_KERNEL_REACH * SMOOTHING_S * TRACK_RATE_HZ))
    centres = np.rint(((np.arange(n_frames) + 0.5) / fps + ANTICIPATION_S) * TRACK_RATE_HZ).astype(int)
    classes, gains = _rasterise(phonemes, first_step=-reach, n_steps=int(centres[-1]) + 2 * reach + 1)
    weights = _DOMINANCE[classes]
    values = np.clip(_TARGETS[classes] * gains[:, None], 0.0, 1.0) * weights[:, None]
    steps = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (steps / (SMOOTHING_S * TRACK_RATE_HZ)) ** 2).astype(np.float32)
    around = centres[:, None] + (steps + reach)[None]
    blended = np.einsum("tkp,k->tp", values[around], kernel)
    return (blended / (weights[around] @ kernel)[:, None]).astype(np.float32)


def _rasterise(
    phonemes: Sequence[Phoneme], first_step: int, n_steps: int
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Viseme class and stress gain of each of n_steps steps of the track, the first of them at first_step."""
    classes = np.full(n_steps, _SILENCE, np.intp)
    gains = np.ones(n_steps, np.float32)
    for phoneme in phonemes:
        sounds = letters(phoneme.ipa)
        is_stressed = "ˈ" in phoneme.ipa
        share_s = (phoneme.end_s - phoneme.start_s) / max(1, len(sounds))
        for index, letter in enumerate(sounds):
            start_s = phoneme.start_s + index * share_s
            low, high = (_step_at(time_s, first_step, n_steps) for time_s in (start_s, start_s + share_s))
            classes[low:high] = _CLASS_OF_LETTER.get(letter, _NEUTRAL)
            gains[low:high] = STRESS_GAIN if is_stressed and letter in VOWELS else 1.0
    return classes, gains


def _step_at(time_s: float, first_step: int, n_steps: int) -> int:
    step = int(np.ceil(time_s * TRACK_RATE_HZ - 1e-6)) - first_step
    return min(max(step, 0), n_steps)


def mouth_opening(visemes: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far the lips are apart in each frame, 0 (closed or at rest) .. 1, from lip parameters [T, 9].

    >>> mouth_opening(np.array([[0, 0, 0, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0, 1]], np.float32))
    array([0., 1.], dtype=float32)
    """
    jaw, press, tuck, parted = (visemes[:, VISEME_PARAMETERS.index(n)] for n in ("jaw", "press", "tuck", "open"))
    gap = (0.4 * jaw + 0.6 * parted) * (1.0 - press) * (1.0 - 0.5 * tuck)
    return np.clip(gap, 0.0, 1.0).astype(np.float32)
