"""Videos into shards: every reason against a clip, runs that are stopped at any moment, and what training reads."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from eadnet_core import cli
from eadnet_core.corpus.shards import decode_clip, read_shards
from eadnet_core.curation import video_flow
from eadnet_core.curation.stages.cuts import scene_starts
from eadnet_core.curation.stages.face import follow_face
from eadnet_core.curation.stages.mouth import LEAST_PX, mouth_seen
from eadnet_core.curation.stages.sharpness import blur
from eadnet_core.curation.stages.spans import clip_spans
from eadnet_core.curation.stages.sync import shifted
from eadnet_core.curation.store import Store
from eadnet_core.curation.video_rules import REASONS, VideoRules
from eadnet_core.curation.video_run import curate_videos, find_videos
from eadnet_core.errors import BadInput
from eadnet_core.media.sound.audio import read_audio
from eadnet_core.media.video.files import read_video, write_video
from eadnet_core.training.base_clips import find_clips

ASSETS = Path(video_flow.__file__).parents[1] / "assets" / "sample"
RULES = VideoRules(size_px=96, least_s=0.8, most_s=1.6, has_cuts=False, most_offset=15, least_confidence=-2.0)
N_FRAMES = 24
Write = Callable[..., Path]


@pytest.fixture(scope="module")
def face() -> Image.Image:
    return Image.open(ASSETS / "portrait.png").convert("RGB").resize((224, 224))


def laid(face: Image.Image, x: int, side: int = 224, n: int = 1, seed: int = 0) -> np.ndarray:
    """The face `n` times on noise of 360 x 240 pixels, from x on."""
    picture = Image.fromarray(np.random.default_rng(seed).integers(80, 120, (240, 360, 3), dtype=np.uint8))
    for i in range(n):
        picture.paste(face.resize((side, side)), (x + i * side, 8))
    return np.asarray(picture)


@pytest.fixture(scope="module")
def frames(face: Image.Image) -> dict[str, list[np.ndarray]]:
    """The frames of a clip for each reason that pictures give; "" is a good one."""
    mirrored = face.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    blurred = np.asarray(Image.fromarray(laid(face, 60)).filter(ImageFilter.GaussianBlur(5)))
    covered = Image.fromarray(laid(face, 60))
    ImageDraw.Draw(covered).ellipse((138, 150, 206, 218), fill=(30, 30, 34))
    return {
        "": [laid(face, 60 + i // 4) for i in range(N_FRAMES)],
        "no_face": [laid(face, 0, n=0, seed=i) for i in range(N_FRAMES)],
        "several_faces": [laid(face, 0, 180, 2)] * N_FRAMES,
        "face_lost": [laid(face, 60, n=int(i < 15), seed=i // 15) for i in range(N_FRAMES)],
        "small_face": [laid(face, 60, 90)] * N_FRAMES,
        "unsteady": [laid(face, 60, 110 + 4 * i) for i in range(N_FRAMES)],
        "covered_mouth": [np.asarray(covered)] * N_FRAMES,
        "blurred": [blurred] * N_FRAMES,
        "duplicate": [laid(face, 60 + i // 4) for i in range(N_FRAMES)],
        "mirrored": [laid(mirrored, 70)] * N_FRAMES,
    }


@pytest.fixture(scope="module")
def source(frames: dict[str, list[np.ndarray]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video for each reason, named by it; `a` is good and stands before its duplicate."""
    folder = tmp_path_factory.mktemp("videos")
    sound = read_audio(ASSETS / "speech.wav")
    for reason, pictures in frames.items():
        write_video(folder / f"{reason or 'a'}.mp4", pictures, audio=sound)
    write_video(folder / "no_sound.mp4", frames[""])
    write_video(folder / "short_scene.mp4", frames[""][:12], audio=sound)
    (folder / "broken.mp4").write_bytes((folder / "a.mp4").read_bytes()[:900])
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix in (".tar", ".parquet")}


