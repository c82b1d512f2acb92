"""How finished videos are encoded, whichever backend writes them."""

from __future__ import annotations

import os
from typing import Final

CODEC: Final = "libx264"
PICTURE_OPTIONS = {"crf": "15", "preset": "superfast", "x264-params": "mbtree=1:rc-lookahead=10"}
"""With the tree, which saves half of what still backgrounds take, a third less time than veryfast, a quarter larger."""
PART_OPTIONS = {"bf": "0"}
"""Frames that refer to later ones are decoded before they are shown: where parts meet, that order would overlap."""
ALPHA_CODEC, ALPHA_OPTIONS = "prores_ks", {"profile": "4444", "vendor": "apl0"}
"""ProRes 4444: what programs for compositing read, every frame on its own."""
ALPHA_SUFFIXES = (".mov",)
"""Of files that can hold an alpha."""
MOST_THREADS = 4
"""x264 takes three threads for two cores, and each holds pictures: at 1080p 24 threads took 540 MB, 4 take 230."""
MP4_FLAGS = "use_metadata_tags+faststart"
SOUND_CODEC: Final = "aac"
SOUND_BITS_PER_S = 192_000
SOUND_RATES_HZ = (7350, 8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000)
"""What AAC knows (ISO/IEC 14496-3, table 1.18)."""


def encoder_threads() -> int:
    """How many threads encode pictures on this machine."""
    return min(MOST_THREADS, max(1, 3 * (os.cpu_count() or 1) // 2))
