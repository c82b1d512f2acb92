"""A motion edited by hand: points, smoothing and blinks on top of it, and hostile edits that are one line."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from eadnet_core.config import FPS
from eadnet_core.errors import BadInput
from eadnet_core.motion.edits import REACH_S, LaneEdit, MotionEdits, blinks_of
from eadnet_core.motion.generate import blink_closure
from eadnet_core.motion.record import Motion

N_FRAMES = 100
TIMES_S = (np.arange(N_FRAMES) + 0.5) / FPS


@pytest.fixture
def motion() -> Motion:
    """Four seconds: a head that sways with a tremor, and blinks at 1 and 3 s."""
    rng = np.random.default_rng(0)
    blink = np.maximum(blink_closure(TIMES_S - 1.0), blink_closure(TIMES_S - 3.0))
    return Motion({"yaw": 5 * np.sin(TIMES_S) + rng.normal(0, 1, N_FRAMES), "blink": blink}, FPS, "clip")


def edited(motion: Motion | None, duration_s: float = 0.0, **lanes: Any) -> Motion:
    return MotionEdits.parse(json.dumps(lanes)).on(motion, duration_s)


def test_nothing_edited_is_the_motion_itself(motion: Motion) -> None:
    assert edited(motion) is motion
    assert MotionEdits.parse("  ").on(motion, 9.0) is motion
    assert edited(motion, yaw={"points": [], "smooth_s": 0}) is motion


def test_a_point_moves_what_is_near_it_and_nothing_else(motion: Motion) -> None:
    made = edited(motion, yaw={"points": [[2.0, 10]]})
    change = made.tracks["yaw"] - motion.tracks["yaw"]
    assert abs(change[np.abs(TIMES_S - 2.0).argmin()] - 10) < 0.2
    assert np.abs(change[np.abs(TIMES_S - 2.0) > REACH_S]).max() < 1e-5
    assert np.array_equal(made.tracks["blink"], motion.tracks["blink"]) and made.source == "clip, edited"


def test_a_change_goes_through_all_its_points_and_jumps_nowhere() -> None:
    fine = np.linspace(0, 6, 6001)
    for apart in (0.1, REACH_S, 1.0, 2 * REACH_S, 2 * REACH_S + 1e-6, 3.0):
        change = LaneEdit(points=((1.0, 4.0), (1.0 + apart, -2.0))).change(fine)
        assert abs(change[1000] - 4.0) < 1e-9
        assert abs(float(np.interp(1.0 + apart, fine, change)) + 2.0) < 0.02
        assert np.abs(np.diff(change)).max() < 0.1 * max(1.0, 1.0 / apart)
    near, far = (LaneEdit(points=((1.0, 4.0), (1.0 + a, 4.0))).change(fine) for a in (1.1999, 1.2001))
    assert np.abs(near - far).max() < 0.01


def test_a_smooth_lane_trembles_less(motion: Motion) -> None:
    made = edited(motion, yaw={"smooth_s": 0.3})
    assert np.abs(np.diff(made.tracks["yaw"])).mean() < 0.4 * np.abs(np.diff(motion.tracks["yaw"])).mean()


def test_blinks_come_and_go(motion: Motion) -> None:
    made = edited(motion, blinks={"add": [2.0], "remove": [1.02]})
    times = [float(TIMES_S[first:last].mean()) for first, last in blinks_of(made.tracks["blink"])]
    assert np.abs(np.array(times) - [2.0, 3.0]).max() < 0.05
    assert made.tracks["blink"][np.abs(TIMES_S - 1.0) < 0.3].max() < 0.05


def test_edits_alone_make_a_motion_as_long_as_the_sound() -> None:
    made = edited(None, 4.0, pitch={"points": [[1.0, 6]]}, blinks={"add": [2.0]})
    assert made.n_frames == N_FRAMES and set(made.tracks) == {"yaw", "pitch", "roll", "blink"}
    assert made.tracks["pitch"].max() > 5.9 and not made.tracks["yaw"].any()
    gaze = edited(None, 0.0, gaze_x={"points": [[1.0, 0.5]]})
    assert set(gaze.tracks) == {"gaze_x"} and gaze.duration_s >= 1.0 + REACH_S - 0.04


def test_one_frame_and_other_rates_are_edited_too() -> None:
    one = edited(Motion({"yaw": np.zeros(1)}), yaw={"points": [[0.0, 3]], "smooth_s": 1.0}, blinks={"remove": [0.0]})
    assert one.n_frames == 1 and 2.5 < one.tracks["yaw"][0] < 3.0
    half = edited(Motion({"yaw": np.zeros(50)}, 12.5), yaw={"points": [[2.0, 3]]})
    assert half.fps == FPS and half.n_frames == 100


def test_points_beyond_what_a_head_can_do_are_held(motion: Motion) -> None:
    wide = Motion({"yaw": np.full(50, 170.0), "gaze_x": np.full(50, 1.9)})
    made = edited(wide, yaw={"points": [[1.0, 45]]}, gaze_x={"points": [[1.0, 1]]})
    assert made.tracks["yaw"].max() == 180 and made.tracks["gaze_x"].max() == 2


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "5",
        "{",
        "[" * 200_000,
        '{"ears": {}}',
        '{"yaw": []}',
        '{"yaw": {"points": {}}}',
        '{"yaw": {"points": [[1]]}}',
        '{"yaw": {"points": [[1, "5"]]}}',
        '{"yaw": {"points": [[1, NaN]]}}',
        '{"yaw": {"points": [[-1, 5]]}}',
        '{"yaw": {"points": [[1e99, 5]]}}',
        '{"yaw": {"points": [[1, 900]]}}',
        '{"yaw": {"smooth_s": 9}}',
        '{"yaw": {"smooth_s": true}}',
        '{"yaw": {"curve": 1}}',
        '{"blinks": {"add": [Infinity]}}',
        '{"blinks": {"add": 1}}',
        json.dumps({"blinks": {"add": list(range(3000))}}),
    ],
)
def test_hostile_edits_are_one_line(text: str) -> None:
    with pytest.raises(BadInput, match="motion_edits") as caught:
        MotionEdits.parse(text)
    assert len(str(caught.value)) < 300 and "\n" not in str(caught.value)
