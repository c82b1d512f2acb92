"""What frames of a portrait cost after sampling, in CPU time of one thread, in turns: other work disturbs all alike.

python bench/painting.py --model mini-256 --picture-px 512

Prints milliseconds a frame of: the change with the net asked of every frame, and of one in five; painting it; a clip
cut out, moved and pasted back, and painted. Then multiply-adds of the net, and what a matrix product reaches here.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from eadnet_core.families.load import load_model
from eadnet_core.families.mini import Head, MiniModel, MiniScene
from eadnet_core.families.painting import Painter
from eadnet_core.generation.plan import decoded_reference, paster, shown_reference
from eadnet_core.live.session import ASKED_FRAMES, CHUNK_FRAMES
from eadnet_core.media.face.subject import Subject, find_subject
from eadnet_core.media.image import fitted, read_image
from eadnet_core.nets.vae import LAID_PX
from eadnet_core.request import GenerateOptions
from eadnet_core.weights.folders import ASSETS

MATRIX = 768
"""Side of the matrices whose product is the measured peak."""


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--portrait", default=str(ASSETS / "sample" / "portrait.png"))
    parser.add_argument("--picture-px", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(args.model, "cpu", "float32")
    assert isinstance(model, MiniModel)
    subject = find_subject(fitted(np.array(read_image(args.portrait)), args.picture_px)[None], 0)
    with torch.inference_mode():
        runs = cases(model, subject)
        taken: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(args.rounds + 1):
            for name, run in runs.items():
                began = time.thread_time()
                run()
                taken[name].append(1000 * (time.thread_time() - began) / CHUNK_FRAMES)
        size = subject.size
        print(f"{args.model}, float32, {size[0]} x {size[1]} px, face {subject.nearest(0).side_px:.0f} px, one thread")
        for name, values in taken.items():
            print(f"  {name:42s} {statistics.median(values[1:]):7.1f} ms a frame")
        ratio = statistics.median(a / b for a, b in zip(taken[PASTED][1:], taken[PAINTED][1:], strict=True))
        print(f"  pasted / painted, median of the rounds: {ratio:.2f}")
        work, peak = multiply_adds(model, runs[EVERY]), peak_per_s()
        print(f"  the net: {work / 1e9:.2f} billion multiply-adds a frame")
        print(
            f"  a product of matrices: {peak / 1e9:.0f} billion a second, the net at that {1000 * work / peak:.1f} ms"
        )


EVERY, SOME, PAINT = "change, the net asked of every frame", "change, of one in five", "paint"
PASTED, PAINTED = "clip: cut out, moved and pasted", "clip: painted"


def cases(model: MiniModel, subject: Subject) -> dict[str, Callable[[], object]]:
    """What is measured, each over a chunk of frames that all differ."""
    options = replace(GenerateOptions(), mask="full")
    square = shown_reference(model, subject)
    assert isinstance(square, np.ndarray)
    head = Head(model, square[None])
    painter = Painter(head.features.maps, subject.picture(0), subject.nearest(0))
    generator = torch.Generator().manual_seed(0)
    controls = (head.controls + 0.3 * torch.rand(CHUNK_FRAMES, head.controls.shape[1], generator=generator)).clamp(
        0, 1.2
    )
    motion = 0.1 * torch.randn(CHUNK_FRAMES, 8, generator=generator)
    change, last = head.change_between(controls, motion, ASKED_FRAMES, None)
    clips = []
    for source, paste in (
        (square, subject.paster(options.mask)),
        (decoded_reference(model, subject, options), paster(model, subject, subject, motion.numpy(), options)),
    ):
        scene = MiniScene(model, source, options)
        x0 = (model.vae.motion_latents(controls) / scene.scale[:, 0]).transpose(0, 1)
        clips.append(lambda scene=scene, paste=paste, x0=x0: paste(scene.decode(x0, scene.look(0, motion)), 0))
    return {
        EVERY: lambda: head.change(controls, motion, LAID_PX),
        SOME: lambda: head.change_between(controls, motion, ASKED_FRAMES, last),
        PAINT: lambda: painter.paint(change),
        PASTED: clips[0],
        PAINTED: clips[1],
    }


def multiply_adds(model: MiniModel, run: Callable[[], object]) -> float:
    """Of the decoder's convolutions, for one frame."""
    found: list[float] = []

    def count(layer: nn.Conv2d, _: object, made: Tensor) -> None:
        found.append(layer.weight.numel() * made.shape[2] * made.shape[3])

    layers = [layer for layer in model.vae.decoder.modules() if isinstance(layer, nn.Conv2d)]
    hooks = [layer.register_forward_hook(count) for layer in layers]  # type: ignore[arg-type]
    run()
    for hook in hooks:
        hook.remove()
    return sum(found)


def peak_per_s() -> float:
    """Multiply-adds a second of CPU time of one thread, in a product of matrices: the best of thirty."""
    a, b, best = torch.randn(MATRIX, MATRIX), torch.randn(MATRIX, MATRIX), float("inf")
    for _ in range(30):
        began = time.thread_time()
        a @ b
        best = min(best, time.thread_time() - began)
    return MATRIX**3 / best


if __name__ == "__main__":
    main()
