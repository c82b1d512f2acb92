"""A batch on Ray, started inside this machine: the same videos, each once, whatever process dies."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from eadnet_core import cli
from eadnet_core.errors import BadInput, CheckpointError
from eadnet_core.families.family import Model
from eadnet_core.families.load import load_model
from eadnet_core.generation.batch import run_batch
from eadnet_core.generation.batch_on_ray import TRIES, run_batch_on_ray
from eadnet_core.generation.rows import parse_rows
from eadnet_core.media.video.files import read_video
from eadnet_core.media.video.lock import Lock

BOX = '"20 20 108 108"'
TABLE = f"""portrait,voice,words,name,seed,face_box
face.png,speech.wav,happy,first,1,{BOX}
face.png,speech.wav,sad,second,2,{BOX}
face.png,speech.wav,,third,3,{BOX}
"""

LONG = f"""portrait,voice,name,segment_frames,face_box
face.png,speech.wav,long,6,{BOX}
face.png,speech.wav,short,40,{BOX}
"""


@pytest.fixture(scope="module")
def one_ray() -> Iterator[None]:
    """A Ray of two processes for all tests of this file."""
    ray = pytest.importorskip("ray", reason="ray is not here: pip install 'eadnet[cluster]'")
    ray.init(address="local", num_cpus=2, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def folder(one_ray: None, tmp_path: Path, portrait: np.ndarray, voice_samples: np.ndarray) -> Path:
    Image.fromarray(portrait).save(tmp_path / "face.png")
    soundfile.write(tmp_path / "speech.wav", voice_samples[:9600], 16_000)
    (tmp_path / "rows.csv").write_text(TABLE, "utf-8")
    return tmp_path


@pytest.fixture
def run(folder: Path, tiny_folder: Path) -> Callable[..., Any]:
    def go(load: Callable[[], Model] | None = None, table: str = TABLE, **more: Any) -> Any:
        rows = parse_rows(table, lambda cell: folder / cell)
        load = load or (lambda: load_model(str(tiny_folder), "cpu"))
        return run_batch_on_ray(rows, folder / "out", load, tiny_folder, **more)

    return go


def dying(folder: Path, weights: Path, most: int) -> Callable[[], Model]:
    """What loads a model in a process that ends, without a word, when it is given the row `second`: `most` times."""

    def load() -> Model:
        from eadnet_core.generation.batch import Batch

        make = Batch.make

        def die(batch: Batch, row: Any, *others: Any) -> Any:
            deaths = folder / "deaths"
            if row.name == "second" and (not deaths.exists() or deaths.stat().st_size < most):
                with deaths.open("ab") as file:
                    file.write(b"x")
                os._exit(1)
            return make(batch, row, *others)

        Batch.make = die  # type: ignore[method-assign]
        return load_model(str(weights), "cpu")

    return load


def hashes(folder: Path) -> dict[str, str]:
    found = {path.stem: json.loads(path.read_text("utf-8")) for path in folder.glob("*.json")}
    return {name: record["video_sha256"] for name, record in found.items() if "video_sha256" in record}


def test_two_actors_make_what_one_process_makes(
    run: Callable[..., Any], folder: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    report = run(n_actors=2, on_row=lambda done, total: told.append((done, total)))
    assert report.counts == {"made": 3, "kept": 0, "failed": 0, "open": 0}
    assert sorted(told) == [(1, 3), (2, 3), (3, 3)]
    assert json.loads((folder / "out" / "batch.json").read_text("utf-8")) == report.to_dict()
    rows = parse_rows(TABLE, lambda cell: folder / cell)
    run_batch(rows, folder / "alone", lambda: load_model(str(tiny_folder), "cpu"), tiny_folder)
    assert hashes(folder / "out") == hashes(folder / "alone") and len(hashes(folder / "out")) == 3
    assert run(n_actors=2).counts["kept"] == 3


def test_a_long_row_is_made_by_several_actors(run: Callable[..., Any], folder: Path, tiny_folder: Path) -> None:
    """In parts of one segment, of three; a short one beside it stays whole; the videos are those of one process."""
    rows = parse_rows(LONG, lambda cell: folder / cell)
    run_batch(rows, folder / "alone", lambda: load_model(str(tiny_folder), "cpu"), tiny_folder)
    told: list[tuple[int, int]] = []
    report = run(table=LONG, n_actors=2, most_segments=1, on_row=lambda done, total: told.append((done, total)))
    assert report.counts["made"] == 2 and told == [(1, 2), (2, 2)]
    assert sorted(path.name for path in (folder / "out").iterdir()) == sorted(
        ["batch.json", *(f"{name}{suffix}" for name in ("long", "short") for suffix in (".mp4", ".json"))]
    )
    for name in ("long", "short"):
        one, other = (np.stack(list(read_video(folder / place / f"{name}.mp4"))) for place in ("out", "alone"))
        assert np.abs(one.astype(int) - other).max() <= 1
    with pytest.raises(BadInput, match="spread is 0"):
        run(most_segments=0)


def test_a_process_that_dies_is_replaced(run: Callable[..., Any], folder: Path, tiny_folder: Path) -> None:
    report = run(dying(folder, tiny_folder, 1))
    assert report.counts["made"] == 3 and (folder / "deaths").stat().st_size == 1


def test_a_poisoned_row_is_set_aside(run: Callable[..., Any], folder: Path, tiny_folder: Path) -> None:
    report = run(dying(folder, tiny_folder, 99))
    assert [outcome.status for outcome in report.outcomes] == ["made", "failed", "made"]
    assert f"ended {TRIES} times" in report.outcomes[1].error and (folder / "deaths").stat().st_size == TRIES
    assert run().counts == {"made": 1, "kept": 2, "failed": 0, "open": 0}


def test_a_bad_row_stops_no_other(run: Callable[..., Any], folder: Path) -> None:
    (folder / "speech.wav").write_bytes(b"no sound")
    report = run()
    assert report.counts["failed"] == 3 and "speech.wav" in report.outcomes[0].error


def test_what_cannot_work_is_refused(run: Callable[..., Any], folder: Path) -> None:
    with pytest.raises(BadInput, match="actors is 0"):
        run(n_actors=0)

    def no_model() -> Model:
        raise CheckpointError("Weight file 'denoiser' is damaged.")

    with pytest.raises(CheckpointError, match="'denoiser' is damaged"):
        run(no_model)
    lock = Lock(folder / "out" / ".batch.lock", "out")
    try:
        with pytest.raises(BadInput):
            run()
    finally:
        lock.release()


def test_the_command(folder: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["batch", str(folder / "rows.csv"), "--output", str(folder / "out"), "--model", str(tiny_folder)]
    assert cli.main([*given, "--ray", "local", "--actors", "2"]) == 0, capsys.readouterr().err
    assert "3 made" in capsys.readouterr().out
    assert cli.main([*given, "--actors", "2"]) == 2
    assert "--actors goes with --ray" in capsys.readouterr().err


def test_a_driver_that_is_killed_loses_no_finished_video(folder: Path, tiny_folder: Path) -> None:
    """Signal 9 as soon as the first video is there; the next run, here without Ray, makes the others."""
    given = ["batch", str(folder / "rows.csv"), "--output", str(folder / "out"), "--model", str(tiny_folder)]
    call = [sys.executable, "-m", "eadnet_core", *given, "--ray", "local", "--actors", "1"]
    run = subprocess.Popen(call, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while run.poll() is None and not hashes(folder / "out"):
        run_for_a_moment(run)
    run.kill()
    run.wait()
    before = {path.name: path.stat().st_mtime_ns for path in (folder / "out").glob("*.mp4")}
    assert len(before) in (1, 2), "killed before the first video, or after the last"
    rows = parse_rows(TABLE, lambda cell: folder / cell)
    report = run_batch(rows, folder / "out", lambda: load_model(str(tiny_folder), "cpu"), tiny_folder)
    assert report.counts["made"] + report.counts["kept"] == 3, report.table()
    after = {path.name: path.stat().st_mtime_ns for path in (folder / "out").glob("*.mp4")}
    finished = {f"{outcome.name}.mp4" for outcome in report.outcomes if outcome.status == "kept"}
    assert {name: after[name] for name in finished & before.keys()} == {n: before[n] for n in finished & before.keys()}


def run_for_a_moment(run: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.wait(0.05)
