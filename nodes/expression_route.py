"""The expression editor's picture: a face with an expression, as a JPEG, without queueing the graph.

Computed on the CPU with the shipped mini, in one thread. What depends on the picture alone is kept for a few pictures,
so that moving a slider costs one frame.
"""

from __future__ import annotations

import io as bytes_io
import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..eadnet_core.emotion.expression import Expression
from ..eadnet_core.errors import BadInput
from . import bridge, expression
from .guarded_route import IsStale, Route, number
from .own_words import own_words

if TYPE_CHECKING:
    from aiohttp import web

    from ..eadnet_core.generation.still import Still

LEAST_PX, MOST_PX = 128, 1024
"""Side of the face's square that may be asked for."""
KEPT_STILLS = 3
JPEG_QUALITY = 92
READ = "EADNet-Read"
"""Header that says, as JSON, how the expression reads and what it cost."""


@dataclass(frozen=True)
class Asked:
    """A checked request.

    picture  (name, subfolder, type), or None for the sample portrait
    size_px  side of the square that is sent, at most that of the face in the picture
    """

    picture: tuple[str, str, str] | None
    box: tuple[float, float, float, float] | None
    accept_any_face: bool
    expression: Expression
    size_px: int


class Expressions(Route):
    """The face with an expression."""

    what = "an expression"
    most_per_second = 40

    def __init__(self) -> None:
        super().__init__()
        self._stills: dict[Any, Still] = {}

    def parse(self, data: Any) -> Asked:
        """See Route."""
        if not isinstance(data, dict):
            raise BadInput("Send a JSON object.")
        values, name = data.get("values") or {}, data.get("image")
        if not isinstance(values, dict):
            raise BadInput("values must be an object of sliders and numbers.")
        return Asked(
            None if not name else (str(name), str(data.get("subfolder") or ""), str(data.get("type") or "input")),
            bridge.box_of(str(data.get("box") or "")),
            data.get("accept_any_face") is True,
            Expression(values),
            int(number(data.get("size", 512), "size", LEAST_PX, MOST_PX)),
        )

    def compute(self, asked: Asked, is_stale: IsStale) -> tuple[bytes, dict[str, Any]]:
        """See Route."""
        from PIL import Image

        from ..eadnet_core.emotion.code import describe

        began = time.perf_counter()
        still = self._still(asked)
        frame = still.square(asked.expression, min(asked.size_px, still.size_px))
        data = bytes_io.BytesIO()
        Image.fromarray(frame).save(data, "JPEG", quality=JPEG_QUALITY, subsampling=0)
        read = describe(asked.expression.code(still.own))
        said = {"label": read.label, "intensity": round(read.intensity, 3), "face_px": round(still.face.side_px)}
        return data.getvalue(), {**said, "seconds": round(time.perf_counter() - began, 4)}

    def respond(self, made: tuple[bytes, dict[str, Any]]) -> web.Response:
        """See Route."""
        from aiohttp import web

        headers = {READ: json.dumps(made[1]), "Cache-Control": "no-store"}
        return web.Response(body=made[0], content_type="image/jpeg", headers=headers)

    def let_go(self) -> None:
        """See Route."""
        self._stills.clear()
        expression.mini.cache_clear()

    def _still(self, asked: Asked) -> Still:
        """The picture and its face; read once for a file."""
        from ..eadnet_core.generation.still import Still
        from ..eadnet_core.media.face.find import locate
        from ..eadnet_core.media.image import read_image
        from ..eadnet_core.weights.folders import ASSETS

        sample = str(ASSETS / "sample" / "portrait.png")
        path = sample if asked.picture is None else bridge.input_file(*asked.picture)
        found = os.stat(path)
        key = (path, found.st_mtime_ns, found.st_size, asked.box, asked.accept_any_face)
        if key not in self._stills:
            picture = read_image(path)
            while len(self._stills) >= KEPT_STILLS:
                self._stills.pop(next(iter(self._stills)))
            with own_words(expression.NAMES):
                face = locate(picture, asked.box, accept_any_face=asked.accept_any_face)
            self._stills[key] = Still(expression.mini(), picture, face, MOST_PX)
        return self._stills[key]


def register() -> None:
    """Add the route to ComfyUI's server, where there is one."""
    from server import PromptServer

    server = getattr(PromptServer, "instance", None)
    if server is not None:
        server.routes.post("/eadnet/expression")(Expressions().answer)
