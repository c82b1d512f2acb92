"""ComfyUI's boxes: what other nodes found in a picture."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..eadnet_core.errors import BadInput

BoundingBox = io.Custom("BOUNDING_BOX")
"""ComfyUI's own type, under its name also where an older ComfyUI does not know it."""


def box_text(bboxes: Any, index: int) -> str:
    """The largest box of a picture, as the widget `box` would hold it; "" where nothing is connected.

    bboxes  BOUNDING_BOX: {x, y, width, height} in pixels, a list of them, or such a list for each picture
    index   of the picture; -1 is the first frame of a video
    Raises BadInput where the picture has none.
    """
    if bboxes is None:
        return ""
    found: list[Any] = [bboxes] if isinstance(bboxes, dict) else list(bboxes)
    if found and isinstance(found[0], list):
        found = found[min(max(index, 0), len(found) - 1)]
    try:
        corners = [tuple(float(box[key]) for key in ("x", "y", "width", "height")) for box in found]
    except (KeyError, TypeError, ValueError):
        raise BadInput(
            f"bboxes is {str(bboxes)[:80]}: connect boxes that have x, y, width and height in pixels."
        ) from None
    if not (corners := [box for box in corners if min(box[2:]) > 0]):
        raise BadInput(
            f"bboxes has no box for picture {max(index, 0)}: connect what finds one, or nothing, so that the face is "
            "searched for here."
        )
    x, y, width, height = max(corners, key=lambda box: box[2] * box[3])
    return f"{x},{y},{x + width},{y + height}"
