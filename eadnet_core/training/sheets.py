"""Pictures of what a network can do so far, drawn while it trains."""

from __future__ import annotations

from pathlib import Path

from einops import rearrange
from torch import Tensor

from ..media.pixels import to_pixels


def save_sheet(rows: Tensor, path: Path) -> None:
    """Write pictures [R, N, 3, H, W] in -1 .. 1 as a PNG of R rows and N columns."""
    from PIL import Image

    Image.fromarray(rearrange(to_pixels(rows.float()), "r n h w c -> (r h) (n w) c")).save(path)
