"""Seconds of LatentSync's own denoising and of ours, in one run on the same random weights, steps and input.

Needs a checkout of bytedance/LatentSync (a229c394). Everything runs on the CPU at a reduced width, in turns: each
round runs the reference and then every variant of ours, and ratios are medians over rounds of what was measured side
by side; so another program on the machine disturbs both alike. CPU seconds are those of all threads. Three more
tables: what options that are not exact cost, on random weights; memory by the clip's length; and STDA beside attention
over all frames and cells.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from fast_variants import ChannelsLast, SoundCache, TwoFresh
from parity.reference import SMALL, build, seeded, seeded_reference
from torch import Tensor, nn

from eadnet_core.config import DenoiserConfig, SDVAEConfig
from eadnet_core.errors import BadInput
from eadnet_core.evaluation.command_cost import measure_command
from eadnet_core.machine import peak_memory_bytes
from eadnet_core.nets.latentsync.denoiser import LatentSyncDenoiser
from eadnet_core.nets.latentsync.fast import FastDenoiser, Speed
from eadnet_core.nets.latentsync.sd_vae import SDVAE
from eadnet_core.nets.layers import attention
from eadnet_core.nets.stda import STDA
from eadnet_core.sampling.conditions import FrameConditions
from eadnet_core.sampling.sampler import ConditionSource, SamplerOptions, Wavefront
from eadnet_core.weights.device import set_attention_backend

REDUCED = replace(SMALL, widths=(64, 96, 160, 160), audio_width=384, cells=32, has_adapters=False)
"""LatentSync's U-Net at 23 million weights, and its 256 px."""
TINY = replace(SMALL, widths=(32, 32, 32, 32), cells=8, has_adapters=False)
WINDOW, GUIDANCE = 16, 1.5
Make = Callable[[LatentSyncDenoiser], nn.Module]


def fast(kind: type[FastDenoiser] = FastDenoiser, **spared: Any) -> Make:
    """What makes a net that spares work from the net itself."""
    return lambda net: kind(net, Speed(**spared))


VARIANTS: dict[str, tuple[Make | None, str]] = {
    "exact": (None, "sdpa"),
    "shared branches": (fast(share_branches=True), "sdpa"),
    "+ cached sound": (fast(SoundCache, share_branches=True), "sdpa"),
    "+ channels last": (fast(ChannelsLast, share_branches=True), "sdpa"),
    "+ deep reuse 2": (fast(share_branches=True, reuse_every=2), "sdpa"),
    "+ deep reuse 3": (fast(share_branches=True, reuse_every=3), "sdpa"),
}
MORE: dict[str, tuple[Make | None, str]] = {
    "+ plain attention": (fast(share_branches=True), "plain"),
    "+ xformers": (fast(share_branches=True), "xformers"),
    "+ compiled": (fast(share_branches=True, compiled=True), "sdpa"),
}
QUALITY: dict[str, tuple[Make | None, int, str]] = {
    "10 steps": (None, 10, "leading"),
    "10 steps, trailing": (None, 10, "trailing"),
    "5 steps": (None, 5, "leading"),
    "5 steps, trailing": (None, 5, "trailing"),
    "20, deep reuse 2": (fast(reuse_every=2), 20, "leading"),
    "20, deep reuse 2, 2 layers": (fast(TwoFresh, reuse_every=2), 20, "leading"),
    "20, deep reuse 4": (fast(reuse_every=4), 20, "leading"),
}


class Scene(NamedTuple):
    """One window of random input."""

    config: DenoiserConfig
    conditions: FrameConditions
    noise: Tensor


class Timing(NamedTuple):
    """What one run took, and the clean latents it made."""

    wall_s: float
    cpu_s: float
    x0: Tensor


