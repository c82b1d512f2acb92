"""The motion generator: limits, manner per emotion, blinks, accents, determinism."""

from __future__ import annotations

import time

import numpy as np
import pytest

from eadnet_core.emotion.code import emotion_code
from eadnet_core.motion.generate import LIMITS, generate_motion
from eadnet_core.taxonomy import EMOTIONS, MOTION

YAW, PITCH, ROLL, BLINK, GAZE = 0, 1, 2, MOTION.index("blink"), MOTION.index("gaze_x")
SPEECH_LIKE = np.clip(np.abs(np.sin(np.arange(5000) * 0.9)) * (np.sin(np.arange(5000) * 0.07) > -0.3), 0, 1)


def codes(name: str, n_frames: int, intensity: float = 1.0) -> np.ndarray:
    return np.repeat(emotion_code(name, 0.0 if name == "neutral" else intensity)[None], n_frames, 0)


def track(name: str = "neutral", n_frames: int = 5000, seed: int = 0, **options: float) -> np.ndarray:
    return generate_motion(SPEECH_LIKE[:n_frames], codes(name, n_frames), np.random.default_rng(seed), **options)


@pytest.mark.parametrize("name", EMOTIONS)
def test_pose_stays_within_its_limits(name: str) -> None:
    motion = track(name, head=3.0)
    assert motion.shape == (5000, 8) and motion.dtype == np.float32
    assert (np.abs(motion[:, :5]).max(0) <= LIMITS).all()
    assert LIMITS[YAW] < 0.35 and LIMITS[PITCH] < 0.2 and LIMITS[ROLL] < 0.15
    assert motion[:, BLINK].min() >= 0 and motion[:, BLINK].max() <= 1
    assert np.abs(motion[:, GAZE:]).max() <= 1


def test_natural_amplitude() -> None:
    std = track()[:, :5].std(0)
    np.testing.assert_allclose(std, (0.09, 0.05, 0.035, 0.0075, 0.007), rtol=0.3)


def test_sway_is_slow() -> None:
    yaw = track(n_frames=4096)[:, YAW].astype(np.float64)
    power = np.abs(np.fft.rfft((yaw - yaw.mean()) * np.hanning(len(yaw)))) ** 2
    frequency = np.fft.rfftfreq(len(yaw), 1 / 25)
    assert power[frequency > 1.5].sum() < 0.01 * power.sum()


def test_zero_head_and_zero_blink_are_exact() -> None:
    still, moving = track("angry", head=0.0), track("angry")
    assert not still[:, :5].any()
    np.testing.assert_array_equal(still[:, BLINK:], moving[:, BLINK:])
    assert not track(blink=0.0)[:, BLINK].any()
    np.testing.assert_array_equal(track(blink=0.0)[:, :5], track()[:, :5])


def test_head_is_linear_below_the_limits() -> None:
    np.testing.assert_allclose(track(head=0.02)[:, :5], 2 * track(head=0.01)[:, :5], rtol=2e-3, atol=1e-6)


def test_same_generator_same_track_and_emotion_changes_no_draw() -> None:
    np.testing.assert_array_equal(track(seed=4), track(seed=4))
    assert np.abs(track(seed=4) - track(seed=5)).max() > 0.05
    np.testing.assert_array_equal(track("happy")[:, GAZE:], track("sad")[:, GAZE:])
    generators = [np.random.default_rng(0) for _ in range(2)]
    for name, generator in zip(("happy", "neutral"), generators, strict=True):
        generate_motion(SPEECH_LIKE, codes(name, 5000), generator, head=0.3, blink=0.1)
    assert generators[0].random() == generators[1].random()


def test_emotions_move_in_their_manner() -> None:
    motion = {name: track(name) for name in EMOTIONS}
    mean = {name: m.mean(0) for name, m in motion.items()}
    speed = {name: np.abs(np.diff(m[:, PITCH])).mean() for name, m in motion.items()}
    assert mean["sad"][PITCH] > mean["neutral"][PITCH] + 0.04
    assert mean["surprised"][PITCH] < mean["neutral"][PITCH] - 0.03
    assert mean["contempt"][PITCH] < mean["neutral"][PITCH] - 0.03 and mean["contempt"][ROLL] > 0.03
    assert motion["sad"][:, YAW].std() < 0.75 * motion["neutral"][:, YAW].std()
    assert speed["angry"] > 1.3 * speed["neutral"] > 1.8 * speed["sad"]


def test_half_intensity_is_half_the_posture() -> None:
    full, half, calm = (
        generate_motion(np.zeros(3000), codes("sad", 3000, i), np.random.default_rng(0), head=0.01)[:, PITCH].mean()
        for i in (1.0, 0.5, 0.0)
    )
    assert half - calm == pytest.approx((full - calm) / 2, rel=0.3)


def test_nods_follow_the_voice() -> None:
    silence, clicks = np.zeros(3000), np.zeros(3000)
    onsets = np.arange(40, 2900, 50)
    for offset in range(12):
        clicks[onsets + offset] = 1.0 - offset / 12
    spoken, quiet = (generate_motion(e, codes("angry", 3000), np.random.default_rng(2)) for e in (clicks, silence))
    nod = (spoken - quiet)[:, PITCH]
    around = nod[onsets[:, None] + np.arange(-10, 25)].mean(0)
    assert around.argmax() - 10 in (1, 2, 3)
    assert around.max() > 0.03 and abs(around[:5]).max() < 0.005


def test_blinks_close_fast_fully_and_apart() -> None:
    closure = np.concatenate([track(seed=seed)[:, BLINK] for seed in range(4)])
    starts = np.flatnonzero((closure[1:] > 0.5) & (closure[:-1] <= 0.5))
    assert len(starts) / (len(closure) / 25) == pytest.approx(0.27, abs=0.05)
    assert np.diff(starts).min() >= 12
    assert all(closure[start : start + 6].max() > 0.99 for start in starts[:-1])
    closing = np.mean([closure[s - 5 : s + 1].sum() for s in starts[1:-1]])
    opening = np.mean([closure[s + 3 : s + 9].sum() for s in starts[1:-1]])
    assert opening > closing
    assert (track(blink=3.0)[:, BLINK] > 0.5).mean() > 1.6 * (track()[:, BLINK] > 0.5).mean()


def test_one_frame_and_ten_minutes() -> None:
    assert generate_motion(np.ones(1), codes("fear", 1), np.random.default_rng(0)).shape == (1, 8)
    begin = time.process_time()
    generate_motion(np.resize(SPEECH_LIKE, 15_000), codes("fear", 15_000), np.random.default_rng(0))
    assert time.process_time() - begin < 0.5
