"""Miniature copies of HDTF and MEAD as they lie after download, whole and with faults."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from eadnet_core import cli
from eadnet_core.curation import layouts
from eadnet_core.curation.layouts import check_hdtf, check_mead
from eadnet_core.curation.video_run import find_videos
from eadnet_core.errors import BadInput
from eadnet_core.media.video.files import read_video, write_video
from eadnet_core.taxonomy import FIRST_EMOTIONS

CLIP = Path(layouts.__file__).parents[1] / "assets" / "sample" / "clip.mp4"
SPLITS = {
    "RD": "Radio1.mp4 00:20-00:23\nRadio11.mp4 00:30-00:33 01:30-01:33\n",
    "WDA": "AdamSchiff.mp4 01:00-01:03\n",
    "WRA": "",
}


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("silent") / "silent.mp4"
    write_video(path, list(read_video(CLIP))[:10])
    return path


@pytest.fixture
def hdtf(tmp_path: Path) -> Path:
    """Clips of 3.2 s under the names of both ways to cut them."""
    (tmp_path / "HDTF_dataset").mkdir()
    for subset, text in SPLITS.items():
        (tmp_path / "HDTF_dataset" / f"{subset}_annotion_time.txt").write_text(text)
    for name in ("RD_Radio1_000", "Radio11_0", "Radio11_1", "WDA_AdamSchiff_000"):
        shutil.copy(CLIP, tmp_path / f"{name}.mp4")
    return tmp_path


@pytest.fixture
def mead(tmp_path: Path) -> Path:
    """One actor with two clips of everything, seen from the front and otherwise by links to it."""
    for emotion in FIRST_EMOTIONS:
        for level in (1,) if emotion == "neutral" else (1, 2, 3):
            sounds = tmp_path / "M003" / "audio" / emotion / f"level_{level}"
            sounds.mkdir(parents=True)
            for view in layouts.MEAD_VIEWS:
                clips = tmp_path / "M003" / "video" / view / emotion / f"level_{level}"
                clips.mkdir(parents=True)
                for number in (1, 2):
                    (clips / f"{number:03d}.mp4").symlink_to(CLIP)
                    (sounds / f"{number:03d}.m4a").write_bytes(b"")
    return tmp_path


def problems(report: layouts.LayoutReport) -> dict[str, list[str]]:
    return {kind: found for kind, found in report.problems.items() if found}


def test_a_whole_hdtf(hdtf: Path) -> None:
    report = check_hdtf(hdtf)
    assert (report.n_clips, report.n_problems, problems(report)) == (4, 0, {})


def test_what_is_wrong_with_hdtf(hdtf: Path, silent: Path) -> None:
    (hdtf / "HDTF_dataset" / "WRA_annotion_time.txt").unlink()
    (hdtf / "HDTF_dataset" / "WDA_annotion_time.txt").write_text("AdamSchiff.mp4 01:00-01:30\n")
    shutil.copy(silent, hdtf / "RD_Radio1_000.mp4")  # as download.py leaves it, which fetches pictures alone
    (hdtf / "Radio11_0.mp4").write_bytes(CLIP.read_bytes()[:700])
    (hdtf / "Radio11_1.mp4").rename(hdtf / "other.mp4")
    report = check_hdtf(hdtf)
    assert problems(report) == {
        "missing": ["RD_Radio11_001.mp4", "WRA_annotion_time.txt"],
        "broken": ["Radio11_0.mp4"],
        "no sound": ["RD_Radio1_000.mp4"],
        "length": ["WDA_AdamSchiff_000.mp4 (3.2 s, not 30)"],
        "unknown": ["other.mp4"],
    }
    assert report.n_problems == 5 and "| without sound | 1 | RD_Radio1_000.mp4 |" in report.table()
    assert problems(check_hdtf(hdtf, opens=False)).keys() == {"missing", "unknown"}


def test_a_split_file_that_is_damaged_is_named(hdtf: Path) -> None:
    (hdtf / "HDTF_dataset" / "RD_annotion_time.txt").write_text("Radio1.mp4 00:20-0x:35\n")
    with pytest.raises(BadInput, match=r"Line 1 of .*RD_annotion_time.*0x:35"):
        check_hdtf(hdtf)


def test_a_whole_mead(mead: Path) -> None:
    report = check_mead(mead, opens=False)
    assert (report.n_clips, problems(report)) == (7 * 22 * 2, {})
    labels = {(row["label"], row["level"]) for row in find_videos(mead)}
    assert labels == {(e, n) for e in FIRST_EMOTIONS for n in ((0,) if e == "neutral" else (0, 1, 2))}


def test_what_is_wrong_with_mead(mead: Path, silent: Path) -> None:
    actor = mead / "M003"
    for view in layouts.MEAD_VIEWS[2:]:
        shutil.rmtree(actor / "video" / view)
    shutil.rmtree(actor / "video" / "front" / "sad" / "level_3")
    for place, content in (("fear/level_1/001", b"no video"), ("fear/level_2/001", silent.read_bytes())):
        path = actor / "video" / "front" / f"{place}.mp4"
        path.unlink()
        path.write_bytes(content)
    (actor / "video" / "left_30" / "happy" / "level_1" / "001.mp4").unlink()
    (actor / "audio" / "angry" / "level_1" / "002.m4a").unlink()
    (mead / "W009").mkdir()
    (mead / "W009" / "video.tar").write_bytes(b"")
    (mead / "notes").mkdir()
    found = problems(check_mead(mead))
    assert found == {
        "missing": [
            "M003/video/front/sad/level_3",
            "M003/audio/angry/level_1/002.m4a",
            "M003/video/left_30/happy/level_1/001.mp4",
            *(f"M003/video/{view}" for view in layouts.MEAD_VIEWS[2:]),
            "W009/audio",
        ],
        "not unpacked": ["W009/video.tar"],
        "broken": ["M003/video/front/fear/level_1/001.mp4"],
        "no sound": ["M003/video/front/fear/level_2/001.mp4"],
        "unknown": ["notes"],
    }


def test_the_command(hdtf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["data", "check", "hdtf", str(hdtf), "--names-only"]) == 0
    assert "HDTF: 4 clips are there." in capsys.readouterr().out
    (hdtf / "Radio11_1.mp4").unlink()
    assert cli.main(["data", "check", "hdtf", str(hdtf)]) == 2
    assert "1 things are missing or broken" in capsys.readouterr().err
    assert cli.main(["data", "check", "mead", str(tmp_path / "nowhere")]) == 2
    assert cli.main(["data", "check", "mead", str(hdtf), "--names-only"]) == 2
    assert "M003 or W009" in capsys.readouterr().out
