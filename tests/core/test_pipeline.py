"""The whole pipeline on the synthetic model: lengths, determinism, identical backgrounds, words, and bad input."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import eadnet_core
from eadnet_core.emotion.code import INTENSITY, describe, emotion_code
from eadnet_core.emotion.script import parse_script
from eadnet_core.emotion.track import EmotionTrack
from eadnet_core.errors import BadInput, Cancelled, FaceNotFound, MediaError
from eadnet_core.families.family import Model
from eadnet_core.generation.output import write_video
from eadnet_core.generation.pipeline import generate, prepare
from eadnet_core.generation.plan import track_codes
from eadnet_core.media.sound.audio import n_frames_of
from eadnet_core.media.video.files import VideoWriter, read_metadata, read_video
from eadnet_core.request import GenerateOptions, Progress

BOX = (60.0, 40.0, 140.0, 120.0)
QUICK = GenerateOptions(steps=1, face_box=BOX)


@pytest.fixture
def picture(portrait: np.ndarray) -> np.ndarray:
    """The portrait inside a larger picture of another size on each side, uint8 [170, 201, 3]."""
    return np.pad(portrait, ((12, 30), (40, 33), (0, 0)), mode="reflect")


def frames_of(model: Model, picture: np.ndarray, samples: np.ndarray, rate: int = 16_000, **more: Any) -> np.ndarray:
    options = more.pop("options", QUICK)
    segments = generate(picture, samples, options=options, model=model, sample_rate=rate, **more)
    return np.concatenate([s.frames for s in segments])


def test_the_frame_count_is_exact_from_40_ms_to_10_minutes() -> None:
    """round(duration * 25), ties away from zero, for every number of samples tried, in exact arithmetic."""
    for rate in (8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 192_000):
        for n_samples in [*range(1, 50), *(rate * s // 25 + d for s in (1, 2, 333, 15_000) for d in (-1, 0, 1))]:
            exact = Fraction(n_samples * 25, rate)
            assert n_frames_of(n_samples, rate) == max(1, int(exact + Fraction(1, 2)))


@pytest.mark.parametrize(("n_samples", "rate", "n_frames"), [(1, 16_000, 1), (640, 16_000, 1), (17_640, 44_100, 10)])
def test_a_clip_has_exactly_its_frames(
    tiny_model: Model, picture: np.ndarray, n_samples: int, rate: int, n_frames: int
) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, n_samples).astype(np.float32)
    frames = frames_of(tiny_model, picture, samples, rate)
    assert frames.shape == (n_frames, 170, 201, 3)
    assert frames.dtype == np.uint8


def test_segments_are_in_order_and_a_seed_repeats(
    tiny_model: Model, picture: np.ndarray, voice_samples: np.ndarray
) -> None:
    def run(seed: int) -> list[eadnet_core.Segment]:
        options = GenerateOptions(steps=1, face_box=BOX, segment_frames=8, seed=seed)
        return list(generate(picture, voice_samples, "glad", options, model=tiny_model, sample_rate=16_000))

    segments, again, other = run(1), run(1), run(2)
    assert [s.start_frame for s in segments] == [0, 8, 16, 24]
    assert all(np.array_equal(a.frames, b.frames) for a, b in zip(segments, again, strict=True))
    assert any(not np.array_equal(a.frames, b.frames) for a, b in zip(segments, other, strict=True))
    assert segments[0].face_frames.shape == (8, 128, 128, 3)


def test_pixels_outside_the_face_stay_identical(
    tiny_model: Model, picture: np.ndarray, voice_samples: np.ndarray
) -> None:
    generation = prepare(picture, voice_samples, "", QUICK, model=tiny_model, sample_rate=16_000)
    x0, y0, x1, y1 = generation.geometry.bounds((201, 170))
    for segment in generation:
        outside = np.ones(picture.shape[:2], bool)
        outside[y0:y1, x0:x1] = False
        assert outside.any()
        assert np.array_equal(segment.frames[:, outside], np.repeat(picture[outside][None], len(segment.frames), 0))


def track_of(*keyframes: tuple[float, str, float]) -> EmotionTrack:
    """A track of labels at intensities, already read."""
    frames = [{"time_s": at, "text": name, "code": emotion_code(name, level)} for at, name, level in keyframes]
    return EmotionTrack.parse(frames)


def test_keyframes_cross_fade_and_hold_at_the_ends() -> None:
    code = track_codes(track_of((1.0, "sad", 1.0), (3.0, "happy", 0.5)), 100)
    assert code.shape == (100, 27)
    assert describe(code[0]).label == "sad"
    assert np.array_equal(code[0], code[24])
    assert describe(code[-1]).label == "happy"
    assert code[49, INTENSITY] == pytest.approx(1.0 - 0.5 * (49.5 / 25 - 1) / 2, abs=1e-5)


def test_emotion_scale_zero_is_neutral() -> None:
    code = track_codes(track_of((0.0, "angry", 1.0)), 3, scale=0.0)
    assert np.allclose(code, emotion_code("neutral", 0.0))


def test_words_are_read_into_the_report(tiny_model: Model, picture: np.ndarray, voice_samples: np.ndarray) -> None:
    words = [(0.6, "happy"), (0.0, "")]
    report = prepare(picture, voice_samples, words, QUICK, model=tiny_model, sample_rate=16_000).report
    assert [(e["start_s"], e["label"]) for e in report.emotions] == [(0.0, "neutral"), (0.6, "happy")]
    long = prepare(picture, voice_samples, "so happy " * 1200, QUICK, model=tiny_model, sample_rate=16_000).report
    assert long.emotions[0]["label"] == "happy"


def test_what_cannot_have_an_effect_is_noted(tiny_model: Model, picture: np.ndarray) -> None:
    options = GenerateOptions(steps=1, face_box=BOX, sync_guidance=0.2, sync_high=0.75)
    report = prepare(picture, np.zeros(9600, np.float32), "", options, model=tiny_model, sample_rate=16_000).report
    assert any("sync_guidance has no effect with 1 step" in note for note in report.notes)
    assert any("No speech" in note for note in report.notes)


def test_keyframes_after_the_end_are_noted(tiny_model: Model, picture: np.ndarray, voice_samples: np.ndarray) -> None:
    def notes(*track: tuple[float, str] | dict[str, object]) -> list[str]:
        return prepare(picture, voice_samples, track, QUICK, model=tiny_model, sample_rate=16_000).report.notes

    late = notes((0.0, "calm"), {"time_s": 90.0, "text": "furious", "fade_s": 0.4}, (95.0, "glad"))
    assert (
        sum("2 of 3 keyframes of the emotion are not seen: the first is 'furious' at 90.00 s" in x for x in late) == 1
    )
    assert not any("not seen" in note for note in notes((0.0, "calm"), (90.0, "furious")))  # it fades in from 0 on


def test_what_had_to_change_in_the_sound_is_noted(
    tiny_model: Model, picture: np.ndarray, voice_samples: np.ndarray
) -> None:
    stereo = np.stack([voice_samples, -voice_samples])
    report = prepare(picture, stereo, "", QUICK, model=tiny_model, sample_rate=16_000).report
    assert any("cancel one another" in note for note in report.notes)


def test_a_file_holds_sound_settings_and_the_right_length(
    tiny_model: Model, picture: np.ndarray, voice_samples: np.ndarray, tmp_path: Path
) -> None:
    generation = prepare(picture, voice_samples, "glad", QUICK, model=tiny_model, sample_rate=16_000)
    scores = write_video(generation, tmp_path / "a b.mp4", report=tmp_path / "report.png")
    assert scores is not None
    video = read_video(tmp_path / "a b.mp4")
    assert (video.n_frames, video.fps) == (30, 25.0)
    assert video.audio().duration_s == pytest.approx(1.2, abs=0.1)
    settings = read_metadata(tmp_path / "a b.mp4")["settings"]
    assert settings["emotions"][0]["text"] == "glad"
    assert settings["options"]["steps"] == 1
    assert Image.open(tmp_path / "report.png").size[0] > 200
    report = generation.report
    assert {"read", "face", "emotion", "sample", "decode", "paste", "write"} <= set(report.seconds)
    assert json.loads(json.dumps(report.to_dict()))["seconds_per_second"] > 0


def test_the_forecast_counts_frames_and_grows_with_steps(
    tiny_model: Model, picture: np.ndarray, voice_samples: np.ndarray
) -> None:
    options = GenerateOptions(steps=100, face_box=BOX)
    one, many = (
        prepare(picture, voice_samples, "", o, model=tiny_model, sample_rate=16_000).forecast()
        for o in (QUICK, options)
    )
    assert one.n_frames == 30
    assert many.seconds > one.seconds
    assert 0.3e9 < one.memory_bytes < one.more_memory_bytes + 30e9
    assert 0 < one.output_bytes < one.disk_bytes < 10e6


def test_the_forecast_says_what_to_lower(tiny_model: Model, picture: np.ndarray, voice_samples: np.ndarray) -> None:
    generation = prepare(picture, voice_samples, "", QUICK, model=tiny_model, sample_rate=16_000)
    found = replace(generation.forecast(), more_memory_bytes=10**9, segment_frame_bytes=10**6, window_bytes=10**8)
    options = generation.options
    assert found.lacking_memory(2 * 10**9, options) is None and found.lacking_disk(10**9) is None
    assert "batch_windows 1, segment_frames 250." in str(found.lacking_memory(int(0.7e9), options))
    assert "batch_windows 1, segment_frames 125." in str(found.lacking_memory(int(0.6e9), options))
    assert "reduce the picture" in str(found.lacking_memory(10, options))
    tiled = replace(found, tiles_bytes=4 * 10**8)
    assert "batch_windows 1, segment_frames 15 and is_tiled." in str(tiled.lacking_memory(4 * 10**8, options))
    assert "50% of its width" in str(found.lacking_disk(found.disk_bytes // 4))


def test_cancel_and_a_full_disk_leave_nothing(
    tiny_model: Model, picture: np.ndarray, voice_samples: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make() -> Any:
        return prepare(picture, voice_samples, "", QUICK, model=tiny_model, sample_rate=16_000)

    with pytest.raises(Cancelled):
        write_video(make(), tmp_path / "out.mp4", cancel=lambda: True)
    assert list(tmp_path.iterdir()) == []

    def fill(self: VideoWriter) -> Path:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        try:
            return original(self)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    original, resource = VideoWriter.finish, pytest.importorskip("resource")
    monkeypatch.setattr(VideoWriter, "finish", fill)
    with pytest.raises(MediaError, match="could not be written"):
        write_video(make(), tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == []


def test_progress_reaches_its_total(tiny_model: Model, picture: np.ndarray, voice_samples: np.ndarray) -> None:
    ticks: list[Progress] = []
    frames_of(tiny_model, picture, voice_samples, on_progress=ticks.append)
    assert ticks[-1].done == ticks[-1].total == 60


BAD_SOUNDS: dict[str, np.ndarray] = {
    "empty": np.zeros(0, np.float32),
    "nan": np.full(800, np.nan, np.float32),
    "shape": np.zeros((2, 3, 4), np.float32),
}


@pytest.mark.parametrize("name", sorted(BAD_SOUNDS))
def test_bad_sounds_are_refused(tiny_model: Model, picture: np.ndarray, name: str) -> None:
    with pytest.raises(BadInput):
        prepare(picture, BAD_SOUNDS[name], "", QUICK, model=tiny_model, sample_rate=16_000)


@pytest.mark.parametrize(
    ("samples", "rate"),
    [
        (np.full(1000, 130, np.uint8), 8_000),
        (np.zeros((6, 4800), np.int16), 48_000),
        (np.zeros(19_200, np.float32), 192_000),
    ],
    ids=["8 bits", "5.1 channels", "192 kHz"],
)
def test_unusual_sounds_work(tiny_model: Model, picture: np.ndarray, samples: np.ndarray, rate: int) -> None:
    assert len(frames_of(tiny_model, picture, samples, rate)) == n_frames_of(samples.shape[-1], rate)


def test_bad_pictures_are_refused(tiny_model: Model, voice_samples: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:50])
    for source in (tmp_path / "none.png", tmp_path / "empty.png", tmp_path / "cut.png", tmp_path):
        with pytest.raises(BadInput, match=str(source.name)):
            prepare(source, voice_samples, "", QUICK, model=tiny_model, sample_rate=16_000)
    with pytest.raises(FaceNotFound):
        prepare(np.zeros((1, 1, 3), np.uint8), voice_samples, "", model=tiny_model, sample_rate=16_000)
    with pytest.raises(FaceNotFound, match="face_box"):
        prepare(np.full((200, 200, 3), 90, np.uint8), voice_samples, "", model=tiny_model, sample_rate=16_000)
    with pytest.raises(BadInput, match="outside the picture"):
        options = GenerateOptions(face_box=(900, 900, 990, 990))
        prepare(np.full((200, 200, 3), 90, np.uint8), voice_samples, "", options, model=tiny_model, sample_rate=16_000)


def test_outputs_are_checked_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "there.mp4").write_bytes(b"precious")
    for output in (tmp_path / "there.mp4", tmp_path / "no" / "folder.mp4", tmp_path / "out.xyz"):
        with pytest.raises(BadInput, match=r"^Output "):
            prepare("missing.png", "missing.wav", output=output)
    assert (tmp_path / "there.mp4").read_bytes() == b"precious"


def test_a_picture_without_a_face_is_called_by_its_file(tiny_model: Model, tmp_path: Path) -> None:
    grey = np.full((96, 96, 3), 128, np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    for portrait, name in ((tmp_path / "grey.png", "grey.png"), (grey, "portrait")):
        with pytest.raises(FaceNotFound, match=f"No face in '{name}'"):
            prepare(portrait, np.zeros(16_000), model=tiny_model, sample_rate=16_000)


def test_the_public_names_are_the_pipelines() -> None:
    assert eadnet_core.generate is generate
    assert eadnet_core.prepare is prepare
    lazy = {"generate", "load_model", "prepare", "prepare_conversation", "write_video"}
    assert set(eadnet_core.__all__) <= set(dir(eadnet_core)) | lazy


def test_no_speech_gate_reaches_scripts(tiny_model: Model, picture: np.ndarray, voice_samples: np.ndarray) -> None:
    """With the gate the words lie where somebody speaks, after four silent seconds; without it over all the sound."""
    sound = np.concatenate([np.zeros(64_000, np.float32), voice_samples])
    script, starts = parse_script("[calm] one two three four [happy] five six seven eight"), {}
    for has_gate in (True, False):
        options = replace(QUICK, has_speech_gate=has_gate)
        made = prepare(picture, sound, script, options, model=tiny_model, sample_rate=16_000)
        starts[has_gate] = made.report.emotions[1]["start_s"]
        assert bool((made.performance.voice == 1).all()) is not has_gate
    assert starts[False] < 3.5 < starts[True]
