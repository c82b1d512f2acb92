"""A small share of bench/hostile.py --comfyui: mutated workflows are run or refused, and the server lives on."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench" / "hostile.py"
N_WORKFLOWS = 8


def test_mutated_workflows_are_run_or_refused(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCH.parent)
    spec = importlib.util.spec_from_file_location("hostile", BENCH)
    assert spec is not None and spec.loader is not None
    hostile = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hostile)
    url, good = f"http://127.0.0.1:{server.port}", json.dumps(hostile.prompt()).encode()
    assert hostile.judge_prompt(url, good).verdict == "worked"
    for seed in range(N_WORKFLOWS):
        mutation, body = hostile.hostile("workflow", {"workflow": good}, seed)
        found = hostile.judge_prompt(url, body)
        assert found.verdict != "fault", (seed, mutation, found.said)
