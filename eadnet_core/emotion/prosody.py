"""What a voice alone tells of a feeling: arousal and valence from pitch, loudness, pace and brightness.

Our design, by rule: each measure is put in units of its usual spread and they are added up. A raised, quick, bright and
melodious voice is aroused (Juslin and Laukka 2003; Eyben et al. 2016); arousal is heard well and valence hardly, so
valence stays small. The reference values are those of conversational speech, not fitted to anything.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from itertools import pairwise, zip_longest

import numpy as np

from ..config import FPS, SAMPLE_RATE_HZ
from .code import AROUSAL as AROUSAL_COLUMN
from .code import VALENCE as VALENCE_COLUMN
from .code import emotion_at, emotion_code, scaled
from .track import EmotionTrack, Keyframe

AUTO = "auto"
"""The prompt that leaves the emotion to the voice."""
HOP = SAMPLE_RATE_HZ // 100
"""Samples between two measurements: 10 ms."""
PITCH_HZ = (65.0, 500.0)
LOW_BAND_HZ, HIGH_BAND_HZ = (80.0, 1000.0), (1000.0, 5000.0)
VOICED_DB = 20.0
"""Steps further than this below the loud ones are not measured."""
SYLLABLE_DIP_DB = 2.0
"""Two peaks of loudness are two syllables if it falls this much between them (de Jong and Wempe 2009)."""
MIN_SPOKEN_S = 0.5
WINDOW_S = 6.0
"""A reading is of so much sound: long enough for a pitch range, short enough to follow a change of mood."""
LARGEST_VALENCE = 0.4


@dataclass(frozen=True)
class Measures:
    """What is measured of the spoken parts of a sound."""

    level_db: float
    """Mean power of the spoken steps, dB of full scale."""
    pitch_octaves: float
    """Median pitch, octaves above 100 Hz."""
    range_semitones: float
    """Spread of the pitch: half the distance between its 16th and 84th percentile."""
    rate_hz: float
    """Syllables per second of speech."""
    tilt_db: float
    """Power of 1 .. 5 kHz against that below."""


USUAL = Measures(level_db=-20.0, pitch_octaves=0.65, range_semitones=2.5, rate_hz=4.0, tilt_db=-9.0)
SPREAD = Measures(level_db=9.0, pitch_octaves=0.5, range_semitones=1.5, rate_hz=1.2, tilt_db=5.0)
AROUSAL_WEIGHTS = Measures(level_db=0.15, pitch_octaves=0.2, range_semitones=0.2, rate_hz=0.2, tilt_db=0.3)
VALENCE_WEIGHTS = Measures(level_db=-0.1, pitch_octaves=0.2, range_semitones=0.5, rate_hz=0.1, tilt_db=-0.3)
"""Weights of the measures, each in units of its SPREAD about what is USUAL. Level weighs little: it is mostly the
recording's gain."""


@dataclass(frozen=True)
class VoiceReading:
    """How a voice sounds from `time_s` on: valence and arousal, each -1 .. 1, and what they were heard by."""

    time_s: float
    valence: float
    arousal: float
    measures: Measures

    @property
    def code(self) -> np.ndarray:
        """The emotion code [27] of that point, as strong as it lies far from the middle: a calm voice, a calm face."""
        code = scaled(emotion_at(self.valence, self.arousal), min(1.0, math.hypot(self.valence, self.arousal)))
        code[VALENCE_COLUMN : AROUSAL_COLUMN + 1] = self.valence, self.arousal
        return code


def read_voice(samples: np.ndarray, voice: np.ndarray) -> tuple[VoiceReading, ...]:
    """What is heard in each WINDOW_S of a sound, at the middle of the window; none where too little is spoken.

    samples  [N]  float32 mono 16 kHz
    voice    [T]  speech gate, 0 .. 1

    >>> read_voice(np.zeros(16_000, np.float32), np.zeros(25))
    ()
    """
    n_frames = len(voice)
    n_windows = max(1, round(n_frames / FPS / WINDOW_S))
    edges = np.linspace(0, n_frames, n_windows + 1).round().astype(int)
    per_frame = SAMPLE_RATE_HZ // FPS
    readings = []
    for first, last in pairwise(edges):
        measures = measure(samples[first * per_frame : last * per_frame], voice[first:last])
        if measures is not None:
            valence, arousal = point_of(measures)
            readings.append(VoiceReading(float(first + last) / 2 / FPS, valence, arousal, measures))
    return tuple(readings)


def point_of(measures: Measures) -> tuple[float, float]:
    """(valence, arousal) of what was measured.

    >>> point_of(USUAL)
    (0.0, 0.0)
    """
    given, usual, spread = (np.array([*asdict(m).values()]) for m in (measures, USUAL, SPREAD))
    unusual = np.clip((given - usual) / spread, -3.0, 3.0)
    valence, arousal = (
        float(np.tanh([*asdict(weights).values()] @ unusual)) for weights in (VALENCE_WEIGHTS, AROUSAL_WEIGHTS)
    )
    return LARGEST_VALENCE * valence, arousal


def mean_reading(readings: tuple[VoiceReading, ...]) -> VoiceReading | None:
    """One reading for a whole sound."""
    if not readings:
        return None
    values = {f.name: float(np.mean([getattr(r.measures, f.name) for r in readings])) for f in fields(Measures)}
    valence, arousal = (float(np.mean([getattr(r, name) for r in readings])) for name in ("valence", "arousal"))
    return VoiceReading(0.0, valence, arousal, Measures(**values))


def voice_codes(readings: tuple[VoiceReading, ...], times_s: np.ndarray) -> np.ndarray:
    """Emotion codes [T, 27] that follow the readings, cross-faded; at least one reading."""
    codes = np.stack([r.code for r in readings])
    marks = [r.time_s for r in readings]
    return np.stack([np.interp(times_s, marks, column) for column in codes.T], axis=-1).astype(np.float32)


