"""The expression editor's picture: a face with an expression, as a JPEG, without queueing the graph.

Computed on the CPU with the shipped mini, in one thread. What depends on the picture alone is kept for a few pictures,
so that moving a slider costs one frame.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..eadnet_core.emotion.expression import Expression
from ..eadnet_core.errors import BadInput
from .guarded_route import IsStale, Route
from .kept_stills import READ, KeptStills, Portrait, jpeg

if TYPE_CHECKING:
    from aiohttp import web


@dataclass(frozen=True)
class Asked:
    """A checked request."""

    portrait: Portrait
    expression: Expression


class Expressions(Route):
    """The face with an expression."""

    what = "an expression"
    most_per_second = 40

    def __init__(self) -> None:
        super().__init__()
        self._stills = KeptStills()

    def parse(self, data: Any) -> Asked:
        """See Route."""
        if not isinstance(data, dict):
            raise BadInput("Send a JSON object.")
        values = data.get("values") or {}
        if not isinstance(values, dict):
            raise BadInput("values must be an object of sliders and numbers.")
        return Asked(Portrait.parse(data), Expression(values))

    def compute(self, asked: Asked, is_stale: IsStale) -> tuple[bytes, dict[str, Any]]:
        """See Route."""
        from ..eadnet_core.emotion.code import describe

        began = time.perf_counter()
        still = self._stills.open(asked.portrait)
        data = jpeg(still.square(asked.expression, min(asked.portrait.size_px, still.size_px)))
        read = describe(asked.expression.code(still.own))
        said = {"label": read.label, "intensity": round(read.intensity, 3), "face_px": round(still.face.side_px)}
        return data, {**said, "seconds": round(time.perf_counter() - began, 4)}

    def respond(self, made: tuple[bytes, dict[str, Any]]) -> web.Response:
        """See Route."""
        from aiohttp import web

        headers = {READ: json.dumps(made[1]), "Cache-Control": "no-store"}
        return web.Response(body=made[0], content_type="image/jpeg", headers=headers)

    def let_go(self) -> None:
        """See Route."""
        self._stills.clear()


def register() -> None:
    """Add the route to ComfyUI's server, where there is one."""
    from server import PromptServer

    server = getattr(PromptServer, "instance", None)
    if server is not None:
        server.routes.post("/eadnet/expression")(Expressions().answer)
