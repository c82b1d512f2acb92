"""What a curation would take: the simulation against a real run of the engine, its limits, and hostile costs."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from eadnet_core import cli
from eadnet_core.curation.costs import DRIVER, Costs, read_costs
from eadnet_core.curation.scale import CORES, DISK, DRIVER_LIMIT, NETWORK, Cluster, ordered_ends, simulate
from eadnet_core.errors import BadInput


def made(n_videos: int = 40, seconds: float = 2.0) -> Costs:
    """Costs of clips that are alike but for their time."""
    costs = Costs()
    for number in range(n_videos):
        spent = seconds * (1 + number % 3)
        squares = {"cpu_s": 0.0, "wall_s": 0.0, "written_bytes": 1_000_000}
        work = {
            "hash": {"cpu_s": 0.0, "wall_s": 0.0, "read_bytes": 2_000_000},
            "face": {"cpu_s": spent, "wall_s": spent},
        }
        row = {"reason": "" if number % 2 else "no_face", "first": 0, "costs": {**work, "squares": squares}}
        costs.add(row)
        assert "costs" not in row
        costs.stages[DRIVER].add({"cpu_s": 0.001, "wall_s": 0.001, "written_bytes": 500_000})
    return costs


def test_the_order_of_results_is_that_of_the_engine() -> None:
    """Two in hand for each process, results in order: bounds that hold for any times, and cases done by hand."""
    rng = np.random.default_rng(0)
    for n_workers in (1, 2, 5):
        times = rng.exponential(1.0, 60)
        ends = ordered_ends(times, n_workers)
        assert np.all(np.diff(ends) >= 0) and ends[-1] >= times.sum() / n_workers - 1e-9
        assert ends[-1] <= times.sum() / n_workers + n_workers * times.max()
    assert ordered_ends(np.ones(10), 2)[-1] == 5.0
    uneven = np.array([10.0, *[1.0] * 20])
    assert ordered_ends(uneven, 2, in_hand=2)[-1] > ordered_ends(uneven, 2, in_hand=32)[-1] == 15.0
    assert ordered_ends(np.zeros(10), 2, 0.5)[-1] == 5.0, "the first process alone"


def test_hours_follow_cores_until_something_else_is_the_limit() -> None:
    costs = made()
    one = simulate(costs, 10_000, Cluster(1, 1, start_s=0.0))
    assert one.limit == CORES and one.cpu_hours == pytest.approx(10_000 * (3.95 + 0.001) / 3600, rel=0.01)
    assert one.hours == pytest.approx(one.cpu_hours, rel=0.02)
    ten = simulate(costs, 10_000, Cluster(10, 1, start_s=0.0))
    assert ten.hours == pytest.approx(one.hours / 10, rel=0.05) and ten.disk_gb == one.disk_gb == pytest.approx(15.0)
    assert one.egress_gb == pytest.approx(20.0)
    assert simulate(costs, 10**6, Cluster(1000, 64, disk_mb_s=1e6)).limit == DRIVER_LIMIT
    assert simulate(costs, 10**5, Cluster(10, 64, network_mb_s=1.0)).limit == NETWORK
    assert simulate(costs, 10**5, Cluster(10, 64, disk_mb_s=1.0)).limit == DISK
    # comparing with all that was kept before grows with its square
    assert simulate(costs, 10**8, Cluster(1000, 64)).hours > 500 * simulate(costs, 10**6, Cluster(1000, 64)).hours


def test_a_small_run_is_played_as_it_was_measured() -> None:
    costs = made()
    same = simulate(costs, costs.n_clips, Cluster(1, 1, start_s=0.0))
    assert same.hours * 3600 == pytest.approx(sum(costs.videos_cpu_s) + 0.001)


def test_many_machines_are_played_in_seconds() -> None:
    begun = time.process_time()
    assert simulate(made(), 10**8, Cluster(1000, 64)).hours > 0
    assert time.process_time() - begun < 5


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "costs.json").write_text(json.dumps(made().to_dict()))
    plot = tmp_path / "plot.png"
    given = ["curate", "simulate", str(tmp_path), "--clips", "200,1e4", "--machines", "1,4", "--plot", str(plot)]
    assert cli.main(given) == 0
    printed = capsys.readouterr().out
    assert printed.count("\n| ") == 4 and "| 10,000 | 4 x 32 |" in printed and plot.stat().st_size > 1000
    assert cli.main(["curate", "simulate", str(tmp_path), "--clips", "some"]) == 2
    assert "--clips is 'some'" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": "eadnet-curation-costs", "version": 1}', "[" * 9999])
def test_what_holds_no_costs_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "costs.json").write_text(text)
    with pytest.raises(BadInput, match=r"holds no costs|says nothing"):
        read_costs(tmp_path)


def test_wrong_numbers_are_refused() -> None:
    for wrong in ({"machines": 0}, {"cores": 0}, {"network_mb_s": 0.0}, {"disk_mb_s": -1.0}):
        with pytest.raises(BadInput):
            Cluster(**wrong)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="clips is 0"):
        simulate(made(), 0, Cluster())
