"""A motion in the track editor: edited as its widget says, and as the lanes show it."""

from __future__ import annotations

from typing import Any

MOST_SHOWN = 15_000
"""Frames of a motion that the page is told of: ten minutes."""


def motion_edited(given: Any, text: str, duration_s: float) -> tuple[Any, list[dict[str, Any]]]:
    """The motion of a node with its edits, or None where there is neither; and the lanes as they were given.

    given       EAD_MOTION or None
    duration_s  how long a motion lasts that is made of edits alone, at least
    returns     Driving | None, and [{fps, tracks: {name: [values]}}], or none of a motion that was not given
    Raises BadInput for edits that cannot be.
    """
    from ..eadnet_core.motion.driving import Driving
    from ..eadnet_core.motion.edits import MotionEdits

    edits = MotionEdits.parse(text)
    if given is None:
        return (None if edits.is_empty else Driving(edits.on(None, duration_s))), []
    return Driving(edits.on(given.motion, duration_s), given.options), [lanes_of(given.motion)]


def lanes_of(motion: Any) -> dict[str, Any]:
    """The lanes of a motion, as the page draws them."""
    from ..eadnet_core.motion.edits import LANES

    shown = motion.at_rate()
    names = [name for name in (*LANES, "blink") if name in shown.tracks]
    values = {name: [round(float(v), 3) for v in shown.tracks[name][:MOST_SHOWN]] for name in names}
    return {"fps": shown.fps, "tracks": values}
