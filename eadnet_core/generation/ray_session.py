"""Ray started inside this machine or joined where it runs, for as long as a command lasts."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from ..errors import BadInput

AUTO, LOCAL = "auto", "local"
"""What Ray joins: the cluster that is there (RAY_ADDRESS, else one on this machine), or one that it starts here."""


@contextlib.contextmanager
def ray_session(where: str) -> Iterator[Any]:
    """The module `ray`, connected inside the block; a Ray that the caller has connected is taken as it is.

    where  AUTO or LOCAL; a local one has no dashboard and sends no statistics of use, and asks for a token, as Ray does
           by default from 2.60 on
    Raises BadInput where no cluster is found.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read as Ray starts
    import ray

    is_mine = not ray.is_initialized()
    if is_mine:
        given: dict[str, Any] = {"address": AUTO}
        if where == LOCAL:
            given = {"address": LOCAL, "include_dashboard": False}
        try:
            ray.init(log_to_driver=False, **given)
        except ConnectionError as error:
            raise BadInput("No Ray cluster runs here. Start one (ray start --head), or give --ray local.") from error
    try:
        yield ray
    finally:
        if is_mine:
            ray.shutdown()
