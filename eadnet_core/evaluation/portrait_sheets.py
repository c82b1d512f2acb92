"""Contact sheets of evaluated portraits: every clip as a strip of faces, and all portraits in all emotions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ..metrics.face_geometry import OVAL
from ..metrics.judging import cut_square
from ..metrics.portrait import Still

FACE_PX = 176
STRIP_FRAMES = 6
HEAD = 1.7
"""Side of what is shown, over that of the face's oval."""
_LINE_PX = 16


def strip_picture(still: Still, frames: Sequence[np.ndarray]) -> Image.Image:
    """The portrait's face, then up to STRIP_FRAMES frames in the same place, side by side."""
    oval = still.points[list(OVAL), :2]
    centre, side = (oval.min(0) + oval.max(0)) / 2, float(np.ptp(oval, axis=0).max()) * HEAD
    picked = [frames[int(i)] for i in np.linspace(0, len(frames) - 1, min(len(frames), STRIP_FRAMES))]
    faces = [cut_square(picture, centre, side, 0.0, FACE_PX) for picture in (still.picture, *picked)]
    return Image.fromarray(np.concatenate(faces, axis=1))


def draw_sheets(output: Path, emotions: Sequence[str], portraits: Sequence[str]) -> None:
    """Write OUTPUT/sheets: one of strips for each portrait, and overview.jpg with a middle frame of every clip."""
    folder = output / "sheets"
    folder.mkdir(exist_ok=True)
    overview = []
    for name in dict.fromkeys(portraits):
        paths = {label: output / "clips" / name / f"{label}.jpg" for label in emotions}
        strips = {label: Image.open(path) for label, path in paths.items() if path.is_file()}
        _labelled(list(strips.items())).save(folder / f"{name}.jpg", quality=90)
        row = Image.new("RGB", (FACE_PX * (1 + len(emotions)), FACE_PX), "white")
        for column, label in enumerate(emotions):
            if strip := strips.get(label):
                middle = (strip.width // FACE_PX) // 2 * FACE_PX
                row.paste(strip.crop((0, 0, FACE_PX, FACE_PX)), (0, 0))
                row.paste(strip.crop((middle, 0, middle + FACE_PX, FACE_PX)), ((column + 1) * FACE_PX, 0))
        overview.append((f"{name}: {', '.join(('portrait', *emotions))}", row))
    _labelled(overview).save(folder / "overview.jpg", quality=90)


def _labelled(rows: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """Pictures below one another, each under its name."""
    height = sum(picture.height + _LINE_PX for _, picture in rows)
    sheet = Image.new("RGB", (max(picture.width for _, picture in rows), height), "white")
    pen, y = ImageDraw.Draw(sheet), 0
    for name, picture in rows:
        pen.text((4, y + 2), name, fill="black")
        sheet.paste(picture, (0, y + _LINE_PX))
        y += picture.height + _LINE_PX
    return sheet
