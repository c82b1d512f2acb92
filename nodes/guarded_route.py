"""What the pack's routes have in common: who may ask, how often and how much, and that the newest is answered alone.

ComfyUI refuses requests of other origins on the loopback address; on top of that only JSON is taken, which their pages
cannot send unasked, little of it is read, and no file outside the input and temp folders is opened.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ..eadnet_core.errors import BadInput, Cancelled, CheckpointError, EADNetError

if TYPE_CHECKING:
    from aiohttp import web

MAX_BODY_BYTES = 64_000
IDLE_S = 300.0
"""What a route keeps is let go after so long without a request."""
NAMES = {"face_box": "box (EAD-Net Face)", "'portrait'": "the portrait", ", or lower face_threshold": ""}
"""What the core says of a face that it does not find, as the nodes call it."""

IsStale = Callable[[], bool]
"""Whether a newer request has come."""


async def _body(request: web.Request, what: str, most_bytes: int) -> Any:
    """The JSON of a request, in UTF-8. Raises BadInput for what is none, too long, or nested too deeply to be read."""
    data = bytearray()
    async for part in request.content.iter_chunked(8192):
        data += part
        if len(data) > most_bytes:
            raise BadInput(f"The request is longer than {most_bytes // 1000} kB; {what} needs less.")
    try:
        return json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise BadInput(f"The request is not JSON ({reason}).") from error


def number(value: Any, name: str, low: float, high: float) -> float:
    """A number in its range; NaN, and whole numbers too large for a float, are in none. Raises BadInput."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise BadInput(f"{name} is {value!r:.80}; give a number in {low} .. {high}.")
    return float(value)


class Route:
    """Answers requests one at a time, the newest first and alone.

    A route of its own says how a request is read (`parse`), what is made of it in the worker thread (`compute`), how
    that is sent (`respond`), and what it forgets when nobody asks any more (`let_go`).
    """

    what = "a request"
    most_per_second = 12
    most_bytes = MAX_BODY_BYTES

    def __init__(self) -> None:
        self._newest = 0
        self._turn = asyncio.Lock()
        self._worker = ThreadPoolExecutor(1, "eadnet-route")
        self._recent: deque[float] = deque(maxlen=self.most_per_second)
        self._release: asyncio.TimerHandle | None = None

    def parse(self, data: Any) -> Any:
        """A request's JSON, checked. Raises BadInput."""
        raise NotImplementedError

    def compute(self, asked: Any, is_stale: IsStale) -> Any:
        """What is made of a checked request, in the worker thread."""
        raise NotImplementedError

    def respond(self, made: Any) -> web.Response:
        """What `compute` made, as it is sent."""
        raise NotImplementedError

    def let_go(self) -> None:
        """Forget what was kept for the next request."""
        raise NotImplementedError

    async def answer(self, request: web.Request) -> web.Response:
        """Of a POST."""
        from aiohttp import web

        if request.content_type != "application/json":
            return web.json_response({"error": "Send JSON."}, status=415)
        now = time.monotonic()
        if len(self._recent) == self.most_per_second and now - self._recent[0] < 1.0:
            text = f"{self.what.capitalize()} was asked for more than {self.most_per_second} times a second."
            return web.json_response({"error": text}, status=429, headers={"Retry-After": "1"})
        self._recent.append(now)
        self._newest += 1
        made = await self._take_turn(request, self._newest)
        return web.json_response({"error": made[1]}, status=made[0]) if isinstance(made, tuple) else made

    async def _take_turn(self, request: web.Request, ticket: int) -> web.Response | tuple[int, str]:
        """The answer, or the status and words of why there is none."""

        def is_stale() -> bool:
            return ticket != self._newest

        try:
            asked = self.parse(await _body(request, self.what, self.most_bytes))
            async with self._turn:
                if is_stale():
                    raise Cancelled("A newer one was asked for.")
                loop = asyncio.get_running_loop()
                made = await loop.run_in_executor(self._worker, self.compute, asked, is_stale)
                self._release_later(loop)
                return self.respond(made)
        except Cancelled as error:
            return 409, str(error)
        except FileNotFoundError as error:
            return 404, str(error)
        except CheckpointError as error:
            return 503, str(error)
        except OSError as error:
            return 404, f"The picture cannot be opened ({error.strerror})."
        except (EADNetError, ValueError) as error:
            return 400, str(error)

    def _release_later(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._release is not None:
            self._release.cancel()
        self._release = loop.call_later(IDLE_S, self.let_go)
