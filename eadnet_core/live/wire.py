"""What goes between server and page: JSON for words and numbers, and chunks of pictures and sound in binary."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
from PIL import Image

from ..errors import BadInput
from .session import LiveChunk
from .streams import PCM_LEVEL

JPEG_QUALITY = 88
MOST_WORDS = 500
"""Letters of one feeling."""
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
    """What the page asks for: {"feel": words} or {"record": true or false}. Raises BadInput for anything else.

    >>> request_of('{"feel": " amused "}'), request_of('{"record": true}')
    ({'feel': 'amused'}, {'record': True})
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput("The message is not JSON.") from error
    if isinstance(value, dict) and set(value) == {"feel"} and isinstance(value["feel"], str):
        words = value["feel"].strip()
        if len(words) > MOST_WORDS:
            raise BadInput(f"The feeling has {len(words)} letters; say it in {MOST_WORDS} at most.")
        return {"feel": words}
    if isinstance(value, dict) and set(value) == {"record"} and isinstance(value["record"], bool):
        return value
    raise BadInput('The message is neither {"feel": words} nor {"record": true or false}.')
