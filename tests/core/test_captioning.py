"""Folders of clips captioned: MEAD's layout, what is skipped, what is tried again, and the commands."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eadnet_core import cli
from eadnet_core.emotion.caption import MAX_PICTURES, Description, Scene
from eadnet_core.emotion.code import emotion_code
from eadnet_core.emotion.llm.chat import ProviderError, ProviderRefused
from eadnet_core.emotion.spacing import held_between
from eadnet_core.emotion.track_file import read_track
from eadnet_core.errors import BadInput, Cancelled, EADNetError
from eadnet_core.media.sound.audio import read_audio
from eadnet_core.media.video.files import read_video, write_video
from eadnet_core.media.video.lock import Lock
from eadnet_core.perception.caption_run import STREAK, Outcome, caption_folder
from eadnet_core.perception.clips import face_motion, find_clips, mead_label, scene_of

SAMPLE = Path(cli.__file__).parents[1] / "assets" / "sample"


def described(scene: Scene) -> Description:
    return Description("The face is calm.", emotion_code(scene.label or "neutral", 0.5), "test")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of the sample portrait, with its voice."""
    from PIL import Image

    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    picture = np.array(Image.open(SAMPLE / "portrait.png").convert("RGB").resize((192, 192)))
    samples = read_audio(SAMPLE / "speech.wav").samples[:16_000]
    write_video(path, np.repeat(picture[None], 25, 0), audio=read_audio(samples, 16_000))
    return path


@pytest.fixture
def mead(tmp_path: Path, clip: Path) -> Path:
    """Three clips in MEAD's layout, one elsewhere, and one that is no video."""
    for name in ("angry/level_1/001", "angry/level_3/002", "neutral/level_1/001"):
        path = tmp_path / "MEAD" / "M003" / "video" / "front" / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(clip)
    (tmp_path / "MEAD" / "other.mp4").symlink_to(clip)
    (tmp_path / "MEAD" / "broken.mp4").write_bytes(b"no video")
    (tmp_path / "MEAD" / "list_full.txt").write_text("not a clip")
    return tmp_path / "MEAD"


def counts(outcome: Outcome) -> tuple[int, int, int]:
    return outcome.n_made, outcome.n_kept, len(outcome.errors)


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_meads_folders_tell_label_and_level(mead: Path) -> None:
    found = {clip.name.removeprefix("M003/video/front/"): (clip.label, clip.level) for clip in find_clips(mead)}
    assert found == {
        "angry/level_1/001.mp4": ("angry", 0),
        "angry/level_3/002.mp4": ("angry", 2),
        "neutral/level_1/001.mp4": ("neutral", 0),
        "other.mp4": (None, None),
        "broken.mp4": (None, None),
    }
    assert mead_label(Path("video/joy/level_1/001.mp4")) == (None, None)
    assert mead_label(Path("001.mp4")) == (None, None)


