"""What goes between server and page: JSON for words and numbers, and chunks of pictures and sound in binary."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from ..errors import BadInput
from .session import LiveChunk
from .streams import PCM_LEVEL

JPEG_QUALITY = 88
MOST_WORDS = 500
"""Letters of one feeling."""
MOST_SAID = 1000
"""Letters of one text to be said."""
MOST_MESSAGE_BYTES = 1 << 16
"""Of one message from the page: two seconds of sound."""


def chunk_message(chunk: LiveChunk, more: dict[str, Any]) -> bytes:
    """A chunk: 4 bytes that say how long the header is (little-endian), the header as JSON, JPEGs, 16-bit samples.

    more  numbers beside those of the chunk, for the header
    """
    pictures = [jpeg(part) for part in chunk.parts]
    sound = (chunk.sound * (PCM_LEVEL - 1)).clip(-PCM_LEVEL, PCM_LEVEL - 1).astype("<i2").tobytes()
    header = {
        "start": chunk.start,
        "every": chunk.every,
        "sizes": list(map(len, pictures)),
        "n_samples": len(chunk.sound),
        **more,
    }
    head = json.dumps(header).encode()
    return b"".join([len(head).to_bytes(4, "little"), head, *pictures, sound])


def jpeg(picture: np.ndarray) -> bytes:
    """A picture, uint8 [h, w, 3], as a JPEG."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=JPEG_QUALITY)
    return out.getvalue()


def request_of(text: str) -> dict[str, Any]:
    """What the page asks for, by one of `REQUESTS`. Raises BadInput for anything else.

    >>> request_of('{"feel": " amused "}'), request_of('{"feel_at": [0.5, -0.1]}')
    ({'feel': 'amused'}, {'feel_at': (0.5, -0.1)})
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput("The message is not JSON.") from error
    name = next(iter(value)) if isinstance(value, dict) and len(value) == 1 else None
    if name not in REQUESTS:
        raise BadInput(f"The message is none of {', '.join(REQUESTS)}.")
    return {name: REQUESTS[name](value[name])}


def _words(value: Any, what: str = "feeling", most: int = MOST_WORDS) -> str:
    if not isinstance(value, str):
        raise BadInput(f"The {what} is not in words.")
    words = value.strip()
    if len(words) > most:
        raise BadInput(f"The {what} has {len(words)} letters; say it in {most} at most.")
    return words


def _text(value: Any) -> str:
    return _words(value, "text", MOST_SAID)


def _point(value: Any) -> tuple[float, float]:
    is_point = isinstance(value, list) and [type(v) in (int, float) and -1 <= v <= 1 for v in value] == [True, True]
    if not is_point:
        raise BadInput("The feeling is no point: give valence and arousal, each -1 .. 1.")
    return float(value[0]), float(value[1])


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise BadInput("Recording is switched by true or false.")
    return value


REQUESTS: dict[str, Callable[[Any], Any]] = {"feel": _words, "feel_at": _point, "say": _text, "record": _switch}
"""What a page may ask for, with what checks its value: words, valence and arousal, a text, true or false."""
