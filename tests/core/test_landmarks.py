"""Landmarks: where they lie, as lines, masks and measures, and what `score` says by them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from eadnet_core.config import EYE_HALF_DISTANCE, EYE_LINE_Y, MOUTH_Y
from eadnet_core.media.face.crop import FaceCrop, crop
from eadnet_core.media.face.find import find_faces, geometry_of
from eadnet_core.media.face.landmark_masks import (
    MASKS,
    in_frame,
    landmark_masks,
    lid_opening,
    lip_opening,
)
from eadnet_core.media.face.landmarks import LEFT_EYE, RIGHT_EYE, Landmarks, read_landmarks
from eadnet_core.metrics.followed import FaceFollower, follow_face
from eadnet_core.metrics.landmarks import score_landmarks
from eadnet_core.weights.folders import ASSETS

MOUTH = (13, 14)


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    return np.asarray(Image.open(ASSETS / "sample" / "portrait.png").convert("RGB"))


@pytest.fixture(scope="module")
def found(portrait: np.ndarray) -> Landmarks:
    landmarks = find_faces(portrait)[0].landmarks
    assert landmarks is not None
    return landmarks


def test_the_frame_has_the_eyes_where_nets_expect_them(portrait: np.ndarray, found: Landmarks) -> None:
    points = in_frame(found.xy, found.frame())
    left, right = (points[list(eye)].mean(0) for eye in (LEFT_EYE, RIGHT_EYE))
    assert left == pytest.approx([0.5 - EYE_HALF_DISTANCE, EYE_LINE_Y], abs=0.01)
    assert right == pytest.approx([0.5 + EYE_HALF_DISTANCE, EYE_LINE_Y], abs=0.01)
    assert points[list(MOUTH)].mean(0) == pytest.approx([0.5, MOUTH_Y], abs=0.05)
    assert geometry_of(find_faces(portrait)[0]).side_px == pytest.approx(found.frame().side_px, rel=1e-3)


@pytest.mark.parametrize("turn", [0.0, 0.5, -1.0])
def test_landmarks_turn_with_the_picture(portrait: np.ndarray, found: Landmarks, turn: float) -> None:
    tilted = np.asarray(Image.fromarray(portrait).rotate(math.degrees(-turn), Image.Resampling.BICUBIC))
    frame, middle = found.frame(), np.array([256.0, 256.0])
    cos, sin = math.cos(turn), math.sin(turn)
    spin = np.array([[cos, -sin], [sin, cos]])
    x, y = spin @ (np.array(frame.center) - middle) + middle
    again = read_landmarks(tilted, [FaceCrop(x, y, frame.side_px, frame.angle + turn)])[0]
    apart = np.linalg.norm(np.diff(found.eyes, axis=0))
    assert np.linalg.norm(again.xy - ((found.xy - middle) @ spin.T + middle), axis=1).mean() < 0.03 * apart
    assert again.presence > 0.95


def test_where_no_face_is_nothing_is_present(portrait: np.ndarray) -> None:
    seen = read_landmarks(portrait, [FaceCrop(60.0, 60.0, 100.0), FaceCrop(-900.0, 0.0, 100.0)])
    assert all(one.presence < 0.5 for one in seen)
    assert read_landmarks(portrait, []) == []


def test_a_lost_face_is_looked_for_at_the_first_place(portrait: np.ndarray, found: Landmarks) -> None:
    wall = np.full_like(portrait, 90)
    follower = FaceFollower(found.frame())
    track = [follower.look(picture) for picture in (portrait, wall, wall, portrait)]
    assert [points is not None for points in track] == [True, False, False, True]
    assert np.abs(track[3] - found.points).mean() < 0.03 * np.linalg.norm(np.diff(found.eyes, axis=0))


def test_a_picture_that_repeats_has_the_same_landmarks(portrait: np.ndarray) -> None:
    first, second, moved = follow_face([portrait, portrait.copy(), np.roll(portrait, 3, 1)])
    np.testing.assert_array_equal(first, second)
    assert float((moved - first)[:, 0].mean()) == pytest.approx(3, abs=1)


def test_masks_hold_what_they_say(found: Landmarks) -> None:
    points = in_frame(found.xy, found.frame())
    masks = landmark_masks(points, 128)
    assert tuple(masks) == MASKS and all(mask.shape == (128, 128) for mask in masks.values())
    assert float((masks["lips"] * masks["mouth"]).max()) < 0.5
    for name in ("lips", "lids"):
        assert float((masks[name] * (1 - masks["face"])).mean()) < 0.002
    eye = (points[list(LEFT_EYE)].mean(0) * 128).astype(int)
    assert masks["lids"][eye[1], eye[0]] == 1 and masks["face"][64, 64] == 1 and masks["face"][2, 2] == 0
    opened = points.copy()
    opened[[14, 87, 317, 178, 402], 1] += 0.06
    assert landmark_masks(opened, 128)["mouth"].sum() > masks["mouth"].sum() + 50


def test_measures_are_shares_of_the_face(found: Landmarks) -> None:
    points = found.points.copy()
    closed = float(lip_opening(points))
    apart = np.linalg.norm(np.diff(found.eyes[:, :2], axis=0))
    points[[14, 87, 317], 1] += 0.2 * apart
    assert float(lip_opening(points)) == pytest.approx(closed + 0.2, abs=0.03)
    assert float(lip_opening(3 * points)) == pytest.approx(float(lip_opening(points)))
    assert 0.1 < float(lid_opening(points)) < 0.6
    assert lid_opening(np.stack([points, points])).shape == (2,)


def test_score_tells_amplitude_and_speed(found: Landmarks) -> None:
    track = []
    for gap in (0.0, 0.3, 0.0, 0.3, 0.0, 0.3, 0.0, 0.3):
        points = found.points.copy()
        points[[14, 87, 317], 1] += gap * np.linalg.norm(np.diff(found.eyes[:, :2], axis=0))
        track.append(points)
    scores = score_landmarks(track)
    assert scores.face_found == 1 and scores.lip_amplitude == pytest.approx(0.3, abs=0.03)
    assert scores.lip_speed == pytest.approx(0.3, abs=0.03) and scores.lid_closed == pytest.approx(1)
    missing = score_landmarks([*track[:2], *[None] * 6])
    assert missing.face_found == 0.25 and math.isnan(missing.lip_amplitude)
    assert score_landmarks([]).face_found == 0


def test_landmarks_of_a_cut_frame_are_those_of_the_picture(portrait: np.ndarray, found: Landmarks) -> None:
    cut = crop(portrait, found.frame(), 128)
    again = read_landmarks(cut, [FaceCrop(64.0, 64.0, 128.0)])[0]
    assert np.abs(again.xy / 128 - in_frame(found.xy, found.frame())).mean() < 0.012
