"""Folders of clips captioned: MEAD's layout, what is skipped, what is tried again, and the commands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from eadnet_core import cli
from eadnet_core.emotion.caption import MAX_PICTURES, Description, Scene
from eadnet_core.emotion.code import emotion_code
from eadnet_core.emotion.track_file import read_track
from eadnet_core.errors import BadInput, Cancelled, EADNetError
from eadnet_core.media.sound.audio import read_audio
from eadnet_core.media.video.files import write_video
from eadnet_core.perception.clips import caption_folder, find_clips, mead_label, scene_of

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
    assert caption_folder(mead, output, described, lambda done, total: seen.append((done, total))) == (4, 1)
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
    assert caption_folder(mead, output, once) == (4, 1)
    assert len(asked) == 5
    found = lines(output)
    assert sorted(line["clip"] for line in found) == sorted(clip.name for clip in find_clips(mead))
    before = output.read_bytes()
    assert caption_folder(mead, output, once) == (4, 1) and len(asked) == 5
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


def test_the_caption_command(clip: Path, tmp_path: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.mp4").symlink_to(clip)
    output = tmp_path / "out.jsonl"
    given = ["caption", str(tmp_path / "clips"), "--output", str(output), "--model", str(tiny_folder)]
    assert cli.main([*given, "--device", "cpu"]) == 0, capsys.readouterr().err
    (line,) = lines(output)
    assert line["clip"] == "a.mp4" and line["caption"].startswith("The face looks") and line["provider"] == "rules"
    assert "1 clips have a caption" in capsys.readouterr().out
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
    assert cli.main([*given, "--transcript", str(times), "--model", str(tiny_folder)]) == 0
    assert read_track(output).keyframes[1].time_s == pytest.approx(0.8)
