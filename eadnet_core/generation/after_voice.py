"""What a face of a conversation does after its voice has ended, where another one speaks on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..families.performance import Performance
from ..motion.driving import fitted
from ..taxonomy import MOTION

LEAST_FADE_FRAMES = 5
"""Over which the lids of a face that is held come to rest."""


def after_voice(done: Performance, start: int, end: int, shorter: str) -> Performance:
    """The same with another end: a mouth at rest, and the pose and feeling that `shorter` asks for.

    start, end  frames in which the voice is heard, from `start` up to `end`
    shorter     "hold": the last pose, with open eyes; "bounce": to and fro through how the face moved while it spoke;
                another of request.SHORTER_VOICES changes nothing
    """
    if shorter not in ("hold", "bounce"):
        return done
    n_after = done.n_frames - end
    motion, code, voice = done.motion.copy(), done.code.copy(), done.voice.copy()
    voice[end:] = 0.0
    for values in (motion, code):
        values[end:] = fitted(values[start:end], end - start + n_after, shorter)[end - start :]
    if shorter == "hold":
        lids = MOTION.index("blink")
        opening = np.linspace(1.0, 0.0, LEAST_FADE_FRAMES + 1, dtype=np.float32)[1:][:n_after]
        motion[end:, lids] = 0.0
        motion[end : end + len(opening), lids] = motion[end - 1, lids] * opening
    return replace(done, voice=voice, code=code, motion=motion)