def test_a_scene_has_faces_voice_and_the_transcript_beside(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "said.mp4"
    path.symlink_to(clip)
    path.with_suffix(".srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nOh <i>no</i>\n")
    scene = scene_of(path, "sad", 1)
    assert scene.pictures is not None and scene.pictures.shape == (MAX_PICTURES, 256, 256, 3)
    assert (scene.transcript, scene.label, scene.level) == ("Oh no", "sad", 1)
    assert scene.voice is not None and 0 < scene.voice.measures.pitch_octaves < 2


def test_each_clip_gets_a_line_and_failures_are_recorded(mead: Path, tmp_path: Path) -> None:
    output, seen = tmp_path / "captions.jsonl", []
    outcome = caption_folder(mead, output, described, lambda done, total: seen.append((done, total)))
    assert counts(outcome) == (4, 0, 1) and outcome.labels == {"angry": 2, "neutral": 2}
    assert list(outcome.errors) == ["broken.mp4"] and outcome.errors["broken.mp4"].startswith("BadInput")
    found = {line["clip"]: line for line in lines(output)}
    assert len(found) == 5 and seen == [(i, 5) for i in range(1, 6)]
    assert found["broken.mp4"]["error"].startswith("BadInput")
    strong = found["M003/video/front/angry/level_3/002.mp4"]
    assert (strong["known_label"], strong["known_level"], strong["caption"]) == ("angry", 2, "The face is calm.")


def test_a_stopped_run_goes_on_and_tries_failures_again(mead: Path, tmp_path: Path) -> None:
    output, asked = tmp_path / "captions.jsonl", []

    def once(scene: Scene) -> Description:
        asked.append(scene.label)
        if len(asked) == 2:
            raise EADNetError("out of order")
        return described(scene)

    with pytest.raises(Cancelled):
        caption_folder(mead, output, once, cancel=lambda: len(asked) == 3)
    with output.open("ab") as file:
        file.write(b'{"clip": "other.mp4", "capt')  # the power went
    assert counts(caption_folder(mead, output, once)) == (2, 2, 1)
    assert len(asked) == 5
    found = lines(output)
    assert sorted(line["clip"] for line in found) == sorted(clip.name for clip in find_clips(mead))
    before = output.read_bytes()
    assert counts(caption_folder(mead, output, once)) == (0, 4, 1) and len(asked) == 5
    assert sorted(output.read_bytes().splitlines()) == sorted(before.splitlines())


def test_a_file_of_the_users_is_not_touched(mead: Path, tmp_path: Path) -> None:
    output = tmp_path / "notes.jsonl"
    output.write_text('{"dear": "diary"}\n')
    with pytest.raises(BadInput, match="holds no captions"):
        caption_folder(mead, output, described)
    assert output.read_text() == '{"dear": "diary"}\n'


def test_folders_without_clips_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no video"):
        find_clips(tmp_path)
    with pytest.raises(BadInput, match="not a folder"):
        find_clips(tmp_path / "missing")


def test_pictures_are_chosen_where_much_moves(tmp_path: Path) -> None:
    from PIL import Image

    portrait = Image.open(SAMPLE / "portrait.png").convert("RGB").resize((128, 128))
    turned = [portrait.rotate(angle, Image.Resampling.BILINEAR) for angle in (0, 4, 8, 12, 8, 4)]
    frames = [*[portrait] * 20, *(turned[i % 6] for i in range(12)), *[portrait] * 20]
    write_video(tmp_path / "nod.mp4", np.stack([np.array(frame) for frame in frames]))
    moved = face_motion(read_video(tmp_path / "nod.mp4"))
    assert moved[21:31].min() > 5 * moved[2:20].max() and moved[0] == 0
    chosen = held_between(moved, MAX_PICTURES)
    assert len(chosen) == MAX_PICTURES and sum(20 <= place <= 32 for place in chosen) >= 4


@pytest.fixture
def shorts(tmp_path: Path) -> Path:
    """Two clips of three frames, and a copy of the first below."""
    from PIL import Image

    folder = tmp_path / "shorts"
    (folder / "below").mkdir(parents=True)
    portrait = Image.open(SAMPLE / "portrait.png").convert("RGB").resize((128, 128))
    for name, picture in (("a", portrait), ("b", portrait.rotate(3))):
        write_video(folder / f"{name}.mp4", np.repeat(np.array(picture)[None], 3, 0))
    shutil.copy(folder / "a.mp4", folder / "below" / "again.mp4")
    return folder


def test_answers_are_kept_by_content_and_question(shorts: Path, tmp_path: Path) -> None:
    output, asked = tmp_path / "captions.jsonl", []

    def count(scene: Scene) -> Description:
        asked.append(scene.transcript)
        return described(scene)

    assert counts(caption_folder(shorts, output, count, asked="small")) == (2, 1, 0) and len(asked) == 2
    (shorts / "b.mp4").rename(shorts / "moved.mp4")
    os.utime(shorts / "a.mp4", ns=(1, 1))
    assert counts(caption_folder(shorts, output, count, asked="small")) == (0, 3, 0) and len(asked) == 2
    (shorts / "moved.srt").write_text("no times")
    assert list(caption_folder(shorts, output, count, asked="small").errors) == ["moved.mp4"] and len(asked) == 2
    (shorts / "moved.txt").write_text("Oh no")
    assert counts(caption_folder(shorts, output, count, asked="small")) == (1, 2, 0) and asked[2:] == ["Oh no"]
    assert counts(caption_folder(shorts, output, count, asked="large")) == (2, 1, 0)
    found = lines(output)
    assert sorted(line["clip"] for line in found) == ["a.mp4", "b.mp4", "below/again.mp4", "moved.mp4"]
    old = [{key: value for key, value in line.items() if key != "source"} for line in found]
    output.write_text("".join(json.dumps(line) + "\n" for line in old), encoding="utf-8")
    assert counts(caption_folder(shorts, output, count, asked="other")) == (0, 3, 0)


def test_lines_that_were_changed_by_hand_harm_nothing(shorts: Path, tmp_path: Path) -> None:
    output = tmp_path / "captions.jsonl"
    odd: list[object] = [5, {"clip": 5, "caption": "x"}, {"clip": "a.mp4", "caption": "x", "source": {"key": []}}]
    odd += [{"clip": "b.mp4", "caption": "x", "source": None}, {"clip": "gone.mp4", "caption": "x", "notes": 5}]
    output.write_bytes(b"\xff\n" + b"".join(json.dumps(line).encode() + b"\n" for line in odd) + b"[" * 100_000 + b"\n")
    assert counts(caption_folder(shorts, output, described)) == (2, 1, 0)
    assert [line["clip"] for line in lines(output)] == ["gone.mp4", "a.mp4", "b.mp4", "below/again.mp4"]


def test_a_clip_that_the_rules_stood_in_for_is_asked_about_again(shorts: Path, tmp_path: Path) -> None:
    output = tmp_path / "captions.jsonl"

    def silent(scene: Scene) -> Description:
        return replace(described(scene), notes=("gave nothing",), is_stand_in=True)

    outcome = caption_folder(shorts, output, silent)
    assert counts(outcome) == (3, 0, 0) and outcome.notes["a.mp4"] == ["gave nothing"]
    assert counts(caption_folder(shorts, output, described)) == (2, 1, 0)
    assert not any("is_stand_in" in line for line in lines(output))


def test_a_model_that_is_gone_stops_the_run_and_what_was_made_stays(shorts: Path, tmp_path: Path) -> None:
    output = tmp_path / "captions.jsonl"
    for number in range(STREAK):
        (shorts / f"c{number}.mp4").write_bytes((shorts / "b.mp4").read_bytes() + bytes([number]))
    (shorts / "a.txt").write_text("first")

    def gone(scene: Scene) -> Description:
        if scene.transcript == "first":
            return described(scene)
        raise ProviderError("it cannot be reached")

    with pytest.raises(ProviderError, match=rf"none of {STREAK} clips in a row. The last reason: it cannot"):
        caption_folder(shorts, output, gone)
    assert [line["clip"] for line in lines(output) if "caption" in line] == ["a.mp4"]

    def refuses(scene: Scene) -> Description:
        raise ProviderRefused("the key was refused")

    with pytest.raises(ProviderRefused):
        caption_folder(shorts, output, refuses)
    assert [line["clip"] for line in lines(output)] == ["a.mp4"]


def test_a_file_that_another_run_writes_is_left_alone(shorts: Path, tmp_path: Path) -> None:
    lock = Lock(tmp_path / ".captions.jsonl.lock", "captions.jsonl")
    try:
        with pytest.raises(BadInput, match=r"captions\.jsonl' is being made by this process"):
            caption_folder(shorts, tmp_path / "captions.jsonl", described)
    finally:
        lock.release()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_run_loses_at_most_the_clip_in_hand(shorts: Path, tmp_path: Path) -> None:
    output, asked = tmp_path / "captions.jsonl", []
    text = """
import sys
from eadnet_core.emotion.caption import Description
from eadnet_core.emotion.code import emotion_code
from eadnet_core.perception.caption_run import caption_folder
def described(scene):
    print("asked", flush=True)
    if scene.transcript == "wait":
        sys.stdin.read()
    return Description("The face is calm.", emotion_code("neutral", 0.5), "test")
caption_folder(sys.argv[1], sys.argv[2], described)
"""
    (shorts / "b.txt").write_text("wait")
    command = [sys.executable, "-c", text, str(shorts), str(output)]
    run = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None and run.stdin is not None
    assert [run.stdout.readline() for _ in range(2)] == ["asked\n"] * 2
    run.kill()
    run.communicate()
    assert [line["clip"] for line in lines(output)] == ["a.mp4"]

    def count(scene: Scene) -> Description:
        asked.append(scene.transcript)
        return described(scene)

    assert counts(caption_folder(shorts, output, count)) == (1, 2, 0) and asked == ["wait"]


def test_the_caption_command(clip: Path, tmp_path: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.mp4").symlink_to(clip)
    output = tmp_path / "out.jsonl"
    given = ["caption", str(tmp_path / "clips"), "--output", str(output), "--model", str(tiny_folder)]
    assert cli.main([*given, "--device", "cpu"]) == 0, capsys.readouterr().err
    (line,) = lines(output)
    assert line["clip"] == "a.mp4" and line["caption"].startswith("The face looks") and line["provider"] == "rules"
    assert "1 clips have a caption" in capsys.readouterr().out
    report = tmp_path / "report.json"
    (tmp_path / "clips" / "broken.mp4").write_bytes(b"no video")
    assert cli.main([*given, "--device", "cpu", "--report", str(report)]) == 0
    assert "1 clips have a caption, 1 of them from before, 1 failed" in capsys.readouterr().out
    found = json.loads(report.read_text(encoding="utf-8"))
    assert (found["n_clips"], found["n_made"], found["n_kept"]) == (2, 0, 1) and list(found["errors"]) == ["broken.mp4"]
    assert cli.main([*given, "--provider", "local_text"]) == 2
    assert "needs the folder" in capsys.readouterr().err


def test_the_direct_command(tmp_path: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "script.txt").write_text("[calm] Good morning to you. [furious: 0.8] What is that?\n")
    output = tmp_path / "track.json"
    given = ["direct", str(tmp_path / "script.txt"), "--audio", str(SAMPLE / "speech.wav"), "--output", str(output)]
    assert cli.main([*given, "--model", str(tiny_folder)]) == 0, capsys.readouterr().err
    keyframes = read_track(output).keyframes
    assert [(k.text, k.intensity) for k in keyframes] == [("calm", None), ("furious", 0.8)]
    assert 1.0 < keyframes[1].time_s < 6.0
    assert "2 keyframes by rules" in capsys.readouterr().out
    times = tmp_path / "times.json"
    words = ["good", "morning", "to", "you", "what", "is", "that"]
    times.write_text(json.dumps([{"text": w, "start_s": 0.2 * i, "end_s": 0.2 * i + 0.1} for i, w in enumerate(words)]))
    given += ["--transcript", str(times), "--model", str(tiny_folder)]
    assert cli.main(given) == 2 and "exists already" in capsys.readouterr().err
    assert read_track(output).keyframes == keyframes
    assert cli.main([*given, "--overwrite"]) == 0
    assert read_track(output).keyframes[1].time_s == pytest.approx(0.8)
