"""Trains adapters on a base and measures what they cost its lips: held-out clips dubbed with an emotion that is asked.

The whole face is generated, from the clip's own sound, its head without the face, and a neutral portrait of the same
head. Lips are read by landmarks and by the scoring SyncNet, emotions by the face reader: none of them trained a base or
its adapters. Beside them stand the true clip and what the base's autoencoder makes of it, beyond which no base gets.
Every training and every score is kept in a file of its own; stopped at any point, the next call goes on from there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bench.small_base import load_with, write
from eadnet_core.config import FPS
from eadnet_core.emotion.code import emotion_code
from eadnet_core.evaluation.heldout import Clip, draw_cases, draw_clips, with_length
from eadnet_core.media.face.aligned_crop import crop_aligned, keep_mask, latent_mask, paste_aligned
from eadnet_core.media.face.alignment import AlignedBox, aligned_box
from eadnet_core.media.face.follow import follow
from eadnet_core.media.pixels import to_pixels, to_unit
from eadnet_core.media.sound.whisper_mel import whisper_mel
from eadnet_core.metrics.emotion import read_emotion
from eadnet_core.metrics.face import correlation, read_faces
from eadnet_core.metrics.lip_sync import score_lip_sync
from eadnet_core.nets.latentsync.whisper import SoundFeatures
from eadnet_core.sampling.conditions import FrameConditions
from eadnet_core.sampling.guidance import branches
from eadnet_core.sampling.prediction import prediction_of
from eadnet_core.sampling.sampler import draw_noise
from eadnet_core.taxonomy import LEVEL_INTENSITY
from eadnet_core.training.adapter_losses import AdapterLossWeights
from eadnet_core.training.adapters import AdapterMix, train_adapters
from eadnet_core.training.loop import TrainOptions
from eadnet_core.weights.experts import Experts, load_experts

WAYS = {
    "all losses": AdapterLossWeights(sync=0.05, trepa=0.1, emotion=0.02),
    "without SyncNet": AdapterLossWeights(trepa=0.1, emotion=0.02),
    "without TREPA": AdapterLossWeights(sync=0.05, emotion=0.02),
    "without both": AdapterLossWeights(emotion=0.02),
}
SEED = 77
"""Of the held-out clips."""
SIZE_PX = 128
READ_EVERY = 4
"""Emotion is read off one frame of so many."""
WINDOWS_AT_ONCE = 20
SHOWN = 12


@dataclass(frozen=True)
class Case:
    """A held-out clip as a base is given it.

    boxes    where the aligned square of each frame lies
    context  [2C + 1, T, h, w]
    audio    [T, S, D_a]
    code     [T, 27], motion [T, 8]
    opening  [T]  of the lips, read off the true frames
    """

    clip: Clip
    boxes: list[AlignedBox]
    context: Tensor
    audio: Tensor
    code: Tensor
    motion: Tensor
    opening: np.ndarray


class Guidance(NamedTuple):
    """Weights of sound and emotion."""

    audio: float
    emotion: float

    def after(self, name: str) -> str:
        """A name that says the guidance where there is some."""
        return name if self == NONE else f"{name}, guidance {self.audio:g} and {self.emotion:g}"


NONE = Guidance(1.0, 1.0)


def pair(text: str) -> Guidance:
    """'1.5,3' as guidance."""
    return Guidance(*map(float, text.split(",")))


Make = Callable[[list[Case]], list[np.ndarray]]
"""What makes frames [T, 128, 128, 3] in the training frame, of every case."""


def main() -> None:
    """Train, score, print the table, and write it and a sheet where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, required=True, help="folder of the base")
    parser.add_argument("--data", type=Path, required=True, help="clips that adapters learn from")
    parser.add_argument("--output", type=Path, required=True, help="folder of adapters and scores")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--train-steps", type=int, default=600, help="of each training (default: 600)")
    parser.add_argument("--batch", type=int, default=2, help="windows per step (default: 2)")
    parser.add_argument("--clips", type=int, default=24, help="held-out clips (default: 24)")
    parser.add_argument("--frames", type=int, default=32, help="of each (default: 32)")
    parser.add_argument("--steps", type=int, default=4, help="of sampling (default: 4)")
    text = "by sound and emotion, a row each (default: 1,1)"
    parser.add_argument("--guidance", type=pair, nargs="+", default=[NONE], metavar="X,Y", help=text)
    parser.add_argument("--sheet", type=Path, help="write frames of every way here (.png)")
    parser.add_argument("--write", type=Path, help="page to write the table into, between the marks")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    bench = Bench(args.base, args.clips, args.frames, args.steps)
    rows = {
        "the true clip": [bench.kept(args.output / "truth.json", bench.true)],
        "the true clip, through the autoencoder": [
            bench.kept(args.output / "autoencoder.json", bench.through_autoencoder)
        ],
    }
    for audio in dict.fromkeys(guidance.audio for guidance in args.guidance):
        alone = Guidance(audio, 1.0)
        rows[alone.after("base")] = [
            bench.scored(args.output, f"base-{seed}", None, seed, alone) for seed in args.seeds
        ]
    for seed in args.seeds:
        for way in args.ways:
            file = args.output / f"{stem(way, seed)}.safetensors"
            if not file.is_file():
                train(args, way, seed, file)
            for guidance in args.guidance:
                found = bench.scored(args.output, file.stem, file, seed, guidance)
                rows.setdefault(guidance.after(way), []).append(found)
            print(table(rows), flush=True)
    if args.sheet:
        first = Guidance(args.guidance[0].audio, 1.0).after(f"base-{args.seeds[0]}")
        ways = [guidance.after(stem(way, args.seeds[0])) for way in args.ways for guidance in args.guidance]
        names = ["truth", "autoencoder", first, *ways]
        strips = [np.asarray(Image.open(args.output / f"{name}.png")) for name in names]
        Image.fromarray(np.concatenate(strips)).save(args.sheet)
    if args.write:
        write(args.write, "adapters", table(rows), by="adapters")


