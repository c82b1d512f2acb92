"""A batch on the tiny model: what is done is skipped, a bad row stops no other, a killed run loses nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from eadnet_core import cli
from eadnet_core.errors import BadInput, Cancelled
from eadnet_core.families.family import Model
from eadnet_core.generation import batch
from eadnet_core.generation.batch import run_batch
from eadnet_core.generation.batch_table import check_table, write_table
from eadnet_core.generation.rows import parse_rows
from eadnet_core.media.video.files import read_metadata, read_video
from eadnet_core.media.video.lock import Lock

BOX = '"20 20 108 108"'
HEADER = "portrait,voice,words,name,seed,face_box"
TABLE = f"""{HEADER}
face.png,speech.wav,happy,first,1,{BOX}
face.png,speech.wav,sad,second,2,{BOX}
face.png,speech.wav,,third,3,{BOX}
"""


@pytest.fixture
def folder(tmp_path: Path, portrait: np.ndarray, voice_samples: np.ndarray) -> Path:
    Image.fromarray(portrait).save(tmp_path / "face.png")
    soundfile.write(tmp_path / "speech.wav", voice_samples[:9600], 16_000)
    (tmp_path / "rows.csv").write_text(TABLE, "utf-8")
    return tmp_path


@pytest.fixture
def run(folder: Path, tiny_model: Model) -> Callable[..., Any]:
    def go(table: str = TABLE, **more: Any) -> Any:
        rows = parse_rows(table, lambda cell: folder / cell)
        return run_batch(rows, folder / "out", lambda: tiny_model, tiny_model.folder, **more)

    return go


def statuses(report: Any) -> list[str]:
    return [outcome.status for outcome in report.outcomes]


def stamps(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in sorted((folder / "out").glob("*.mp4"))}


def test_every_row_becomes_a_video_and_the_next_run_skips_it(folder: Path, run: Callable[..., Any]) -> None:
    report = run()
    assert statuses(report) == ["made"] * 3
    assert sorted(p.name for p in (folder / "out").iterdir()) == sorted(
        ["batch.json", *(f"{name}{end}" for name in ("first", "second", "third") for end in (".json", ".mp4"))]
    )
    assert read_video(folder / "out" / "second.mp4").n_frames == 15
    assert read_metadata(folder / "out" / "second.mp4")["settings"]["options"]["seed"] == 2
    record = json.loads((folder / "out" / "second.json").read_text("utf-8"))
    assert record["report"]["emotions"][0]["text"] == "sad"
    assert json.loads((folder / "out" / "batch.json").read_text("utf-8")) == report.to_dict()
    before = stamps(folder)
    assert statuses(run()) == ["kept"] * 3
    assert stamps(folder) == before


def test_what_changed_is_made_again_and_nothing_else(
    folder: Path, run: Callable[..., Any], voice_samples: np.ndarray
) -> None:
    run()
    before = stamps(folder)
    assert statuses(run(TABLE.replace("sad,second,2", "furious,second,2"))) == ["kept", "made", "kept"]
    assert statuses(run(TABLE.replace("happy,first,1", "happy,first,9"))) == ["made", "made", "kept"]
    assert stamps(folder)["third.mp4"] == before["third.mp4"]
    (folder / "out" / "third.mp4").write_bytes(b"cut off")
    assert statuses(run(TABLE, dry_run=True)) == ["open", "kept", "open"]
    assert statuses(run()) == ["made", "kept", "made"]
    soundfile.write(folder / "speech.wav", voice_samples[:6400], 16_000)
    assert statuses(run(dry_run=True)) == ["open"] * 3


def test_a_bad_row_does_not_stop_the_others_and_is_tried_again(folder: Path, run: Callable[..., Any]) -> None:
    (folder / "torn.png").write_bytes((folder / "face.png").read_bytes()[:200])
    table = TABLE.replace("face.png,speech.wav,sad", "torn.png,speech.wav,sad")
    report = run(table)
    assert statuses(report) == ["made", "failed", "made"]
    assert "torn.png" in report.outcomes[1].error
    lines = report.table().splitlines()
    assert lines[0] == "2 made, 1 failed"
    assert lines[1].startswith("row 3     second  failed  ") and "torn.png" in lines[1]
    shutil.copyfile(folder / "face.png", folder / "torn.png")
    assert statuses(run(table)) == ["kept", "made", "kept"]


def test_a_cancelled_batch_keeps_what_is_finished(folder: Path, run: Callable[..., Any]) -> None:
    seen: list[tuple[int, int, str]] = []

    def watch(done: int, total: int, row: Any, progress: Any) -> None:
        seen.append((done, total, row.name))

    with pytest.raises(Cancelled):
        run(on_progress=watch, cancel=lambda: bool(seen) and seen[-1][2] == "second")
    assert (seen[0], seen[-1]) == ((0, 3, "first"), (1, 3, "second"))
    report = json.loads((folder / "out" / "batch.json").read_text("utf-8"))
    assert report["counts"] == {"made": 1, "kept": 0, "failed": 0, "open": 2}
    assert statuses(run()) == ["kept", "made", "made"]


def test_videos_and_records_of_others_are_not_replaced(folder: Path, run: Callable[..., Any]) -> None:
    out = folder / "out"
    out.mkdir()
    (out / "second.mp4").write_bytes(b"mine")
    with pytest.raises(BadInput, match=r"Nothing was begun\.\nRow 3: .*second.mp4' exists already"):
        run()
    (out / "third.json").write_text("{}")
    with pytest.raises(BadInput, match=r"Row 4: '.*third.json' was not made by a batch"):
        run(overwrite=True)
    assert not (out / "first.mp4").exists() and (out / "second.mp4").read_bytes() == b"mine"
    (out / "third.json").unlink()
    assert statuses(run(overwrite=True)) == ["made"] * 3


def test_one_batch_at_a_time_works_in_a_folder(folder: Path, run: Callable[..., Any]) -> None:
    (folder / "out").mkdir()
    lock = Lock(folder / "out" / ".batch.lock", "out")
    with pytest.raises(BadInput, match="'out' is being made by this process"):
        run()
    lock.release()
    (folder / "out").rmdir()
    (folder / "out").write_text("")
    with pytest.raises(BadInput, match="is a file"):
        run()


def test_a_row_waits_for_a_process_that_a_killed_run_left_behind(folder: Path, run: Callable[..., Any]) -> None:
    """It still holds the segments of `second`, and lets go of them a moment later."""
    segments = folder / "out" / "second.eadnet"
    segments.mkdir(parents=True)
    (folder / "out" / "second.json").write_text('{"format": "eadnet-batch", "version": 1}')
    lock = Lock(segments / "run.lock", "second.mp4")
    timer = threading.Timer(0.5, lock.release)
    timer.start()
    assert statuses(run()) == ["made"] * 3
    timer.join()


def test_a_run_that_ends_before_its_record_is_written_makes_nothing_again(
    folder: Path, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(path: Path) -> str:
        raise KeyboardInterrupt

    one = "\n".join(TABLE.splitlines()[:2])
    with monkeypatch.context() as patch:
        hashed = batch.file_hash
        patch.setattr(batch, "file_hash", lambda path: end(path) if Path(path).suffix == ".mp4" else hashed(path))
        with pytest.raises(KeyboardInterrupt):
            run(one)
    assert (folder / "out" / "first.eadnet").is_dir() and (folder / "out" / "first.mp4").is_file()
    steps: list[Any] = []
    assert statuses(run(one, on_progress=lambda *step: steps.append(step))) == ["made"]
    assert steps == [] and not (folder / "out" / "first.eadnet").exists()


def test_a_run_that_ends_after_its_record_is_written_leaves_no_segments(
    folder: Path, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(video: Path) -> None:
        if video.with_suffix(".json").exists() and "video_sha256" in video.with_suffix(".json").read_text("utf-8"):
            raise KeyboardInterrupt

    one = "\n".join(TABLE.splitlines()[:2])
    with monkeypatch.context() as patch:
        patch.setattr(batch, "_discard", end)
        with pytest.raises(KeyboardInterrupt):
            run(one)
    assert (folder / "out" / "first.eadnet").is_dir()
    assert statuses(run(one, dry_run=True)) == ["kept"] and (folder / "out" / "first.eadnet").is_dir()
    assert statuses(run(one)) == ["kept"] and not (folder / "out" / "first.eadnet").exists()


def command(folder: Path, model: Path) -> list[str]:
    given = ["batch", str(folder / "rows.csv"), "--out", str(folder / "out"), "--device", "cpu", "--model", str(model)]
    return [*given, "--dtype", "float32"]


def hears_interrupts() -> None:
    """A job in the background inherits that SIGINT is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no kill -9")
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_loses_no_finished_video(folder: Path, tiny_folder: Path, sent: signal.Signals) -> None:
    """Stopped as soon as the first video is there, in the middle of the second."""
    first, second = TABLE.splitlines()[1:3]
    (folder / "rows.csv").write_text(f"{HEADER},steps\n{first},1\n{second},50\n", "utf-8")
    call = [sys.executable, "-m", "eadnet_core", *command(folder, tiny_folder)]
    with subprocess.Popen(call, stderr=-1, preexec_fn=hears_interrupts) as process:
        assert process.stderr is not None
        text = b""
        while b"2/2 second" not in text:
            text += process.stderr.read1()
            assert process.poll() is None, text
        process.send_signal(sent)
        assert process.wait() == (130 if sent == signal.SIGINT else -sent)
    before = stamps(folder)
    assert list(before) == ["first.mp4"]
    assert cli.main(command(folder, tiny_folder)) == 0
    assert list(stamps(folder)) == ["first.mp4", "second.mp4"]
    assert stamps(folder)["first.mp4"] == before["first.mp4"]
    assert not list((folder / "out").glob("*.eadnet")) and not list((folder / "out").glob(".*"))


