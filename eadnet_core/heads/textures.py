"""The pictures of the anatomy, made smaller and cleaner from public ones."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import BadInput
from ..paths import shown

if TYPE_CHECKING:
    from PIL.Image import Image

SKIN_PX = 1536
SKIN_BOTTOM_DM = 5.9
"""Below this height of the base mesh, in decimetres, skin is left out: collars cover it, and no body is shown."""
JPEG_QUALITY = 90
CLOTH_QUALITY = 88


def open_picture(path: Path, mode: str) -> Image:
    """A picture in one of Pillow's modes; raises BadInput for an unreadable one."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.convert(mode)
    except (OSError, ValueError, SyntaxError) as error:
        raise BadInput(
            f"'{shown(path)}' is no picture that can be read ({error}). Get it with `eadnet download heads`."
        ) from error


def shrink(path: Path, mode: str, size_px: int) -> Image:
    """A picture whose longer side is at most `size_px`."""
    from PIL.Image import Resampling

    image = open_picture(path, mode)
    image.thumbnail((size_px, size_px), Resampling.LANCZOS)
    return image


def strands(path: Path, size_px: int) -> Image:
    """Hair, brows or lashes without their colour: luminance of mean .25 (linear), less contrast, and alpha."""
    from PIL import Image

    pixels = np.asarray(shrink(path, "RGBA", size_px)).astype(np.float32)
    luminance = (pixels[..., :3] / 255.0) ** 2.2 @ np.array([0.3, 0.59, 0.11])
    alpha = pixels[..., 3] / 255.0
    mean = (luminance * alpha).sum() / max(alpha.sum(), 1e-6)
    even = np.clip((luminance / max(mean, 1e-4)) ** 0.62 * 0.25, 0, 1) ** (1 / 2.2)
    return Image.fromarray(np.stack([even * 255, pixels[..., 3]], -1).astype(np.uint8))


def teeth(path: Path) -> Image:
    """Teeth whose colour is spread into the black around them, so that no dark bleeds in where they are drawn small."""
    from PIL import Image
    from PIL.Image import Resampling
    from scipy.ndimage import distance_transform_edt

    pixels = np.asarray(open_picture(path, "RGBA").resize((1024, 1024), Resampling.BOX))
    is_empty = (pixels[..., 3] < 250) | (pixels[..., :3].max(2) < 40)
    nearest = distance_transform_edt(is_empty, return_distances=False, return_indices=True)
    spread = pixels[nearest[0], nearest[1]][..., :3]
    return Image.fromarray(spread).resize((512, 512), Resampling.BOX)


def skin_area(heights: np.ndarray, uv: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Where a skin's texture is seen, [SKIN_PX, SKIN_PX] bool.

    heights  [R] of the render vertices; uv [R, 2]; faces [F, 3]
    """
    from PIL import Image, ImageDraw, ImageFilter

    mask = Image.new("L", (SKIN_PX, SKIN_PX), 0)
    draw = ImageDraw.Draw(mask)
    for face in faces[heights[faces].min(1) > SKIN_BOTTOM_DM]:
        draw.polygon([(float(uv[k, 0] * SKIN_PX), float((1 - uv[k, 1]) * SKIN_PX)) for k in face], fill=255)
    return np.asarray(mask.filter(ImageFilter.MaxFilter(9))) > 0


def skin(path: Path, area: np.ndarray) -> Image:
    """A skin, its mean colour outside `area`."""
    from PIL import Image
    from PIL.Image import Resampling

    image = open_picture(path, "RGB").resize((SKIN_PX, SKIN_PX), Resampling.LANCZOS)
    compressed = BytesIO()
    image.save(compressed, "JPEG", quality=JPEG_QUALITY)
    with Image.open(compressed) as again:
        pixels = np.asarray(again).copy()
    pixels[~area] = pixels[area].reshape(-1, 3).mean(0)
    return Image.fromarray(pixels)


def mask(path: Path, size_px: int) -> Image:
    """A mask over a skin's texture."""
    from PIL.Image import Resampling

    return open_picture(path, "L").resize((size_px, size_px), Resampling.BOX)
