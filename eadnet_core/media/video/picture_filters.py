"""What becomes of a decoded picture before it is seen: whole frames, square pixels, SDR, RGB; alike in both backends.

Each step is one of FFmpeg's filters, as (name, arguments).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from ...errors import BadInput
from ..image import BACKGROUND, MAX_PIXELS
from .tone_map import KINDS

Filters = list[tuple[str, str]]

_SCALE = "flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
"""Without these flags FFmpeg's fast conversion darkens every picture by one level."""
MAX_ASPECT = 4
"""Pixels that are said to be this many times as wide as high, or more, are taken for square: no camera makes them."""
TO_YUV: Filters = [
    ("scale", "out_color_matrix=bt709:out_range=tv:flags=bicubic+accurate_rnd+full_chroma_int"),
    ("format", "yuv420p"),
    ("setparams", "colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"),
]
"""From RGB to what the encoder is given."""
TO_YUVA: Filters = [TO_YUV[0], ("format", "yuva444p10le"), TO_YUV[2]]
"""From RGBA, the same."""


@dataclass(frozen=True)
class Colours:
    """How a stream codes colour, in FFmpeg's names; "" where it does not say."""

    matrix: str = ""
    primaries: str = ""
    transfer: str = ""
    has_alpha: bool = False

    @property
    def is_wide(self) -> bool:
        """Whether BT.709 cannot show them as they are."""
        return self.transfer in KINDS or self.primaries == "bt2020"

    def note(self) -> str:
        """What is done about wide colours, after the name of the file; "" for others."""
        if self.transfer in KINDS:
            return f"is HDR ({KINDS[self.transfer]}); its pictures were tone-mapped to SDR (BT.709)."
        return "has the colours of BT.2020; they were brought into BT.709." if self.is_wide else ""


def square_width(width: int, aspect: Fraction) -> int:
    """Width in square pixels of a picture whose pixels are `aspect` times as wide as high; its height stays.

    >>> square_width(720, Fraction(16, 15)), square_width(108, Fraction(2)), square_width(640, Fraction(65535))
    (768, 216, 640)
    """
    is_likely = Fraction(1, MAX_ASPECT) <= aspect <= MAX_ASPECT
    return max(1, int(width * aspect + Fraction(1, 2))) if is_likely else width


def squared_note(size: tuple[int, int]) -> str:
    """What was done about pixels that are not square, after the name of the file."""
    return f"has pixels that are not square; its pictures are scaled to {size[0]} x {size[1]}."


def square_width_term() -> str:
    """The same as a term of the filter scale."""
    return rf"'if(between(sar\,1/{MAX_ASPECT}\,{MAX_ASPECT})\,max(1\,floor(iw*sar+0.5))\,iw)'"


def check_size(path: Path, size: tuple[int, int]) -> None:
    """Raises BadInput for pictures that are too large to hold."""
    if size[0] * size[1] > MAX_PIXELS:
        raise BadInput(
            f"Video '{path}' is too large ({size[0]} x {size[1]}; at most {MAX_PIXELS // 1_000_000} million pixels). "
            "Scale it down."
        )


def assumed_matrix(colours: Colours, size: tuple[int, int]) -> str:
    """The matrix to convert with where the stream names none: that of HD for HD, as players do (mpv, csputils.c).

    >>> assumed_matrix(Colours(), (1920, 1080)), assumed_matrix(Colours(), (720, 576))
    ('bt709', 'smpte170m')
    """
    if colours.matrix:
        return "auto"
    return "bt709" if size[0] >= 1280 or size[1] > 576 else "smpte170m"


def upright(matrix: tuple[int, ...]) -> Filters:
    """What turns a picture that is stored as a display matrix (nine integers, row by row) says, as ffmpeg does.

    >>> upright((0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30))
    [('transpose', 'clock')]
    """
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    if a == 0 and d == 0:
        if b > 0:
            return [("transpose", "cclock_flip" if c > 0 else "clock")]
        return [("transpose", "clock_flip" if c < 0 else "cclock")]
    flips = [("hflip", "")] if a < 0 else []
    return flips + ([("vflip", "")] if d < 0 else [])


def deinterlaced() -> Filters:
    """Frames that are flagged as interlaced made whole; the others pass."""
    return [("bwdif", "mode=send_frame:deint=interlaced")]


def to_rgb(colours: Colours, matrix: str, width: str, height: str, table: str | None) -> Filters:
    """Square pixels of 8-bit RGB, with alpha where there is some; `table` is the .cube file for wide colours."""
    scaled = ("scale", f"w={width}:h={height}:in_color_matrix={matrix}:{_SCALE}")
    last = [("format", "rgba" if colours.has_alpha else "rgb24")]
    if table is None:
        return [scaled, ("setsar", "1"), *last]
    return [scaled, ("setsar", "1"), ("format", "gbrp16le"), ("lut3d", f"file={table}"), ("scale", _SCALE), *last]


def escaped(path: Path) -> str:
    """A path inside a list of filters: twice unescaped, by the list and by the filter.

    >>> print(escaped(Path("a/it's 5:3.cube")))
    a/it\\\\\\'s 5\\\\:3.cube
    """
    once = re.sub(r"([\\':])", r"\\\1", path.as_posix())
    return re.sub(r"([\\'\[\],;])", r"\\\1", once)


def over_background(pixels: np.ndarray) -> np.ndarray:
    """RGB [H, W, 3] as it is, RGBA [H, W, 4] laid over BACKGROUND as `read_image` does; uint8."""
    if pixels.shape[-1] == 3:
        return pixels
    alpha = pixels[..., 3:].astype(np.float32) / 255.0
    return (pixels[..., :3] * alpha + np.array(BACKGROUND, np.float32) * (1.0 - alpha) + 0.5).astype(np.uint8)