def rows_by_video(folder: Path) -> dict[str, dict]:
    from eadnet_core.curation.manifest import read_rows

    return {Path(row["video"]).stem: row for row in read_rows(folder / "manifest.parquet")}


@pytest.mark.parametrize("reason", ["", "no_face", "several_faces", "face_lost", "small_face", "unsteady"])
def test_the_face_has_to_be_one_large_and_steady(frames: dict[str, list[np.ndarray]], reason: str) -> None:
    found = follow_face(iter(frames[reason]), RULES)
    assert found["reason"] == reason, found
    if reason == "":
        assert np.shape(found["track"]) == (N_FRAMES, 4) and found["missed"] == 0


def test_a_covered_mouth_is_told_from_a_free_one(frames: dict[str, list[np.ndarray]]) -> None:
    free, covered = (mouth_seen(np.stack(frames[name][:2])[:, 8:232, 60:284]) for name in ("", "covered_mouth"))
    assert covered < 0.5 < 0.6 < free


def test_a_small_mouth_is_looked_at_as_large_as_those_of_the_threshold() -> None:
    """A held-out head with its mouth wide open."""
    shown = [frame for t, frame in enumerate(read_video(ASSETS.parent / "heldout" / "05.mp4")) if t in (8, 120)]
    small, usual = (
        mouth_seen(np.stack([np.asarray(Image.fromarray(frame).resize((side, side))) for frame in shown]))
        for side in (96, LEAST_PX)
    )
    assert small == pytest.approx(usual, abs=0.06)


def test_blur_is_told_from_a_sharp_face(frames: dict[str, list[np.ndarray]]) -> None:
    sharp, blurred = (blur(np.stack(frames[name])[:, 8:232, 60:284]) for name in ("", "blurred"))
    assert sharp < 0.55 < 0.6 < blurred


def test_cuts_are_found() -> None:
    pytest.importorskip("scenedetect", reason="scenedetect is not here: pip install 'eadnet[curate]'")
    rng = np.random.default_rng(0)
    scenes = [rng.integers(0, 255, (6, 8, 3), dtype=np.uint8).repeat(20, 0).repeat(20, 1) for _ in range(3)]
    found = scene_starts((scene for scene in scenes for _ in range(40)), 27.0)
    assert found == ([0, 40, 80], 120)


def test_spans_lose_no_frame_of_a_long_scene() -> None:
    for n_frames in range(125, 1500, 37):
        spans = clip_spans([0], n_frames, 125, 250)
        assert [a for a, _, _ in spans[1:]] == [b for _, b, _ in spans[:-1]]
        assert (spans[0][0], spans[-1][1]) == (0, n_frames) and all(ok and 125 <= b - a <= 250 for a, b, ok in spans)


@pytest.mark.parametrize("offset", [-3, 0, 4])
def test_what_was_shifted_is_shifted_back(offset: int) -> None:
    """Frame t goes with the sound of frame t + offset."""
    frames, samples = shifted(np.arange(20), np.repeat(np.arange(20), 640), offset)
    assert (samples[::640] - frames == offset).all() and len(frames) == 20 - abs(offset)
    assert len(samples) == 640 * len(frames)


def test_rules_that_keep_nothing_are_refused() -> None:
    for wrong in (
        {"size_px": 8},
        {"least_s": 6.0, "most_s": 10.0},
        {"most_offset": -1},
        {"most_blur": 0.0},
        {"least_mouth": 1.0},
    ):
        with pytest.raises(BadInput):
            VideoRules(**wrong)


