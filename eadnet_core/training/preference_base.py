"""Preference without labels on a base (ADR 50): its denoiser is drawn to the best of its own takes of a mouth.

Takes are windows of clips that are dubbed with their own sound, each from another noise. Two experts choose: the base's
SyncNet, which hears whether lips fit, and how little the mouth trembles. Neither scores an evaluation.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from ..config import DenoiserConfig, ModelConfig
from ..errors import BadInput
from ..media.face.aligned_crop import MOUTH_BOX
from ..media.video.segments import file_hash
from ..nets.latentsync.denoiser import LatentSyncDenoiser
from ..sampling.conditions import FrameConditions
from ..sampling.prediction import prediction_of
from ..weights.device import find_device
from ..weights.files import load_part, read_config, read_metadata, write_weights
from .adapter_losses import AdapterLossWeights, Judges, load_judges
from .adapters import AdapterBatch, AdapterMix, windows_of
from .base import DubbingMix, DubbingObjective
from .base_clips import encode_folder
from .base_picture import HELDOUT_EVERY
from .batch import Batch
from .denoiser import Frozen
from .denoiser_step import draw_noise
from .loop import Losses, Recipe, TrainOptions, fit, metadata_of
from .losses import region
from .preference import BATCH, LEARNING_RATE, SHOWN, WARMUP_STEPS, PreferenceMix, gap, preference_loss
from .processes import first_before_others, is_first
from .take_experts import best_and_worst
from .takes import BLOCK, TakePlan, fill

EXPERTS = ("lips", "stillness")
WINDOWS = AdapterMix(drop_audio=0.0, drop_emotion=0.0, drop_motion=0.0, full_mask=0.0, portrait=1.0)
"""As a user dubs: the lower half, from a portrait, with the sound."""
_TRIES = 20
_LEAST_MOTION = 1e-3


@dataclass(frozen=True)
class TakesBatch(Batch):
    """Windows, and their best and worst take as latents [B, T, C, h, w]."""

    windows: AdapterBatch
    best: Tensor
    worst: Tensor


@dataclass(frozen=True)
class Windows:
    """Windows of encoded clips by number: the same number is the same window, whoever asks and whenever."""

    clips: list[Path]
    config: DenoiserConfig
    seed: int

    def __call__(self, numbers: np.ndarray) -> AdapterBatch:
        """Those of the numbers [B]; with sound to the SyncNet's end where some tries find such a place."""
        return AdapterBatch.stack([self._one(int(number)) for number in numbers])

    def _one(self, number: int) -> AdapterBatch:
        rng = np.random.default_rng([self.seed, number])
        for _ in range(_TRIES):
            window = windows_of([self.clips[number % len(self.clips)]], self.config, WINDOWS, rng)
            if float(window.has_mel[0]):
                break
        return AdapterBatch(*(value[0] for value in vars(window).values()))

    def validates(self, numbers: np.ndarray) -> np.ndarray:
        """Whether a window is of a clip that only validates, [B]; of the base's own clips `train base` keeps these."""
        kept: np.ndarray = numbers % len(self.clips) % HELDOUT_EVERY == 0
        return kept


@torch.no_grad()
def draw_take(denoiser: nn.Module, batch: AdapterBatch, n_steps: int, generator: torch.Generator) -> Tensor:
    """Latents [B, T, C, h, w] of one take of each window, without guidance; its frames share the noise, as in use."""
    config: DenoiserConfig = denoiser.config  # type: ignore[assignment]
    prediction, (n, n_frames, *cells) = prediction_of(config), batch.latents.shape
    grid, device = prediction.grid(n_steps), batch.latents.device
    noise = torch.randn(n, *cells, generator=generator).to(device)[:, :, None].expand(-1, -1, n_frames, -1, -1)
    given, x_t = FrameConditions(batch.context, batch.tokens), noise
    for i, time in enumerate(grid.times):
        t = torch.full((n,), time, device=device)
        x_t = grid.step(x_t, prediction.to_x0(denoiser(x_t, t, given).float(), x_t, t), i)
    return rearrange(x_t, "b c t h w -> b t c h w")


def draw_takes(denoiser: nn.Module, windows: Windows, plan: TakePlan, folder: Path) -> Iterator[int]:
    """Draw what `folder` lacks of a plan, in half precision, see `fill`; its items are the windows' numbers."""

    def draw(some: np.ndarray, generator: torch.Generator) -> np.ndarray:
        batch = windows(some)
        found = [draw_take(denoiser, batch, plan.n_steps, generator) for _ in range(plan.n_takes)]
        return torch.stack(found, 1).half().cpu().numpy()

    yield from fill(folder, plan, np.arange(plan.n_scripts), draw)


