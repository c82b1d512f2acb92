"""Who speaks: a portrait or the frames of a video, where the face lies in each, and what is pasted where."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from eadnet_core.errors import BadInput, FaceNotFound
from eadnet_core.media.annotate import draw_face, draw_speech, levels
from eadnet_core.media.face.crop import FaceCrop, crop
from eadnet_core.media.face.find import locate
from eadnet_core.media.face.landmark_masks import LIPS_OUTER
from eadnet_core.media.face.landmarks import read_landmarks
from eadnet_core.media.face.paste import LIP_FEATHER, LIP_MARGIN, lip_coverage, paste
from eadnet_core.media.face.subject import Subject, find_subject
from eadnet_core.weights.folders import ASSETS

CROP = FaceCrop(64.0, 60.0, 80.0)


@pytest.fixture(scope="module")
def portrait_256() -> np.ndarray:
    picture = Image.open(ASSETS / "sample" / "portrait.png").convert("RGB").resize((256, 256))
    return np.array(picture)


def pictures(n: int, size: int = 128) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


def test_a_portrait_is_one_picture_of_a_batch(portrait_256: np.ndarray) -> None:
    batch = np.stack([np.zeros_like(portrait_256), portrait_256])
    found = find_subject(batch, index=1)
    assert found.is_still and found.size == (256, 256)
    assert np.array_equal(found.picture(17), portrait_256)
    assert found.reference(32).shape == (32, 32, 3)


def test_the_face_of_a_video_is_followed(portrait_256: np.ndarray) -> None:
    frames = np.stack([np.roll(portrait_256, 3 * i, axis=1) for i in range(11)])
    searched: list[tuple[int, int]] = []
    found = find_subject(frames, -1, on_picture=lambda done, total: searched.append((done, total)))
    moved = [crop.center_x for crop in found.crops if crop is not None]
    assert len(moved) == 11 and moved == sorted(moved)
    assert moved[5] - moved[0] == pytest.approx(15, abs=8)
    assert searched == [(i, 11) for i in range(1, 12)]


def test_misses_hold_pass_through_or_stop(portrait_256: np.ndarray) -> None:
    portrait = portrait_256[::2, ::2]
    frames = np.stack([portrait] * 3 + [np.full_like(portrait, 90)] * 9)
    held = find_subject(frames, -1)
    passed = find_subject(frames, -1, on_missing="pass_through")
    assert held.missed == passed.missed == tuple(range(3, 12))
    assert None not in held.crops
    assert passed.crops[2] is not None and passed.crops[3:] == (None,) * 9
    assert [row["face"] for row in held.face_states(12)] == ["found"] * 3 + ["held"] * 9
    assert passed.face_states(4)[3] == {"frame": 3, "face": "passed"}
    with pytest.raises(FaceNotFound, match=r"frame 3.*'hold' or 'pass_through'"):
        find_subject(frames, -1, on_missing="stop")
    with pytest.raises(BadInput, match="on_missing is 'guess'"):
        find_subject(frames, -1, on_missing="guess")


def test_frames_of_another_rate_are_taken_by_their_time() -> None:
    subject = Subject(pictures(10), (CROP,) * 10, fps=50.0)
    assert [subject.index(i) for i in (0, 1, 2, 4, 5, 99)] == [0, 2, 4, 8, 9, 9]


def test_a_video_is_pasted_frame_by_frame_and_missed_frames_stay(portrait: np.ndarray) -> None:
    frames = pictures(3)
    subject = Subject(frames, (CROP, None, CROP))
    grey = np.full((3, 32, 32, 3), 128, np.uint8)
    made = subject.paster()(grey, 0)
    assert np.array_equal(made[1], frames[1])
    assert not np.array_equal(made[0], frames[0])
    assert np.array_equal(made[0][:15], frames[0][:15])
    assert subject.reference(32)(0, 3).shape == (3, 32, 32, 3)


def lowered(face: FaceCrop) -> FaceCrop:
    """A frame that lies so low that the soft edge of the mask of the mouth lies over the lips."""
    return FaceCrop(face.center_x, face.center_y + 0.12 * face.side_px, face.side_px)


def lip_pixels(picture: np.ndarray, face: FaceCrop) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the outline of the lips that a picture shows."""
    x, y = read_landmarks(picture, [face])[0].xy[list(LIPS_OUTER)].astype(int).T
    return y, x


