"""The mini performs, a base speaks: one pipeline, with random weights at tiny size. What depends on no weight."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eadnet_core.emotion.track import EmotionTrack
from eadnet_core.errors import BadInput, Cancelled, CheckpointError
from eadnet_core.families.base import load_performer
from eadnet_core.families.family import Model
from eadnet_core.families.load import load_model
from eadnet_core.generation import acting, forecast
from eadnet_core.generation.acting import acting_options
from eadnet_core.generation.output import write_video
from eadnet_core.generation.pipeline import Generation, prepare
from eadnet_core.generation.stages import decode_clip, sample_clip
from eadnet_core.media.face.alignment import aligned_box
from eadnet_core.media.face.subject import Subject
from eadnet_core.media.sound.audio import read_audio
from eadnet_core.media.sound.speech import hear
from eadnet_core.media.video.files import read_video
from eadnet_core.media.video.files import write_video as write_frames
from eadnet_core.motion.driving import Driving, DrivingOptions
from eadnet_core.motion.record import Motion
from eadnet_core.request import GenerateOptions, Progress

BOX = (60.0, 40.0, 140.0, 120.0)
QUICK = GenerateOptions(steps=2, face_box=BOX, segment_frames=10, has_speech_gate=False)
SOUND = np.random.default_rng(0).normal(0, 0.1, 40 * 640).astype(np.float32)


@pytest.fixture(scope="module")
def base_folder(tiny_base_folder: Path, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base whose performer is a tiny mini of its own."""
    folder = shutil.copytree(tiny_base_folder, tmp_path_factory.mktemp("acted") / "base")
    shutil.copytree(tiny_folder, folder / "mini")
    return folder


@pytest.fixture(scope="module")
def base(base_folder: Path) -> Model:
    return load_model(str(base_folder), "cpu")


@pytest.fixture
def picture(portrait: np.ndarray) -> np.ndarray:
    """uint8 [170, 201, 3]"""
    return np.pad(portrait, ((12, 30), (40, 33), (0, 0)), mode="reflect")


@pytest.fixture
def video(picture: np.ndarray, tmp_path: Path) -> Any:
    write_frames(tmp_path / "in.mp4", np.stack([np.roll(picture, 2 * i, axis=1)[:, :200] for i in range(14)]))
    return read_video(tmp_path / "in.mp4", 25)


def prepared(model: Model, source: Any, n_frames: int, words: str = "very happy", **options: Any) -> Generation:
    return prepare(source, SOUND[: n_frames * 640], words, replace(QUICK, **options), model=model, sample_rate=16_000)


def performed(base: Model, source: Any, n_frames: int, **options: Any) -> Generation:
    """The clip of the base's own mini, made as any clip of a mini."""
    asked = replace(QUICK, **options)
    found = prepared(base, source, n_frames, **options).subject
    mini = base.family.performer(base)
    assert mini is not None
    given = replace(acting_options(found, asked), face_box=BOX)
    return prepare(source, SOUND[: n_frames * 640], "very happy", given, model=mini, sample_rate=16_000)


def made(generation: Generation, **run: Any) -> np.ndarray:
    return np.concatenate([segment.frames for segment in generation.segments(**run)])


def outside(generation: Generation, frame: int) -> np.ndarray:
    """Pixels [H, W] that lie outside the base's square of a frame."""
    face = generation.shown.nearest(frame)
    box = aligned_box(face)
    corners = np.array([box.point(x, y) for x in (0, 1) for y in (0, 1)])
    (left, top), (right, bottom) = np.floor(corners.min(0)).astype(int), np.ceil(corners.max(0)).astype(int)
    mask = np.ones(generation.subject.size[::-1], bool)
    mask[max(0, top) : bottom, max(0, left) : right] = False
    return mask


