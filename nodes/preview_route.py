"""The instant preview: a still or a short strip of a portrait with an emotion, without queueing the graph.

Computed on the CPU with the shipped mini, in one thread; one that is under way stops when a newer one comes.
"""

from __future__ import annotations

import base64
import io as bytes_io
import os
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..eadnet_core.errors import BadInput
from ..eadnet_core.taxonomy import EMOTIONS, circumplex
from . import bridge
from .emotion import FROM_TEXT, asked_code, asked_note
from .guarded_route import NAMES, IsStale, Route, number
from .own_words import own_words

if TYPE_CHECKING:
    import numpy as np
    from aiohttp import web

MAX_FRAMES = 25
MAX_TEXT = 2000
KEPT_PORTRAITS = 4


@dataclass(frozen=True)
class Asked:
    """A checked request."""

    picture: tuple[str, str, str] | None
    """(name, subfolder, type), or None for the sample portrait."""
    box: tuple[float, float, float, float] | None
    text: str
    preset: str
    intensity: float
    point: tuple[float, float] | None
    n_frames: int


def parse(data: Any) -> Asked:
    """A request's JSON, checked. Raises BadInput."""
    if not isinstance(data, dict):
        raise BadInput("Send a JSON object.")
    preset, text = data.get("preset") or FROM_TEXT, data.get("text") or ""
    if preset not in (FROM_TEXT, *EMOTIONS):
        raise BadInput(f"preset is {preset!r:.80}; give '{FROM_TEXT}' or one of {', '.join(EMOTIONS)}.")
    if not isinstance(text, str) or len(text) > MAX_TEXT:
        raise BadInput(f"text must be words, at most {MAX_TEXT} letters.")
    valence, arousal = data.get("valence"), data.get("arousal")
    has_point = valence is not None and arousal is not None and data.get("use_pad", True)
    name = data.get("image")
    picture = None if not name else (str(name), str(data.get("subfolder") or ""), str(data.get("type") or "input"))
    point = (number(valence, "valence", -1, 1), number(arousal, "arousal", -1, 1)) if has_point else None
    return Asked(
        picture,
        bridge.box_of(str(data.get("box") or "")),
        text,
        preset,
        number(data.get("intensity", 1.0), "intensity", 0, 1.5),
        point,
        int(number(data.get("frames", 1), "frames", 1, MAX_FRAMES)),
    )


class Previews(Route):
    """The still or the strip."""

    what = "a preview"

    def __init__(self) -> None:
        super().__init__()
        self._model: Any = None
        self._faces: dict[Any, np.ndarray] = {}

    def parse(self, data: Any) -> Asked:
        """See Route."""
        return parse(data)

    def respond(self, made: dict[str, Any]) -> web.Response:
        """See Route."""
        from aiohttp import web

        return web.json_response(made)

    def let_go(self) -> None:
        """See Route."""
        self._model = None
        self._faces.clear()

    def compute(self, asked: Asked, is_stale: IsStale) -> dict[str, Any]:
        """See Route."""
        from ..eadnet_core.emotion.code import describe
        from ..eadnet_core.families.load import load_model
        from ..eadnet_core.generation.stages import preview
        from ..eadnet_core.perception.words import reading_values

        began = time.perf_counter()
        if self._model is None:
            self._model = load_model(bridge.SHIPPED, "cpu", "auto")
        reference = self._reference(asked)
        code = asked_code(asked.text, asked.preset, asked.intensity, asked.point)
        note = asked_note(asked.text, asked.preset, asked.point is not None)
        frames = preview(self._model, reference, code, asked.n_frames, is_stale)
        return {
            "frames": [_data_uri(frame) for frame in frames],
            "seconds": round(time.perf_counter() - began, 4),
            "read": reading_values(replace(describe(code, asked.text), note=note)),
        }

    def _reference(self, asked: Asked) -> np.ndarray:
        """The training frame of the portrait; found once for a file."""
        from ..eadnet_core.media.face.crop import crop
        from ..eadnet_core.media.face.find import locate
        from ..eadnet_core.media.image import read_image
        from ..eadnet_core.weights.folders import ASSETS

        sample = str(ASSETS / "sample" / "portrait.png")
        path = sample if asked.picture is None else bridge.input_file(*asked.picture)
        key = (path, os.stat(path).st_mtime_ns, asked.box)
        if key not in self._faces:
            picture = read_image(path)
            while len(self._faces) >= KEPT_PORTRAITS:
                self._faces.pop(next(iter(self._faces)))
            with own_words(NAMES):
                self._faces[key] = crop(picture, locate(picture, asked.box), self._model.config.size_px)
        return self._faces[key]


def _data_uri(frame: np.ndarray) -> str:
    from PIL import Image

    data = bytes_io.BytesIO()
    Image.fromarray(frame).save(data, "JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode()


def register() -> None:
    """Add the routes to ComfyUI's server, where there is one."""
    from aiohttp import web
    from server import PromptServer

    server = getattr(PromptServer, "instance", None)
    if server is None:
        return
    previews = Previews()
    server.routes.post("/eadnet/preview")(previews.answer)

    @server.routes.get("/eadnet/emotions")
    async def emotions(request: web.Request) -> web.Response:
        return web.json_response({"emotions": circumplex()})
