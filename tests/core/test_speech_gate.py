"""The speech gate: open where somebody speaks, shut in silence, music and noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eadnet_core.media.sound.audio import frame_energy, read_audio
from eadnet_core.media.sound.speech_gate import speech_gate

RATE_HZ = 16_000


def syllables(seconds: float) -> np.ndarray:
    """A voiced, speech-like sound: harmonics of 130 Hz in five bursts a second."""
    time = np.arange(round(RATE_HZ * seconds)) / RATE_HZ
    voice = sum(np.sin(2 * np.pi * 130 * k * time) / k for k in range(1, 18))
    return (0.08 * voice * (0.5 - 0.5 * np.cos(2 * np.pi * 5 * time))).astype(np.float32)


def shaped(source: np.ndarray, peaks_hz: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """A sound with spectral peaks [T, n] that move and levels [T], both every 10 ms."""
    frames, window = np.lib.stride_tricks.sliding_window_view(source, 320)[::160][: len(levels)], np.hanning(320)
    hertz = np.fft.rfftfreq(320, 1 / RATE_HZ)
    gain = np.exp(-0.5 * ((hertz - peaks_hz[..., None]) / 200) ** 2).sum(1) + 0.01
    formed = np.fft.irfft(np.fft.rfft(frames) * gain) * window * levels[:, None]
    samples = np.zeros(160 * (len(levels) + 1))
    for i, frame in enumerate(formed):
        samples[160 * i : 160 * i + 320] += frame
    return samples


VOWELS_HZ = np.array([(700, 1200), (300, 2200), (350, 800), (500, 1700), (2500, 3800)])
"""First two formants of a, i, u, e, and the noise of sh."""


def syllables_from(source: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Four syllables a second, each gliding from one vowel to another, spoken with a source [N]."""
    at = np.arange(len(source) // 160 - 1) / 25
    targets = VOWELS_HZ[rng.integers(len(VOWELS_HZ), size=int(at[-1]) + 2)]
    index, part = at.astype(int), (at % 1)[:, None]
    peaks = (1 - part) * targets[index] + part * targets[index + 1]
    return shaped(source, peaks, np.sin(np.pi * (at % 1)) ** 1.5)


def sung(pitch_hz: np.ndarray, level: np.ndarray) -> np.ndarray:
    """A vowel at a pitch [N] that may move, with a level [N]."""
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
    return level * sum(np.sin(k * phase) / k for k in range(1, 9))


def notes(rng: np.random.Generator, low_hz: float, high_hz: float, seconds: float, glide: float) -> np.ndarray:
    """Eight syllables of one length: pitch drawn for each, 5.5 Hz vibrato, and a glide of up to so many octaves."""
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    level = np.minimum(1, 20 * np.minimum(time, seconds - time).clip(0, None))
    parts = []
    for pitch_hz in rng.uniform(low_hz, high_hz, size=8):
        moving = 0.01 * np.sin(2 * np.pi * 5.5 * time) + glide * rng.uniform(-1, 1) * time / seconds
        parts += [sung(pitch_hz * 2**moving, level), np.zeros(round(0.06 * RATE_HZ))]
    return np.concatenate(parts)


def struck(rng: np.random.Generator, times_s: np.ndarray, decay_s: float, ring_hz: float = 0.0) -> np.ndarray:
    """4 s of short noises of random strength that decay, each with a ring if `ring_hz` is given."""
    samples, after = np.zeros(5 * RATE_HZ), np.arange(RATE_HZ // 4) / RATE_HZ
    for start in (times_s[times_s < 4] * RATE_HZ).astype(int):
        sound = rng.normal(size=len(after)) + 2 * (ring_hz > 0) * np.sin(2 * np.pi * ring_hz * after)
        samples[start : start + len(after)] += rng.uniform(0.2, 1.0) * sound * np.exp(-after / decay_s)
    return samples[: 4 * RATE_HZ]


def noises(kind: str) -> np.ndarray:
    """4 s of something that sounds in short or swelling noises, and is no speech."""
    rng = np.random.default_rng(7)
    time = np.arange(4 * RATE_HZ) / RATE_HZ
    if kind == "clicks":
        return struck(rng, np.cumsum(rng.exponential(0.12, 60)), 0.002)
    if kind == "typing":
        down = np.cumsum(rng.uniform(0.08, 0.25, 40))
        return struck(rng, np.sort([*down, *(down + 0.07)]), 0.006, 1400)
    if kind == "typing in a room":
        room = rng.normal(size=RATE_HZ // 2) * np.exp(-np.arange(RATE_HZ // 2) / RATE_HZ / 0.06)
        dry = noises("typing")
        return dry + 0.02 * np.convolve(dry, room)[: len(dry)]
    if kind == "rain":
        return 0.01 * rng.normal(size=len(time)) + struck(rng, np.cumsum(rng.exponential(0.03, 400)), 0.003)
    if kind == "metronome":
        return struck(rng, np.arange(0.2, 4, 0.5), 0.008)
    if kind == "applause":
        return struck(rng, np.cumsum(rng.exponential(0.025, 400)), 0.006)
    swell = 0.5 - 0.5 * np.cos(2 * np.pi * {"shaker": 5, "train": 2.5}[kind] * time)
    noise = rng.normal(size=len(time))
    return swell**2 * (np.diff(noise, prepend=0) if kind == "shaker" else np.convolve(noise, np.ones(9), "same"))


@pytest.mark.parametrize("gain", [0.01, 0.1, 1.0])
def test_gate_opens_in_speech_and_closes_in_silence_at_any_gain(gain: float) -> None:
    quiet = np.zeros(2 * RATE_HZ, np.float32)
    gate = speech_gate(gain * np.concatenate([quiet, syllables(3.0), quiet]), 175)
    assert gate.shape == (175,) and gate.min() >= 0.0 and gate.max() <= 1.0
    assert gate[53:124].min() == 1.0
    assert gate[:46].max() == 0.0 and gate[135:].max() == 0.0
    assert np.abs(np.diff(gate)).max() < 0.65


def test_gate_finds_speech_above_noise_and_in_a_mostly_silent_clip() -> None:
    rng = np.random.default_rng(0)
    clip = np.zeros(30 * RATE_HZ, np.float32)
    clip[12 * RATE_HZ : 14 * RATE_HZ] = syllables(2.0)
    noisy = clip + 0.005 * rng.normal(size=len(clip)).astype(np.float32)
    for samples in (clip, noisy):
        gate = speech_gate(samples, 750)
        assert gate[305:345].mean() > 0.9
        assert gate[:280].mean() < 0.02 and gate[380:].mean() < 0.02


@pytest.mark.parametrize("kind", ["silence", "white noise", "faint noise", "hum", "held chord", "one click"])
def test_gate_stays_closed_without_speech(kind: str) -> None:
    rng = np.random.default_rng(0)
    time = np.arange(4 * RATE_HZ) / RATE_HZ
    samples = {
        "silence": np.zeros_like(time),
        "white noise": 0.1 * rng.normal(size=len(time)),
        "faint noise": 1e-4 * rng.normal(size=len(time)),
        "hum": 0.1 * np.sign(np.sin(2 * np.pi * 50 * time)),
        "held chord": sum(0.05 * np.sin(2 * np.pi * f * k * time) / k for f in (220, 277, 330) for k in (1, 2, 3)),
        "one click": np.eye(1, len(time), 2 * RATE_HZ)[0],
    }[kind]
    assert speech_gate(samples.astype(np.float32), 100).max() < 0.05


def test_gate_takes_one_sample() -> None:
    assert speech_gate(np.ones(1, np.float32), 1).shape == (1,)


@pytest.mark.parametrize(
    "kind", ["clicks", "typing", "typing in a room", "rain", "metronome", "applause", "shaker", "train"]
)
def test_noises_that_swing_like_speech_are_no_whisper(kind: str) -> None:
    samples = noises(kind)
    for gain in (0.02, 1.0):
        assert speech_gate((gain * 0.3 * samples / np.abs(samples).max()).astype(np.float32), 100).max() < 0.05


@pytest.mark.parametrize("noise_db", [-200, -35])
@pytest.mark.parametrize("gain", [0.02, 0.3])
def test_a_whisper_is_heard(gain: float, noise_db: float) -> None:
    rng = np.random.default_rng(3)
    samples = np.pad(syllables_from(rng.normal(size=4 * RATE_HZ), rng), (RATE_HZ, RATE_HZ))
    samples = gain * (samples / np.abs(samples).max() + 10 ** (noise_db / 20) * rng.normal(size=len(samples)))
    gate = speech_gate(samples.astype(np.float32), 150)
    assert gate[27:123].mean() > 0.97
    assert gate[:20].max() == 0.0 and gate[135:].max() == 0.0


def test_a_voice_too_deep_for_the_pitch_search_is_heard() -> None:
    rng = np.random.default_rng(4)
    pulses = np.zeros(4 * RATE_HZ)
    at = np.cumsum(rng.integers(290, 340, size=240))  # 47 .. 55 Hz
    pulses[at[at < len(pulses)]] = 1.0
    samples = syllables_from(pulses, rng)
    gate = speech_gate((0.3 * samples / np.abs(samples).max()).astype(np.float32), 100)
    assert gate[3:97].min() > 0.97


VOICES = {
    "a child": (350, 450, 0.22, 0.3),
    "singing": (200, 400, 0.8, 0.0),
    "a tonal language": (150, 260, 0.2, 0.6),
}
"""Lowest and highest pitch in Hz, seconds a syllable, octaves of glide."""


@pytest.mark.parametrize("voice", VOICES)
def test_a_voice_is_heard_and_never_judged_as_a_whisper(voice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = notes(np.random.default_rng(5), *VOICES[voice])
    samples = (0.1 * samples / np.abs(samples).max()).astype(np.float32)
    n_frames = len(samples) // 640
    gate = speech_gate(samples, n_frames)
    assert gate[2:-2].min() > 0.97
    monkeypatch.setattr("eadnet_core.media.sound.speech_gate._MIN_MOVEMENT", np.inf)
    assert np.array_equal(speech_gate(samples, n_frames), gate)


# ---- real speech


@pytest.mark.parametrize("name", ["english_female.wav", "mandarin_female.wav"])
def test_gate_opens_in_real_speech(media_folder: Path, name: str) -> None:
    audio = read_audio(media_folder / "speech" / name)
    gate, energy = (number(audio.samples, audio.n_frames()) for number in (speech_gate, frame_energy))
    assert 0.6 < gate.mean() < 0.99
    assert energy[gate > 0.9].mean() > 10 * energy[gate < 0.1].mean()
