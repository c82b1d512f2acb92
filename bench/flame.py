"""A flame graph from stacks that py-spy recorded, as a picture: width is time, what is called lies above its caller.

    py-spy record -r 50 -f raw -o stacks.txt -- python -m eadnet_core generate --portrait P --audio A --output O
    python bench/flame.py stacks.txt docs/images/flame.png

Shown are the project's functions and the library's that computes; imports are one box, waiting is left out.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WIDTH, ROW, LEAST = 1600, 24, 0.004
"""Pixels of the picture's width and of a row; share of time below which a box is left out."""
WAITING = ("Condition.wait", "Event.wait", "Popen")
COLOURS = {
    "families": "#f2a65a",
    "generation": "#f7d070",
    "media": "#8fc1a9",
    "nets": "#e07a5f",
    "sampling": "#81a4cd",
    "torch": "#d4d4d4",
}
OTHER = "#e6e0d4"
_FRAME = re.compile(r"(?P<name>.+) \((?P<file>.+?)(?::\d+)?\)$")


@dataclass
class Box:
    """A function, how many samples found it running, and what it had called."""

    label: str
    colour: str
    n: int = 0
    called: dict[str, Box] = field(default_factory=dict)

    def depth(self, least: float) -> int:
        """Rows of what is wide enough to be seen."""
        return 1 + max((box.depth(least) for box in self.called.values() if box.n >= least), default=0)


def main() -> None:
    """Read stacks, draw them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stacks", type=Path, help="what py-spy wrote with -f raw")
    parser.add_argument("picture", type=Path, help="PNG to write")
    args = parser.parse_args()
    root = Box("all", OTHER)
    for line in args.stacks.read_text(encoding="utf-8").splitlines():
        stack, _, n = line.rpartition(" ")
        if stack and not any(word in stack.rpartition(";")[2] for word in WAITING):
            add(root, shown(stack.split(";")), int(n))
    least = LEAST * root.n
    height = ROW * root.depth(least)
    picture = Image.new("RGB", (WIDTH, height), "white")
    draw(ImageDraw.Draw(picture), root, (0, height - ROW), WIDTH / root.n, least)
    picture.quantize(64).save(args.picture, optimize=True)
    print(f"{root.n} samples, {args.picture}: {args.picture.stat().st_size} bytes")


def shown(frames: list[str]) -> list[tuple[str, str]]:
    """(label, colour) of those frames of a stack that are drawn."""
    found: list[tuple[str, str]] = []
    for index, frame in enumerate(frames):
        match = _FRAME.match(frame)
        if match is None:
            continue
        name, file = match["name"].replace(".<locals>", ""), match["file"]
        if "importlib" in file:
            return [*found, ("import", OTHER)]
        package = file.partition("eadnet_core/")[2].partition("/")[0]
        if package:
            found.append((f"{name}  {file.partition('eadnet_core/')[2]}", COLOURS.get(package, OTHER)))
        elif index == len(frames) - 1:
            found.append((f"{name}  {file}", COLOURS["torch"]))
    return [frame for frame, before in zip(found, [None, *found], strict=False) if frame != before]


def add(box: Box, frames: list[tuple[str, str]], n: int) -> None:
    """Count a stack's samples in every function of it."""
    box.n += n
    for label, colour in frames:
        box = box.called.setdefault(label, Box(label, colour))
        box.n += n


def draw(canvas: ImageDraw.ImageDraw, box: Box, at: tuple[float, int], scale: float, least: float) -> None:
    """A box at its left and upper pixel, and what it called above it, the widest first."""
    (x, y), width = at, box.n * scale
    canvas.rectangle((x, y, x + width - 1, y + ROW - 2), fill=box.colour)
    font = ImageFont.load_default(13)
    text = f"{box.label}  {box.n * scale / WIDTH:.0%}"
    while text and canvas.textlength(text, font) > width - 8:
        text = text[:-1]
    if len(text) > 3:
        canvas.text((x + 4, y + 3), text, "black", font)
    for called in sorted(box.called.values(), key=lambda b: -b.n):
        if called.n >= least:
            draw(canvas, called, (x, y - ROW), scale, least)
            x += called.n * scale


if __name__ == "__main__":
    main()
