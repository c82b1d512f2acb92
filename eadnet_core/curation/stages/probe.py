"""Stage 1: can a video be read, and is there sound in it?

Threshold: a peak of 0.001 of full scale, below which 16-bit sound is noise of its rounding. Source: our design.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...errors import BadInput, MediaError
from ...media.video.files import read_video
from ..video_rules import BROKEN, NO_SOUND

SILENT = 0.001


def probe(path: Path) -> dict[str, Any]:
    """JSON values: `reason` ("" or why not), `said` (what reading said), `width`, `height`, `fps`, `sound_s`."""
    try:
        video = read_video(path)
        next(iter(video), None)
    except (BadInput, MediaError) as error:
        return {"reason": BROKEN, "said": str(error)}
    found = {"width": video.size[0], "height": video.size[1], "fps": round(float(video.fps), 3)}
    try:
        sound = video.audio()
    except (BadInput, MediaError) as error:
        return {**found, "reason": NO_SOUND, "said": str(error)}
    peak = float(np.abs(sound.samples).max(initial=0.0))
    reason = NO_SOUND if peak < SILENT else ""
    return {**found, "reason": reason, "sound_s": round(sound.duration_s, 3)}
