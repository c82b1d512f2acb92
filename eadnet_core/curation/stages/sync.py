"""Stage 7: lips against the sound, by a SyncNet that the user names; what is shifted is shifted back.

Thresholds: LSE-C of 3 or more, and at most 6 frames of offset, by the original SyncNet: those of LatentSync's data
pipeline (its README and preprocessing scripts). A sync expert of ours measures on another scale (`metrics.lip_sync`),
so that its threshold has to be given.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ...media.face.crop import FaceCrop
from ...media.sound.audio import SAMPLES_PER_FRAME
from ...metrics.lip_sync import score_lip_sync
from ...metrics.syncnet_v2 import score_syncnet_v2
from ...weights.convert import load_syncnet_v2
from ...weights.files import load_part
from ...weights.folders import SYNC_EXPERT
from ..video_rules import FAR_OFF, OUT_OF_SYNC, VideoRules


def score(frames: np.ndarray, samples: np.ndarray, syncnet: Path, rules: VideoRules) -> dict[str, Any]:
    """JSON values: `reason`, `confidence` (None without speech), `offset` in frames.

    frames   uint8 [T, S, S, 3] in the training frame
    samples  [640 T] float32 at 16 kHz
    syncnet  `syncnet_v2.model`, or the safetensors of a sync expert
    """
    if syncnet.suffix == ".safetensors":
        found: Any = score_lip_sync(_expert(syncnet), frames, samples)
    else:
        side = float(frames.shape[1])
        found = score_syncnet_v2(_original(syncnet), frames, samples, FaceCrop(side / 2, side / 2, side))
    is_known = bool(np.isfinite(found.lse_c))
    reason = "" if is_known and found.lse_c >= rules.least_confidence else OUT_OF_SYNC
    if not reason and abs(found.offset) > rules.most_offset:
        reason = FAR_OFF
    return {
        "reason": reason,
        "confidence": round(float(found.lse_c), 4) if is_known else None,
        "offset": int(found.offset),
    }


def shifted(frames: np.ndarray, samples: np.ndarray, offset: int) -> tuple[np.ndarray, np.ndarray]:
    """The picture at frame t with the sound of frame t + offset; what has no partner goes.

    frames   [T, ...]; samples [640 T]

    >>> frames, samples = shifted(np.arange(5), np.repeat(np.arange(5), 640), 2)
    >>> frames.tolist(), samples[::640].tolist()
    ([0, 1, 2], [2, 3, 4])
    """
    early, late = max(0, offset), max(0, -offset)
    n_frames = len(frames) - abs(offset)
    return frames[late : late + n_frames], samples[early * SAMPLES_PER_FRAME :][: n_frames * SAMPLES_PER_FRAME]


@lru_cache(maxsize=1)
def _expert(path: Path) -> Any:
    return load_part(path, SYNC_EXPERT)[0]


@lru_cache(maxsize=1)
def _original(path: Path) -> Any:
    return load_syncnet_v2(path)
