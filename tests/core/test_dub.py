"""Another voice for a video: read a frame at a time, the face followed, everything around it left alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eadnet_core.config import MASK_BOXES
from eadnet_core.errors import BadInput, Cancelled, FaceNotFound
from eadnet_core.families.family import Model
from eadnet_core.generation.output import write_video as write_clip
from eadnet_core.generation.pipeline import Generation, prepare
from eadnet_core.media.face.crop import FaceCrop
from eadnet_core.media.face.follow import MISS_POLICIES, follow, joined
from eadnet_core.media.face.subject import find_subject
from eadnet_core.media.video.files import FrameCursor, VideoReader, read_video, write_video
from eadnet_core.media.video.segments import segment_folder
from eadnet_core.request import OPTIONS, GenerateOptions
from eadnet_core.weights.folders import ASSETS

N_FRAMES = 20


def moved(n_frames: int, sway_px: float = 12.0) -> np.ndarray:
    """The sample portrait going from side to side by a sine, uint8 [T, 192, 256, 3]."""
    portrait = Image.open(ASSETS / "sample" / "portrait.png").convert("RGB").resize((224, 224))
    at = sway_px * np.sin(np.arange(n_frames) / 4)
    pictures = [portrait.transform((256, 192), Image.Transform.AFFINE, (1, 0, -16 - x, 0, 1, 16), 3) for x in at]
    return np.stack([np.array(picture) for picture in pictures])


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> VideoReader:
    """20 frames of a face, then two of a wall."""
    path = tmp_path_factory.mktemp("video") / "in.mp4"
    frames = np.concatenate([moved(N_FRAMES), np.full((2, 192, 256, 3), 90, np.uint8)])
    write_video(path, frames)
    return read_video(path, 25)


def prepared(model: Model, video: VideoReader, n_sound: int, words: str = "", **options: Any) -> Generation:
    samples = np.random.default_rng(0).normal(0, 0.1, n_sound * 640).astype(np.float32)
    settings = GenerateOptions(**{"steps": 1, "segment_frames": 8, **options})
    return prepare(video, samples, words, settings, model=model, sample_rate=16_000)


def made(generation: Generation) -> np.ndarray:
    return np.concatenate([segment.frames for segment in generation])


def test_everything_outside_the_mask_is_the_video_to_the_bit(tiny_model: Model, video: VideoReader) -> None:
    """Before encoding there is no error at all outside, so that its PSNR is infinite."""
    source = np.stack(list(video))
    for words, mask, box in (("", "auto", "mouth"), ("glad", "auto", "face"), ("glad", "full", "full")):
        generation = prepared(tiny_model, video, 12, words, mask=mask)
        frames = made(generation)
        assert frames.shape == (12, 192, 256, 3)
        x0, y0, x1, y1 = MASK_BOXES[box]
        for i, where in enumerate(generation.subject.crops):
            assert where is not None
            corners = np.array([where.point(x, y) for x in (x0, x1) for y in (y0, y1)])
            (left, top), (right, bottom) = np.floor(corners.min(0)).astype(int), np.ceil(corners.max(0)).astype(int)
            outside = np.ones((192, 256), bool)
            outside[max(0, top) : bottom, max(0, left) : right] = False
            assert outside.any() and np.array_equal(frames[i][outside], source[i][outside])
            assert not np.array_equal(frames[i], source[i])


def test_lengths_end_with_the_shortest_or_as_asked(tiny_model: Model, video: VideoReader) -> None:
    for n_sound, length, n_frames, note in (
        (12, "shortest", 12, ""),
        (30, "shortest", 22, "The video ends after 0.88 s and the clip with it"),
        (30, "audio", 30, "its last frame stays"),
        (12, "video", 22, "The sound ends after 0.48 s"),
    ):
        report = prepared(tiny_model, video, n_sound, length=length).report
        assert report.n_frames == len(report.faces) == n_frames
        assert note in " ".join(report.notes)
        assert (note == "") == (not any("ends after" in n for n in report.notes))


def test_a_frame_without_a_face_is_held_passed_or_refused(tiny_model: Model, video: VideoReader) -> None:
    held = prepared(tiny_model, video, 22).report
    assert [row["face"] for row in held.faces] == ["found"] * 20 + ["held"] * 2
    assert "2 of 22 frames show no face" in " ".join(held.notes)
    passed = prepared(tiny_model, video, 22, on_missing="pass_through")
    assert passed.report.faces[21] == {"frame": 21, "face": "passed"}
    assert np.array_equal(made(passed)[20:], np.stack(list(video))[20:])
    with pytest.raises(FaceNotFound, match="frame 20"):
        prepared(tiny_model, video, 22, on_missing="stop")
    assert OPTIONS["on_missing"].choices == MISS_POLICIES
    assert OPTIONS["mask"].choices == ("auto", *sorted(MASK_BOXES, key=lambda name: -MASK_BOXES[name][1]))


def test_a_stopped_dubbing_goes_on_to_the_same_file(tiny_model: Model, video: VideoReader, tmp_path: Path) -> None:
    write_clip(prepared(tiny_model, video, 22), tmp_path / "whole.mp4")
    ticks: list[int] = []
    with pytest.raises(Cancelled):
        more = {"on_progress": lambda p: ticks.append(p.done), "cancel": lambda: bool(ticks) and ticks[-1] > 24}
        write_clip(prepared(tiny_model, video, 22), tmp_path / "out.mp4", **more)
    assert segment_folder(tmp_path / "out.mp4").is_dir()
    write_clip(prepared(tiny_model, video, 22), tmp_path / "out.mp4", resume=True)
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()


def test_sound_that_goes_on_after_the_video_is_cut(tiny_model: Model, video: VideoReader, tmp_path: Path) -> None:
    write_clip(prepared(tiny_model, video, 50), tmp_path / "out.mp4")
    back = read_video(tmp_path / "out.mp4")
    assert back.n_frames == 22
    assert back.audio().duration_s == pytest.approx(0.88, abs=0.05)


def test_the_face_is_followed_without_jitter() -> None:
    """Motion is kept, and what shakes about it is a fraction of a pixel."""
    frames = moved(40)
    rng = np.random.default_rng(0)
    noisy = (frames + rng.normal(0, 4, frames.shape)).clip(0, 255).astype(np.uint8)
    track = follow(noisy)
    assert track.missed == ()
    x = np.array([place.center_x for place in track.crops if place is not None])
    true = 12.0 * np.sin(np.arange(40) / 4)
    assert np.abs((x - x.mean()) - (true - true.mean())).max() < 3.0
    assert np.square(np.diff(x - true)).mean() ** 0.5 < 0.35
    sides = np.array([place.side_px for place in track.crops if place is not None])
    assert np.abs(np.diff(sides) / sides[1:]).max() < 0.004


def test_the_box_or_the_index_says_which_face() -> None:
    one = moved(1, 0.0)[0]
    two = np.concatenate([one, one[:, ::-1]], axis=1)
    frames = np.repeat(two[None], 6, 0)
    left = find_subject(frames, -1, (60.0, 20.0, 190.0, 170.0))
    right = find_subject(frames, -1, (320.0, 20.0, 450.0, 170.0))
    assert left.nearest(0).center_x < 256 < right.nearest(5).center_x
    first, second = (find_subject(frames, -1, face_index=i).nearest(0).center_x for i in (0, 1))
    assert (first < 256) != (second < 256)
    wall = np.full((3, 64, 64, 3), 90, np.uint8)
    assert find_subject(wall, -1, (10.0, 10.0, 50.0, 50.0)).missed == (0, 1, 2)


def test_a_cut_is_not_smoothed_over() -> None:
    here, there = FaceCrop(50.0, 50.0, 40.0), FaceCrop(150.0, 50.0, 40.0)
    places = dict.fromkeys(range(10), here) | dict.fromkeys((10, 11), there)
    x = [place.center_x for place in joined(places, 12, (10,))]
    assert x == pytest.approx([50.0] * 10 + [150.0] * 2)


def test_pictures_of_a_video_by_number(video: VideoReader) -> None:
    frames, cursor = list(video), FrameCursor(video)
    for number in (0, 1, 1, 7, 3, 4, 21):
        assert np.array_equal(cursor[number], frames[number])
    with pytest.raises(IndexError, match="ends before frame 22"):
        cursor[22]
    assert np.array_equal(next(FrameCursor(video)[i] for i in (9,)), frames[9])


def test_two_places_in_a_video_are_read_on(video: VideoReader, monkeypatch: pytest.MonkeyPatch) -> None:
    frames, begun = list(video), []
    read = VideoReader.frames
    monkeypatch.setattr(VideoReader, "frames", lambda self, first=0: begun.append(first) or read(self, first))
    cursor = FrameCursor(video, 2)
    for number in (*range(8), *range(3), *range(8, 12), *range(3, 9), *range(12, 15)):  # sampled, decoded, and so on
        assert np.array_equal(cursor[number], frames[number])
    assert begun == [0, 0]


def test_frames_in_flight_hold_no_pictures(tiny_model: Model, video: VideoReader) -> None:
    """A second of a face of 512 px would be 20 MB, and a segment is ten seconds."""
    animation = prepared(tiny_model, video, 20).animation()
    for latents in animation:
        assert sum(value.nbytes for value in latents.view.values()) < 200 * latents.n_frames


def test_options_that_are_words_are_checked() -> None:
    with pytest.raises(BadInput, match="mask is 'nose'; give one of auto, mouth, face, full"):
        dataclasses.replace(GenerateOptions(), mask="nose")
