"""What spreading a clip over workers by its segments gives and costs: each segment made by itself, from its frame on.

    python bench/spread_segments.py                      the mini
    python bench/spread_segments.py --model FOLDER       a base

A frame depends on the frames of its window at each step, and on nothing else (`sampling.windows`). So a worker that
begins so many frames earlier, with the windows of the whole clip, makes the same latents. Here all is done in one
process, one part after the other: seconds are of the processor, of each part those of its start, of the frames before
it, of sampling and of decoding. Printed are the largest difference of latents and of decoded frames, and the speed-up.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from eadnet_core import GenerateOptions, load_model, prepare
from eadnet_core.generation.animation import Animation, Latents
from eadnet_core.generation.pipeline import Generation
from eadnet_core.weights.folders import ASSETS


def seconds_of(work: Any) -> tuple[Any, float]:
    """(what it gives, processor seconds)."""
    began = time.process_time()
    with torch.inference_mode():
        found = work()
    return found, time.process_time() - began


def whole(clip: Animation) -> tuple[list[Latents], list[np.ndarray], list[float], list[float], int]:
    """Segments in order: latents, frames, seconds of sampling and of decoding, bytes of the largest state."""
    latents, frames, sampling, decoding, n_bytes = [], [], [], [], 0
    parts = iter(clip)
    while True:
        part, seconds = seconds_of(lambda: next(parts, None))
        if part is None:
            return latents, frames, sampling, decoding, n_bytes
        pictures, spent = seconds_of(lambda part=part: np.concatenate(list(clip.frames(part))))
        latents.append(part)
        frames.append(pictures)
        sampling.append(seconds)
        decoding.append(spent)
        n_bytes = max(n_bytes, sum(v.numel() * v.element_size() for v in clip.state().values()))


def alone(generation: Generation, start: int) -> tuple[torch.Tensor, np.ndarray, list[float]]:
    """One segment by itself: latents, frames, seconds of the start, of what lies before, of sampling and decoding."""
    clip, started = seconds_of(generation.animation)
    _, before = seconds_of(lambda: clip.begin(start))
    latents, sampled = seconds_of(lambda: next(iter(clip)))
    frames, decoded = seconds_of(lambda: np.concatenate(list(clip.frames(latents))))
    return latents.x0, frames, [started, before, sampled, decoded]


def measure(generation: Generation) -> dict[str, Any]:
    """All segments in order, then each by itself."""
    clip, started = seconds_of(generation.animation)
    latents, frames, sampling, decoding, n_bytes = whole(clip)
    in_order = started + sum(sampling) + sum(decoding)
    gaps, levels, parts = [], [], []
    for number, part in enumerate(latents):
        x0, pictures, spent = alone(generation, part.start)
        gaps.append(float((x0 - part.x0).abs().max()))
        levels.append(int(np.abs(pictures.astype(int) - frames[number]).max()))
        parts.append(spent)
    ahead = started + sum(sampling) + decoding[-1]
    return {
        "model": generation.model.name,
        "frames": generation.report.n_frames,
        "segments": len(latents),
        "largest_difference_of_latents": max(gaps),
        "largest_difference_of_frames": max(levels),
        "seconds": {"start": round(started, 2), "sample": round(sum(sampling), 2), "decode": round(sum(decoding), 2)},
        "seconds_of_each_part": [[round(value, 2) for value in spent] for spent in parts],
        "state_mb": round(n_bytes / 1e6, 3),
        "speed_up_where_decoding_is_elsewhere": round(in_order / ahead, 2),
        "speed_up_with_a_worker_for_each_segment": round(in_order / max(map(sum, parts)), 2),
        "work_against_one_worker": round(sum(map(sum, parts)) / in_order, 3),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="mini", help="mini, or the folder of your own model (default: mini)")
    parser.add_argument("--segments", type=int, default=4)
    parser.add_argument("--frames", type=int, default=100, help="of a segment (default: 100)")
    parser.add_argument("--steps", type=int, help="of the sampler (default: the model's own)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    samples, rate_hz = soundfile.read(ASSETS / "sample" / "speech.wav", dtype="float32")
    sound = np.resize(samples, args.segments * args.frames * rate_hz // 25)
    options = GenerateOptions(segment_frames=args.frames, steps=args.steps, seed=1)
    portrait = Path(ASSETS / "sample" / "portrait.png")
    model = load_model(args.model, "cpu")
    print(json.dumps(measure(prepare(portrait, sound, "delighted", options, model=model, sample_rate=rate_hz))))


if __name__ == "__main__":
    main()
