"""Pictures that look the same, found by a perceptual hash: enlarged, compressed again, a little lighter.

The hash is that of the package imagehash (`imagehash.phash`, 64 bits, to the bit; a test compares them): the lowest
8 x 8 cosine terms of the grey picture at 32 x 32, each above their median or not. It is these few lines, and imagehash
would bring PyWavelets.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from PIL import Image
from scipy.fft import dct

DUPLICATE = "duplicate"
"""The reason of what looks like something earlier."""
BITS, SAME_BITS = 64, 4
"""Two pictures are the same up to so many different bits; unrelated pictures differ in about 32."""
_SIDE, _LOW = 32, 8
_BANDS = tuple((BITS * i // (SAME_BITS + 1), BITS * (i + 1) // (SAME_BITS + 1)) for i in range(SAME_BITS + 1))
"""Of hashes that differ in at most SAME_BITS bits, one of so many bands is equal."""


def perceptual_hash(image: np.ndarray) -> int:
    """The hash of a picture, uint8 [H, W, 3]: 64 bits, the first in the highest place.

    >>> hex(perceptual_hash(np.zeros((40, 60, 3), np.uint8)))
    '0x0'
    """
    grey = Image.fromarray(image).convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    low = dct(dct(np.asarray(grey, np.float64), axis=0), axis=1)[:_LOW, :_LOW]
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


class Seen:
    """Hashes that were met, and which of them a new one is the same as."""

    def __init__(self) -> None:
        self._hashes: list[tuple[int, str]] = []
        self._bands: dict[tuple[int, int], list[int]] = defaultdict(list)

    def first_like(self, value: int, name: str) -> str | None:
        """The name of the first picture that looks the same; None where this is new, which is then remembered.

        >>> seen = Seen()
        >>> seen.first_like(0b1111, "a"), seen.first_like(0b1, "b"), seen.first_like(2**63 - 1, "c")
        (None, 'a', None)
        """
        bands = [(i, value >> start & ((1 << stop - start) - 1)) for i, (start, stop) in enumerate(_BANDS)]
        for place in sorted({place for band in bands for place in self._bands.get(band, ())}):
            other, other_name = self._hashes[place]
            if (other ^ value).bit_count() <= SAME_BITS:
                return other_name
        for band in bands:
            self._bands[band].append(len(self._hashes))
        self._hashes.append((value, name))
        return None


def settled(row: dict[str, Any], seen: Seen | None, name: str, n_kept: int) -> None:
    """Say in a row, unless it has a reason to be dropped, that it looks like an earlier one, or its key in the shards.

    row     with "reason" and, where that is empty, "hash" in hexadecimal digits
    seen    None where duplicates are kept
    name    of the row, for those that look like it
    n_kept  rows that were kept before it
    """
    if not row["reason"] and seen is not None and (same := seen.first_like(int(row["hash"], 16), name)):
        row.update(reason=DUPLICATE, same_as=same)
    if not row["reason"]:
        row["shard_key"] = f"{n_kept:09d}"