@pytest.fixture(scope="module")
def finished(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nobody stopped."""
    pytest.importorskip("pyarrow", reason="pyarrow is not here: pip install 'eadnet[curate]'")
    output = tmp_path_factory.mktemp("curated") / "out"
    curate_videos(source, output, RULES)
    return output


def test_a_run_says_why_of_every_clip(source: Path, finished: Path) -> None:
    rows = rows_by_video(finished)
    kept = {"a", "mirrored"}
    assert {name: row["reason"] for name, row in rows.items() if name not in kept} == {
        name: name for name in REASONS if name not in ("out_of_sync", "offset_too_large")
    }
    assert all(rows[name]["reason"] == "" for name in kept)
    assert rows["duplicate"]["same_as"] == "a.mp4: 0" and rows["broken"]["said"]
    sheet = json.loads((finished / "datasheet.json").read_text())
    assert sheet["clips"] == 2 and sheet["dropped"]["blurred"] == 1 and sheet["dropped_videos"] == 2
    assert sheet["engine"] == "this process" and sheet["rules"]["syncnet"] is None
    with Image.open(finished / "datasheet.png") as picture:
        assert picture.width == 1100
    assert not list(finished.glob(".*"))


def test_training_reads_the_shards(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    for path in finished.glob("*.tar"):
        (tmp_path / "shards" / path.name).write_bytes(path.read_bytes())
    clips = [read() for _, read in find_clips(tmp_path / "shards")]
    assert len(clips) == 2
    for clip in clips:
        assert clip.frames.shape == (N_FRAMES, 96, 96, 3) and clip.samples.shape == (640 * N_FRAMES,)
        assert clip.codes is not None and clip.codes.shape == (N_FRAMES, 27)
        assert clip.motion is not None and clip.motion.shape == (N_FRAMES, 8)
        assert np.abs(clip.motion[0, [0, 1, 2, 3, 4, 6, 7]]).max() == 0
    ((key, members), _) = read_shards(sorted(finished.glob("clips-*.tar")))
    known = decode_clip(members).metadata
    assert known["video"] == "a.mp4" and known["shard_key"] == key and "path" not in known
    assert decode_clip(members).tracks["action_units"].shape == (N_FRAMES, 16)


@pytest.mark.parametrize("stopped_at", [1, 4, 13, 21])
def test_a_run_that_is_stopped_goes_on(
    source: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_at: int
) -> None:
    """Stopped as a record is written, then run again: the files equal those of a run that was not, and no record
    that was there is made again."""
    write, made = Store.write, list[str]()

    def stop(store: Store, key: str, values: object) -> None:
        made.append(key)
        if len(made) == stopped_at:
            raise KeyboardInterrupt
        write(store, key, values)

    monkeypatch.setattr(Store, "write", stop)
    with pytest.raises(KeyboardInterrupt):
        curate_videos(source, tmp_path / "out", RULES)
    assert content(tmp_path / "out") == {}
    curate_videos(source, tmp_path / "out", RULES)
    assert content(tmp_path / "out") == content(finished)
    assert len(made) == len(set(made)) + 1, "only the record that was in hand may be made twice"


def hears_interrupts() -> None:
    """A job in the background inherits that SIGINT is ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def records(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "state").rglob("*.json")}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals to groups of processes")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_two_processes_end_with_the_first_and_lose_nothing(
    source: Path, finished: Path, tmp_path: Path, sent: signal.Signals
) -> None:
    """Ctrl-C, which all processes get, and kill -9 of the first one alone: the others end with it, in the middle of
    their videos. What they had finished is neither lost nor made again."""
    output = tmp_path / "out"
    given = ["--size", "96", "--least-seconds", "0.8", "--most-seconds", "1.6", "--no-cuts", "--workers", "2"]
    call = [sys.executable, "-m", "eadnet_core", "curate", "video", str(source), "--output", str(output), *given]
    with subprocess.Popen(call, stderr=-1, start_new_session=True, preexec_fn=hears_interrupts) as run:
        while run.poll() is None and len(records(output)) < 3:
            time.sleep(0.02)
        before = records(output)
        os.killpg(run.pid, sent) if sent == signal.SIGINT else run.kill()
        # ends when the last process that could write to it has ended
        said = run.communicate(timeout=120)[1].decode().splitlines()
    assert run.returncode == (130 if sent == signal.SIGINT else -sent)
    if sent == signal.SIGINT:
        assert [line for line in said if "clip/s" not in line] == ["Stopped."]
    after = records(output)
    assert len(after) - len(before) <= 8, "the videos in hand were gone on with"
    curate_videos(source, output, RULES)
    assert after.items() <= records(output).items() and content(output) == content(finished)


