"""Pictures of what a network can do so far, drawn while it trains."""

from __future__ import annotations

from pathlib import Path

from einops import rearrange
from torch import Tensor


def save_sheet(rows: Tensor, path: Path) -> None:
    """Write pictures [R, N, 3, H, W] in -1 .. 1 as a PNG of R rows and N columns."""
    from PIL import Image

    pixels = rearrange(rows.float().clamp(-1, 1), "r n c h w -> (r h) (n w) c")
    Image.fromarray(((pixels + 1) * 127.5).round().byte().cpu().numpy()).save(path)
