"""Scores of a video and the picture of them; the drawing is checked by what its pixels show."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.testing import assert_allclose

from eadnet_core.cli import main
from eadnet_core.errors import BadInput, FaceNotFound
from eadnet_core.evaluation.command_cost import measure_command
from eadnet_core.media.face.crop import FaceCrop
from eadnet_core.media.sound.audio import read_audio
from eadnet_core.media.video.files import write_video
from eadnet_core.metrics.lip_sync import score_lip_sync
from eadnet_core.metrics.motion import motion_stats
from eadnet_core.metrics.plot import ACCENT, PALETTE, Chart, Page, ticks
from eadnet_core.metrics.report import Scorer, Scores, count_blinks, draw_report, envelope, save_json, score_video
from eadnet_core.metrics.syncnet_v2 import score_syncnet_v2
from eadnet_core.nets.syncnet_v2 import SyncNetV2
from eadnet_core.taxonomy import EMOTIONS
from eadnet_core.weights.experts import Experts, load_experts

N_FRAMES = 60


@pytest.fixture(scope="module")
def experts(tiny_folder: Path) -> Experts:
    return load_experts("cpu", tiny_folder)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    coarse = np.random.default_rng(0).integers(40, 216, (N_FRAMES, 8, 8, 3), dtype=np.uint8)
    return coarse.repeat(16, 1).repeat(16, 2)


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    t = np.arange(640 * N_FRAMES) / 16_000
    return (0.4 * np.sin(2 * np.pi * 180 * t) * np.sin(2 * np.pi * 2 * t) ** 2).astype(np.float32)


@pytest.fixture(scope="module")
def scores(experts: Experts, frames: np.ndarray, samples: np.ndarray) -> Scores:
    scorer = Scorer(experts)
    scorer.add(frames)
    return scorer.finish(samples, "clip.mp4", "happy")


def test_blocks_of_any_length_give_the_same_scores(
    experts: Experts, frames: np.ndarray, samples: np.ndarray, scores: Scores
) -> None:
    scorer = Scorer(experts)
    for block in np.split(frames, [1, 3, 4, 30, 30]):
        scorer.add(block)
    again = scorer.finish(samples, "clip.mp4", "happy")
    assert again.lse_d == pytest.approx(scores.lse_d, rel=1e-4)
    assert_allclose(again.tracks.sync.curve, scores.tracks.sync.curve, rtol=1e-4)
    assert_allclose(again.tracks.opening, scores.tracks.opening, atol=1e-4)
    assert again.jitter_ratio == pytest.approx(scores.jitter_ratio, rel=1e-4)
    assert again.identity == pytest.approx(scores.identity, rel=1e-4)
    assert again.emotion_probabilities == pytest.approx(scores.emotion_probabilities, rel=1e-3)


def test_scores_are_those_of_the_parts(
    experts: Experts, frames: np.ndarray, samples: np.ndarray, scores: Scores
) -> None:
    sync = score_lip_sync(experts.sync, frames, samples)
    assert (scores.offset, scores.speech_windows) == (sync.offset, sync.n_windows)
    assert scores.lse_c == pytest.approx(sync.lse_c, rel=1e-4)
    assert scores.motion_amplitude["mouth"] == pytest.approx(motion_stats(frames)["mouth"].amplitude, rel=1e-5)
    assert scores.n_frames == N_FRAMES and scores.duration_s == pytest.approx(2.4)
    assert sum(scores.emotion_probabilities.values()) == pytest.approx(1.0)
    assert max(scores.emotion_probabilities, key=scores.emotion_probabilities.__getitem__) == scores.emotion
    assert scores.emotion_is_right == (scores.emotion == "happy")


def test_json_holds_plain_values_and_no_tracks(scores: Scores, tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    save_json(replace(scores, lse_c=float("nan")), path)
    text = path.read_text(encoding="utf-8")
    values = json.loads(text)
    assert "NaN" not in text and values["lse_c"] is None
    assert (
        "tracks" not in values and values["video"] == "clip.mp4" and set(values["jitter_ratio"]) >= {"whole", "mouth"}
    )


def test_silence_is_scored_without_lip_sync(experts: Experts, frames: np.ndarray) -> None:
    scorer = Scorer(experts)
    scorer.add(frames)
    silent = scorer.finish(np.zeros(640 * N_FRAMES, np.float32))
    values = silent.to_json()
    assert values["lse_c"] is None and values["lse_d"] is None and silent.speech_windows == 0
    assert values["mouth_energy_correlation"] is None and silent.emotion in EMOTIONS
    assert silent.emotion_is_right is None
    assert draw_report(silent).size[0] > 1000


def test_too_short_a_video_says_so(experts: Experts, frames: np.ndarray) -> None:
    scorer = Scorer(experts)
    scorer.add(frames[:4])
    with pytest.raises(BadInput, match="at least 5 frames"):
        scorer.finish(np.zeros(2560, np.float32))


def test_report_shows_the_tracks(scores: Scores) -> None:
    certain = np.zeros((N_FRAMES, 8))
    certain[:30, 1], certain[30:, 2] = 1.0, 1.0  # first half happy, second half sad
    picture = np.asarray(draw_report(replace(scores, tracks=replace(scores.tracks, probabilities=certain))))
    happy, sad = (np.abs(picture[700:, :1000].astype(int) - PALETTE[i]).sum(-1) < 12 for i in (1, 2))
    assert happy.sum() > 50_000 and sad.sum() > 50_000
    assert np.nonzero(happy)[1].max() <= np.nonzero(sad)[1].min() + 2
    assert (np.abs(picture[156:350].astype(int) - ACCENT).sum(-1) < 30).any()


def test_report_of_long_and_of_minimal_videos(experts: Experts, frames: np.ndarray, scores: Scores) -> None:
    scorer = Scorer(experts)
    scorer.add(frames[:5])
    shortest = scorer.finish(0.1 * np.ones(3200, np.float32), "x" * 300)
    assert draw_report(shortest).size == draw_report(scores).size


def test_chart_puts_points_where_the_axes_say() -> None:
    page = Page(200, 100)
    Chart(page, (50, 10, 150, 90), (0.0, 10.0), (0.0, 1.0)).line(np.array([0.0, 10.0]), np.array([0.5, 0.5]), ACCENT)
    picture = np.asarray(page.finish()).astype(int)
    rows, columns = np.nonzero(np.abs(picture - ACCENT).sum(-1) < 60)
    assert set(rows) <= {49, 50} and columns.min() in (49, 50, 51) and columns.max() in (148, 149, 150)


def test_lines_break_at_gaps() -> None:
    page = Page(200, 100)
    Chart(page, (0, 0, 200, 100), (0.0, 4.0), (0.0, 1.0)).line(
        np.arange(5.0), np.array([0.5, 0.5, np.nan, 0.5, 0.5]), ACCENT
    )
    columns = np.nonzero(np.abs(np.asarray(page.finish()).astype(int) - ACCENT).sum(-1) < 60)[1]
    assert not ((columns > 60) & (columns < 140)).any() and (columns < 50).any() and (columns > 150).any()


def test_ticks_are_round_and_inside() -> None:
    assert ticks(0, 1, 5) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(-15, 15, 10) == [-15, -10, -5, 0, 5, 10, 15]
    assert ticks(0.31, 0.34, 5) == [0.31, 0.32, 0.33, 0.34]
    assert all(0 <= t <= 613.2 for t in ticks(0, 613.2, 10)) and len(ticks(0, 613.2, 10)) <= 11


def test_envelope_keeps_every_peak() -> None:
    samples = np.zeros(16_000, np.float32)
    samples[[5, 9_000]] = 0.7, -0.6
    times, low, high = envelope(samples, 1.0, 100)
    assert len(times) == 100 and high.max() == np.float32(0.7) and low.min() == np.float32(-0.6)
    assert times[low.argmin()] == pytest.approx(0.5625, abs=0.011)
    assert len(envelope(samples[:3], 1.0, 100)[0]) == 3
    assert len(envelope(samples[:0], 1.0, 100)[0]) == 0


def test_count_blinks() -> None:
    assert count_blinks(np.array([0.9, 0.1, 0.6, 0.7, 0.2])) == 2
    assert count_blinks(np.zeros(3)) == 0


def test_cost_of_a_command() -> None:
    script = "import time; held = bytearray(b'x') * 200_000_000; time.sleep(0.2)"
    cost = measure_command([sys.executable, "-c", script], n_threads=1)
    assert 0.2 <= cost.seconds < 30
    assert 0.2 < cost.peak_memory_gb < 0.4
    with pytest.raises(Exception, match=r"status 3: it broke"):
        measure_command([sys.executable, "-c", "import sys; print('it broke', file=sys.stderr); sys.exit(3)"])


FACE_BOX = (16 + 0.2 * 128, 0.19 * 128, 16 + 0.8 * 128, 0.84 * 128)
"""Of frames that lie 16 pixels from the left in a wider video."""


@pytest.fixture(scope="module")
def video(frames: np.ndarray, samples: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    wide = np.pad(frames, ((0, 0), (0, 0), (16, 16), (0, 0)), mode="edge")
    write_video(path, wide, audio=read_audio(samples, 16_000))
    return path


def test_a_video_is_scored_as_its_frames(video: Path, experts: Experts, scores: Scores) -> None:
    seen: list[int] = []
    again = score_video(video, experts, emotion="happy", face_box=FACE_BOX, on_frame=seen.append)
    assert seen[-1] == again.n_frames == N_FRAMES and again.video == "clip.mp4"
    assert again.motion_amplitude["whole"] == pytest.approx(scores.motion_amplitude["whole"], rel=0.05)
    assert_allclose(again.tracks.energy, scores.tracks.energy, atol=0.05)
    assert_allclose(again.tracks.opening, scores.tracks.opening, atol=0.1)


def test_other_sound_wins_over_the_videos_own(video: Path, experts: Experts, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(16_000), 16_000)
    assert score_video(video, experts, audio=tmp_path / "silence.wav", face_box=FACE_BOX).speech_windows == 0


def test_the_original_syncnet_scores_a_video_from_the_command_line(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = SyncNetV2()
    torch.save(judge.state_dict(), tmp_path / "syncnet_v2.model")
    monkeypatch.setattr("eadnet_core.metrics.report.score_syncnet_v2", _first_frames_only)
    box = ",".join(str(v) for v in FACE_BOX)
    out = tmp_path / "scores.json"
    plot = tmp_path / "report.png"
    options = ["--face-box", box, "--json", str(out), "--plot", str(plot), "--device", "cpu"]
    assert main(["score", str(video), "--syncnet-v2", str(tmp_path / "syncnet_v2.model"), *options]) == 0
    scores = json.loads(out.read_text())
    assert scores == json.loads(capsys.readouterr().out)
    assert scores["syncnet_v2"]["n_windows"] == 3
    assert scores["syncnet_v2"]["lse_d"] > 0 and -15 <= scores["syncnet_v2"]["offset"] <= 15
    assert plot.stat().st_size > 0
    assert main(["score", str(video), "--syncnet-v2", str(tmp_path / "none.model"), *options]) == 2
    assert "No weight file" in capsys.readouterr().err


def _first_frames_only(net: SyncNetV2, frames: Iterable[np.ndarray], samples: np.ndarray, face: FaceCrop):
    return score_syncnet_v2(net, islice(frames, 8), samples, face)


def test_bad_videos_and_labels_are_refused(video: Path, experts: Experts, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"Unknown emotion 'joy'; give one of neutral, happy"):
        score_video(video, experts, emotion="joy")
    with pytest.raises(FaceNotFound, match=r"clip\.mp4 at 0 s"):
        score_video(video, experts)
    with pytest.raises(BadInput, match="does not exist"):
        score_video(tmp_path / "none.mp4", experts)
