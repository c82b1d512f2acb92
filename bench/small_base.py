"""Measures the chain 'the mini performs, a base speaks', and a base's adapters, on held-out clips that ship.

Every way of making a clip gets the portrait, the sound and an artist's words of the same held-out clips. Mouth
correlation is with the exact lip gap; LSE-C is read by the scoring SyncNet, which trained none of these; emotion is
read as generation reads portraits. Beside them stand the true clip, and the true clip through the base's autoencoder.
Seconds are told beside the forecast of the same clip, made just before.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from eadnet_core import GenerateOptions, load_model, prepare
from eadnet_core.evaluation.heldout import Clip, draw_cases
from eadnet_core.evaluation.shipped import SEED, read_shipped
from eadnet_core.families.base import BaseModel
from eadnet_core.media.face.aligned_crop import crop_aligned, paste_aligned
from eadnet_core.media.face.alignment import aligned_box
from eadnet_core.media.face.follow import follow
from eadnet_core.media.pixels import to_pixels, to_unit
from eadnet_core.metrics.emotion import read_emotion
from eadnet_core.metrics.face import correlation, read_faces
from eadnet_core.metrics.lip_sync import score_lip_sync
from eadnet_core.weights.experts import load_experts

SIZE_PX = 128
"""Of portraits and clips."""
SHOWN = 8
"""Frames of a clip in a row of the sheet."""
MARKS = ("<!-- {}: written by bench/{}.py -->", "<!-- {}: end -->")


def main() -> None:
    """Print a table, and write it, the figures and a sheet where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, required=True, help="folder of the base")
    parser.add_argument("--adapters", action="append", default=[], metavar="NAME=FILE", help="adapters beside it")
    parser.add_argument("--ways", nargs="+", default=["mini", "base alone", "base", "blend"], help="what is made")
    parser.add_argument("--clips", type=int, default=4, help="held-out clips, at most 12 (default: 4)")
    parser.add_argument("--frames", type=int, default=40, help="of each (default: 40)")
    parser.add_argument("--steps", type=int, default=20, help="of the base (default: 20)")
    parser.add_argument("--guidance-audio", type=float, default=1.5, help="of the base (default: 1.5)")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--sheet", type=Path, help="write frames of every way here (.png)")
    parser.add_argument("--write", type=Path, help="page to write the table into, between the marks")
    parser.add_argument("--mark", default="small base", help="name in the marks (default: small base)")
    args = parser.parse_args()
    groups = [[case for case in group if case.is_main] for group in draw_cases(12, SEED)]
    drawn = list(read_shipped(groups, SIZE_PX))
    clips = [group[i] for i in range(4) for group in drawn][: args.clips]  # another head each, as far as there are
    bench = Bench(args.base, clips, args.frames, args.steps, args.guidance_audio)
    rows: dict[str, dict[str, Any]] = {}

    def add(name: str, row: dict[str, Any]) -> None:
        rows[name] = row
        print(table({name: row}).splitlines()[-1], flush=True)

    add("the true clip", bench.score(lambda clip: clip.truth.frames[: args.frames]))
    add("the true clip, through the autoencoder", bench.score(bench.through_autoencoder))
    for way in args.ways:
        add(way, bench.score(lambda clip, way=way: bench.make(clip, way)))
    for given in args.adapters:
        name, _, file = given.partition("=")
        add(name, bench.with_adapters(Path(file)))
    text = table(rows)
    print(text)
    if args.json:
        args.json.write_text(json.dumps({"steps": args.steps, "frames": args.frames, "rows": rows}, indent=2) + "\n")
    if args.sheet:
        Image.fromarray(np.concatenate([np.concatenate(row) for row in bench.shown.values()])).save(args.sheet)
    if args.write:
        write(args.write, args.mark, text)


