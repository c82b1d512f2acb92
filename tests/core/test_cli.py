"""The command line: flags that follow the options, one-line errors, exit status, files that appear whole or not."""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from eadnet_core import cli
from eadnet_core.cli.arguments import Bar
from eadnet_core.cli.generate import load
from eadnet_core.errors import EADNetError
from eadnet_core.families.load import auto_dtype
from eadnet_core.families.mini import MINI
from eadnet_core.media.video.files import read_metadata, read_video
from eadnet_core.request import GenerateOptions


@pytest.fixture
def inputs(tmp_path: Path, portrait: np.ndarray, voice_samples: np.ndarray) -> list[str]:
    """Arguments of a generation without --output and --model."""
    Image.fromarray(portrait).save(tmp_path / "portrait.png")
    soundfile.write(tmp_path / "speech.wav", voice_samples, 16_000)
    given = ["--portrait", str(tmp_path / "portrait.png"), "--audio", str(tmp_path / "speech.wav")]
    return [*given, "--face-box", "20,20,108,108", "--device", "cpu", "--steps", "1"]


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    action = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return dict(action.choices)


def test_every_command_of_the_help_exists() -> None:
    commands = subcommands(cli.build_parser())
    assert list(commands) == [
        "generate",
        "dub",
        "batch",
        "live",
        "fit",
        "mask",
        "motion",
        "style",
        "score",
        "emotion",
        "caption",
        "direct",
        "evaluate",
        "corpus",
        "curate",
        "data",
        "train",
        "download",
        "convert",
        "info",
    ]
    assert list(subcommands(commands["corpus"])) == ["sheet", "render", "heldout"]
    parts = {"vae", "syncnet", "video-features", "denoiser", "emotion", "experts", "preference"}
    assert parts <= set(subcommands(commands["train"]))


def test_flags_have_the_defaults_of_the_options() -> None:
    given = ["generate", "--portrait", "p", "--audio", "a", "--output", "o.mp4"]
    args = vars(cli.build_parser().parse_args(given))
    shared = {f.name: f.default for f in fields(GenerateOptions) if f.name in args}
    assert {"seed", "steps", "head", "blink", "lips", "face_box"} <= set(shared)
    assert {name: args[name] for name in shared} == shared


def test_the_nets_compute_in_the_dtype_and_with_the_attention_asked_for(tiny_folder: Path) -> None:
    given = ["generate", "--portrait", "p", "--audio", "a", "--output", "o.mp4", "--model", str(tiny_folder)]
    for more, dtype, backend in (
        ([], auto_dtype(torch.device("cpu"), MINI), "sdpa"),
        (["--dtype", "float32"], torch.float32, "sdpa"),
        (["--dtype", "bfloat16", "--attention", "plain"], torch.bfloat16, "plain"),
    ):
        model = load(cli.build_parser().parse_args([*given, "--device", "cpu", *more]))
        assert model.dtype == next(model.denoiser.parameters()).dtype == dtype
        assert {m.backend for m in model.denoiser.modules() if hasattr(m, "backend")} == {backend}


