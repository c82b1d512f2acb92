"""Videos of real portraits measured, and `eadnet evaluate --portraits`: made, measured, gone on with, refused."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from eadnet_core.cli import main
from eadnet_core.errors import BadInput
from eadnet_core.evaluation.portraits import PROMPTS, Request, evaluate_portraits, first_seconds
from eadnet_core.generation.output import write_video
from eadnet_core.media.face.landmark_masks import lid_opening, lip_opening
from eadnet_core.media.video.segments import segment_folder
from eadnet_core.metrics.background import background_shift
from eadnet_core.metrics.face_geometry import EYES, LIPS, OVAL, eye_distance, lip_width, sharpness, shrunk, turn
from eadnet_core.metrics.followed import follow_face
from eadnet_core.metrics.judging import LABELS
from eadnet_core.metrics.portrait import ClipReader, Still, loudness, read_still
from eadnet_core.metrics.portrait_table import format_portraits, summarise
from eadnet_core.weights.experts import load_reader
from eadnet_core.weights.folders import ASSETS
from eadnet_core.weights.judges import Judges, load_judges

SAMPLE = ASSETS / "sample"


def made_points(gap_px: float = 0.0) -> np.ndarray:
    """Landmarks [468, 2] of a face of our own: eyes 40 px apart about (100, 90), lips 40 px wide, `gap_px` open."""
    points = np.full((468, 2), (100.0, 110.0))
    for eye, side in ((EYES[:6], -1), (EYES[6:], 1)):
        for number, (dx, dy) in zip(eye, ((-10, 0), (10, 0), (-3, -4), (-3, 4), (3, -4), (3, 4)), strict=True):
            points[number] = (100 + 20 * side - dx * side, 90 + dy)
    for i, number in enumerate(LIPS):
        points[number] = (100 - 20 * np.cos(2 * np.pi * i / len(LIPS)), 130 - 8 * np.sin(2 * np.pi * i / len(LIPS)))
    points[61], points[291] = (80, 130), (120, 130)
    for upper, lower in ((13, 14), (82, 87), (312, 317)):
        points[upper], points[lower] = (100, 130 - gap_px / 2), (100, 130 + gap_px / 2)
    for i, number in enumerate(OVAL):
        points[number] = (100 + 40 * np.sin(2 * np.pi * i / len(OVAL)), 110 - 50 * np.cos(2 * np.pi * i / len(OVAL)))
    points[234], points[454] = (60, 110), (140, 110)
    return points


@pytest.fixture(scope="module")
def textured() -> np.ndarray:
    """uint8 [200, 200, 3], something to see everywhere."""
    noise = np.random.default_rng(1).normal(size=(50, 50))
    grey = np.kron(noise, np.ones((4, 4))) * 30 + 128
    return np.clip(grey, 0, 255).astype(np.uint8)[..., None].repeat(3, 2)


@pytest.fixture(scope="module")
def judges(judges_folder: Path) -> Judges:
    return load_judges(judges_folder)


class TestMeasures:
    def test_lengths_are_in_eye_distances(self) -> None:
        points = made_points(gap_px=8.0)
        assert eye_distance(points) == pytest.approx(40.0, abs=1e-3)
        assert lip_opening(points) == pytest.approx(8 / 40, abs=1e-4)
        assert lip_width(points) == pytest.approx(1.0, abs=1e-4)
        assert lid_opening(points) == pytest.approx(8 / 20, abs=1e-4)
        assert turn(points) == pytest.approx(0.0, abs=1e-4)
        assert lip_opening(points * 3) == pytest.approx(8 / 40, abs=1e-4)

    def test_sharpness_falls_with_blur_and_is_none_outside(self, textured: np.ndarray) -> None:
        points = made_points()
        whole = sharpness(textured, points)
        blurred = np.rint(shrunk(textured.astype(float), 0.1)).astype(np.uint8).repeat(10, 0).repeat(10, 1)
        soft = sharpness(blurred, points)
        assert all(soft[name] < 0.8 * whole[name] for name in ("mouth", "face", "eyes"))
        assert sharpness(textured, points + 150.0)["mouth"] is None

    def test_shrinking_keeps_the_mean_of_what_is_covered(self) -> None:
        values = np.random.default_rng(0).random((30, 30))
        assert shrunk(values, 1 / 3) == pytest.approx(values.reshape(10, 3, 10, 3).mean((1, 3)))

    def test_a_background_that_stays_has_no_shift_and_one_that_moves_has(self, textured: np.ndarray) -> None:
        points = made_points()
        same = background_shift(textured, textured, points, points)
        moved = background_shift(textured, np.roll(textured, 3, 1), points, points)
        assert len(same) == len(moved) > 4 and max(same) == 0.0
        assert np.median(moved) == pytest.approx(3 / 40, rel=0.2)
        assert background_shift(np.full_like(textured, 90), textured, points, points) == []
        assert background_shift(textured, textured[:100], points, points) == []

    def test_loudness_is_floored_below_its_peak(self) -> None:
        samples = np.concatenate([np.zeros(6400), np.full(6400, 0.5), np.zeros(1000)]).astype(np.float32)
        loud = loudness(samples, 25)
        assert loud.shape == (25,) and loud[15] - loud[2] == pytest.approx(40.0, abs=0.1)

    def test_lips_that_follow_the_sound_are_found_late(self, textured: np.ndarray, judges: Judges) -> None:
        rng = np.random.default_rng(0)
        level = np.repeat(rng.random(10), 5)
        samples = (np.repeat(level, 640) * rng.normal(size=50 * 640) * 0.3).astype(np.float32)
        gaps = 12 * np.roll(loudness(samples, 50) - loudness(samples, 50).min(), 2) / 40
        still = read_still(textured, lambda pictures: iter([made_points()]), judges)
        assert isinstance(still, Still)
        reader = ClipReader(still, judges)
        for gap in gaps:
            reader.add(textured, made_points(float(gap)))
        reader.add(textured, None)
        figures = reader.report(samples, "happy")
        assert figures["frames"] == 51 and figures["face_found"] == pytest.approx(50 / 51)
        assert figures["lips"]["offset_frames"] == 2 and figures["lips"]["corr"] > 0.9
        assert figures["lips"]["amplitude"] == pytest.approx(np.ptp(np.percentile(gaps, (5, 95))) / 40, rel=0.05)
        assert figures["head"] == pytest.approx({"turn_range": 0.0, "move_std": 0.0, "jitter": 0.0})
        assert figures["sharp_ratio"] == pytest.approx({"mouth": 1.0, "face": 1.0, "eyes": 1.0}, rel=0.05)
        assert figures["background_shift"] == 0.0
        for net in ("faceapi", "human"):
            assert figures[net]["identity"] > 0.99 and abs(figures[net]["shift_asked"]) < 0.01
            assert figures[net]["hit_clip"] == (figures[net]["clip_says"] == "happy")
            assert figures[net]["says_as_portrait"]

    def test_a_face_that_is_hardly_found_has_no_more_figures(self, textured: np.ndarray) -> None:
        still = read_still(textured, lambda pictures: iter([made_points()]), None)
        assert still is not None and still.expressions == {} and "faceapi" not in still.to_json()
        reader = ClipReader(still, None)
        for points in (made_points(), None, None):
            reader.add(textured, points)
        assert reader.report(np.zeros(1920, np.float32), "sad") == {"frames": 3, "face_found": pytest.approx(1 / 3)}
        assert read_still(textured, lambda pictures: iter([None]), None) is None

    def test_landmarks_of_the_sample_are_followed(self) -> None:
        portrait = np.array(Image.open(SAMPLE / "portrait.png").convert("RGB"))
        moved = np.roll(portrait, 4, axis=1)
        blank = np.full_like(portrait, 128)
        first, second, none, again = follow_face([portrait, moved, blank, portrait])
        assert first is not None and second is not None and again is not None and none is None
        assert first.shape == (468, 3)
        assert np.median(second[:, 0] - first[:, 0]) == pytest.approx(4, abs=0.03 * eye_distance(first))
        assert np.abs(again - first)[:, :2].mean() < 0.03 * eye_distance(first)


class TestTable:
    def test_means_are_by_emotion_over_all_and_without_neutral(self) -> None:
        rows = [
            {"emotion": label, "face_found": 1.0, "lips": {"amplitude": 0.1 * i}, "faceapi": {"hit_clip": i > 1}}
            for i, label in enumerate(("neutral", "happy", "angry"))
        ]
        results = {**summarise(rows, LABELS), "skipped": {"a.png": "No face."}}
        assert list(results["by_emotion"]) == ["neutral", "happy", "angry"]
        assert results["all"]["lip_amplitude"] == pytest.approx(0.1) and results["all"]["hit_faceapi"] == pytest.approx(
            1 / 3
        )
        assert results["without_neutral"]["hit_faceapi"] == 0.5 and results["all"]["hit_human"] is None
        table = format_portraits(results)
        assert "faceapi reads it" in table and "human" not in table and "left out: a.png: No face." in table

    def test_every_prompt_is_read_as_what_it_is_held_to(self) -> None:
        read = load_reader("mini").read(list(PROMPTS.values()))
        assert [reading.label for reading in read] == list(PROMPTS) == list(LABELS)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Portraits, one of them a blank picture and one cut off, and two voices."""
    top = tmp_path_factory.mktemp("real")
    portraits, voices = top / "portraits", top / "voices"
    portraits.mkdir()
    voices.mkdir()
    Image.new("RGB", (128, 128), "grey").save(portraits / "blank.png")
    (portraits / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    Image.open(SAMPLE / "portrait.png").save(portraits / "person.png")
    (portraits / "notes.txt").write_text("not a picture", encoding="utf-8")
    samples, rate = soundfile.read(SAMPLE / "speech.wav")
    for name, begin in (("one.wav", 0), ("two.flac", rate)):
        soundfile.write(voices / name, samples[begin : begin + 2 * rate], rate)
    return portraits, voices


@pytest.fixture(scope="module")
def request_of(folders: tuple[Path, Path], tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Request:
    output = tmp_path_factory.mktemp("evaluated") / "out"
    return Request(*folders, output, str(tiny_folder), "cpu", ("neutral", "angry"), seconds=0.6)


def steady(pictures: Iterable[np.ndarray]) -> Iterator[np.ndarray | None]:
    """The landmarks of the sample on every picture of its size: an untrained model draws no face to be found."""
    known: np.ndarray | None = None
    for picture in pictures:
        if known is None:
            known = next(follow_face([picture]), None)
        yield known


class TestEvaluation:
    def test_clips_are_made_and_measured_once_and_judged_when_judges_come(
        self, request_of: Request, judges: Judges
    ) -> None:
        seen: list[tuple[int, int]] = []
        results = evaluate_portraits(request_of, steady, None, lambda done, total: seen.append((done, total)))
        assert seen[-1] == (6, 6) and [row["voice"] for row in results["clips"]] == ["one.wav", "two.flac"]
        assert set(results["skipped"]) == {"blank.png", "cut.jpg"} and "No face" in results["skipped"]["blank.png"]
        assert results["all"]["clips"] == 2 and results["all"]["hit_faceapi"] is None
        assert all(row["frames"] == 15 for row in results["clips"])
        clips = sorted((request_of.output / "clips" / "person.png").glob("*.mp4"))
        sheets = {path.name for path in (request_of.output / "sheets").iterdir()}
        assert [path.name for path in clips] == ["angry.mp4", "neutral.mp4"]
        assert sheets == {"overview.jpg", "person.png.jpg"}
        times = [path.stat().st_mtime_ns for path in clips]
        again = evaluate_portraits(request_of, steady, None)
        judged = evaluate_portraits(request_of, steady, judges)
        assert again["clips"] == results["clips"] and [path.stat().st_mtime_ns for path in clips] == times
        assert judged["all"]["hit_faceapi"] in (0.0, 0.5, 1.0) and judged["is_judged"]
        clips[0].unlink()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("eadnet_core.evaluation.portraits.write_video", partial(write_video, keep_segments=True))
            evaluate_portraits(request_of, steady, judges)
        assert segment_folder(clips[0]).is_dir()
        clips[0].unlink()  # as a run leaves it that was killed
        goes_on = evaluate_portraits(request_of, steady, judges)
        assert set(goes_on["skipped"]) == {"blank.png", "cut.jpg"} and not segment_folder(clips[0]).exists()
        assert clips[0].is_file() and clips[1].stat().st_mtime_ns == times[1]

    def test_a_folder_of_other_settings_is_refused(self, request_of: Request, tmp_path: Path) -> None:
        output = tmp_path / "out"
        output.mkdir()
        (output / "mine.txt").write_text("keep", encoding="utf-8")
        with pytest.raises(BadInput, match="holds no evaluation of portraits"):
            evaluate_portraits(replace(request_of, output=output), steady, None)
        (output / "mine.txt").rename(output / "settings.json")
        with pytest.raises(BadInput, match=r"other settings \(weights, seconds, seed\): give another --output"):
            evaluate_portraits(replace(request_of, output=output), steady, None)

    def test_what_cannot_be_evaluated_is_said(self, request_of: Request, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match=r"There are no portraits in .* end in \.png"):
            evaluate_portraits(replace(request_of, portraits=tmp_path), steady, None)
        with pytest.raises(BadInput, match="is no folder; give the folder of the voices"):
            evaluate_portraits(replace(request_of, voices=tmp_path / "gone"), steady, None)
        with pytest.raises(BadInput, match=r"'contempt'.*give some of neutral, happy"):
            replace(request_of, emotions=("contempt",))
        with pytest.raises(BadInput, match=r"seconds is 0\.1"):
            replace(request_of, seconds=0.1)
        Image.new("RGB", (64, 64)).save(tmp_path / "black.png")
        with pytest.raises(BadInput, match="could be used: No face"):
            evaluate_portraits(replace(request_of, portraits=tmp_path, output=tmp_path / "out"), steady, None)

    def test_a_voice_is_cut_to_its_beginning(self, folders: tuple[Path, Path]) -> None:
        sound = first_seconds(folders[1] / "one.wav", 0.5)
        assert sound.duration_s == pytest.approx(0.5) and len(sound.samples) == 8000

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--voices", "v"], "--voices belongs to --portraits FOLDER"),
            (["--emotion", "--judges", "j"], "--judges belongs to --portraits FOLDER"),
            (["--portraits", "p"], "--portraits needs --voices FOLDER"),
            (["--emotion", "--portraits", "p"], "it is the number of heads, such as 3"),
            (["--portraits", "p", "--voices", "v", "--judges", "j"], "'j' is no folder of judges"),
        ],
    )
    def test_the_command_says_what_to_give(
        self, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["evaluate", *arguments]) == 2
        assert said in capsys.readouterr().err

    def test_the_command_writes_its_table(
        self, request_of: Request, judges_folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        asked = request_of
        command = ["evaluate", "--portraits", asked.portraits, "--voices", asked.voices, "--model", asked.model]
        command += ["--emotions", "neutral", "--seconds", "0.6", "--output", tmp_path / "out", "--device", "cpu"]
        assert main([str(part) for part in command]) == 0
        said = capsys.readouterr().out
        assert "face found" in said and "run eadnet download judges" in said and "left out: blank.png" in said
        assert main([str(part) for part in (*command, "--judges", judges_folder)]) == 0
        assert "faceapi reads it" in capsys.readouterr().out
        figures = json.loads((tmp_path / "out" / "figures.json").read_text(encoding="utf-8"))
        assert figures["by_emotion"]["neutral"]["clips"] == 1 and figures["is_judged"]
