"""What `eadnet curate video` makes of 200 inputs of which the truth is known: clips of many kinds, and hostile files.

    python bench/curate_videos.py make FOLDER --n 200 --video REAL.mp4     writes the videos and truth.json
    python bench/curate_videos.py judge FOLDER OUTPUT                      compares a curation with the truth

Heads of the corpus (`eadnet download heads`) speak for two seconds on a backdrop. Each kind spoils them in one way. A
kind that is not spoiled has to stay, whoever it is; every other has to be dropped for the reason that it is named by.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from eadnet_core.corpus.clips import film, write_script
from eadnet_core.corpus.speech import SpeechBank
from eadnet_core.curation.manifest import read_rows
from eadnet_core.curation.video_rules import COVERED
from eadnet_core.media.sound.audio import read_audio
from eadnet_core.media.video.files import write_video

N_FRAMES, HEAD_PX, WIDTH, HEIGHT = 50, 160, 320, 240
KINDS = {
    "good": 60, "shifted": 12, "duplicate": 10, "out_of_sync": 12, "offset_too_large": 6, "blurred": 10, "no_face": 10,
    "several_faces": 10, "small_face": 10, "unsteady": 10, "face_lost": 6, "short_scene": 8, "no_sound": 10,
    "hand": 5, "microphone": 5, "broken": 15,
}  # fmt: skip
"""How many of each kind are among 200; a real video comes on top where one is given."""
STAYS = ("good", "shifted")
IN_FRONT = ("hand", "microphone")
"""Before the mouth; both have to be dropped as `COVERED`."""
Frames = list[np.ndarray]


class Maker:
    """Frames and sound of every kind, from heads that are drawn once."""

    def __init__(self, folder: Path, seed: int, n_heads: int) -> None:
        self.folder, self.rng = folder, np.random.default_rng(seed)
        self.truth: dict[str, dict[str, object]] = {}
        speech = SpeechBank(seed, 60, "train")
        self.heads = []
        for number in range(n_heads):
            # two clips of each head, with another voice, emotion and backdrop
            script = write_script(
                1000 * seed + number,
                n_frames=N_FRAMES,
                split="train",
                speech=speech,
                identity_seed=seed * 97 + number // 2,
            )
            made = film(script, HEAD_PX)
            self.heads.append((made.frames, script.samples, script.head_seed))
        self.n_taken: Counter[str] = Counter()

    def backdrop(self) -> Image.Image:
        """A blurred noise in a colour of its own."""
        low = self.rng.integers(60, 160, (6, 8, 3), dtype=np.uint8)
        return Image.fromarray(low).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)

    def laid(self, frames: np.ndarray, place: Callable[[int], tuple[float, float, int]], n: int = 1) -> Frames:
        """Heads on a backdrop, at x, y and side in pixels of each frame; `n` of them side by side."""
        backdrop, shown = self.backdrop(), []
        for t, frame in enumerate(frames):
            picture = backdrop.copy()
            x, y, side = place(t)
            for i in range(n):
                picture.paste(Image.fromarray(frame).resize((side, side)), (round(x) + i * side, round(y)))
            shown.append(np.asarray(picture))
        return shown

    def make(self, kind: str, number: int) -> tuple[Frames, np.ndarray | None, int]:
        """(frames, sound, who) of one video."""
        head = self.n_taken["all"] % len(self.heads)
        self.n_taken["all"] += 1
        frames, sound, who = self.heads[head]
        x0, y0, side = self.rng.uniform(10, 120), self.rng.uniform(4, 40), int(self.rng.integers(176, 192))
        drift, dark = self.rng.uniform(-10, 10), self.rng.uniform(0.85, 1.0)

        def place(t: int) -> tuple[float, float, int]:
            return x0 + drift * t / N_FRAMES, y0, side

        n = 1
        if kind in STAYS or kind == "duplicate":
            frames = (frames * dark).astype(np.uint8)
            frames = frames[:, :, ::-1] if number % 3 == 2 else frames
        if kind == "several_faces":
            x0, side, drift, n = 5, 150, 0, 2
        elif kind == "small_face":
            side = 80
        elif kind == "unsteady":
            jumps = self.rng.uniform(-28, 28, (N_FRAMES, 2))
            return self.laid(frames, lambda t: (90 + jumps[t, 0], 30 + jumps[t, 1], side)), sound, who
        elif kind == "no_face":
            return self.laid(frames, place, 0), sound, who
        elif kind == "face_lost":
            away = (np.arange(N_FRAMES) > 30)[:, None, None, None]
            frames = np.where(away, self.rng.integers(0, 255, frames.shape, dtype=np.uint8), frames)
        elif kind == "short_scene":
            frames, sound = frames[:20], sound[: 20 * 640]
        shown = self.laid(frames, place, n)
        if kind == "blurred":
            shown = [np.asarray(Image.fromarray(one).filter(ImageFilter.GaussianBlur(4))) for one in shown]
        elif kind in IN_FRONT:
            shown = [covered(one, kind, place(t), t, self.rng.uniform(-1, 1)) for t, one in enumerate(shown)]
        elif kind == "out_of_sync":
            sound = self.heads[(head + len(self.heads) // 2) % len(self.heads)][1]
        elif kind in ("shifted", "offset_too_large"):
            by = 3 if kind == "shifted" else 11
            sound = np.roll(sound, (by if number % 2 else -by) * 640)
        elif kind == "no_sound":
            sound = None if number % 2 else np.zeros_like(sound)
        return shown, sound, who

    def write(self, n: int) -> None:
        """All videos, of every kind as many as its share."""
        for kind, of_200 in KINDS.items():
            for number in range(max(1, round(of_200 * n / 200))):
                name = f"{kind}_{number:03d}.mp4"
                path = self.folder / name
                if kind == "broken":
                    path.write_bytes(hostile(number, self.folder / "good_000.mp4"))
                    self.truth[name] = {"kind": kind}
                elif kind == "duplicate":
                    first = f"good_{number:03d}.mp4"
                    recompress(self.folder / first, path)
                    self.truth[name] = {**self.truth[first], "kind": kind}
                else:
                    frames, sound, who = self.make(kind, number)
                    audio = None if sound is None else read_audio(sound, 16_000)
                    write_video(path, frames, audio=audio)
                    head = (self.n_taken["all"] - 1) % len(self.heads)
                    is_mirrored = kind in STAYS and number % 3 == 2
                    self.truth[name] = {"kind": kind, "who": int(who), "clip": [head, is_mirrored]}


def covered(picture: np.ndarray, kind: str, place: tuple[float, float, int], t: int, jitter: float) -> np.ndarray:
    """A hand or a microphone before the mouth of a head at x, y and side."""
    x, y, side = place
    image = Image.fromarray(picture).convert("RGB")
    draw = ImageDraw.Draw(image)
    mouth_x, mouth_y, r = x + side / 2, y + side * 0.68 + 2 * jitter, side * 0.13
    if kind == "microphone":
        draw.ellipse((mouth_x - r, mouth_y - r, mouth_x + r, mouth_y + r), fill=(28, 28, 32))
        draw.rectangle((mouth_x - r / 3, mouth_y + r, mouth_x + r / 3, y + side), fill=(44, 44, 48))
    else:
        skin = tuple(int(v) for v in picture[int(y + side * 0.4), int(x + side * 0.5)])
        for finger in range(4):
            at = mouth_x - 1.5 * r + finger * r + 2 * np.sin(t / 6)
            shade = tuple(max(0, int(v * (0.95 - 0.06 * finger))) for v in skin)
            draw.rounded_rectangle((at - r / 2, mouth_y - r, at + r / 2, y + side), r / 2, fill=shade)
    return np.asarray(image)


def hostile(number: int, good: Path) -> bytes:
    """What calls itself a video and is none, or only the beginning of one."""
    whole = good.read_bytes()
    kinds = (
        b"", b"this is no video\n" * 40, whole[:900], whole[: len(whole) // 3],
        np.random.default_rng(number).bytes(5000), whole[:32], b"\x00" * 4096, b"PK\x03\x04" + bytes(200),
        b"\x89PNG\r\n\x1a\n" + bytes(300), b"RIFF\xff\xff\xff\x7fAVI ", b"\x1aE\xdf\xa3" + bytes(64),
        whole[::-1], b"ftyp" * 500, b"\xff\xd8\xff\xe0" + bytes(128), whole[4000:],
    )  # fmt: skip
    return kinds[number % len(kinds)]


def recompress(source: Path, target: Path) -> None:
    """The same, a little smaller and lighter, compressed again."""
    from eadnet_core.media.video.files import read_video

    video = read_video(source)
    shown = []
    for frame in video:
        small = Image.fromarray(frame).resize((WIDTH - 16, HEIGHT - 12))
        shown.append(np.clip(np.asarray(small) * 1.04, 0, 255).astype(np.uint8))
    write_video(target, shown, audio=video.audio())


def judged(truth: dict[str, dict[str, Any]], rows: list[dict]) -> Iterator[tuple[str, int, int, dict[str, int]]]:
    """(kind, videos, videos as they should be, reasons found) of each kind.

    A video that is not spoiled, or repeats another, is as it should be where one of those with the same frames stays.
    """
    found = defaultdict(list)
    for row in rows:
        reason = row["reason"] or "kept"
        if reason == "duplicate":
            first = truth.get(row["same_as"].rpartition(":")[0], {})
            reason = "repeats another" if first.get("clip") == truth[row["video"]].get("clip") else "looks like another"
        found[row["video"]].append(reason)
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    right: Counter[str] = Counter()
    for name, said in truth.items():
        kind = said["kind"]
        reasons = found.get(name, ["nothing"])
        kinds[kind].update({reasons[0]: 1})
        may_stay = kind in STAYS or kind == "duplicate"
        wanted = COVERED if kind in IN_FRONT else kind
        right[kind] += reasons[0] in ("kept", "repeats another") if may_stay else reasons[0] == wanted
    for kind, reasons in kinds.items():
        yield kind, sum(reasons.values()), right[kind], dict(reasons.most_common())


def main() -> None:
    """Make, or judge."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("make", "judge"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path, nargs="?")
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--heads", type=int, default=40, help="clips that are drawn; two of each person")
    parser.add_argument("--video", type=Path, help="a real video that comes beside")
    args = parser.parse_args()
    if args.what == "make":
        args.folder.mkdir(parents=True)
        maker = Maker(args.folder, args.seed, args.heads)
        maker.write(args.n)
        if args.video:
            (args.folder / "real.mp4").write_bytes(args.video.read_bytes())
        with tempfile.NamedTemporaryFile("w", delete=False, dir=args.folder) as file:
            json.dump(maker.truth, file, indent=1)
        Path(file.name).replace(args.folder / "truth.json")
        return
    truth = json.loads((args.folder / "truth.json").read_text())
    print("| kind | videos | as it should be | what was said |\n|---|---|---|---|")
    for kind, n, right, reasons in judged(truth, read_rows(args.output / "manifest.parquet")):
        print(f"| {kind} | {n} | {right} | {', '.join(f'{name} {count}' for name, count in reasons.items())} |")


if __name__ == "__main__":
    main()
