"""Head motion, blinks and gaze that follow the rhythm of speech and the emotion: one generator for corpus and use.

Our design, procedural: the same distribution trains the network and drives it, so that the amplitude of head and
blinks is the user's to choose.
"""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
from numpy.typing import NDArray

from ..config import FPS
from ..emotion.code import AROUSAL, INTENSITY
from ..taxonomy import EMOTION_RECORDS, EMOTIONS, MOTION
from .style import AVERAGE, Traits

Floats = NDArray[np.floating]

SWAY_STD = np.array([0.095, 0.045, 0.036, 0.008, 0.007])
"""Standard deviation of the sway at head = 1: yaw, pitch, roll (radians), shifts (frame widths)."""
LIMITS = np.array([0.34, 0.19, 0.145, 0.03, 0.03])
"""Soft limits of the pose: it never turns or moves further than this."""
SLOW_HZ, QUICK_HZ = (0.08, 0.3), (0.3, 0.8)
"""Bands of the sway; an emotion's tempo is the share of the quick one."""
TREMOR_HZ = (3.0, 7.0)
NOD = 0.08
"""Pitch of the nod on a strong accent of the voice, radians."""
ACCENT_SHARE = 0.6
"""Share of the accents that the head follows."""
ACCENT_RISE = (0.25, 0.7)
"""Rise of energy from one frame to the next where an accent begins to count, and where it counts in full."""
SOFT_NOD_FRAMES, SHARP_NOD_FRAMES, NOD_DELAY_FRAMES = 13, 7, 2
BLINKS_PER_S = 0.32
REFRACTORY_S = 0.5
CLOSING_S, CLOSED_S, OPENING_S = 0.07, 0.04, 0.13
"""The lids close faster than they open; closed for a frame, so that every blink shows one."""
SACCADES_PER_S = 0.7
GAZE_STD = (0.25, 0.14)


_MANNERS = np.array([astuple(record.manner) for record in EMOTION_RECORDS])


def generate_motion(
    energy: Floats,
    code: Floats,
    generator: np.random.Generator,
    head: float = 1.0,
    blink: float = 1.0,
    gaze: float = 1.0,
    traits: Traits = AVERAGE,
) -> NDArray[np.float32]:
    """A motion track relative to the portrait, columns `taxonomy.MOTION`.

    The draws do not depend on code, head, blink, gaze or traits: the same generator state and energy give the same
    sway, accents and blink times, and only their manner and size change.

    energy   [T]      loudness of the voice per frame, 0 .. 1
    code     [T, 27]  emotion codes
    head     amplitude of pose, shift, nods and posture: 0 none, 1 natural; linear up to the soft limits
    blink    blink rate relative to natural: 0 none
    gaze     amplitude of the gaze's jumps: 0 none, 1 natural; no further than the eyes can turn
    traits   style of the speaker
    returns  [T, 8]
    """
    n_frames = len(energy)
    posture, (amplitude, tempo, nod, sharpness, tremor) = manner_of(code, traits)
    pose = posture + _sway(n_frames, tempo, generator) * amplitude[:, None]
    pose[:, 1] += NOD * nod * _nods(energy, sharpness, generator, ACCENT_SHARE + traits.more_nods)
    pose[:, :3] += tremor[:, None] * band_noise(n_frames, 3, TREMOR_HZ, generator)
    track = np.zeros((n_frames, len(MOTION)), np.float32)
    track[:, :5] = LIMITS * np.tanh(head * pose / LIMITS)
    track[:, 5] = _blinks(blinks_hz(code, blink, traits), generator)
    eyes = traits.factor("gaze")
    track[:, 6:] = np.clip(gaze * eyes * _gaze(n_frames, SACCADES_PER_S * eyes, generator), -1.0, 1.0)
    return track


def blinks_hz(code: Floats, blink: float, traits: Traits = AVERAGE) -> Floats:
    """Blinks per second [T] of somebody with emotion codes [T, 27]; the rest as of `generate_motion`."""
    rate_hz = BLINKS_PER_S * blink * (1.0 + 0.4 * np.clip(code[:, AROUSAL], -1.0, 1.0))
    return rate_hz * traits.factor("blinks")


def manner_of(code: Floats, traits: Traits = AVERAGE) -> tuple[Floats, Floats]:
    """How a head is held and moves with emotion codes [T, 27]: posture [T, 5], and amplitude, tempo, nod, sharpness and
    tremor [5, T]."""
    weight = code[:, : len(EMOTIONS)] * np.clip(code[:, INTENSITY : INTENSITY + 1], 0.0, 1.0)
    manner = _MANNERS[EMOTIONS.index("neutral")] + weight @ (_MANNERS - _MANNERS[EMOTIONS.index("neutral")])
    amplitude, tempo, nod, sharpness, tremor = manner[:, 5:].T
    amplitude, nod = amplitude * traits.factor("gestures"), nod * traits.factor("nods")
    return manner[:, :5], np.stack([amplitude, tempo + traits.more_tempo, nod, sharpness, tremor])


