"""What the track editor's page cannot know by itself: how keyframes are read, the words of a transcript, and the face.

The face is computed on the CPU with the shipped mini, as in the expression editor: a moment of a track costs one frame.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..eadnet_core.errors import BadInput
from .emotion import parse_keyframes, reader, transcript_words
from .guarded_route import IsStale, Route, number
from .kept_stills import READ, KeptStills, Portrait, jpeg

if TYPE_CHECKING:
    import numpy as np
    from aiohttp import web

    from ..eadnet_core.emotion.track import EmotionTrack

MOST_KEYFRAMES = 200
"""Of one request; the page asks for more in several."""
POSE = {
    "yaw": (-19.0, 19.0),
    "pitch": (-11.0, 11.0),
    "roll": (-8.0, 8.0),
    "gaze_x": (-1.0, 1.0),
    "gaze_y": (-1.0, 1.0),
    "blink": (0.0, 1.0),
}
"""What the face shows of a motion: degrees and shares, as far as a run goes."""
KEPT_TEXTS = 256
"""Texts of keyframes whose codes are kept for the face."""


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


@dataclass(frozen=True)
class AskedFace:
    """A checked request: what the track's face looks like at a time.

    turned  what its motion does there, of POSE; empty for none
    """

    portrait: Portrait
    track: EmotionTrack
    time_s: float
    turned: dict[str, float]


class Faces(Route):
    """The portrait with what a track asks of it at one time."""

    what = "a face"
    most_per_second = 40

    def __init__(self) -> None:
        super().__init__()
        self._stills = KeptStills()

    def parse(self, data: Any) -> AskedFace:
        """See Route."""
        from ..eadnet_core.emotion.track import EmotionTrack

        if not isinstance(data, dict):
            raise BadInput("Send a JSON object.")
        keyframes = data.get("keyframes")
        if not isinstance(keyframes, str):
            raise BadInput("keyframes must be their JSON, as the node has it.")
        cross_fade_s = number(data.get("cross_fade", 0.5), "cross_fade", 0, 60)
        return AskedFace(
            Portrait.parse(data),
            EmotionTrack.parse(parse_keyframes(keyframes)).held(cross_fade_s),
            number(data.get("time", 0.0), "time", 0, 1e6),
            _turned(data.get("turned") or {}),
        )

    def compute(self, asked: AskedFace, is_stale: IsStale) -> tuple[bytes, dict[str, Any]]:
        """See Route."""
        from ..eadnet_core.emotion.code import describe
        from ..eadnet_core.emotion.expression import Felt

        began = time.perf_counter()
        still = self._stills.open(asked.portrait)
        code = asked.track.read(read_codes).at([asked.time_s])[0]
        data = jpeg(still.square(Felt(code, asked.turned), min(asked.portrait.size_px, still.size_px)))
        read = describe(code)
        said = {"label": read.label, "intensity": round(read.intensity, 3)}
        return data, {**said, "seconds": round(time.perf_counter() - began, 4)}

    def respond(self, made: tuple[bytes, dict[str, Any]]) -> web.Response:
        """See Route."""
        from aiohttp import web

        headers = {READ: json.dumps(made[1]), "Cache-Control": "no-store"}
        return web.Response(body=made[0], content_type="image/jpeg", headers=headers)

    def let_go(self) -> None:
        """See Route."""
        self._stills.clear()


def _turned(data: Any) -> dict[str, float]:
    """What a motion does at one time, each held within POSE. Raises BadInput."""
    if not isinstance(data, dict) or not set(data) <= set(POSE):
        raise BadInput(f"turned must be an object of {', '.join(POSE)} and numbers.")
    values = {name: number(value, name, -180, 180) for name, value in data.items()}
    return {name: min(max(value, POSE[name][0]), POSE[name][1]) for name, value in values.items()}


def read_codes(texts: list[str]) -> np.ndarray:
    """The codes [n, 27] of texts, each read once: the same few are asked for while the playhead moves."""
    import numpy as np

    return np.stack([_read_code(text) for text in texts])


@lru_cache(maxsize=KEPT_TEXTS)
def _read_code(text: str) -> np.ndarray:
    return reader().codes([text])[0]


def register() -> None:
    """Add the route to ComfyUI's server, where there is one."""
    from server import PromptServer

    server = getattr(PromptServer, "instance", None)
    if server is not None:
        server.routes.post("/eadnet/track")(Readings().answer)
        server.routes.post("/eadnet/track_face")(Faces().answer)