def test_a_video_is_made_with_its_settings_inside(
    inputs: list[str], tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.mp4"
    given = ["--emotion", "quietly proud", "--seed", "7", "--json", str(tmp_path / "run.json")]
    status = cli.main(["generate", *inputs, *given, "--model", str(tiny_folder), "--output", str(output)])
    assert status == 0, capsys.readouterr().err
    assert read_video(output).n_frames == 30
    tags = read_metadata(output)
    assert "trainedAlgorithmicMedia" in tags["digital_source_type"]
    assert tags["settings"]["options"]["seed"] == 7
    report = json.loads((tmp_path / "run.json").read_text())
    assert report["n_frames"] == 30
    assert report["emotions"][0]["text"] == "quietly proud"
    assert "forecast: 30 frames" in capsys.readouterr().out


def test_an_error_is_one_line_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [
        "generate",
        "--portrait",
        str(tmp_path / "no\nsuch.png"),
        "--audio",
        "a.wav",
        "--output",
        str(tmp_path / "o.mp4"),
    ]
    assert cli.main(given) == 2
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1
    assert "no such.png" in error


def test_debug_shows_where_it_failed(tmp_path: Path) -> None:
    given = ["--portrait", str(tmp_path / "no.png"), "--audio", "a.wav", "--output", str(tmp_path / "o.mp4")]
    for arguments in (["--debug", "generate", *given], ["generate", "--debug", *given]):
        with pytest.raises(EADNetError):
            cli.main(arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["emotion"], "Give one text, --file"),
        (["emotion", "--file", "missing.txt"], "missing.txt"),
        (["emotion", "sad", "--json", "nowhere/x.json"], "nowhere"),
        (["info", "no-such-model"], "no-such-model"),
        (["train", "vae", "--preset", "giant"], "giant"),
        (["train", "vae", "--preset", "base-256"], "--train adapters"),
        (["train", "denoiser", "--preset", "base-256", "--train", "adapters"], "needs --base"),
        (["train", "denoiser", "--train", "adapters"], "--preset base-256"),
        (["corpus", "sheet", "sheet.txt"], ".png"),
    ],
)
def test_bad_arguments_say_what_to_do(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 2
    assert words in capsys.readouterr().err


def test_values_out_of_range_and_bad_boxes(
    inputs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = ["--output", str(tmp_path / "out.mp4")]
    assert cli.main(["generate", *inputs, *output, "--head", "9"]) == 2
    assert "head is 9.0" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        cli.main(["generate", *inputs, *output, "--face-box", "1,2,3"])
    assert stopped.value.code == 2
    assert "four numbers" in capsys.readouterr().err


def test_an_existing_output_is_kept(inputs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out.mp4"
    output.write_bytes(b"precious")
    assert cli.main(["generate", *inputs, "--output", str(output)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert output.read_bytes() == b"precious"


def test_ctrl_c_is_status_130_and_leaves_nothing(
    inputs: list[str], tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interrupt arrives at the first tick of the progress bar, when the encoder has begun."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Bar, "__call__", interrupt)
    output = tmp_path / "out.mp4"
    before = set(tmp_path.iterdir())
    assert cli.main(["generate", *inputs, "--model", str(tiny_folder), "--output", str(output)]) == 130
    assert set(tmp_path.iterdir()) == before


def test_what_is_logged_beside_a_bar_has_a_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(*_: object) -> None:
        with Bar("work") as bar:
            bar.count(1, 3)
            logging.getLogger("eadnet_core.cli").info("1 of 3 is kept")
            raise KeyboardInterrupt

    monkeypatch.setattr("eadnet_core.cli.info._info", work)
    assert cli.main(["info"]) == 130
    said = capsys.readouterr().err.replace("\r", "\n").splitlines()
    assert "1 of 3 is kept" in said and said[-1] == "Stopped.", said


def test_info_lists_the_files(tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info", str(tiny_folder)]) == 0
    printed = capsys.readouterr().out
    assert "denoiser" in printed
    assert "in all" in printed


def test_emotion_reads_a_file_in_order(tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text("furious\n\nwalking on sunshine\n", encoding="utf-8")
    given = ["emotion", "--file", str(lines), "--json", str(tmp_path / "read.json"), "--model", str(tiny_folder)]
    assert cli.main(given) == 0, capsys.readouterr().err
    readings = json.loads((tmp_path / "read.json").read_text())
    assert [r["text"] for r in readings] == ["furious", "", "walking on sunshine"]
    assert all({"label", "intensity", "valence", "arousal"} <= set(r) for r in readings)
    assert readings[1]["label"] == "neutral"
    assert readings[1]["intensity"] == 0


def test_a_script_and_a_track_file_direct_a_video(
    inputs: list[str], tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "script.txt").write_text("[calm] one two three [furious: 0.8] four five")
    (tmp_path / "times.srt").write_text("1\n00:00:00,100 --> 00:00:01,100\none two three four five\n")
    (tmp_path / "track.json").write_text('{"keyframes": [{"time_s": 0, "text": "sad"}, {"word": 3, "text": "happy"}]}')
    given = ["generate", *inputs, "--model", str(tiny_folder), "--transcript", str(tmp_path / "times.srt")]
    for flag, name, texts in (
        ("--script", "script.txt", ["calm", "furious"]),
        ("--emotion-track", "track.json", ["sad", "happy"]),
    ):
        words = [flag, str(tmp_path / name), "--json", str(tmp_path / "run.json")]
        assert cli.main([*given, *words, "--output", str(tmp_path / f"{texts[0]}.mp4")]) == 0, capsys.readouterr().err
        emotions = json.loads((tmp_path / "run.json").read_text())["emotions"]
        assert [e["text"] for e in emotions] == texts
        assert emotions[1]["start_s"] == pytest.approx(0.7, abs=0.01)
    assert cli.main([*given, "--output", str(tmp_path / "none.mp4")]) == 2
    assert "give one of them" in capsys.readouterr().err


def test_a_report_replaces_no_file_that_is_read(
    inputs: list[str], tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    track = tmp_path / "track.json"
    track.write_text('{"keyframes": [{"time_s": 0, "text": "sad"}]}')
    given = ["generate", *inputs, "--model", str(tiny_folder), "--output", str(tmp_path / "out.mp4")]
    status = cli.main([*given, "--emotion-track", str(track), "--json", str(tmp_path / "." / "track.json")])
    assert status == 2
    assert "also --emotion-track" in capsys.readouterr().err
    assert "keyframes" in track.read_text()
    assert not (tmp_path / "out.mp4").exists()


def test_without_words_the_voice_decides(inputs: list[str], tiny_folder: Path, tmp_path: Path) -> None:
    given = ["generate", *inputs, "--model", str(tiny_folder), "--output", str(tmp_path / "out.mp4")]
    assert cli.main([*given, "--json", str(tmp_path / "run.json")]) == 0
    (reading,) = json.loads((tmp_path / "run.json").read_text())["emotions"]
    assert reading["text"] == "auto"


def test_a_portrait_follows_its_voice_and_a_dub_keeps_the_face_it_has() -> None:
    parser = cli.build_parser()
    shared = ["--audio", "a.wav", "--output", "o.mp4"]
    assert parser.parse_args(["generate", "--portrait", "p.png", *shared]).emotion == "auto"
    assert parser.parse_args(["dub", "--video", "v.mp4", *shared]).emotion == ""


def test_controls_are_evaluated_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", "--controls", "--emotion"]) == 2
    assert "--controls goes with none of" in capsys.readouterr().err
    assert cli.main(["evaluate", "--controls", "--clips", "3"]) == 2
    assert "clips is 3; give a multiple of 4" in capsys.readouterr().err
