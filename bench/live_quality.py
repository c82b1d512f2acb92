"""The causal mode against the windowed one on held-out clips that ship: lips, offset, emotion and jitter.

Both make each clip from the same portrait, sound, words, true head motion and noise. The sound is judged for speech by
the whole clip in the windowed mode, and by what has come so far in the causal one. Variants are
chunk_frames,ahead_frames.

    EADNET_HEADS= python bench/live_quality.py --clips 24 --variants 5,3 5,2
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import torch

from eadnet_core.evaluation.clips import Bench
from eadnet_core.evaluation.heldout import Clip, draw_cases
from eadnet_core.evaluation.shipped import FOLDER, SEED, read_shipped
from eadnet_core.families.family import with_model_defaults
from eadnet_core.families.load import load_model
from eadnet_core.families.mini import MiniModel, MiniScene
from eadnet_core.families.performance import Performance
from eadnet_core.live.denoising import CausalSampler
from eadnet_core.live.hearing import LiveHearing
from eadnet_core.metrics.compare import Measures, measure, summarise
from eadnet_core.metrics.motion import difference
from eadnet_core.request import GenerateOptions
from eadnet_core.sampling.conditions import FrameConditions
from eadnet_core.weights.experts import load_experts

NAMES = ("mouth_correlation", "offset_exact", "offset_error", "lse_c", "lse_d", "emotion_accuracy", "jitter_ratio")
NAMES += ("jitter_ratio_mouth", "psnr", "identity")


def causal(
    model: MiniModel, clip: Clip, asked: Performance, options: GenerateOptions, chunk: int, ahead: int
) -> np.ndarray:
    """A clip made in order, uint8 [T, H, W, 3]."""
    scene = MiniScene(model, clip.truth.reference, options)
    hearing, sampler = LiveHearing(model, options, ahead), CausalSampler(model, options, chunk)
    hearing.sound.add(np.pad(asked.samples.astype(np.float32), (0, 2 * 16_000)))
    null, found = model.emotion_encoder.null(1, 1)[0, 0].float(), []
    for start in range(0, asked.n_frames, chunk):
        tokens, voice, _ = hearing.hear(start, start + chunk)
        n = min(chunk, asked.n_frames - start)
        motion, code = (torch.from_numpy(np.float32(x[start : start + n])) for x in (asked.motion, asked.code))
        view = scene.look(start, motion)
        emotion = model.emotion_encoder(code[None].to(model.dtype))[0].float()
        known, heard = torch.ones(n), torch.from_numpy(voice[:n])
        given = FrameConditions(scene.context(view), tokens[:n], emotion, motion, known, null, None, heard)
        found.append(scene.decode(sampler.next(given), view))
    return np.concatenate(found)


def border_jitter(frames: np.ndarray, chunk: int) -> float:
    """Second differences at the borders of chunks over those elsewhere."""
    by_frame = difference(frames)
    inner = np.arange(1, len(by_frame) + 1)
    at = (inner % chunk == 0) | (inner % chunk == chunk - 1)
    return float(by_frame[at].mean() / by_frame[~at].mean()) if at.any() and not at.all() else float("nan")


def main() -> None:
    """Print a row for each variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--clips", type=int, default=24, help="a multiple of 4, up to 48")
    parser.add_argument("--variants", nargs="+", default=["5,3", "5,2", "5,0", "3,2", "5,7"])
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    model = load_model(args.model, "cpu", "float32")
    assert isinstance(model, MiniModel)
    bench = Bench(model, load_experts("cpu", args.model), SEED)
    options = with_model_defaults(model, GenerateOptions(mask="full"))
    pairs = {name: tuple(map(int, name.split(","))) for name in args.variants}
    found: dict[str, list[Measures]] = {name: [] for name in ("truth", "windowed", *pairs)}
    borders: dict[str, list[float]] = {name: [] for name in pairs}
    # The same draw of cases as `eadnet evaluate`: only those that ship can be read.
    groups = draw_cases(48, SEED)[: args.clips // 4]
    with torch.inference_mode():
        for clips in read_shipped(groups, model.config.size_px, Path(FOLDER)):
            for clip in (c for c in clips if c.case.is_main):
                asked, own = bench.performance(clip, model.reader.read([clip.prompt])[0], options)
                made = {"truth": clip.truth.frames}
                made["windowed"] = bench.generate(clip, model.reader.read([clip.prompt])[0], options)
                for name, (chunk, ahead) in pairs.items():
                    made[name] = causal(model, clip, asked, own, chunk, ahead)
                    borders[name].append(border_jitter(made[name], chunk))
                for name, frames in made.items():
                    found[name].append(measure(frames, clip.truth, bench.experts))
    print(f"{args.model}, {len(found['truth'])} clips")
    print("| mode | " + " | ".join(NAMES) + " | jitter at borders |")
    for name, measures in found.items():
        summary = summarise(measures, found["truth"])
        at = f"{np.nanmean(borders[name]):.2f}" if name in borders else ""
        print(f"| {name} | " + " | ".join(f"{summary[n]:.3f}" for n in NAMES) + f" | {at} |", flush=True)


if __name__ == "__main__":
    main()
