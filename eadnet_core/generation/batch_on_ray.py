"""The rows of a batch on Ray: one actor for each device, with the model loaded once; each row handed out once.

Ray places the actors, restarts one that died and tries its row again there. What is ours is the batch itself
(`batch.Batch`): what is done is skipped by content, a row that was begun goes on at its last finished segment, and the
report is written after every row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import BadInput, CheckpointError
from ..families.family import Model
from .batch import FAILED, Batch, BatchReport, Outcome, open_batch, write_report
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


def run_batch_on_ray(
    rows: Sequence[Row],
    folder: Path,
    load: Callable[[], Model],
    weights: Path,
    where: str = LOCAL,
    n_actors: int | None = None,
    overwrite: bool = False,
    on_row: Callable[[int, int], None] | None = None,
) -> BatchReport:
    """`batch.run_batch` on Ray; files, weights and package have to lie at the same paths on every machine.

    load      loads the model in an actor
    where     `ray_session.AUTO` or `LOCAL`
    n_actors  how many make videos at once; None is one for each GPU of the cluster, or 1 where there is none
    on_row    called with (rows that ended, rows to make)
    Raises BadInput, before any work, as `run_batch`, and where no cluster is found; CheckpointError, and MediaError for
    a full disk.
    """
    if n_actors is not None and n_actors < 1:
        raise BadInput(f"actors is {n_actors}; give 1 or more.")
    with open_batch(rows, folder.absolute(), weights, overwrite) as (batch, report, todo):
        batch.tidy(report)
        write_report(folder, report)
        if todo:
            with ray_session(where) as ray:
                _run(ray, batch, report, todo, load, n_actors, on_row)
    return report


def _run(
    ray: Any,
    batch: Batch,
    report: BatchReport,
    todo: list[tuple[Row, Outcome]],
    load: Callable[[], Model],
    n_actors: int | None,
    on_row: Callable[[int, int], None] | None,
) -> None:
    """Hand each row to an actor that is free, in order, and take the outcomes in as they come."""
    n_gpus = int(ray.cluster_resources().get("GPU", 0))
    n_actors = min(n_actors or max(1, n_gpus), len(todo))
    retries = {"max_restarts": -1, "max_task_retries": TRIES - 1}
    actor = ray.remote(num_cpus=1, num_gpus=min(1.0, n_gpus / n_actors), **retries)(_Maker)
    places = {id(outcome): i for i, outcome in enumerate(report.outcomes)}
    left = list(reversed(todo))
    pending: dict[Any, tuple[Any, Outcome]] = {}
    free = [actor.remote(batch, load) for _ in range(n_actors)]
    _until_loaded(ray, free)
    while left or pending:
        while left and free:
            row, outcome = left.pop()
            maker = free.pop()
            pending[maker.make.remote(row, outcome)] = (maker, outcome)
        (done,), _ = ray.wait(list(pending), num_returns=1)
        maker, outcome = pending.pop(done)
        try:
            report.outcomes[places[id(outcome)]] = ray.get(done)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None  # what ends the whole batch, such as a full disk
        except ray.exceptions.RayActorError as error:
            said = " ".join(str(error).split())[:300]
            outcome.status, outcome.error = FAILED, f"The process that made it ended {TRIES} times: {said}"
        free.append(maker)
        write_report(batch.folder, report)
        if on_row is not None:
            on_row(len(todo) - len(left) - len(pending), len(todo))


def _until_loaded(ray: Any, actors: list[Any]) -> None:
    """Wait until every actor has its model. Raises CheckpointError where one cannot be loaded."""
    try:
        ray.get([actor.is_loaded.remote() for actor in actors])
    except ray.exceptions.RayActorError as error:
        said = str(error).strip().splitlines()[-1]
        raise CheckpointError(f"No actor could load the model: {said} Mend it, then run again.") from error