def band_noise(n_frames: int, n_tracks: int, band_hz: tuple[float, float], generator: np.random.Generator) -> Floats:
    """Gaussian noise [T, n_tracks] of unit variance within a band, smooth where the band is low."""
    # The surplus keeps the end from running into the beginning; a power of two keeps the transform quick.
    length = 1 << (n_frames + round(2 * FPS / band_hz[0]) - 1).bit_length()
    frequency = np.fft.rfftfreq(length, 1.0 / FPS)
    low, high = band_hz
    octaves = np.log(np.maximum(frequency, 1e-3) / np.sqrt(low * high)) / np.log(high / low)
    gain = np.exp(-4.0 * octaves**2)
    gain *= np.sqrt(length / (2.0 * np.sum(gain**2)))
    spectrum = np.fft.rfft(generator.normal(size=(n_tracks, length)))
    return np.fft.irfft(spectrum * gain, length)[:, :n_frames].T


def _sway(n_frames: int, tempo: Floats, generator: np.random.Generator) -> Floats:
    """Slow and quick noise mixed by `tempo` [T], with standard deviations SWAY_STD; [T, 5]."""
    slow, quick = (band_noise(n_frames, len(SWAY_STD), band, generator) for band in (SLOW_HZ, QUICK_HZ))
    share = np.clip(tempo, 0.0, 1.0)[:, None]
    return (np.sqrt(1.0 - share) * slow + np.sqrt(share) * quick) * SWAY_STD


def accents(energy: Floats) -> Floats:
    """Stress on each frame of a voice [T], 0 .. 1: how far its energy rises there, 0 but where that is steepest.

    >>> accents(np.array([0.0, 0.0, 0.3, 1.0, 1.0])).tolist()
    [0.0, 0.0, 0.0, 1.0, 0.0]
    """
    rise = np.maximum(np.diff(energy, prepend=energy[:1]), 0.0)
    around = np.pad(rise, 1)
    is_peak = (rise >= around[:-2]) & (rise > around[2:])
    low, high = ACCENT_RISE
    return np.where(is_peak, np.clip((rise - low) / (high - low), 0.0, 1.0), 0.0)


def _nods(energy: Floats, sharpness: Floats, generator: np.random.Generator, share: float) -> Floats:
    """Bumps [T], 0 .. 1, that peak just after a share of the accents of the voice's energy."""
    n_frames = len(energy)
    is_followed = generator.random(n_frames) < share
    strength = generator.uniform(0.5, 1.1, n_frames)
    followed = np.where(is_followed, accents(energy) * strength, 0.0)
    soft, sharp = (bumps(followed, width) for width in (SOFT_NOD_FRAMES, SHARP_NOD_FRAMES))
    return np.minimum(soft + np.clip(sharpness, 0.0, 1.0) * (sharp - soft), 1.0)


def bumps(accents: Floats, width: int) -> Floats:
    """A smooth bump of so many frames [T] for each accent, as high, which peaks NOD_DELAY_FRAMES after it."""
    start = width // 2 - NOD_DELAY_FRAMES
    return np.convolve(accents, np.hanning(width + 2)[1:-1])[start : start + len(accents)]


def _blinks(rate_hz: Floats, generator: np.random.Generator) -> Floats:
    """Closure of the lids [T] from a Poisson process of rate [T] with a pause after each blink."""
    n_frames = len(rate_hz)
    duration_s = CLOSING_S + CLOSED_S + OPENING_S
    lead = int(np.ceil(duration_s * FPS))  # a blink may be under way at the first frame
    draws, phases = generator.random((2, n_frames + lead))
    started = np.flatnonzero(draws < np.pad(rate_hz, (lead, 0), mode="edge") / FPS)
    closure = np.zeros(n_frames + 2 * lead)
    earliest_s = -np.inf
    for frame in started:
        start_s = (frame + phases[frame]) / FPS
        if start_s >= earliest_s:
            earliest_s = start_s + duration_s + REFRACTORY_S
            frames = np.arange(frame, frame + lead + 1)[: len(closure) - frame]
            since_s = (frames + 0.5) / FPS - start_s
            closing = np.clip(since_s / CLOSING_S, 0.0, 1.0)
            opening = np.clip((duration_s - since_s) / OPENING_S, 0.0, 1.0)
            closure[frames] = np.maximum(closure[frames], ease(np.minimum(closing, opening)))
    return closure[lead : lead + n_frames]


def blink_closure(from_middle_s: Floats) -> Floats:
    """Closure of the lids, 0 .. 1, at times from the middle of the moment in which a blink has shut them.

    >>> blink_closure(np.array([-0.2, 0.0, 0.2])).tolist()
    [0.0, 1.0, 0.0]
    """
    closing = np.clip((from_middle_s + CLOSED_S / 2 + CLOSING_S) / CLOSING_S, 0.0, 1.0)
    opening = np.clip((CLOSED_S / 2 + OPENING_S - from_middle_s) / OPENING_S, 0.0, 1.0)
    return ease(np.minimum(closing, opening))


def ease(values: Floats) -> Floats:
    """From 0 to 1, starting and ending softly."""
    return values * values * (3.0 - 2.0 * values)


def _gaze(n_frames: int, jumps_hz: float, generator: np.random.Generator) -> Floats:
    """Gaze [T, 2] that rests on a point and jumps to the next."""
    jumps = np.flatnonzero(generator.random(n_frames) < jumps_hz / FPS)
    targets = np.clip(generator.normal(size=(n_frames + 1, 2)) * GAZE_STD, -0.8, 0.8)
    return targets[np.searchsorted(jumps, np.arange(n_frames), side="right")]
