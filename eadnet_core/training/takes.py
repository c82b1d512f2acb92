"""Takes: several performances of the same script by one denoiser, and which of them is best and worst.

A mini makes a clip in one step, from noise that it hardly looks at: such takes are all alike. In a few steps they
differ in what the conditions leave open. Takes are kept as controls, in a file for each block of scripts, so that
drawing goes on where it was stopped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..config import SAMPLING, DenoiserConfig
from ..errors import BadInput
from ..machine import has_quick_bf16
from ..nets.syncnet import SyncNet
from ..sampling.prediction import prediction_of
from .data import Cache
from .denoiser_batches import ClipBatch, clips_batch, motion_latents
from .denoiser_step import predict, unscaled
from .take_experts import FeelingJudge, best_and_worst, scores

BLOCK = 8
"""Scripts in a file."""


@dataclass(frozen=True)
class TakePlan:
    """Which takes are drawn; kept beside them, so that others are not taken for these.

    n_scripts  clips of the cache, the first of which only validate
    n_takes    of each
    n_steps    of sampling
    weights    SHA-256 of the denoiser's file
    """

    n_scripts: int
    n_takes: int = 5
    n_steps: int = 4
    seed: int = 0
    weights: str = ""

    def __post_init__(self) -> None:
        for name, least in (("n_scripts", 2), ("n_takes", 2), ("n_steps", 1)):
            if getattr(self, name) < least:
                raise BadInput(f"{name[2:]} is {getattr(self, name)}; give {least} or more.")


@dataclass(frozen=True)
class Pairs:
    """The best and the worst take of scripts.

    clips     [S]            numbers in the cache
    controls  [S, 2, T, 28]  best, worst
    """

    clips: np.ndarray
    controls: Tensor

    def part(self, which: np.ndarray) -> Pairs:
        """Those of a mask [S]."""
        return Pairs(self.clips[which], self.controls[torch.from_numpy(which)])


def script_batch(cache: Cache, config: DenoiserConfig, clips: np.ndarray) -> ClipBatch:
    """Whole clips as a user gives them: words that the text reader has read, a reference read off exactly."""
    batch = clips_batch(cache, config, clips)
    told = cache.tensor("text_codes", (clips, clips % cache.info.n_texts))
    return replace(batch, code=told[:, None].expand_as(batch.code).contiguous())


def own_guidance(n: int, config: DenoiserConfig, device: torch.device | str = "cpu") -> Tensor | None:
    """What a mini's net is told of its own guidance, [n, 2]; None of a net that does not guide itself."""
    if not config.guides_itself:
        return None
    own = SAMPLING["mini"]
    return torch.tensor([[own.guidance_audio, own.guidance_emotion]], device=device).expand(n, 2) - 1


@torch.no_grad()
def draw_take(nets: Any, batch: ClipBatch, config: DenoiserConfig, n_steps: int, generator: torch.Generator) -> Tensor:
    """Controls [B, T, 28] of one take of each script; all frames share the noise, as in use."""
    n, n_frames, *cells = batch.latents.shape
    device = batch.latents.device
    noise = torch.randn(n, *cells, generator=generator).to(device)[:, :, None].expand(-1, -1, n_frames, -1, -1)
    grid = prediction_of(config).grid(n_steps)
    x_t, guidance = grid.start(noise), own_guidance(n, config, device)
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cpu" and has_quick_bf16()):
        for i, time in enumerate(grid.times):
            x0, _ = predict(nets, batch, x_t, torch.full((n,), time, device=device), config, guidance=guidance)
            x_t = grid.step(x_t, x0.float(), i)
    return motion_latents().read(unscaled(x_t, nets["denoiser"]).cpu())


def scripts(cache: Cache, n: int) -> np.ndarray:
    """The clips of one feeling among the first `n`: of others nobody can say how well they show it."""
    clips = np.arange(min(n, cache.n_ready))
    return clips[np.asarray(cache.array("is_pure")[clips]) > 0]


def draw_takes(nets: Any, cache: Cache, config: DenoiserConfig, plan: TakePlan, folder: Path) -> Iterator[int]:
    """Draw what `folder` lacks of a plan, see `fill`; its items are the scripts."""

    def draw(some: np.ndarray, generator: torch.Generator) -> np.ndarray:
        batch = script_batch(cache, config, some)
        found = [draw_take(nets, batch, config, plan.n_steps, generator) for _ in range(plan.n_takes)]
        return torch.stack(found, 1).numpy()

    yield from fill(folder, plan, scripts(cache, plan.n_scripts), draw)


def fill(
    folder: Path, plan: TakePlan, items: np.ndarray, draw: Callable[[np.ndarray, torch.Generator], np.ndarray]
) -> Iterator[int]:
    """Write takes of items in files of `BLOCK`, of which those that lie there stay; yields how many each file has.

    draw  (some of the items, generator) -> takes [B, plan.n_takes, ...]
    Raises BadInput where takes of another plan lie there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, said = folder / "plan.json", json.dumps(asdict(plan))
    if path.exists() and path.read_text() != said:
        raise BadInput(
            f"'{folder}' holds takes of another denoiser or in other numbers: {path.read_text()}, asked {said}. Delete "
            "the folder and its training, or give another --output."
        )
    path.write_text(said)
    for first in range(0, len(items), BLOCK):
        some, file = items[first : first + BLOCK], folder / f"{first:06d}.npy"
        if not file.exists():
            new = file.with_suffix(".new.npy")
            np.save(new, draw(some, torch.Generator().manual_seed(plan.seed + first)))
            new.replace(file)
        yield len(some)


def read_pairs(cache: Cache, plan: TakePlan, folder: Path, syncnet: SyncNet, judge: FeelingJudge) -> Pairs:
    """The best and the worst of drawn takes, by the experts; which they are is kept in `folder`."""
    clips = scripts(cache, plan.n_scripts)
    takes = torch.from_numpy(np.concatenate([np.load(folder / f"{i:06d}.npy") for i in range(0, len(clips), BLOCK)]))
    path = folder / "chosen.npy"
    if not path.exists():
        found = [scores(takes[:, i], cache, clips, syncnet, judge) for i in range(plan.n_takes)]
        np.save(path, best_and_worst(torch.stack(found, 1)).numpy())
    chosen = torch.from_numpy(np.load(path))
    return Pairs(clips, takes[torch.arange(len(clips))[:, None], chosen])