@pytest.mark.parametrize("n_frames", [1, 23])
def test_outside_the_mask_of_the_base_a_portrait_is_the_performance_to_the_bit(
    base: Model, picture: np.ndarray, n_frames: int
) -> None:
    generation = prepared(base, picture, n_frames)
    frames, acted = made(generation), made(performed(base, picture, n_frames))
    assert generation.report.performer == "tiny" and generation.report.notes == []
    assert generation.options.mask == "mouth" and len(frames) == n_frames
    for number, (frame, shown) in enumerate(zip(frames, acted, strict=True)):
        mask = outside(generation, number)
        assert mask.any() and np.array_equal(frame[mask], shown[mask])
        assert not np.array_equal(frame, shown), "the base has painted a mouth"
    assert n_frames == 1 or not np.array_equal(acted[3], acted[9]), "it performs"


@pytest.mark.parametrize("mask", ["auto", "mouth"])
def test_a_video_is_performed_and_dubbed(base: Model, video: Any, mask: str) -> None:
    generation = prepared(base, video, 14, mask=mask)
    frames, acted = made(generation), made(performed(base, video, 14, mask=mask))
    for number, (frame, shown, before) in enumerate(zip(frames, acted, video, strict=True)):
        outer = outside(generation, number)
        assert np.array_equal(frame[outer], shown[outer]) and not np.array_equal(frame, shown)
        assert not np.array_equal(shown, before)


def test_a_video_may_end_before_its_sound(base: Model, video: Any) -> None:
    assert len(made(prepared(base, video, 17, length="audio"))) == 17


def test_the_mini_may_make_the_mouth_too(base: Model, picture: np.ndarray, video: Any) -> None:
    """Then the clip is that of the mini at that size, and the base does not run."""
    for source, n_frames in ((picture, 23), (video, 14)):
        generation = prepared(base, source, n_frames, mouth_by="mini")
        assert np.array_equal(made(generation), made(performed(base, source, n_frames)))
        assert generation.report.model == "tiny" and generation.report.performer is None


def test_the_performance_is_as_large_as_the_base_needs(base: Model, tiny_model: Model) -> None:
    mini: Any = base.family.performer(base)
    assert mini.most_px == 4 * mini.config.size_px, "the tiny base is smaller than that"
    for size_px, most_px in ((512, 635), (256, 512)):
        found = load_performer(base.folder, size_px, base.device, base.dtype, None)
        assert found.family.picture_px(found, 4000.0) == most_px
    assert tiny_model.family.picture_px(tiny_model, 4000.0) == 4 * tiny_model.config.size_px


def test_without_words_nobody_performs(base: Model, tiny_base: Model, picture: np.ndarray, video: Any) -> None:
    for source in (picture, video):
        generation = prepared(base, source, 12, "")
        assert generation.acting is None and generation.report.performer is None
        assert np.array_equal(made(generation), made(prepared(tiny_base, source, 12, "")))
    assert prepared(base, picture, 4, "auto").acting is not None
    assert prepared(base, picture, 4, "", prosody_weight=0.5).acting is not None


def test_a_clip_that_drives_more_than_the_head_is_performed(base: Model, picture: np.ndarray) -> None:
    time_s = np.arange(12) / 25
    motion = Motion({"yaw": 8 * np.sin(6 * time_s), "gaze_x": np.cos(6 * time_s)}, 25.0, "clip.mp4", ())
    for take, is_acted in ((("head",), False), (("head", "gaze"), True)):
        driving = Driving(motion, DrivingOptions(take=take))
        generation = prepare(picture, SOUND[:7680], "", QUICK, model=base, sample_rate=16_000, performance=driving)
        assert (generation.acting is not None) == is_acted and len(made(generation)) == 12
        assert not [note for note in generation.report.notes if "no gaze" in note]


def test_a_background_is_that_of_the_picture_that_was_given(base: Model, picture: np.ndarray, video: Any) -> None:
    for source, n_frames in ((picture, 9), (video, 14)):
        given = [picture] * n_frames if source is picture else list(video)
        for by in ("base", "mini"):
            moving, locked = (
                made(prepared(base, source, n_frames, mouth_by=by, background=background))
                for background in ("moving", "locked")
            )
            kept = [(frame == before).all(-1).mean() for frame, before in zip(locked, given, strict=True)]
            free = [(frame == before).all(-1).mean() for frame, before in zip(moving, given, strict=True)]
            assert np.mean(kept) >= np.mean(free) and np.array_equal(locked[:, :4, :4], np.stack(given)[:, :4, :4])
    clear = made(prepared(base, picture, 9, background="transparent"))
    assert clear.shape == (9, 170, 201, 4)
    assert np.array_equal(clear[..., :3], made(prepared(base, picture, 9)))