def read_takes(plan: TakePlan, folder: Path, numbers: np.ndarray) -> Tensor:
    """Takes [B, K, T, C, h, w] of windows by their numbers."""
    files = {first: np.load(folder / f"{first:06d}.npy", mmap_mode="r") for first in set(numbers // BLOCK * BLOCK)}
    return torch.from_numpy(np.stack([files[n // BLOCK * BLOCK][n % BLOCK] for n in numbers])).float()


@torch.no_grad()
def scores(takes: Tensor, batch: AdapterBatch, judges: Judges) -> Tensor:
    """What the experts say of a take [B, T, C, h, w] of each window: [B, 2], higher is better, in the order of EXPERTS.

    Lips are 0 where the window's sound ends too early to be judged.
    """
    return torch.stack([judges.lips(takes.transpose(1, 2), batch.mel) * batch.has_mel, -trembling(takes)], 1)


def trembling(takes: Tensor) -> Tensor:
    """How large second differences of the mouth's latents [B, T, C, h, w] are beside first ones, as a logarithm [B]."""
    area = region(MOUTH_BOX, takes.shape[-1]).to(takes)
    first, second = ((area * takes.diff(dim=1, n=n)).square().mean((1, 2, 3, 4)).sqrt() for n in (1, 2))
    return (second + _LEAST_MOTION).log() - (first + _LEAST_MOTION).log()


def choose(windows: Windows, plan: TakePlan, folder: Path, judges: Judges) -> np.ndarray:
    """Which take of each window is best and which worst, [S, 2]; kept in `folder`."""
    path = folder / "chosen.npy"
    if not path.exists():
        found = []
        for first in range(0, plan.n_scripts, BLOCK):
            some = np.arange(first, min(first + BLOCK, plan.n_scripts))
            batch, takes = windows(some), read_takes(plan, folder, some)
            found.append(torch.stack([scores(takes[:, i], batch, judges) for i in range(plan.n_takes)], 1))
        np.save(path, best_and_worst(torch.cat(found)).numpy())
    chosen: np.ndarray = np.load(path)
    return chosen


class BasePreference(nn.Module):
    """Prefer the best take to the worst, more than the frozen self does, at the noise levels of training."""

    def __init__(self, denoiser: LatentSyncDenoiser, frozen: LatentSyncDenoiser, mix: PreferenceMix) -> None:
        super().__init__()
        self.mix, self.now = mix, DubbingObjective(denoiser, DubbingMix())
        self.frozen = Frozen(before=DubbingObjective(frozen, DubbingMix()))

    def forward(self, batch: TakesBatch) -> Losses:
        """See `preference_loss`; beside it the share of pairs preferred, and how the error on the best take grew."""
        t = self.now.prediction.draw_times(len(batch.best), device=batch.best.device)
        noise = draw_noise(rearrange(batch.best, "b t c h w -> b c t h w"), 1.0)
        best, worst = self.errors(self.now, batch, noise, t)
        with torch.no_grad():
            before = self.errors(self.frozen["before"], batch, noise, t)
        return {
            "loss": preference_loss(best, worst, *before, self.mix.beta),
            "preferred": (gap(best, worst, *before).detach() < 0).float().mean(),
            "best_error": (best.detach() / before[0]).mean(),
        }

    @staticmethod
    def errors(dubbing: DubbingObjective, batch: TakesBatch, noise: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Weighted squared error [B] on the best and on the worst take, the mouth's most."""
        found, area = [], dubbing.area(batch.windows)
        for latents in (batch.best, batch.worst):
            error = dubbing.error(replace(batch.windows, latents=latents), t, noise).square()
            found.append((area * error).mean((1, 2, 3, 4)) / area.mean((1, 2, 3, 4)))
        return found[0], found[1]


@dataclass(frozen=True)
class Review:
    """What tuning changes on windows that only validate."""

    batch: TakesBatch
    n_steps: int
    judges: Judges

    @torch.no_grad()
    def __call__(self, denoiser: nn.Module, objective: BasePreference, device: torch.device) -> dict[str, float]:
        """Scores.

        held_out_preferred   share of pairs whose best take is preferred, at noise in the middle of the range
        lips, stillness      gain of what an expert says over the frozen self, relative to how far best and worst differ
        moved                mean distance of a latent of the mouth from where the frozen self has it
        """
        batch, frozen = self.batch.to(device), objective.frozen["before"]
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(batch.best[:, :1].shape, generator=generator).to(device).expand_as(batch.best)
        half = frozen.prediction.time_at(torch.full((len(batch.best),), 0.5, device=device))
        noise = rearrange(noise, "b t c h w -> b c t h w")
        tuned = DubbingObjective(denoiser, DubbingMix())  # type: ignore[arg-type]
        held = gap(*objective.errors(tuned, batch, noise, half), *objective.errors(frozen, batch, noise, half))
        made = [
            draw_take(net, batch.windows, self.n_steps, torch.Generator().manual_seed(1))
            for net in (frozen.denoiser, denoiser)
        ]
        said = torch.stack([scores(one, batch.windows, self.judges) for one in (*made, batch.best, batch.worst)], 1)
        differ = (said[:, 2] - said[:, 3]).square().mean(0).sqrt().clamp(min=1e-6)
        gains = ((said[:, 1] - said[:, 0]).mean(0) / differ).tolist()
        area = region(MOUTH_BOX, batch.best.shape[-1]).to(batch.best)
        return {
            "held_out_preferred": float((held < 0).float().mean()),
            **dict(zip(EXPERTS, gains, strict=True)),
            "moved": float((area * (made[1] - made[0]).abs()).mean() / area.mean()),
        }


def train_base_preference(
    base: Path, data: Path, output: Path, options: TrainOptions, *, plan: TakePlan, mix: PreferenceMix | None = None
) -> dict[str, float]:
    """Tune a base's denoiser on its own takes of a folder's clips; returns the scores.

    base  the folder, with vae, whisper and syncnet
    data  folder of shards or videos, see `base_clips`
    plan  its scripts are windows; its `weights` are not asked for: they are those of the folder
    Encoded clips, takes and checkpoints lie in the options' run folder; a run that was stopped goes on from there.
    All weights are trained: beside them lie a frozen copy, gradients, two moments and a running mean. Raises BadInput
    for what a base's folder lacks, and for windows that leave none to learn from or none to validate.
    """
    from tqdm import tqdm

    mix, folder, weights = mix or PreferenceMix(), Path(options.run_folder), base / "denoiser.safetensors"
    config: ModelConfig = read_config(weights, ModelConfig, read_metadata(weights, "denoiser"))
    frozen: Any = load_part(weights, "denoiser")[0]
    judges = load_judges(base, config, AdapterLossWeights(sync=1.0))
    device = find_device(options.device)
    clips = encode_folder(data, folder / "encoded", base, config.size_px, device, config.denoiser.window_frames)
    windows, numbers = Windows(clips, config.denoiser, plan.seed), np.arange(plan.n_scripts)
    kept, learned = numbers[windows.validates(numbers)], numbers[~windows.validates(numbers)]
    if not len(kept) or not len(learned):
        raise BadInput(
            f"{plan.n_scripts} windows of {len(clips)} clips leave none to learn from or none to validate: every "
            f"{HELDOUT_EVERY}th clip validates. Give more."
        )
    plan, takes = replace(plan, weights=file_hash(weights)), folder / "takes"
    with first_before_others(options.device):
        with tqdm(total=plan.n_scripts, desc="takes", unit="window", disable=not options.progress) as bar:
            for n_more in draw_takes(frozen, windows, plan, takes):
                bar.update(n_more)
        chosen = choose(windows, plan, takes, judges)

    def pairs(some: np.ndarray) -> TakesBatch:
        found = read_takes(plan, takes, some)
        best, worst = (found[np.arange(len(some)), chosen[some, i]] for i in range(2))
        return TakesBatch(windows(some), best, worst)

    torch.manual_seed(options.seed)
    denoiser = copy.deepcopy(frozen).requires_grad_(True)
    objective, review = BasePreference(denoiser, frozen, mix), Review(pairs(kept[:SHOWN]), plan.n_steps, judges)
    recipe = Recipe(
        part="preference",
        trained=denoiser,
        objective=objective,
        draw=lambda rng, n: pairs(learned[rng.integers(0, len(learned), n)]),
        batch=BATCH,
        learning_rate=LEARNING_RATE,
        evaluate=lambda averaged, where: review(averaged, objective, where),
    )
    averaged, at = fit(recipe, replace(options, warmup_steps=WARMUP_STEPS, weight_decay=0.0))
    if is_first():
        state = {key: value.contiguous() for key, value in averaged.state_dict().items()}
        write_weights(output, "denoiser", state, config, metadata_of(options.seed, at))
    return at.scores
