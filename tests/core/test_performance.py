"""A clip read for what somebody does in it, against what is known of it; and a portrait that it drives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eadnet_core.cli import main
from eadnet_core.errors import BadInput, Cancelled, FaceNotFound
from eadnet_core.evaluation.heldout import Clip
from eadnet_core.evaluation.shipped import FOLDER, read_shipped
from eadnet_core.evaluation.shipped import _listed as listed
from eadnet_core.families.family import Model
from eadnet_core.generation.output import write_video as write_clip
from eadnet_core.generation.pipeline import Generation, prepare
from eadnet_core.media.face.crop import FaceCrop
from eadnet_core.media.video.files import read_video, write_video
from eadnet_core.media.video.segments import segment_folder
from eadnet_core.metrics.face import correlation
from eadnet_core.motion.driving import Driving, DrivingOptions
from eadnet_core.motion.record import EXPRESSION, Motion
from eadnet_core.motion.record_file import read_motion
from eadnet_core.perception.driving import Where, closures, gaze, read_clip, read_pictures
from eadnet_core.request import GenerateOptions
from eadnet_core.taxonomy import EMOTIONS, MOTION
from eadnet_core.weights.experts import ReferenceReader, load_reference_reader
from eadnet_core.weights.folders import ASSETS

N_FRAMES = 24
SWAY = Motion({"yaw": 6 * np.sin(np.arange(N_FRAMES) / 4), "blink": np.arange(N_FRAMES) % 12 > 9})


@pytest.fixture(scope="module")
def reader() -> ReferenceReader:
    return load_reference_reader()


@pytest.fixture(scope="module")
def clip() -> Clip:
    """A held-out clip of a head that nothing was trained on."""
    case = listed(FOLDER)[1]["cases"][0]
    return next(read_shipped([[case]], 256))[0]


@pytest.fixture(scope="module")
def clip_path(clip: Clip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a file, with a wall for six frames in its middle."""
    frames = clip.truth.frames.copy()
    frames[30:36] = 90
    path = tmp_path_factory.mktemp("clip") / "driver.mp4"
    write_video(path, frames)
    return path


def test_head_and_gaze_are_those_of_the_clip(clip: Clip, reader: ReferenceReader) -> None:
    motion = read_pictures(lambda: iter(clip.truth.frames), 25, reader, has_expression=True)
    true = dict(zip(MOTION, clip.motion.T, strict=True))
    for name, least in (("yaw", 0.85), ("pitch", 0.6), ("roll", 0.9), ("gaze_x", 0.4)):
        assert correlation(motion.tracks[name], true[name]) > least, name
    for name, low, high in (("yaw", 0.6, 1.4), ("roll", 0.7, 1.3)):
        assert low < np.degrees(true[name].std()) ** -1 * motion.tracks[name].std() < high, name
    assert not motion.notes and set(EXPRESSION) <= set(motion.tracks)
    shown = motion.codes[:, : len(EMOTIONS)].mean(0)
    assert EMOTIONS[int(shown.argmax())] == clip.case.emotion


def test_lost_frames_are_bridged_and_it_is_said(clip_path: Path, reader: ReferenceReader) -> None:
    motion = read_clip(clip_path, reader, span=(0.6, 2.0))
    assert motion.n_frames == 35 and motion.source == "driver.mp4"
    assert "6 of 35 frames (frames from 15 on) show no face" in motion.notes[0]
    yaw = motion.tracks["yaw"]
    np.testing.assert_allclose(yaw[15:21], np.interp(range(15, 21), [14, 21], yaw[[14, 21]]), atol=1e-5)


def test_what_cannot_be_read_is_refused(clip_path: Path, reader: ReferenceReader) -> None:
    wall = np.full((3, 128, 128, 3), 90, np.uint8)
    box = (30.0, 30.0, 90.0, 100.0)
    for where in (Where(), Where(face_box=box)):
        with pytest.raises(FaceNotFound):
            read_pictures(lambda: iter(wall), 25, reader, where=where)
    with pytest.raises(BadInput, match="no picture there"):
        read_clip(clip_path, reader, span=(60.0, None))
    with pytest.raises(BadInput, match="span"):
        read_clip(clip_path, reader, span=(2.0, 1.0))


def test_lids_are_read_between_rest_and_shut() -> None:
    rest, blink = 0.2 + 0.02 * np.sin(np.arange(60)), np.zeros(60)
    blink[20:25] = [0.2, 0.45, 0.5, 0.4, 0.1]
    read = closures(rest + blink)
    assert read[22] == pytest.approx(1.0) and read[:18].max() < 0.1
    assert closures(rest).max() < 0.1
    looks = np.where(np.arange(60) < 40, 0.0, 0.2) + blink
    seen = gaze(looks, read)
    assert seen[:38].max() < 0.05 and seen[45] == pytest.approx(0.36)


