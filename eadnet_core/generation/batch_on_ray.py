"""The rows of a batch on Ray: one actor for each device, with the model loaded once; each row handed out once.

A long row can be handed out in parts: several actors make its segments, and one joins them when they have ended.

Ray places the actors, restarts one that died and tries its row again there. What is ours is the batch itself
(`batch.Batch`): what is done is skipped by content, a row that was begun goes on at its last finished segment, and the
report is written after every row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BadInput, CheckpointError
from ..families.family import Model
from .batch import FAILED, Batch, BatchReport, Outcome, Part, open_batch, parts_of, write_report
from .ray_session import LOCAL, ray_session
from .rows import Row

TRIES = 3
"""How often a row may end the process that makes it before it is set aside as failed."""


class _Maker:
    """What an actor is: a batch and a model."""

    def __init__(self, batch: Batch, load: Callable[[], Model]) -> None:
        self._batch, self._model = batch, load()

    def is_loaded(self) -> bool:
        """Answers when the model is loaded."""
        return True

    def make(self, row: Row, outcome: Outcome) -> Outcome:
        """The outcome of a row."""
        self._batch.finish(row, outcome, self._model)
        return outcome

    def make_part(self, row: Row, part: Part) -> float:
        """Some segments of a row; the seconds that they took."""
        return self._batch.make_part(row, part, self._model)


@dataclass
class _Task:
    """A row to make, or a part of one."""

    row: Row
    outcome: Outcome
    part: Part | None = None


class _Tasks:
    """What is to be handed out, in order; a row that is made in parts comes when all of them have ended."""

    def __init__(self, todo: list[tuple[Row, Outcome]], most_segments: int | None) -> None:
        self.n_parts: Counter[str] = Counter()
        """Of each row, those that have not ended."""
        self.seconds: Counter[str] = Counter()
        """Spent on the parts of each row."""
        self.left: list[_Task] = []
        for row, outcome in todo:
            parts = [] if most_segments is None else parts_of(row, most_segments)
            self.n_parts[row.name] = len(parts)
            self.left += [_Task(row, outcome, part) for part in parts] or [_Task(row, outcome)]
        self.left.reverse()

    def part_ended(self, task: _Task, seconds: float) -> None:
        """Count a part; after the last one of a row the row itself is next."""
        name = task.row.name
        self.seconds[name] += seconds  # type: ignore[assignment]
        self.n_parts[name] -= 1
        if not self.n_parts[name]:
            self.left.append(_Task(task.row, task.outcome))


def run_batch_on_ray(
    rows: Sequence[Row],
    folder: Path,
    load: Callable[[], Model],
    weights: Path,
    where: str = LOCAL,
    n_actors: int | None = None,
    overwrite: bool = False,
    on_row: Callable[[int, int], None] | None = None,
    most_segments: int | None = None,
) -> BatchReport:
    """`batch.run_batch` on Ray; files, weights and package have to lie at the same paths on every machine.

    load      loads the model in an actor
    where     `ray_session.AUTO` or `LOCAL`
    n_actors  how many make videos at once; None is one for each GPU of the cluster, or 1 where there is none
    on_row    called with (rows that ended, rows to make)
    most_segments  that one actor makes of a row: longer ones are made in parts; None leaves each row with one actor
    Raises BadInput, before any work, as `run_batch`, and where no cluster is found; CheckpointError, and MediaError for
    a full disk.
    """
    if n_actors is not None and n_actors < 1:
        raise BadInput(f"actors is {n_actors}; give 1 or more.")
    if most_segments is not None and most_segments < 1:
        raise BadInput(f"spread is {most_segments} segments; give 1 or more.")
    with open_batch(rows, folder.absolute(), weights, overwrite) as (batch, report, todo):
        batch.tidy(report)
        write_report(folder, report)
        if todo:
            with ray_session(where) as ray:
                _run(ray, batch, report, _Tasks(todo, most_segments), load, n_actors, on_row)
    return report


def _run(
    ray: Any,
    batch: Batch,
    report: BatchReport,
    tasks: _Tasks,
    load: Callable[[], Model],
    n_actors: int | None,
    on_row: Callable[[int, int], None] | None,
) -> None:
    """Hand each task to an actor that is free, in order, and take the outcomes in as they come."""
    n_gpus = int(ray.cluster_resources().get("GPU", 0))
    n_actors = min(n_actors or max(1, n_gpus), len(tasks.left))
    retries = {"max_restarts": -1, "max_task_retries": TRIES - 1}
    actor = ray.remote(num_cpus=1, num_gpus=min(1.0, n_gpus / n_actors), **retries)(_Maker)
    places = {id(outcome): i for i, outcome in enumerate(report.outcomes)}
    n_ended, n_rows = 0, len(tasks.n_parts)
    pending: dict[Any, tuple[Any, _Task]] = {}
    free = [actor.remote(batch, load) for _ in range(n_actors)]
    _until_loaded(ray, free)
    while tasks.left or pending:
        while tasks.left and free:
            task, maker = tasks.left.pop(), free.pop()
            if task.part is None:
                pending[maker.make.remote(task.row, task.outcome)] = (maker, task)
            else:
                pending[maker.make_part.remote(task.row, task.part)] = (maker, task)
        (done,), _ = ray.wait(list(pending), num_returns=1)
        maker, task = pending.pop(done)
        free.append(maker)
        found = _answer(ray, done)
        if task.part is not None:  # what is missing of it is made with the row
            tasks.part_ended(task, 0.0 if isinstance(found, str) else found)
            continue
        if isinstance(found, str):
            task.outcome.status, task.outcome.error = FAILED, found
        else:
            found.seconds = round(found.seconds + tasks.seconds[task.row.name], 2)
            report.outcomes[places[id(task.outcome)]] = found
        n_ended += 1
        write_report(batch.folder, report)
        if on_row is not None:
            on_row(n_ended, n_rows)


def _answer(ray: Any, done: Any) -> Any:
    """What a task gave; a text where its process ended again and again. Raises what ends the whole batch."""
    try:
        return ray.get(done)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None  # such as a full disk
    except ray.exceptions.RayActorError as error:
        return f"The process that made it ended {TRIES} times: {' '.join(str(error).split())[:300]}"


def _until_loaded(ray: Any, actors: list[Any]) -> None:
    """Wait until every actor has its model. Raises CheckpointError where one cannot be loaded."""
    try:
        ray.get([actor.is_loaded.remote() for actor in actors])
    except ray.exceptions.RayActorError as error:
        said = str(error).strip().splitlines()[-1]
        raise CheckpointError(f"No actor could load the model: {said} Mend it, then run again.") from error
