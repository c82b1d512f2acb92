"""Faces: found where they are, cut out to the training frame, pasted back without touching anything else."""

from __future__ import annotations

import math
import re
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eadnet_core.config import EYE_HALF_DISTANCE, EYE_LINE_Y, MASK_BOXES, MOUTH_Y
from eadnet_core.errors import BadInput, FaceNotFound
from eadnet_core.heads.anatomy import Anatomy
from eadnet_core.heads.backdrop import draw_backdrop
from eadnet_core.heads.features import landmark_slice
from eadnet_core.heads.head import Head
from eadnet_core.heads.lighting import draw_lamps
from eadnet_core.heads.rig import STATE, motions
from eadnet_core.heads.stock import Stock
from eadnet_core.heads.studio import Studio, draw_camera
from eadnet_core.media.face.crop import FaceCrop, crop
from eadnet_core.media.face.find import BOX_BOTTOM_Y, BOX_TOP_Y, crop_geometry, find_faces, locate
from eadnet_core.media.face.paste import Paster, paste
from eadnet_core.media.image import read_image

EYES_AND_MOUTH = ((0.5 - EYE_HALF_DISTANCE, EYE_LINE_Y), (0.5 + EYE_HALF_DISTANCE, EYE_LINE_Y), (0.5, MOUTH_Y))


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    """A photograph of a smiling woman in a spacesuit, uint8 [512, 512, 3], of scikit-image."""
    import skimage.data

    try:
        return skimage.data.astronaut()
    except (ModuleNotFoundError, OSError) as error:
        pytest.skip(f"scikit-image's astronaut is not installed with it: {error}")


def landmarks(geometry: FaceCrop) -> np.ndarray:
    """Pixel positions [3, 2] of the two eyes and the mouth as the frame expects them."""
    return np.array([geometry.point(x, y) for x, y in EYES_AND_MOUTH])


def head(anatomy: Anatomy, seed: int, size_px: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """A 3-D head, uint8 [size, size, 3], and the true positions of its eyes and mouth [3, 2]."""
    rng = np.random.default_rng(seed)
    one = Head(Stock(anatomy, size_px), seed)
    studio = Studio(one, size_px, draw_camera(rng, one), draw_lamps(rng), draw_backdrop(rng, size_px))
    shot = studio.shoot(motions(np.zeros((1, len(STATE)), np.float32))[0])
    groups = ("lid_right", "lid_left", "lips_inner")
    return shot.image, np.stack([shot.landmarks[landmark_slice(group), :2].mean(0) for group in groups])


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


# ---- finding


def test_a_photograph(astronaut: np.ndarray) -> None:
    faces = find_faces(astronaut)
    assert len(faces) == 1 and faces[0].score > 0.7
    true = np.array([[203.5, 102.0], [246.0, 104.5], [222.5, 148.0]])
    assert np.abs(landmarks(locate(astronaut)) - true).max() < 3


@pytest.mark.parametrize("turn", [-60, -45, -25, -15, 8, 15, 20, 30, 45, 60])
def test_a_tilted_head(astronaut: np.ndarray, turn: int) -> None:
    tilted = np.asarray(Image.fromarray(astronaut).rotate(turn, Image.Resampling.BICUBIC))
    geometry = locate(tilted)
    assert math.degrees(geometry.angle - locate(astronaut).angle) == pytest.approx(-turn, abs=3)
    upright = landmarks(locate(astronaut)) - 256
    cos, sin = math.cos(math.radians(-turn)), math.sin(math.radians(-turn))
    expected = upright @ np.array([[cos, sin], [-sin, cos]]) + 256
    assert np.abs(landmarks(geometry) - expected).max() < 5


def test_size_does_not_matter(astronaut: np.ndarray) -> None:
    expected = locate(astronaut)
    for size in (256, 2048):
        scaled = np.asarray(Image.fromarray(astronaut).resize((size, size), Image.Resampling.LANCZOS))
        geometry, factor = locate(scaled), size / 512
        assert geometry.side_px == pytest.approx(expected.side_px * factor, rel=0.04)
        assert geometry.center_x == pytest.approx(expected.center_x * factor, abs=3 * factor)
        assert geometry.center_y == pytest.approx(expected.center_y * factor, abs=3 * factor)


def test_rendered_heads(real_anatomy: Anatomy) -> None:
    found = 0
    for seed in range(6):
        picture, true = head(real_anatomy, seed)
        faces = find_faces(picture)
        if not faces:
            continue
        found += 1
        geometry = crop_geometry(faces[0].box, (256, 256), faces[0].angle)
        error = np.linalg.norm(landmarks(geometry) - true, axis=1) / np.linalg.norm(true[1] - true[0])
        assert error.mean() < 0.25, f"head {seed}"
    assert found >= 5


def test_a_crowd(astronaut: np.ndarray) -> None:
    """Faces of several sizes, some small in a large picture, each once."""
    head_px, picture = astronaut[:224, 112:336], Image.new("RGB", (1800, 1000), (120, 130, 140))
    sizes = (420, 300, 220, 160, 130)
    for number, size in enumerate(sizes):
        one = Image.fromarray(head_px).resize((size, size), Image.Resampling.LANCZOS)
        picture.paste(one, (20 + 350 * number, 60 if number % 2 else 500))
    faces = find_faces(np.asarray(picture))
    assert len(faces) == len(sizes)
    middles = [crop_geometry(face.box, picture.size, face.angle).center_x for face in faces]
    assert sorted(middles) == pytest.approx([20 + 350 * i + size / 2 for i, size in enumerate(sizes)], abs=12)
    assert middles[0] == min(middles), "the most prominent first"
    assert locate(np.asarray(picture), index=1).center_x == pytest.approx(middles[1], abs=0.01)


def test_an_animal_is_refused_or_taken_when_asked() -> None:
    import skimage.data

    cat = skimage.data.chelsea()
    with pytest.raises(FaceNotFound, match=r"accept_any_face|lower face_threshold"):
        locate(cat)
    assert find_faces(cat) == []
    found = find_faces(cat, 0.3, accept_any_face=True)
    if found:
        assert found[0].landmarks is None and 0.3 <= found[0].score <= 1


def test_no_pattern_is_a_face() -> None:
    import skimage.data

    for name in ("brick", "grass", "gravel", "coins", "checkerboard", "coffee", "rocket"):
        try:
            grey = getattr(skimage.data, name)()
        except (ModuleNotFoundError, OSError):
            continue
        picture = grey if grey.ndim == 3 else np.repeat(grey[..., None], 3, 2)
        assert find_faces(picture) == [], name


def test_no_face_names_the_remedies() -> None:
    y, x = np.mgrid[0:200, 0:300]
    picture = np.stack([x % 256, y, (x + y) % 256], axis=-1).astype(np.uint8)
    for empty in (picture, noise(80, 100)):
        with pytest.raises(FaceNotFound) as error:
            locate(empty)
        text = str(error.value)
        assert re.match(r"No face in 'portrait': best score 0\.\d\d is below face_threshold 0\.50\. ", text)
        assert "face_box" in text and "lower face_threshold" in text


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (20, 20)])
def test_tiny_pictures_hold_no_face(shape: tuple[int, int]) -> None:
    assert find_faces(noise(*shape)) == []
    with pytest.raises(FaceNotFound, match=rf"it is {shape[1]} x {shape[0]} pixels"):
        locate(noise(*shape), what="picture")