def test_nothing_of_the_old_lips_is_left_in_a_video(portrait_256: np.ndarray) -> None:
    frames = np.stack([np.roll(portrait_256, 6 * i, axis=1) for i in range(3)])
    crops = [lowered(locate(frame)) for frame in frames]
    squares = np.full((3, 64, 64, 3), (10, 200, 30), np.uint8)
    made = Subject(frames, tuple(crops)).paster("mouth")(squares, 0)
    for old, new, face in zip(frames, made, crops, strict=True):
        rows, columns = lip_pixels(old, face)
        assert (new[rows, columns] == squares[0, 0, 0]).all()
        above = round(face.point(0.5, 0.35)[1])
        assert np.array_equal(new[:above], old[:above])


def test_the_new_lips_are_pasted_wholly_into_a_video(portrait_256: np.ndarray) -> None:
    """In a picture without a face too, where no old lips are seen."""
    face = lowered(locate(portrait_256))
    square, wall = crop(portrait_256, face, 128), np.full((2, 256, 256, 3), 90, np.uint8)
    made = Subject(wall, (face, face)).paster("mouth")(square[None], 0)[0]
    lips = lip_pixels(portrait_256, face)
    assert np.array_equal(made[lips], paste(wall[0], face, square)[lips])
    unseen = Subject(wall, (face, face)).paster("mouth")(np.full_like(square, 20)[None], 0)[0]
    assert np.array_equal(unseen, paste(wall[0], face, np.full_like(square, 20), "mouth"))


def test_the_cover_of_lips_is_whole_around_them_and_ends() -> None:
    turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    circle = np.stack([0.5 + 0.1 * np.cos(turn), 0.7 + 0.1 * np.sin(turn)], 1)
    weight = lip_coverage([circle])
    middles = (torch.arange(len(weight)) + 0.5) / len(weight)
    away = torch.hypot(middles[None] - 0.5, middles[:, None] - 0.7) - 0.1
    assert (weight[away < LIP_MARGIN - 0.002] == 1).all()
    assert (weight[away > LIP_MARGIN + LIP_FEATHER] == 0).all()
    assert float(weight.diff(dim=0).abs().max()) < 0.4
    assert not lip_coverage([circle + 5.0]).any()


def test_the_same_faces_on_enlarged_pictures() -> None:
    subject = Subject(pictures(1), (CROP,))
    large = subject.on(torch.rand(1, 256, 256, 3))
    assert large.crops[0] == FaceCrop(128.0, 120.0, 160.0)
    with pytest.raises(BadInput, match="the shapes differ"):
        subject.on(torch.rand(1, 256, 200, 3))
    with pytest.raises(BadInput, match="holds 2 pictures"):
        subject.on(torch.rand(2, 128, 128, 3))


def test_drawings_leave_their_input_alone() -> None:
    picture = pictures(1)[0]
    before = picture.copy()
    drawn = draw_face(picture, CROP, "2 frames")
    assert np.array_equal(picture, before) and not np.array_equal(drawn, before)
    assert np.array_equal(draw_face(picture, None), before)


def test_the_waveform_is_coloured_where_somebody_speaks() -> None:
    samples = np.sin(np.arange(16_000) / 5).astype(np.float32)
    spoken, silent = (draw_speech(samples, np.full(25, v, np.float32), 1.0) for v in (1.0, 0.0))
    assert spoken.shape == (180, 640, 3)
    assert not np.array_equal(spoken, silent)
    assert levels(np.zeros(0), 3) == [0.0, 0.0, 0.0]
    assert draw_speech(samples[:10], np.ones(1, np.float32), 0.0).shape == (180, 640, 3)


def test_a_huge_face_is_cropped_as_a_smaller_picture_of_it(portrait_256: np.ndarray) -> None:
    """Reduced first, in whole numbers; the last, partial block must not move anything."""
    huge = np.array(Image.fromarray(portrait_256).resize((4099, 4099), Image.Resampling.BICUBIC))
    scale = 4099 / 256
    small = crop(portrait_256, FaceCrop(128.0, 130.0, 150.0, 0.1), 32)
    large = crop(huge, FaceCrop(128.0 * scale, 130.0 * scale, 150.0 * scale, 0.1), 32)
    assert np.abs(small.astype(int) - large).mean() < 1.0
