"""Pictures in: any file or array a user may have becomes RGB pixels, or a clear error."""

from __future__ import annotations

import io
import logging
import os
import stat
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from ..errors import BadInput
from ..paths import check_source, shown

logger = logging.getLogger(__name__)

BACKGROUND = (128, 128, 128)
"""Transparent pixels are composited over this middle grey."""
MAX_PIXELS = 150_000_000
"""Larger pictures are refused before they are decoded; 8K is 33 million."""
_WANTED = "Give a picture such as a PNG or JPEG file."


def read_image(source: str | os.PathLike[str] | np.ndarray | torch.Tensor) -> np.ndarray:
    """Read a picture, upright and in sRGB.

    source   a path, or pixels [H, W], [H, W, 1 | 3 | 4] or [1, H, W, 3]: uint8, uint16, or float 0 .. 1
    returns  uint8 [H, W, 3]; EXIF rotation applied, alpha composited over BACKGROUND, CMYK and embedded colour
             profiles converted to sRGB, 16 bits scaled to 8, the first picture of an animation
    Raises BadInput for whatever is missing, empty, truncated, too large, or not a picture.
    """
    if isinstance(source, torch.Tensor):
        source = source.detach().cpu().numpy()
    if isinstance(source, np.ndarray):
        return _from_array(source)
    path = check_source(source, "Picture")
    _check_file(path)
    return _decoded(path, path)


def called(source: object) -> str:
    """How a portrait is called in an error: by its file, where it is one.

    >>> called("people/anna.png"), called(np.zeros((64, 64, 3)))
    ('anna.png', 'portrait')
    """
    return shown(Path(source).name) if isinstance(source, (str, os.PathLike)) else "portrait"


def decode_image(content: bytes, name: str) -> np.ndarray:
    """`read_image` of the content of a file, such as a member of a shard; `name` is what errors call it."""
    if not content:
        raise BadInput(f"Picture '{name}' is empty (0 bytes). {_WANTED}")
    return _decoded(io.BytesIO(content), Path(name))


def fitted(picture: np.ndarray, longest_px: int) -> np.ndarray:
    """A picture no longer than that, with sides that video can hold: even numbers of pixels.

    >>> fitted(np.zeros((1001, 500, 3), np.uint8), 512).shape
    (512, 256, 3)
    """
    height, width = picture.shape[:2]
    scale = min(1.0, longest_px / max(height, width))
    size = (max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2))
    if scale == 1.0:
        return picture[: height - height % 2, : width - width % 2]
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def image_size(content: bytes) -> tuple[int, int] | None:
    """(width, height) as the head of a file says, before EXIF turns it; None where it is no picture."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content)) as picture:
                return picture.size
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError):
        return None


def _decoded(source: Path | io.BytesIO, path: Path) -> np.ndarray:
    try:
        return _decode(source, path)
    except UnidentifiedImageError as error:
        more = "HEIC, JPEG XL, SVG and raw photographs have to be saved as one first."
        raise BadInput(f"'{path}' is not a picture in a known format. {_WANTED} {more}") from error
    except Image.DecompressionBombError as error:
        raise BadInput(_too_large(path, str(error))) from error
    except PermissionError as error:
        raise BadInput(f"Picture '{path}' cannot be opened: {error.strerror}. Check its permissions.") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"Picture '{path}' is damaged or cut off ({error}). Save or download it again.") from error


def _check_file(path: Path) -> None:
    try:
        found = path.stat()
    except FileNotFoundError as error:
        raise BadInput(f"Picture '{path}' does not exist. {_WANTED}") from error
    except (OSError, ValueError) as error:  # a name that is too long, or holds a zero
        reason = getattr(error, "strerror", None) or error
        raise BadInput(f"Picture '{path}' cannot be opened ({reason}). {_WANTED}") from error
    if stat.S_ISDIR(found.st_mode):
        raise BadInput(f"Picture '{path}' is a folder. {_WANTED}")
    if found.st_size == 0:
        raise BadInput(f"Picture '{path}' is empty (0 bytes). {_WANTED}")


def _too_large(path: Path, size: str) -> str:
    return f"Picture '{path}' is too large ({size}; at most {MAX_PIXELS // 1_000_000} million pixels). Scale it down."


def _decode(source: Path | io.BytesIO, path: Path) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        picture: Image.Image = Image.open(source)
    with picture:
        if picture.width * picture.height > MAX_PIXELS:
            raise BadInput(_too_large(path, f"{picture.width} x {picture.height}"))
        if getattr(picture, "n_frames", 1) > 1:
            logger.info("Picture '%s' is an animation; its first frame is used", path)
        picture.load()
        upright = ImageOps.exif_transpose(picture)
        if upright.mode.startswith(("I", "F")):
            return _from_array(_unsigned(np.asarray(upright), path))
        transparent = upright.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in upright.info
        if transparent:
            colours = upright.convert("RGBA")
            canvas = Image.new("RGBA", colours.size, (*BACKGROUND, 255))
            upright_rgb = Image.alpha_composite(canvas, colours).convert("RGB")
        else:
            upright_rgb = upright
        return np.array(_to_srgb(upright_rgb, picture.info.get("icc_profile"), path))


def _unsigned(values: np.ndarray, path: Path) -> np.ndarray:
    """Deep grey values as uint16 or float 0 .. 1."""
    if np.issubdtype(values.dtype, np.floating):
        if not np.isfinite(values).all() or values.min(initial=0.0) < 0 or values.max(initial=0.0) > 255:
            raise BadInput(f"Picture '{path}' holds NaN or brightness outside 0 .. 255. Save it with 8 or 16 bits.")
        return values / 255.0 if values.max(initial=0.0) > 1.0 else values
    if values.min(initial=0) < 0 or values.max(initial=0) > 65535:
        raise BadInput(f"Picture '{path}' has more than 16 bits per pixel. Save it with 8 or 16 bits.")
    return values.astype(np.uint16)


def _to_srgb(picture: Image.Image, profile: bytes | None, path: Path) -> Image.Image:
    """RGB pixels; an embedded profile is honoured where it fits the picture's mode."""
    if profile and picture.mode in ("RGB", "CMYK", "L"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            target = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(picture, source, target, outputMode="RGB")
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError) as error:
            logger.info("Picture '%s': its colour profile cannot be used (%s)", path, error)
    return picture.convert("RGB")


def _from_array(array: np.ndarray) -> np.ndarray:
    pixels = array[0] if array.ndim == 4 and len(array) == 1 else array
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4) or pixels.size == 0:
        raise BadInput(f"The picture array has shape {tuple(array.shape)}; give [H, W, 3].")
    if pixels.dtype == np.uint8:
        colours = pixels
    elif pixels.dtype == np.uint16:
        colours = ((pixels.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    elif np.issubdtype(pixels.dtype, np.floating):
        if not np.isfinite(pixels).all() or pixels.min() < -1e-3 or pixels.max() > 1 + 1e-3:
            raise BadInput(
                "The picture array holds NaN or values outside 0 .. 1. Scale floats to 0 .. 1, or give uint8."
            )
        colours = (np.clip(pixels, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    else:
        raise BadInput(f"The picture array is {pixels.dtype}; give uint8, uint16, or float 0 .. 1.")
    if colours.shape[2] == 4:
        alpha = colours[..., 3:].astype(np.float32) / 255.0
        colours = (colours[..., :3] * alpha + np.array(BACKGROUND, np.float32) * (1 - alpha) + 0.5).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(colours, (*colours.shape[:2], 3)))
