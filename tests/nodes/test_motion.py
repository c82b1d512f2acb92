"""Motions inside ComfyUI: read off pictures and videos, set, saved, loaded, and given to Sampler and Speak."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

SAMPLE = Path(__file__).parents[2] / "eadnet_core" / "assets" / "sample"
SETTINGS = {"strength": 1.0, "scale": 1.0, "take_head": True, "take_gaze": True}
SETTINGS |= {"take_blinks": True, "take_expression": False, "if_short": "loop", "smoothing_s": 0.0}
YAW = [float(x) for x in np.sin(np.arange(20) / 3) * 6]


@pytest.fixture
def motion_json(host: Any) -> Iterator[Path]:
    """A motion in the input folder; what a test saves goes with it, since a list of files is a list of choices."""
    path = host.base / "input" / "turning.json"
    tracks = {"yaw": YAW, "blink": [0.0] * 10 + [1.0] * 2 + [0.0] * 8}
    path.write_text(json.dumps({"eadnet_motion": 1, "fps": 25.0, "source": "by hand", "tracks": tracks}))
    yield path
    for made in (path, path.with_name("other.json"), *(host.base / "output").glob("eadnet/kept_*")):
        made.unlink(missing_ok=True)


@pytest.fixture
def swaying(host: Any) -> torch.Tensor:
    """The sample portrait going from side to side, IMAGE [6, 192, 256, 3]."""
    portrait = Image.open(SAMPLE / "portrait.png").convert("RGB").resize((224, 224))
    at = 10 * np.sin(np.arange(6))
    pictures = [portrait.transform((256, 192), Image.Transform.AFFINE, (1, 0, -16 - x, 0, 1, 16), 3) for x in at]
    return torch.from_numpy(np.stack([np.array(p) for p in pictures])).float() / 255


def test_pictures_and_videos_become_motions(host: Any, swaying: torch.Tensor) -> None:
    (read,) = host.call("EADNet_MotionFromVideo", fps=12.5, box="", images=swaying)
    assert read.motion.n_frames == 6 and read.motion.duration_s == pytest.approx(0.48)
    assert read.motion.parts == ("head", "gaze", "blinks", "expression")
    assert read.taken == ("head", "gaze", "blinks"), "the expression waits for its switch"
    video = host.module("nodes.video").InputImpl.VideoFromFile(str(SAMPLE / "feeling.mp4"))
    (read,) = host.call("EADNet_MotionFromVideo", fps=25.0, box="", video=video)
    assert read.motion.n_frames == 50 and read.motion.source == "feeling.mp4"


def test_one_clip_is_asked_for(host: Any, swaying: torch.Tensor) -> None:
    with pytest.raises(Exception, match="either images or video"):
        host.call("EADNet_MotionFromVideo", fps=25.0, box="")
    with pytest.raises(Exception, match="No face in any of 2 frames"):
        host.call("EADNet_MotionFromVideo", fps=25.0, box="", images=torch.full((2, 200, 200, 3), 0.5))


def test_settings_keep_the_motion_and_say_how_it_is_used(host: Any, motion_json: Path) -> None:
    (loaded,) = host.call("EADNet_LoadMotion", file=motion_json.name)
    given = {**SETTINGS, "strength": 0.5, "take_gaze": False}
    (used,) = host.call("EADNet_MotionSettings", motion=loaded, **given)
    assert used.motion is loaded.motion
    assert (used.options.strength, used.options.length, used.options.take) == (0.5, "loop", ("head", "blinks"))
    nothing = {**SETTINGS, "take_head": False, "take_gaze": False, "take_blinks": False}
    with pytest.raises(Exception, match="Nothing is taken"):
        host.call("EADNet_MotionSettings", motion=loaded, **nothing)


def test_a_saved_motion_is_listed_and_loaded(host: Any, motion_json: Path) -> None:
    (loaded,) = host.call("EADNet_LoadMotion", file=motion_json.name)
    for number in (1, 2):
        host.call("EADNet_SaveMotion", motion=loaded, filename_prefix="eadnet/kept")
        assert (host.base / "output" / "eadnet" / f"kept_{number:05}.json").is_file()
    files = host.module("nodes.motion").MOTIONS
    assert {"turning.json", "eadnet/kept_00001.json [output]"} <= set(files.names())
    (again,) = host.call("EADNet_LoadMotion", file="eadnet/kept_00001.json [output]")
    np.testing.assert_allclose(again.motion.tracks["yaw"], loaded.motion.tracks["yaw"], atol=1e-3)


@pytest.mark.parametrize(
    "name",
    [
        "../secrets.json",
        "/etc/passwd",
        "C:\\secrets.json",
        "\\\\host\\share.json",
        "../eadnet/x.json [output]",
        "other/x.json [output]",
        "eadnet/../../x.json [output]",
        "eadnet/\\\\host\\x.json [output]",
        "missing.json",
        "(save a motion first)",
    ],
)
def test_no_other_file_is_opened(host: Any, name: str) -> None:
    said = host.node("EADNet_LoadMotion").validate_inputs(name)
    assert isinstance(said, str) and len(said) > 20


def test_a_link_out_of_the_folder_is_not_followed(host: Any, tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("{}")
    folder = host.base / "output" / "eadnet"
    folder.mkdir(exist_ok=True)
    link = folder / "link.json"
    link.symlink_to(tmp_path / "secret.json")
    assert isinstance(host.node("EADNet_LoadMotion").validate_inputs("eadnet/link.json [output]"), str)
    link.unlink()


@pytest.mark.parametrize("prefix", ["../x", "/tmp/x", "C:\\x", "eadnet/..", "x", "", "eadnet/"])
def test_nothing_is_saved_elsewhere(host: Any, motion_json: Path, prefix: str) -> None:
    (loaded,) = host.call("EADNet_LoadMotion", file=motion_json.name)
    before = sorted(host.base.rglob("*"))
    with pytest.raises(Exception, match=r"filename_prefix|folder is"):
        host.call("EADNet_SaveMotion", motion=loaded, filename_prefix=prefix)
    assert sorted(host.base.rglob("*")) == before


def test_the_sampler_follows_it_and_only_it_runs_again(host: Any, talk: Any, motion_json: Path) -> None:
    def graph(strength: float) -> dict[str, Any]:
        prompt = talk.prompt(sampler__motion=["settings", 0])
        prompt["load"] = {"class_type": "EADNet_LoadMotion", "inputs": {"file": motion_json.name}}
        inputs = {"motion": ["load", 0], **SETTINGS, "strength": strength}
        prompt["settings"] = {"class_type": "EADNet_MotionSettings", "inputs": inputs}
        return prompt

    host.executor = host.new_executor()
    host.run(graph(1.0))
    assert sorted(host.run(graph(0.6))) == ["render", "sampler", "save", "settings"]
    assert host.run(graph(0.6)) == []
    motion_json.write_text(motion_json.read_text().replace("by hand", "by hand again"))
    assert "load" in host.run(graph(0.6)), "a file that was changed is read again"


def test_the_clip_moves_as_the_motion_says(host: Any, talk: Any, motion_json: Path) -> None:
    (model,) = host.call("EADNet_Loader", model="tiny", precision="auto", attention="auto")
    (loaded,) = host.call("EADNet_LoadMotion", file=motion_json.name)
    (used,) = host.call("EADNet_MotionSettings", motion=loaded, **SETTINGS)
    picture = torch.from_numpy(np.array(Image.open(SAMPLE / "portrait.png").convert("RGB"))).float()[None] / 255
    face = host.call("EADNet_Face", image=picture, index=0, box="", face_threshold=0.5, on_missing="hold", fps=25.0)[0]
    sound = {"waveform": torch.zeros(1, 1, 12_800), "sample_rate": 16_000}
    speech = host.call("EADNet_AudioEncoder", audio=sound, speech_gate=True, gate_threshold=-26.0)[0]
    words = {"text": "", "preset": "neutral", "intensity": 1.0, "valence": 0.0, "arousal": 0.0, "use_pad": False}
    emotion = host.call("EADNet_EmotionPrompt", **words)[0]
    settings = {"steps": 1, "seed": 0, "guidance_audio": 1.0, "guidance_emotion": 1.0, "sync_guidance": 0.0}
    inputs = {"model": model, "face": face, "speech": speech, "emotion": emotion, "motion": used, **settings}
    (sampled,) = host.call("EADNet_Sampler", sync_low=0.3, sync_high=1.0, **inputs)
    np.testing.assert_allclose(np.degrees(sampled.clip.motion[:, 0]), YAW, atol=1e-3)


def test_speak_takes_it(host: Any, talk: Any, motion_json: Path) -> None:
    full = talk.prompt()
    prompt = {key: full[key] for key in ("image", "audio", "short")}
    prompt["load"] = {"class_type": "EADNet_LoadMotion", "inputs": {"file": motion_json.name}}
    widgets = {"text": "happy", "intensity": 1.0, "head": 1.0, "lips": 1.0, "motion": ["load", 0]}
    inputs = {"image": ["image", 0], "audio": ["short", 0], **widgets}
    prompt["speak"] = {"class_type": "EADNet_Speak", "inputs": inputs}
    host.executor = host.new_executor()
    assert "load" in host.run(prompt)
    shutil.copyfile(motion_json, motion_json.with_name("other.json"))
    prompt["load"]["inputs"]["file"] = "other.json"
    assert len(host.run(prompt)) > 1


def test_the_track_edits_a_motion_and_makes_one(host: Any, motion_json: Path) -> None:
    (loaded,) = host.call("EADNet_LoadMotion", file=motion_json.name)
    track = {"keyframes": '[{"time": 0, "text": "calm"}]', "cross_fade": 0.5}
    edits = json.dumps({"yaw": {"points": [[0.4, 8]]}, "blinks": {"remove": [0.42]}})
    _, edited = host.call("EADNet_EmotionTrack", **track, motion=loaded, motion_edits=edits)
    assert edited.motion.tracks["yaw"][10] == pytest.approx(loaded.motion.tracks["yaw"][10] + 8, abs=0.2)
    assert edited.motion.tracks["blink"].max() < 0.1 and edited.options == loaded.options
    _, same = host.call("EADNet_EmotionTrack", **track, motion=loaded)
    assert same.motion is loaded.motion
    audio = {"waveform": torch.zeros(1, 1, 48_000), "sample_rate": 16_000}
    _, drawn = host.call("EADNet_EmotionTrack", **track, audio=audio, motion_edits='{"blinks": {"add": [1.0]}}')
    assert drawn.motion.duration_s == 3.0 and drawn.motion.tracks["blink"].max() == 1
    _, nothing = host.call("EADNet_EmotionTrack", **track)
    assert nothing is None
    with pytest.raises(Exception, match="neither a motion nor edits"):
        host.call("EADNet_SaveMotion", motion=None, filename_prefix="eadnet/kept")
    with pytest.raises(Exception, match="motion_edits"):
        host.call("EADNet_EmotionTrack", **track, motion_edits='{"ears": {}}')
