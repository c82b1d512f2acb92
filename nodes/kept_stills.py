"""Portraits that routes pose, read once for a file, and what a route is asked and answers of one."""

from __future__ import annotations

import io as bytes_io
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import bridge, expression
from .guarded_route import number
from .own_words import own_words

if TYPE_CHECKING:
    import numpy as np

    from ..eadnet_core.generation.still import Still

LEAST_PX, MOST_PX = 128, 1024
"""Side of the face's square that may be asked for."""
KEPT_STILLS = 3
JPEG_QUALITY = 92
READ = "EADNet-Read"
"""Header that says, as JSON, how what is shown reads and what it cost."""


@dataclass(frozen=True)
class Portrait:
    """Which picture, and the face in it.

    picture  (name, subfolder, type), or None for the sample portrait
    size_px  side of the square that is sent, at most that of the face in the picture
    """

    picture: tuple[str, str, str] | None
    box: tuple[float, float, float, float] | None
    accept_any_face: bool
    size_px: int

    @classmethod
    def parse(cls, data: dict[str, Any]) -> Portrait:
        """The portrait of a request. Raises BadInput."""
        name = data.get("image")
        return cls(
            None if not name else (str(name), str(data.get("subfolder") or ""), str(data.get("type") or "input")),
            bridge.box_of(str(data.get("box") or "")),
            data.get("accept_any_face") is True,
            int(number(data.get("size", 512), "size", LEAST_PX, MOST_PX)),
        )


class KeptStills:
    """The last few portraits, as they were read."""

    def __init__(self) -> None:
        self._stills: dict[Any, Still] = {}

    def open(self, asked: Portrait) -> Still:
        """A portrait and its face; read once for a file."""
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

    def clear(self) -> None:
        """Forget the portraits and the model."""
        self._stills.clear()
        expression.mini.cache_clear()


def jpeg(frame: np.ndarray) -> bytes:
    """A picture [H, W, 3] as it is sent."""
    from PIL import Image

    data = bytes_io.BytesIO()
    Image.fromarray(frame).save(data, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return data.getvalue()