def mixed(words: np.ndarray, voice: np.ndarray, weight: float) -> np.ndarray:
    """Codes [..., 27] of words with those of the voice: weight 0 the words alone .. 1 the voice alone.

    >>> from .code import emotion_code
    >>> float(mixed(emotion_code("happy", 1.0), emotion_code("neutral", 0.0), 0.25)[8])
    0.75
    """
    return np.float32(1.0 - weight) * words + np.float32(weight) * voice


def with_voice(track: EmotionTrack, readings: tuple[VoiceReading, ...]) -> EmotionTrack:
    """The track with what the voice tells wherever a keyframe says AUTO; neutral where nothing could be heard.

    >>> with_voice(EmotionTrack.parse("auto"), ()).keyframes[0].code[0]
    1.0
    """
    if not any(is_auto(k) for k in track.keyframes):
        return track
    keyframes: list[Keyframe] = []
    for keyframe, after in zip_longest(track.keyframes, track.keyframes[1:]):
        keyframes.append(keyframe)
        if is_auto(keyframe):
            end_s = after.time_s if after is not None else math.inf
            inside = [r.time_s for r in readings if keyframe.time_s < r.time_s < end_s and len(readings) > 1]
            times = np.array([keyframe.time_s, *inside])
            neutral = np.tile(emotion_code("neutral", 0.0), (len(times), 1))
            codes = voice_codes(readings, times) if readings else neutral
            keyframes[-1] = replace(keyframe, code=tuple(map(float, codes[0])))
            keyframes += [
                Keyframe(float(t), AUTO, keyframe.intensity, tuple(map(float, code)), reference=keyframe.reference)
                for t, code in zip(times[1:], codes[1:], strict=True)
            ]
    return EmotionTrack(tuple(keyframes))


def is_auto(keyframe: Keyframe) -> bool:
    """Whether a keyframe leaves the emotion to the voice."""
    return keyframe.code is None and keyframe.text.lower() == AUTO


def measure(samples: np.ndarray, voice: np.ndarray) -> Measures | None:
    """The measures of the spoken part of a sound, or None where less than MIN_SPOKEN_S is spoken.

    samples  [N]  float32 mono 16 kHz;  voice  [T]  speech gate, 0 .. 1
    """
    import librosa

    n_steps = len(samples) // HOP
    gate = np.repeat(np.asarray(voice) > 0.5, SAMPLE_RATE_HZ // FPS // HOP)[:n_steps]
    if gate.sum() < 100 * MIN_SPOKEN_S or len(samples) < 2048:
        return None
    power = np.abs(librosa.stft(samples, n_fft=1024, hop_length=HOP, win_length=640)) ** 2
    hertz = librosa.fft_frequencies(sr=SAMPLE_RATE_HZ, n_fft=1024)
    low, high = (power[(hertz >= a) & (hertz < b), : len(gate)].sum(0) for a, b in (LOW_BAND_HZ, HIGH_BAND_HZ))
    level = 10 * np.log10(low + high + 1e-9)
    spoken = gate & (level > np.quantile(level[gate], 0.95) - VOICED_DB)
    if spoken.sum() < 100 * MIN_SPOKEN_S:
        return None
    pitch = _pitch_octaves(samples, spoken & (low > high))
    if pitch is None:
        return None
    rms = librosa.feature.rms(y=samples, frame_length=640, hop_length=HOP)[0, : len(spoken)]
    return Measures(
        level_db=float(10 * np.log10(max(np.square(rms[spoken]).mean() - samples.mean() ** 2, 0.0) + 1e-12)),
        pitch_octaves=pitch[0],
        range_semitones=pitch[1],
        rate_hz=_n_syllables(level, gate) / (gate.sum() / 100),
        tilt_db=float(10 * np.log10((high[spoken].sum() + 1e-9) / (low[spoken].sum() + 1e-9))),
    )


def _pitch_octaves(samples: np.ndarray, voiced: np.ndarray) -> tuple[float, float] | None:
    """Median in octaves above 100 Hz and spread in semitones of the pitch in voiced steps; None without any."""
    import librosa

    low, high = PITCH_HZ
    hertz = librosa.yin(samples, fmin=low, fmax=high, sr=SAMPLE_RATE_HZ, frame_length=1024, hop_length=HOP)
    octaves = np.log2(hertz[: len(voiced)] / 100.0)
    steady = np.abs(np.diff(octaves, prepend=octaves[:1])) < 0.1
    inside = (hertz[: len(voiced)] > 1.03 * low) & (hertz[: len(voiced)] < 0.97 * high)
    kept = octaves[voiced & steady & inside]
    if len(kept) < 20:
        return None
    at16, at50, at84 = np.quantile(kept, (0.16, 0.5, 0.84))
    return float(at50), float(6.0 * (at84 - at16))


def _n_syllables(level_db: np.ndarray, gate: np.ndarray) -> int:
    """Peaks of loudness inside the gate that are parted by dips."""
    kernel = np.hanning(9)[1:-1]
    smooth = np.convolve(level_db, kernel / kernel.sum(), mode="same")
    floor = np.quantile(smooth[gate], 0.95) - VOICED_DB
    count, is_up, turn = 0, False, floor
    for value in np.where(gate, smooth, floor):
        value = max(float(value), floor)
        if is_up:
            turn = max(turn, value)
            if value < turn - SYLLABLE_DIP_DB:
                count, is_up, turn = count + 1, False, value
        else:
            turn = min(turn, value)
            if value > turn + SYLLABLE_DIP_DB:
                is_up, turn = True, value
    return count + is_up