def test_the_command_line_ends_with_2_where_rows_failed(
    folder: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "torn.png").write_bytes(b"")
    table = [*TABLE.splitlines()[:2], f"torn.png,speech.wav,sad,second,2,{BOX}"]
    (folder / "rows.csv").write_text("\n".join(table), "utf-8")
    assert cli.main(command(folder, tiny_folder)) == 2
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == "1 made, 1 failed"
    assert "1 of 2 rows failed, see" in said.err and "Mend them and run again" in said.err
    (folder / "rows.csv").write_text("\n".join(table[:2]), "utf-8")
    assert cli.main(command(folder, tiny_folder)) == 0
    assert capsys.readouterr().out.splitlines()[0] == "1 kept"
    assert cli.main([*command(folder, tiny_folder)[:-2], "--dry-run", "--overwrite"]) == 0


def test_the_example_manifest_runs(tmp_path: Path, tiny_model: Model) -> None:
    from eadnet_core.generation.rows import read_rows

    example = Path(__file__).parents[2] / "docs" / "batch.csv"
    rows = read_rows(example)
    report = run_batch(rows, tmp_path / "out", lambda: tiny_model, tiny_model.folder, dry_run=True)
    assert statuses(report) == ["open"] * len(rows) and len(rows) == 3


def test_rows_of_a_higher_priority_are_made_first(run: Callable[..., Any]) -> None:
    table = HEADER.replace("seed", "priority") + "".join(
        f"\nface.png,speech.wav,happy,{name},{priority},{BOX}" for name, priority in (("a", ""), ("b", 5), ("c", -1))
    )
    made: list[str] = []
    report = run(table, on_progress=lambda done, total, row, progress: made.append(row.name))
    assert list(dict.fromkeys(made)) == ["b", "a", "c"] and [o.name for o in report.outcomes] == ["a", "b", "c"]
    assert report.seconds_per_minute > 0 and "s of work for each minute of video" in report.table()


