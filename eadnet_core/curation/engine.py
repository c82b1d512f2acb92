"""The same functions over many rows: on this machine (`corpus.pool`), or on Ray, which has its own back-pressure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ..generation.ray_session import ray_session

VIDEOS_IN_HAND = 32
"""Pieces of `corpus.pool` for each process. Rows of videos are small and their lengths are not alike: while a long one
holds up those behind it, the other processes still have work. With 2 they would stand idle for two thirds of the time
(docs/scale.md)."""


def on_ray(
    where: str,
    rows: Sequence[dict[str, Any]],
    expand: Callable[[dict[str, Any]], Iterable[dict[str, Any]]],
    stages: Sequence[Callable[[dict[str, Any]], dict[str, Any]]],
) -> Iterator[dict[str, Any]]:
    """Rows through Ray Data: `expand` makes several of each, then every stage is an operator of its own.

    where   `generation.ray_session.AUTO` or `LOCAL`
    Rows are JSON values; they travel as text, so that rows with other columns go together. The order is kept. The
    package and the work folder have to be on every machine of a cluster. Raises BadInput where no cluster is found.
    """
    with ray_session(where) as ray:
        ray.data.DataContext.get_current().execution_options.preserve_order = True
        texts = [{"row": json.dumps(row)} for row in rows]
        data = ray.data.from_items(texts, override_num_blocks=max(1, len(texts)))
        data = data.flat_map(_Expanding(expand))
        for stage in stages:
            data = data.map(_Mapping(stage))
        yield from (json.loads(row["row"]) for row in data.iter_rows())


class _Expanding:
    """A function of rows as one of Ray's."""

    def __init__(self, work: Callable[[dict[str, Any]], Iterable[dict[str, Any]]]) -> None:
        self.work = work

    def __call__(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"row": json.dumps(one)} for one in self.work(json.loads(row["row"]))]


class _Mapping:
    """A function of a row as one of Ray's."""

    def __init__(self, work: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self.work = work

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"row": json.dumps(self.work(json.loads(row["row"])))}