def test_settings_without_effect_and_of_others_are_said(
    base: Model, tiny_adapted: Model, tiny_model: Model, picture: np.ndarray
) -> None:
    notes = prepared(base, picture, 4, "", mouth_by="blend").report.notes
    assert notes == ["mouth_by 'blend' has no effect: no emotion was asked for, so no mini performs."]
    notes = prepared(tiny_adapted, picture, 4, mouth_by="mini").report.notes
    assert notes == ["mouth_by 'mini' has no effect: 'tiny-base' has emotion adapters, so no mini performs."]
    for name, value in (("mouth_by", "blend"), ("lip_corners", 0.5), ("mask_edge", "fixed")):
        with pytest.raises(BadInput, match=f"{name} is {value!r}, which is for a base"):
            prepared(tiny_model, picture, 4, **{name: value})


def test_numbers_of_the_base_do_not_reach_the_performance(base: Model, picture: np.ndarray) -> None:
    first = prepared(base, picture, 8)
    first.perform()
    for more in ({"steps": 3, "guidance_audio": 3.0}, {"windows": "fixed", "is_tiled": True, "mouth_by": "blend"}):
        other = prepared(base, picture, 8, **more)
        other.perform()
        assert first.controls is not None and np.array_equal(first.controls, other.controls)
    other = prepared(base, picture, 8, lips=0.3)
    other.perform()
    assert not np.array_equal(first.controls, other.controls)


def test_progress_counts_both_and_a_stop_is_heard_in_both(base: Model, picture: np.ndarray) -> None:
    seen: list[Progress] = []
    generation = prepared(base, picture, 20)
    made(generation, on_progress=seen.append)
    done = [progress.done for progress in seen]
    assert seen[0].stage == "perform" and {p.stage for p in seen} == {"perform", "sample", "decode"}
    assert done == sorted(done) and done[-1] == seen[-1].total == seen[0].total == 20 * (1 + 2 + 1)
    assert seen[0].preview().ndim == 3 and generation.report.seconds["perform"] > 0
    stopped = prepared(base, picture, 20)
    with pytest.raises(Cancelled):
        made(stopped, cancel=lambda: True)
    assert stopped.controls is None
    seen.clear()
    with pytest.raises(Cancelled):
        made(stopped, on_progress=seen.append, cancel=lambda: bool(seen) and seen[-1].stage == "sample")
    assert stopped.controls is not None


def test_a_stopped_file_goes_on_to_the_bit(base: Model, picture: np.ndarray, tmp_path: Path) -> None:
    write_video(prepared(base, picture, 30), tmp_path / "whole.mp4")
    seen: list[Progress] = []
    with pytest.raises(Cancelled):
        write_video(
            prepared(base, picture, 30),
            tmp_path / "cut.mp4",
            on_progress=seen.append,
            cancel=lambda: bool(seen) and seen[-1].done > 100,
        )
    again: list[Progress] = []
    resumed = prepared(base, picture, 30)
    write_video(resumed, tmp_path / "cut.mp4", resume=True, on_progress=again.append)
    whole, cut = (np.stack(list(read_video(tmp_path / name))) for name in ("whole.mp4", "cut.mp4"))
    assert np.array_equal(whole, cut)
    assert "perform" not in {p.stage for p in again}, "what was performed is kept"


def test_segments_leave_no_trace_in_the_performance(base: Model, picture: np.ndarray) -> None:
    one, other = (prepared(base, picture, 23, segment_frames=frames) for frames in (10, 23))
    one.perform()
    other.perform()
    assert one.controls is not None and other.controls is not None
    assert np.allclose(one.controls, other.controls, atol=1e-5)


