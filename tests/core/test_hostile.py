"""A small share of bench/hostile.py: mutated files work or are refused in one line, and nothing else happens."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from eadnet_core.errors import BadInput

BENCH = Path(__file__).parents[2] / "bench" / "hostile.py"
EACH = 4


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCH.parent)
    spec = importlib.util.spec_from_file_location("hostile", BENCH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(sys.platform == "win32", reason="the reading process is waited for with select")
def test_mutated_files_work_or_are_refused_in_one_line(hostile: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostile, "LIMIT_S", 60.0)  # other tests may run beside this one
    found = hostile.run(list(hostile.KINDS), EACH, seed=500)
    assert len(found) == EACH * len(hostile.KINDS)
    faults = [f"{one['kind']} {one['seed']} ({one['mutation']}): {one['said']}" for one in found]
    assert not [said for said, one in zip(faults, found, strict=True) if one["verdict"] == "fault"]
    assert {one["verdict"] for one in found} >= {"worked", "refused"}


def test_a_seed_gives_the_same_input_again(hostile: ModuleType, tmp_path: Path) -> None:
    hostile.good_files(tmp_path)
    good = {kind: (tmp_path / hostile.named(kind, "good")).read_bytes() for kind in hostile.KINDS}
    for kind in hostile.KINDS:
        first = [hostile.hostile(kind, good, seed) for seed in range(8)]
        assert first == [hostile.hostile(kind, good, seed) for seed in range(8)]
        assert len({data for _, data in first}) > 6
        assert all(data != good[kind] for _, data in first)


def test_what_is_no_answer_of_the_library_is_a_fault(
    hostile: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A traceback, several lines, a file left behind: each is seen."""
    given = tmp_path / "given.png"
    given.write_bytes(b"x")

    def reads(act: object) -> str:
        monkeypatch.setattr(hostile, "read", act)
        return hostile.judge("png", given, tmp_path, None).verdict

    def left(*_: object) -> list[str]:
        (tmp_path / "half.mp4").write_bytes(b"x")
        return []

    def raising(error: Exception) -> object:
        return lambda *_: (_ for _ in ()).throw(error)

    assert reads(lambda *_: []) == "worked"
    assert reads(lambda *_: ["a note"]) == "worked with a note"
    assert reads(raising(BadInput("one line"))) == "refused"
    assert reads(raising(BadInput("two\nlines"))) == "fault"
    assert reads(raising(ZeroDivisionError())) == "fault"
    assert reads(left) == "fault"
