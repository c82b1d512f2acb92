"""Motions read off somebody: as records, as files, and as what drives a clip."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from eadnet_core.emotion.code import emotion_code
from eadnet_core.errors import BadInput
from eadnet_core.motion.driving import (
    SEAM_FRAMES,
    Driving,
    DrivingOptions,
    driven,
    driven_codes,
    driving_notes,
    fitted,
    held_back,
)
from eadnet_core.motion.generate import LIMITS, generate_motion
from eadnet_core.motion.record import EXPRESSION, Motion
from eadnet_core.motion.record_file import SCHEMA, read_motion, schema, write_motion
from eadnet_core.taxonomy import MOTION

COLUMN = {name: number for number, name in enumerate(MOTION)}


def swaying(n_frames: int = 50, fps: float = 25.0) -> Motion:
    time_s = np.arange(n_frames) / fps
    tracks = {"yaw": 8 * np.sin(2 * np.pi * 0.5 * time_s), "pitch": 4 * np.cos(2 * np.pi * 0.5 * time_s)}
    tracks |= {"roll": 2 * np.sin(2 * np.pi * 0.3 * time_s), "gaze_x": np.sign(np.sin(3 * time_s)) / 2}
    tracks["blink"] = (np.arange(n_frames) % 20 < 4).astype(float)
    return Motion(tracks, fps, "clip.mp4", ("a note",))


def made(n_frames: int) -> np.ndarray:
    codes = np.tile(emotion_code("neutral", 0.0), (n_frames, 1))
    return generate_motion(np.zeros(n_frames), codes, np.random.default_rng(1))


def drive(motion: Motion, n_frames: int, **options: Any) -> np.ndarray:
    return driven(made(n_frames), Driving(motion, DrivingOptions(**options)))


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_a_file_holds_what_was_written(tmp_path: Path, suffix: str) -> None:
    motion = swaying()
    path = write_motion(tmp_path / f"m{suffix}", motion)
    read = read_motion(path)
    assert (read.fps, read.source, read.notes) == (motion.fps, motion.source, motion.notes)
    assert set(read.tracks) == set(motion.tracks)
    for name, values in motion.tracks.items():
        np.testing.assert_allclose(read.tracks[name], values, atol=1e-4)
    with pytest.raises(BadInput, match="exists already"):
        write_motion(path, motion)
    write_motion(path, motion, overwrite=True)


def test_the_schema_beside_the_code_is_that_of_the_code() -> None:
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == schema()


def _values(**changes: Any) -> dict[str, Any]:
    return {"eadnet_motion": 1, "fps": 25.0, "tracks": {"yaw": [0.0, 1.0]}, **changes}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (_values(tracks={"yaw": [0.0], "pitch": [0.0, 1.0]}), "'pitch' of the motion has 2 frames, but 'yaw' has 1"),
        (_values(tracks={"blink": [0.0, 1.5]}), "'blink' of the motion is 1.5 in frame 1; give 0 .. 1"),
        (_values(tracks={"twist": [0.0]}), "tracks.twist"),
        (_values(tracks={}), "tracks"),
        (_values(fps=0), "fps"),
        (_values(eadnet_motion=2), "eadnet_motion"),
        (_values(more=1), "more"),
        ([], "the file"),
    ],
)
def test_a_bad_file_is_refused_and_says_where(tmp_path: Path, values: Any, said: str) -> None:
    path = tmp_path / "m.json"
    path.write_text(json.dumps(values))
    with pytest.raises(BadInput, match=said):
        read_motion(path)


def test_what_is_no_motion_is_refused(tmp_path: Path) -> None:
    for name, data, said in (
        ("a.json", b"{", "cannot be used"),
        ("b.safetensors", b"nonsense", "cannot be read"),
        ("c.txt", b"", "must end in"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(BadInput, match=said):
            read_motion(tmp_path / name)
    save_file({"yaw": torch.zeros(3, dtype=torch.bfloat16)}, tmp_path / "d.safetensors", {"eadnet_motion": "1"})
    with pytest.raises(BadInput, match="cannot be read"):
        read_motion(tmp_path / "d.safetensors")
    with pytest.raises(BadInput):
        read_motion(tmp_path / "missing.json")


def test_another_rate_keeps_the_time() -> None:
    """A sway of half a Hertz at 30 frames per second is the same sway at 25."""
    there, here = swaying(90, 30.0).at_rate(25), swaying(75, 25.0)
    assert there.n_frames == 75 and there.duration_s == pytest.approx(3.0)
    offset = 0.5 / 25 - 0.5 / 30  # `swaying` samples the start of each frame, a rate is changed about the middles
    wanted = 8 * np.sin(np.pi * (np.arange(75) / 25 + offset))
    np.testing.assert_allclose(there.tracks["yaw"][1:-1], wanted[1:-1], atol=0.05)
    assert here.digest() != there.digest() == swaying(90, 30.0).at_rate(25).digest()


def test_strength_mixes_and_parts_are_left_out() -> None:
    motion, own = swaying(), made(50)
    alone = drive(motion, 50, smoothing_s=0.0)
    np.testing.assert_allclose(np.degrees(alone[:, COLUMN["yaw"]]), motion.tracks["yaw"], atol=1e-3)
    np.testing.assert_allclose(alone[:, COLUMN["blink"]], motion.tracks["blink"])
    assert not alone[:, [COLUMN["shift_x"], COLUMN["shift_y"]]].any()
    np.testing.assert_array_equal(alone[:, COLUMN["gaze_y"]], own[:, COLUMN["gaze_y"]])
    half = drive(motion, 50, smoothing_s=0.0, strength=0.5)
    np.testing.assert_allclose(half[:, :3], (alone[:, :3] + own[:, :3]) / 2, atol=1e-6)
    np.testing.assert_array_equal(drive(motion, 50, strength=0.0)[:, :5], own[:, :5])
    gaze = drive(motion, 50, take=("gaze",))
    np.testing.assert_array_equal(np.delete(gaze, COLUMN["gaze_x"], 1), np.delete(own, COLUMN["gaze_x"], 1))
    twice = drive(motion, 50, smoothing_s=0.0, scale=1.5)
    np.testing.assert_allclose(twice[:, COLUMN["roll"]], 1.5 * alone[:, COLUMN["roll"]], atol=1e-6)


def test_smoothing_takes_the_jitter_and_leaves_the_sway() -> None:
    motion = swaying(100)
    jitter = np.random.default_rng(0).normal(0, 1.0, 100)
    shaken = replace(motion, tracks={**motion.tracks, "yaw": motion.tracks["yaw"] + jitter})
    error = [
        np.degrees(drive(shaken, 100, smoothing_s=s)[:, COLUMN["yaw"]]) - motion.tracks["yaw"] for s in (0.0, 0.12)
    ]
    assert error[1].std() < 0.6 * error[0].std()


def test_a_head_that_turns_too_far_is_held_back_and_it_is_said() -> None:
    far = Motion({"yaw": np.linspace(-40.0, 40.0, 50)})
    yaw = drive(far, 50, smoothing_s=0.0)[:, COLUMN["yaw"]]
    assert np.abs(yaw).max() <= LIMITS[0] and (np.diff(yaw) > 0).all()
    assert any("yaw reaches 40 degrees and is held back to 19" in note for note in driving_notes(Driving(far), 50))
    assert not any("held back" in note for note in driving_notes(Driving(swaying()), 50))
    small = np.linspace(-0.1, 0.1, 9)
    np.testing.assert_array_equal(held_back(small, 0.34), small)


@pytest.mark.parametrize("length", ["hold", "loop", "bounce"])
def test_a_short_performance_goes_on_without_a_jump(length: str) -> None:
    motion = swaying(40)
    track = drive(motion, 130, length=length, smoothing_s=0.0)
    step = np.abs(np.diff(np.degrees(track[:, COLUMN["yaw"]]))).max()
    assert step < 2.5 * np.abs(np.diff(motion.tracks["yaw"])).max()
    tail = track[40 + SEAM_FRAMES :]
    if length == "hold":
        np.testing.assert_allclose(tail[:, :3], np.tile(tail[0, :3], (len(tail), 1)), atol=1e-6)
        np.testing.assert_array_equal(tail[:, COLUMN["blink"]], made(130)[40 + SEAM_FRAMES :, COLUMN["blink"]])
    else:
        assert np.degrees(tail[:, COLUMN["yaw"]]).std() > 3.0
    assert any("lasts 1.60 s of 5.20 s" in note for note in driving_notes(Driving(motion), 130))


def test_loops_of_any_length_have_the_frames_that_are_asked_for() -> None:
    for n in (1, 2, 3, 7, 60):
        for length in ("hold", "loop", "bounce"):
            laid = fitted(np.arange(n, dtype=float), 150, length)
            assert len(laid) == 150 and laid.min() >= 0 and laid.max() <= n - 1


def test_an_expression_is_mixed_into_the_codes() -> None:
    happy = {name: np.full(10, value) for name, value in zip(EXPRESSION, emotion_code("happy", 0.8), strict=True)}
    motion, sad = Motion(happy), np.tile(emotion_code("sad", 1.0), (25, 1))
    driving = Driving(motion, DrivingOptions(strength=0.5, take=("expression",)))
    np.testing.assert_allclose(
        driven_codes(sad, driving)[20], (emotion_code("sad", 1.0) + emotion_code("happy", 0.8)) / 2, atol=1e-6
    )
    assert driven_codes(sad, Driving(motion)) is sad


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"strength": 1.5}, "strength of the performance is 1.5"),
        ({"strength": float("nan")}, "strength"),
        ({"scale": -1}, "scale"),
        ({"take": ("hands",)}, "'hands'; give some of head, gaze, blinks, expression"),
        ({"take": ()}, "nothing"),
        ({"length": "stop"}, "hold, loop, bounce"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        DrivingOptions(**options)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Motion({}),
        lambda: Motion({"yaw": np.array([np.nan])}),
        lambda: Motion({"yaw": np.zeros(2)}, fps=1000.0),
        lambda: Motion({"yaw": np.zeros((2, 2))}),
    ],
)
def test_a_record_that_cannot_be_is_refused(make: Callable[[], Motion]) -> None:
    with pytest.raises(BadInput):
        make()
