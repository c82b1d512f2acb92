"""The routes of a run that is watched: its growing video, and words that are changed while it runs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..eadnet_core.errors import BadInput
from . import preview_route
from .emotion import asked_code, asked_note
from .guarded_route import IsStale, Route
from .live_run import RUNS, LiveRun

if TYPE_CHECKING:
    from aiohttp import web

PIECE_BYTES = 1 << 16
TICK_S = 0.1
MOST_LISTENERS = 4
"""Of one growing video."""
HEADERS = {"Content-Type": "video/mp4", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True)
class Said:
    """Checked words for a run."""

    run: LiveRun
    asked: preview_route.Asked


class LiveWords(Route):
    """Words for a run that is under way, in the form of a request for the instant preview, and the name of the run."""

    what = "a change of words"

    def parse(self, data: Any) -> Said:
        """See Route."""
        name = data.pop("name", None) if isinstance(data, dict) else None
        run = RUNS.find(name) if isinstance(name, str) else None
        if run is None or run.is_done:
            raise BadInput("That run is over, or was never watched: tick 'live', run, and change the words meanwhile.")
        return Said(run, preview_route.parse(data))

    def compute(self, asked: Said, is_stale: IsStale) -> dict[str, Any]:
        """See Route."""
        from ..eadnet_core.emotion.code import describe
        from ..eadnet_core.emotion.track import Keyframe
        from ..eadnet_core.perception.words import reading_values

        words = asked.asked
        code = asked_code(words.text, words.preset, words.intensity, words.point)
        if not is_stale():
            asked.run.say(Keyframe(0.0, asked_name(words), code=tuple(map(float, code))))
            RUNS.n_turns += 1
        note = asked_note(words.text, words.preset, words.point is not None)
        return {"read": {**reading_values(describe(code, words.text)), **({"note": note} if note else {})}}

    def respond(self, made: dict[str, Any]) -> web.Response:
        """See Route."""
        from aiohttp import web

        return web.json_response(made)

    def let_go(self) -> None:
        """See Route."""


def asked_name(asked: preview_route.Asked) -> str:
    """What a report calls words, a preset or a point of the pad."""
    if asked.point is not None:
        return f"the pad at {asked.point[0]:.2f}, {asked.point[1]:.2f}"
    return asked.text.strip() if asked.preset == preview_route.FROM_TEXT else asked.preset


async def watch(request: web.Request) -> web.StreamResponse:
    """Send the video of a run as it grows."""
    from aiohttp import web

    run = RUNS.find(request.match_info["name"])
    if run is None:
        return web.json_response({"error": "There is no such run."}, status=404)
    if run.n_listeners >= MOST_LISTENERS:
        return web.json_response({"error": f"{MOST_LISTENERS} pages watch this run already."}, status=429)
    response = web.StreamResponse(headers=HEADERS)
    run.n_listeners += 1
    try:
        await response.prepare(request)
        with open(run.path, "rb") as file:
            while True:
                is_done = run.is_done  # before the file is read: what is added after that is read next time
                if data := file.read(PIECE_BYTES):
                    await response.write(data)
                elif is_done:
                    return response
                else:
                    await asyncio.sleep(TICK_S)
    except ConnectionError:
        return response  # the page is gone
    finally:
        run.n_listeners -= 1


def register() -> None:
    """Add the routes to ComfyUI's server, where there is one."""
    from server import PromptServer

    server = getattr(PromptServer, "instance", None)
    if server is None:
        return
    server.routes.post("/eadnet/live")(LiveWords().answer)
    server.routes.get("/eadnet/live/{name}")(watch)
