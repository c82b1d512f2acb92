"""A painted mouth over a performance: the lip corners come back, and nothing else of the picture changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from eadnet_core.families.load import load_model
from eadnet_core.families.mini import Head
from eadnet_core.media.face.aligned_crop import pasted_share
from eadnet_core.media.face.alignment import aligned_box
from eadnet_core.media.face.crop import FaceCrop, crop
from eadnet_core.media.face.find import locate
from eadnet_core.media.face.framing import SQUARE
from eadnet_core.media.face.landmarks import read_landmarks
from eadnet_core.media.face.painted_mouth import CORNERS, MOST_SHIFT, MouthStyle, corner_shifts, mouth_width, moved
from eadnet_core.media.image import read_image
from eadnet_core.taxonomy import CONTROLS

SIZE_PX = 256
PORTRAIT = Path(__file__).parents[2] / "eadnet_core" / "assets" / "sample" / "portrait.png"


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    """The sample portrait in the training frame as the shipped mini shows it: a smile, and lips apart without one."""
    model: Any = load_model("mini", "cpu")
    still = read_image(PORTRAIT)
    head = Head(model, crop(still, locate(still), 384)[None])
    controls = head.controls.repeat(2, 1)
    controls[:, [CONTROLS.index(name) for name in ("AU25", "jaw", "open")]] += 0.3
    controls[0, [CONTROLS.index(name) for name in ("AU6", "AU12")]] = 1.0
    with torch.inference_mode():
        return head.decode(controls, torch.zeros(2, 8))


@pytest.fixture(scope="module")
def picture(faces: np.ndarray) -> np.ndarray:
    """What was performed."""
    return faces[0]


@pytest.fixture(scope="module")
def face() -> FaceCrop:
    return FaceCrop(192.0, 192.0, 384.0)


@pytest.fixture(scope="module")
def painted(faces: np.ndarray, face: FaceCrop) -> np.ndarray:
    """What a base would paint that hears no emotion: a square."""
    return SQUARE.cut(faces[1], face, SIZE_PX)


def laid(style: MouthStyle, picture: np.ndarray, face: FaceCrop, square: np.ndarray) -> np.ndarray:
    return style.framing.paster(picture, face, SIZE_PX, "mouth")(square)


def share_of(picture: np.ndarray, face: FaceCrop) -> np.ndarray:
    """How much the plain paste takes of each pixel, [H, W]."""
    rows, columns = slice(0, picture.shape[0]), slice(0, picture.shape[1])
    return pasted_share(aligned_box(face), rows, columns, SIZE_PX, "lower").numpy()


def apart(picture: np.ndarray, other: np.ndarray, face: FaceCrop) -> float:
    """How far the lip corners of two pictures lie apart, in widths of the mouth."""
    one, two = (read_landmarks(each, [face])[0].xy for each in (picture, other))
    return float(np.linalg.norm((one - two)[list(CORNERS)], axis=1).mean()) / mouth_width(one)


def test_plain_is_the_paste_of_the_base(picture: np.ndarray, face: FaceCrop, painted: np.ndarray) -> None:
    plain = SQUARE.paster(picture, face, SIZE_PX, "mouth")(painted)
    assert np.array_equal(laid(MouthStyle("base", 0.0, "fixed"), picture, face, painted), plain)
    assert not np.array_equal(laid(MouthStyle("base", 0.0, "landmarks"), picture, face, painted), plain)


@pytest.mark.parametrize("by", ["base", "blend"])
@pytest.mark.parametrize("edge", ["fixed", "landmarks"])
def test_corners_come_back_as_far_as_asked(
    picture: np.ndarray, face: FaceCrop, painted: np.ndarray, by: str, edge: str
) -> None:
    far, half, near = (apart(picture, laid(MouthStyle(by, c, edge), picture, face, painted), face) for c in (0, 0.5, 1))
    assert far > 0.05 and near < 0.4 * far and near < half < far


@pytest.mark.parametrize("style", [MouthStyle(), MouthStyle("blend"), MouthStyle("base", 1.0, "fixed")])
def test_outside_the_mask_nothing_changes(
    picture: np.ndarray, face: FaceCrop, painted: np.ndarray, style: MouthStyle
) -> None:
    outside = share_of(picture, face) == 0
    out = laid(style, picture, face, painted)
    assert outside.any() and np.array_equal(out[outside], picture[outside]) and not np.array_equal(out, picture)


def test_a_blend_takes_the_lips_alone(picture: np.ndarray, face: FaceCrop, painted: np.ndarray) -> None:
    points = read_landmarks(picture, [face])[0].xy
    changed = {by: (laid(MouthStyle(by, 0.0), picture, face, painted) != picture).any(-1) for by in ("base", "blend")}
    assert changed["blend"].sum() < 0.5 * changed["base"].sum()
    for landmark, by in (
        (0, {"base", "blend"}),
        (17, {"base", "blend"}),
        (199, {"base"}),
        (205, {"base"}),
        (10, set()),
    ):
        x, y = points[landmark].astype(int)
        assert {name for name, where in changed.items() if where[y, x]} == by, landmark


def test_a_picture_that_stays_stays(picture: np.ndarray, face: FaceCrop) -> None:
    same = SQUARE.cut(picture, face, SIZE_PX)
    out = laid(MouthStyle(), picture, face, same).astype(int)
    assert np.abs(out - picture).mean() < 0.5, "the square is resampled, and no corner moves"


def test_where_no_face_is_seen_it_is_pasted_plainly(portrait: np.ndarray) -> None:
    square = np.full((SIZE_PX, SIZE_PX, 3), 90, np.uint8)
    for place in (FaceCrop(64.0, 64.0, 100.0), FaceCrop(900.0, 64.0, 100.0)):
        plain = SQUARE.paster(portrait, place, SIZE_PX, "mouth")(square)
        assert np.array_equal(laid(MouthStyle(), portrait, place, square), plain)


def test_corners_go_no_further_than_the_picture_can_stretch() -> None:
    before, after = np.zeros((468, 2)), np.zeros((468, 2))
    before[291] = (100.0, 0.0)
    after[291] = (100.0, 80.0)
    assert np.allclose(corner_shifts(before, after, 1.0)[1], [0.0, -100 * MOST_SHIFT])
    row = torch.arange(200.0).repeat(3, 60, 1)
    drawn = moved(row, np.array([[100.0, 30.0]]), np.array([[30.0, 0.0]]), 100.0, torch.ones(60, 200))
    assert bool((drawn[:, :, 5:-5].diff(dim=-1) > 0).all()), "it does not fold"
