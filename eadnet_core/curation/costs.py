"""What a curation cost, stage by stage, measured while it runs: the basis of `eadnet curate simulate`.

Every record says what it cost to make, so that a run that was stopped and goes on adds up like one that was not.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import BadInput

FORMAT, VERSION = "eadnet-curation-costs", 1
DRIVER = "shards"
"""What the first process alone does: duplicates, manifest and shards, one clip after the other."""
MOST_VIDEOS = 2000
"""Of so many videos the cost of each is kept, so that long ones are known."""


@dataclass
class StageCost:
    """Of all pieces of work of one stage.

    n              pieces
    cpu_s, wall_s  seconds on a core and on the clock
    read_bytes     of sources; written_bytes of squares or shards
    """

    n: int = 0
    cpu_s: float = 0.0
    wall_s: float = 0.0
    read_bytes: int = 0
    written_bytes: int = 0

    def add(self, cost: Mapping[str, float]) -> None:
        """Take one piece of work in."""
        self.n += 1
        for name, value in cost.items():
            setattr(self, name, getattr(self, name) + value)


@dataclass
class Costs:
    """Of a whole run.

    n_clips, n_kept  clips that came in (a video without any counts as one), and those that stay
    videos_cpu_s     seconds on a core of each video, in order, of at most `MOST_VIDEOS`
    """

    stages: dict[str, StageCost] = field(default_factory=lambda: defaultdict(StageCost))
    reasons: Counter[str] = field(default_factory=Counter)
    n_videos: int = 0
    videos_cpu_s: list[float] = field(default_factory=list)

    def add(self, row: dict[str, Any]) -> None:
        """Take the costs out of a row; rows come in the order of their videos."""
        costs = row.pop("costs", {})
        self.reasons[row["reason"]] += 1
        for stage, cost in costs.items():
            self.stages[stage].add(cost)
        seconds = sum(cost["cpu_s"] for cost in costs.values())
        if "first" not in row or row["first"] == 0:
            self.n_videos += 1
            if self.n_videos <= MOST_VIDEOS:
                self.videos_cpu_s.append(0.0)
        if self.n_videos <= MOST_VIDEOS:
            self.videos_cpu_s[-1] += seconds

    @property
    def n_clips(self) -> int:
        return sum(self.reasons.values())

    @property
    def n_kept(self) -> int:
        return self.reasons[""]

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        stages = {name: {k: round(v, 4) for k, v in vars(cost).items()} for name, cost in self.stages.items()}
        seconds = [round(value, 4) for value in self.videos_cpu_s]
        head = {"format": FORMAT, "version": VERSION, "videos": self.n_videos, "reasons": dict(self.reasons)}
        return {**head, "stages": stages, "videos_cpu_s": seconds}


def read_costs(path: Path) -> Costs:
    """The costs of a run from its folder or from its costs.json. Raises BadInput for anything else."""
    path = path / "costs.json" if path.is_dir() else path
    try:
        values = json.loads(path.read_text("utf-8"))
        if (values["format"], values["version"]) != (FORMAT, VERSION):
            raise ValueError("another format")
        stages = defaultdict(StageCost, {str(name): StageCost(**cost) for name, cost in values["stages"].items()})
        seconds = [float(value) for value in values["videos_cpu_s"]]
        costs = Costs(stages, Counter(values["reasons"]), int(values["videos"]), seconds)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(
            f"'{path}' holds no costs of a curation ({error}). Give the folder that eadnet curate video wrote to."
        ) from error
    if costs.n_clips < 1 or not costs.videos_cpu_s or not costs.stages:
        raise BadInput(f"'{path}' says nothing: its run had no videos. Curate some first.")
    return costs