def prepared(model: Model, driving: Driving | None, n_frames: int = N_FRAMES, **options: object) -> Generation:
    samples = np.random.default_rng(0).normal(0, 0.1, n_frames * 640).astype(np.float32)
    settings = GenerateOptions(**{"steps": 1, "segment_frames": 8, **options})  # type: ignore[arg-type]
    portrait = ASSETS / "sample" / "portrait.png"
    return prepare(portrait, samples, "", settings, model=model, sample_rate=16_000, performance=driving)


def test_a_portrait_does_what_it_is_driven_to(tiny_model: Model) -> None:
    generation = prepared(tiny_model, Driving(SWAY, DrivingOptions(smoothing_s=0.0)))
    motion = generation.performance.motion
    np.testing.assert_allclose(np.degrees(motion[:, 0]), SWAY.tracks["yaw"], atol=1e-4)
    np.testing.assert_allclose(motion[:, MOTION.index("blink")], SWAY.tracks["blink"])
    assert generation.report.performance["motion"] == {"sha256": SWAY.digest()}
    own = prepared(tiny_model, None)
    assert own.report.performance == {} and not np.array_equal(own.performance.motion, motion)


def test_resume_refuses_another_performance(tiny_model: Model, tmp_path: Path) -> None:
    output, driving = tmp_path / "out.mp4", Driving(SWAY)
    n_asked = 0

    def stop() -> bool:
        nonlocal n_asked
        n_asked += 1
        return (segment_folder(output) / "segment-00000.mp4").exists()

    with pytest.raises(Cancelled):
        write_clip(prepared(tiny_model, driving), output, cancel=stop)
    assert n_asked and segment_folder(output).is_dir()
    other = Motion({**SWAY.tracks, "yaw": SWAY.tracks["yaw"] * 0.5})
    with pytest.raises(BadInput, match=r"performance\.motion is another one"):
        write_clip(prepared(tiny_model, Driving(other)), output, resume=True)
    with pytest.raises(BadInput, match=r"performance\.strength was 1\.0, is 0\.5"):
        write_clip(prepared(tiny_model, Driving(SWAY, DrivingOptions(strength=0.5))), output, resume=True)
    with pytest.raises(BadInput, match="performance was"):
        write_clip(prepared(tiny_model, None), output, resume=True)
    write_clip(prepared(tiny_model, driving), output, resume=True)
    whole = tmp_path / "whole.mp4"
    write_clip(prepared(tiny_model, driving), whole)
    assert output.read_bytes() == whole.read_bytes()


def test_a_video_takes_the_expression_alone(tiny_model: Model, clip_path: Path) -> None:
    samples = np.zeros(12 * 640, np.float32)
    video = read_video(clip_path, 25)
    happy = Motion({"yaw": np.zeros(5), "intensity": np.ones(5), "happy": np.ones(5), "AU12": np.ones(5)})
    run = {"model": tiny_model, "sample_rate": 16_000, "options": GenerateOptions(steps=1)}
    with pytest.raises(BadInput, match="keeps its own head"):
        prepare(video, samples, "", performance=Driving(happy), **run)
    options = DrivingOptions(take=("head", "expression"))
    generation = prepare(video, samples, "", performance=Driving(happy, options), **run)
    assert not generation.performance.motion.any() and generation.options.mask == "face"
    assert generation.performance.code[:, EMOTIONS.index("happy")].min() == 1.0
    with pytest.raises(BadInput, match="holds head, but expression is to be taken"):
        only = DrivingOptions(take=("expression",))
        prepare(video, samples, "", performance=Driving(Motion({"yaw": np.zeros(3)}), only), **run)


def test_the_command_line_reads_and_drives(clip_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    output = tmp_path / "m.json"
    command = ["motion", str(clip_path), "--output", str(output), "--span", "0,1"]
    assert main(command) == 0
    assert "25 frames, 1.00 s: yaw " in capsys.readouterr().out
    assert read_motion(output).n_frames == 25
    assert main(command) == 2
    sample = ASSETS / "sample"
    base = ["generate", "--portrait", str(sample / "portrait.png"), "--audio", str(sample / "speech.wav")]
    base += ["--output", str(tmp_path / "out.mp4"), "--dry-run"]
    assert main([*base, "--performance-strength", "0.5"]) == 2
    assert "belongs to a --performance FILE" in capsys.readouterr().err
    assert main([*base, "--performance", str(output), "--performance-take", "hands"]) == 2
    assert "some of head, gaze" in capsys.readouterr().err
    assert main([*base, "--performance", str(output), "--performance-length", "loop"]) == 0


def test_where_a_face_is_read_is_chosen(clip: Clip, reader: ReferenceReader) -> None:
    """Two faces side by side, one of them backwards in time: each is read by itself."""
    frames = clip.truth.frames[:30]
    both = np.concatenate([frames, frames[::-1]], 2)
    boxes = [FaceCrop(128.0 + x, 128.0, 256.0) for x in (0, 256)]
    tracks = []
    for place in boxes:
        x, y = place.center
        where = Where(face_box=(x - 60, y - 70, x + 60, y + 80))
        tracks.append(read_pictures(lambda: iter(both), 25, reader, where=where).tracks["yaw"])
    assert correlation(tracks[0], tracks[1][::-1]) > 0.9