@pytest.mark.parametrize("cell", ["soon", "1.5", "1e12", "nan"])
def test_a_priority_is_a_whole_number(folder: Path, cell: str) -> None:
    table = f"portrait,voice,priority\nface.png,speech.wav,{cell}\n"
    with pytest.raises(BadInput, match="priority is"):
        parse_rows(table, lambda name: folder / name)


def test_results_and_reports_are_one_table(folder: Path, run: Callable[..., Any]) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not here: pip install 'eadnet[cluster]'")
    (folder / "empty.wav").write_bytes(b"")
    table = TABLE.splitlines()
    table[3] = table[3].replace("speech.wav", "empty.wav")
    rows = parse_rows("\n".join(table), lambda cell: folder / cell)
    check_table(folder / "results.parquet")
    for _ in range(2):
        report = run("\n".join(table))
        write_table(folder / "results.parquet", rows, report, folder / "out")
    found = parquet.read_table(folder / "results.parquet").to_pylist()
    assert [one["status"] for one in found] == ["kept", "kept", "failed"]
    assert found[0]["video_s"] == pytest.approx(0.6) and json.loads(found[0]["report"])["n_frames"] == 15
    assert found[0]["video_sha256"] and found[2]["error"] and found[2]["report"] is None
    for wrong in (folder / "results.csv", folder / "none" / "a.parquet"):
        with pytest.raises(BadInput):
            check_table(wrong)
