"""Head motion, blinks, gaze and breath without an end."""

from __future__ import annotations

import numpy as np

from eadnet_core.config import FPS
from eadnet_core.emotion.code import emotion_code
from eadnet_core.motion.generate import generate_motion
from eadnet_core.motion.live import BREATH_PITCH, BREATH_S, BREATH_SHIFT, LOOP_FRAMES, LiveMotion
from eadnet_core.taxonomy import MOTION

N = 6000


def codes(n_frames: int, label: str = "neutral", intensity: float = 0.0) -> np.ndarray:
    return np.repeat(emotion_code(label, intensity)[None], n_frames, 0)


def syllables(n_frames: int) -> np.ndarray:
    drawn = np.random.default_rng(1).random(n_frames)
    return np.clip(np.convolve(drawn, np.ones(5) / 5, "same") * 2 - 0.6, 0, 1)


def test_it_does_not_matter_how_many_frames_are_asked_for_at_a_time() -> None:
    energy, code = syllables(400), codes(400, "angry", 1.0)
    one, other = LiveMotion(3, 3), LiveMotion(3, 3)
    whole = one.next(energy, code)
    parts = [other.next(energy[i : i + 7], code[i : i + 7]) for i in range(0, 400, 7)]
    assert np.array_equal(whole, np.concatenate(parts))


def test_it_moves_as_a_clip_does() -> None:
    energy, code = syllables(N), codes(N)
    live, clip = LiveMotion(0, 5).next(energy, code), generate_motion(energy, code, np.random.default_rng(0))
    ratio = live.std(0) / clip.std(0)
    assert (ratio > 0.7).all() and (ratio < 1.4).all()
    assert 0.7 < (live[:, 5] > 0.5).sum() / (clip[:, 5] > 0.5).sum() < 1.4
    assert (np.abs(np.diff(live, axis=0)).max(0) < 2 * np.abs(np.diff(clip, axis=0)).max(0)).all()


def test_loops_go_on_where_they_began() -> None:
    n = LOOP_FRAMES[0] + 200
    track = LiveMotion(5, blink=0.0, gaze=0.0).next(np.zeros(n), codes(n))[:, :5]
    step = np.abs(np.diff(track, axis=0))
    around = slice(LOOP_FRAMES[0] - 3, LOOP_FRAMES[0] + 3)
    assert (step[around] <= step.max(0)).all() and step[around].max() < 0.02


def test_in_silence_it_breathes_blinks_and_looks_around() -> None:
    n = 20 * FPS
    track = LiveMotion(1).next(np.zeros(n), codes(n))
    assert 2 <= np.count_nonzero(np.diff((track[:, 5] > 0.5).astype(int)) == 1) <= 15
    assert len(np.unique(track[:, 6])) > 5
    still = LiveMotion(1, blink=0.0, gaze=0.0)
    still._loops = [np.zeros_like(loop) for loop in still._loops]
    breath = still.next(np.zeros(n), codes(n))[:, MOTION.index("pitch")]
    rises = np.count_nonzero(np.diff(np.sign(breath - breath.mean())) > 0)
    assert abs(rises - 20 / BREATH_S) <= 1.5 and np.ptp(breath) > 0.9 * BREATH_PITCH


def test_nothing_moves_at_amplitude_nothing() -> None:
    track = LiveMotion(1, 3, head=0.0, blink=0.0, gaze=0.0).next(syllables(200), codes(200, "fear", 1.0))
    assert not track.any()


def test_a_nod_follows_an_accent_sooner_where_sound_is_known_ahead() -> None:
    energy = np.zeros(60)
    energy[30:] = 1.0

    def lag(ahead: int) -> float:
        """From an accent to the peak of its nod, in frames; most seeds follow it."""
        found = []
        for seed in range(8):
            motion = [LiveMotion(seed, ahead, blink=0.0, gaze=0.0) for _ in range(2)]
            quiet, loud = (m.next(e, codes(60)) for m, e in zip(motion, (np.zeros(60), energy), strict=True))
            nod = (loud - quiet)[:, MOTION.index("pitch")]
            if nod.max() > 0.01:
                found.append(int(nod.argmax()) - (30 + ahead))
        assert found
        return float(np.median(found))

    assert 4 <= lag(0) <= 7
    assert 0 <= lag(5) <= 2 < lag(3) + 1 < lag(0)


def test_limits_hold_with_the_breath() -> None:
    track = LiveMotion(2, head=2.0).next(syllables(N), codes(N, "surprised", 1.0))
    assert np.abs(track[:, MOTION.index("pitch")]).max() <= 0.19 + BREATH_PITCH
    assert np.abs(track[:, MOTION.index("shift_y")]).max() <= 0.03 + 2 * BREATH_SHIFT