def test_a_syncnet_judges_lips(source: Path, tiny_sync: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not here: pip install 'eadnet[curate]'")
    videos = tmp_path / "list.txt"
    videos.write_text(f"# two of them\n{source / 'a.mp4'}\n{source / 'mirrored.mp4'}\n{tmp_path / 'gone.mp4'}\n")
    lenient, strict = RULES, VideoRules(**{**vars(RULES), "least_confidence": 9.0})
    sheet = curate_videos(videos, tmp_path / "out", lenient, tiny_sync)
    rows = rows_by_video(tmp_path / "out")
    assert sheet.counts["kept"] == 2 and rows["gone"]["reason"] == "broken"
    for (_, members), name in zip(read_shards([tmp_path / "out" / "clips-000000.tar"]), ("a", "mirrored"), strict=True):
        clip = decode_clip(members)
        assert len(clip.frames) == N_FRAMES - abs(rows[name]["offset"]) == len(clip.tracks["codes"])
        assert len(clip.samples) == 640 * len(clip.frames) and np.isfinite(rows[name]["confidence"])
    assert curate_videos(videos, tmp_path / "out", strict, tiny_sync).counts["out_of_sync"] == 2
    assert not list((tmp_path / "out").glob("clips-*.tar")), "shards of the earlier rules go"
    with pytest.raises(BadInput, match="is no file"):
        curate_videos(videos, tmp_path / "out", lenient, tmp_path / "no.safetensors")


@pytest.fixture
def tiny_sync(tiny: object, tmp_path: Path) -> Path:
    return tiny.write(tmp_path, "sync_expert")  # type: ignore[attr-defined]


def test_ray_runs_the_same_stages(source: Path, finished: Path, tmp_path: Path) -> None:
    """Every stage an operator of Ray Data, in a Ray that is started inside this machine."""
    pytest.importorskip("ray", reason="ray is not here: pip install 'eadnet[cluster]'")
    sheet = curate_videos(source, tmp_path / "out", RULES, ray="local")
    assert sheet.engine == "Ray Data (local)"
    assert content(tmp_path / "out") == content(finished)


def test_videos_are_found(source: Path, tmp_path: Path) -> None:
    assert len(find_videos(source)) == len(list(source.iterdir()))
    place = tmp_path / "M003" / "video" / "front" / "angry" / "level_2"
    place.mkdir(parents=True)
    (place / "001.mp4").write_bytes(b"x")
    (row,) = find_videos(tmp_path)
    assert (row["label"], row["level"], row["video"]) == ("angry", 1, "M003/video/front/angry/level_2/001.mp4")
    assert [r["video"] for r in find_videos(place / "001.mp4")] == ["001.mp4"]
    for empty in (place.parent / "none", tmp_path / "x.wav"):
        with pytest.raises(BadInput):
            find_videos(empty)


def test_the_command(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not here: pip install 'eadnet[curate]'")
    given = ["curate", "video", str(source / "a.mp4"), "--output", str(tmp_path / "out"), "--size", "96", "--no-cuts"]
    assert cli.main([*given, "--least-seconds", "0.8", "--most-seconds", "1.6"]) == 0
    printed = capsys.readouterr().out
    assert "| blurred | 0 | 1 |" in printed and "1 clips are in" in printed and "no --syncnet was given" in printed
    assert cli.main([*given, "--syncnet", "expert.safetensors"]) == 2
    assert "--confidence" in capsys.readouterr().err
