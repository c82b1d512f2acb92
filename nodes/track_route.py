"""What the track editor's page cannot know by itself: how keyframes are read, and the words of a transcript."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..eadnet_core.errors import BadInput
from .emotion import reader, transcript_words
from .guarded_route import IsStale, Route

if TYPE_CHECKING:
    from aiohttp import web

    from ..eadnet_core.emotion.track import EmotionTrack

MOST_KEYFRAMES = 200
"""Of one request; the page asks for more in several."""


@dataclass(frozen=True)
class Asked:
    """A checked request.

    track       keyframes with {"text"} or {"code"} each, numbered by their times; None for none
    transcript  as `emotion.transcript` reads it; empty for none
    """

    track: EmotionTrack | None
    transcript: str


class Readings(Route):
    """The feelings of keyframes, and the words of a transcript."""

    what = "a reading of keyframes"
    most_bytes = 512_000

    def parse(self, data: Any) -> Asked:
        """See Route."""
        from ..eadnet_core.emotion.track import EmotionTrack

        given = data.get("keyframes") if isinstance(data, dict) else None
        if not isinstance(given, list) or len(given) > MOST_KEYFRAMES or not all(isinstance(k, dict) for k in given):
            raise BadInput(f'Send {{"keyframes": [{{"text": "calm"}}, ..]}}, at most {MOST_KEYFRAMES} of them.')
        transcript = data.get("transcript", "")
        if not isinstance(transcript, str):
            raise BadInput("transcript must be the text of a transcript.")
        named = [{name: k[name] for name in ("text", "code") if name in k} for k in given]
        track = EmotionTrack.parse([{**k, "time_s": float(i)} for i, k in enumerate(named)]) if named else None
        return Asked(track, transcript)

    def compute(self, asked: Asked, is_stale: IsStale) -> dict[str, Any]:
        """See Route."""
        from ..eadnet_core.perception.words import track_values

        readings = track_values(asked.track.read(reader().codes)) if asked.track is not None else []
        return {"readings": readings, "words": transcript_words(asked.transcript)}

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
