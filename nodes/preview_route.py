"""The instant preview: a still or a short strip of a portrait with an emotion, without queueing the graph.

Computed on the CPU with the shipped mini, in one thread. Of requests that wait only the newest is computed, and one
that is under way stops when a newer one comes. ComfyUI refuses requests of other origins on the loopback address; on
top of that only JSON is taken, which their pages cannot send unasked, little of it is read, and no file outside the
input and temp folders is opened.
"""

from __future__ import annotations

import asyncio
import base64
import io as bytes_io
import json
import os
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..eadnet_core.errors import BadInput, Cancelled, CheckpointError, EADNetError
from ..eadnet_core.taxonomy import EMOTION_RECORDS, EMOTIONS
from . import bridge
from .emotion import FROM_TEXT, asked_code, asked_note
from .own_words import own_words

if TYPE_CHECKING:
    import numpy as np
    from aiohttp import web

MAX_PER_SECOND = 12
MAX_FRAMES = 25
MAX_TEXT = 2000
MAX_BODY_BYTES = 64_000
KEPT_PORTRAITS = 4
IDLE_S = 300.0
"""The mini of the preview is let go after so long without a request."""

NAMES = {"face_box": "box (EAD-Net Face)", "'portrait'": "the portrait", ", or lower face_threshold": ""}
"""What the core says of a face that it does not find, as the nodes call it."""


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
    point = (_number(valence, "valence", -1, 1), _number(arousal, "arousal", -1, 1)) if has_point else None
    return Asked(
        picture,
        bridge.box_of(str(data.get("box") or "")),
        text,
        preset,
        _number(data.get("intensity", 1.0), "intensity", 0, 1.5),
        point,
        int(_number(data.get("frames", 1), "frames", 1, MAX_FRAMES)),
    )


async def _body(request: web.Request) -> Any:
    """The JSON of a request. Raises BadInput for what is no JSON, too long, or nested too deeply to be read."""
    data = bytearray()
    async for part in request.content.iter_chunked(8192):
        data += part
        if len(data) > MAX_BODY_BYTES:
            raise BadInput(f"The request is longer than {MAX_BODY_BYTES // 1000} kB; a preview needs less.")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise BadInput(f"The request is not JSON ({reason}).") from error


def _number(value: Any, name: str, low: float, high: float) -> float:
    """A number in its range; NaN, and whole numbers too large for a float, are in none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise BadInput(f"{name} is {value!r:.80}; give a number in {low} .. {high}.")
    return float(value)


class Previews:
    """Answers requests one at a time, the newest first and alone."""

    def __init__(self) -> None:
        self._newest = 0
        self._turn = asyncio.Lock()
        self._worker = ThreadPoolExecutor(1, "eadnet-preview")
        self._recent: deque[float] = deque(maxlen=MAX_PER_SECOND)
        self._model: Any = None
        self._faces: dict[Any, np.ndarray] = {}
        self._release: asyncio.TimerHandle | None = None

    async def answer(self, request: web.Request) -> web.Response:
        """POST /eadnet/preview"""
        from aiohttp import web

        if request.content_type != "application/json":
            return web.json_response({"error": "Send JSON."}, status=415)
        now = time.monotonic()
        if len(self._recent) == MAX_PER_SECOND and now - self._recent[0] < 1.0:
            text = f"More than {MAX_PER_SECOND} previews a second were asked for."
            return web.json_response({"error": text}, status=429, headers={"Retry-After": "1"})
        self._recent.append(now)
        self._newest += 1
        status, answer = await self._take_turn(request, self._newest)
        return web.json_response(answer, status=status)

    async def _take_turn(self, request: web.Request, ticket: int) -> tuple[int, dict[str, Any]]:
        def is_stale() -> bool:
            return ticket != self._newest

        try:
            asked = parse(await _body(request))
            async with self._turn:
                if is_stale():
                    raise Cancelled("A newer preview was asked for.")
                loop = asyncio.get_running_loop()
                made = await loop.run_in_executor(self._worker, self._compute, asked, is_stale)
                self._release_later(loop)
                return 200, made
        except Cancelled as error:
            return 409, {"error": str(error)}
        except FileNotFoundError as error:
            return 404, {"error": str(error)}
        except CheckpointError as error:
            return 503, {"error": str(error)}
        except OSError as error:
            return 404, {"error": f"The picture cannot be opened ({error.strerror})."}
        except (EADNetError, ValueError) as error:
            return 400, {"error": str(error)}

    def _compute(self, asked: Asked, is_stale: Callable[[], bool]) -> dict[str, Any]:
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

    def _release_later(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._release is not None:
            self._release.cancel()
        self._release = loop.call_later(IDLE_S, self._let_go)

    def _let_go(self) -> None:
        self._model = None
        self._faces.clear()


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
        points = [{"name": e.name, "valence": e.valence, "arousal": e.arousal} for e in EMOTION_RECORDS]
        return web.json_response({"emotions": points})
