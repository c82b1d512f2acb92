"""Largest absolute difference between LatentSync's own code and ours, part by part, on the same random weights.

Needs a checkout of bytedance/LatentSync (a229c394, version 1.6). The denoiser needs no package that EAD-Net does not;
some parts of signals.py do, and are left out where it is missing. Everything runs in float32 on the CPU with one
thread: 0 means equal to the bit.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from .reference import (
    CASES,
    FULL,
    GOLDEN_CASES,
    build,
    conditions,
    digest,
    for_ours,
    inputs,
    load_reference,
    marker,
    seeded_reference,
)


def main() -> None:
    """Run every part, print a line for each, and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", required=True, type=Path, metavar="FOLDER", help="the checkout of LatentSync")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of weights and inputs (default: 0)")
    parser.add_argument("--json", type=Path, metavar="F", help="write the differences here")
    parser.add_argument("--golden", type=Path, metavar="FOLDER", help="only write the denoiser's golden values here")
    parser.add_argument(
        "--full-size", action="store_true", help="also compare 1.27 billion weights (needs 16 GB of memory)"
    )
    args = parser.parse_args()
    if not (args.reference / "latentsync" / "models" / "unet.py").is_file():
        parser.error(f"'{args.reference}' is no checkout of LatentSync: it has no latentsync/models/unet.py")
    reference = args.reference.resolve()
    torch.set_num_threads(1)
    if args.golden:
        write_golden(reference, args.golden, args.seed)
        return
    differences: dict[str, float] = {}
    for name, measure in parts(args.full_size).items():
        try:
            differences[name] = measure(reference, args.seed)
        except ModuleNotFoundError as error:
            print(f"{name:34s} not compared: the reference needs the package '{error.name}'", flush=True)
        else:
            print(f"{name:34s} {differences[name]:.3g}", flush=True)
    if args.json:
        args.json.write_text(json.dumps(differences, indent=2) + "\n", encoding="utf-8")


def parts(has_full_size: bool) -> dict[str, Callable[[Path, int], float]]:
    """Every part by name: (folder of the reference, seed) -> largest absolute difference."""
    from . import pipeline
    from .signals import PARTS

    found: dict[str, Callable[[Path, int], float]] = {}
    for name, case in CASES.items():
        if case.config is not FULL or has_full_size:
            found[name] = lambda reference, seed, name=name: compare(reference, seed, name, has_adapters=False)
    for name in ("denoiser_16_frames", "denoiser_two_clips"):
        found[f"{name}_zero_adapters"] = lambda reference, seed, name=name: compare(
            reference, seed, name, has_adapters=True
        )
    return found | PARTS | pipeline.PARTS


@torch.no_grad()
def compare(reference: Path, seed: int, case: str, *, has_adapters: bool) -> float:
    """Reference against ours on one case; with adapters also given emotion and motion, which must change nothing."""
    sample, time, audio = inputs(case, seed)
    config = CASES[case].config
    theirs, state = seeded_reference(reference, seed, config)
    expected = theirs(sample, time, encoder_hidden_states=audio).sample
    given = conditions(case, seed) if has_adapters else ()
    found = build(state, config, has_adapters)(*for_ours(sample, time, audio, *given))
    return float((found - expected).abs().max())


@torch.no_grad()
def write_golden(reference: Path, folder: Path, seed: int) -> None:
    """Outputs of the reference, its keys and shapes at full size, and what kind of CPU made them."""
    arrays, drawn = {}, {}
    for name in GOLDEN_CASES:
        sample, time, audio = inputs(name, seed)
        net, state = seeded_reference(reference, seed, CASES[name].config)
        arrays[name] = net(sample, time, encoder_hidden_states=audio).sample.numpy()
        drawn[f"{name}/weights"] = digest(state[key] for key in sorted(state))
    np.savez_compressed(folder / "denoiser.npz", seed=seed, marker=marker(), **arrays, **drawn)
    with torch.device("meta"):
        full = load_reference(reference, FULL)
    lines = "\n".join(f"{key} {'x'.join(map(str, value.shape))}" for key, value in full.state_dict().items())
    packed = np.frombuffer(lines.encode(), np.uint8)
    n_weights = sum(p.numel() for p in full.parameters())
    np.savez_compressed(folder / "latentsync_keys.npz", lines=packed, n_weights=n_weights)


if __name__ == "__main__":
    main()
