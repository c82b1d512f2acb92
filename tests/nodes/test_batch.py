"""The node Batch in a real ComfyUI: rows become videos in the output folder, nothing is read or written elsewhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from eadnet_core.media.video.files import read_metadata, read_video

SAMPLE = Path(__file__).parents[2] / "eadnet_core" / "assets" / "sample"
TABLE = "portrait\tvoice\twords\tname\tseed\nset/a.png\ta.wav\thappy\t喜\t\nset/a.png\ta.wav\tsad\tsad one\t5\n"


@pytest.fixture
def files(host: Any) -> Any:
    import soundfile

    folder = host.base / "input"
    (folder / "set").mkdir(exist_ok=True)
    shutil.copyfile(SAMPLE / "portrait.png", folder / "set" / "a.png")
    samples, rate = soundfile.read(SAMPLE / "speech.wav", dtype="float32")
    soundfile.write(folder / "a.wav", samples[: rate * 2 // 5], rate)
    shutil.rmtree(host.base / "output" / "many", ignore_errors=True)
    return folder


def prompt(manifest: str, folder: str = "many") -> dict[str, Any]:
    loader = {"model": "tiny", "precision": "fp32", "attention": "auto"}
    net = {"stda_strength": 1.0, "tfrm_strength": 1.0, "window_frames": 0, "head": 0.5, "blink": 1.0, "lips": 1.0}
    return {
        "model": {"class_type": "EADNet_Loader", "inputs": loader},
        "net": {"class_type": "EADNet_Denoiser", "inputs": {"model": ["model", 0], **net}},
        "batch": {
            "class_type": "EADNet_Batch",
            "inputs": {"model": ["net", 0], "manifest": manifest, "folder": folder},
        },
    }


def shown(host: Any) -> dict[str, Any]:
    events = [data for event, data in host.server.events if event == "executed"]
    return next(data["output"] for data in events if data["node"] == "batch")


def test_rows_become_videos_and_the_next_run_makes_none(host: Any, files: Path) -> None:
    host.run(prompt(TABLE))
    out = host.base / "output" / "many"
    assert sorted(p.name for p in out.glob("*.mp4")) == ["sad one.mp4", "喜.mp4"]
    assert read_video(out / "喜.mp4").n_frames == 10
    options = read_metadata(out / "sad one.mp4")["settings"]["options"]
    assert (options["seed"], options["head"]) == (5, 0.5), "the row's own, and that of the Denoiser"
    said = shown(host)
    assert said["text"][0].startswith("2 made") and said["animated"] == [True]
    assert [(i["filename"], i["subfolder"], i["type"]) for i in said["images"]] == [
        ("喜.mp4", "many", "output"),
        ("sad one.mp4", "many", "output"),
    ]
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("*.mp4")}
    assert "batch" in host.run(prompt(TABLE))
    assert shown(host)["text"][0].startswith("2 kept")
    assert {path.name: path.stat().st_mtime_ns for path in out.glob("*.mp4")} == before


def test_a_manifest_is_a_file_of_the_input_folder_too(host: Any, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.module("nodes.bridge").args, "disable_metadata", True)
    (files / "torn.png").write_bytes(b"torn")
    rows = [{"portrait": portrait, "voice": "a.wav", "name": portrait[-5]} for portrait in ("torn.png", "set/a.png")]
    (files / "rows.jsonl").write_text("\ufeff" + "\n".join(map(json.dumps, rows)), "utf-8")
    host.run(prompt(" rows.jsonl "))
    lines = shown(host)["text"][0].splitlines()
    assert lines[0] == "1 made, 1 failed" and lines[1].startswith("row 1 ") and "torn.png" in lines[1]
    assert not read_metadata(host.base / "output" / "many" / "a.mp4").get("settings")
    (files / "rows.jsonl").write_text(json.dumps(rows[0]), "utf-8")
    with pytest.raises(Exception, match="No row could be made"):
        host.run(prompt("rows.jsonl"))


@pytest.mark.parametrize("path", ["/etc/passwd", "../secret.png", "set/../../secret.png", "C:\\x.png", "\\\\host\\x"])
def test_a_manifest_reads_nothing_outside_the_input_folder(host: Any, files: Path, path: str) -> None:
    (host.base / "secret.png").write_bytes((files / "set" / "a.png").read_bytes())
    with pytest.raises(Exception, match=r"Row 2: portrait .* must lie in ComfyUI's input"):
        host.run(prompt(f"portrait,voice\n{path},a.wav\n"))
    with pytest.raises(Exception, match="must lie in ComfyUI's input"):
        host.run(prompt(f"{path}.csv"))


@pytest.mark.parametrize("folder", ["", " ", ".", "..", "../up", "/tmp/x", "a/../../up", "C:\\x", "\\\\host\\x"])
def test_a_batch_writes_nothing_outside_the_output_folder(host: Any, files: Path, folder: str) -> None:
    with pytest.raises(Exception, match="give the name of a folder in ComfyUI's output folder"):
        host.run(prompt(TABLE, folder))
    with pytest.raises(Exception, match=r"Row 2: name .* holds what a file name may not"):
        host.run(prompt("portrait,voice,name\nset/a.png,a.wav,../up\n"))


def test_cancel_ends_the_batch_and_keeps_what_is_done(host: Any, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import comfy.model_management as mm

    bridge, out = host.module("nodes.bridge"), host.base / "output" / "many"
    follow = bridge.Bar.follow

    def cancel(self: Any, progress: Any) -> None:
        if (out / "喜.mp4").exists():
            mm.interrupt_current_processing()
        follow(self, progress)

    with monkeypatch.context() as patch:
        patch.setattr(bridge.Bar, "follow", cancel)
        with pytest.raises(Exception, match="execution_interrupted"):
            host.run(prompt(TABLE))
    mm.interrupt_current_processing(False)
    assert [path.name for path in out.glob("*.mp4")] == ["喜.mp4"]
    host.run(prompt(TABLE))
    assert shown(host)["text"][0].startswith("1 made, 1 kept")


def test_the_example_finds_the_samples(host: Any, files: Path) -> None:
    module = host.module("nodes.batch")
    for name in ("eadnet_portrait.png", "eadnet_speech.wav"):
        (files / name).unlink(missing_ok=True)
    host.module("nodes.sample_files").copy_for_prompt({"prompt": prompt(module.EXAMPLE)})
    assert (files / "eadnet_portrait.png").is_file() and (files / "eadnet_speech.wav").is_file()
