"""What the track editor's page cannot know by itself: which feeling the words of its keyframes ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..eadnet_core.errors import BadInput
from .emotion import reader
from .guarded_route import IsStale, Route

if TYPE_CHECKING:
    from aiohttp import web

    from ..eadnet_core.emotion.track import EmotionTrack

MOST_KEYFRAMES = 200
"""Of one request; the page asks for more in several."""


class Readings(Route):
    """The feelings of keyframes."""

    what = "a reading of keyframes"

    def parse(self, data: Any) -> EmotionTrack | None:
        """The keyframes of a request, {"text"} or {"code"} each, numbered by their times; None for none."""
        from ..eadnet_core.emotion.track import EmotionTrack

        given = data.get("keyframes") if isinstance(data, dict) else None
        if not isinstance(given, list) or len(given) > MOST_KEYFRAMES or not all(isinstance(k, dict) for k in given):
            raise BadInput(f'Send {{"keyframes": [{{"text": "calm"}}, ..]}}, at most {MOST_KEYFRAMES} of them.')
        named = [{name: k[name] for name in ("text", "code") if name in k} for k in given]
        return EmotionTrack.parse([{**k, "time_s": float(i)} for i, k in enumerate(named)]) if named else None

    def compute(self, asked: EmotionTrack | None, is_stale: IsStale) -> dict[str, Any]:
        """See Route."""
        from ..eadnet_core.perception.words import track_values

        return {"readings": track_values(asked.read(reader().codes)) if asked is not None else []}

    def respond(self, made: dict[str, Any]) -> web.Response:
        """See Route."""
        from aiohttp import web

        return web.json_response(made)

    def let_go(self) -> None:
        """See Route; the reader of words is the nodes', which keep it."""


def register() -> None:
    """Add the route to ComfyUI's server, where there is one."""
    from server import PromptServer

    server = getattr(PromptServer, "instance", None)
    if server is not None:
        server.routes.post("/eadnet/track")(Readings().answer)