def main() -> None:
    """Print the tables, and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", type=Path, metavar="FOLDER", help="the checkout of LatentSync")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="(default: 5)")
    parser.add_argument("--steps", type=int, default=3, metavar="N", help="of a window (default: 3)")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="CPU threads (default: 2)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of weights and inputs (default: 0)")
    parser.add_argument(
        "--more", action="store_true", help="also other attention, and torch.compile (minutes; needs a C++ compiler)"
    )
    parser.add_argument(
        "--lengths", type=float, nargs="*", default=[5, 60, 600], metavar="S", help="(default: 5 60 600)"
    )
    parser.add_argument("--tables", nargs="+", default=["ratio", "quality", "growth", "attention"], metavar="NAME")
    parser.add_argument("--json", type=Path, metavar="F", help="write the figures here")
    parser.add_argument("--one-clip", type=float, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.one_clip is not None:
        print(json.dumps(stream(args.one_clip, args.seed)))
        return
    if "ratio" in args.tables and not (args.reference and (args.reference / "latentsync/models/unet.py").is_file()):
        parser.error(f"'{args.reference}' is no checkout of LatentSync: it has no latentsync/models/unet.py")
    tables: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
        "ratio": ratios, "quality": quality, "growth": growth, "attention": attentions
    }  # fmt: skip
    found = {}
    for name in args.tables:
        found[name] = tables[name](args)
        if args.json:
            args.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def scene(config: DenoiserConfig, seed: int, n_frames: int = WINDOW) -> Scene:
    """Random conditions of a window, or of a longer clip."""
    draw = torch.Generator().manual_seed(seed)
    cells = (n_frames, config.cells, config.cells)
    emotion = torch.zeros(n_frames, 1, config.emotion_width)
    conditions = FrameConditions(
        context=torch.randn(9, *cells, generator=draw),
        audio=torch.randn(n_frames, 50, config.audio_width, generator=draw),
        emotion=emotion,
        null_emotion=emotion[0],
        motion=torch.zeros(n_frames, config.motion_size),
        motion_known=torch.zeros(n_frames),
    )
    return Scene(config, conditions, torch.randn(4, 1, config.cells, config.cells, generator=draw))


@torch.inference_mode()
def theirs(net: nn.Module, given: Scene, n_steps: int) -> Tensor:
    """Clean latents by the steps of LatentSync's pipeline: both predictions in one batch, diffusers' scheduler."""
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
        set_alpha_to_one=False, steps_offset=1,
    )  # fmt: skip
    scheduler.set_timesteps(n_steps)
    context = torch.cat([given.conditions.context[None]] * 2)
    audio = torch.stack([torch.zeros_like(given.conditions.audio), given.conditions.audio])
    latents = given.noise[None].repeat(1, 1, WINDOW, 1, 1)
    for t in scheduler.timesteps:
        pair = scheduler.scale_model_input(torch.cat([latents] * 2), t)
        silent, heard = net(torch.cat([pair, context], dim=1), t, encoder_hidden_states=audio).sample.chunk(2)
        latents = scheduler.step(silent + GUIDANCE * (heard - silent), t, latents).prev_sample
    return latents[0]


@torch.inference_mode()
def ours(net: nn.Module, given: Scene, n_steps: int, spacing: str = "leading") -> Tensor:
    """Clean latents by our sampler."""
    options = SamplerOptions(
        steps=n_steps, spacing=spacing, guidance_audio=GUIDANCE, guidance_emotion=GUIDANCE, batch_windows=1
    )
    n_frames = given.conditions.n_frames
    source = ConditionSource(n_frames, given.conditions.frames)
    return Wavefront(net, given.config, source, given.noise, options).advance(n_frames).x0


def timed(run: Callable[[], Tensor]) -> Timing:
    """One run."""
    wall, cpu = time.perf_counter(), time.process_time()
    x0 = run()
    return Timing(time.perf_counter() - wall, time.process_time() - cpu, x0)


def ratios(args: argparse.Namespace) -> dict[str, Any]:
    """Seconds per window of the reference, and of each variant against it."""
    given = scene(REDUCED, args.seed)
    reference, state = seeded_reference(args.reference.resolve(), args.seed, REDUCED)
    runs: dict[str, Callable[[], Tensor]] = {"reference": lambda: theirs(reference, given, args.steps)}
    for name, (make, backend) in (VARIANTS | (MORE if args.more else {})).items():
        net: nn.Module = build(state, REDUCED)
        try:
            set_attention_backend(net, backend)
        except BadInput as error:
            print(f"{name}: left out. {error}")
            continue
        if make is not None:
            net = make(net)  # type: ignore[arg-type]
        runs[name] = lambda net=net: ours(net, given, args.steps)
    n_weights = sum(value.numel() for value in state.values())
    print(f"{n_weights / 1e6:.1f} M weights, {args.steps} steps, {args.threads} threads, torch {torch.__version__}")
    rounds = [{name: timed(run) for name, run in runs.items()} for _ in turns(args.rounds + args.more)][args.more :]
    print(f"{'':22s} {'wall s':>8s} {'CPU s':>8s} {'ratio':>7s} {'CPU ratio':>10s} {'largest difference':>19s}")
    found = {}
    for name in runs:
        base = [r["reference"] for r in rounds]
        mine = [r[name] for r in rounds]
        row = {
            "wall_s": statistics.median(m.wall_s for m in mine),
            "cpu_s": statistics.median(m.cpu_s for m in mine),
            "ratio": statistics.median(m.wall_s / b.wall_s for m, b in zip(mine, base, strict=True)),
            "cpu_ratio": statistics.median(m.cpu_s / b.cpu_s for m, b in zip(mine, base, strict=True)),
            "difference": float((mine[0].x0 - base[0].x0).abs().max()),
        }
        found[name] = row
        print("{:22s} {wall_s:8.2f} {cpu_s:8.2f} {ratio:7.3f} {cpu_ratio:10.3f} {difference:19.2e}".format(name, **row))
    print(f"peak memory of this process: {peak_memory_bytes() / 1e9:.2f} GB")
    return {"n_weights": n_weights, "steps": args.steps, "threads": args.threads, "rounds": args.rounds, "runs": found}


def turns(n: int) -> Iterator[int]:
    """Rounds, told as they begin; where code is compiled the first warms up."""
    for i in range(n):
        print(f"round {i + 1} of {n}", file=sys.stderr, flush=True)
        yield i


def quality(args: argparse.Namespace) -> dict[str, Any]:
    """How far few steps and reused layers lead from 20 whole steps, and how many passes of the whole net they take."""
    given = scene(TINY, args.seed)
    state = seeded(LatentSyncDenoiser(TINY).state_dict(), args.seed)
    full = ours(build(state, TINY), given, 20)
    print("root mean square difference from 20 whole steps, in deviations of their result (random weights)")
    found = {}
    for name, (make, n_steps, spacing) in QUALITY.items():
        net: nn.Module = build(state, TINY)
        if make is not None:
            net = make(net)  # type: ignore[arg-type]
        x0 = ours(net, given, n_steps, spacing)
        found[name] = float((x0 - full).square().mean().sqrt() / full.std())
        print(f"{name:28s} {found[name]:.3f}", flush=True)
    return found


def growth(args: argparse.Namespace) -> dict[str, Any]:
    """Peak memory of a process that samples and decodes a clip, segment by segment, by its length."""
    found = {}
    for length_s in args.lengths:
        command = [sys.executable, __file__, "--one-clip", str(length_s), "--threads", str(args.threads)]
        cost = measure_command(command, args.threads)
        found[f"{length_s:g} s"] = {"peak_gb": cost.peak_memory_gb, "seconds": cost.seconds}
        print(f"{length_s:6g} s of video: {cost.peak_memory_gb:.3f} GB, {cost.seconds:.0f} s", flush=True)
    if len(args.lengths) > 1:
        first, *_, last = (row["peak_gb"] for row in found.values())
        print(f"peak memory, {args.lengths[-1]:g} s / {args.lengths[0]:g} s: {last / first:.3f}")
    return found


@torch.inference_mode()
def stream(length_s: float, seed: int) -> dict[str, float]:
    """One clip at tiny width: conditions on request, two steps, latents decoded and let go of."""
    n_frames = round(25 * length_s)
    state = seeded(LatentSyncDenoiser(TINY).state_dict(), seed)
    net = FastDenoiser(build(state, TINY), Speed(reuse_every=2))
    vae = SDVAE(SDVAEConfig(widths=(8, 8, 16, 16), layers=1, norm_groups=4)).eval()
    given = scene(TINY, seed, 250)

    def read(start: int, stop: int) -> FrameConditions:
        parts = [given.conditions.frames(i % 250, i % 250 + 1) for i in range(start, stop)]
        whole = parts[0]
        for part in parts[1:]:
            whole = part.after(whole)
        return whole

    wave = Wavefront(net, TINY, ConditionSource(n_frames, read), given.noise, SamplerOptions(steps=2))
    n_decoded = 0
    for start in range(0, n_frames, 100):
        x0 = wave.advance(min(start + 100, n_frames)).x0
        for part in x0.movedim(1, 0).split(8):
            n_decoded += len(vae.decode(part))
    return {"frames": n_decoded, "peak_gb": peak_memory_bytes() / 1e9}


@torch.inference_mode()
def attentions(args: argparse.Namespace) -> dict[str, Any]:
    """Seconds of STDA and of attention over all frames and cells, as the clip grows; at 16 x 16 cells, 64 wide."""
    stda, width, cells, heads = STDA(64, 8, 16).eval(), 64, 16, 8
    to_qkv, out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def full(x: Tensor) -> Tensor:
        tokens = x.permute(0, 2, 3, 1).reshape(1, -1, width)
        q, k, v = (y.unflatten(-1, (heads, -1)).transpose(1, 2) for y in to_qkv(tokens).chunk(3, -1))
        return out(attention(q, k, v).transpose(1, 2).flatten(2))

    found = {}
    print(f"{'frames':>7s} {'STDA CPU s':>11s} {'all to all CPU s':>17s} {'times':>7s}")
    for n_frames in (4, 8, 16, 32, 64):
        x = torch.randn(n_frames, width, cells, cells, generator=torch.Generator().manual_seed(args.seed))
        pairs = [(timed(lambda: stda(x, n_frames)).cpu_s, timed(lambda: full(x)).cpu_s) for _ in range(4)][1:]  # noqa: B023
        strips, volume = (statistics.median(column) for column in zip(*pairs, strict=True))
        found[str(n_frames)] = {"stda_s": strips, "full_s": volume}
        print(f"{n_frames:7d} {strips:11.3f} {volume:17.3f} {volume / strips:7.1f}", flush=True)
    return found


if __name__ == "__main__":
    main()
