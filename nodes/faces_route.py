"""The picture that a face is looked for in, and the faces that are found there, without queueing the graph.

Computed on the CPU, in one thread; what was found in the last few pictures is kept.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..eadnet_core.errors import BadInput
from . import bridge
from .guarded_route import IsStale, Route, number
from .kept_stills import READ, jpeg
from .own_words import own_words

if TYPE_CHECKING:
    import numpy as np
    from aiohttp import web

MOST_PX = 1024
"""Longer side of the picture that is sent."""
KEPT_PICTURES = 4


@dataclass(frozen=True)
class Asked:
    """A checked request.

    picture   (name, subfolder, type)
    is_video  whether its first frame is meant
    """

    picture: tuple[str, str, str]
    is_video: bool
    face_threshold: float
    accept_any_face: bool


class FacesFound(Route):
    """The picture as a JPEG, its size, and the boxes of its faces."""

    what = "a search for faces"

    def __init__(self) -> None:
        super().__init__()
        self._found: dict[Any, tuple[bytes, dict[str, Any]]] = {}

    def parse(self, data: Any) -> Asked:
        """See Route."""
        if not isinstance(data, dict) or not isinstance(data.get("image"), str) or not data["image"]:
            raise BadInput('Send {"image": "portrait.png"}, the name of a file in ComfyUI\'s input folder.')
        return Asked(
            (data["image"], str(data.get("subfolder") or ""), str(data.get("type") or "input")),
            data.get("is_video") is True,
            number(data.get("face_threshold", 0.5), "face_threshold", 0, 1),
            data.get("accept_any_face") is True,
        )

    def compute(self, asked: Asked, is_stale: IsStale) -> tuple[bytes, dict[str, Any]]:
        """See Route."""
        path = bridge.input_file(*asked.picture)
        found = os.stat(path)
        key = (path, found.st_mtime_ns, found.st_size, asked)
        if key not in self._found:
            with own_words({path: os.path.basename(path)}):
                answer = _searched(path, asked)
            while len(self._found) >= KEPT_PICTURES:
                self._found.pop(next(iter(self._found)))
            self._found[key] = answer
        return self._found[key]

    def respond(self, made: tuple[bytes, dict[str, Any]]) -> web.Response:
        """See Route."""
        from aiohttp import web

        headers = {READ: json.dumps(made[1]), "Cache-Control": "no-store"}
        return web.Response(body=made[0], content_type="image/jpeg", headers=headers)

    def let_go(self) -> None:
        """See Route."""
        self._found.clear()


def _searched(path: str, asked: Asked) -> tuple[bytes, dict[str, Any]]:
    """The picture to be sent; and {size, faces: [[x0, y0, x1, y1, score], ..], frame}, all in its own pixels.

    `frame` says where in the square that the model sees the top and the bottom of a box lie, 0 .. 1.
    """
    from ..eadnet_core.config import BOX_BOTTOM_Y, BOX_TOP_Y
    from ..eadnet_core.media.face.find import find_faces
    from ..eadnet_core.media.image import read_image

    picture = _first_frame(path) if asked.is_video else read_image(path)
    faces = find_faces(picture, asked.face_threshold, asked.accept_any_face)
    height, width = picture.shape[:2]
    about = {
        "size": [width, height],
        "faces": [[*(round(v) for v in face.box), round(face.score, 3)] for face in faces],
        "frame": {"top": BOX_TOP_Y, "bottom": BOX_BOTTOM_Y},
    }
    return jpeg(_shrunk(picture)), about


def _first_frame(path: str) -> np.ndarray:
    from ..eadnet_core.media.video.files import FrameCursor, read_video

    try:
        return FrameCursor(read_video(path))[0]
    except IndexError:
        raise BadInput(f"'{os.path.basename(path)}' has no frame. Choose another video.") from None


def _shrunk(picture: np.ndarray) -> np.ndarray:
    """A picture [H, W, 3] whose longer side is at most MOST_PX."""
    import numpy as np
    from PIL import Image

    small = Image.fromarray(picture)
    small.thumbnail((MOST_PX, MOST_PX), Image.Resampling.BICUBIC)
    return np.asarray(small)


def register() -> None:
    """Add the route to ComfyUI's server, where there is one."""
    from server import PromptServer

    server = getattr(PromptServer, "instance", None)
    if server is not None:
        server.routes.post("/eadnet/faces")(FacesFound().answer)