class Bench:
    """A base, held-out clips, and what was seen of all that was made of them."""

    def __init__(self, folder: Path, clips: list[Clip], n_frames: int, steps: int, guidance_audio: float) -> None:
        self.folder, self.clips, self.n_frames = folder, clips, n_frames
        self.options = {"steps": steps, "guidance_audio": guidance_audio}
        model = load_model(str(folder), "cpu")
        assert isinstance(model, BaseModel)
        self.model, self.experts = model, load_experts("cpu", "mini")
        self.shown: dict[str, list[np.ndarray]] = {}
        self.times: list[tuple[float, float]] = []

    def score(self, made: Any) -> dict[str, Any]:
        """Means over the clips of what `made` makes of each: frames [T, 128, 128, 3] in the training frame."""
        self.times, found, strip = [], [], []
        for clip in self.clips:
            frames, truth = made(clip), clip.truth
            opening = truth.mouth_opening[: self.n_frames]
            sync = score_lip_sync(self.experts.sync, frames, truth.samples[: 640 * self.n_frames])
            seen = read_emotion(frames, self.experts.reader).label
            found.append((correlation(read_faces(frames).opening, opening), sync.lse_c, abs(sync.offset), seen))
            strip.append(np.concatenate(list(frames[:: max(1, len(frames) // SHOWN)][:SHOWN]), axis=1))
        self.shown[str(len(self.shown))] = strip[:2]
        return {
            "mouth_correlation": float(np.nanmean([one[0] for one in found])),
            "lse_c": float(np.nanmean([one[1] for one in found])),
            "offset": float(np.mean([one[2] for one in found])),
            "emotion_accuracy": float(
                np.mean([one[3] == c.truth.emotion for one, c in zip(found, self.clips, strict=True)])
            ),
            "seconds": float(np.sum([spent for _, spent in self.times])) if self.times else None,
            "forecast": float(np.sum([said for said, _ in self.times])) if self.times else None,
        }

    def through_autoencoder(self, clip: Clip) -> np.ndarray:
        """The true clip with its aligned squares encoded and decoded."""
        frames = clip.truth.frames[: self.n_frames]
        out = []
        for picture, face in zip(frames, follow(frames).crops, strict=True):
            assert face is not None
            box = aligned_box(face)
            square = to_unit(crop_aligned(picture, box, self.model.config.size_px)[None])
            with torch.inference_mode():
                again = self.model.vae.decode(self.model.vae.encode(square)[0])
            out.append(paste_aligned(picture, box, to_pixels(again)[0]))
        return np.stack(out)

    def make(self, clip: Clip, way: str, model: BaseModel | None = None) -> np.ndarray:
        """A clip made of a portrait, sound and words: by the mini alone, the base alone without words, or the chain."""
        made_by: Any = "mini" if way == "mini" else (model or self.model)
        options = GenerateOptions(
            face_box=None, **({} if way == "mini" else self.options), mouth_by="blend" if way == "blend" else "base"
        )
        words = "" if way == "base alone" else clip.prompt
        sound = clip.truth.samples[: 640 * self.n_frames]
        clip_made = prepare(clip.truth.reference, sound, words, options, model=made_by, sample_rate=16_000)
        said = clip_made.forecast().seconds
        began = time.perf_counter()
        frames = np.concatenate([segment.face_frames for segment in clip_made.segments()])
        self.times.append((said, time.perf_counter() - began))
        return frames

    def with_adapters(self, file: Path) -> dict[str, Any]:
        """The base with adapters of a file, which is named adapters.safetensors or identity.safetensors."""
        model = load_with(self.folder, file)
        return self.score(lambda clip: self.make(clip, "base", model))


def load_with(base: Path, file: Path | None) -> BaseModel:
    """A base with the adapters of a file alone, or with none."""
    with tempfile.TemporaryDirectory() as folder:
        for part in base.glob("*.safetensors"):
            if part.stem not in ("adapters", "identity"):
                (Path(folder) / part.name).symlink_to(part.absolute())
        if file is not None:
            kind = "identity" if "identity" in file.name else "adapters"
            shutil.copy(file, Path(folder) / f"{kind}.safetensors")
        model = load_model(folder, "cpu")
        assert isinstance(model, BaseModel)
        return model


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Rows as Markdown."""
    head = "| | mouth correlation | LSE-C | offset, frames | emotion seen as asked | seconds, forecast |"
    lines = [head, "|---|---|---|---|---|---|"]
    for name, row in rows.items():
        took = f"{row['seconds']:.0f}, {row['forecast']:.0f}" if row["seconds"] is not None else ""
        lines.append(
            f"| {name} | {row['mouth_correlation']:.2f} | {row['lse_c']:.3f} | {row['offset']:.1f} "
            f"| {row['emotion_accuracy']:.2f} | {took} |"
        )
    return "\n".join(lines)


def write(page: Path, mark: str, text: str, by: str = "small_base") -> None:
    """Put text between the marks of a page that a script here writes into."""
    begin, end = (one.format(mark, by) for one in MARKS)
    before, rest = page.read_text(encoding="utf-8").split(begin)
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{rest.split(end)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