def stem(way: str, seed: int) -> str:
    """Name of the files of a training."""
    return f"{way.replace(' ', '-')}-{seed}"


def train(args: argparse.Namespace, way: str, seed: int, file: Path) -> None:
    """Adapters of one way and seed, on what is scored: whole faces from portraits. Encoded clips are shared by all."""
    runs = args.output / "runs" / file.stem
    runs.mkdir(parents=True, exist_ok=True)
    encoded = args.output / "encoded"
    encoded.mkdir(exist_ok=True)
    if not (runs / "encoded").exists():
        (runs / "encoded").symlink_to(encoded.absolute())
    options = TrainOptions(
        max_steps=args.train_steps, batch=args.batch, learning_rate=1e-3, device="cpu", seed=seed, run_folder=runs
    )
    train_adapters(args.base, args.data, file, options, mix=AdapterMix(full_mask=1.0, portrait=1.0), weights=WAYS[way])


class Bench:
    """A base, held-out clips, and what was seen of all that was made of them."""

    def __init__(self, folder: Path, n_clips: int, n_frames: int, steps: int) -> None:
        self.folder, self.model, self.steps = folder, load_with(folder, None), steps
        self.experts: Experts = load_experts("cpu", "mini")
        groups = with_length(draw_cases(n_clips, SEED), n_frames)
        self.cases = [self._case(clip) for group in draw_clips(groups, SEED, SIZE_PX) for clip in group]

    def kept(self, path: Path, make: Make) -> dict[str, float]:
        """Scores that a file holds, or those of what `make` makes, then written to it, with a strip beside."""
        if not path.is_file():
            found, shown = self.score(make)
            Image.fromarray(shown).save(path.with_suffix(".png"))
            path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        kept: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
        return kept

    def scored(self, output: Path, name: str, file: Path | None, seed: int, guidance: Guidance) -> dict[str, float]:
        """Scores of the base with adapters of a file, or without any; `seed` draws the noise."""
        path = output / f"{guidance.after(name)}.json"
        return self.kept(path, lambda cases: self.maker(file, seed, guidance)(cases))

    def score(self, make: Make) -> tuple[dict[str, float], np.ndarray]:
        """Means over the clips of what is made of them, and a frame of some side by side."""
        made, rows = make(self.cases), []
        for case, frames in zip(self.cases, made, strict=True):
            truth, opening = case.clip.truth, read_faces(frames).opening
            seen = read_emotion(frames[::READ_EVERY], self.experts.reader)
            rows.append(
                {
                    "mouth_correlation": correlation(opening, truth.mouth_opening),
                    "mouth_amplitude": float(np.std(opening) / np.std(case.opening)),
                    "lse_c": score_lip_sync(self.experts.sync, frames, truth.samples).lse_c,
                    "emotion_accuracy": float(seen.label == truth.emotion),
                }
            )
        strip = np.concatenate([frames[len(frames) // 2] for frames in made[:SHOWN]], axis=1)
        return {name: float(np.nanmean([row[name] for row in rows])) for name in rows[0]}, strip

    @staticmethod
    def true(cases: list[Case]) -> list[np.ndarray]:
        """The true clips."""
        return [case.clip.truth.frames for case in cases]

    @torch.inference_mode()
    def through_autoencoder(self, cases: list[Case]) -> list[np.ndarray]:
        """The true clips with their aligned squares encoded and decoded."""
        size_px = self.model.config.size_px
        return [self._paste(case, self._encoded(cut(case.clip.truth.frames, case.boxes, size_px))) for case in cases]

    def maker(self, file: Path | None, seed: int, guidance: Guidance) -> Make:
        """What makes clips: the base, with adapters of a file where one is given."""
        model = load_with(self.folder, file)
        c, denoiser = model.config.denoiser, model.denoiser
        window = c.window_frames

        @torch.inference_mode()
        def make(cases: list[Case]) -> list[np.ndarray]:
            given = [_conditions(case, model.emotion_encoder) for case in cases]
            parts = {k: torch.cat([one[k].unflatten(0, (-1, window)) for one in given]) for k in given[0]}
            noise = draw_noise(c, seed).expand(-1, window, -1, -1)
            made = []
            for start in range(0, len(parts["context"]), WINDOWS_AT_ONCE):
                some = {k: v[start : start + WINDOWS_AT_ONCE] for k, v in parts.items()}
                context = some.pop("context").transpose(1, 2)
                conditions = FrameConditions(context, **some)
                null = (
                    None if model.emotion_encoder is None else model.emotion_encoder.null(*conditions.audio.shape[:2])
                )
                made.append(self._sampled(denoiser, noise, conditions, guidance, null))
            latents = torch.cat(made).transpose(1, 2).flatten(0, 1).unflatten(0, (len(cases), -1))
            return [self._paste(case, x0) for case, x0 in zip(cases, latents, strict=True)]

        return make

    def _sampled(
        self, denoiser: Any, noise: Tensor, given: FrameConditions, guidance: Guidance, null: Tensor | None
    ) -> Tensor:
        """x0 [B, C, T, h, w] of windows.

        null  [B, T, E, D_e] of no emotion; None without adapters
        """
        prediction, n = prediction_of(denoiser.config), len(given.context)
        grid, x = prediction.grid(self.steps), noise.expand(n, -1, -1, -1, -1)
        unfelt = given if null is None else replace(given, emotion=null)
        unheard = replace(unfelt, audio=torch.zeros_like(given.audio))
        parts = [
            (part.weight, given if part.has_emotion else unfelt if part.has_audio else unheard)
            for part in branches(guidance.audio, guidance.audio if null is None else guidance.emotion)
        ]
        for index, time in enumerate(grid.times):
            t = torch.full((n,), time)
            found = sum(weight * denoiser(x, t, conditions) for weight, conditions in parts)
            x = grid.step(x, prediction.to_x0(found, x, t), index)
        return x

    def _encoded(self, pictures: Tensor) -> Tensor:
        return torch.cat([self.model.vae.encode(part)[0] for part in pictures.split(8)])

    @torch.inference_mode()
    def _paste(self, case: Case, latents: Tensor) -> np.ndarray:
        """Frames of a clip with these latents [T, C, h, w] in the place of the face."""
        squares = to_pixels(torch.cat([self.model.vae.decode(part) for part in latents.split(8)]))
        pairs = zip(case.clip.truth.frames, case.boxes, squares, strict=True)
        return np.stack([paste_aligned(picture, box, square, "full") for picture, box, square in pairs])

    @torch.inference_mode()
    def _case(self, clip: Clip) -> Case:
        size_px, frames = self.model.config.size_px, clip.truth.frames
        boxes, portrait = boxes_of(frames), clip.truth.reference[None]
        masked = self._encoded(cut(frames, boxes, size_px) * keep_mask(size_px, "full").float())
        reference = self._encoded(cut(portrait, boxes_of(portrait), size_px)).expand_as(masked)
        mask = latent_mask(size_px, "full").float().expand(len(frames), -1, -1, -1)
        mel = whisper_mel(clip.truth.samples[: len(frames) * 16_000 // FPS])
        level = 0.0 if clip.truth.emotion == "neutral" else LEVEL_INTENSITY[clip.case.level]
        return Case(
            clip,
            boxes,
            torch.cat([mask, masked, reference], 1).transpose(0, 1),
            SoundFeatures(self.model.audio_encoder, mel).frames(0, len(frames)),
            torch.from_numpy(emotion_code(clip.truth.emotion, level)).expand(len(frames), -1),
            torch.from_numpy(np.asarray(clip.motion, np.float32)),
            read_faces(frames).opening,
        )


def _conditions(case: Case, emotion: Any) -> dict[str, Tensor]:
    """What a clip is made from, T first, without emotion and motion where there are no adapters."""
    given = {"context": case.context.transpose(0, 1), "audio": case.audio}
    if emotion is not None:
        given |= {"emotion": emotion(case.code[None])[0], "motion": case.motion}
        given["motion_known"] = torch.ones(len(case.motion))
    return given


def boxes_of(frames: np.ndarray) -> list[AlignedBox]:
    """The aligned box of the face in every frame [T, H, W, 3]."""
    return [aligned_box(face) for face in follow(frames).crops if face is not None]


def cut(frames: np.ndarray, boxes: list[AlignedBox], size_px: int) -> Tensor:
    """The aligned squares of frames, [T, 3, size_px, size_px] in -1 .. 1."""
    return to_unit(np.stack([crop_aligned(frame, box, size_px) for frame, box in zip(frames, boxes, strict=True)]))


def table(rows: dict[str, list[dict[str, float]]]) -> str:
    """Rows as Markdown: means over the seeds, with the standard deviation where there are several."""
    lines = [
        "| | seeds | mouth correlation | amplitude | LSE-C | emotion seen as asked |",
        "|---|---|---|---|---|---|",
    ]
    for name, found in rows.items():
        cells = []
        for key, digits in (("mouth_correlation", 3), ("mouth_amplitude", 2), ("lse_c", 3), ("emotion_accuracy", 2)):
            values = [one[key] for one in found]
            spread = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.{digits}f}{spread}")
        seeds = str(len(found)) if len(found) > 1 else ""
        lines.append(f"| {name} | {seeds} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
