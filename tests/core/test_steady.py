"""Alphas of a video over time: edges rest where the picture does, and what moves leaves no trail."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from eadnet_core.generation.mask_video import masks_over_time
from eadnet_core.media.face.crop import FaceCrop
from eadnet_core.media.face.steady import N_BEFORE, Found, Steady
from eadnet_core.media.face.subject import Subject
from eadnet_core.media.image import read_image
from eadnet_core.weights.folders import ASSETS

N_FRAMES = 12


@pytest.fixture
def found() -> list[Found]:
    """A grey picture with a little noise, and an edge that trembles; from the sixth on the right half is another."""
    rng = np.random.default_rng(0)
    frames = []
    for number in range(N_FRAMES):
        picture = 120 + rng.normal(0, 2, (24, 40, 3))
        picture[:, 20:] += 60 * (number >= 6)
        alpha = np.full((24, 40), 128) + rng.integers(-40, 41, (24, 40))
        alpha[:, 20:] = 255 if number >= 6 else 0
        frames.append((picture.clip(0, 255).astype(np.uint8), alpha.astype(np.uint8)))
    return frames


def flicker(alphas: list[np.ndarray]) -> float:
    return float(np.abs(np.diff(np.stack(alphas).astype(float), axis=0)).mean())


def test_an_edge_trembles_less_where_the_picture_rests(found: list[Found]) -> None:
    steady = Steady(lambda number: found[number])
    made = [steady.at(number) for number in range(N_FRAMES)]
    assert flicker([a[:, :16] for a in made]) < 0.4 * flicker([a[:, :16] for _, a in found])
    assert abs(float(np.mean([a[:, :16] for a in made])) - 128) < 2


def test_what_changes_keeps_its_own_alpha(found: list[Found]) -> None:
    steady = Steady(lambda number: found[number])
    made = [steady.at(number) for number in range(N_FRAMES)]
    assert (made[5][:, 24:] == 0).all() and (made[6][:, 24:] == 255).all()


def test_a_frame_is_the_same_wherever_one_begins(found: list[Found]) -> None:
    in_order = Steady(lambda number: found[number])
    made = [in_order.at(number) for number in range(N_FRAMES)]
    looked: list[int] = []
    later = Steady(lambda number: looked.append(number) or found[number])  # type: ignore[func-returns-value]
    for number in (9, 10, 3):
        assert np.array_equal(later.at(number, found[number]), made[number])
    assert looked == [*range(8, 8 - N_BEFORE, -1), 2, 1, 0], "a frame that was kept was looked at again"


def test_frames_of_other_sizes_and_single_ones_are_left_as_they_are(found: list[Found]) -> None:
    small = np.zeros((8, 8, 3), np.uint8), np.full((8, 8), 77, np.uint8)
    frames = [found[0], small]
    steady = Steady(lambda number: frames[number])
    assert np.array_equal(steady.at(0), found[0][1])
    assert np.array_equal(steady.at(1), small[1])


def test_a_frame_without_a_face_has_no_mask_and_takes_none() -> None:
    picture: Any = read_image(ASSETS / "sample" / "portrait.png")[::4, ::4]
    side = float(picture.shape[0])
    face = FaceCrop(picture.shape[1] / 2, side / 2, 0.9 * side)
    subject = Subject(np.stack([picture] * 3), (face, None, face))
    first, missed, last = (masks["face"] for masks in masks_over_time(subject, ("face",)))
    assert first.max() == 255 and missed.max() == 0
    assert np.array_equal(first, last)