@pytest.mark.parametrize(("held_bytes", "drawn"), [(acting.HELD_BYTES, 1), (0, 2)])
def test_a_frame_is_drawn_once_unless_too_many_wait(
    base: Model, picture: np.ndarray, video: Any, monkeypatch: pytest.MonkeyPatch, held_bytes: int, drawn: int
) -> None:
    expected = [made(prepared(base, source, 14)) for source in (picture, video)]
    spans: list[range] = []
    draw = acting._Parts._draw

    def counted(self: Any, span: range) -> np.ndarray:
        spans.append(span)
        return draw(self, span)

    monkeypatch.setattr(acting._Parts, "_draw", counted)
    monkeypatch.setattr(acting, "HELD_BYTES", held_bytes)
    for source, frames in zip((picture, video), expected, strict=True):
        spans.clear()
        generation = prepared(base, source, 14)
        assert np.array_equal(made(generation), frames)
        assert sum(map(len, spans)) == 14 * drawn
        assert generation.shown.pictures.held == {}, "nothing waits once all is pasted"


@pytest.mark.parametrize("window_frames", [8, 16])
def test_a_forecast_counts_the_drawing_of_a_performance(
    base: Model, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch, window_frames: int
) -> None:
    """Also where the frames of a trial are those that are drawn together: a warm-up of the same ones has them drawn."""
    drawn: list[int] = []
    counted: dict[str, int] = {}
    draw, timed = acting._Parts._draw, forecast.Trial._timed

    def drawing(self: Any, span: range) -> np.ndarray:
        drawn.append(len(span))
        return draw(self, span)

    def timing(self: Any, name: str, n_frames: int, run: Any) -> Any:
        before = sum(drawn)
        found = timed(self, name, n_frames, run)
        counted[name] = sum(drawn) - before
        return found

    monkeypatch.setattr(acting._Parts, "_draw", drawing)
    monkeypatch.setattr(forecast.Trial, "_timed", timing)
    prepared(base, picture, 40, window_frames=window_frames, segment_frames=250).forecast()
    assert counted["condition"] == window_frames


def test_one_segment_is_made_anew(base: Model, picture: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(prepared(base, picture, 40), path, keep_segments=True)
    before = np.stack(list(read_video(path)))
    write_video(prepared(base, picture, 40, seed=5), path, redo=1, overwrite=True)
    after = np.stack(list(read_video(path)))
    assert np.array_equal(before[:10], after[:10]) and np.array_equal(before[20:], after[20:])
    assert not np.array_equal(before[10:20], after[10:20])
    write_video(prepared(base, picture, 40, seed=5), tmp_path / "b.mp4")
    taken = np.stack(list(read_video(tmp_path / "b.mp4")))[10:20].astype(int)
    assert not np.array_equal(after[10:20], taken), "it fades from what was there"
    with pytest.raises(BadInput, match=r"were made otherwise: options\.mouth_by"):
        write_video(prepared(base, picture, 40, mouth_by="blend"), path, redo=2, overwrite=True)


def test_stages_equal_the_pipeline(base: Model, picture: np.ndarray) -> None:
    sound = read_audio(SOUND[: 13 * 640], 16_000)
    speech = hear(sound, has_speech_gate=False)
    for by in ("base", "mini", "blend"):
        generation = prepared(base, picture, 13, mouth_by=by)
        subject = Subject(picture[None], generation.subject.crops)
        options = replace(QUICK, mouth_by=by)
        seen: list[Progress] = []
        clip = sample_clip(base, subject, speech, EmotionTrack.parse("very happy"), options, seen.append)
        assert seen[-1].done == seen[-1].total == seen[0].total
        assert np.array_equal(np.concatenate(list(decode_clip(base, subject, clip))), made(generation))
        larger = np.repeat(np.repeat(picture, 2, 0), 2, 1)[None]
        assert next(iter(decode_clip(base, subject, clip, larger))).shape[1:] == (340, 402, 3)


def test_a_forecast_counts_the_performance(base: Model, picture: np.ndarray) -> None:
    generation = prepared(base, picture, 40)
    found = generation.forecast()
    assert generation.controls is None, "nothing is performed for a forecast"
    assert found.n_frames == 40 and found.seconds > prepared(base, picture, 40, mouth_by="mini").forecast().seconds


def test_a_mini_that_cannot_be_opened_is_named(tiny_base_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_base_folder, tmp_path / "base")
    (folder / "mini").mkdir()
    with pytest.raises(CheckpointError, match=r"base/mini"):
        load_model(str(folder), "cpu")