# ---- the box drawn by hand


def test_a_hand_drawn_box_wins_and_means_what_it_says(astronaut: np.ndarray) -> None:
    box = (300.0, 200.0, 420.0, 330.0)
    geometry = locate(astronaut, face_box=box)
    assert geometry.angle == 0.0
    assert geometry.point(0.5, BOX_TOP_Y) == pytest.approx((360.0, 200.0))
    assert geometry.point(0.5, BOX_BOTTOM_Y) == pytest.approx((360.0, 330.0))
    assert locate(np.zeros((1, 1, 3), np.uint8), face_box=(-10, -10, 10, 10)).side_px > 0


def test_find_faces_and_crop_geometry_agree(astronaut: np.ndarray) -> None:
    face = find_faces(astronaut)[0]
    geometry, expected = crop_geometry(face.box, (512, 512), face.angle), locate(astronaut)
    assert np.allclose(landmarks(geometry), landmarks(expected))


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((10, 10, 12, 60), "at least 8 apart"),
        ((60, 10, 10, 60), "at least 8 apart"),
        ((10, 10, 60), "four numbers"),
        ((10, 10, float("nan"), 60), "four numbers"),
        ((500, 10, 560, 60), "middle outside the picture of 100 x 100"),
    ],
)
def test_unusable_boxes_say_why(box: tuple[float, ...], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        locate(np.zeros((100, 100, 3), np.uint8), face_box=box)


# ---- cutting out


def test_crop_of_whole_pixels_is_exact() -> None:
    picture = noise(90, 120)
    assert np.array_equal(crop(picture, FaceCrop(60, 45, 64), 64), picture[13:77, 28:92])


def test_crop_repeats_the_edge_beyond_the_picture() -> None:
    picture = noise(64, 64)
    cut = crop(picture, FaceCrop(0, 32, 64), 64)
    assert np.array_equal(cut[:, 32:], picture[:, :32])
    assert np.array_equal(cut[:, :30], np.repeat(picture[:, :1], 30, axis=1))
    assert crop(picture, FaceCrop(-500, -500, 64), 16).tolist() == np.tile(picture[0, 0], (16, 16, 1)).tolist()


def test_crop_is_anti_aliased() -> None:
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.abs(crop(stripes, FaceCrop(256.3, 256, 500), 64)[4:-4, 4:-4].astype(int) - 127).max() < 12


def test_crop_turns_with_the_face() -> None:
    y, x = np.mgrid[0:200, 0:200]
    picture = np.stack([x, y, 0 * x], axis=-1).astype(np.uint8)
    cut = crop(picture, FaceCrop(100, 100, 80, math.pi / 2), 40).astype(int)
    assert cut[0, 20, 0] == pytest.approx(140, abs=2)  # the frame's top lies at the picture's right
    assert cut[20, 0, 1] == pytest.approx(60, abs=2)


# ---- pasting back

GEOMETRIES = {
    "upright": FaceCrop(130.4, 120.7, 150.0),
    "enlarged": FaceCrop(150.0, 150.0, 260.0),
    "reduced": FaceCrop(100.0, 90.0, 40.0),
    "turned": FaceCrop(140.0, 120.0, 120.0, 0.3),
    "beyond": FaceCrop(20.0, 30.0, 140.0),
}


def frame_positions(geometry: FaceCrop, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Position in the frame, in frame widths, of every pixel of a picture."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]] + 0.5
    x, y = (x - geometry.center_x) / geometry.side_px, (y - geometry.center_y) / geometry.side_px
    cos, sin = math.cos(geometry.angle), math.sin(geometry.angle)
    return x * cos + y * sin + 0.5, y * cos - x * sin + 0.5


@pytest.mark.parametrize("mask", sorted(MASK_BOXES))
@pytest.mark.parametrize("name", sorted(GEOMETRIES))
def test_pixels_outside_the_box_are_identical(name: str, mask: str) -> None:
    picture, geometry = noise(256, 300), GEOMETRIES[name]
    before = picture.copy()
    pasted = paste(picture, geometry, noise(64, 64, 1), mask)
    x, y = frame_positions(geometry, (256, 300))
    x0, y0, x1, y1 = MASK_BOXES[mask]
    outside = (x <= x0) | (x >= x1) | (y <= y0) | (y >= y1)
    assert np.array_equal(pasted[outside], picture[outside])
    deep = (x > x0 + 0.15) & (x < x1 - 0.15) & (y > y0 + 0.1) & (y < y1 - 0.1)
    assert np.abs(pasted[deep].astype(int) - picture[deep]).mean() > 20
    assert np.array_equal(picture, before)


@pytest.mark.parametrize("name", sorted(GEOMETRIES))
def test_pasting_what_was_cut_out_changes_little(name: str, astronaut: np.ndarray) -> None:
    picture, geometry = astronaut[:300, 60:360], GEOMETRIES[name]
    pasted = paste(picture, geometry, crop(picture, geometry, 128)).astype(int)
    assert np.abs(pasted - picture).mean() < 4.0


def test_the_middle_is_the_generated_frame() -> None:
    y, x = np.mgrid[0:64, 0:64]
    frame = np.stack([2 * x + 60, 2 * y + 60, x + y + 60], axis=-1).astype(np.uint8)
    pasted = paste(np.zeros((200, 200, 3), np.uint8), FaceCrop(100, 100, 64), frame)
    assert np.abs(pasted[90:110, 90:110].astype(int) - frame[22:42, 22:42]).max() <= 1


def test_a_small_shift_of_colour_leaves_no_seam() -> None:
    picture = np.full((200, 200, 3), 120, np.uint8)
    geometry = FaceCrop(100, 100, 120)
    frame = np.full((64, 64, 3), 132, np.uint8)
    pasted = paste(picture, geometry, frame)[100, :, 0].astype(int)
    assert np.abs(np.diff(pasted)).max() <= 2
    assert pasted[100] == 132 and pasted[39] == 120


def test_a_paster_does_not_remember_frames() -> None:
    paster = Paster(noise(100, 100), FaceCrop(50, 50, 60), 32)
    first = paster.paste(noise(32, 32, 1))
    paster.paste(noise(32, 32, 2))
    assert np.array_equal(paster.paste(noise(32, 32, 1)), first)
    assert np.array_equal(paster.paste(noise(32, 32, 1).astype(np.float32)), first)


def test_a_box_outside_the_picture_pastes_nothing() -> None:
    picture = noise(50, 50)
    assert np.array_equal(paste(picture, FaceCrop(-200, -200, 60), noise(32, 32)), picture)


# ---- real pictures


def test_real_portraits(media_folder: Path) -> None:
    for path in sorted((media_folder / "portraits").iterdir()):
        picture = read_image(path)
        start = time.process_time()
        faces = find_faces(picture)
        assert len(faces) == 1 and faces[0].score > 0.7, path.name
        assert time.process_time() - start < 1.0
        geometry = locate(picture)
        assert abs(geometry.angle) < 0.25
        pasted = paste(picture, geometry, crop(picture, geometry, 128))
        x, y = frame_positions(geometry, picture.shape[:2])
        outside = (np.abs(x - 0.5) >= 0.5) | (np.abs(y - 0.5) >= 0.5)
        assert np.array_equal(pasted[outside], picture[outside])
