"""LatentSync's aligned square: where it lies, and that nothing outside its mask is touched."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from eadnet_core.config import EYE_HALF_DISTANCE, EYE_LINE_Y, MOUTH_Y
from eadnet_core.media.face.aligned_crop import (
    MASKS,
    crop_aligned,
    crop_exactly,
    keep_mask,
    latent_mask,
    paste_aligned,
)
from eadnet_core.media.face.alignment import (
    TEMPLATE,
    AlignedBox,
    align,
    aligned_box,
    box_of,
    box_size,
    brows_and_nose,
    inverse,
)
from eadnet_core.media.face.crop import FaceCrop


def in_box(matrix: np.ndarray, point: tuple[float, float], size_px: int = 256) -> np.ndarray:
    """Place in the square (0 .. 1) of a point of the picture."""
    return (matrix @ np.array([point[0] - 0.5, point[1] - 0.5, 1.0]) + 0.5) / np.array(box_size(size_px))


def test_points_on_the_template_stay() -> None:
    for size_px in (256, 512):
        points = np.array(TEMPLATE) * size_px / 256 * 2.8
        matrix, nudge = align(points, size_px)
        np.testing.assert_allclose(matrix, [[1, 0, 0], [0, 1, 0]], atol=1e-4)
        np.testing.assert_allclose(nudge, 0, atol=1e-6)


def test_turn_size_and_place_are_taken_out() -> None:
    angle, size = 0.3, 1.7
    turn = size * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    points = np.array(TEMPLATE) * 2.8 @ turn.T + [300.0, 200.0]
    matrix, nudge = align(points, 256)
    matrix[:, 2] -= nudge
    np.testing.assert_allclose(np.c_[points, np.ones(3)] @ matrix.T, np.array(TEMPLATE) * 2.8, atol=1e-2)
    np.testing.assert_allclose(
        np.vstack([matrix, [0, 0, 1]]) @ np.vstack([inverse(matrix), [0, 0, 1]]), np.eye(3), atol=1e-4
    )
    box = box_of(matrix, 256)
    assert box.angle == pytest.approx(angle, abs=1e-4) and box.height_px == pytest.approx(280 * size, rel=1e-4)
    np.testing.assert_allclose(box.matrix(256), matrix, atol=1e-3)
    np.testing.assert_allclose(in_box(matrix, box.point(0.25, 0.75)), [0.25, 0.75], atol=1e-4)


def test_exchanged_points_turn_the_box_and_never_mirror_it() -> None:
    matrix = align(np.array(TEMPLATE)[[1, 0, 2]] * 2.8, 256)[0]
    assert np.linalg.det(matrix[:, :2]) > 0


def test_nudge_is_carried_over_and_small() -> None:
    points = np.array([[440.0, 260.0], [562.0, 262.0], [503.0, 335.0]])
    first, nudge = align(points, 256)
    again, _ = align(points, 256, nudge)
    np.testing.assert_allclose(again, first, atol=1e-5)
    moved, _ = align(points, 256, nudge + 1)
    np.testing.assert_allclose(moved[:, 2] - first[:, 2], 0.2, atol=1e-4)
    assert np.abs(nudge).max() < 1


def test_our_face_comes_to_lie_as_in_latentsyncs_pictures() -> None:
    for angle in (0.0, 0.25):
        face = FaceCrop(400.0, 300.0, 200.0, angle)
        matrix = aligned_box(face).matrix(256)
        left, right = (in_box(matrix, face.point(0.5 + side * EYE_HALF_DISTANCE, EYE_LINE_Y)) for side in (-1, 1))
        mouth = in_box(matrix, face.point(0.5, MOUTH_Y))
        # on real people, whose eyes our finder puts at .42, .29 and .63 as in LatentSync's pictures
        np.testing.assert_allclose((left + right) / 2, [0.5, 0.29 + 0.022], atol=0.012)
        np.testing.assert_allclose(right - left, [0.42, 0.0], atol=0.03)
        np.testing.assert_allclose(mouth, [0.5, 0.63 + 0.022], atol=0.015)
    assert brows_and_nose(face).shape == (3, 2)


def test_mask_has_the_share_and_rows_of_latentsyncs() -> None:
    mask = keep_mask(256)
    assert mask.shape == (1, 256, 256) and set(mask.unique().tolist()) == {0.0, 1.0}
    assert float(1 - mask.mean()) == pytest.approx(0.40700, abs=5e-6)
    rows, columns = np.nonzero(mask[0].numpy() == 0)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (95, 242, 9, 247)
    full = keep_mask(256, "full")
    assert bool((full <= mask).all()) and not full[0, 75, 40:216].any()  # the eyes
    assert latent_mask(512).shape == (1, 64, 64) and latent_mask(256).shape == (1, 32, 32)
    with pytest.raises(ValueError, match="lower, full"):
        keep_mask(256, "half")


@pytest.fixture
def picture() -> np.ndarray:
    coarse = torch.rand(1, 3, 40, 60, generator=torch.Generator().manual_seed(0))
    smooth_picture = torch.nn.functional.interpolate(coarse, size=(400, 600), mode="bicubic").clamp(0, 1)
    return (smooth_picture[0].permute(1, 2, 0) * 255).byte().numpy()


@pytest.mark.parametrize("height_px", [150.0, 280.0, 700.0])
@pytest.mark.parametrize("kind", MASKS)
def test_what_is_cut_fits_where_it_is_put_back(picture: np.ndarray, height_px: float, kind: str) -> None:
    box = AlignedBox(310.0, 190.0, height_px, 0.2)
    square = crop_aligned(picture, box, 256)
    assert square.shape == (256, 256, 3)
    same = paste_aligned(picture, box, square, kind)
    rows, columns = slice(120, 260), slice(240, 380)
    off = (same.astype(float) - picture)[rows, columns]
    assert np.sqrt(np.square(off).mean()) < (6.0 if height_px > 600 else 3.0)
    black = paste_aligned(picture, box, np.zeros_like(square), kind)
    changed = (black != picture).any(2)
    ys, xs = np.nonzero(changed)
    places = np.array([in_box(box.matrix(256), (x + 0.5, y + 0.5)) for y, x in zip(ys[::50], xs[::50], strict=True)])
    cells = np.clip((places * 256).astype(int), 0, 255)
    mask = keep_mask(256, kind)[0].numpy()
    around = [mask[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3].min() for x, y in cells]
    assert max(around) == 0  # nothing that is kept, but for rounding at the edge
    x, y = box.point(0.5, 0.7)
    assert not black[int(y), int(x)].any()


def test_a_box_beside_the_picture_changes_nothing(picture: np.ndarray) -> None:
    box = AlignedBox(-500.0, 100.0, 200.0)
    assert np.array_equal(paste_aligned(picture, box, np.zeros((256, 256, 3), np.uint8)), picture)
    assert (crop_aligned(picture, box, 256) == 127).all()


def test_large_faces_are_reduced_before_they_are_sampled() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1200, 3), dtype=np.uint8)
    box = AlignedBox(600.0, 600.0, 1125.0)
    exact, reduced = (crop_exactly(noise, box.matrix(256), 256), crop_aligned(noise, box, 256))
    assert reduced[20:236].std() < 0.5 * exact[20:236].std()
