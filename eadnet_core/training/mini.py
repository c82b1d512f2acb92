"""The shipped models from nothing: every training in order, each step skipped where its result already exists."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..config import PRESETS, ModelConfig
from ..corpus.head_pairs import render_pairs
from ..errors import BadInput
from ..weights.experts import load_reader
from ..weights.files import read_metadata
from .control_reader import train_control_reader
from .data import Cache, build_cache, read_texts
from .denoiser import train_denoiser
from .distillation import distil_denoiser
from .emotion_bank import train_emotion_bank
from .loop import TrainOptions
from .processes import first_before_others, is_first, n_processes, wait_for_all
from .style import train_style
from .style_reader import train_style_reader
from .syncnet import train_sync_expert, train_syncnet
from .text_reader import train_text_reader
from .vae import train_vae
from .video_features import train_video_features

log = logging.getLogger(__name__)

Trainer = Callable[[ModelConfig, Path, Path, TrainOptions], dict[str, float]]
"""(config, cache, weight file to write, options) -> scores"""


@dataclass(frozen=True)
class Plan:
    """How one net of the mini is trained."""

    train: Trainer
    minutes: float
    """On two CPU cores."""
    cache: str
    """Name of the cache it learns from."""
    beside: tuple[str, ...] = ()
    """Caches that it looks for in the same folder."""


@dataclass(frozen=True)
class CachePlan:
    """One clip cache of the mini."""

    n_clips: int
    n_frames: int
    seed: int
    split: str
    speech_utterances: int
    has_pictures: bool = True


@dataclass(frozen=True)
class PairsPlan:
    """Pairs of heads that do the same, `n_states` frames of each beside its reference."""

    n_pairs: int
    n_states: int
    size_px: int
    seed: int


CACHES: dict[str, CachePlan | PairsPlan] = {
    "performances": CachePlan(
        n_clips=12_000, n_frames=16, seed=1, split="train", speech_utterances=5000, has_pictures=False
    ),
    "faces": PairsPlan(n_pairs=2000, n_states=8, size_px=128, seed=101),
    "faces_256": PairsPlan(n_pairs=400, n_states=8, size_px=256, seed=102),
    "styles": CachePlan(n_clips=1200, n_frames=125, seed=3, split="train", speech_utterances=800, has_pictures=False),
    "expert": CachePlan(n_clips=500, n_frames=16, seed=2, split="expert", speech_utterances=300),
}
"""What the model learns from, and what the SyncNet that scores learns from: other heads and another seed."""

PLANS: dict[str, Plan] = {
    "syncnet": Plan(train_syncnet, 4, "performances"),
    "video_features": Plan(train_video_features, 3, "performances"),
    "teacher": Plan(train_denoiser, 60, "performances"),
    "denoiser": Plan(distil_denoiser, 30, "performances"),
    "control_reader": Plan(train_control_reader, 6, "faces"),
    "vae": Plan(train_vae, 120, "faces"),
    "emotion_bank": Plan(train_emotion_bank, 1, "performances", beside=("faces",)),
    "style_reader": Plan(train_style_reader, 10, "styles"),
    "style": Plan(train_style, 25, "styles"),
    "sync_expert": Plan(train_sync_expert, 15, "expert"),
}
"""Every net that learns from clips, in the order of training."""
NEEDS = {
    "vae": ("control_reader",),
    "emotion_bank": ("control_reader",),
    "teacher": ("text_reader", "syncnet", "video_features"),
    "denoiser": ("teacher",),
    "style": ("denoiser",),
}
"""What must be trained before a part. The teacher is the denoiser as it learned from clips; see `distillation`."""
ONLY_FOR = {"teacher": "denoiser"}
"""Parts that nothing needs once another is there."""
ON_MANY = ("syncnet", "teacher", "sync_expert")
"""What is trained under `accelerate launch` too; for the others one device is enough."""
MINUTES_256 = 40.0


def train_mini(
    folder: Path,
    minutes_scale: float = 1.0,
    *,
    options: TrainOptions | None = None,
    workers: int = 2,
    parts: Sequence[str] | None = None,
) -> dict[str, dict[str, float]]:
    """Train everything, or `parts` and what they need, into `folder`/mini; returns the scores of every part.

    Stopped at any point, the next call with the same folder goes on from there; a part whose weight file exists is not
    trained again. Clip caches and checkpoints lie in folder/caches and folder/runs (about 12 GB); folder/mini holds the
    weight files that `load_model` reads.

    minutes_scale  1: the minutes of `PLANS`, made for two CPU cores; smaller on a faster machine
    options        device, threads, anatomy and the like for every training; its budget is not used
    workers        processes that render clips
    """
    folder = Path(folder)
    model = folder / "mini"
    model.mkdir(parents=True, exist_ok=True)
    base = replace(options or TrainOptions(max_minutes=1), run_folder=folder / "runs", max_steps=None)
    config = PRESETS["mini"]
    for part in _in_order(parts):
        output = model / f"{part}.safetensors"
        wait_for_all(base.device)
        if output.exists():
            log.info("%s is there: delete %s to train it again", part, output)
            continue
        if part in ONLY_FOR and (model / f"{ONLY_FOR[part]}.safetensors").exists():
            continue
        if n_processes() > 1 and part not in ON_MANY:
            raise BadInput(
                f"'{part}' is trained by one process: run eadnet train without accelerate launch first. On many "
                f"devices there are {', '.join(ON_MANY)}."
            )
        if part == "text_reader":
            train_text_reader(output, seed=base.seed)
            continue
        plan = PLANS[part]
        with first_before_others(base.device):
            cache, *_ = [
                render_cache(folder / "caches" / name, CACHES[name], config, workers, base.heads)
                for name in (plan.cache, *plan.beside)
            ]
            if part == "teacher" and is_first():
                read_texts(Cache(cache), load_reader(str(model)).codes)
        log.info("%s: %.1f minutes", part, plan.minutes * minutes_scale)
        plan.train(config, cache, output, replace(base, max_minutes=plan.minutes * minutes_scale))
    return {path.stem: read_metadata(path).get("scores", {}) for path in sorted(model.glob("*.safetensors"))}


def train_mini_256(
    folder: Path, minutes_scale: float = 1.0, *, options: TrainOptions | None = None, workers: int = 2
) -> dict[str, dict[str, float]]:
    """Train what the mini-256 has beside the mini into `folder`/mini-256; returns its scores. See `train_mini`.

    Its picture side goes on from that of the mini in `folder`/mini, which must be there, and belongs beside it.
    """
    folder, config = Path(folder), PRESETS["mini-256"]
    output = folder / config.name / "vae.safetensors"
    output.parent.mkdir(parents=True, exist_ok=True)
    if output.exists():
        log.info("%s is there: delete it to train it again", output)
    else:
        base = replace(options or TrainOptions(max_minutes=1), max_steps=None, max_minutes=MINUTES_256 * minutes_scale)
        cache = render_cache(folder / "caches" / "faces_256", CACHES["faces_256"], config, workers, base.heads)
        start = folder / "mini" / "vae.safetensors"
        # apart from the mini's: weights of the same shapes, whose checkpoint would pass for this one's
        train_vae(config, cache, output, replace(base, run_folder=folder / "runs" / config.name), start=start)
    return {"vae": read_metadata(output).get("scores", {})}


def preference_cache(folder: Path, model: Path, n_scripts: int, workers: int, device: str = "auto") -> Path:
    """The first `n_scripts` clips that a mini learns from, in `folder`/caches, words read by the model's reader."""
    plan = CACHES["performances"]
    assert isinstance(plan, CachePlan)
    with first_before_others(device):
        cache = Path(folder) / "caches" / "preference"
        is_read = cache / "read"
        render_cache(cache, replace(plan, n_clips=n_scripts), PRESETS["mini"], workers)
        if not is_read.exists():
            read_texts(Cache(cache), load_reader(str(model)).codes)
            Cache(cache).flush()
            is_read.touch()
    return cache


