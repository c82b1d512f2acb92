"""Pictures as nets take them: values, shapes, and the order in memory that decides a net's last bits."""

from __future__ import annotations

import numpy as np
import torch

from eadnet_core.media.pixels import to_pixels, to_unit

PIXELS = np.arange(256, dtype=np.uint8).reshape(1, 8, 32, 1).repeat(3, 3)


def test_every_level_comes_back() -> None:
    unit = to_unit(PIXELS)
    assert unit.shape == (1, 3, 8, 32) and (unit.min(), unit.max()) == (-1, 1)
    assert np.array_equal(to_pixels(unit), PIXELS)


def test_every_level_is_latentsyncs_to_the_bit() -> None:
    theirs = (torch.from_numpy(PIXELS).permute(0, 3, 1, 2).contiguous() / 255.0 - 0.5) / 0.5
    assert torch.equal(to_unit(PIXELS), theirs)


def test_the_order_in_memory_stays_and_the_pixels_too() -> None:
    turned = np.ascontiguousarray(PIXELS.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3)
    assert to_unit(PIXELS).stride()[1:] == (1, 96, 3)
    assert to_unit(turned).stride()[1:] == (1, 3, 24)
    locked = PIXELS.copy()
    locked.flags.writeable = False
    assert torch.equal(to_unit(locked), to_unit(turned)) and np.array_equal(locked, PIXELS)
