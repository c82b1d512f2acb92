"""How well `eadnet curate video` tells covered mouths from free ones, on clips of which the truth is known.

    python bench/covered_mouths.py --seed 1 --heads 40               the table
    python bench/covered_mouths.py --seed 1 --heads 6 --sheet a.jpg  what the clips look like
    python bench/covered_mouths.py --pictures FOLDER                 the same things before faces of pictures

Heads of the corpus (`eadnet download heads`) speak. Things are drawn before the mouth: microphones, hands, scarves,
and cups, of several sizes and colours. The truth is the share of the lips that they cover. Near misses touch no lip.
The threshold was chosen on seed 0.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from eadnet_core.corpus.clips import write_script
from eadnet_core.corpus.speech import SpeechBank
from eadnet_core.corpus.stage import open_stage
from eadnet_core.curation.stages.mouth import mouth_seen
from eadnet_core.curation.video_rules import VideoRules
from eadnet_core.media.face.crop import FaceCrop, crop
from eadnet_core.media.face.find import find_faces, geometry_of
from eadnet_core.media.face.landmark_masks import LIPS_OUTER
from eadnet_core.media.face.landmarks import read_landmarks

SIZE, N_FRAMES, STEP, FINER = 192, 8, 6, 3
LEAST, MOST = 0.5, 0.05
"""A mouth counts as covered from this share of the lips on, and as free up to that; between, either is right."""
CHEEK = 50


@dataclass(frozen=True)
class Mouth:
    """In pixels of a frame: middle of the lips, their width and outline [20, 2]; and the colour of the skin."""

    x: float
    y: float
    width: float
    outline: np.ndarray
    skin: np.ndarray

    def lips(self, size: int) -> np.ndarray:
        """[size, size] bool."""
        image = Image.new("1", (size, size))
        ImageDraw.Draw(image).polygon([tuple(map(float, point)) for point in self.outline], fill=1)
        return np.asarray(image)


class Pen:
    """Draws on a transparent picture that is `FINER` times larger, in pixels of the frame."""

    def __init__(self, size: int) -> None:
        self.image = Image.new("RGBA", (size * FINER, size * FINER))
        self.draw = ImageDraw.Draw(self.image)

    def ball(self, x: float, y: float, r: float, colour: np.ndarray) -> None:
        """Lit from the upper left."""
        for k in range(16):
            light = 0.65 + 0.6 * k / 15
            at = r * (1 - k / 16)
            self.oval(x - 0.35 * (r - at), y - 0.35 * (r - at), at, at, colour * light)

    def oval(self, x: float, y: float, rx: float, ry: float, colour: np.ndarray) -> None:
        self.draw.ellipse([v * FINER for v in (x - rx, y - ry, x + rx, y + ry)], fill=ink(colour))

    def bar(self, points: list[tuple[float, float]], width: float, colour: np.ndarray) -> None:
        """A line with round ends, lighter in its middle."""
        for share, light in ((1.0, 0.72), (0.8, 0.88), (0.5, 1.0)):
            fill, half = ink(colour * light), width * share / 2
            line = [(x * FINER, y * FINER) for x, y in points]
            self.draw.line(line, fill=fill, width=max(1, round(width * share * FINER)), joint="curve")
            for x, y in (points[0], points[-1]):
                self.draw.ellipse([v * FINER for v in (x - half, y - half, x + half, y + half)], fill=fill)

    def shape(self, points: list[tuple[float, float]], colour: np.ndarray) -> None:
        self.draw.polygon([(x * FINER, y * FINER) for x, y in points], fill=ink(colour))


def ink(colour: np.ndarray) -> tuple[int, ...]:
    return (*(int(v) for v in np.clip(colour, 0, 255)), 255)


Thing = Callable[[Pen, Mouth, np.random.Generator, int], None]
"""Draws something before a mouth in frame t; the generator begins anew with every frame of a clip."""


def microphone(size: float, below: float = 0.0) -> Thing:
    """A ball of a diameter in widths of the mouth on a stick, so much below it."""

    def draw(pen: Pen, mouth: Mouth, rng: np.random.Generator, t: int) -> None:
        colours = [(26, 26, 30), (60, 60, 66), (150, 152, 158), (170, 30, 34), (30, 60, 150), (190, 160, 40)]
        colour = np.array(colours[rng.integers(len(colours))], float)
        r, tilt = size * mouth.width / 2, rng.uniform(-0.5, 0.5)
        sway = 0.05 * mouth.width * np.sin(t / 3 + rng.uniform(0, 6))
        x, y = mouth.x + rng.uniform(-0.12, 0.12) * mouth.width + sway, mouth.y + below * mouth.width + sway
        reach = 3 * SIZE
        pen.bar([(x, y), (x + tilt * reach, y + reach)], 0.7 * r, np.array((44.0, 44, 48)))
        pen.ball(x, y, r, colour)
        if rng.random() < 0.5:  # a mesh
            for line in np.linspace(-0.8, 0.8, 9):
                half = r * np.sqrt(1 - line**2) * 0.95
                ends = [
                    ((x - half, y + line * r), (x + half, y + line * r)),
                    ((x + line * r, y - half), (x + line * r, y + half)),
                ]
                for one in ends:
                    pen.draw.line([(a * FINER, b * FINER) for a, b in one], fill=ink(colour * 0.7), width=FINER)

    return draw


def hand(size: float, aside: float = 0.0) -> Thing:
    """Four fingers of a width in widths of the mouth, from the side or from below; `aside`: so much beside it."""

    def draw(pen: Pen, mouth: Mouth, rng: np.random.Generator, t: int) -> None:
        skin = mouth.skin * rng.uniform(0.8, 1.15) * rng.uniform(0.96, 1.04, 3)
        side, angle = rng.choice((-1, 1)), rng.uniform(0.0, 1.4)
        away = np.array((side * np.cos(angle), np.sin(angle)))  # from the finger tips to the palm
        across = np.array((-away[1], away[0]))
        sway = 0.06 * mouth.width * np.sin(t / 2 + rng.uniform(0, 6))
        middle = np.array((mouth.x + side * aside * mouth.width, mouth.y + sway))
        width = size * mouth.width
        for finger in range(4):
            bent = 0.1 * width * np.sin(t / 4 + finger)
            tip = middle - away * (0.55 * mouth.width + bent - 0.12 * mouth.width * (finger in (1, 2)))
            tip = tip + across * (finger - 1.5) * width * 0.98
            knuckle = tip + away * (1.6 * mouth.width)
            shade = skin * (1 - 0.05 * finger)
            pen.bar([tuple(tip), tuple(knuckle)], width, shade)
            nail = tip + away * 0.1 * width
            pen.oval(nail[0], nail[1], 0.24 * width, 0.24 * width, skin * np.array((1.08, 1.0, 1.0)))
        palm = middle + away * 1.7 * mouth.width
        pen.oval(palm[0], palm[1], 2.1 * width, 2.1 * width, skin * 0.97)

    return draw


def scarf(top: float) -> Thing:
    """A cloth over all of the face below a line, so many widths of the mouth above its middle."""

    def draw(pen: Pen, mouth: Mouth, rng: np.random.Generator, t: int) -> None:
        colour, other = rng.uniform(20, 230, 3), rng.uniform(20, 230, 3)
        tilt, kind = rng.uniform(-0.1, 0.1), rng.integers(3)
        y = mouth.y - top * mouth.width
        edge = [(x, y + tilt * (x - mouth.x) + 0.05 * mouth.width * np.sin(x / 17 + 1)) for x in range(0, SIZE + 1, 4)]
        pen.shape([*edge, (SIZE, SIZE), (0, SIZE)], colour)
        for k in range(12):
            ys = y + (0.25 + 0.3 * k) * mouth.width
            if kind == 1:
                pen.bar([(0, ys), (SIZE, ys + 8 * np.sin(k))], 0.08 * mouth.width, other)
            elif kind == 2:
                pen.bar([(0, ys - 8), (mouth.x, ys + 6), (SIZE, ys - 10)], 0.04 * mouth.width, colour * 0.75)

    return draw


def cup(size: float) -> Thing:
    """A beaker of a width in widths of the mouth, its rim above the lips."""

    def draw(pen: Pen, mouth: Mouth, rng: np.random.Generator, t: int) -> None:
        colour, half = rng.uniform(60, 240, 3), size * mouth.width / 2
        x, y = mouth.x + rng.uniform(-0.1, 0.1) * mouth.width, mouth.y - 0.45 * mouth.width
        for k in np.linspace(-1, 1, 21)[:-1]:
            sides = [
                (x + s * half * f, z) for s, f, z in ((k, 1, y), (k + 0.1, 1, y), (k + 0.1, 0.8, SIZE), (k, 0.8, SIZE))
            ]
            pen.shape(sides, colour * (1.05 - 0.45 * abs(k + 0.2)))
        pen.oval(x, y, half, 0.25 * half, colour * 0.8)

    return draw


THINGS: dict[str, tuple[Thing | None, ...]] = {
    "nothing": (None,),
    "microphone": tuple(microphone(size) for size in (1.0, 1.3, 1.8)),
    "hand": tuple(hand(size) for size in (0.3, 0.4)),
    "scarf": tuple(scarf(top) for top in (0.4, 0.7)),
    "cup": (cup(1.4),),
    "microphone below": (microphone(1.0, 1.25),),
    "hand beside": (hand(0.3, 1.5),),
}


def mouth_of(frame: np.ndarray) -> Mouth | None:
    """Of a frame that nothing covers."""
    found = read_landmarks(frame, [FaceCrop(SIZE / 2, SIZE / 2, SIZE)])[0]
    if found.presence < 0.5:
        return None
    lips = found.xy[list(LIPS_OUTER)]
    x, y = np.clip(found.xy[CHEEK].astype(int), 3, SIZE - 4)
    skin = np.median(frame[y - 3 : y + 4, x - 3 : x + 4].reshape(-1, 3), axis=0)
    (x0, y0), (x1, y1) = lips.min(0), lips.max(0)
    return Mouth((x0 + x1) / 2, (y0 + y1) / 2, float(x1 - x0), lips, skin)


def shown(frame: np.ndarray, mouth: Mouth, thing: Thing | None, seed: int, t: int) -> tuple[np.ndarray, float]:
    """(the frame with something before its mouth, compressed, the share of the lips that it covers)."""
    image, share = Image.fromarray(frame), 0.0
    if thing is not None:
        pen = Pen(SIZE)
        thing(pen, mouth, np.random.default_rng(seed), t)
        layer = pen.image.reduce(FINER).filter(ImageFilter.GaussianBlur(0.6))
        image.paste(layer, (0, 0), layer)
        lips = mouth.lips(SIZE)
        share = float((np.asarray(layer)[..., 3][lips] > 127).mean())
    file = io.BytesIO()
    image.convert("RGB").save(file, "JPEG", quality=88)
    return np.asarray(Image.open(file)), share


def clips_of_heads(seed: int, n_heads: int) -> Iterator[tuple[int, np.ndarray, list[Mouth]]]:
    """(number, frames [T, SIZE, SIZE, 3], mouths) of heads that speak."""
    speech = SpeechBank(seed, 60, "train")
    for number in range(n_heads):
        script = write_script(70_000 * (seed + 1) + number, n_frames=N_FRAMES * STEP, split="train", speech=speech)
        frames, _ = open_stage(script.head_seed, SIZE).draw(script.states[::STEP])
        yield from _with_mouths(number, frames)


def clips_of_pictures(folder: Path) -> Iterator[tuple[int, np.ndarray, list[Mouth]]]:
    """The same of pictures; each stands still."""
    for number, path in enumerate(sorted(folder.iterdir())):
        try:
            picture = np.asarray(Image.open(path).convert("RGB"))
        except OSError:
            continue
        faces = find_faces(picture)
        if faces:
            frame = crop(picture, geometry_of(faces[0]), SIZE)
            yield from _with_mouths(number, np.stack([frame] * N_FRAMES))


def _with_mouths(number: int, frames: np.ndarray) -> Iterator[tuple[int, np.ndarray, list[Mouth]]]:
    mouths = [mouth_of(frame) for frame in frames]
    if all(mouths):
        yield number, frames, [mouth for mouth in mouths if mouth is not None]


def made(
    clips: Iterator[tuple[int, np.ndarray, list[Mouth]]], seed: int
) -> Iterator[tuple[str, int, np.ndarray, float]]:
    """(kind, number of the head, frames, share of the lips that is covered) of every clip."""
    for number, frames, mouths in clips:
        for kind, things in THINGS.items():
            for i, thing in enumerate(things):
                each = [
                    shown(f, m, thing, 1000 * seed + 10 * number + i, t)
                    for t, (f, m) in enumerate(zip(frames, mouths, strict=True))
                ]
                yield (
                    kind,
                    number,
                    np.stack([frame for frame, _ in each]),
                    float(np.median([share for _, share in each])),
                )


def table(found: list[tuple[str, float, bool]]) -> str:
    """Markdown of (kind, share covered, dropped), and precision and recall."""
    lines = ["| before the mouth | clips | covered | dropped | free | dropped |", "|---|---|---|---|---|---|"]
    for kind in THINGS:
        own = [(share, is_dropped) for name, share, is_dropped in found if name == kind]
        hidden = [is_dropped for share, is_dropped in own if share >= LEAST]
        free = [is_dropped for share, is_dropped in own if share <= MOST]
        lines.append(f"| {kind} | {len(own)} | {len(hidden)} | {sum(hidden)} | {len(free)} | {sum(free)} |")
    hits = sum(is_dropped for _, share, is_dropped in found if share >= LEAST)
    n_hidden = sum(share >= LEAST for _, share, _ in found)
    wrong = sum(is_dropped for _, share, is_dropped in found if share <= MOST)
    precision, recall = hits / max(1, hits + wrong), hits / max(1, n_hidden)
    return "\n".join([*lines, f"precision {precision:.3f}, recall {recall:.3f}"])


def main() -> None:
    """Make clips, ask, compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--heads", type=int, default=40)
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="of faces, in place of heads")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="draw the first frame of every clip")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured of every clip")
    args = parser.parse_args()
    clips = clips_of_pictures(args.pictures) if args.pictures else clips_of_heads(args.seed, args.heads)
    found, rows, tiles = [], [], []
    for kind, number, frames, share in made(clips, args.seed):
        measured = mouth_seen(frames)
        found.append((kind, share, measured < VideoRules().least_mouth))
        rows.append({"kind": kind, "head": number, "share": round(share, 3), "mouth": round(measured, 4)})
        tiles.append(frames[0])
    print(table(found))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")
    if args.sheet:
        n = sum(len(things) for things in THINGS.values())
        sheet = [np.concatenate(tiles[i : i + n], axis=1) for i in range(0, len(tiles) - n + 1, n)]
        Image.fromarray(np.concatenate(sheet)).save(args.sheet, quality=90)


if __name__ == "__main__":
    main()