def _in_order(parts: Sequence[str] | None) -> list[str]:
    """The parts to train, what they need included, in the order of training.

    >>> _in_order(["syncnet"])
    ['syncnet']
    """
    every = ["text_reader", *PLANS]
    wanted = set(every if parts is None else parts)
    unknown = sorted(wanted - set(every))
    if unknown:
        raise BadInput(f"Unknown part '{unknown[0]}'; choose among {', '.join(every)}.")
    for part in reversed(every):
        if part in wanted:
            wanted |= set(NEEDS.get(part, ()))
    return [part for part in every if part in wanted]


def render_cache(
    folder: Path, plan: CachePlan | PairsPlan, config: ModelConfig, workers: int, heads: Path | None = None
) -> Path:
    """Render one cache of the mini with the anatomy in `heads`, or go on with it; returns its folder."""
    if isinstance(plan, PairsPlan):
        render_pairs(folder, plan.n_pairs, plan.n_states, plan.size_px, plan.seed, workers, heads)
    else:
        build_cache(
            folder,
            n_clips=plan.n_clips,
            n_frames=plan.n_frames,
            size_px=config.size_px,
            seed=plan.seed,
            split=plan.split,
            speech_utterances=plan.speech_utterances,
            has_pictures=plan.has_pictures,
            workers=workers,
            heads=heads,
        )
    return folder
