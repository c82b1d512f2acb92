"""The speech gate: open where somebody speaks, shut in silence, music and noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eadnet_core.media.audio import frame_energy, read_audio
from eadnet_core.media.speech_gate import speech_gate

RATE_HZ = 16_000


def syllables(seconds: float) -> np.ndarray:
    """A voiced, speech-like sound: harmonics of 130 Hz in five bursts a second."""
    time = np.arange(round(RATE_HZ * seconds)) / RATE_HZ
    voice = sum(np.sin(2 * np.pi * 130 * k * time) / k for k in range(1, 18))
    return (0.08 * voice * (0.5 - 0.5 * np.cos(2 * np.pi * 5 * time))).astype(np.float32)


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


# ---- real speech


@pytest.mark.parametrize("name", ["english_female.wav", "mandarin_female.wav"])
def test_gate_opens_in_real_speech(media_folder: Path, name: str) -> None:
    audio = read_audio(media_folder / "speech" / name)
    gate, energy = (number(audio.samples, audio.n_frames()) for number in (speech_gate, frame_energy))
    assert 0.6 < gate.mean() < 0.99
    assert energy[gate > 0.9].mean() > 10 * energy[gate < 0.1].mean()
